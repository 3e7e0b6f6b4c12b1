"""What PostgreSQL, or the way to it, may say, and what to do about it. No password is ever repeated."""

from __future__ import annotations

from typing import Any

import psycopg

from vidorch.databases import DatabaseUrl
from vidorch.errors import LedgerUnavailable

__all__ = ["explain", "is_lost", "passes"]

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_GONE = frozenset({"57P01", "57P02", "57P05", "25P03", "25P04"})
"""The server ended the connection: it goes down, has crashed, or took us for frozen."""
_PASSES = frozenset({"57P03", "53300", "40001", "40P01"})
"""It starts up, has no connection left, or took us for the loser among several: a moment later it may do."""

_TROUBLES = {
    "28P01": (
        "lets nobody in with this user and password",
        "Check both: in the URL, PGUSER and PGPASSWORD, or ~/.pgpass.",
    ),
    "28000": (
        "does not let this user in from here",
        "Check the user's name, and pg_hba.conf of the server.",
    ),
    "3D000": ("is not there: the server has no such database", "createdb NAME, or name another one."),
    "3F000": ("has no such schema", "CREATE SCHEMA, or name another one: ?options=-csearch_path=NAME."),
    "42501": (
        "cannot be written: there are no rights to do so",
        "GRANT CREATE, USAGE ON SCHEMA ... to whoever opens it first; USAGE, and all on its tables, to everybody else.",
    ),
    "25006": (
        "cannot be written: it is read-only",
        "Name the primary server, and look at default_transaction_read_only.",
    ),
    "53100": ("cannot be written: the server's disk is full", "Make room on it."),
    "53200": ("cannot be used: the server has no memory left", "Make room on it."),
    "53300": (
        "takes no more connections",
        "Raise max_connections of the server: each process of vidorch takes up to three.",
    ),
    "55P03": (
        "is held by another writer",
        "Somebody holds its lock (see pg_stat_activity); vidorch itself never holds it for long.",
    ),
    "57P03": ("is starting up, or going down", "Try again in a moment."),
}  # fmt: skip
_SAID = {  # what a connection that cannot be made has instead of a code
    "password authentication failed": "28P01", "no password supplied": "28P01", "no pg_hba.conf entry": "28000",
    "too many clients": "53300", "remaining connection slots": "53300", "starting up": "57P03", "shutting down": "57P03",
    "recovery mode": "57P03", "not yet accepting": "57P03",
}  # fmt: skip
_AWAY = (
    "cannot be reached",
    "Start the server, or check host and port. Nothing is sent before the ledger can be written.",
)


_CANNOT = "See docs/shared.md for what a shared ledger needs."


def code_of(error: BaseException) -> str | None:
    """The server's code for it, or for what it was raised upon; None where the server has said none."""
    seen: BaseException | None = error
    while seen is not None:
        original: Any = getattr(seen, "orig", None) or seen
        if isinstance(original, psycopg.Error):
            if original.sqlstate is not None:
                return original.sqlstate
            text = str(original)
            for words, code in _SAID.items():
                if words in text:
                    return code
            if 'database "' in text and "does not exist" in text:
                return "3D000"
            if 'role "' in text and "does not exist" in text:
                return "28000"
        seen = seen.__context__
    return None


def is_lost(error: BaseException, raw: psycopg.Connection[Any] | None = None) -> bool:
    """Whether the connection is gone, or none could be made: whatever was under way on it has ended, or will."""
    if raw is not None and raw.closed:
        return True
    code = code_of(error)
    if code is None:
        return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    return code in _GONE or code.startswith("08")


def passes(error: BaseException) -> bool:
    """Whether a moment later it may do."""
    return code_of(error) in _PASSES


def explain(error: BaseException, url: DatabaseUrl) -> LedgerUnavailable:
    """A trouble with the database, in words. Nothing is paid without a ledger, so it was not charged."""
    if isinstance(error, LedgerUnavailable):
        return error
    code = code_of(error)
    said = url.masked(str(getattr(error, "orig", None) or error)).rstrip(".")
    what, hint = _TROUBLES.get(code or "", ("", ""))
    if not what and is_lost(error):
        what, hint = _AWAY
    return LedgerUnavailable(f"The ledger {url} {what or 'cannot be used'} ({said}).", hint=hint or _CANNOT)
