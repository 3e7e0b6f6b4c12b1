"""What a run does, from the call to the result, on a provider that plays a script and a clock that jumps."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from tests import samples
from tests.engine.scripted import Scripted, VirtualClock, offer, paid, video
from vidorch import Budget, media
from vidorch.client.aio import AsyncClient
from vidorch.contract import Accepted, Admission, Done, Failed, Output, Polled, Progress, Rejected
from vidorch.errors import (
    BadMedia,
    GenerationFailed,
    InvalidRequest,
    LedgerUnavailable,
    LiveCallInTest,
    OverBudget,
    ProviderFailed,
    Refused,
    SubmissionUnknown,
    Throttled,
    TimedOut,
)
from vidorch.latencies import Took
from vidorch.ledger.moves import State
from vidorch.ledger.store import Store
from vidorch.offer import Offer
from vidorch.request import Request
from vidorch.result import Job, Result
from vidorch.result import Progress as Told

Make = Callable[..., AsyncClient]


def generate(client: AsyncClient, **options: object) -> Result:
    async def go() -> Result:
        async with client:
            return await client.generate("x", model="test/basic", **options)  # type: ignore[arg-type]

    return asyncio.run(go())


class TestASuccessfulRun:
    def test_gives_a_clip_that_is_there(self, client_of: Make) -> None:
        """The clip is a real file, checked, with its shape as the file has it."""
        clip = generate(client_of()).clip
        assert clip.path is not None
        assert (64, 64, 8) == (clip.width, clip.height, media.probe(clip.path).frames)

    def test_moves_along_the_table(self, client_of: Make) -> None:
        """Each step of the job's life is an event, in order."""

        async def go() -> list[str | None]:
            async with client_of() as client:
                result = await client.generate("x", model="test/basic")
                run = await client.run(result.run_id)
                return [event.target for event in await run.events() if event.kind == "move"]

        expected = ["reserved", "uploading", "sending", "accepted", "running", "downloading", "settled"]
        assert expected == asyncio.run(go())

    def test_needs_no_commit_of_its_own_to_end(
        self, client_of: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """The end of a run of one clip is on disk with the settling of its job."""
        from vidorch.ledger.ledger import Ledger

        monkeypatch.delattr(Ledger, "end_run")
        result = generate(client_of())
        ledger = Ledger(tmp_path / "home" / "ledger.db")
        run = ledger.run(result.run_id) or {}
        ledger.close()
        assert ("finished", None) == (run["state"], run["owner"])

    def test_is_free_and_says_so(self, client_of: Make) -> None:
        """Free work costs nothing, and that is imputed, not reported."""
        clip = generate(client_of()).clip
        assert (Decimal(0), "imputed") == (clip.cost, clip.cost_basis)

    def test_lies_in_the_runs_own_folder_without_prompt_text(self, client_of: Make, tmp_path: Path) -> None:
        """Files go to runs/YYYY-MM/<run>/<n>-<endpoint>-<model>.mp4 in the home folder."""
        result = generate(client_of())
        assert result.clip.path is not None
        assert tmp_path / "home" / "runs" / "2026-11" / result.run_id / "1-test-basic.mp4" == result.clip.path

    def test_measures_where_the_time_went(self, client_of: Make, provider: Scripted) -> None:
        """Latency is from the call to the checked file; timings split it."""
        provider.polls = [
            Progress("queued"),
            Progress("running", 0.5),
            Progress("running", 0.9),
            Done((Output(0, "r"),)),
        ]
        clip = generate(client_of()).clip
        assert (3.0, 1.0, 2.0) == (clip.latency, clip.timings.queue, clip.timings.run)

    def test_leaves_no_temporary_file(self, client_of: Make, tmp_path: Path) -> None:
        """After a run only the clip lies in its folder."""
        generate(client_of())
        assert ["1-test-basic.mp4"] == [
            path.name for path in (tmp_path / "home" / "runs").rglob("*") if path.is_file()
        ]

    def test_keeps_what_the_provider_noted(self, client_of: Make, provider: Scripted) -> None:
        """What an admission notes is in the result."""
        from vidorch.contract import Admission

        provider.admission = Admission(notes=("ignored: dragon",))
        assert "ignored: dragon" in generate(client_of()).notes

    def test_can_be_read_by_another_client(self, client_of: Make) -> None:
        """A finished run gives the same result from the ledger alone."""

        async def go() -> tuple[Result, Result]:
            async with client_of() as client:
                first = await client.generate("x", model="test/basic")
            async with client_of() as other:
                return first, await (await other.run(first.run_id)).wait()

        first, second = asyncio.run(go())
        assert first == second


class TestPlanning:
    @pytest.mark.parametrize(
        ("options", "on_the_loop"),
        [({}, True), ({"image": samples.png(64, 64)}, False)],
        ids=["words alone", "an image"],
    )
    def test_opens_no_file_on_the_loop(
        self, client_of: Make, provider: Scripted, monkeypatch: pytest.MonkeyPatch, options: dict[str, object],
        on_the_loop: bool,
    ) -> None:  # fmt: skip
        """The first plan of a model, and all that have to open media, are made off the event loop."""
        threads: list[threading.Thread] = []

        def admit(request: Request, offer: Offer) -> Admission:
            threads.append(threading.current_thread())
            return Admission()

        monkeypatch.setattr(provider, "admit", admit)

        async def go() -> None:
            async with client_of(offer(routes={"text-to-video": {}, "image-to-video": {}})) as client:
                for _ in range(2):
                    await client.generate("x", model="test/basic", **options)  # type: ignore[arg-type]

        asyncio.run(go())
        assert [False, on_the_loop] == [thread is threading.main_thread() for thread in threads]


class TestOutput:
    def test_to_a_file(self, client_of: Make, tmp_path: Path) -> None:
        """`output=` with a file name puts the clip there."""
        assert (
            tmp_path / "a" / "out.mp4" == generate(client_of(), output=tmp_path / "a" / "out.mp4").clip.path
        )

    def test_to_a_folder(self, client_of: Make, tmp_path: Path) -> None:
        """`output=` with a slash at its end is a folder, made if need be."""
        clip = generate(client_of(), output=f"{tmp_path}/new/").clip
        assert tmp_path / "new" / "1-test-basic.mp4" == clip.path

    def test_never_overwrites_unasked(self, client_of: Make, provider: Scripted, tmp_path: Path) -> None:
        """A file that is there already stops the call before anything is made."""
        (tmp_path / "out.mp4").write_text("precious")
        with pytest.raises(InvalidRequest, match="exists already"):
            generate(client_of(), output=tmp_path / "out.mp4")
        assert ("precious", []) == ((tmp_path / "out.mp4").read_text(), provider.calls)

    def test_overwrites_when_asked(self, client_of: Make, tmp_path: Path) -> None:
        """`overwrite=True` replaces it."""
        (tmp_path / "out.mp4").write_text("old")
        generate(client_of(), output=tmp_path / "out.mp4", overwrite=True)
        assert 8 == media.probe(tmp_path / "out.mp4").frames

    def test_a_file_that_appears_meanwhile_is_kept_and_so_is_the_clip(
        self, client_of: Make, provider: Scripted, tmp_path: Path
    ) -> None:
        """Who comes second publishes beside the other: neither file is lost."""
        target = tmp_path / "out.mp4"

        def write(path: Path) -> None:
            video(path)
            target.write_text("somebody else's")

        provider.write = write
        clip = generate(client_of(), output=target).clip
        assert clip.path is not None
        assert ("somebody else's", True) == (target.read_text(), clip.path.name.startswith("out-job_"))

    @pytest.mark.parametrize("output", ["clip.txt", "clip", "clip.mov", "clip.webm", "clip.gif"])
    def test_anything_else_is_a_mistake(self, client_of: Make, provider: Scripted, output: str) -> None:
        """A name that is neither an MP4's nor a folder's is refused with what is allowed, before anything is made."""
        with pytest.raises(InvalidRequest, match=r"ending in \.mp4"):
            generate(client_of(), output=output)
        assert [] == provider.calls

    def test_several_candidates_and_one_file(self, client_of: Make, tmp_path: Path) -> None:
        """The chosen clip goes to the file; all of them stay in the run's folder."""
        result = generate(client_of(), output=tmp_path / "best.mp4", candidates=2)
        assert result.clip.path is not None
        assert (2, result.clip.path.read_bytes()) == (
            len(result.candidates),
            (tmp_path / "best.mp4").read_bytes(),
        )


class TestCandidates:
    def test_take_seeds_one_after_the_other(self, client_of: Make, provider: Scripted) -> None:
        """Candidate i has seed s + i."""
        result = generate(client_of(), candidates=3, seed=41)
        assert ([41, 42, 43], [41, 42, 43]) == (sorted(provider.seeds), [c.seed for c in result.candidates])

    def test_without_a_seed_each_draws_its_own(self, client_of: Make, provider: Scripted) -> None:
        """No seed given: every candidate has a different one, and the clip says which."""
        assert 3 == len({clip.seed for clip in generate(client_of(), candidates=3).candidates})

    def test_those_that_came_are_kept_when_one_fails(self, client_of: Make, provider: Scripted) -> None:
        """Partial success is a result, with the failure beside it."""
        bad: list[Polled | Exception] = [Failed(ProviderFailed("out of memory", charged=False))]
        good: list[Polled | Exception] = [Done((Output(0, "r"),))]
        provider.script_of = lambda number: bad if number == 0 else good
        result = generate(client_of(), candidates=3)
        assert (2, ["out of memory"]) == (len(result.candidates), [e.message for e in result.failures])

    def test_all_failing_is_a_group_with_every_cause(self, client_of: Make, provider: Scripted) -> None:
        """When none comes, `GenerationFailed` holds each cause."""
        provider.polls = [Failed(ProviderFailed("no", charged=False))]
        with pytest.raises(GenerationFailed) as caught:
            generate(client_of(), candidates=2)
        assert ["no", "no"] == [
            cause.message for cause in caught.value.exceptions if isinstance(cause, ProviderFailed)
        ]


class TestFailures:
    def test_of_the_model_are_typed_and_say_where(self, client_of: Make, provider: Scripted) -> None:
        """The one cause is raised as itself, with run and job."""
        provider.polls = [Failed(ProviderFailed("boom", charged=False, code="E1"))]
        with pytest.raises(ProviderFailed, match="boom") as caught:
            generate(client_of())
        assert (False, "E1", True) == (
            caught.value.charged,
            caught.value.code,
            bool(caught.value.job_id and caught.value.run_id),
        )

    def test_by_policy_keep_their_stage(self, client_of: Make, provider: Scripted) -> None:
        """A refusal of the output is `Refused`, and the job ends as refused."""
        provider.polls = [Failed(Refused("a face", stage="output", charged=True))]
        with pytest.raises(Refused) as caught:
            generate(client_of())
        assert ("output", True) == (caught.value.stage, caught.value.charged)

    def test_before_sending_are_rejections(self, client_of: Make, provider: Scripted) -> None:
        """What cannot be made ready is rejected and nothing is sent."""

        def fail() -> None:
            raise RuntimeError("upload failed")

        provider.on_prepare = fail
        with pytest.raises(ProviderFailed, match="upload failed") as caught:
            generate(client_of())
        assert (False, ["prepare"]) == (caught.value.charged, provider.calls)

    def test_a_rejected_submit_is_not_charged(self, client_of: Make, provider: Scripted) -> None:
        """A rejection with its cause arrives as that cause."""

        def reject(number: int) -> Accepted | None:
            raise Rejected(Throttled("slow down", retry_after=3))

        provider.on_submit = reject
        with pytest.raises(Throttled, match="slow down") as caught:
            generate(client_of())
        assert (False, 1) == (caught.value.charged, provider.calls.count("submit"))

    @pytest.mark.parametrize(
        "write",
        [
            pytest.param(lambda path: path.write_text("<html>502 Bad Gateway</html>"), id="a page"),
            pytest.param(lambda path: path.write_bytes(b""), id="nothing"),
            pytest.param(lambda path: video(path, frames=80), id="ten seconds instead of one"),
        ],
    )
    def test_a_file_that_is_not_the_clip_is_never_published(
        self, client_of: Make, provider: Scripted, tmp_path: Path, write: Callable[[Path], None]
    ) -> None:
        """What does not check out is `BadMedia`, and no file is left."""
        provider.write = write
        with pytest.raises(BadMedia):
            generate(client_of())
        assert [] == [path for path in (tmp_path / "home" / "runs").rglob("*") if path.is_file()]

    def test_a_lost_poll_is_not_a_failed_job(
        self, client_of: Make, provider: Scripted, clock: VirtualClock
    ) -> None:
        """Polls that get no answer are made again, further and further apart."""
        provider.polls = [OSError("reset"), OSError("reset"), OSError("reset"), Done((Output(0, "r"),))]
        generate(client_of())
        assert [1.0, 2.0, 4.0] == clock.slept

    def test_a_job_past_its_deadline_stays_open(self, client_of: Make, provider: Scripted) -> None:
        """Fifteen minutes without an end: `TimedOut`, and the job is where it was, for whoever takes it up."""
        provider.polls = [Progress("running", 0.1)]

        async def go() -> tuple[str, str]:
            async with client_of(offer(outlives_caller=True)) as client:
                with pytest.raises(TimedOut, match="stays open") as caught:
                    await client.generate("x", model="test/basic")
                assert caught.value.job_id and caught.value.run_id
                job = await client.job(caught.value.job_id)
                return job.state, await (await client.run(caught.value.run_id)).state()

        assert ("running", "open") == asyncio.run(go())

    @pytest.mark.parametrize("said", ["The vendor is away", "The vendor is away."])
    def test_a_deadline_says_why_the_last_look_failed(
        self, client_of: Make, provider: Scripted, said: str
    ) -> None:
        """In a sentence of its own, with one full stop, whatever the vendor's own words end in."""
        provider.polls = [OSError(said)]
        with pytest.raises(
            TimedOut, match=r"The last look at it failed: The vendor is away\. It stays open\."
        ):
            generate(client_of(offer(outlives_caller=True)))

    def test_in_our_own_process_it_is_stopped(self, client_of: Make, provider: Scripted) -> None:
        """Work that nobody could take up again ends at its deadline, at no cost."""
        provider.polls = [Progress("running", 0.1)]
        with pytest.raises(TimedOut, match="was stopped") as caught:
            generate(client_of())
        assert (False, 1) == (caught.value.charged, provider.calls.count("cancel"))

    @pytest.mark.parametrize("stage", ["queued", "running"])
    def test_in_our_own_process_it_goes_on_while_it_gets_on(
        self, client_of: Make, provider: Scripted, stage: Literal["queued", "running"]
    ) -> None:
        """A queue before one card, and a slow card, take their time: fifteen minutes are for work that stands."""
        looks = [Progress(stage, 0.1 * n, poll_after=600.0) for n in range(8)]
        provider.polls = [*looks, Done((Output(0, "r"),))]
        assert generate(client_of()).clip.path is not None

    def test_of_one_candidate_by_its_deadline_keep_the_others(
        self, client_of: Make, provider: Scripted
    ) -> None:
        """A clip that came is given, with the deadline of the other among the failures."""
        stuck: list[Polled | Exception] = [Progress("running", 0.1)]
        good: list[Polled | Exception] = [Done((Output(0, "r"),))]
        provider.script_of = lambda number: stuck if number == 0 else good
        result = generate(client_of(offer(outlives_caller=True)), candidates=2)
        assert (1, [TimedOut]) == (len(result.candidates), [type(e) for e in result.failures])

    def test_by_a_filter_on_every_output_are_refusals(self, client_of: Make, provider: Scripted) -> None:
        """Done, with everything withheld, is `Refused` at the output, in the vendor's words."""
        provider.polls = [Done((), filtered=1, filter_reasons=("a face",))]
        with pytest.raises(Refused, match="withheld by policy: a face") as caught:
            generate(client_of())
        assert "output" == caught.value.stage

    def test_without_any_output_say_so(self, client_of: Make, provider: Scripted) -> None:
        """Done, with nothing, is a failure, not a result."""
        provider.polls = [Done(())]
        with pytest.raises(ProviderFailed, match="without any output"):
            generate(client_of())


class TestHowLongItTook:
    @pytest.mark.parametrize(("before", "first"), [(0, True), (2, False)])
    def test_is_kept_between_two_looks(
        self, client_of: Make, provider: Scripted, before: int, first: bool
    ) -> None:
        """The last look that found it at work is kept beside its end; where the first look found it done, that it was accepted."""
        provider.polls = [*[Progress("running")] * before, Done((Output(0, "a"),))]

        async def go() -> list[Took]:
            async with client_of(offer(outlives_caller=True)) as client:
                await client.generate("x", model="test/basic")
                assert client._ledger is not None
                return client._ledger.latencies("test", "basic", task="text-to-video")

        (took,) = asyncio.run(go())
        assert took.working is not None
        assert (first, True) == (took.working == 0.0, took.working < took.seen)


class TestAmbiguousSubmits:
    def test_are_unknown_and_never_sent_again(self, client_of: Make, provider: Scripted) -> None:
        """A submit without a clear answer, to something that outlives us, is `SubmissionUnknown`; the run stays open."""

        def lose_reply(number: int) -> Accepted | None:
            raise ConnectionResetError("reset by peer")

        provider.on_submit = lose_reply

        async def go() -> tuple[int, str, str]:
            async with client_of(offer(outlives_caller=True)) as client:
                with pytest.raises(SubmissionUnknown, match="not sent again") as caught:
                    await client.generate("x", model="test/basic")
                assert caught.value.run_id and caught.value.job_id
                run, job = await client.run(caught.value.run_id), await client.job(caught.value.job_id)
                return provider.calls.count("submit"), await run.state(), job.state

        assert (1, "open", "unknown") == asyncio.run(go())

    def test_in_our_own_process_an_exception_is_a_clear_answer(
        self, client_of: Make, provider: Scripted
    ) -> None:
        """In-process work whose submit raises was not accepted: it is rejected, and cost nothing."""

        def fail(number: int) -> Accepted | None:
            raise MemoryError("no room")

        provider.on_submit = fail
        with pytest.raises(ProviderFailed, match="no room") as caught:
            generate(client_of())
        assert False is caught.value.charged


class TestTheLedgerMeanwhile:
    def test_a_commit_that_failed_is_made_up_for(
        self, client_of: Make, provider: Scripted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A step that rode with a failed commit is made again: the clip that was fetched is settled, not orphaned."""
        from vidorch.ledger.ledger import Ledger

        real, failed = Ledger.move, []

        def move(self: Ledger, job: Job, target: State, at: float, **more: object) -> Future[Job]:
            if target is State.RUNNING and not failed:
                failed.append(target)
                broken: Future[Job] = Future()
                broken.set_exception(LedgerUnavailable("busy"))
                return broken
            return real(self, job, target, at, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(Ledger, "move", move)
        result = generate(client_of())
        assert ([State.RUNNING], 0) == (failed, len(result.failures))

    @pytest.mark.parametrize(
        ("verb", "target", "calls", "charged", "said", "hint"),
        [
            ("record", None, 0, False, "Nothing was sent, and nothing was paid by this call.", "Make room."),
            ("move", "sending", 0, False, "was not sent, and nothing was paid for it.", "Make room."),
            ("move", "settled", 1, None, "was sent before that, and may be paid for;", "Make room. Then: vidorch jobs resume run_"),
        ],
        ids=["before the first job", "before the first byte", "after the vendor took it"],
    )  # fmt: skip
    def test_that_fails_says_whether_anything_was_paid(
        self,
        client_of: Make,
        provider: Scripted,
        monkeypatch: pytest.MonkeyPatch,
        verb: str,
        target: str | None,
        calls: int,
        charged: bool | None,
        said: str,
        hint: str,
    ) -> None:
        """Whenever a disk is full: nothing was paid where nothing was sent, and only there that is said."""
        from concurrent.futures import Future

        from vidorch.ledger.ledger import Ledger

        real = getattr(Ledger, verb)

        def fail(self: Ledger, *args: object, **more: object) -> Future[object]:
            if target not in (None, *args):
                return real(self, *args, **more)  # type: ignore[no-any-return]
            broken: Future[object] = Future()
            broken.set_exception(LedgerUnavailable("The disk is full.", hint="Make room."))
            return broken

        monkeypatch.setattr(Ledger, verb, fail)
        with pytest.raises(LedgerUnavailable) as caught:
            generate(client_of(paid()))
        assert (calls, charged, True, True) == (
            provider.calls.count("submit"), caught.value.charged, said in caught.value.message,
            caught.value.hint.startswith(hint),
        )  # fmt: skip

    def test_that_could_not_be_written_for_a_while_keeps_no_job_to_itself(
        self, client_of: Make, provider: Scripted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As soon as it can be written again the same client brings the job home, and pays for no other."""
        full: list[bool] = []
        real = Store.write

        def write(self: Store, work: Callable[..., Any], *, waits: bool = True) -> Future[Any]:
            if not full or not waits:
                return real(self, work, waits=waits)
            failed: Future[Any] = Future()
            failed.set_exception(LedgerUnavailable("the disk is full"))
            return failed

        def filled(path: Path) -> None:
            video(path)
            full.append(True)

        async def go() -> tuple[str, int]:
            async with client_of(paid()) as client:
                provider.write = filled
                with pytest.raises(LedgerUnavailable):
                    await client.generate("x", model="test/basic", key="k")
                full.clear()
                provider.write = None
                await client.generate("x", model="test/basic", key="k")
                (job,) = await client.jobs()
                return job.state, provider.calls.count("submit")

        monkeypatch.setattr(Store, "write", write)
        assert (State.SETTLED, 1) == asyncio.run(go())

    def test_is_told_when_a_step_fails_in_a_way_that_nobody_thought_of(
        self, client_of: Make, provider: Scripted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The job is nobody's then, so the same client takes it up again."""
        from vidorch.engine.homing import Homecoming

        async def go() -> tuple[str, int]:
            async with client_of(paid()) as client:
                with monkeypatch.context() as broken:
                    broken.setattr(Homecoming, "collect", lambda self, done: 1 / 0)
                    with pytest.raises(ProviderFailed, match="ZeroDivisionError.*It stays open"):
                        await client.generate("x", model="test/basic", key="k")
                await client.generate("x", model="test/basic", key="k")
                (job,) = await client.jobs()
                return job.state, provider.calls.count("submit")

        assert (State.SETTLED, 1) == asyncio.run(go())

    def test_a_damaged_one_is_not_a_missing_run(self, client_of: Make, tmp_path: Path) -> None:
        """Asking for a run of a ledger that cannot be read says that, not that there is no such run."""
        (tmp_path / "ledger.db").write_bytes(b"not a database " * 100)

        async def go() -> None:
            async with client_of(ledger=tmp_path / "ledger.db") as client:
                await client.run("run_x")

        with pytest.raises(LedgerUnavailable):
            asyncio.run(go())

    def test_holds_an_absolute_output(
        self, client_of: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`output=` is written down for whoever reads it from another directory."""
        monkeypatch.chdir(tmp_path)

        async def go() -> str:
            async with client_of() as client:
                result = await client.generate("x", model="test/basic", output="out.mp4")
                return str(client._opened_ledger().run(result.run_id)["output"])  # type: ignore[index]

        assert str(tmp_path / "out.mp4") == asyncio.run(go())


class TestTheDisk:
    def test_a_file_that_appears_meanwhile_does_not_cost_the_candidates(
        self, client_of: Make, provider: Scripted, tmp_path: Path
    ) -> None:
        """The chosen of several goes beside a file that was put there meanwhile, and a note says so."""

        def write(path: Path) -> None:
            video(path)
            (tmp_path / "best.mp4").write_text("somebody else's")

        provider.write = write
        result = generate(client_of(), output=tmp_path / "best.mp4", candidates=2)
        assert "somebody else's" == (tmp_path / "best.mp4").read_text()
        assert [True] == [(tmp_path / f"best-{result.run_id}.mp4").is_file()]
        assert [1] == [sum("was taken meanwhile" in note for note in result.notes)]

    def test_is_tried_before_anything_is_made(
        self, client_of: Make, provider: Scripted, tmp_path: Path
    ) -> None:
        """A folder that cannot be written stops the call at once."""
        (tmp_path / "file").write_text("")
        with pytest.raises(InvalidRequest, match="Nothing was made"):
            generate(client_of(), output=tmp_path / "file" / "sub" / "out.mp4")
        assert [] == provider.calls

    def test_that_fills_up_is_named(self, client_of: Make, provider: Scripted, tmp_path: Path) -> None:
        """A clip that was made and could not be written says so, not that the model failed."""

        def full(path: Path) -> None:
            raise OSError(28, "No space left on device", str(path))

        provider.write = full
        with pytest.raises(ProviderFailed, match="made but could not be written: No space left") as caught:
            generate(client_of())
        assert (False, True) == (caught.value.charged, "Make room" in str(caught.value))

    def test_that_fills_up_loses_nothing_that_is_elsewhere(self, client_of: Make, provider: Scripted) -> None:
        """A result that is still at the vendor leaves its job open for another look."""

        def full(path: Path) -> None:
            raise OSError(28, "No space left on device", str(path))

        provider.write = full

        async def go() -> str:
            async with client_of(offer(outlives_caller=True)) as client:
                with pytest.raises(ProviderFailed) as caught:
                    await client.generate("x", model="test/basic")
                assert caught.value.job_id
                return (await client.job(caught.value.job_id)).state

        assert "downloading" == asyncio.run(go())


class TestTheDoorToPaidSubmits:
    PRICE: ClassVar[dict[str, object]] = {
        "rule": "table",
        "source": "a test",
        "row": [{"per_second": "0.10", "source": "a test", "as_of": date(2026, 11, 22)}],
    }

    def test_is_shut_inside_a_test_run(
        self, client_of: Make, provider: Scripted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A provider that is no mock gets no paid submit from a test that did not mean to: nothing is even written down."""
        monkeypatch.setattr(Scripted, "simulated", False)
        client = client_of(offer(price=self.PRICE))
        with pytest.raises(LiveCallInTest, match=r"pay for a clip of test/basic.*--vidorch-live"):
            generate(client)
        assert [] == provider.calls

    def test_the_cap_is_looked_at_first(self, client_of: Make, provider: Scripted) -> None:
        """More than `max_cost` is `OverBudget`, with both amounts."""
        with pytest.raises(OverBudget) as caught:
            generate(client_of(offer(price=self.PRICE)), max_cost="0.05")
        assert (Decimal("0.10"), Decimal("0.05")) == (caught.value.needed, caught.value.available)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"max_cost": "0.05"}, "test/basic may cost up to $0.10, and max_cost is $0.05."),
            ({"candidates": 60}, "test/basic may cost up to $6.00, and the default cap of a call is $5.00."),
            ({"budget": Budget("0.0042", name="b")}, "test/basic may cost up to $0.10, and the budget 'b' is $0.0042."),
            ({"budget": Budget("0.01", name="b", per="call")}, "test/basic may cost up to $0.10, and the budget 'b' is $0.01 per call."),
        ],
        ids=["max_cost", "default", "under a cent", "per call"],
    )  # fmt: skip
    def test_says_each_amount_once(self, client_of: Make, options: dict[str, object], said: str) -> None:
        """What it may cost, by the offer's name, and what there is: in cents, and in more digits where they matter."""
        settings = {name: options.pop(name) for name in ("budget",) if name in options}
        with pytest.raises(OverBudget) as caught:
            generate(client_of(offer(price=self.PRICE), **settings), **options)
        assert f"{said} It was not sent." == caught.value.message

    def test_says_what_is_left_where_that_is_less(self, client_of: Make) -> None:
        """Of a budget that was drawn on already, both are said: what it is and what is left of it."""

        async def go() -> None:
            budget = Budget("0.15", name="spring", per="day")
            async with client_of(offer(price=self.PRICE), budget=budget) as client:
                await client.generate("x", model="test/basic")
                await client.generate("x", model="test/basic")

        with pytest.raises(OverBudget) as caught:
            asyncio.run(go())
        assert (
            "test/basic may cost up to $0.10, and of the budget 'spring' ($0.15 per day) $0.05 is left. It was not sent."
            == caught.value.message
        )

    def test_of_several_offers_at_once_names_none(self, client_of: Make) -> None:
        """Where candidates are spread, it is all of them together that do not fit."""
        dear = {
            **self.PRICE,
            "row": [{"per_second": "1.00", "source": "a test", "as_of": date(2026, 11, 22)}],
        }
        client = client_of(offer("basic", price=self.PRICE), offer("dear", price=dear))

        async def go() -> None:
            async with client:
                await client.generate(
                    "x", model=["test/basic", "test/dear"], spread=True, candidates=2, max_cost="1"
                )

        with pytest.raises(OverBudget, match=r"^This may cost up to \$1\.10, and max_cost is \$1\.00\. "):
            asyncio.run(go())

    def test_the_default_cap_is_five_dollars_for_all_candidates(self, client_of: Make) -> None:
        """Sixty candidates at ten cents pass the default cap of a call."""
        with pytest.raises(OverBudget, match="default cap"):
            generate(client_of(offer(price=self.PRICE)), candidates=60)

    def test_without_a_ledger_there_is_no_spending(
        self, client_of: Make, provider: Scripted, tmp_path: Path
    ) -> None:
        """Paid work without a ledger on disk raises `LedgerUnavailable`, which says that nothing was sent nor paid."""
        (tmp_path / "not-a-folder").write_text("")
        with pytest.raises(
            LedgerUnavailable, match=r"\. Nothing was sent, and nothing was paid by this call\."
        ):
            generate(client_of(offer(price=self.PRICE), ledger=tmp_path / "not-a-folder" / "ledger.db"))
        assert [] == provider.calls

    def test_nor_of_a_batch(self, client_of: Make, provider: Scripted, tmp_path: Path) -> None:
        """So does a batch."""
        (tmp_path / "not-a-folder").write_text("")

        async def go() -> None:
            async with client_of(
                offer(price=self.PRICE), ledger=tmp_path / "not-a-folder" / "l.db"
            ) as client:
                await client.generate_many(["x", "y"], model="test/basic")

        with pytest.raises(LedgerUnavailable, match="Nothing was sent, and nothing was paid by this call"):
            asyncio.run(go())
        assert [] == provider.calls

    def test_nor_after_free_work_that_went_on_without(self, client_of: Make, tmp_path: Path) -> None:
        """A client whose ledger is in memory alone refuses what is paid, and says so once."""
        (tmp_path / "not-a-folder").write_text("")

        async def go() -> None:
            offers = (offer("basic"), offer("paid", price=self.PRICE))
            async with client_of(*offers, ledger=tmp_path / "not-a-folder" / "ledger.db") as client:
                await client.generate("x", model="test/basic")
                await client.generate("x", model="test/paid")

        with pytest.warns(UserWarning, match="without a record"), pytest.raises(LedgerUnavailable) as caught:
            asyncio.run(go())
        assert 1 == str(caught.value).count("Nothing was sent, and nothing was paid by this call.")

    def test_free_work_goes_on_without_one_and_warns(self, client_of: Make, tmp_path: Path) -> None:
        """Free work runs with a warning where no ledger can be written."""
        (tmp_path / "not-a-folder").write_text("")
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            clip = generate(client_of(ledger=tmp_path / "not-a-folder" / "ledger.db")).clip
        assert clip.path is not None and clip.path.is_file()
        assert any("goes on without a record" in str(one.message) for one in said)


class TestProgress:
    def test_is_told_to_the_end_off_the_loop(self, client_of: Make) -> None:
        """`on_progress` hears of the run on another thread, and the last call says that all is done."""
        heard: list[Told] = []
        threads: set[str] = set()

        def listen(progress: Told) -> None:
            heard.append(progress)
            threads.add(threading.current_thread().name)

        generate(client_of(), on_progress=listen)
        assert (1.0, 1, 1) == (heard[-1].fraction, heard[-1].done, heard[-1].total)
        assert threading.main_thread().name not in threads

    def test_never_goes_backwards(self, client_of: Make, provider: Scripted) -> None:
        """A vendor that counts backwards does not make the bar jump."""
        provider.polls = [Progress("running", 0.6), Progress("running", 0.2), Done((Output(0, "r"),))]
        heard: list[float] = []
        generate(client_of(), on_progress=lambda progress: heard.append(progress.fraction or 0.0))
        assert sorted(heard) == heard

    def test_a_listener_that_raises_is_warned_about_once(self, client_of: Make) -> None:
        """A broken callback never hurts the run."""

        def broken(progress: Told) -> None:
            raise ZeroDivisionError

        with pytest.warns(UserWarning, match="on_progress raised ZeroDivisionError") as said:
            generate(client_of(), on_progress=broken)
        assert 1 == len(said)


class TestWaiting:
    def test_a_timeout_detaches(self, client_of: Make, provider: Scripted) -> None:
        """`timeout=` ends the waiting, not the run; the id gets it back."""

        async def go() -> Result:
            async with client_of() as client:
                provider.hold = asyncio.Event()
                with pytest.raises(TimedOut, match="goes on") as caught:
                    await client.generate("x", model="test/basic", timeout=0.01)
                provider.hold.set()
                assert caught.value.run_id
                return await (await client.run(caught.value.run_id)).wait()

        assert asyncio.run(go()).clip.path is not None

    def test_a_cancelled_task_leaves_the_submit_alone(self, client_of: Make, provider: Scripted) -> None:
        """Cancelling the waiting while a submit is under way neither cuts it nor loses its id."""

        async def go() -> str | None:
            async with client_of() as client:
                provider.hold, provider.sending = asyncio.Event(), asyncio.Event()
                task = asyncio.create_task(client.generate("x", model="test/basic"))
                await provider.sending.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                provider.hold.set()
                job = (await client.jobs())[0]
                await (await client.run(job.run_id)).wait()
                return (await client.job(job.id)).remote_id

        assert (asyncio.run(go()) or "").startswith("remote-")

    def test_a_client_closed_while_a_run_is_let_go_leaves_the_submit_alone(
        self, client_of: Make, provider: Scripted
    ) -> None:
        """Two who cancel at once are one too many for a shield that holds once; the id is on disk before either is done."""

        async def go() -> tuple[bool, str]:
            client = client_of(paid())
            provider.hold, provider.sending = asyncio.Event(), asyncio.Event()
            call = asyncio.ensure_future(client.submit("x", model="test/basic"))
            await provider.sending.wait()
            (live,) = client._engine.live.values()  # type: ignore[union-attr]
            letting_go = []
            for _ in range(2):
                letting_go.append(asyncio.ensure_future(live.leave()))
                for _ in range(20):
                    await asyncio.sleep(0)
            too_early = live.task.done()
            provider.hold.set()
            await asyncio.wait(letting_go)
            (job,) = await client.jobs()
            await asyncio.wait([call])
            await client.aclose()
            return too_early, job.state

        assert (False, State.ACCEPTED) == asyncio.run(go())

    def test_submit_returns_with_the_id_on_disk(self, client_of: Make, provider: Scripted) -> None:
        """After `submit` each candidate is accepted, with its remote id in the ledger."""
        gate: list[Polled | Exception] = [Progress("running", 0.1)]
        provider.polls = gate

        async def go() -> list[str | None]:
            async with client_of() as client:
                run = await client.submit("x", model="test/basic", candidates=2)
                found = [job.remote_id for job in await run.jobs()]
                await run.cancel()
                return found

        assert [True, True] == [(remote or "").startswith("remote-") for remote in asyncio.run(go())]

    def test_cancel_ends_the_job_at_the_provider(self, client_of: Make, provider: Scripted) -> None:
        """`run.cancel()` asks the provider, and the run ends as cancelled."""
        provider.polls = [Progress("running", 0.1)]

        async def go() -> str:
            async with client_of() as client:
                run = await client.submit("x", model="test/basic")
                await run.cancel()
                with pytest.raises(ProviderFailed, match="cancelled"):
                    await run.wait()
                return await run.state()

        assert "cancelled" == asyncio.run(go())

    def test_cancel_asks_the_provider_once(self, client_of: Make, provider: Scripted) -> None:
        """At some vendors the same call made twice deletes a finished result."""
        provider.polls = [Progress("running", 0.1)]

        async def go() -> int:
            async with client_of() as client:
                run = await client.submit("x", model="test/basic")
                await run.cancel()
                with pytest.raises(ProviderFailed):
                    await run.wait()
                return provider.calls.count("cancel")

        assert 1 == asyncio.run(go())

    def test_cancelling_the_call_early_leaves_no_run_undriven(
        self, client_of: Make, provider: Scripted
    ) -> None:
        """However early a call is cancelled: what was written down goes on to its end."""

        async def go() -> set[str]:
            async with client_of() as client:
                for turns in range(0, 60, 3):
                    task = asyncio.create_task(client.generate("x", model="test/basic"))
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.wait([task])
                states = set()
                for job in await client.jobs():
                    await (await client.run(job.run_id)).wait()
                    states.add((await client.job(job.id)).state)
                return states

        assert asyncio.run(go()) <= {"settled"}

    def test_a_run_that_is_not_there(self, client_of: Make) -> None:
        """An unknown id is `InvalidRequest`, not a hang."""

        async def go() -> None:
            async with client_of() as client:
                await client.run("run_nope")

        with pytest.raises(InvalidRequest, match="no run 'run_nope'"):
            asyncio.run(go())
