"""What the engine promises about money and about work that is lost sight of, on a provider that plays a script."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.engine.scripted import Scripted, VirtualClock, paid, video
from vidorch import Budget
from vidorch.client.aio import AsyncClient, AsyncRun
from vidorch.clock import RealClock
from vidorch.contract import Accepted, Context, Done, Failed, FoundJob, LookFor, Output, Progress, Rejected
from vidorch.engine.errand import Errand
from vidorch.engine.homing import Homecoming
from vidorch.errors import (
    BadMedia,
    GenerationFailed,
    InvalidRequest,
    KeyConflict,
    MissingCredentials,
    OverBudget,
    ProviderFailed,
    Refused,
    SubmissionUnknown,
    Throttled,
    TimedOut,
    VidorchError,
)
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.moves import State
from vidorch.result import Job, Result

pytestmark = pytest.mark.databases

Make = Callable[..., AsyncClient]
BOTH = (paid("first"), paid("second"))
LIST = ["first", "second"]
START = VirtualClock().time


def one_by_one(*steps: Accepted | Exception | None) -> Callable[[int], Accepted | None]:
    """What each submit does, in order; the last is repeated."""

    def act(number: int) -> Accepted | None:
        step = steps[min(number, len(steps) - 1)]
        if isinstance(step, Exception):
            raise step
        return step

    return act


def rejected(after: float | None = None) -> Rejected:
    return Rejected(Throttled("slow down", retry_after=after), retry_after=after)


LOST = ConnectionResetError("the connection was reset")
FAILED: list[Any] = [Failed(ProviderFailed("it broke", charged=True))]
FREE_FAILURE: list[Any] = [Failed(ProviderFailed("it broke", charged=False))]


def run(client: AsyncClient, work: Callable[[AsyncClient], Awaitable[Any]]) -> Any:
    async def go() -> Any:
        async with client:
            return await work(client)

    return asyncio.run(go())


def generate(client: AsyncClient, **options: Any) -> Result:
    options = {"model": "test/basic"} | options
    result: Result = run(client, lambda c: c.generate("x", **options))
    return result


def jobs_of(client: AsyncClient) -> list[Job]:
    found: list[Job] = run(client, lambda c: c.jobs())
    return sorted(found, key=lambda job: (job.candidate, job.attempt))


class TestOneSubmit:
    def test_costs_what_the_catalog_says(self, client_of: Make, provider: Scripted) -> None:
        """Where the vendor tells no cost, the computed price is booked."""
        result = generate(client_of(paid()))
        assert (Decimal(1), "computed", Decimal(1)) == (result.cost, result.clip.cost_basis, result.clip.cost)
        assert 1 == provider.calls.count("submit")

    def test_the_vendors_own_figure_goes_before(self, client_of: Make, provider: Scripted) -> None:
        """Also above the reservation: booked in full, with a note."""
        provider.polls = [Done((Output(0, "r"),), cost=Decimal("1.37"))]
        result = generate(client_of(paid()))
        assert (Decimal("1.37"), "reported") == (result.cost, result.clip.cost_basis)
        assert any("more than the $1.00 reserved" in note for note in result.notes)

    def test_the_id_is_on_disk_before_the_first_poll(self, client_of: Make, provider: Scripted) -> None:
        """Whoever looks into the ledger at the first poll finds the vendor's id there."""
        client, seen = client_of(paid()), []
        poll = provider.poll

        async def look(context: Any, accepted: Accepted) -> Any:
            job = client._opened_ledger().job(context.job_id)
            assert job is not None
            seen.append(job.remote_id)
            return await poll(context, accepted)

        provider.poll = look  # type: ignore[method-assign]
        generate(client)
        assert seen and all(one is not None for one in seen)


def _all_of(error: BaseException) -> str:
    """Everything that an error shows when it is not caught, and what it carries."""
    return "".join(traceback.format_exception(error)) + repr(vars(error))


def _rows_of(client: AsyncClient) -> str:
    tables = ("runs", "jobs", "events")
    store = client._opened_ledger()._store
    return repr(store.read(lambda db: [db.raw.execute(f"SELECT * FROM {one}").fetchall() for one in tables]))


class TestRejections:
    def test_a_throttled_submit_goes_again_after_the_vendors_delay(
        self, client_of: Make, provider: Scripted, clock: VirtualClock
    ) -> None:
        """As a new job; the clip comes and is paid once."""
        provider.on_submit = one_by_one(rejected(7.0), rejected(9.0), None)
        client = client_of(paid())
        result = generate(client)
        assert (3, Decimal(1)) == (provider.calls.count("submit"), result.cost)
        assert {7.0, 9.0} <= set(clock.slept)
        assert ["rejected", "rejected", "settled"] == [job.state for job in jobs_of(client_of(paid()))]
        assert not result.failures or all(isinstance(error, Throttled) for error in result.failures)

    def test_five_times_and_no_more(self, client_of: Make, provider: Scripted) -> None:
        """After the sixth the error comes out, and nothing was charged."""
        provider.on_submit = one_by_one(rejected(1.0))
        with pytest.raises(Throttled) as caught:
            generate(client_of(paid()))
        assert (6, False) == (provider.calls.count("submit"), caught.value.charged)

    def test_then_the_next_offer(self, client_of: Make, provider: Scripted) -> None:
        """A submit that was rejected for good is followed by the next of the list."""
        provider.on_submit = one_by_one(rejected(), None)
        result = generate(client_of(*BOTH), model=LIST)
        assert ("second", Decimal(1)) == (result.clip.model, result.cost)

    def test_another_endpoint_of_a_bare_name_too(self, client_of: Make, provider: Scripted) -> None:
        """Nothing was accepted, so this is no second payment."""
        provider.on_submit = one_by_one(rejected(), None)
        offers = (paid("same"), paid("same", endpoint="elsewhere"))
        assert {"test", "elsewhere"} >= {generate(client_of(*offers), model="same").clip.endpoint}

    def test_every_cause_is_kept(self, client_of: Make, provider: Scripted) -> None:
        """When all are rejected, `GenerationFailed` holds each reason."""
        provider.on_submit = one_by_one(
            Rejected(InvalidRequest("bad seed", field="seed")), Rejected(MissingCredentials("no key"))
        )
        with pytest.raises(GenerationFailed) as caught:
            generate(client_of(*BOTH), model=LIST)
        assert [InvalidRequest, MissingCredentials] == [type(error) for error in caught.value.exceptions]
        assert caught.value.charged is False

    def test_a_credential_that_fails_at_the_last_moment_sends_nothing(
        self, client_of: Make, provider: Scripted
    ) -> None:
        """The vault answered for the plan and the upload, and not for the submit: rejected, not unknown."""
        asked: list[str] = []

        def vault(scope: str, endpoint: str) -> str:
            if "prepare" in provider.calls:
                raise ConnectionError("the vault is gone")
            asked.append(endpoint)
            return "secret-of-the-test"

        with pytest.raises(ProviderFailed, match="the vault is gone") as caught:
            generate(client_of(paid(variables=["TEST_KEY"]), credentials=vault))
        assert (False, 0) == (caught.value.charged, provider.calls.count("submit"))
        assert asked

    def test_a_credential_that_the_vendor_says_back_is_masked(
        self, client_of: Make, provider: Scripted
    ) -> None:
        """Neither the error nor the ledger holds it."""
        provider.on_submit = one_by_one(
            Rejected(MissingCredentials("the key secret-of-the-test is not valid"))
        )
        client = client_of(
            paid(variables=["TEST_KEY"]), credentials=lambda scope, endpoint: "secret-of-the-test"
        )
        with pytest.raises(MissingCredentials, match=r"the key \*\*\* is not valid"):
            generate(client)
        assert "secret-of-the-test" not in (jobs_of(client_of(paid()))[0].error_text or "")

    @pytest.mark.parametrize(
        "said",
        [
            ProviderFailed(
                "no such key: secret-of-the-test", hint="secret-of-the-test", code="secret-of-the-test"
            ),
            ValueError("Illegal header value b'Bearer secret-of-the-test'"),
        ],
        ids=["typed", "of-a-library"],
    )
    @pytest.mark.parametrize("call", ["prepare", "submit", "poll", "fetch", "cancel"])
    def test_a_credential_that_is_said_back_by_any_call_is_masked(
        self, client_of: Make, provider: Scripted, call: str, said: Exception
    ) -> None:
        """In no error, nor in those behind it, nor anywhere in the ledger."""
        client = client_of(
            paid(variables=["TEST_KEY"], find="none"),
            credentials=lambda scope, endpoint: "secret-of-the-test",
        )

        async def tell(*arguments: Any) -> Any:
            raise said

        async def go(client: AsyncClient) -> str:
            setattr(provider, call, tell)
            if call == "cancel":
                provider.polls = [Progress("running", 0.5)]
                begun = await client.submit("x", model="test/basic")
                with pytest.raises(type(said)) as caught:
                    await begun.cancel()
                return _all_of(caught.value) + _rows_of(client)
            with pytest.raises(VidorchError) as problem:
                await client.generate("x", model="test/basic")
            return _all_of(problem.value) + _rows_of(client)

        assert "secret-of-the-test" not in run(client, go)


class TestALostAnswer:
    def test_is_never_sent_again(self, client_of: Make, provider: Scripted) -> None:
        """No second submit, no other offer, whatever the list; the reservation stays counted."""
        provider.on_submit = one_by_one(LOST)
        client = client_of(*BOTH)
        with pytest.raises(
            SubmissionUnknown, match=r"was reset\. It is not sent again; its \$1\.00 stay"
        ) as caught:
            generate(client, model=LIST, retries=3, fallback_on_refusal=True)
        assert (1, None) == (provider.calls.count("submit"), caught.value.charged)
        (job,) = jobs_of(client_of(*BOTH))
        spent = run(client_of(*BOTH), lambda client: _spent(client, job.run_id))
        assert ("unknown", 1_000_000, 1_000_000) == (job.state, spent.unknown, spent.total)

    def test_may_be_followed_by_another_when_the_caller_says_so(
        self, client_of: Make, provider: Scripted
    ) -> None:
        """`on_unknown="next"` pays the next offer; what is unknown stays reported."""
        provider.on_submit = one_by_one(LOST, None)
        result = generate(client_of(*BOTH), model=LIST, on_unknown="next")
        assert ("second", [SubmissionUnknown]) == (result.clip.model, [type(e) for e in result.failures])

    def test_is_found_by_our_id(self, client_of: Make, provider: Scripted) -> None:
        """Where the vendor takes an external id, the job is adopted and its clip comes."""
        provider.on_submit = one_by_one(LOST)
        provider.found = lambda job: [FoundJob(Accepted(f"found-{job.job_id}"), exact=True)]
        provider._left = Anything([Done((Output(0, "r"),))])
        result = generate(client_of(paid(find="exact")))
        assert (Decimal(1), 1) == (result.cost, provider.calls.count("submit"))

    def test_is_found_in_a_list_when_it_can_only_be_that_one(
        self, client_of: Make, provider: Scripted, clock: VirtualClock
    ) -> None:
        """One entry that nobody owns, one job that nobody answered for."""
        provider.on_submit = one_by_one(LOST)
        looks: list[LookFor] = []

        def found(job: LookFor) -> list[FoundJob]:
            looks.append(job)
            return [] if len(looks) < 3 else [FoundJob(Accepted("the-one"), created_at=clock.now())]

        provider.found = found
        provider._left = Anything([Done((Output(0, "r"),))])
        result = generate(client_of(paid(find="list")))
        assert (Decimal(1), 3, "x") == (result.cost, len(looks), looks[0].settings["prompt"])

    def test_is_reported_when_it_could_be_several(
        self, client_of: Make, provider: Scripted, clock: VirtualClock
    ) -> None:
        """Two entries without an owner and one unknown job: nobody guesses with money."""
        provider.on_submit = one_by_one(LOST)
        provider.found = lambda job: [FoundJob(Accepted(name), created_at=clock.now()) for name in ("a", "b")]
        with pytest.raises(SubmissionUnknown) as caught:
            generate(client_of(paid(find="list")))
        assert ("a", "b") == caught.value.possible_ids

    def test_old_entries_are_not_ours(self, client_of: Make, provider: Scripted, clock: VirtualClock) -> None:
        """What was there more than a minute before we sent was made by somebody else."""
        provider.on_submit = one_by_one(LOST)
        provider.found = lambda job: [FoundJob(Accepted("old"), created_at=job.sent_at - 61)]
        with pytest.raises(SubmissionUnknown) as caught:
            generate(client_of(paid(find="list")))
        assert () == caught.value.possible_ids

    def test_is_closed_by_hand(self, client_of: Make, provider: Scripted) -> None:
        """Adopted with the vendor's id it is polled and fetched by a resume; settled it is booked; not charged it is released."""
        provider.on_submit = one_by_one(LOST)

        async def go(client: AsyncClient) -> None:
            for _ in range(3):
                with pytest.raises(SubmissionUnknown):
                    await client.generate("x", model="test/basic")
            first, second, third = sorted(await client.jobs(), key=lambda job: job.created_at)
            provider._left = Anything([Done((Output(0, "r"),))])
            await client.adopt(first.id, "theirs")
            with pytest.raises(InvalidRequest, match="another job"):
                await client.adopt(second.id, "theirs")
            await client.settle(second.id, "0.40")
            await client.settle(third.id, None)
            with pytest.raises(InvalidRequest, match="Only a job that is unknown or lost"):
                await client.settle(third.id, "1")
            (run,) = [one for one in await client.resume() if one.id == first.run_id]
            assert Decimal(1) == (await run.wait()).cost
            states = [(await client.job(one.id)) for one in (first, second, third)]
            assert ["settled", "settled", "rejected"] == [job.state for job in states]
            assert [Decimal(1), Decimal("0.40"), None] == [job.cost for job in states]

        run(client_of(paid()), go)


class TestClosedByHand:
    def test_is_what_the_call_with_its_key_is_told(self, client_of: Make, provider: Scripted) -> None:
        """In place of the old error, with the day, the amount, and a code to know it by."""
        provider.on_submit = one_by_one(LOST)

        async def go(client: AsyncClient) -> ProviderFailed:
            with pytest.raises(SubmissionUnknown) as lost:
                await client.generate("x", model="test/basic", key="k")
            await client.settle(lost.value.job_id or "", "0.40")
            with pytest.raises(ProviderFailed) as closed:
                await client.generate("x", model="test/basic", key="k")
            return closed.value

        error = run(client_of(paid()), go)
        day = datetime.fromtimestamp(START).astimezone().strftime("%Y-%m-%d")
        assert (f"Closed by hand on {day}: charged $0.40.", "closed_by_hand", True) == (
            error.message, error.code, error.charged,
        )  # fmt: skip

    def test_is_told_beside_the_clips_that_came(self, client_of: Make, provider: Scripted) -> None:
        """As the failure of its candidate."""
        provider.on_submit = one_by_one(LOST, None)

        async def go(client: AsyncClient) -> Result:
            first = await client.generate("x", model="test/basic", candidates=2, key="k")
            await client.settle(first.failures[0].job_id or "", "0.40")
            return await client.generate("x", model="test/basic", candidates=2, key="k")

        result = run(client_of(paid()), go)
        assert (Decimal("1.40"), 1) == (result.cost, len(result.candidates))
        assert ["closed_by_hand"] == [failure.code for failure in result.failures]

    def test_keeps_why_a_job_failed_whose_cost_was_assumed(self, client_of: Make, provider: Scripted) -> None:
        """The vendor's words, and then the person's."""
        provider.write = lambda path: path.write_bytes(b"no video") and None

        async def go(client: AsyncClient) -> Job:
            with pytest.raises(BadMedia) as bad:
                await client.generate("x", model="test/basic")
            return await client.settle(bad.value.job_id or "", None)

        text = run(client_of(paid()), go).error_text or ""
        assert text.endswith(": not charged.")
        assert " Closed by hand on " in text

    def test_a_clip_that_came_is_no_failure(self, client_of: Make, provider: Scripted) -> None:
        """Found at its vendor after all, whatever was said of it before."""
        provider.on_submit = one_by_one(LOST)
        provider._left = Anything([Done((Output(0, "r"),))])

        async def go(client: AsyncClient) -> Result:
            with pytest.raises(SubmissionUnknown) as lost:
                await client.generate("x", model="test/basic", key="k")
            await client.adopt(lost.value.job_id or "", "r")
            return await client.generate("x", model="test/basic", key="k")

        assert () == run(client_of(paid()), go).failures


class TestAWrongIdGivenByHand:
    async def _adopted(self, client: AsyncClient, remote_id: str = "wrong") -> Job:
        with pytest.raises(SubmissionUnknown) as caught:
            await client.generate("x", model="test/basic")
        return await client.adopt(caught.value.job_id or "", remote_id)

    def test_is_put_right(self, client_of: Make, provider: Scripted) -> None:
        """The job is polled under the new id alone, and the old one is free for another job."""
        provider.on_submit = one_by_one(LOST)
        provider._left = Anything([Done((Output(0, "r"),))])

        async def go(client: AsyncClient) -> None:
            job = await self._adopted(client)
            assert ("accepted", "right") == (
                (again := await client.adopt(job.id, " right ")).state,
                again.remote_id,
            )
            await self._adopted(client, "wrong")
            result = await (await client.run(job.run_id)).wait()
            assert (job.id, "right") == (result.clip.job_id, (await client.job(job.id)).remote_id)

        run(client_of(paid()), go)

    def test_leaves_both_ids_in_the_history(self, client_of: Make, provider: Scripted) -> None:
        """By way of `unknown`, each step by hand."""
        provider.on_submit = one_by_one(LOST)

        async def go(client: AsyncClient) -> list[Any]:
            job = await self._adopted(client)
            await client.adopt(job.id, "right")
            events = await (await client.run(job.run_id)).events()
            return [(event.target, event.data) for event in events if event.data.get("by_hand")]

        assert [
            ("accepted", {"by_hand": True}),
            ("unknown", {"by_hand": True, "from": "wrong"}),
            ("accepted", {"by_hand": True, "from": "wrong", "to": "right"}),
        ] == run(client_of(paid()), go)

    def test_said_twice_changes_nothing(self, client_of: Make, provider: Scripted) -> None:
        """The same id again is the same word."""
        provider.on_submit = one_by_one(LOST)

        async def go(client: AsyncClient) -> tuple[int, int]:
            job = await self._adopted(client)
            return job.version, (await client.adopt(job.id, "wrong")).version

        before, after = run(client_of(paid()), go)
        assert before == after

    def test_is_kept_when_the_other_belongs_to_another_job(self, client_of: Make, provider: Scripted) -> None:
        """Nothing is changed then."""
        provider.on_submit = one_by_one(LOST)

        async def go(client: AsyncClient) -> Job:
            await self._adopted(client, "theirs")
            job = await self._adopted(client)
            with pytest.raises(InvalidRequest, match=r"another job.*Nothing was changed"):
                await client.adopt(job.id, "theirs")
            return await client.job(job.id)

        assert ("accepted", "wrong") == ((job := run(client_of(paid()), go)).state, job.remote_id)

    def test_can_be_closed_instead(self, client_of: Make, provider: Scripted) -> None:
        """With what it cost, or as not charged."""
        provider.on_submit = one_by_one(LOST)

        async def go(client: AsyncClient) -> list[Job]:
            jobs = [await self._adopted(client, name) for name in ("a", "b")]
            return [
                await client.settle(job.id, amount) for job, amount in zip(jobs, ("0.40", None), strict=True)
            ]

        jobs = run(client_of(paid()), go)
        assert [("settled", Decimal("0.40"), None), ("rejected", None, None)] == [
            (job.state, job.cost, job.remote_id) for job in jobs
        ]

    @pytest.mark.parametrize("comes_of_it", ["a clip", "nothing"])
    def test_is_left_by_whoever_polls_it(
        self, client_of: Make, provider: Scripted, monkeypatch: pytest.MonkeyPatch, comes_of_it: str
    ) -> None:
        """Another process was waiting for it: what comes under the old id, or does not, is nothing to it any more."""
        provider.on_submit = one_by_one(LOST)
        polled, put_right = asyncio.Event(), asyncio.Event()

        async def poll(context: Context, accepted: Accepted) -> Done:
            polled.set()
            await put_right.wait()
            if (accepted.remote_id, comes_of_it) == ("wrong", "nothing"):
                raise ConnectionResetError
            return Done((Output(0, accepted.remote_id),))

        monkeypatch.setattr(provider, "poll", poll)

        async def go(person: AsyncClient) -> tuple[list[str], str | None]:
            job = await self._adopted(person)
            async with client_of(paid()) as other:
                (handle,) = await other.resume(job.run_id)
                await polled.wait()
                await person.adopt(job.id, "right")
                put_right.set()
                result = await handle.wait()
            there = [path.name for path in result.clip.path.parent.iterdir()] if result.clip.path else []
            return there, (await person.job(job.id)).remote_id

        assert (["1-test-basic.mp4"], "right") == run(client_of(paid()), go)

    def test_that_the_vendor_gave_stays(self, client_of: Make, provider: Scripted) -> None:
        """What a vendor called its job is no person's word: nothing is changed, nor is it said that it was not charged."""
        provider.polls = [Progress("running", 0.1)]

        async def go(client: AsyncClient) -> None:
            handle = await client.submit("x", model="test/basic")
            (job,) = await handle.jobs()
            for act in (client.adopt(job.id, "other"), client.settle(job.id, "1")):
                with pytest.raises(
                    InvalidRequest, match="adopted by hand and has given nothing yet"
                ) as caught:
                    await act
                assert caught.value.charged is None

        run(client_of(paid()), go)

    def test_of_which_something_came_stays(self, client_of: Make, provider: Scripted) -> None:
        """A clip that is there was made by that job."""
        provider.on_submit = one_by_one(LOST)
        provider._left = Anything([Done((Output(0, "r"),))])

        async def go(client: AsyncClient) -> None:
            job = await self._adopted(client)
            await (await client.run(job.run_id)).wait()
            with pytest.raises(InvalidRequest, match="is settled"):
                await client.adopt(job.id, "right")

        run(client_of(paid()), go)


class Anything(dict[str, Any]):
    """The same script for whatever id."""

    def __init__(self, script: list[Any]) -> None:
        super().__init__()
        self.script = script

    def __missing__(self, key: str) -> list[Any]:
        return self.script


async def _spent(client: AsyncClient, run_id: str) -> Any:
    await client.jobs()
    return client._opened_ledger().spent(run_id)


class TestFailures:
    def test_one_model_alone_is_not_repeated(self, client_of: Make, provider: Scripted) -> None:
        """What failed was perhaps paid; nobody asked for another."""
        provider.polls = FAILED
        with pytest.raises(ProviderFailed) as caught:
            generate(client_of(paid()))
        assert (1, True) == (provider.calls.count("submit"), caught.value.charged)

    def test_retries_are_counted_over_the_run_and_paid(self, client_of: Make, provider: Scripted) -> None:
        """What the failed ones cost stays in `result.cost`."""
        provider.script_of = lambda number: FAILED if number < 2 else [Done((Output(0, "r"),))]
        result = generate(client_of(paid()), retries=2)
        assert (Decimal(3), 3, 2) == (result.cost, provider.calls.count("submit"), len(result.failures))

    def test_a_list_is_a_fallback(self, client_of: Make, provider: Scripted) -> None:
        """The next model of the caller's list."""
        provider.script_of = lambda number: FREE_FAILURE if number < 1 else [Done((Output(0, "r"),))]
        result = generate(client_of(*BOTH), model=LIST)
        assert ("second", Decimal(1)) == (result.clip.model, result.cost)

    @pytest.mark.parametrize(
        ("rule", "cost", "charged"), [("free", 0, False), ("full", 1, True), ("unknown", 1, None), ("part", 1, None)]
    )  # fmt: skip
    def test_are_booked_by_the_vendors_rule(
        self, client_of: Make, provider: Scripted, rule: str, cost: int, charged: bool | None
    ) -> None:
        """Where the vendor says nothing about this job, its rule holds; where nobody knows, the reserved high is assumed."""
        provider.polls = [Failed(ProviderFailed("it broke"))]
        client = client_of(paid(billing={"failed": rule, "source": "a test"}))
        with pytest.raises(ProviderFailed) as caught:
            generate(client)
        (job,) = jobs_of(client_of(paid()))
        assert (charged, cost) == (caught.value.charged, job.cost or 0)
        assert ("assumed" if charged is None else "computed") == (job.cost_basis or "computed")

    def test_a_bad_file_is_fetched_again_before_the_vendor_is_blamed(
        self, client_of: Make, provider: Scripted
    ) -> None:
        """Cut once on its way: the second fetch brings it, and nothing is bought again."""

        def write(path: Path) -> None:
            video(path) if provider.calls.count("fetch") > 1 else path.write_bytes(b"half")

        provider.write = write
        result = generate(client_of(paid()))
        assert (2, 1) == (provider.calls.count("fetch"), provider.calls.count("submit"))
        assert Decimal(1) == result.cost

    def test_a_file_that_stays_bad_is_a_failure_of_unknown_cost(
        self, client_of: Make, provider: Scripted
    ) -> None:
        """It may well be billed: booked as assumed, and said."""
        provider.write = lambda path: path.write_bytes(b"never a video")  # type: ignore[assignment]
        with pytest.raises(BadMedia) as caught:
            generate(client_of(paid()))
        assert caught.value.charged is None

    @pytest.mark.parametrize(
        ("made", "said"),
        [
            ({"frames": 24}, "lasts 3.00 s, and 1 s were bought"),
            ({"size": 96}, "is 96x96, and 64x64 was bought"),
        ],
        ids=["length", "size"],
    )
    def test_a_clip_unlike_what_was_bought_is_kept_with_a_note(
        self, client_of: Make, provider: Scripted, made: dict[str, int], said: str
    ) -> None:
        """It is paid for and whole: fetched twice, to be sure, and then handed over with what is not as it was bought."""
        provider.write = lambda path: video(path, **made)
        result = generate(client_of(paid()))
        assert (2, True) == (provider.calls.count("fetch"), any(said in note for note in result.notes))
        assert result.clip.path is not None
        assert result.clip.path.exists()

    def test_an_expired_link_is_renewed(self, client_of: Make, provider: Scripted) -> None:
        """The output is asked for again and fetched from the new place."""
        fetch, refs = provider.fetch, []

        async def expired_once(context: Any, output: Output, path: Path) -> None:
            refs.append(output.ref)
            if len(refs) == 1:
                raise ProviderFailed("403")
            await fetch(context, output, path)

        provider.fetch = expired_once  # type: ignore[method-assign]
        generate(client_of(paid()))
        assert 2 == len(refs) and refs[1].endswith("-again")


class TestRefusals:
    REFUSED: ClassVar[list[Any]] = [Failed(Refused("a face", stage="output"))]

    def test_are_neither_repeated_nor_passed_on(self, client_of: Make, provider: Scripted) -> None:
        """Whatever the list, and whatever `retries` says."""
        provider.polls = self.REFUSED
        with pytest.raises(Refused):
            generate(client_of(*BOTH), model=LIST, retries=3)
        assert 1 == provider.calls.count("submit")

    def test_are_passed_on_when_asked(self, client_of: Make, provider: Scripted) -> None:
        """`fallback_on_refusal=True`."""
        provider.script_of = lambda number: self.REFUSED if number < 1 else [Done((Output(0, "r"),))]
        assert "second" == generate(client_of(*BOTH), model=LIST, fallback_on_refusal=True).clip.model

    def test_are_tried_again_with_another_seed_when_asked(self, client_of: Make, provider: Scripted) -> None:
        """`retry_refused=1`."""
        provider.script_of = lambda number: self.REFUSED if number < 1 else [Done((Output(0, "r"),))]
        generate(client_of(paid()), retry_refused=1, seed=7)
        assert 2 == len(set(provider.seeds))


class TestMoney:
    def test_the_default_cap(self, client_of: Make, provider: Scripted) -> None:
        """Six clips at a dollar do not fit the five dollars of a call that names no limit; nothing is sent."""
        with pytest.raises(OverBudget, match="default cap"):
            generate(client_of(paid()), candidates=6)
        assert 0 == provider.calls.count("submit")

    def test_a_retry_must_fit_by_itself(self, client_of: Make, provider: Scripted) -> None:
        """What failed was charged, so the next one does not fit any more: it is passed over, and the reason kept."""
        provider.polls = FAILED
        with pytest.raises(GenerationFailed) as caught:
            generate(client_of(paid()), retries=5, max_cost="2.50")
        assert 2 == provider.calls.count("submit")
        assert OverBudget in {type(error) for error in caught.value.exceptions}

    def test_an_offer_that_does_not_fit_is_passed_over(self, client_of: Make, provider: Scripted) -> None:
        """The cheaper one of the list is taken, with a note."""
        dear = paid("first", price={"rule": "table", "source": "a test",
                                    "row": [{"per_second": "9.00", "source": "a test", "as_of": paid()["as_of"]}]})  # fmt: skip
        result = generate(client_of(dear, paid("second")), model=LIST, max_cost="2")
        assert ("second", Decimal(1)) == (result.clip.model, result.cost)
        assert any("test/first was passed over: over max_cost" in note for note in result.notes)

    def test_a_budget_holds_over_calls(self, client_of: Make, provider: Scripted) -> None:
        """Two dollars a day buy two clips, not three; the error names the budget."""

        async def go(client: AsyncClient) -> None:
            await client.generate("x", model="test/basic")
            await client.generate("x", model="test/basic")
            with pytest.raises(OverBudget, match="spring") as caught:
                await client.generate("x", model="test/basic")
            assert ("spring", Decimal(0)) == (caught.value.budget, caught.value.available)
            (state,) = await client.budgets()
            assert (Decimal(2), Decimal(0)) == (state.settled, state.left)

        run(client_of(paid(), budget=Budget("2.00", name="spring", per="day")), go)

    def test_several_clips_share_the_cost_to_the_cent(self, client_of: Make, provider: Scripted) -> None:
        """A dollar over three clips adds up to a dollar."""
        provider.polls = [Done(tuple(Output(number, "r") for number in range(3)), cost=Decimal(1))]
        result = generate(client_of(multi()), candidates=3)
        assert Decimal(1) == result.cost == sum(clip.cost for clip in result.candidates)


def multi(samples: int = 4) -> dict[str, Any]:
    offer = paid()
    return offer | {"capabilities": offer["capabilities"] | {"samples": samples}}


class TestCandidates:
    def test_one_job_may_yield_several(self, client_of: Make, provider: Scripted) -> None:
        """Three candidates of an offer that makes four at once are one submit."""
        provider.polls = [Done(tuple(Output(number, "r") for number in range(3)))]
        result = generate(client_of(multi()), candidates=3)
        assert (3, [0, 1, 2], 1) == (
            len(result.candidates), [clip.candidate for clip in result.candidates], provider.calls.count("submit")
        )  # fmt: skip
        assert Decimal(3) == result.cost

    def test_seeds_that_were_asked_for_hold(self, client_of: Make, provider: Scripted) -> None:
        """Candidate i has seed s + i, so each is a job of its own."""
        generate(client_of(multi()), candidates=3, seed=10)
        assert [10, 11, 12] == sorted(seed for seed in provider.seeds if seed is not None)

    def test_withheld_samples_are_failures(self, client_of: Make, provider: Scripted) -> None:
        """What came is kept, and what was withheld is told with the vendor's words."""
        provider.polls = [Done((Output(0, "r"),), filtered=2, filter_reasons=("a face", "a logo"))]
        result = generate(client_of(multi()), candidates=3)
        assert (1, ["output"]) == (len(result.candidates), [getattr(e, "stage", "") for e in result.failures])
        assert "a face" in str(result.failures[0])

    def test_refill_replaces_them(self, client_of: Make, provider: Scripted) -> None:
        """As one more job for the two that are missing."""
        provider.script_of = lambda number: [
            Done((Output(0, "r"),), filtered=2) if number < 1 else Done((Output(0, "r"), Output(1, "r")))
        ]
        result = generate(client_of(multi()), candidates=3, refill=1)
        assert ([0, 1, 2], 2) == (
            [clip.candidate for clip in result.candidates],
            provider.calls.count("submit"),
        )

    def test_partial_success_keeps_what_came(self, client_of: Make, provider: Scripted) -> None:
        """Two of three, and one failure."""
        provider.script_of = lambda number: FAILED if number == 1 else [Done((Output(0, "r"),))]
        result = generate(client_of(paid()), candidates=3)
        assert (2, 1, Decimal(3)) == (len(result.candidates), len(result.failures), result.cost)

    def test_spread_starts_each_on_a_model_of_its_own(self, client_of: Make, provider: Scripted) -> None:
        """Two models, three candidates: first, second, first."""
        result = generate(client_of(*BOTH), model=LIST, candidates=3, spread=True)
        assert ["first", "second", "first"] == [clip.model for clip in result.candidates]

    def test_a_function_selects(self, client_of: Make) -> None:
        """It is given the clips, and what it returns is handed over."""
        result = generate(client_of(paid()), candidates=3, select=lambda clips: clips[-1])
        assert 2 == result.clip.candidate

    def test_a_function_that_fails_loses_nothing(self, client_of: Make) -> None:
        """The first clip is handed over, with a note."""

        def broken(clips: Any) -> Any:
            raise ZeroDivisionError

        result = generate(client_of(paid()), candidates=2, select=broken)
        assert 0 == result.clip.candidate
        assert any("selection failed" in note for note in result.notes)


class TestKeys:
    def test_the_same_call_pays_once(self, client_of: Make, provider: Scripted) -> None:
        """From one client to the next: the finished run is given back."""
        first = generate(client_of(paid()), key="order-1")
        second = generate(client_of(paid()), key="order-1")
        assert (first.run_id, first.clip.uri, 1) == (
            second.run_id,
            second.clip.uri,
            provider.calls.count("submit"),
        )

    def test_the_file_that_it_made_is_no_hindrance(
        self, client_of: Make, provider: Scripted, tmp_path: Path
    ) -> None:
        """`output=` names what the first call put there."""
        out = tmp_path / "order.mp4"
        clips = [generate(client_of(paid()), key="k", output=out).clip for _ in range(2)]
        assert (out, out, 1) == (clips[0].path, clips[1].path, provider.calls.count("submit"))

    def test_at_the_same_time_too(self, client_of: Make, provider: Scripted) -> None:
        """Ten calls at once join one run."""

        async def go(client: AsyncClient) -> set[str]:
            calls = (client.generate("x", model="test/basic", key="k") for _ in range(10))
            return {result.run_id for result in await asyncio.gather(*calls)}

        assert (1, 1) == (len(run(client_of(paid()), go)), provider.calls.count("submit"))

    @pytest.mark.parametrize(
        ("other", "differs"), [({"seed": 2}, "seed"), ({"candidates": 2}, "candidates"), ({"model": "second"}, "model")]
    )  # fmt: skip
    def test_another_request_is_a_conflict(
        self, client_of: Make, provider: Scripted, other: dict[str, Any], differs: str
    ) -> None:
        """Nothing is sent, and what differs is named."""
        generate(client_of(*BOTH), model="first", key="k")
        with pytest.raises(KeyConflict, match=differs) as caught:
            generate(client_of(*BOTH), **({"model": "first", "key": "k"} | other))
        assert ((differs,), 1) == (caught.value.differs, provider.calls.count("submit"))

    def test_what_is_not_compared(self, client_of: Make, provider: Scripted) -> None:
        """`timeout`, `max_cost`, `tags`, `retries` and `select` may differ."""
        generate(client_of(paid()), key="k", max_cost="2", tags={"a": "b"})
        generate(client_of(paid()), key="k", max_cost="4", retries=2, select="first")
        assert 1 == provider.calls.count("submit")

    def test_scopes_are_apart(self, client_of: Make, provider: Scripted) -> None:
        """The same key of another scope is another run."""
        generate(client_of(paid()), key="k", scope="a")
        generate(client_of(paid()), key="k", scope="b")
        assert 2 == provider.calls.count("submit")

    def test_what_was_never_sent_by_a_process_that_ended_is_sent_by_the_next_call(
        self, client_of: Make, provider: Scripted, clock: VirtualClock
    ) -> None:
        """It was still being made ready; the first call after that gets the clip."""

        async def go(second: AsyncClient) -> int:
            first = client_of(paid())
            ready, never = asyncio.Event(), asyncio.Event()
            prepare = provider.prepare

            async def hang(*arguments: Any) -> Any:
                ready.set()
                await never.wait()

            provider.prepare = hang  # type: ignore[method-assign]
            call = asyncio.ensure_future(first.generate("x", model="test/basic", key="k"))
            await ready.wait()
            assert first._engine is not None
            first._engine._services.host.leave()  # as another process sees one that was killed
            clock.time += 120
            provider.prepare = prepare  # type: ignore[method-assign]
            result = await second.generate("x", model="test/basic", key="k")
            call.cancel()
            return len(result.candidates)

        assert (1, 1) == (run(client_of(paid()), go), provider.calls.count("submit"))

    def test_what_was_rejected_may_be_sent_by_the_next_call(
        self, client_of: Make, provider: Scripted
    ) -> None:
        """Provably nothing was sent, so the same key tries again: a key that was mended, a vendor that is back."""
        provider.on_submit = one_by_one(Rejected(MissingCredentials("no key")), None)
        with pytest.raises(MissingCredentials):
            generate(client_of(paid()), key="k")
        result = generate(client_of(paid()), key="k")
        assert (2, Decimal(1)) == (provider.calls.count("submit"), result.cost)

    @pytest.mark.parametrize("script", [FAILED, TestRefusals.REFUSED])
    def test_what_failed_is_reported_and_never_sent_again(
        self, client_of: Make, provider: Scripted, script: list[Any]
    ) -> None:
        """The error comes again; no submit does."""
        provider.polls = script
        kinds = []
        for _ in range(2):
            with pytest.raises((ProviderFailed, Refused)) as caught:
                generate(client_of(paid()), key="k", retries=0)
            kinds.append(type(caught.value))
        assert (1, 1) == (len(set(kinds)), provider.calls.count("submit"))

    def test_what_is_unknown_is_reported_and_never_sent_again(
        self, client_of: Make, provider: Scripted
    ) -> None:
        """However often the call is made."""
        provider.on_submit = one_by_one(LOST)
        for _ in range(3):
            with pytest.raises(SubmissionUnknown):
                generate(client_of(paid()), key="k")
        assert 1 == provider.calls.count("submit")

    def test_whoever_joins_is_told(self, client_of: Make, provider: Scripted) -> None:
        """When it was made, under which key, and that this call paid nothing; the first call is told nothing of the kind."""
        first = generate(client_of(paid()), key="k")
        second = generate(client_of(paid()), key="k")
        assert (False, Decimal(0), ()) == (first.joined, first.paid_earlier, first.notes)
        assert (True, Decimal(1), Decimal(1)) == (second.joined, second.paid_earlier, second.cost)
        (note,) = second.notes
        made = datetime.fromtimestamp(START).astimezone().strftime("%Y-%m-%d %H:%M")
        assert f"Joined run {first.run_id} made {made} under key 'k': nothing was paid by this call." == note

    def test_whoever_joins_what_is_under_way_is_told(self, client_of: Make, provider: Scripted) -> None:
        """Of two calls at once one began the run, and the other one paid nothing."""

        async def go(client: AsyncClient) -> list[Result]:
            return await asyncio.gather(
                *(client.generate("x", model="test/basic", key="k") for _ in range(2))
            )

        results = run(client_of(paid()), go)
        assert [(False, 0), (True, 1)] == sorted((one.joined, one.paid_earlier) for one in results)

    def test_whoever_joins_is_told_of_what_it_paid_itself(self, client_of: Make, provider: Scripted) -> None:
        """Two candidates were paid earlier, the third by this call."""
        provider.on_submit = lambda number: (_ for _ in ()).throw(rejected()) if number == 1 else None  # type: ignore[assignment]
        generate(client_of(paid()), candidates=3, key="k")
        result = generate(client_of(paid()), candidates=3, key="k")
        assert (Decimal(3), Decimal(2)) == (result.cost, result.paid_earlier)
        assert "$1.00 of it was paid by this call." in result.notes[-1]

    def test_an_error_that_is_joined_says_so(self, client_of: Make, provider: Scripted) -> None:
        """As a note on the exception; the call that bought it has none."""
        provider.polls = FAILED
        notes = []
        for _ in range(3):
            with pytest.raises(ProviderFailed) as caught:
                generate(client_of(paid()), key="k")
            notes.append([one.partition(": ")[2] for one in getattr(caught.value, "__notes__", ())])
        assert [[], *[["nothing was paid by this call."]] * 2] == notes

    def test_a_handle_that_gave_up_once_knows_what_it_bought(
        self, client_of: Make, provider: Scripted
    ) -> None:
        """What had not been sent was bought by this call, however often it is waited for."""
        provider.on_submit = one_by_one(rejected(), None)
        provider.polls = [Progress("running", 0.1)] * 50 + [Done((Output(0, "r"),))]

        async def go(client: AsyncClient) -> Result:
            with pytest.raises(Throttled):
                await client.generate("x", model="test/basic", key="k")
            provider.sending = asyncio.Event()
            handle = await client.submit("x", model="test/basic", key="k")
            await provider.sending.wait()
            with pytest.raises(TimedOut) as caught:
                await handle.wait(timeout=10)
            assert "this call pays for what had not been sent of it" in caught.value.__notes__[-1]
            return await handle.wait()

        assert (True, Decimal(0)) == ((result := run(client_of(paid()), go)).joined, result.paid_earlier)

    def test_a_client_that_is_closed_meanwhile_says_that(self, client_of: Make, provider: Scripted) -> None:
        """Whoever waits on a joined run learns that the client is gone, not that its ledger is."""
        provider.polls = [Progress("running", 0.1)]

        async def go() -> str:
            client = client_of(paid())
            await client.submit("x", model="test/basic", key="k")
            joined = await client.submit("x", model="test/basic", key="k")
            waiting = asyncio.ensure_future(joined.wait())
            await asyncio.sleep(0)
            await client.aclose()
            with pytest.raises(ProviderFailed) as caught:
                await waiting
            return caught.value.message

        assert "The client was closed" in asyncio.run(go())

    def test_only_the_missing_candidate_is_sent(self, client_of: Make, provider: Scripted) -> None:
        """Two came and one was rejected: the next call with the key buys that one."""
        provider.on_submit = lambda number: (_ for _ in ()).throw(rejected()) if number == 1 else None  # type: ignore[assignment]
        first = generate(client_of(paid()), candidates=3, key="k")
        second = generate(client_of(paid()), candidates=3, key="k")
        assert (2, 3, 4) == (len(first.candidates), len(second.candidates), provider.calls.count("submit"))


class TestLettingGo:
    def test_a_timeout_leaves_the_job_to_whoever_asks(self, client_of: Make, provider: Scripted) -> None:
        """By the clock of the jobs; the message says how to get it back."""
        provider.polls = [Progress("running", 0.1)] * 50 + [Done((Output(0, "r"),))]

        async def go(client: AsyncClient) -> Decimal:
            with pytest.raises(TimedOut, match="jobs resume") as caught:
                await client.generate("x", model="test/basic", timeout=10)
            result = await (await client.run(caught.value.run_id or "")).wait()
            return result.cost

        assert Decimal(1) == run(client_of(paid()), go)
        assert 1 == provider.calls.count("submit")

    def test_a_closed_client_leaves_it_to_the_next(self, client_of: Make, provider: Scripted) -> None:
        """The lease is given back, so the next client may take it up at once; it polls and submits nothing."""
        provider.polls = [Progress("running", 0.1)] * 5 + [Done((Output(0, "r"),))]

        async def begin(client: AsyncClient) -> str:
            return (await client.submit("x", model="test/basic")).id

        run_id = run(client_of(paid()), begin)

        async def resume(client: AsyncClient) -> Result:
            (run,) = await client.resume()
            assert run_id == run.id
            return await run.wait()

        assert Decimal(1) == run(client_of(paid()), resume).cost
        assert 1 == provider.calls.count("submit")

    def test_a_client_closed_while_throttled_leaves_it_waiting(
        self, client_of: Make, provider: Scripted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing was sent, and the repeat was still to come: it is sent by whoever goes on, and by nobody alone."""
        provider.on_submit = one_by_one(rejected(60.0), None)

        async def begin(client: AsyncClient) -> str:
            return (await client.submit("x", model="test/basic")).id

        run_id = run(client_of(paid(), clock=RealClock()), begin)

        async def go_on(client: AsyncClient) -> tuple[str, Decimal]:
            assert [] == await client.resume()
            handle = await client.run(run_id)
            before = await handle.state()
            await handle.proceed()
            return before, (await handle.wait()).cost

        assert ("waiting", Decimal(1)) == run(client_of(paid()), go_on)
        assert 2 == provider.calls.count("submit")

    def test_detach_gives_it_back_at_once(self, client_of: Make, provider: Scripted) -> None:
        """While the first client lives, another one carries it on."""
        provider.polls = [Progress("running", 0.1)] * 5 + [Done((Output(0, "r"),))]

        async def go(client: AsyncClient) -> Decimal:
            first = await client.submit("x", model="test/basic", detach=True)
            async with client_of(paid()) as other:
                (run,) = await other.resume()
                assert first.id == run.id
                return (await run.wait()).cost

        assert Decimal(1) == run(client_of(paid()), go)

    def test_waiting_on_a_handle_takes_it_up(self, client_of: Make, provider: Scripted) -> None:
        """Nobody carries it any more: whoever waits does."""
        provider.polls = [Progress("running", 0.1)] * 5 + [Done((Output(0, "r"),))]

        async def begin(client: AsyncClient) -> str:
            return (await client.submit("x", model="test/basic")).id

        run_id = run(client_of(paid()), begin)

        async def wait(client: AsyncClient) -> Result:
            return await (await client.run(run_id)).wait()

        assert run_id == run(client_of(paid()), wait).run_id

    def test_cancel_asks_the_vendor_and_books_by_its_rule(self, client_of: Make, provider: Scripted) -> None:
        """The vendor says that it was not charged: released."""
        provider.polls = [Progress("running", 0.1)]

        async def go(client: AsyncClient) -> Job:
            run = await client.submit("x", model="test/basic")
            await run.cancel()
            with pytest.raises(ProviderFailed, match="cancelled"):
                await run.wait()
            (job,) = await run.jobs()
            return job

        job = run(client_of(paid(min_poll=0.01), clock=RealClock()), go)
        assert ("cancelled", None, 1) == (job.state, job.cost, provider.calls.count("cancel"))

    def test_a_run_of_another_owner_can_be_cancelled(self, client_of: Make, provider: Scripted) -> None:
        """The vendor is asked from here; whoever carries it sees the end."""
        provider.polls = [Progress("running", 0.1)]
        offer = paid(min_poll=0.01)

        async def go(client: AsyncClient) -> str:
            mine = await client.submit("x", model="test/basic")
            async with client_of(offer, clock=RealClock()) as other:
                await (await other.run(mine.id)).cancel()
            with pytest.raises(ProviderFailed):
                await mine.wait()
            return await mine.state()

        assert "cancelled" == run(client_of(offer, clock=RealClock()), go)

    def test_past_its_deadline_it_stays_open(self, client_of: Make, provider: Scripted) -> None:
        """`TimedOut` has the vendor's id; the job is still there for a resume."""
        provider.polls = [Progress("running", 0.1)]
        with pytest.raises(TimedOut) as caught:
            generate(client_of(paid(min_poll=30)))
        assert caught.value.remote_id is not None
        (job,) = jobs_of(client_of(paid()))
        assert ("running", None) == (job.state, job.owner)

    def test_a_machine_that_slept_is_given_time_to_find_its_network(
        self, client_of: Make, provider: Scripted, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It wakes past everything, and the first look is lost: that is no reason to call the job lost."""
        sleep, slept = clock.sleep, []

        async def overnight(seconds: float) -> None:
            await sleep(seconds)
            slept.append(seconds)
            if len(slept) == 2:
                clock.time += 8 * 3600

        monkeypatch.setattr(clock, "sleep", overnight)
        provider.polls = [Progress("running", 0.5), OSError("no network"), Done((Output(0, "r"),))]
        assert Decimal(1) == generate(client_of(paid(result_lifetime=3600))).cost

    def test_past_the_vendors_keeping_it_is_lost_loudly(
        self, client_of: Make, provider: Scripted, clock: VirtualClock
    ) -> None:
        """Booked at the reserved high until a person says better."""
        provider.polls = [Progress("running", 0.1)]
        offer = paid(min_poll=30, result_lifetime=3600)
        with pytest.raises(TimedOut):
            generate(client_of(offer))
        clock.time += 3 * 3600

        async def go(client: AsyncClient) -> Job:
            (run,) = await client.resume()
            with pytest.raises(ProviderFailed, match="booked at") as caught:
                await run.wait()
            return await client.job(caught.value.job_id or "")

        job = run(client_of(offer), go)
        assert (State.LOST, Decimal(1), "assumed", None) == (job.state, job.cost, job.cost_basis, job.charged)


class TestBatches:
    def test_one_run_for_each_line_and_one_cap_for_all(self, client_of: Make, provider: Scripted) -> None:
        """Six dollars of lines do not fit the default cap; with a higher one they come in order."""

        async def go(client: AsyncClient) -> list[Any]:
            with pytest.raises(OverBudget):
                await client.generate_many(["x"] * 6, model="test/basic")
            assert 0 == provider.calls.count("submit")
            return await client.generate_many(["x"] * 6, model="test/basic", max_cost="6")

        assert [Decimal(1)] * 6 == [one.cost for one in run(client_of(paid()), go)]

    def test_keys_are_derived(self, client_of: Make, provider: Scripted) -> None:
        """The same batch again pays for nothing."""

        async def go(client: AsyncClient) -> list[str]:
            return [
                one.run_id for one in await client.generate_many(["a", "b"], model="test/basic", key="batch")
            ]  # type: ignore[union-attr]

        assert run(client_of(paid()), go) == run(client_of(paid()), go)
        assert 2 == provider.calls.count("submit")

    def test_made_again_need_no_room_in_a_budget(self, client_of: Make, provider: Scripted) -> None:
        """Three of five dollars are spent on it; asked for again by its key it costs nothing, and so it fits."""

        async def go(client: AsyncClient) -> list[Any]:
            first = await client.generate_many(["x"] * 3, model="test/basic", key="batch")
            again = await client.generate_many(["x"] * 3, model="test/basic", key="batch")
            return [one.run_id for one in (*first, *again)]

        assert 3 == len(set(run(client_of(paid(), budget=Budget("5", name="all")), go)))
        assert 3 == provider.calls.count("submit")

    def test_under_a_budget_of_the_ledger_have_no_default_cap(
        self, client_of: Make, provider: Scripted
    ) -> None:
        """Six dollars fit a budget of ten that somebody set before, and eleven are refused before the first is sent."""

        async def go(client: AsyncClient) -> list[Any]:
            await client.set_budget(Budget("10", name="all"))
            with pytest.raises(OverBudget, match="11 lines"):
                await client.generate_many(["x"] * 11, model="test/basic")
            assert 0 == provider.calls.count("submit")
            return await client.generate_many(["x"] * 6, model="test/basic")

        assert [Decimal(1)] * 6 == [one.cost for one in run(client_of(paid()), go)]

    def test_of_a_clients_own_budget_are_looked_at_together(
        self, client_of: Make, provider: Scripted
    ) -> None:
        """Also when nothing was ever spent under it: three lines do not begin what two can pay for."""

        async def go(client: AsyncClient) -> None:
            await client.generate_many(["x"] * 3, model="test/basic")

        with pytest.raises(OverBudget, match="'two'"):
            run(client_of(paid(), budget=Budget("2", name="two")), go)
        assert 0 == provider.calls.count("submit")

    def test_a_line_that_fails_is_an_error_in_its_place(self, client_of: Make, provider: Scripted) -> None:
        """The others come."""
        provider.script_of = lambda number: FAILED if number == 1 else [Done((Output(0, "r"),))]

        async def go(client: AsyncClient) -> list[Any]:
            return await client.generate_many(["a", "b", "c"], model="test/basic")

        kinds = [type(one) for one in run(client_of(paid()), go)]
        assert (2, 1) == (kinds.count(Result), kinds.count(ProviderFailed))


def test_a_waiting_run_proceeds(client_of: Make, provider: Scripted) -> None:
    """Its process ended before anything was sent: a resume sends nothing, `proceed()` does, and a plain wait says so."""

    async def begin(client: AsyncClient) -> str:
        provider.on_prepare = lambda: (_ for _ in ()).throw(asyncio.CancelledError())
        started = await client.begin(*_parsed("x", model="test/basic", key="k"))
        return started.id

    run_id = run(client_of(paid()), begin)
    provider.on_prepare = None

    async def go(client: AsyncClient) -> Result:
        for taken in await client.resume():
            with pytest.raises(ProviderFailed):
                await taken.wait()
        handle: AsyncRun = await client.run(run_id)
        assert ("waiting", 0) == (await handle.state(), provider.calls.count("submit"))
        with pytest.raises(ProviderFailed, match="proceed"):
            await handle.wait()
        await handle.proceed()
        return await handle.wait()

    assert Decimal(1) == run(client_of(paid()), go).cost


def _parsed(prompt: str, **options: Any) -> Any:
    from vidorch.call import parse

    return parse(prompt, options)


class TestAnOwnerThatSlept:
    """Its lease was over while its submit was under way: another owner took the job."""

    @pytest.mark.parametrize("moved", [False, True], ids=["taken", "called-unknown"])
    def test_still_writes_down_the_id(
        self, client_of: Make, provider: Scripted, clock: VirtualClock, moved: bool
    ) -> None:
        """An answer in hand is worth more than a lease, whether or not the other has said `unknown` yet."""

        async def go(client: AsyncClient) -> Job:
            provider.hold, provider.sending = asyncio.Event(), asyncio.Event()
            call = asyncio.ensure_future(client.generate("x", model="test/basic"))
            await provider.sending.wait()
            (job,) = await client.jobs()
            ledger = client._opened_ledger()
            taken = ledger.take(job, "there:1:b", "there", 1, clock.now() + 60, clock.now()).result()
            if moved:
                ledger.move(taken, State.UNKNOWN, clock.now()).result()
            provider.hold.set()
            await call
            return await client.job(job.id)

        job = run(client_of(paid(find="none")), go)
        assert (State.SETTLED, f"remote-{job.id}") == (job.state, job.remote_id)

    def test_writes_it_down_when_the_other_moves_in_between(
        self, client_of: Make, provider: Scripted, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also when it says `unknown` after we have looked, and before we have written."""
        real = Errand._as_it_is_now

        async def look(self: Errand, target: State, **more: Any) -> Job:
            now = await real(self, target, **more)
            if now.state == State.SENDING:
                self.ledger.move(now, State.UNKNOWN, clock.now()).result()
            return now

        async def go(client: AsyncClient) -> Job:
            provider.hold, provider.sending = asyncio.Event(), asyncio.Event()
            call = asyncio.ensure_future(client.generate("x", model="test/basic"))
            await provider.sending.wait()
            (job,) = await client.jobs()
            ledger = client._opened_ledger()
            ledger.take(job, "there:1:b", "there", 1, clock.now() + 60, clock.now()).result()
            monkeypatch.setattr(Errand, "_as_it_is_now", look)
            provider.hold.set()
            await call
            return await client.job(job.id)

        assert State.SETTLED == run(client_of(paid(find="none")), go).state

    def test_leaves_the_file_that_the_other_has_taken_for_its_own(
        self, client_of: Make, provider: Scripted, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It published its clip and slept; the other found the same clip there, and has yet to write that down."""
        reached, released, over = ([asyncio.Event(), asyncio.Event()] for _ in range(3))
        begun: list[Homecoming] = []
        real = Homecoming._settle

        async def settle(self: Homecoming, *found: Any) -> None:
            number = len(begun)
            begun.append(self)
            reached[number].set()
            await released[number].wait()
            try:
                await real(self, *found)
            finally:
                over[number].set()

        async def go(first: AsyncClient) -> Result:
            async with client_of(paid()) as second:
                slept = asyncio.ensure_future(first.generate("x", model="test/basic", key="k"))
                await reached[0].wait()
                assert first._engine is not None
                first._engine._services.host.leave()  # as another process sees it
                clock.time += 120
                other = asyncio.ensure_future(second.generate("x", model="test/basic", key="k"))
                await reached[1].wait()
                released[0].set()
                await over[0].wait()
                released[1].set()
                await slept
                return await other

        monkeypatch.setattr(Homecoming, "_settle", settle)
        result = run(client_of(paid()), go)
        assert result.clip.path is not None
        assert result.clip.path.exists()

    def test_that_wrote_down_one_more_job_meanwhile_is_not_outdone(
        self, client_of: Make, provider: Scripted, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who takes the run up has read its jobs by then, sees the new one all the same, and sends no other."""
        provider.on_submit = one_by_one(rejected(5.0), None)
        throttled, awake = asyncio.Event(), asyncio.Event()
        looked, added = threading.Event(), threading.Event()
        sleep, jobs = clock.sleep, Ledger.jobs

        async def held(seconds: float) -> None:
            if seconds == 5.0:
                throttled.set()
                await awake.wait()
            await sleep(seconds)

        async def go(first: AsyncClient) -> BaseException | None:
            async with client_of(paid()) as second:

                def read(self: Ledger, **which: Any) -> list[Job]:
                    found = jobs(self, **which)
                    if self is second._ledger and not looked.is_set():
                        looked.set()
                        added.wait(30)
                    return found

                call = asyncio.ensure_future(first.generate("x", model="test/basic", key="k"))
                await throttled.wait()
                assert first._engine is not None
                first._engine._services.host.leave()  # as another process sees it
                clock.time += 120
                provider.hold, provider.sending = asyncio.Event(), asyncio.Event()
                monkeypatch.setattr(Ledger, "jobs", read)
                other = asyncio.ensure_future(second.generate("x", model="test/basic", key="k"))
                await asyncio.to_thread(looked.wait, 30)
                awake.set()
                await provider.sending.wait()
                added.set()
                await asyncio.wait([other])
                provider.hold.set()
                await call
                return other.exception()

        monkeypatch.setattr(clock, "sleep", held)
        problem = run(client_of(paid(find="none")), go)
        assert (2, True) == (provider.calls.count("submit"), isinstance(problem, SubmissionUnknown))
