"""Commands on a ledger that several machines share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import postgres
from tests.cli.conftest import Command
from tests.engine.scripted import Scripted
from vidorch.databases import DatabaseUrl

WORD = "s3cret @/:%?# word"


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> DatabaseUrl:
    """The ledger of every command here, with a password in its URL; the server lets its user in without."""
    place = DatabaseUrl({**postgres.empty().settings, "password": WORD})
    monkeypatch.setenv("VIDORCH_LEDGER", postgres.url_of(place))
    return place


def test_jobs_are_listed_shown_and_counted(
    command: Command, scripted: Scripted, place: DatabaseUrl, home: Path
) -> None:
    """As on a file; none is made in the home folder."""
    made = command("generate", "x", "-m", "test/paid", "--yes", "--json").document
    (job,) = command("jobs", "list", "--json").document
    shown = command("jobs", "show", job["id"]).out
    spent = command("spend", "--json")
    assert (made["run_id"], True, 0, False) == (
        job["run_id"], job["id"] in shown, spent.code, (home / "ledger.db").exists(),
    )  # fmt: skip


@pytest.mark.parametrize(
    "words", [("config",), ("config", "--json"), ("doctor",), ("doctor", "--json"), ("jobs", "list")]
)
def test_the_password_is_shown_nowhere(command: Command, place: DatabaseUrl, words: tuple[str, ...]) -> None:
    """Nor any part of it; the rest of the URL is."""
    said = command(*words)
    text = said.out + said.err
    assert (False, False) == ("s3cret" in text, "word" in text.replace("password", ""))
    assert words[0] == "jobs" or f"vidorch@127.0.0.1:{place.settings['port']}" in text.replace("\n", "")


@pytest.mark.parametrize(
    "words", [("jobs", "list"), ("generate", "x", "-m", "test/paid", "--yes"), ("budget", "list")]
)
def test_a_server_that_is_away(
    command: Command,
    scripted: Scripted,
    place: DatabaseUrl,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:
    """Is said to be, with exit 9 and without the password; nothing is sent."""
    monkeypatch.setenv("VIDORCH_LEDGER", postgres.url_of(DatabaseUrl({**place.settings, "port": "1"})))
    said = command(*words)
    assert (9, True, False) == (said.code, "cannot be reached" in said.err, "s3cret" in said.err)


def test_doctor_of_a_server_that_is_away(
    command: Command, place: DatabaseUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report goes on, and blames the ledger."""
    monkeypatch.setenv("VIDORCH_LEDGER", postgres.url_of(DatabaseUrl({**place.settings, "port": "1"})))
    said = command("doctor", "--json")
    bad = [finding["what"] for finding in said.document["findings"] if finding["state"] == "bad"]
    assert (1, ["ledger"]) == (said.code, bad)


def test_looking_makes_no_tables(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database without any is a ledger to be."""
    place = postgres.new_database()
    monkeypatch.setenv("VIDORCH_LEDGER", postgres.url_of(place))
    listed, report = command("jobs", "list", "--json").document, command("doctor").out
    assert ([], True, [(None,)]) == (
        listed, "its tables are made at the first run" in report.replace("\n", " "), postgres.execute(place, "SELECT to_regclass('meta')"),
    )  # fmt: skip


@pytest.mark.parametrize("words", [("jobs", "list"), ("budget", "list"), ("spend",)])
def test_a_database_of_somebody_elses(
    command: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """Is no empty ledger: exit 9, and what to do, as a paid call would say it."""
    place = postgres.new_database()
    postgres.execute(place, "CREATE TABLE theirs (a int)")
    monkeypatch.setenv("VIDORCH_LEDGER", postgres.url_of(place))
    said = command(*words)
    assert (9, True) == (said.code, "not a vidorch ledger" in said.err)


def test_a_plan_goes_by_what_clips_took_there(
    command: Command, scripted: Scripted, place: DatabaseUrl
) -> None:
    """The latencies of a shared ledger are everybody's."""
    from vidorch.ledger.glance import finished_jobs

    for _ in range(2):
        command("generate", "x", "-m", "test/paid", "--yes")
    assert ["paid", "paid"] == [job.model for job in finished_jobs(place)]
