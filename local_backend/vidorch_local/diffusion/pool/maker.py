"""What runs inside a Ray actor: the engine of one device, in a process of its own on some node, and its clips by the piece.

Nothing here knows of Ray: its methods take and give plain data, several may be at work at once, and none raises what the
driver could take for the death of the process.
"""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec

from vidorch.errors import MissingCredentials, ProviderFailed, VidorchError
from vidorch.weights import EXTRA, require
from vidorch_local.backend import PROVIDER
from vidorch_local.diffusion import folders, loras, placing
from vidorch_local.diffusion.jobs import Frames, Job, Made, State
from vidorch_local.diffusion.worker import Worker

__all__ = ["Hello", "Maker", "News"]


@dataclass(frozen=True, slots=True)
class Hello:
    """A worker that has come.

    Attributes:
        node: the name of its machine. pid: of its process there. device: what it makes clips on.
        version: of vidorch there. trouble: why it can make none; None where it can.
    """

    node: str
    pid: int
    device: str
    version: str
    trouble: VidorchError | None = None


@dataclass(frozen=True, slots=True)
class News:
    """How far a clip is.

    Attributes:
        count: how often its state has changed; what is asked with the next time.
        state: a clip that is made comes without its frames. None: it is not known here.
        shape: of those frames.
    """

    count: int
    state: State | None
    shape: tuple[int, ...] = ()


class Maker:
    """One worker.

    Args:
        device: as an endpoint names it. name: the endpoint's, for messages.
    """

    def __init__(self, device: str, name: str) -> None:
        self._wanted, self._name = device, name
        self._node = socket.gethostname()
        self._worker: Worker | None = None
        self._counts: dict[str, int] = {}
        self._troubles: dict[str, VidorchError] = {}
        self._changed = threading.Condition()

    def hello(self) -> Hello:
        """Load what is needed and say who this is."""
        device, trouble = "", None
        try:
            if absent := [package for package in EXTRA if find_spec(package) is None]:
                raise MissingCredentials(
                    f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} not on this machine. Nothing was made.",
                    hint="pip install 'vidorch[local,ray]'", extra="local", provider=PROVIDER,
                )  # fmt: skip
            device = placing.device_of(self._wanted)
            self._worker = self.make_worker(device)
        except VidorchError as error:
            trouble = self._here(error)
        except Exception as error:  # a torch that does not load
            trouble = ProviderFailed(
                f"The worker on node {self._node} cannot make clips: {type(error).__name__}: {error}. Nothing was made.",
                charged=False, provider=PROVIDER,
            )  # fmt: skip
        return Hello(self._node, os.getpid(), device, version("vidorch"), trouble)

    def make_worker(self, device: str) -> Worker:
        """The engine of this process."""
        return Worker(device)

    def start(self, job: Job, from_node: str) -> None:
        """Begin a clip: its weights are looked for on this machine.

        Args:
            from_node: the name of the machine whose folders the job speaks of.
        """
        assert self._worker is not None
        self._counts[job.id] = 0
        try:
            model = job.name.partition("/")[2]  # the endpoint is the driver's, and not known to commands here
            found = folders.examine(require(job.weights, model), model)
            if job.settings.placement:
                placing.legal(job.settings.placement, self._worker.device)
            folder = job.folder if from_node == self._node else ""  # nobody would find a preview there
            laid = loras.located(job.loras, model)
            job = replace(job, loras=laid, found=found, device=self._worker.device, folder=folder)
            self._worker.start(job, lambda: self._count(job.id))
        except MissingCredentials as error:
            error.args = (f"{job.name} cannot run: {error.message}. Nothing was made.",)
            self._troubles[job.id] = self._here(error)
        except VidorchError as error:
            self._troubles[job.id] = self._here(error)

    def news(self, job_id: str, seen: int, patience: float) -> News:
        """How far it is, as soon as that is another count than `seen`, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._counts.get(job_id, 0) != seen, patience)
            count = self._counts.get(job_id, 0)
        if (trouble := self._troubles.get(job_id)) is not None:
            return News(count, State(ended=trouble))
        state = None if self._worker is None else self._worker.state(job_id)
        if state is None or not isinstance(state.ended, Made):
            return News(count, state)
        frames = state.ended.frames
        return News(count, replace(state, ended=replace(state.ended, frames=frames[:0])), frames.shape)

    def piece(self, job_id: str, start: int, stop: int) -> Frames | None:
        """Some of the frames of a clip that is made; None where it is not known here."""
        state = None if self._worker is None else self._worker.state(job_id)
        return state.ended.frames[start:stop] if state is not None and isinstance(state.ended, Made) else None

    def stop(self, job_id: str) -> None:
        """End it at its next step. Harmless for one that has ended or is not known."""
        if self._worker is not None:
            self._worker.stop(job_id)

    def forget(self, job_id: str) -> None:
        """Let go of an ended clip and its frames."""
        if self._worker is not None:
            self._worker.forget(job_id)
        self._counts.pop(job_id, None)
        self._troubles.pop(job_id, None)

    def _count(self, job_id: str) -> None:
        with self._changed:
            if job_id in self._counts:
                self._counts[job_id] += 1
            self._changed.notify_all()

    def _here(self, error: VidorchError) -> VidorchError:
        """An error of this machine, with its name: on a cluster "here" is some other place each time."""
        error.args = (f"On node {self._node}: {error.message.replace('on this machine', 'there')}",)
        if isinstance(error, MissingCredentials) and error.hint:
            error.hint = f"There, and on every node that may make clips: {error.hint}"
        return error
