"""The engine of this process: one thread for each device, a queue that can be seen, one clip at a time."""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from vidorch.errors import ProviderFailed, VidorchError
from vidorch_local.backend import PROVIDER
from vidorch_local.diffusion import placing, running, tuning
from vidorch_local.diffusion.jobs import Job, Made, Stage, State
from vidorch_local.diffusion.shelf import Shelf

__all__ = ["Worker"]

JOIN = 60.0  # seconds that closing waits for a step to end; a thread that takes longer dies with the process
_SHARES: Mapping[Stage, tuple[float, float]] = {
    "queued": (0.0, 0.0), "load": (0.0, 0.0), "encode": (0.05, 0.0), "denoise": (0.1, 0.8), "decode": (0.9, 0.0),
}  # fmt: skip
"""Where each stage begins in a whole clip, and how much of it its steps fill."""


@dataclass(slots=True)
class _Work:
    job: Job
    tell: Callable[[], object]
    queued_at: float
    state: State = field(default_factory=State)
    stop: threading.Event = field(default_factory=threading.Event)
    placement: str = ""
    notes: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)

    def show(self, state: State) -> None:
        """Say where it is; a second try does not take back how far the first one came."""
        self.state = replace(state, fraction=max(state.fraction, self.state.fraction))
        self.tell()


class Worker:
    """Makes clips of jobs on one device, in the order in which they come.

    Args:
        free: bytes of a device that are free now. clock: seconds that only go forward.
    """

    def __init__(
        self,
        device: str,
        *,
        free: Callable[[str], int] = placing.free_memory,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.device = device
        self.shelf = Shelf(device, free)
        self._free, self._clock = free, clock
        self._works: dict[str, _Work] = {}
        self._queue: deque[_Work] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self.closed = False

    # -- called from any thread -------------------------------------------------------------------------------------

    def start(self, job: Job, tell: Callable[[], object]) -> None:
        """Queue a job; the thread is begun with the first one."""
        work = _Work(job, tell, self._clock())
        with self._changed:
            if self.closed:
                raise ProviderFailed(
                    "The client is closed. Nothing was made.", charged=False, provider=PROVIDER
                )
            self._works[job.id] = work
            self._queue.append(work)
            if self._thread is None or not self._thread.is_alive():  # the latter in a child that was forked
                # A daemon: a step can take minutes, and an interpreter that ends waits for no clip that nobody will fetch.
                name = f"vidorch-{self.device}"
                self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
                self._thread.start()
            self._changed.notify_all()
        self._say_places()

    def state(self, job_id: str) -> State | None:
        """How far it is."""
        work = self._works.get(job_id)
        return None if work is None else work.state

    def stop(self, job_id: str) -> None:
        """End it at its next step, or at once while it waits."""
        work = self._works.get(job_id)
        if work is None:
            return
        work.stop.set()
        with self._changed:
            waits = work in self._queue
            if waits:
                self._queue.remove(work)
        if waits:
            self._end(work, _stopped(), stopped=True)
            self._say_places()

    def forget(self, job_id: str) -> None:
        """Let go of an ended job and its frames."""
        self._works.pop(job_id, None)

    def close(self) -> None:
        """Stop everything at its next step, let go of all weights, and wait for that."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
        for job_id in list(self._works):
            self.stop(job_id)
        if self._thread is not None:
            self._thread.join(JOIN)

    # -- on the thread ----------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self.closed)
                if not self._queue:
                    break
                work = self._queue.popleft()
                work.timings["queue"] = self._clock() - work.queued_at
                work.show(State("load", 0.0, None, "load"))
            self._say_places()
            self._carry(work)
        self.shelf.clear()

    def _say_places(self) -> None:
        """Tell those who wait how many are before them; the one at work counts."""
        with self._changed:  # all of it: else one that is taken up meanwhile would be said to wait again
            busy = any(
                one.state.stage != "queued" and one.state.ended is None for one in list(self._works.values())
            )
            for place, work in enumerate(self._queue, start=int(busy)):
                detail = f"queued behind {place}" if place else "queued"
                if work.state.detail != detail:
                    work.show(State(detail=detail))

    def _carry(self, work: _Work) -> None:
        try:
            made = self._made(work)
        except running.Stopped:
            self._end(work, _stopped(), stopped=True)
        except VidorchError as error:
            traceback.clear_frames(error.__traceback__)  # an error that is kept would keep its tensors
            self._end(work, error)
        except Exception as error:
            traceback.clear_frames(error.__traceback__)
            wrapped = ProviderFailed(
                f"{work.job.name} failed: {type(error).__name__}: {error}. Nothing was paid.",
                charged=False,
                provider=PROVIDER,
            )
            wrapped.__cause__ = error
            self._end(work, wrapped)
        else:
            notes = (*work.notes, *made.notes)
            self._end(work, replace(made, timings={**work.timings, **made.timings}, notes=notes))
        keep = work.job.settings.keep_gb
        self.shelf.trim(None if keep is None else keep * 1e9)

    def _made(self, work: _Work) -> Made:
        job = work.job
        need = placing.needs(job.weights, job.found)
        placement = self.shelf.placement_of(job)
        if placement is None:
            in_main = not self.device.startswith("cuda")
            free = self._free(self.device) + self.shelf.held(in_main)
            main = None if in_main else self._free("cpu") + self.shelf.held(True)
            placement = placing.choose(self.device, free, need, wanted=job.settings.placement, free_main=main)
        made = self._attempt(work, placement, need)
        if made is not None:
            return made
        less = placing.cheaper(placement, self.device, need)
        if less is not None:
            work.notes.append(
                f"Memory ran out with the weights as {placement}, so they were placed as {less}."
            )
            made = self._attempt(work, less, need)
            if made is not None:
                return made
        raise self._too_large(work, placement, less, need)

    def _attempt(self, work: _Work, placement: str, need: Mapping[str, int]) -> Made | None:
        """The clip; None when memory ran out, and then all that was taken for it is free again."""
        job, work.placement = work.job, placement
        pipe = None
        try:
            if work.stop.is_set():
                raise running.Stopped
            work.show(State("load", 0.0, None, f"load, {placement}"))
            began = self._clock()
            pipe = self.shelf.take(job, placement, need)
            notes = tuning.settle(pipe, job, placement)
            work.timings["load"] = work.timings.get("load", 0.0) + self._clock() - began
            made = running.run(
                pipe,
                job,
                tell=lambda *told: self._progress(work, *told),
                should_stop=work.stop.is_set,
                clock=self._clock,
            )
        except Exception as error:
            if tuning.was_compiling(error) and tuning.uncompiled(pipe):
                why = str(error).strip().partition("\n")[0]
                work.notes.append(f"Made without compiled blocks, for torch could not compile them: {why}")
                work.job = replace(job, settings=replace(job.settings, compile=False))
                return self._attempt(work, placement, need)
            if not placing.is_out_of_memory(error):
                raise
            traceback.clear_frames(error.__traceback__)  # they hold the tensors that there was no room for
        else:
            return replace(
                made,
                notes=(f"Made on {self.device}, the weights placed as {placement}.", *notes, *made.notes),
            )
        pipe = None
        self.shelf.clear()
        return None

    def _too_large(
        self, work: _Work, first: str, then: str | None, need: Mapping[str, int]
    ) -> ProviderFailed:
        last = then or first
        tried = f"{first}, then {then}" if then else first
        left = placing.cheaper(last, self.device, need)
        other = f', or extra={{"local": {{"placement": "{left}"}}}}' if left else ""
        return ProviderFailed(
            f"{work.job.name} ran out of memory on {self.device} at {running.settings_said(work.job.call)}, with the weights "
            f"placed as {tried}. Nothing was made, and nothing was paid.", charged=False, provider=PROVIDER,
            hint=f"A smaller size or a shorter clip may fit{other}.",
        )  # fmt: skip

    def _progress(self, work: _Work, stage: Stage, done: int, total: int, left: float | None) -> None:
        start, length = _SHARES[stage]
        share = done / total if total and stage == "denoise" else 0.0
        steps = f" {done}/{total}" if total and stage == "denoise" else ""
        work.show(State(stage, start + length * share, left, f"{stage}{steps}, {work.placement}"))

    def _end(self, work: _Work, how: Made | VidorchError, *, stopped: bool = False) -> None:
        work.show(replace(work.state, ended=how, stopped=stopped, fraction=1.0))


def _stopped() -> ProviderFailed:
    return ProviderFailed("The job was cancelled.", charged=False, provider=PROVIDER)
