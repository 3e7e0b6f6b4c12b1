"""Workers on Ray that make clips without torch, in no time, so that what becomes of workers can be looked at by itself.

Loaded in the actors, too, so nothing of pytest is here.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from importlib.metadata import version
from typing import Any

import numpy as np

from vidorch.errors import MissingCredentials
from vidorch.offer import Weights
from vidorch_local.diffusion.folders import Found
from vidorch_local.diffusion.jobs import Job, Made, State
from vidorch_local.diffusion.pool.engine import Pool
from vidorch_local.diffusion.pool.maker import Hello, Maker
from vidorch_local.diffusion.worker import Worker


def job_of(name: str, **call: Any) -> Job:
    """A clip of so many frames, as `call` says: `shape`; `die=True` ends its worker."""
    return Job(name, "cluster/light", Found("", ""), Weights("/"), "None", "", call, 1, 8.0)


def frames_of(job: Job) -> Any:
    """What comes of a job."""
    shape = job.call.get("shape", (2, 4, 4, 3))
    return np.resize(np.arange(251, dtype=np.uint8), shape)


class LightWorker(Worker):
    def _made(self, work: Any) -> Made:
        if work.job.call.get("die"):
            os.kill(os.getpid(), signal.SIGKILL)
        return Made(frames_of(work.job), {}, (f"pid {os.getpid()}",))


class LightMaker(Maker):
    def hello(self) -> Hello:
        self._worker = LightWorker("cpu")
        return Hello(self._node, os.getpid(), "cpu", version("vidorch"))

    def start(self, job: Job, from_node: str) -> None:
        assert self._worker is not None
        self._counts[job.id] = 0
        self._worker.start(job, lambda: self._count(job.id))


class BrokenMaker(LightMaker):
    def __init__(self, device: str, name: str) -> None:
        raise RuntimeError("no driver for this card")


class PoorMaker(LightMaker):
    def hello(self) -> Hello:
        return Hello("gpu-2", 1, "", version("vidorch"), MissingCredentials("No torch on gpu-2."))


class OldMaker(LightMaker):
    def hello(self) -> Hello:
        return Hello("gpu-2", 1, "cpu", "0.0.1")


class LateMaker(LightMaker):
    """Says hello once it is told to, at a port of the loopback that its device names."""

    def hello(self) -> Hello:
        with socket.create_connection(("127.0.0.1", int(self._wanted))) as line:
            line.recv(1)
        return super().hello()


def end_of(pool: Pool, job: Job) -> State:
    """Have a job made, and how it ended."""
    ended = threading.Event()

    def look() -> None:
        state = pool.state(job.id)
        if state is not None and state.ended is not None:
            ended.set()

    pool.start(job, look)
    assert ended.wait(90), pool.state(job.id)
    state = pool.state(job.id)
    assert state is not None
    return state
