"""What is said to be over and is not: a write that is on disk, an id that another job bears, a search that comes late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from tests.engine.scripted import Scripted, VirtualClock, paid
from tests.engine.test_promises import LOST, Anything, one_by_one, run
from vidorch.client.aio import AsyncClient
from vidorch.contract import Accepted, Done, FoundJob, LookFor, Output
from vidorch.errors import LedgerUnavailable, ProviderFailed, SubmissionUnknown
from vidorch.ledger.ledger import Ledger
from vidorch.result import Job

Make = Callable[..., AsyncClient]
YEAR = 365 * 86_400.0


class TestAWriteThatIsSaidToHaveFailed:
    """A connection that dies in the commit, say."""

    def test_is_looked_for_and_gone_on_with(
        self, client_of: Make, provider: Scripted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The run is there, so it is driven; without that it would hold its reservation for ever, and its key."""
        record = Ledger.record

        def fails_afterwards(self: Ledger, *args: Any, **more: Any) -> Future[list[Job]]:
            record(self, *args, **more).result()
            failed: Future[list[Job]] = Future()
            failed.set_exception(LedgerUnavailable("The connection died."))
            return failed

        monkeypatch.setattr(Ledger, "record", fails_afterwards)

        async def go(client: AsyncClient) -> str:
            result = await client.generate("x", model="test/basic", key="k")
            return (await client.jobs())[0].state if result.clip.path else ""

        assert ("settled", 1) == (run(client_of(paid()), go), provider.calls.count("submit"))

    def test_that_is_not_there_is_an_error(
        self, client_of: Make, provider: Scripted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As it was said; nothing was sent."""

        def fails(self: Ledger, *args: Any, **more: Any) -> Future[list[Job]]:
            failed: Future[list[Job]] = Future()
            failed.set_exception(LedgerUnavailable("The disk is full."))
            return failed

        monkeypatch.setattr(Ledger, "record", fails)

        async def go(client: AsyncClient) -> None:
            with pytest.raises(LedgerUnavailable, match="full"):
                await client.generate("x", model="test/basic")

        run(client_of(paid()), go)
        assert 0 == provider.calls.count("submit")


class TestAnIdThatAnotherJobBears:
    """A lost submit was taken for the one whose answer was still on its way."""

    def test_is_written_down(self, client_of: Make, provider: Scripted) -> None:
        """With the job that it was the answer to: as the one that it may be, and in its history."""
        provider.on_submit = lambda number: Accepted("theirs")
        provider._left = Anything([Done((Output(0, "r"),))])

        async def go(client: AsyncClient) -> tuple[tuple[str, ...], bool]:
            await client.generate("x", model="test/basic")
            with pytest.raises(SubmissionUnknown) as caught:
                await client.generate("x", model="test/basic")
            job = await client.job(caught.value.job_id or "")
            events = await (await client.run(job.run_id)).events()
            return job.possible_ids, any("theirs" in str(event.data) for event in events)

        assert (("theirs",), True) == run(client_of(paid()), go)


class TestASearchThatComesLate:
    """After the time that the vendor keeps results."""

    def late(self, client_of: Make, clock: VirtualClock, find: str) -> str:
        async def go(client: AsyncClient) -> str:
            with pytest.raises(SubmissionUnknown) as caught:
                await client.generate("x", model="test/basic")
            clock.time += YEAR
            for handle in await client.resume():
                try:
                    await handle.wait()
                except ProviderFailed:
                    pass
                except SubmissionUnknown:
                    pass
            return (await client.job(caught.value.job_id or "")).state

        return run(client_of(paid(find=find)), go)

    def test_is_made_once_before_a_job_is_called_lost(
        self, client_of: Make, provider: Scripted, clock: VirtualClock
    ) -> None:
        """What is found then is looked at, and whatever its vendor still has of it comes home."""
        provider.on_submit = one_by_one(LOST)
        provider._left = Anything([Done((Output(0, "r"),))])
        began = clock.now()

        def found(job: LookFor) -> list[FoundJob]:
            return [FoundJob(Accepted("late"), exact=True)] if clock.now() > began + YEAR else []

        provider.found = found
        assert "settled" == self.late(client_of, clock, "exact")

    def test_that_finds_nothing_ends_it(
        self, client_of: Make, provider: Scripted, clock: VirtualClock
    ) -> None:
        """As lost."""
        provider.on_submit = one_by_one(LOST)
        assert "lost" == self.late(client_of, clock, "exact")

    def test_that_fails_says_nothing(self, client_of: Make, provider: Scripted, clock: VirtualClock) -> None:
        """It stays unknown until its vendor answers."""
        provider.on_submit = one_by_one(LOST)

        def found(job: LookFor) -> list[FoundJob]:
            raise ConnectionError("no network")

        provider.found = found
        assert "unknown" == self.late(client_of, clock, "exact")

    def test_where_there_is_nothing_to_search_in_it_is_lost(
        self, client_of: Make, provider: Scripted, clock: VirtualClock
    ) -> None:
        """No look could ever say more."""
        provider.on_submit = one_by_one(LOST)
        assert "lost" == self.late(client_of, clock, "none")


class TestAHandleOnARunThatEndedInAnError:
    """While something of it is still open."""

    def test_takes_it_up_again_when_it_is_waited_for_again(self, client_of: Make, provider: Scripted) -> None:
        """A clip that could not be fetched is fetched then; the error was that of the first waiting alone."""

        def unreachable(path: Path) -> None:
            raise ConnectionError("no network")

        provider.write = unreachable

        async def go(client: AsyncClient) -> bool:
            handle = await client.submit("x", model="test/basic")
            errors = await asyncio.gather(handle.wait(), handle.wait(), return_exceptions=True)
            assert [True, True] == [isinstance(error, ProviderFailed) for error in errors]
            provider.write = None
            return (await handle.wait()).clip.path is not None

        assert run(client_of(paid()), go)
