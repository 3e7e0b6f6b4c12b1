"""The engine of an endpoint with workers on Ray: one queue here, and for each worker a thread that gives it one clip at a time.

Whether a clip is begun again is decided here alone: actors are made without restarts and their calls without retries.
"""

from __future__ import annotations

import atexit
import os
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from vidorch.errors import ProviderFailed, VidorchError
from vidorch_local.backend import PROVIDER
from vidorch_local.diffusion.jobs import Job, Made, State
from vidorch_local.diffusion.pool.hiring import Hiring
from vidorch_local.diffusion.pool.maker import Maker
from vidorch_local.diffusion.pool.options import ClusterOptions
from vidorch_local.diffusion.pool.talking import Line, Lost

__all__ = ["Pool"]

JOIN = 20.0  # seconds that closing waits for its threads; workers are ended at once
LOOK = 1.0  # seconds between two looks at whether a worker that is still to come is wanted any more


@dataclass(slots=True)
class _Work:
    job: Job
    tell: Callable[[], object]
    queued_at: float
    state: State = field(default_factory=State)
    line: Line | None = None
    stopping: bool = False
    lost: list[str] = field(default_factory=list)
    lost_seconds: float = 0.0

    def show(self, state: State) -> None:
        self.state = state
        self.tell()


@dataclass(slots=True)
class _Seat:
    """The place of one worker.

    Attributes:
        line: to the worker that sits there. at_work: on which clip. coming: whether one is awaited.
        rests_until: how many clips have to have come before another one is tried here; the last one could not start.
    """

    line: Line | None = None
    at_work: _Work | None = None
    coming: bool = False
    rests_until: int = 0


class Pool:
    """Makes clips of jobs on the workers of a cluster, in the order in which they come.

    Args:
        options: of the cluster. endpoint: its name, for messages. device: as the endpoint says it.
        maker: what each actor is. clock: seconds that only go forward.
    """

    def __init__(
        self,
        options: ClusterOptions,
        endpoint: str,
        device: str | None = None,
        *,
        maker: type[Maker] = Maker,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._repeats, self._endpoint, self._clock = options.repeats, endpoint, clock
        self._hiring = Hiring(options, endpoint, device, maker, clock)
        self._works: dict[str, _Work] = {}
        self._queue: deque[_Work] = deque()
        self._changed = threading.Condition()
        self._seats: list[_Seat] = []
        self._threads: list[threading.Thread] = []
        self._arrivals = 0
        self._closed = False
        self._process = os.getpid()

    # -- called from any thread -------------------------------------------------------------------------------------

    def start(self, job: Job, tell: Callable[[], object]) -> None:
        """Queue a job; the cluster is joined with the first one, and workers come as they are needed."""
        work = _Work(job, tell, self._clock())
        with self._changed:
            if self._closed:
                raise ProviderFailed(
                    "The client is closed. Nothing was made.", charged=False, provider=PROVIDER
                )
            self._works[job.id] = work
            self._queue.append(work)
            self._arrivals += 1
            if not self._seats:
                self._add_seat()
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
        with self._changed:
            work.stopping = True
            waits, line = work in self._queue, work.line
            if waits:
                self._queue.remove(work)
        if waits:
            self._end(work, _stopped(), stopped=True)
            self._say_places()
        elif line is not None:
            line.stop(job_id)

    def forget(self, job_id: str) -> None:
        """Let go of an ended job and its frames."""
        self._works.pop(job_id, None)

    def close(self) -> None:
        """End every worker at once, and what they are at with them, and leave the cluster."""
        if os.getpid() != self._process:  # in a fork: neither its threads nor its workers are ours
            return
        with self._changed:
            self._closed = True
            lines = [seat.line for seat in self._seats if seat.line is not None]
            self._changed.notify_all()
        for job_id in list(self._works):
            self.stop(job_id)
        for line in lines:
            line.kill()
        for thread in list(self._threads):
            thread.join(JOIN)
        self._hiring.leave()
        _open.discard(self)

    # -- on the threads ---------------------------------------------------------------------------------------------

    def _add_seat(self) -> None:
        seat = _Seat()
        self._seats.append(seat)
        name = f"vidorch-{self._endpoint}-{len(self._seats)}"
        # A daemon: an interpreter that ends waits for no clip that nobody will fetch.
        thread = threading.Thread(target=self._serve, args=(seat,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self, seat: _Seat) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._is_wanted(seat))
                if self._closed:
                    break
                seat.coming = seat.line is None
            if seat.line is None:
                self._seat(seat)
                continue
            with self._changed:
                work = self._queue.popleft() if self._queue else None
                if work is None:
                    continue
                work.line, seat.at_work = seat.line, work
            self._say_places()
            self._carry(work, seat)
            with self._changed:
                seat.at_work = None
            self._say_places()
        if seat.line is not None:
            seat.line.kill()

    def _is_wanted(self, seat: _Seat) -> bool:
        """Whether there is a clip for this place: a worker takes the next one, and another comes only where none is idle."""
        if not self._queue or seat.line is not None:
            return bool(self._queue)
        ready = sum(
            one.at_work is None and (one.line is not None or one.coming)
            for one in self._seats
            if one is not seat
        )
        return len(self._queue) > ready and self._arrivals > seat.rests_until

    def _seat(self, seat: _Seat) -> None:
        """Have a worker come. Where none can, the clip that waits longest ends with the reason, unless others will take it."""
        self._say_places()
        error: VidorchError | None = None
        line: Line | None = None
        try:
            count = self._hiring.join()
            _close_at_exit(self)
            with self._changed:
                for _ in range(len(self._seats), count):
                    self._add_seat()
            line = self._hiring.hire(lambda: self._closed)
        except VidorchError as one:
            error = one
        except Exception as other:
            error = ProviderFailed(
                f"A worker of the endpoint {self._endpoint} could not start: {type(other).__name__}: {other}. Nothing was made.",
                charged=False, provider=PROVIDER,
            )  # fmt: skip
        with self._changed:
            seat.coming, seat.line = False, line
            failed = None
            if error is not None:
                seat.rests_until = self._arrivals
                if not any(one.line is not None or one.coming for one in self._seats):
                    failed = self._queue.popleft() if self._queue else None
                    seat.rests_until -= bool(
                        self._queue
                    )  # the next one may have better luck, or the same answer
            self._changed.notify_all()
        if failed is not None and error is not None:
            self._end(failed, error)
        self._say_places()

    # -- one clip ---------------------------------------------------------------------------------------------------

    def _carry(self, work: _Work, seat: _Seat) -> None:
        line = seat.line
        assert line is not None
        began = self._clock()
        try:
            state = self._made(work, line)
        except Lost as lost:
            with self._changed:
                seat.line, work.line = None, None
            line.kill()
            self._again(work, str(lost), self._clock() - began)
        except Exception as error:
            wrapped = ProviderFailed(
                f"{work.job.name} failed on Ray: {type(error).__name__}: {error}. Nothing was paid.",
                charged=False, provider=PROVIDER,
            )  # fmt: skip
            wrapped.__cause__ = error
            self._end(work, wrapped)
        else:
            if isinstance(state.ended, Made):
                state = replace(state, ended=self._told(work, state.ended, line, began))
            work.show(state)

    def _made(self, work: _Work, line: Line) -> State:
        """The end of a clip."""
        job, seen = work.job, 0
        line.start(job, socket.gethostname())
        if work.stopping:
            line.stop(job.id)
        while True:
            news = line.news(job.id, seen)
            if news.state is None:
                raise Lost(f"the worker on node {line.node} does not know the clip any more")
            if news.state.ended is not None:
                break
            if news.count != seen:
                seen = news.count
                if news.state.stage != "queued":
                    work.show(replace(news.state, detail=f"{news.state.detail}, on {line.node}"))
        ended = news.state.ended
        if isinstance(ended, Made):
            ended = replace(ended, frames=line.frames(job.id, news.shape))
        line.forget(job.id)
        return replace(news.state, ended=ended)

    def _again(self, work: _Work, why: str, seconds: float) -> None:
        """The worker is gone: put the clip at the head of the queue, unless that was tried often enough."""
        work.lost.append(why)
        work.lost_seconds += seconds
        with self._changed:
            is_over, too_often = self._closed or work.stopping, len(work.lost) > self._repeats
            if not is_over and not too_often:
                self._queue.appendleft(work)
                self._arrivals += 1
                # No place in the queue any more: hardware has worked for it, and its hours count from when that began.
                work.show(State("load", detail="queued again: its worker is gone"))
                self._changed.notify_all()
        if is_over:
            self._end(work, _stopped(), stopped=True)
        elif too_often:
            times = f"{len(work.lost)} times" if len(work.lost) > 1 else "once"
            self._end(work, ProviderFailed(
                f"{work.job.name} lost its worker {times}: {'; '.join(work.lost)}. Nothing was made, and nothing was paid.",
                charged=False, provider=PROVIDER,
                hint="A worker that is ended at the same clip again ran out of memory most of the time: see `ray status` and the "
                "logs of its node. A smaller size, or `repeats` of the endpoint, may do.",
            ))  # fmt: skip

    def _told(self, work: _Work, made: Made, line: Line, began: float) -> Made:
        notes = [f"Made by a worker on node {line.node}."]
        timings = {**made.timings, "queue": began - work.queued_at - work.lost_seconds}
        for why in work.lost:
            notes.append(f"It was begun again: {why}.")
        if work.lost:
            timings["lost"] = work.lost_seconds
            notes.append(
                f"What was lost took {work.lost_seconds:.1f} s of a worker, which count as time of your own hardware."
            )
        return replace(made, timings=timings, notes=(*notes, *made.notes))

    def _say_places(self) -> None:
        """Tell those who wait how many are before them; those at work count."""
        with self._changed:
            waiting = list(self._queue)
            busy = sum(seat.at_work is not None for seat in self._seats)
            coming = any(seat.coming for seat in self._seats)
            for place, work in enumerate(waiting):
                before = place + busy
                detail = f"queued behind {before}" if before else "queued"
                if coming and not place:
                    detail = "queued, a worker is starting"
                if work.lost:
                    detail = f"{detail}, again: its worker is gone"
                if work.state.ended is None and work.state.detail != detail:
                    work.show(State("load" if work.lost else "queued", detail=detail))

    def _end(self, work: _Work, how: VidorchError, *, stopped: bool = False) -> None:
        work.show(replace(work.state, ended=how, stopped=stopped, fraction=1.0))


_open: weakref.WeakSet[Pool] = weakref.WeakSet()


def _close_at_exit(pool: Pool) -> None:
    """Once it has joined a cluster: what is registered after Ray's own end runs before that."""
    _open.add(pool)
    atexit.unregister(_close_all)
    atexit.register(_close_all)


def _close_all() -> None:
    for pool in list(_open):
        pool.close()


def _stopped() -> ProviderFailed:
    return ProviderFailed("The job was cancelled.", charged=False, provider=PROVIDER)
