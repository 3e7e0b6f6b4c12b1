"""What becomes of answers that an adapter should not give: nothing that was paid for is lost over them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.engine.scripted import Scripted, paid
from tests.engine.test_promises import generate, jobs_of
from vidorch.client.aio import AsyncClient
from vidorch.contract import Accepted, Done, Failed, Output, Progress
from vidorch.engine.answers import polled_of
from vidorch.errors import ProviderFailed, SubmissionUnknown

Make = Callable[..., AsyncClient]


class TestAnAcceptedSubmit:
    @pytest.mark.parametrize("quote", [Decimal("nan"), 0.5, Decimal(-1), Decimal("1e30"), "1.00"])
    def test_keeps_its_id_whatever_its_quote(self, client_of: Make, provider: Scripted, quote: Any) -> None:
        """A quote that is no amount does not keep the id from the ledger."""
        provider.on_submit = lambda number: Accepted("remote-7", quote)
        generate(client_of(paid()))
        assert ["remote-7"] == [job.remote_id for job in jobs_of(client_of(paid()))]

    @pytest.mark.parametrize("details", [{("a", 1): 2}, None, {"at": object()}])
    def test_keeps_its_id_whatever_its_details(
        self, client_of: Make, provider: Scripted, details: Any
    ) -> None:
        """Details that JSON cannot hold do not either."""
        provider.on_submit = lambda number: Accepted("remote-7", None, details)
        generate(client_of(paid()))
        assert ["remote-7"] == [job.remote_id for job in jobs_of(client_of(paid()))]

    @pytest.mark.parametrize("said", ["", None])
    def test_without_an_id_is_unknown(self, client_of: Make, provider: Scripted, said: Any) -> None:
        """Nobody can tell, so it is looked for and never sent again."""
        provider.on_submit = lambda number: Accepted(said)
        with pytest.raises(SubmissionUnknown):
            generate(client_of(paid()))
        assert ["unknown"] == [job.state for job in jobs_of(client_of(paid()))]

    def test_that_ended_in_a_group_of_errors_is_unknown(self, client_of: Make, provider: Scripted) -> None:
        """Also in a group that holds a cancellation, which is no `Exception`."""

        def fall(number: int) -> None:
            raise BaseExceptionGroup("inside", [asyncio.CancelledError()])

        provider.on_submit = fall
        with pytest.raises(SubmissionUnknown):
            generate(client_of(paid()))


class TestALook:
    @pytest.mark.parametrize("said", [None, "running", Done(("no output",))])  # type: ignore[arg-type]
    def test_that_gave_no_answer_was_lost(self, client_of: Make, provider: Scripted, said: Any) -> None:
        """The job goes on, and the next look finds its clip."""
        provider.polls = [said, Done((Output(0, "r"),))]
        assert Decimal(1) == generate(client_of(paid())).cost

    def test_that_was_cancelled_inside_the_adapter_was_lost(
        self, client_of: Make, provider: Scripted
    ) -> None:
        """Nobody called us off."""
        poll: Any = provider.poll
        fell: list[bool] = []

        async def look(*arguments: Any) -> Any:
            if not fell:
                fell.append(True)
                raise asyncio.CancelledError
            return await poll(*arguments)

        provider.poll = look  # type: ignore[method-assign,assignment]
        assert Decimal(1) == generate(client_of(paid())).cost

    @pytest.mark.parametrize("cost", [Decimal(-3), Decimal("nan"), Decimal("inf"), "free"])
    def test_with_a_cost_that_is_no_amount_is_booked_by_the_catalog(
        self, client_of: Make, provider: Scripted, cost: Any
    ) -> None:
        """Less than nothing would make room in a budget that is spent."""
        provider.polls = [Done((Output(0, "r"),), cost=cost)]
        result = generate(client_of(paid()))
        assert (Decimal(1), "computed") == (result.cost, result.clip.cost_basis)

    def test_with_a_seed_that_no_database_keeps_says_it_in_a_note(
        self, client_of: Make, provider: Scripted
    ) -> None:
        """Vendors draw seeds of 64 bits."""
        provider.polls = [Done((Output(0, "r", seed=2**64 - 1),))]
        assert f"The seed was {2**64 - 1}." in generate(client_of(paid())).notes

    def test_with_half_a_character_is_written_down(self, client_of: Make, provider: Scripted) -> None:
        """JSON of a vendor that cut its own words."""
        provider.polls = [Failed(ProviderFailed("no \ud83d"))]
        with pytest.raises(ProviderFailed):
            generate(client_of(paid()))
        assert ["failed"] == [job.state for job in jobs_of(client_of(paid()))]

    def test_of_outputs_in_one_place_gives_each_its_own(self) -> None:
        """One row of the ledger holds one output."""
        found = polled_of(Done((Output(0, "a"), Output(0, "b"))))
        assert isinstance(found, Done)
        assert [(0, "a"), (1, "b")] == [(one.index, one.ref) for one in found.outputs]

    def test_with_numbers_that_are_none_keeps_the_rest(self) -> None:
        """A progress bar is no reason to lose a job."""
        said: Any = Progress("running", "50%", float("nan"), "denoise", "5")  # type: ignore[arg-type]
        assert Progress("running", None, None, "denoise", None) == polled_of(said)

    def test_of_a_failure_that_is_not_ours_is_typed(self) -> None:
        """What the vendor said is kept."""
        said: Any = Failed("out of memory")  # type: ignore[arg-type]
        found = polled_of(said)
        assert isinstance(found, Failed)
        assert "out of memory" == found.error.message
