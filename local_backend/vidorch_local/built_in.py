"""The built-in model as a backend of the `local` provider: each clip is made on a thread of its own, with NumPy alone."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from vidorch.contract import (
    Accepted,
    Admission,
    Cancelled,
    Context,
    Done,
    Failed,
    Health,
    Output,
    Polled,
    Prepared,
    Progress,
)
from vidorch.errors import BadMedia, ProviderFailed, Unsupported, VidorchError
from vidorch.inputs import Media
from vidorch.offer import Offer
from vidorch.request import Request
from vidorch_local.backend import PROVIDER, News, cancelled
from vidorch_local.mini import words

if TYPE_CHECKING:
    import numpy as np

    from vidorch_local.mini.model import Mini

__all__ = ["BuiltIn"]

_WORLD = " ".join(words.WORLD.split())
_STAGES = {"encode": (0.0, 0.05), "denoise": (0.05, 0.8), "decode": (0.85, 0.1)}


@dataclass
class _Work:
    """One clip being made."""

    reading: words.Reading
    seed: int
    steps: int
    image: Any
    news: News = field(default_factory=News)
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    stage: str = "queued"
    fraction: float = 0.0
    frames: Any = None
    error: Exception | None = None
    finished: bool = False
    timings: dict[str, float] = field(default_factory=dict)

    def tell(self) -> None:
        """Say that something is new; when nobody waits any more, stop."""
        if not self.news.tell():
            self.stop.set()


class BuiltIn:
    """Runs the built-in model on the CPU of this process."""

    def __init__(self) -> None:
        self._works: dict[str, _Work] = {}
        self._mini: Mini | None = None
        self._loading = threading.Lock()

    def admit(self, request: Request, offer: Offer) -> Admission:
        """Read the prompt (and look at the image): the built-in model never poses as more than it is."""
        reading = words.understand(request.prompt)
        if reading.missing:
            why = (
                " ".join(reading.notes) or f"It found no {' and no '.join(reading.missing)} that it can draw."
            )
            return Admission(
                f"the prompt is not of its world: {why} It draws only {_WORLD}. Try: a red ball rolling left"
            )
        if request.image is None:
            return Admission(notes=reading.notes)
        try:
            image = _pixels(cast("Media", request.image))
        except (BadMedia, Unsupported) as error:
            return Admission(error.message)
        known, why = self._loaded().recognises(image)
        if not known:
            return Admission(f"the image is not a frame of its world: {why}; it draws only {_WORLD}")
        return Admission(notes=words.understand(request.prompt, seen=_background(image)).notes)

    async def prepare(self, context: Context, request: Request, offer: Offer) -> Prepared:
        """Read the prompt, decode the image, load the weights."""
        image = None
        if request.image is not None:
            image = await asyncio.to_thread(_pixels, cast("Media", request.image))
        reading = words.understand(request.prompt, seen=None if image is None else _background(image))
        started = time.perf_counter()
        await asyncio.to_thread(self._loaded)
        from vidorch_local.mini.model import DEFAULT_STEPS

        seed = request.seed if request.seed is not None else 0
        work = _Work(reading, seed, request.steps or DEFAULT_STEPS, image)
        work.timings["load"] = time.perf_counter() - started
        return Prepared(request, offer, work)

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        """Hand the work to a thread."""
        remote_id = f"local-{context.job_id}"
        work: _Work = prepared.body
        self._works[remote_id] = work
        # A daemon thread, not a pool: a pool's threads are waited for when the interpreter ends, and a film can take hours.
        work.thread = threading.Thread(target=self._make, args=(work,), name=remote_id, daemon=True)
        work.thread.start()
        return Accepted(remote_id)

    def holds(self, remote_id: str) -> bool:
        """Whether it is at work on that, or has its frames."""
        return remote_id in self._works

    async def poll(self, remote_id: str) -> Polled:
        """How far it is."""
        work = self._works[remote_id]
        if not work.finished:
            await work.news.wait()
        if not work.finished:
            return Progress(
                "queued" if work.stage == "queued" else "running", work.fraction, detail=work.stage
            )
        if work.error is not None:
            self._works.pop(remote_id, None)
            return _failed(work)
        return Done((Output(0, remote_id, seed=work.seed),), timings=work.timings, notes=work.reading.notes)

    async def fetch(self, output: Output, path: Path) -> None:
        """Enlarge the frames and write them as MP4."""
        work = self._works[output.ref]
        await asyncio.to_thread(_write, work.frames, path)
        self._works.pop(output.ref, None)

    def cancel(self, remote_id: str) -> Cancelled:
        """Stop at the next denoising step."""
        self._works[remote_id].stop.set()
        return Cancelled(stopped=True, charged=False)

    async def check(self, context: Context) -> Health:
        """Load the weights."""
        try:
            await asyncio.to_thread(self._loaded)
        except (VidorchError, ValueError, OSError) as error:
            return Health(False, str(error))
        return Health(True, "the built-in model is loaded")

    async def aclose(self) -> None:
        """Tell every thread to stop at its next step."""
        for work in self._works.values():
            work.stop.set()
        self._works.clear()

    # -- on the thread ----------------------------------------------------------------------------------------------

    def _loaded(self) -> Mini:
        with self._loading:
            if self._mini is None:
                from vidorch_local.mini.model import Mini

                try:
                    self._mini = Mini.load()
                except (ValueError, OSError) as error:
                    raise ProviderFailed(
                        f"The weights of the built-in model cannot be used: {error}", charged=False, provider=PROVIDER,
                        hint="Install vidorch again: pip install --force-reinstall --no-deps vidorch",
                    ) from error  # fmt: skip
            return self._mini

    def _make(self, work: _Work) -> None:
        from vidorch_local.mini.model import Stopped

        since = time.perf_counter()

        def on_progress(stage: str, share: float) -> None:
            nonlocal since
            now = time.perf_counter()
            if stage != work.stage:
                since = now
            work.timings[stage] = now - since
            work.stage, work.fraction = stage, _overall(stage, share)
            work.tell()

        try:
            mini = self._loaded()
            with _one_thread():
                work.frames = mini.generate(
                    work.reading,
                    seed=work.seed,
                    steps=work.steps,
                    image=work.image,
                    on_progress=on_progress,
                    should_stop=work.stop.is_set,
                )
        except Stopped as stopped:
            work.error = stopped
        except Exception as error:
            work.error = error
        work.finished = True
        work.tell()


def _one_thread() -> contextlib.AbstractContextManager[object]:
    """Hold BLAS to one thread: these matrices are too small to share out, and on a busy machine threads that wait for each other
    make a clip many times slower. The setting is the process's own: of several clips at once the first one holds it.
    """
    from threadpoolctl import threadpool_limits

    limits: contextlib.AbstractContextManager[object] = threadpool_limits(1, "blas")
    return limits


def _overall(stage: str, share: float) -> float:
    """The share of a whole clip that is done: denoising takes most of it, writing the file comes after."""
    start, length = _STAGES.get(stage, (0.0, 0.0))
    return start + length * share


def _failed(work: _Work) -> Failed:
    error = work.error
    assert error is not None
    if work.stop.is_set():
        return cancelled()
    if isinstance(error, VidorchError):
        return Failed(error)
    wrapped = ProviderFailed(
        f"The built-in model failed: {type(error).__name__}: {error}", charged=False, provider=PROVIDER
    )
    wrapped.__cause__ = error
    return Failed(wrapped)


def _pixels(image: Media) -> np.ndarray[Any, Any]:
    from vidorch import media

    return media.load_still(image.path if image.path is not None else image.read())


def _background(image: np.ndarray[Any, Any]) -> str:
    """Say what most of an image of the model's world is: "dark" or "light"."""
    import numpy as np

    return "light" if float(np.median(image)) > 110 else "dark"


def _write(frames: np.ndarray[Any, Any], path: Path) -> None:
    from vidorch import media
    from vidorch_local.mini.model import FPS, upscale

    with _one_thread():
        large = upscale(frames)
    media.write_video(path, large, fps=FPS)
