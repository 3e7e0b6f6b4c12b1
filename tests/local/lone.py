"""One pipeline and clips of it, without client, queue, decoding or file: for what the latents themselves tell, bit for bit."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.local import tiny
from vidorch_local.diffusion import folders, loading, running, tuning
from vidorch_local.diffusion.jobs import Job, Made
from vidorch_local.diffusion.settings import Settings

__all__ = ["Lone", "counted"]

_IDS = itertools.count()


class Lone:
    """A pipeline on the CPU that makes one clip after the other, as a worker does, up to what would be decoded.

    Args:
        kind: of `tiny.BUILDERS`. folder: where it is saved.
    """

    def __init__(self, kind: str, folder: Path, wanted: str) -> None:
        offer = tiny.offer_of(kind, folder)
        assert offer.weights is not None
        self.weights, self.name, self.wanted = offer.weights, offer.name, wanted
        self.found = folders.examine(folder, offer.name)
        self._pipe = loading.load(self.found, wanted, "cpu", offer.name)
        self._views: dict[str, Any] = {}
        self._latents: Any = None
        self._running: Any = None
        self.sigmas: list[float] = []
        self._pipe.vae.decode = self._instead_of_decoding

    def pipe(self, wanted: str = "") -> Any:
        """The pipeline, or the same weights as one of another class."""
        wanted = wanted or self.wanted
        if wanted not in self._views:
            self._views[wanted] = loading.view(self._pipe, wanted, self.name)
        return self._views[wanted]

    def job(
        self, *, steps: int = 12, guidance: float = 5.0, seed: int = 7, wanted: str = "", **changes: Any
    ) -> Job:
        """A clip of 32x32 pixels and 5 frames. `changes` are fields of the job, or of its settings."""
        fields = {name: changes.pop(name) for name in tuple(changes) if name in Job.__dataclass_fields__}
        call = {
            "prompt": "a lighthouse", "num_inference_steps": steps, "guidance_scale": guidance, "max_sequence_length": 16,
            "width": 32, "height": 32, "num_frames": 5, **fields.pop("call", {}),
        }  # fmt: skip
        job = Job(
            f"job-{next(_IDS)}", self.name, self.found, self.weights, wanted or self.wanted, "cpu", call, seed, 8.0,
            settings=Settings(**changes),
        )  # fmt: skip
        return replace(job, **fields)

    def make(self, job: Job) -> Made:
        """A clip, with the notes of both settling and running. Its frames are black."""
        self._running = pipe = self.pipe(job.pipeline)
        notes = tuning.settle(pipe, job, "cpu")
        made = running.run(pipe, job, tell=lambda *_: None, should_stop=lambda: False)
        return replace(made, notes=(*notes, *made.notes))

    def clip(self, **changes: Any) -> Any:
        """What would be decoded, `(1, C, F, H, W)`."""
        self.make(self.job(**changes))
        return self._latents

    def _instead_of_decoding(self, latents: Any, **_: Any) -> Any:
        import torch

        self.sigmas = [float(one) for one in self._running.scheduler.sigmas]
        self._latents = latents.numpy().copy()
        return (torch.zeros(1, 3, 5, 32, 32),)


@contextmanager
def counted() -> Iterator[Callable[[str], int]]:
    """How often modules of a class were computed meanwhile."""
    from torch.nn.modules.module import register_module_forward_pre_hook

    calls: Counter[str] = Counter()
    handle = register_module_forward_pre_hook(lambda module, _: calls.update([type(module).__name__]))
    try:
        yield lambda name: calls[name]
    finally:
        handle.remove()
