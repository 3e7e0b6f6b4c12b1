"""Loaded pipelines, kept between clips: the one used longest ago goes first when memory is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vidorch_local.diffusion import loading, placing
from vidorch_local.diffusion.jobs import Job

__all__ = ["Shelf"]


@dataclass(slots=True)
class _Kept:
    """The weights of one folder in one placement, and the pipelines that share them by class."""

    pipe: Any
    size: int
    in_main: bool
    views: dict[str, Any] = field(default_factory=dict)
    last_view: str = ""


class Shelf:
    """Of one device; used by one thread alone.

    Args:
        free: bytes of the device that are free now.
    """

    def __init__(self, device: str, free: Callable[[str], int] = placing.free_memory) -> None:
        self._device = device
        self._free = free
        self._kept: dict[tuple[Any, ...], _Kept] = {}  # in the order of their last use

    def held(self, in_main: bool | None = None) -> int:
        """Bytes that the kept pipelines take, of main memory or of the device's own; None: of both."""
        return sum(kept.size for kept in self._kept.values() if in_main in (None, kept.in_main))

    @property
    def kept(self) -> tuple[str, ...]:
        """Folders of what is kept, the one used last at the end."""
        return tuple(key[0] for key in self._kept)

    def placement_of(self, job: Job) -> str | None:
        """How a pipeline that this job could take as it is lies now."""
        wanted = job.settings.placement
        there = (key[1] for key in reversed(self._kept) if key == _key(job, key[1]))
        return next((placement for placement in there if wanted in ("", placement)), None)

    def take(self, job: Job, placement: str, need: Mapping[str, int]) -> Any:
        """The pipeline for a job, loaded where it is not kept; others go for it as far as memory asks for that."""
        key = _key(job, placement)
        kept = self._kept.pop(key, None)
        while self._kept and not self._has_room(placement, need, kept.size if kept is not None else 0):
            self._drop_oldest()
        if kept is None:
            device = "cpu" if placement == "cpu" else self._device
            pipe = loading.load(job.found, job.pipeline, device, job.name)
            view = loading.view(pipe, job.pipeline, job.name)
            placing.apply(view, placement, self._device)
            kept = _Kept(
                pipe, loading.bytes_of(pipe), self._in_main(placement), {job.pipeline: view}, job.pipeline
            )
        elif kept.last_view != job.pipeline:
            if job.pipeline not in kept.views:
                kept.views[job.pipeline] = loading.view(kept.pipe, job.pipeline, job.name)
            placing.apply(kept.views[job.pipeline], placement, self._device, again=True)
            kept.last_view = job.pipeline
        self._kept[key] = kept
        return kept.views[job.pipeline]

    def trim(self, most: float | None) -> None:
        """Keep no more than so many bytes; None: no more of main memory than is left free beside it, and all on a GPU."""
        while self._kept and (
            self.held() > most if most is not None else self.held(True) > self._free("cpu")
        ):
            self._drop_oldest()

    def clear(self) -> None:
        """Let go of everything."""
        self._kept.clear()
        placing.release(self._device)

    def _in_main(self, placement: str) -> bool:
        return placement == "cpu" or placement in placing.OFFLOADING or not self._device.startswith("cuda")

    def _has_room(self, placement: str, need: Mapping[str, int], there: int) -> bool:
        """Whether a clip fits beside all that is kept; `there` bytes of its weights are loaded already."""
        if placement in placing.OFFLOADING:
            return self._free("cpu") >= need["main"] - there and self._free(self._device) >= need[placement]
        return self._free("cpu" if placement == "cpu" else self._device) >= need[placement] - there

    def _drop_oldest(self) -> None:
        self._kept.pop(next(iter(self._kept)))
        placing.release(self._device)


def _key(job: Job, placement: str) -> tuple[Any, ...]:
    """What has to be equal for two jobs to share one set of loaded weights."""
    return job.found.folder, placement
