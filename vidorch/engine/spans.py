"""Spans and metrics by OpenTelemetry's API (https://opentelemetry.io/docs/specs/otel/); its SDK and exporters are the user's.

Attributes are those of the conventions for generative AI where there are such
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/); `gen_ai.system` is what `gen_ai.provider.name`
was called until 1.37, and what many still look for. No prompt unless asked for, no words of a vendor (they may repeat it), no
media, no URL.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import queue
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

from vidorch import __version__
from vidorch.contract import Clock
from vidorch.engine.telemetry import JobSpan, RunSpan, Telemetry
from vidorch.ledger.moves import ENDS, State
from vidorch.result import Job, Result

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span

__all__ = ["Recorder"]

log = logging.getLogger("vidorch.telemetry")

MOST_WAITING = 4096
"""Ended spans that wait for an exporter; of more than that, the newest are dropped."""
LAST_WORDS = 2.0
"""Seconds that a client which is closed waits for them."""
SECONDS = (1, 2, 5, 10, 20, 30, 45, 60, 90, 120, 180, 240, 300, 450, 600, 900, 1800, 3600, 7200)
DOLLARS = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 20, 50)
PARTS = (0.0, 0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5)
"""Bounds of the histograms: OpenTelemetry's own are for milliseconds."""
OPERATION = "generate_content"
_SYSTEMS = {"gemini": "gcp.gemini", "vertex": "gcp.vertex_ai"}
"""Providers that the conventions have another name for."""
_FIRST = ("endpoint", "id", "run_id", "scope", "candidate", "provider", "model", "task")

P = ParamSpec("P")
T = TypeVar("T")


class _Fallible(Protocol):
    def failed(self, error: Exception) -> None: ...


S = TypeVar("S", bound=_Fallible)


def harmless(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T | None]:
    """The method, giving None where it would raise: an SDK, its sampler and its processors are anybody's code."""

    def guarded(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            self.failed(error)
            return None

    functools.update_wrapper(guarded, method)
    return guarded


class Recorder(Telemetry):
    """Tells OpenTelemetry what one client does.

    Args:
        prompts: whether spans of jobs bear the prompt.

    Raises:
        ImportError: the package is missing.
    """

    def __init__(self, clock: Clock, *, prompts: bool) -> None:
        from opentelemetry import metrics, trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self.api = trace
        self.tracer = trace.get_tracer("vidorch", __version__)
        self.clock = clock
        self.prompts = prompts
        self._words = TraceContextTextMapPropagator()
        self._exit = _Exit(self.failed)
        self._warned = False
        meter = metrics.get_meter("vidorch", __version__)
        self.open = meter.create_up_down_counter(
            "vidorch.job.open", "{job}", "Jobs that this process carries and that are not over"
        )
        self.unknown = meter.create_counter(
            "vidorch.job.unknown", "{job}", "Submits of which nobody knows whether the vendor took them"
        )
        self.duration = meter.create_histogram(
            "vidorch.job.duration", "s", "From when a job is written down to its end",
            explicit_bucket_boundaries_advisory=SECONDS,
        )  # fmt: skip
        self.cost = meter.create_histogram(
            "vidorch.job.cost", "USD", "What a job cost in money", explicit_bucket_boundaries_advisory=DOLLARS
        )
        self.estimate_error = meter.create_histogram(
            "vidorch.job.estimate_error", "1", "How far the cost of a job is from its estimate, as a part of that",
            explicit_bucket_boundaries_advisory=PARTS,
        )  # fmt: skip

    # -- what the engine calls ----------------------------------------------------------------------------------------

    def here(self) -> str | None:
        return self.place(None)

    def run(
        self, run_id: str, scope: str, candidates: int, at: float, *, before: str | None = None
    ) -> RunSpan:
        try:
            attributes: dict[str, str | int] = {
                "vidorch.run_id": run_id, "vidorch.scope": scope, "vidorch.candidates": candidates,
            }  # fmt: skip
            span = self.tracer.start_span(
                "vidorch.generate",
                attributes=attributes,
                links=self.links(before),
                start_time=_nanoseconds(at),
            )
            return _Run(self, span)
        except Exception as error:
            self.failed(error)
            return RunSpan()

    @harmless
    def by_hand(self, verb: str, before: Job, after: Job) -> None:
        """A span of its own, linked to the job's; it counts where the job had no end before."""
        known = {
            **_first_attributes({name: getattr(after, name) for name in _FIRST}),
            **_last_attributes(after, prompt=False),
        }
        span = self.tracer.start_span(
            f"vidorch.{verb}", None, self.api.SpanKind.INTERNAL, known, self.links(before.trace), self.now()
        )  # fmt: skip
        if before.state not in ENDS and after.state in ENDS:
            self.count(after)
        self.end(span, self.now())

    def count(self, job: Job) -> None:
        """What is measured of a job that has ended."""
        few = {**_few(job), "vidorch.state": str(job.state)}
        ended = job.updated_at if job.ended_at is None else job.ended_at
        self.duration.record(max(0.0, ended - job.created_at), few)
        if job.cost is None or not job.billed:
            return
        self.cost.record(float(job.cost), few)
        if job.state == State.SETTLED and job.estimate > 0 and job.cost_basis != "assumed":
            side = "over" if job.cost > job.estimate else "under" if job.cost < job.estimate else "exact"
            far = float(abs(job.cost - job.estimate) / job.estimate)
            self.estimate_error.record(far, {**few, "vidorch.side": side})

    async def aclose(self) -> None:
        await self._exit.aclose()

    # -- what runs and jobs share -------------------------------------------------------------------------------------

    @harmless
    def place(self, context: Context | None) -> str | None:
        """The `traceparent` of a context, or of the caller's own."""
        carrier: dict[str, str] = {}
        self._words.inject(carrier, context)
        return carrier.get("traceparent")

    def links(self, traceparent: str | None) -> list[Link]:
        """A link to what was written down; none where that is nothing, or no `traceparent`."""
        if not traceparent:
            return []
        found = self.api.get_current_span(self._words.extract({"traceparent": traceparent}, _nowhere()))
        there = found.get_span_context()
        return [self.api.Link(there)] if there.is_valid else []

    def end(self, span: Span, at: int) -> None:
        """End a span on the thread that may wait for its exporter."""
        if span.is_recording():
            self._exit.put(functools.partial(span.end, at))

    def fail(self, span: Span, kind: str) -> None:
        """Mark a span as one that went wrong, without any words on it."""
        span.set_attribute("error.type", kind)
        span.set_status(self.api.Status(self.api.StatusCode.ERROR))

    def now(self) -> int:
        """Nanoseconds since 1970, on the engine's clock."""
        return _nanoseconds(self.clock.now())

    def failed(self, error: Exception) -> None:
        """Say once that something is wrong with the watching, which hurts nothing but the watching."""
        if not self._warned:
            self._warned = True
            log.warning(
                "OpenTelemetry raised %s; nothing but spans and metrics is hurt.", type(error).__name__
            )


class _Run(RunSpan):
    def __init__(self, recorder: Recorder, span: Span) -> None:
        self._recorder = recorder
        self._span = span
        self._inside = recorder.api.set_span_in_context(span, _nowhere())
        self._begun: dict[str, Span] = {}
        self._is_over = False
        self.failed = recorder.failed
        self.trace = recorder.place(self._inside)

    @harmless
    def job(self, row: Mapping[str, Any]) -> str | None:
        span = self._start(row, None, row["created_at"])
        self._begun[row["id"]] = span
        return self._recorder.place(self._recorder.api.set_span_in_context(span, _nowhere()))

    def drives(self, job: Job) -> JobSpan:
        try:
            span = self._begun.pop(job.id, None)
            if span is None:
                row = {name: getattr(job, name) for name in _FIRST}
                span = self._start(row, job.trace, self._recorder.clock.now())
            return _Job(self._recorder, span, job)
        except Exception as error:
            self.failed(error)
            return JobSpan()

    @harmless
    def end(self, result: Result | None = None, error: BaseException | None = None) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._begun.clear()
        span, at = self._span, self._recorder.now()
        if result is not None:
            span.set_attributes({"vidorch.cost": float(result.cost), "vidorch.clips": len(result.candidates)})
        elif error is not None:
            self._recorder.fail(span, type(error).__name__)
        else:
            span.add_event("vidorch.let_go", timestamp=at)
        self._recorder.end(span, at)

    def _start(self, row: Mapping[str, Any], before: str | None, at: float) -> Span:
        recorder = self._recorder
        return recorder.tracer.start_span(
            f"{OPERATION} {row['model']}", self._inside, recorder.api.SpanKind.CLIENT, _first_attributes(row),
            recorder.links(before), _nanoseconds(at),
        )  # fmt: skip


class _Job(JobSpan):
    def __init__(self, recorder: Recorder, span: Span, job: Job) -> None:
        self._recorder = recorder
        self._span = span
        self._inside = recorder.api.set_span_in_context(span, _nowhere())
        self._since = recorder.now()
        self._stage: tuple[str, int, int] | None = None
        """The newest, and when it began and ended: it is told once another one follows, for it may come in parts."""
        self._is_over = False
        self.failed = recorder.failed
        self._few = _few(job)
        recorder.open.add(1, self._few)

    @harmless
    def lap(self, stage: str) -> None:
        now, before = self._recorder.now(), self._stage
        if before is not None and before[0] != stage:
            self._tell_stage(before)
            before = None
        self._stage = stage, self._since if before is None else before[1], now
        self._since = now

    def _tell_stage(self, stage: tuple[str, int, int]) -> None:
        name, began, ended = stage
        if self._span.is_recording():
            part = self._recorder.tracer.start_span(f"vidorch.{name}", self._inside, start_time=began)
            self._recorder.end(part, ended)

    @harmless
    def moved(self, job: Job) -> None:
        self._span.add_event(f"vidorch.{job.state}", timestamp=_nanoseconds(job.updated_at))
        if job.state == State.UNKNOWN:
            self._recorder.unknown.add(1, self._few)
        elif job.state in ENDS and not self._is_over:
            self.end(job)
            self._recorder.count(job)

    @harmless
    def end(self, job: Job, error: BaseException | None = None) -> None:
        if self._is_over:
            return
        self._is_over = True
        recorder, span = self._recorder, self._span
        recorder.open.add(-1, self._few)
        if not span.is_recording():
            return
        if self._stage is not None:
            self._tell_stage(self._stage)
        span.set_attributes(_last_attributes(job, prompt=recorder.prompts))
        kind = type(error).__name__ if error is not None else job.error
        if kind is not None or job.state in (State.LOST, State.UNKNOWN):
            recorder.fail(span, kind or str(job.state))
        over = job.state in ENDS and job.ended_at is not None
        recorder.end(span, max(_nanoseconds(job.ended_at), self._since) if over else recorder.now())


class _Exit:
    """Calls what may take long on a thread of its own, in order: an exporter may be called at the end of each span, and hang."""

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed
        self._waiting: queue.Queue[Callable[[], object] | None] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None

    def put(self, call: Callable[[], object]) -> None:
        """Have it called soon, by somebody who has the time.

        Raises:
            queue.Full: too many wait.
        """
        self._waiting.put_nowait(call)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="vidorch-telemetry", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while (call := self._waiting.get()) is not None:
            try:
                call()
            except Exception as error:
                self._failed(error)

    async def aclose(self) -> None:
        """Wait a moment until all has been called, and let the thread end."""
        if self._thread is None:
            return
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        try:
            self._waiting.put_nowait(lambda: loop.call_soon_threadsafe(done.cancel))
            self._waiting.put_nowait(None)
        except queue.Full:
            return
        self._thread = None
        await asyncio.wait([done], timeout=LAST_WORDS)


def _few(job: Job) -> dict[str, str]:
    """What a measurement is told apart by: few values each."""
    return {"vidorch.endpoint": job.endpoint, "gen_ai.request.model": job.model, "vidorch.task": job.task}


def _nanoseconds(seconds: float | None) -> int:
    return int((seconds or 0.0) * 1e9)


def _nowhere() -> Context:
    from opentelemetry.context import Context

    return Context()


def _first_attributes(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a job as it begins: what a sampler may decide by."""
    system = _SYSTEMS.get(row["provider"], row["provider"])
    return {
        "gen_ai.operation.name": OPERATION, "gen_ai.provider.name": system, "gen_ai.system": system,
        "gen_ai.request.model": row["model"], "gen_ai.output.type": "image" if row["task"] == "image" else "video",
        "vidorch.endpoint": row["endpoint"], "vidorch.task": row["task"], "vidorch.run_id": row["run_id"],
        "vidorch.job_id": row["id"], "vidorch.scope": row["scope"], "vidorch.candidate": row["candidate"],
    }  # fmt: skip


def _last_attributes(job: Job, *, prompt: bool) -> dict[str, Any]:
    """What is known of a job when it is over, or let go of. What nobody knows is left out."""
    asked = job.settings.get("prompt") if prompt else None
    message = {"role": "user", "parts": [{"type": "text", "content": asked}]}
    known = {
        "vidorch.state": str(job.state), "vidorch.polls": job.polls, "vidorch.billed": job.billed,
        "vidorch.estimate": float(job.estimate), "vidorch.cost": None if job.cost is None else float(job.cost),
        "vidorch.cost_basis": job.cost_basis, "vidorch.charged": job.charged, "gen_ai.request.seed": job.seed,
        "gen_ai.request.choice.count": job.samples if job.samples > 1 else None,
        "gen_ai.response.id": (job.remote_id or "").partition("?")[0] or None,
        "gen_ai.input.messages": json.dumps([message], ensure_ascii=False) if asked else None,
    }  # fmt: skip
    return {name: value for name, value in known.items() if value is not None}
