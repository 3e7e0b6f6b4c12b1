"""A worker on Ray that a test holds at a step: it says over the loopback that it is there, and goes on when it is told to.

Loaded in the actors, too, so nothing of pytest is here.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from dataclasses import dataclass
from typing import Any, Self

from vidorch_local.diffusion.jobs import Stage
from vidorch_local.diffusion.pool.maker import Maker
from vidorch_local.diffusion.worker import Worker

VARIABLE = "VIDORCH_TEST_STAGE"


class HeldWorker(Worker):
    """Stops where the prompt says so: "hold at 2: a lighthouse"."""

    def _progress(self, work: Any, stage: Stage, done: int, total: int, left: float | None) -> None:
        super()._progress(work, stage, done, total, left)
        wanted = re.match(r"hold at (\d+)", str(work.job.call.get("prompt")))
        if wanted is None or int(wanted[1]) != done or not done:
            return
        with socket.create_connection(("127.0.0.1", int(os.environ[VARIABLE]))) as line:
            line.sendall(f"{os.getpid()}\n".encode())
            if line.recv(1) == b"s":
                work.stop.wait(60)


class HeldMaker(Maker):
    def make_worker(self, device: str) -> Worker:
        return HeldWorker(device)


@dataclass
class Held:
    """A clip that waits at its step."""

    pid: int
    line: socket.socket

    def go_on(self) -> None:
        self.line.close()

    def go_on_when_stopped(self) -> None:
        """Not before the wish to stop has come to it."""
        self.line.sendall(b"s")

    def die(self) -> None:
        """As the kernel ends a process when memory is gone."""
        os.kill(self.pid, signal.SIGKILL)
        self.line.close()


class Theatre:
    """Where held clips report."""

    def __init__(self) -> None:
        self._door = socket.create_server(("127.0.0.1", 0))
        self._door.settimeout(100)
        self._lines: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.close()
        self._door.close()

    @property
    def env(self) -> dict[str, str]:
        return {VARIABLE: str(self._door.getsockname()[1])}

    def next(self) -> Held:
        """The next clip that comes to its step."""
        line, _ = self._door.accept()
        self._lines.append(line)
        said = b""
        while not said.endswith(b"\n"):
            said += line.recv(16)
        return Held(int(said), line)
