"""The command, typed in this process or as one of its own, with a scripted provider and offers for it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.engine.scripted import Scripted
from vidorch import registry
from vidorch.cli import app

CATALOG = """
[[offer]]
model = "basic"
endpoint = "test"
provider = "test"
family = "test"
title = "Scripted"
vendor_model = "basic"
path = "basic"
as_of = 2026-11-22
min_poll = 0.01
outlives_caller = false
price = { rule = "free", source = "a test" }

[offer.capabilities]
durations = { choices = [1] }
resolutions = ["256p"]
aspect_ratios = ["1:1"]
sizes = { "256p 1:1" = [64, 64] }
fps = [8]
seed = true

[offer.routes.text-to-video]

[[offer]]
like = "test/basic"
model = "paid"
title = "Scripted, at ten cents a second"
vendor_model = "paid"
path = "paid"
as_of = 2026-11-22
price = { source = "a test", row = [{ per_second = 0.10, source = "a test", as_of = 2026-11-22 }] }

[[offer]]
like = "local/mini"
model = "mini-paid"
title = "The built-in model, as if it were sold"
as_of = 2026-11-22
price = { source = "a test", row = [{ per_second = 0.10, source = "a test", as_of = 2026-11-22 }] }
"""


@dataclass(frozen=True)
class Said:
    """What a command printed and ended with."""

    code: int | None
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout; more than one, or anything beside it, is an error."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Command = Callable[..., Said]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Types a command in this process: what `vidorch WORDS...` does, without the start of an interpreter."""

    def type_in(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["vidorch", *map(str, words)])
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            app.run()
        out, err = capsys.readouterr()
        return Said(0 if ended.value.code is None else int(ended.value.code), out, err)

    return type_in


@pytest.fixture
def catalog_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`VIDORCH_CATALOG` with test/basic (free), test/paid and local/mini-paid (10 cents a second)."""
    path = tmp_path / "offers.toml"
    path.write_text(CATALOG, "utf-8")
    monkeypatch.setenv("VIDORCH_CATALOG", str(path))
    return path


@pytest.fixture
def scripted(catalog_file: Path, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """The scripted provider, come in by the door that every provider uses."""
    provider = Scripted()

    class Door(Scripted):
        def __new__(cls) -> Any:
            return provider

    class Point:
        value = "tests:Door"

        def load(self) -> type[Scripted]:
            return Door

    points = dict(registry._entry_points())
    monkeypatch.setattr(registry, "_entry_points", lambda: points | {"test": Point()})
    return provider


def start(*words: object, **settings: Any) -> subprocess.Popen[str]:
    """Starts `vidorch WORDS...` as a process of its own."""
    settings = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    } | settings
    environment = dict(os.environ) | settings.pop("env", {})
    return subprocess.Popen([sys.executable, "-m", "vidorch", *map(str, words)], env=environment, **settings)


@pytest.fixture
def process() -> Command:
    """Runs the command as a process of its own, to its end."""

    def run(*words: object, **settings: Any) -> Said:
        with start(*words, **settings) as child:
            out, err = child.communicate(timeout=60)
        return Said(child.returncode, out or "", err or "")

    return run


@dataclass
class Child:
    """A command that is at work: what it says is read line by line, and it can be sent signals."""

    process: subprocess.Popen[str]
    heard: str = ""

    def hear(self, words: str) -> str:
        """Read stderr until a line with these words is there. Returns that line."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.heard += line
            if words in line:
                return line
        raise AssertionError(f"it never said {words!r}, but: {self.heard}")

    def send(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self) -> Said:
        """Wait for its end."""
        assert self.process.stderr is not None
        assert self.process.stdout is not None
        self.heard += self.process.stderr.read()
        out = self.process.stdout.read()
        return Said(self.process.wait(timeout=60), out, self.heard)


def _hear() -> None:
    """Hear what whoever runs the tests may ignore, as `nohup` does SIGHUP: a child inherits that."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def working(*words: object, **settings: Any) -> Iterator[Child]:
    """A command at work as a process of its own; killed when it does not end in a minute."""
    settings = settings if os.name == "nt" else {"preexec_fn": _hear} | settings
    with start(*words, **settings) as process:
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        try:
            yield Child(process)
        finally:
            watchdog.cancel()
            if process.poll() is None:
                process.kill()


def wait_for_a_job_in(ledger: Path, *states: str, jobs: int = 1) -> None:
    """Until the ledger of another process has a job, or so many, in these states."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if ledger.exists():
            try:
                connection = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
                try:
                    found = connection.execute(
                        f"SELECT 1 FROM jobs WHERE state IN ({','.join('?' * len(states))})", states
                    ).fetchall()
                    if len(found) >= jobs:
                        return
                finally:
                    connection.close()
            except sqlite3.Error:
                pass  # it is just being made
        time.sleep(0.01)
    raise AssertionError(f"no job came to {states}")
