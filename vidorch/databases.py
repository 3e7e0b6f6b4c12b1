"""Where a ledger is that several machines share: a URL of PostgreSQL, which is never shown with its password."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from vidorch.errors import InvalidRequest, Unsupported

__all__ = ["SCHEMES", "DatabaseUrl", "without_password"]

SCHEMES = ("postgresql", "postgres")
_ALLOWED = "a path, an sqlite:/// URL, or postgresql://USER@HOST/DATABASE"
_SECRET = ("password", "sslpassword", "passfile", "sslkey")


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A shared ledger's place, read from its URL.

    It is read here and not by the driver: what the driver says of a URL that it cannot read repeats parts of the password.

    Attributes:
        settings: by the driver's own names: `host`, `port`, `user`, `password`, `dbname`, and all that stood behind the `?`
            (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS). What is not in it is taken from
            `PGHOST`, `PGPASSWORD`, `~/.pgpass` and their like.
    """

    settings: Mapping[str, str] = field(repr=False)

    @classmethod
    def read(cls, url: str, field: str = "ledger") -> DatabaseUrl:
        """The place that a URL names; `postgres://` means the same as `postgresql://`.

        Raises:
            InvalidRequest: it cannot be read. Unsupported: another database.
        """
        scheme, _, rest = url.partition("://")
        if scheme not in SCHEMES:
            raise Unsupported(
                f"A ledger at {scheme}:// is not open in this version; SQLite and PostgreSQL are.",
                hint=(
                    "An SQLite file is a path, or sqlite:/// with three slashes before it."
                    if scheme == "sqlite"
                    else "Pass a path, or postgresql://USER@HOST/DATABASE."
                ),
            )
        rest, _, query = rest.partition("?")
        where, _, database = rest.partition("/")
        who, _, hosts = where.rpartition("@")
        if "@" in database or "@" in query or "#" in rest:
            raise _unreadable(scheme, field)
        user, _, password = who.partition(":")
        names, ports = [], []
        for host in hosts.split(",") if hosts else ():
            name, port = _host(host)
            if port and not port.isdecimal():
                raise _unreadable(scheme, field)
            names.append(name)
            ports.append(port)
        given = {
            "user": unquote(user), "password": unquote(password), "host": ",".join(names),
            "port": ",".join(ports) if any(ports) else "", "dbname": unquote(database),
        }  # fmt: skip
        more = dict(parse_qsl(query.replace("+", "%2B"), keep_blank_values=True))
        return cls({name: value for name, value in (given | more).items() if value})

    def __str__(self) -> str:
        """The URL, without what is secret."""
        user, database = self.settings.get("user", ""), self.settings.get("dbname", "")
        ports = self.settings.get("port", "").split(",")
        hosts = self.settings.get("host", "").split(",")
        several = len(ports) == len(hosts)
        named = ",".join(
            f"{host}:{port}" if port else host
            for host, port in zip(hosts, ports if several else ports * len(hosts), strict=False)
        )
        shown = f"postgresql://{f'{user}@' if user else ''}{named}/{database}"
        options = self.settings.get("options")
        return f"{shown}?options={options}" if options else shown

    __repr__ = __str__

    def __hash__(self) -> int:
        return hash(frozenset(self.settings.items()))

    def masked(self, text: str) -> str:
        """A text of the driver or the server, on one line and without what is secret."""
        text = " ".join(text.split())
        for name in _SECRET:
            if secret := self.settings.get(name):
                text = text.replace(secret, "***")
        return text


def without_password(place: str | os.PathLike[str] | None) -> str | None:
    """A ledger's place as it may be shown. Of a URL that is none of ours, which may hold a password too, only the scheme is."""
    if place is None or ":/" not in (text := os.fspath(place)):
        return None if place is None else os.fspath(place)
    scheme = text.partition(":/")[0]
    if scheme in SCHEMES:
        with contextlib.suppress(InvalidRequest, Unsupported):
            return str(DatabaseUrl.read(text))
    return text if "@" not in text and scheme not in SCHEMES else f"{scheme}://..."


def _host(text: str) -> tuple[str, str]:
    if text.startswith("["):  # an address with colons in it
        name, _, port = text[1:].partition("]")
        return name, port.removeprefix(":")
    name, _, port = text.partition(":")
    return unquote(name), port


def _unreadable(scheme: str, field: str) -> InvalidRequest:
    return InvalidRequest(
        f"{field}={scheme}://... cannot be read as a URL (it is not shown, for it may hold a password). Allowed is {_ALLOWED}.",
        hint="In a password, write @ as %40, / as %2F, : as %3A, ? as %3F, # as %23 and % as %25; or leave it to PGPASSWORD or "
        "~/.pgpass.",
        field=field, value=f"{scheme}://...", allowed=_ALLOWED,
    )  # fmt: skip
