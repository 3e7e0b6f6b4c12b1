"""The URL of a shared ledger: read by ourselves, and never shown with its password."""

from __future__ import annotations

import pytest

from vidorch import InvalidRequest, Unsupported
from vidorch.config import Config
from vidorch.databases import DatabaseUrl, without_password


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("postgresql://host/db", {"host": "host", "dbname": "db"}),
        ("postgres://me@host:5433/db", {"user": "me", "host": "host", "port": "5433", "dbname": "db"}),
        ("postgresql://me:a%40b%2Fc@host/db", {"user": "me", "password": "a@b/c", "host": "host", "dbname": "db"}),
        ("postgresql://me:a@b@host/db", {"user": "me", "password": "a@b", "host": "host", "dbname": "db"}),
        ("postgresql:///db?host=/run/pg", {"host": "/run/pg", "dbname": "db"}),
        ("postgresql://[::1]:5433,other/db", {"host": "::1,other", "port": "5433,", "dbname": "db"}),
        ("postgresql://h/db?options=-csearch_path%3Dx&sslmode=require",
         {"host": "h", "dbname": "db", "options": "-csearch_path=x", "sslmode": "require"}),
        ("postgresql://h/db?password=a+b", {"host": "h", "dbname": "db", "password": "a+b"}),
        ("postgresql://", {}),
    ],
)  # fmt: skip
def test_what_is_in_a_url(url: str, settings: dict[str, str]) -> None:
    """As PostgreSQL's own programs read it; what is not in it is left to them."""
    assert settings == DatabaseUrl.read(url).settings


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret/x@host/db",
        "postgresql://me:s3cret?x@host/db",
        "postgresql://me:s3cret#x@host/db",
        "postgres://h:s3cret/db",
    ],
)
def test_one_that_cannot_be_read_is_not_shown(url: str) -> None:
    """It may hold a password with a letter in it that ends it early."""
    with pytest.raises(InvalidRequest) as caught:
        DatabaseUrl.read(url)
    said = f"{caught.value} {caught.value!r} {vars(caught.value)} {without_password(url)}"
    assert ("s3cret" in said, "%2F" in said) == (False, True)


def test_another_database() -> None:
    """Is named; these are the ones that there are."""
    with pytest.raises(Unsupported, match="mysql:// is not open in this version; SQLite and PostgreSQL are"):
        DatabaseUrl.read("mysql://h/db")


def test_sqlite_with_two_slashes() -> None:
    """Lacks one."""
    with pytest.raises(Unsupported) as caught:
        DatabaseUrl.read("sqlite://ledger.db")
    assert "three slashes" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:s3cret@host:5433/db?sslmode=require", "postgresql://me@host:5433/db"),
        (
            "postgresql://h/db?password=s3cret&options=-csearch_path%3Dx",
            "postgresql://h/db?options=-csearch_path=x",
        ),
        ("postgres://a:1,b:2/db", "postgresql://a:1,b:2/db"),
        ("/home/me/ledger.db", "/home/me/ledger.db"),
        ("sqlite:///ledger.db", "sqlite:///ledger.db"),
        ("postgresql+psycopg://me:s3cret@host/db", "postgresql+psycopg://..."),
        ("PostgreSQL://me:s3cret@host/db", "PostgreSQL://..."),
        ("mysql://me:s3cret@host/db", "mysql://..."),
        ("postgresql:/me:s3cret@host/db", "postgresql://..."),
    ],
)
def test_how_it_is_shown(url: str, shown: str) -> None:
    """Without what is secret."""
    assert shown == without_password(url)


def test_a_configuration_does_not_show_it() -> None:
    """Nor does anything that holds one."""
    url = "postgresql://me:s3cret@host/db"
    assert "s3cret" not in f"{Config(ledger=url)} {DatabaseUrl.read(url)!r} {[DatabaseUrl.read(url)]}"


def test_what_a_server_says_is_masked() -> None:
    """Should it say the password back."""
    url = DatabaseUrl.read("postgresql://me:s3cret@host/db")
    assert "no *** for you" == url.masked("no s3cret\n  for you")


def test_two_are_the_same_when_all_of_them_is() -> None:
    """So that a ledger is opened once."""
    one, other = DatabaseUrl.read("postgresql://h/db"), DatabaseUrl.read("postgres://h/db")
    assert {one} == {other}
