"""What OpenTelemetry is told of runs and jobs, and that nobody who watches can hurt what is watched."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from tests.engine.scripted import Scripted, VirtualClock, catalog, offer, paid
from tests.engine.test_promises import (
    FAILED,
    LOST,
    Anything,
    Make,
    generate,
    jobs_of,
    one_by_one,
    rejected,
    run,
)
from vidorch import Client
from vidorch.client.aio import AsyncClient
from vidorch.contract import Accepted, Done, Output, Progress
from vidorch.engine.telemetry import Telemetry
from vidorch.errors import InvalidRequest, ProviderFailed, SubmissionUnknown

DONE = Done((Output(0, "r"),))
ENDLESS = [Progress("running", 0.1)]


class Watched:
    """An SDK in this process's memory."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """What has ended, in that order."""
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        """The ended spans whose names begin so."""
        return [span for span in self.spans if span.name.startswith(name)]

    @property
    def jobs(self) -> list[ReadableSpan]:
        return self.named("generate_content ")

    @property
    def runs(self) -> list[ReadableSpan]:
        return self.named("vidorch.generate")

    def points(self, name: str) -> list[Any]:
        """The data points of a metric."""
        data = self.reader.get_metrics_data()
        found = [
            metric.data.data_points
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]
        return list(found[0]) if found else []


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """The SDK that clients find in this test."""
    sdk = Watched()
    monkeypatch.setattr(trace, "get_tracer", sdk.tracers.get_tracer)
    monkeypatch.setattr(metrics, "get_meter", sdk.meters.get_meter)
    yield sdk
    sdk.tracers.shutdown()
    sdk.meters.shutdown()


def traceparent(span: ReadableSpan) -> str:
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def rows_of(client: AsyncClient, table: str) -> Any:
    async def read(opened: AsyncClient) -> list[Any]:
        await opened.jobs()
        store = opened._opened_ledger()._store
        return store.read(lambda db: db.raw.execute(f"SELECT trace FROM {table}").fetchall())

    return [trace for (trace,) in run(client, read)]


def begun_and_let_go(client: AsyncClient, provider: Scripted) -> None:
    """A client submits, and is closed while the vendor is at work."""
    provider.polls = list(ENDLESS)
    run(client, lambda c: c.submit("x", model="test/basic", key="k"))
    provider._left = Anything([DONE])


class TestSpansOfRuns:
    def test_begin_in_the_callers_context(self, client_of: Make, watched: Watched) -> None:
        """So that a clip is found in the trace of whoever wanted it."""
        with watched.tracers.get_tracer("caller").start_as_current_span("order") as order:
            generate(client_of(paid()))
        assert [order.get_span_context().span_id] == [parent_of(span) for span in watched.runs]

    def test_of_the_blocking_client_too(self, tmp_path: Path, provider: Scripted, watched: Watched) -> None:
        """Its work is done on another thread, and belongs to the caller all the same."""
        with (
            watched.tracers.get_tracer("caller").start_as_current_span("order") as order,
            Client(
                home=tmp_path, catalog=catalog(paid()), providers={"test": provider}, clock=VirtualClock()
            ) as client,
        ):
            client.generate("x", model="test/basic")
        assert [order.get_span_context().span_id] == [parent_of(span) for span in watched.runs]

    def test_say_what_came_of_it(self, client_of: Make, watched: Watched) -> None:
        """Its id, its scope, and what it cost."""
        result = generate(client_of(paid()), candidates=2, scope="tenant-a")
        (span,) = watched.runs
        assert {
            "vidorch.run_id": result.run_id, "vidorch.scope": "tenant-a", "vidorch.candidates": 2, "vidorch.cost": 2.0,
            "vidorch.clips": 2,
        } == dict(span.attributes or {})  # fmt: skip

    def test_say_what_went_wrong(self, client_of: Make, provider: Scripted, watched: Watched) -> None:
        """By the class of the error that its caller got."""
        provider.polls = FAILED
        with pytest.raises(ProviderFailed):
            generate(client_of(paid()))
        (span,) = watched.runs
        assert ("ProviderFailed", StatusCode.ERROR) == (
            (span.attributes or {})["error.type"],
            span.status.status_code,
        )

    def test_are_written_down(self, client_of: Make, watched: Watched) -> None:
        """In the ledger, for whoever goes on with it."""
        generate(client_of(paid()))
        assert [traceparent(span) for span in watched.runs] == rows_of(client_of(paid()), "runs")

    def test_one_that_was_refused_has_none(self, client_of: Make, watched: Watched) -> None:
        """Nothing began."""
        with pytest.raises(Exception, match="max_cost"):
            generate(client_of(paid()), max_cost="0.10")
        assert [] == list(watched.spans)

    def test_a_batch_is_written_down_where_its_caller_is(self, client_of: Make, watched: Watched) -> None:
        """Its lines are runs in that same context."""

        async def go(client: AsyncClient) -> None:
            await client.generate_many(["x", "y"], model="test/basic")

        with watched.tracers.get_tracer("caller").start_as_current_span("order") as order:
            run(client_of(paid()), go)
        (ended,) = watched.named("order")
        assert traceparent(ended) in rows_of(client_of(paid()), "runs")
        assert {order.get_span_context().span_id} == {parent_of(span) for span in watched.runs}


class TestSpansOfJobs:
    def test_say_what_was_asked_and_what_came(self, client_of: Make, watched: Watched) -> None:
        """In the words of the conventions where there are such."""
        generate(client_of(paid()), seed=7)
        (job,) = jobs_of(client_of(paid()))
        (span,) = watched.jobs
        assert ("generate_content basic", SpanKind.CLIENT) == (span.name, span.kind)
        assert {
            "gen_ai.operation.name": "generate_content", "gen_ai.provider.name": "test", "gen_ai.system": "test",
            "gen_ai.request.model": "basic", "gen_ai.output.type": "video", "gen_ai.request.seed": 7,
            "gen_ai.response.id": job.remote_id, "vidorch.endpoint": "test", "vidorch.task": "text-to-video",
            "vidorch.run_id": job.run_id, "vidorch.job_id": job.id, "vidorch.scope": "default", "vidorch.candidate": 0,
            "vidorch.state": "settled", "vidorch.polls": 2, "vidorch.billed": True, "vidorch.estimate": 1.0,
            "vidorch.cost": 1.0, "vidorch.cost_basis": "computed", "vidorch.charged": True,
        } == dict(span.attributes or {})  # fmt: skip

    def test_are_parts_of_their_run(self, client_of: Make, watched: Watched) -> None:
        """One for each submit."""
        generate(client_of(paid()), candidates=3)
        (whole,) = watched.runs
        assert [whole.context.span_id] * 3 == [parent_of(span) for span in watched.jobs]

    def test_last_from_when_it_is_written_down_to_its_end(self, client_of: Make, watched: Watched) -> None:
        """By the clock of the engine."""
        generate(client_of(paid()))
        (job,), (span,) = jobs_of(client_of(paid())), watched.jobs
        assert [job.created_at, job.ended_at] == pytest.approx(
            [_seconds(span.start_time), _seconds(span.end_time)]
        )

    def test_have_the_stages_as_parts(self, client_of: Make, watched: Watched) -> None:
        """One after the other, as long as the ledger says that they took."""
        generate(client_of(paid()))
        (job,), (span,) = jobs_of(client_of(paid())), watched.jobs
        parts = [one for one in watched.spans if parent_of(one) == span.context.span_id]
        took = {
            one.name.removeprefix("vidorch."): _seconds(one.end_time) - _seconds(one.start_time)
            for one in parts
        }
        assert ["upload", "wait", "queue", "run", "download"] == list(took)
        assert pytest.approx({name: getattr(job.timings, name) for name in took}, abs=1e-3) == took

    def test_have_the_moves_as_events(self, client_of: Make, watched: Watched) -> None:
        """Those of the table, in order."""
        generate(client_of(paid()))
        (span,) = watched.jobs
        moves = ("uploading", "sending", "accepted", "running", "downloading", "settled")
        assert [f"vidorch.{state}" for state in moves] == [event.name for event in span.events]

    def test_are_written_down(self, client_of: Make, watched: Watched) -> None:
        """With the job, before anything is sent."""
        generate(client_of(paid()))
        assert [traceparent(span) for span in watched.jobs] == [
            job.trace for job in jobs_of(client_of(paid()))
        ]

    def test_say_what_went_wrong(self, client_of: Make, provider: Scripted, watched: Watched) -> None:
        """By class alone: a vendor's own words may repeat the prompt."""
        provider.polls = FAILED
        with pytest.raises(ProviderFailed):
            generate(client_of(paid()))
        (span,) = watched.jobs
        assert ("ProviderFailed", "failed", None) == (
            (span.attributes or {})["error.type"],
            (span.attributes or {})["vidorch.state"],
            span.status.description,
        )

    def test_of_a_submit_that_nobody_knows_of(
        self, client_of: Make, provider: Scripted, watched: Watched
    ) -> None:
        """Is let go of as unknown, and an error."""
        provider.on_submit = one_by_one(LOST)
        with pytest.raises(SubmissionUnknown):
            generate(client_of(paid()))
        (span,) = watched.jobs
        assert ("unknown", StatusCode.ERROR) == (
            (span.attributes or {})["vidorch.state"],
            span.status.status_code,
        )

    def test_a_submit_that_goes_again_is_another(
        self, client_of: Make, provider: Scripted, watched: Watched
    ) -> None:
        """As it is another job."""
        provider.on_submit = one_by_one(rejected(1.0), None)
        generate(client_of(paid()))
        assert ["rejected", "settled"] == [(span.attributes or {})["vidorch.state"] for span in watched.jobs]


class TestAnotherProcess:
    """What one client began and another brings home."""

    def test_is_linked_to_where_it_was_begun(
        self, client_of: Make, provider: Scripted, watched: Watched
    ) -> None:
        """The job, by what is written down with it, and the run as well; each is a span of its own."""
        begun_and_let_go(client_of(paid()), provider)
        (first_job,), (first_run,) = watched.jobs, watched.runs
        watched.exporter.clear()

        async def go(client: AsyncClient) -> None:
            (resumed,) = await client.resume()
            await resumed.wait()

        run(client_of(paid()), go)
        (job,), (whole,) = watched.jobs, watched.runs
        assert [first_job.context.span_id] == [link.context.span_id for link in job.links]
        assert [first_run.context.span_id] == [link.context.span_id for link in whole.links]
        assert "settled" == (job.attributes or {})["vidorch.state"]

    def test_a_call_that_joins_it_has_it_in_its_own_trace(
        self, client_of: Make, provider: Scripted, watched: Watched
    ) -> None:
        """And the link leads to the one that began it."""
        begun_and_let_go(client_of(paid()), provider)
        watched.exporter.clear()
        with watched.tracers.get_tracer("caller").start_as_current_span("again") as again:
            generate(client_of(paid()), key="k")
        (job,) = watched.jobs
        assert again.get_span_context().trace_id == job.context.trace_id != job.links[0].context.trace_id

    def test_what_was_let_go_of_says_so(self, client_of: Make, provider: Scripted, watched: Watched) -> None:
        """The job is where it was, without an error, and its run has no end."""
        begun_and_let_go(client_of(paid()), provider)
        (job,), (whole,) = watched.jobs, watched.runs
        assert ("vidorch.let_go", StatusCode.UNSET) == (whole.events[-1].name, job.status.status_code)
        assert (job.attributes or {})["vidorch.state"] in ("accepted", "running")

    def test_work_that_ended_with_its_process(
        self, client_of: Make, provider: Scripted, watched: Watched
    ) -> None:
        """Is abandoned, and told as that."""
        provider.polls = list(ENDLESS)
        run(client_of(offer()), lambda c: c.submit("x", model="test/basic"))
        (job,) = watched.jobs
        assert "abandoned" == (job.attributes or {})["vidorch.state"]


class TestWhatIsNotTold:
    PROMPT = "a very private elephant"

    def _all(self, watched: Watched) -> str:
        return "".join(span.to_json() for span in watched.spans)

    def _generate(self, client: AsyncClient, provider: Scripted) -> None:
        provider.on_submit = lambda number: Accepted("operations/7?key=sk-123")
        run(client, lambda c: c.generate(self.PROMPT, model="test/basic", negative_prompt="zebras"))

    def test_the_prompt(self, client_of: Make, provider: Scripted, watched: Watched) -> None:
        """Nor what of it a vendor's error repeats."""
        provider.polls = [ProviderFailed(self.PROMPT), DONE]
        self._generate(client_of(_with_negative()), provider)
        assert (2, []) == (
            len([*watched.jobs, *watched.runs]),
            [word for word in ("elephant", "zebras") if word in self._all(watched)],
        )

    def test_what_stands_behind_a_question_mark(
        self, client_of: Make, provider: Scripted, watched: Watched
    ) -> None:
        """A vendor's id may be a URL, and what follows there a key."""
        self._generate(client_of(_with_negative()), provider)
        (job,) = watched.jobs
        assert ("operations/7", False) == (
            (job.attributes or {})["gen_ai.response.id"],
            "sk-123" in self._all(watched),
        )

    def test_the_prompt_is_when_it_is_asked_for(
        self, client_of: Make, provider: Scripted, watched: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With `VIDORCH_OTEL_PROMPTS=1`, as the conventions have it."""
        monkeypatch.setenv("VIDORCH_OTEL_PROMPTS", "1")
        self._generate(client_of(_with_negative()), provider)
        (job,) = watched.jobs
        said = str((job.attributes or {})["gen_ai.input.messages"])
        assert [{"role": "user", "parts": [{"type": "text", "content": self.PROMPT}]}] == json.loads(said)


class TestMetrics:
    FEW = {
        "vidorch.endpoint": "test", "gen_ai.request.model": "basic", "vidorch.task": "text-to-video", "vidorch.state": "settled",
    }  # fmt: skip

    def test_duration(self, client_of: Make, watched: Watched) -> None:
        """In seconds, by endpoint, model, task and state, and by nothing that has many values."""
        generate(client_of(paid()), scope="tenant-a")
        (job,) = jobs_of(client_of(paid()))
        (point,) = watched.points("vidorch.job.duration")
        assert (1, self.FEW) == (point.count, dict(point.attributes))
        assert job.ended_at is not None
        assert pytest.approx(job.ended_at - job.created_at) == point.sum

    def test_cost(self, client_of: Make, watched: Watched) -> None:
        """In USD."""
        generate(client_of(paid()), candidates=2)
        (point,) = watched.points("vidorch.job.cost")
        assert (2, 2.0, self.FEW) == (point.count, point.sum, dict(point.attributes))

    def test_of_free_work_no_cost(self, client_of: Make, watched: Watched) -> None:
        """It is not money; how long it took is told."""
        generate(client_of(offer()))
        assert (1, []) == (len(watched.points("vidorch.job.duration")), watched.points("vidorch.job.cost"))

    @pytest.mark.parametrize(
        ("cost", "far", "side"), [("1.37", 0.37, "over"), ("0.75", 0.25, "under"), ("1.00", 0.0, "exact")]
    )
    def test_estimate_error(
        self, client_of: Make, provider: Scripted, watched: Watched, cost: str, far: float, side: str
    ) -> None:
        """As a part of the estimate, and on which side of it."""
        provider.polls = [Done((Output(0, "r"),), cost=Decimal(cost))]
        generate(client_of(paid()))
        (point,) = watched.points("vidorch.job.estimate_error")
        assert (pytest.approx(far), side) == (point.sum, point.attributes["vidorch.side"])

    def test_a_failure_has_its_state(self, client_of: Make, provider: Scripted, watched: Watched) -> None:
        """And what was charged for it, and says nothing of how good estimates are."""
        provider.polls = FAILED
        with pytest.raises(ProviderFailed):
            generate(client_of(paid()))
        (point,) = watched.points("vidorch.job.cost")
        assert ("failed", 1.0, []) == (
            point.attributes["vidorch.state"],
            point.sum,
            watched.points("vidorch.job.estimate_error"),
        )

    def test_open_jobs(self, client_of: Make, provider: Scripted, watched: Watched) -> None:
        """Those of this process that are under way: counted up as they begin and down as they end."""
        seen: list[int] = []
        provider.on_prepare = lambda: seen.append(watched.points("vidorch.job.open")[0].value)
        generate(client_of(paid()), candidates=2)
        assert ([2, 2], 0) == (seen, watched.points("vidorch.job.open")[0].value)

    def test_what_is_let_go_of_is_not_open_here(
        self, client_of: Make, provider: Scripted, watched: Watched
    ) -> None:
        """Whoever takes it up counts it."""
        begun_and_let_go(client_of(paid()), provider)
        assert [0] == [point.value for point in watched.points("vidorch.job.open")]

    def test_unknown(self, client_of: Make, provider: Scripted, watched: Watched) -> None:
        """Submits whose answer was lost."""
        provider.on_submit = one_by_one(LOST)
        with pytest.raises(SubmissionUnknown):
            generate(client_of(paid()))
        assert [1] == [point.value for point in watched.points("vidorch.job.unknown")]


class TestByHand:
    @pytest.fixture
    def unknown(self, client_of: Make, provider: Scripted, watched: Watched) -> str:
        """The id of a job whose submit had no answer."""
        provider.on_submit = one_by_one(LOST)
        with pytest.raises(SubmissionUnknown) as lost:
            generate(client_of(paid()))
        assert lost.value.job_id is not None
        return lost.value.job_id

    def test_a_job_that_is_settled(self, client_of: Make, watched: Watched, unknown: str) -> None:
        """A span that says what it was closed as, linked to the job's; its cost and its end are counted."""
        run(client_of(paid()), lambda client: client.settle(unknown, "0.75"))
        (span,) = watched.named("vidorch.settle")
        told = span.attributes or {}
        assert (unknown, "settled", 0.75) == (
            told["vidorch.job_id"],
            told["vidorch.state"],
            told["vidorch.cost"],
        )
        assert [watched.jobs[0].context.span_id] == [link.context.span_id for link in span.links]
        assert [0.75] == [point.sum for point in watched.points("vidorch.job.cost")]
        assert ["settled"] == [
            point.attributes["vidorch.state"] for point in watched.points("vidorch.job.duration")
        ]

    def test_a_job_that_is_adopted(self, client_of: Make, watched: Watched, unknown: str) -> None:
        """A span with the vendor's id; nothing is counted, for it goes on."""
        run(client_of(paid()), lambda client: client.adopt(unknown, "r-9"))
        (span,) = watched.named("vidorch.adopt")
        assert ("accepted", "r-9") == tuple(
            (span.attributes or {})[name] for name in ("vidorch.state", "gen_ai.response.id")
        )
        assert [] == watched.points("vidorch.job.duration")

    def test_a_cost_that_is_put_right(self, client_of: Make, watched: Watched, unknown: str) -> None:
        """What was counted at its end is not counted again."""

        async def twice(client: AsyncClient) -> None:
            job = await client.settle(unknown, "0.75")
            with pytest.raises(InvalidRequest):
                await client.settle(job.id, "0.50")

        run(client_of(paid()), twice)
        assert [1] == [point.count for point in watched.points("vidorch.job.cost")]


class TestWithout:
    def test_the_package(self, client_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        """The engine has something that does nothing, and the clip comes."""
        for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
            monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setitem(sys.modules, "opentelemetry", None)

        async def go(client: AsyncClient) -> tuple[type, str | None]:
            await client.generate("x", model="test/basic")
            assert client._engine is not None
            return type(client._engine._services.telemetry), (await client.jobs())[0].trace

        assert (Telemetry, None) == run(client_of(paid()), go)

    def test_an_sdk(self, client_of: Make) -> None:
        """With the interface alone, nothing is written down, and no thread is begun."""

        async def go(client: AsyncClient) -> tuple[str | None, list[str]]:
            await client.generate("x", model="test/basic")
            threads = [one.name for one in threading.enumerate() if one.name == "vidorch-telemetry"]
            return (await client.jobs())[0].trace, threads

        assert (None, []) == run(client_of(paid()), go)

    def test_an_open_engine_nothing_is_loaded(self) -> None:
        """A client that was only made, or only asked for prices, has not looked for the package."""
        code = (
            "import sys, vidorch\n"
            "with vidorch.Client() as client: client.estimate('a red ball rolling left')\n"
            "print([name for name in sys.modules if name.startswith('opentelemetry')])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "[]" == done.stdout.strip()

    def test_being_sampled(self, client_of: Make, watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is exported, and metrics are counted all the same."""
        tracers = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(watched.exporter))
        monkeypatch.setattr(trace, "get_tracer", tracers.get_tracer)
        generate(client_of(paid()))
        assert ([], 1) == (list(watched.spans), len(watched.points("vidorch.job.duration")))


class Broken(SpanProcessor, SpanExporter):
    """Raises where it is told to."""

    def __init__(self, where: str) -> None:
        self._where = where

    def _may_raise(self, here: str) -> None:
        if here == self._where:
            raise RuntimeError(f"the backend is down: {here}")

    def on_start(self, *args: Any, **more: Any) -> None:
        self._may_raise("start")

    def on_end(self, span: ReadableSpan) -> None:
        self._may_raise("end")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._may_raise("export")
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


class Hanging(Broken):
    """Exports nothing until it may."""

    def __init__(self) -> None:
        super().__init__("nowhere")
        self.called = threading.Event()
        self.may = threading.Event()
        self.gave_up = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.called.set()
        self.gave_up |= not self.may.wait(20)
        return SpanExportResult.SUCCESS


class TestASickSDK:
    """It is the watching that suffers, and nothing else."""

    @pytest.mark.parametrize("where", ["start", "end", "export"])
    def test_that_raises(
        self,
        client_of: Make,
        provider: Scripted,
        watched: Watched,
        where: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A processor, or an exporter: the clip comes, is paid once, and no job is left open."""
        broken = Broken(where)
        watched.tracers.add_span_processor(SimpleSpanProcessor(broken) if where == "export" else broken)
        result = generate(client_of(paid()), candidates=2)
        states = [job.state for job in jobs_of(client_of(paid()))]
        assert (Decimal(2), 2, ["settled"] * 2) == (result.cost, provider.calls.count("submit"), states)

    def test_that_raises_is_told_of_once(
        self, client_of: Make, watched: Watched, caplog: pytest.LogCaptureFixture
    ) -> None:
        """In the log, by the class of what it raised."""
        watched.tracers.add_span_processor(Broken("start"))
        generate(client_of(paid()), candidates=2)
        said = [record.getMessage() for record in caplog.records if record.name == "vidorch.telemetry"]
        assert ["OpenTelemetry raised RuntimeError; nothing but spans and metrics is hurt."] == said

    @pytest.mark.parametrize("what", ["get_tracer", "get_meter"])
    def test_that_cannot_be_set_up(
        self, client_of: Make, watched: Watched, monkeypatch: pytest.MonkeyPatch, what: str
    ) -> None:
        """Is as good as none."""

        def fails(*args: Any) -> None:
            raise RuntimeError("no configuration")

        monkeypatch.setattr(trace if what == "get_tracer" else metrics, what, fails)
        assert Decimal(1) == generate(client_of(paid())).cost

    def test_whose_metrics_raise(
        self, client_of: Make, watched: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No job notices."""

        def fails(*args: Any) -> None:
            raise RuntimeError("no room")

        for kind in ("Histogram.record", "UpDownCounter.add", "Counter.add"):
            monkeypatch.setattr(f"opentelemetry.sdk.metrics._internal.instrument.{kind}", fails)
        assert Decimal(1) == generate(client_of(paid())).cost

    def test_that_hangs(self, client_of: Make, watched: Watched) -> None:
        """Jobs go on while an exporter waits for its backend."""
        hanging = Hanging()
        watched.tracers.add_span_processor(SimpleSpanProcessor(hanging))

        async def go(client: AsyncClient) -> Decimal:
            result = await client.generate("x", model="test/basic", candidates=2)
            await asyncio.to_thread(hanging.called.wait, 60)
            hanging.may.set()
            return result.cost

        assert (Decimal(2), False) == (run(client_of(paid()), go), hanging.gave_up)

    def test_that_hangs_at_the_end(
        self, client_of: Make, watched: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A client is closed after a moment all the same, and what was not exported is lost."""
        monkeypatch.setattr("vidorch.engine.spans.LAST_WORDS", 0.0)
        hanging = Hanging()
        watched.tracers.add_span_processor(SimpleSpanProcessor(hanging))
        cost = generate(client_of(paid())).cost
        hanging.may.set()
        assert (Decimal(1), False) == (cost, hanging.gave_up)

    def test_that_falls_behind(
        self,
        client_of: Make,
        watched: Watched,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Fills no memory: spans of which too many wait are dropped, and that is said."""
        monkeypatch.setattr("vidorch.engine.spans.MOST_WAITING", 1)
        hanging = Hanging()
        watched.tracers.add_span_processor(SimpleSpanProcessor(hanging))
        cost = generate(client_of(paid())).cost
        hanging.may.set()
        said = [record.getMessage() for record in caplog.records if record.name == "vidorch.telemetry"]
        assert (Decimal(1), 1) == (cost, len(said))


def _with_negative() -> dict[str, Any]:
    capabilities = paid()["capabilities"] | {"negative_prompt": "native"}
    return paid(capabilities=capabilities)


def _seconds(nanoseconds: int | None) -> float:
    return (nanoseconds or 0) / 1e9
