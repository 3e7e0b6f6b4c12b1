"""One clip to be made and what became of it, as plain data, and what an engine that makes it has to do.

A `Job` can be pickled: a worker of this process, or one in another process, takes it and gives a `State` back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from vidorch.errors import VidorchError
from vidorch.offer import Weights
from vidorch_local.diffusion.folders import Found
from vidorch_local.diffusion.loras import Laid
from vidorch_local.diffusion.settings import Settings

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Engine", "Frames", "Job", "Made", "Stage", "State"]

Frames: TypeAlias = "np.ndarray[Any, Any]"
"""uint8 RGB: `(F, H, W, 3)`, a still `(H, W, 3)`."""

Stage = Literal["queued", "load", "encode", "denoise", "decode"]


@dataclass(frozen=True, slots=True)
class Job:
    """One clip.

    Attributes:
        id: what it is asked for by. name: the offer's, for messages.
        found: the folder with the weights; empty for a cluster, where the node that makes it looks for them, and for a device.
        weights: what the catalog says of them.
        pipeline: the class of diffusers that does the task, such as `"WanPipeline"`.
        device: "cpu", "mps", "cuda:0", ...
        call: the pipeline's arguments, of plain types; pictures and clips as `Frames`.
        given: those of them that the caller asked for and that may therefore not be dropped: the argument, and our name of it.
        seed: of the noise. fps: frames a second of the clip.
        frames: how many of the frames that come out are the clip. None: all of them.
        flow_shift: of the scheduler; None: as the folder says.
        loras: what is laid over its weights. settings: what the endpoint and the call ask for beside that.
        folder: where previews may be put.
    """

    id: str
    name: str
    found: Found
    weights: Weights
    pipeline: str
    device: str
    call: Mapping[str, Any]
    seed: int
    fps: float
    given: Mapping[str, str] = field(default_factory=dict)
    frames: int | None = None
    flow_shift: float | None = None
    loras: tuple[Laid, ...] = ()
    settings: Settings = field(default_factory=Settings)
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """A finished clip, not yet a file.

    Attributes:
        frames: uint8 `(F, H, W, 3)`. timings: seconds by stage: `queue`, `load`, `encode`, `denoise`, `decode`.
        notes: what people should know of how it was made.
    """

    frames: Frames
    timings: Mapping[str, float]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """How far a job is.

    Attributes:
        stage: what it is at. fraction: 0 to 1. eta: seconds left, None while that cannot be told.
        detail: for people, such as "denoise 3/50, group-offload" or "queued behind 2".
        ended: the clip, or why there is none; None while it is at work. stopped: it ended since somebody asked for that.
    """

    stage: Stage = "queued"
    fraction: float = 0.0
    eta: float | None = None
    detail: str = "queued"
    ended: Made | VidorchError | None = None
    stopped: bool = False


class Engine(Protocol):
    """Makes clips of jobs, one at a time on each device. Its methods may be called from any thread and return at once."""

    def start(self, job: Job, tell: Callable[[], object]) -> None:
        """Queue a job. `tell` is called, from any thread, whenever its state has changed."""

    def state(self, job_id: str) -> State | None:
        """How far it is; None for a job that is not known, or forgotten."""

    def stop(self, job_id: str) -> None:
        """End it at its next step, before it is begun at best. Harmless for one that has ended or is not known."""

    def forget(self, job_id: str) -> None:
        """Let go of an ended job and its frames."""

    def close(self) -> None:
        """Stop everything at its next step, let go of all weights and wait for that."""
