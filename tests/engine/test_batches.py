"""Many requests as one call: what is checked before the first is sent, what is sent when it is made again, and what is kept."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.engine.scripted import Scripted, offer, paid
from vidorch import Budget, Client
from vidorch.client.aio import AsyncClient
from vidorch.contract import Accepted, Done, Failed, Output
from vidorch.errors import InvalidRequest, KeyConflict, OverBudget, ProviderFailed, Unsupported, VidorchError
from vidorch.planning import Plan
from vidorch.request import Request
from vidorch.result import Result

pytestmark = pytest.mark.databases

Make = Callable[..., AsyncClient]
T = TypeVar("T")
LINES: list[Any] = ["a", "b", "c"]


def run(client: AsyncClient, work: Callable[[AsyncClient], Coroutine[Any, Any, T]]) -> T:
    async def go() -> T:
        async with client:
            return await work(client)

    return asyncio.run(go())


def many(client: AsyncClient, lines: Any = LINES, **options: Any) -> list[Any]:
    """All results of a batch, in order."""
    options = {"model": "test/basic"} | options
    return run(client, lambda client: client.generate_many(lines, **options))


def alive(kind: type) -> int:
    return sum(type(one) is kind for one in gc.get_objects())


def submits(provider: Scripted) -> int:
    return provider.calls.count("submit")


class TestLines:
    def test_may_be_prompts_requests_and_mappings(self, client_of: Make) -> None:
        """What a mapping says holds for its line alone, and the options beside the lines for those that say nothing."""
        lines = ["a", Request(prompt="b"), {"prompt": "c", "model": "test/other"}]
        made = many(client_of(offer(), offer("other")), lines)
        assert ["basic", "basic", "other"] == [one.clip.model for one in made]

    def test_none_is_nothing(self, client_of: Make) -> None:
        """An empty list gives an empty list."""
        assert [] == many(client_of(), [])

    def test_may_come_out_of_a_generator(self, client_of: Make) -> None:
        """It is read once."""
        assert 3 == len(many(client_of(), (f"a {number}" for number in range(3))))

    @pytest.mark.parametrize("lines", ["a boat", {"prompt": "a boat"}, 3])
    def test_one_alone_is_a_mistake(self, client_of: Make, lines: Any) -> None:
        """A prompt is no list of prompts."""
        with pytest.raises(InvalidRequest, match="prompts"):
            many(client_of(), lines)

    @pytest.mark.parametrize(
        ("line", "field"),
        [
            ({"prompt": "b", "modle": "x"}, "modle"),
            ({"prompt": "b", "max_cost": "1"}, "max_cost"),
            ({"prompt": "b", "scope": "x"}, "scope"),
            ({"prompt": "b", "duration": -1}, "duration"),
            ({"prompt": 3}, "prompt"),
            (3, "prompt"),
        ],
    )
    def test_a_wrong_one_is_named_before_anything_is_sent(
        self, client_of: Make, provider: Scripted, line: Any, field: str
    ) -> None:
        """By its number, counted from 1."""
        with pytest.raises(InvalidRequest, match=r"^Line 2: ") as caught:
            many(client_of(paid()), ["a", line, "c"])
        assert (field, 0) == (caught.value.field, submits(provider))

    def test_one_that_cannot_be_served_is_named(self, client_of: Make, provider: Scripted) -> None:
        """So is it."""
        with pytest.raises(Unsupported, match=r"^Line 3: .*duration"):
            many(client_of(paid()), ["a", "b", {"prompt": "c", "duration": 60}])
        assert 0 == submits(provider)

    @pytest.mark.parametrize("at_once", [0, True, "3", 10_001])
    def test_at_once_is_a_number(self, client_of: Make, at_once: Any) -> None:
        """Of lines."""
        with pytest.raises(InvalidRequest, match="at_once"):
            many(client_of(), at_once=at_once)

    def test_a_batch_is_not_detached(self, client_of: Make) -> None:
        """It waits for its lines."""
        with pytest.raises(InvalidRequest, match="detach"):
            many(client_of(paid()), detach=True)

    def test_that_say_size_do_not_clash_with_a_resolution_for_all(self, client_of: Make) -> None:
        """The line's own way of saying the shape holds."""
        lines = ["a", {"prompt": "b", "size": "64x64"}]
        assert 2 == len(many(client_of(), lines, resolution="256p", aspect_ratio="1:1"))


class TestOutput:
    def test_in_a_folder_is_named_by_the_line(self, client_of: Make, tmp_path: Path) -> None:
        """So that a listing of it is in their order."""
        many(client_of(), output=f"{tmp_path}/all/")
        assert [f"0000{n}-1-test-basic.mp4" for n in (1, 2, 3)] == sorted(
            path.name for path in (tmp_path / "all").iterdir()
        )

    def test_is_no_single_file(self, client_of: Make, provider: Scripted, tmp_path: Path) -> None:
        """Which one would it be?"""
        with pytest.raises(InvalidRequest, match="more than one line"):
            many(client_of(), output=f"{tmp_path}/a.mp4")
        assert [] == provider.calls

    def test_of_a_line_may_be_one(self, client_of: Make, tmp_path: Path) -> None:
        """Its own."""
        lines = [{"prompt": "x", "output": f"{tmp_path}/{name}.mp4"} for name in "ab"]
        assert ["a.mp4", "b.mp4"] == [one.clip.path.name for one in many(client_of(), lines)]


class TestKeys:
    def test_of_lines_are_their_own(self, client_of: Make, provider: Scripted) -> None:
        """A line with a key keeps it wherever it stands: in another order nothing is paid again."""
        lines = [{"prompt": name, "key": f"order-{name}"} for name in "abc"]
        first = many(client_of(paid()), lines)
        again = many(client_of(paid()), lines[::-1])
        assert [one.run_id for one in first] == [one.run_id for one in again][::-1]
        assert 3 == submits(provider)

    @pytest.mark.parametrize("key", ["x", "all", "all/2"])
    def test_stand_for_one_line_each(self, client_of: Make, provider: Scripted, key: str) -> None:
        """Not for another, nor for the whole."""
        lines = [{"prompt": "a", "key": key}, "b", {"prompt": "c", "key": "x"}]
        with pytest.raises(InvalidRequest, match=r"^Line [13]: key="):
            many(client_of(paid()), lines, key="all")
        assert 0 == submits(provider)

    def test_make_a_batch_go_on(self, client_of: Make, provider: Scripted) -> None:
        """Lines that were added at its end are sent, the others joined."""
        many(client_of(paid()), LINES[:2], key="k")
        made = many(client_of(paid()), LINES, key="k")
        assert ([True, True, False], 3) == ([one.joined for one in made], submits(provider))

    def test_of_a_batch_that_was_changed(self, client_of: Make, provider: Scripted) -> None:
        """A line put in between would pay for the last one twice: it is said, with its number, before anything is sent."""
        many(client_of(paid()), LINES, key="k")
        with pytest.raises(KeyConflict, match=r"^Line 2: .*'k/2'"):
            many(client_of(paid()), ["a", "new", "b", "c"], key="k")
        assert 3 == submits(provider)

    def test_count_what_is_left_alone(self, client_of: Make, provider: Scripted) -> None:
        """Three of five dollars are used: the two lines that are left fit, three do not."""
        many(client_of(paid()), ["x"] * 3, key="k")
        with pytest.raises(
            OverBudget, match=r"not sent of these 6 lines.*\$3\.00 together.*\$3\.00 of it used"
        ):
            many(client_of(paid()), ["x"] * 6, key="k")
        assert 3 == submits(provider)
        assert 5 == len(many(client_of(paid()), ["x"] * 5, key="k"))

    def test_made_again_send_only_what_was_not(self, client_of: Make, provider: Scripted) -> None:
        """A line that a vendor rejected is sent again, one that failed there is reported."""
        provider.script_of = lambda number: (
            [Failed(ProviderFailed("it broke", charged=True))] if number == 1 else [Done((Output(0, "r"),))]
        )
        first = many(client_of(paid()), LINES, key="k", at_once=1)
        again = many(client_of(paid()), LINES, key="k", at_once=1)
        kinds = [Result, ProviderFailed, Result]
        assert (kinds, kinds, 3) == ([*map(type, first)], [*map(type, again)], submits(provider))


class TestAsCompleted:
    def test_gives_them_as_they_end(self, client_of: Make, provider: Scripted) -> None:
        """The second, while the first is still being made."""

        async def go(client: AsyncClient) -> list[int]:
            provider.hold = asyncio.Event()
            provider.sending = asyncio.Event()
            coming = client.generate_as_completed(
                [{"prompt": "a", "model": "test/basic"}, {"prompt": "b", "model": "test/other"}]
            )
            following = asyncio.ensure_future(anext(coming))
            await provider.sending.wait()
            provider.hold.set()
            first = await following
            rest = [place async for place, _ in coming]
            return sorted([first[0], *rest])

        assert [0, 1] == run(client_of(paid(), paid("other")), go)

    def test_begins_no_more_than_at_once(self, client_of: Make, provider: Scripted) -> None:
        """As long as nobody asks for the next, no other line is begun."""

        async def go(client: AsyncClient) -> list[int]:
            seen = []
            async for _ in client.generate_as_completed(["x"] * 5, model="test/basic", at_once=1):
                seen.append(submits(provider))
            return seen

        assert [1, 2, 3, 4, 5] == run(client_of(paid()), go)

    def test_has_errors_in_their_place(self, client_of: Make, provider: Scripted) -> None:
        """They are given, not raised."""
        provider.polls = [Failed(ProviderFailed("it broke"))]

        async def go(client: AsyncClient) -> list[Any]:
            return [one async for one in client.generate_as_completed(["x"], model="test/basic")]

        ((place, error),) = run(client_of(paid()), go)
        assert (0, ProviderFailed) == (place, type(error))

    def test_lets_go_when_nobody_asks_any_more(self, client_of: Make, provider: Scripted) -> None:
        """Lines that were not begun are not begun."""

        async def go(client: AsyncClient) -> None:
            coming = client.generate_as_completed(["x"] * 5, model="test/basic", at_once=2)
            await anext(coming)
            await coming.aclose()

        run(client_of(paid()), go)
        assert 2 == submits(provider)

    def test_when_cancelled_says_how_to_go_on(self, client_of: Make, provider: Scripted) -> None:
        """What is at a vendor comes home by a resume, and the same call sends the rest; nothing is paid twice."""
        notes: list[str] = []

        async def interrupted(client: AsyncClient) -> None:
            provider.hold, provider.sending = asyncio.Event(), asyncio.Event()
            call = asyncio.ensure_future(client.generate_many(LINES, model="test/basic", key="k", at_once=1))
            await provider.sending.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await call
            notes.extend(caught.value.__notes__)
            provider.hold.set()

        run(client_of(paid()), interrupted)
        provider.hold = provider.sending = None
        (note,) = [note for note in notes if "lines had ended" in note]
        assert "0 of 3 lines had ended" in note and "vidorch jobs resume run_" in note
        assert [Result] * 3 == [*map(type, many(client_of(paid()), key="k"))]
        assert 3 == submits(provider)

    def test_keeps_nothing_of_lines_that_are_done_or_not_begun(self, client_of: Make) -> None:
        """However many there are: plans, requests and results are those of two under way, and the one that was given."""

        async def go(client: AsyncClient) -> list[int]:
            seen = []
            kinds = (Plan, Request, Result)
            gc.collect()
            before = [alive(kind) for kind in kinds]
            coming = client.generate_as_completed(["x"] * 12, model="test/basic", at_once=2, max_cost=12)
            async for _, result in coming:
                del result
                gc.collect()
                seen.append(max(alive(kind) - were for kind, were in zip(kinds, before, strict=True)))
            return seen

        assert (
            max(run(client_of(paid()), go)) <= 2 * 3
        )  # what was asked, what is bought, and what is sent of it

    def test_of_a_closed_client(self, client_of: Make) -> None:
        """A mistake in the program is raised, and not given as an outcome."""
        client = client_of(paid())
        run(client, lambda client: client.generate_many([], model="test/basic"))

        async def go() -> None:
            await client.generate_many(["x"], model="test/basic")

        with pytest.raises(RuntimeError, match="closed"):
            asyncio.run(go())

    def test_ends_its_run(self, client_of: Make) -> None:
        """The batch itself is a run, which ends with its lines."""

        async def go(client: AsyncClient) -> list[str]:
            await client.generate_many(["x", "y"], model="test/basic")
            return [row["state"] for row in client._opened_ledger().runs() if row["kind"] == "batch"]

        assert ["finished"] == run(client_of(), go)


class TestBlocking:
    def test_is_the_same(self, vidorch_mock: Any) -> None:
        """A generator of places and results, and a list."""
        with Client() as client:
            by_place = dict(client.generate_as_completed(["a", "b"], model="test/basic", key="k"))
            again = client.generate_many(["a", "b"], model="test/basic", key="k")
        ids = [by_place[place].run_id for place in (0, 1)]
        assert (ids, 2) == ([one.run_id for one in again], len(vidorch_mock.requests))

    def test_left_half_way_lets_go(self, vidorch_mock: Any) -> None:
        """No other line is begun."""
        with Client() as client:
            for _ in client.generate_as_completed(["x"] * 4, model="test/basic", at_once=1):
                break
        assert 1 == len(vidorch_mock.requests)


class TestEstimate:
    def test_sums_up(self, client_of: Make) -> None:
        """By offer, for all candidates of all lines."""
        lines = ["a", {"prompt": "b", "candidates": 2}, {"prompt": "c", "model": "test/free"}]

        async def go(client: AsyncClient) -> Any:
            return await client.estimate_many(lines, model="test/basic")

        found = run(client_of(paid(), offer("free")), go)
        assert (3, 4, Decimal(3)) == (found.lines, found.clips, found.cost.expected)
        assert [("test/basic", 2, 3), ("test/free", 1, 1)] == [
            (one.offer, one.lines, one.clips) for one in found.offers
        ]

    def test_says_which_lines_cannot_be_served(self, client_of: Make, provider: Scripted) -> None:
        """All of them, with their numbers, by why."""
        wrong = {"prompt": "b", "duration": 60}
        found = run(
            client_of(paid()), lambda client: client.estimate_many(["a", wrong, {"prompt": "c", "x": 1}, wrong], model="test/basic")
        )  # fmt: skip
        assert ([(2, 4), (3,)], 3, Decimal(1)) == (
            [*found.left_out.values()],
            found.unserved,
            found.cost.high,
        )
        assert [] == provider.calls

    def test_holds_max_cost_against_all(self, client_of: Make) -> None:
        """Three dollars do not fit two."""

        async def go(client: AsyncClient) -> None:
            await client.estimate_many(LINES, model="test/basic", max_cost="2")

        with pytest.raises(OverBudget, match="3 lines"):
            run(client_of(paid()), go)

    def test_as_json_and_in_words(self, vidorch_mock: Any) -> None:
        """Money is text; no line is left out of the sum unsaid."""
        with Client() as client:
            found = client.estimate_many(["a", {"prompt": "b", "duration": 600}], model="test/basic")
        document = found.to_dict()
        assert ("0.50", 1, [2]) == (
            document["cost"]["expected"],
            document["unserved"],
            document["left_out"][0]["lines"],
        )
        assert "2 lines, 1 clips: $0.50" in str(found)


def test_a_budget_for_each_call_counts_a_batch_as_one(client_of: Make, provider: Scripted) -> None:
    """Going on with it does not begin it anew."""
    budget = Budget("4", name="call", per="call")
    many(client_of(paid(), budget=budget), ["x"] * 3, key="k")
    with pytest.raises(OverBudget, match="'call'"):
        many(client_of(paid(), budget=budget), ["x"] * 5, key="k")
    assert 3 == submits(provider)


def test_nothing_is_sent_twice_when_a_line_is_lost(client_of: Make, provider: Scripted) -> None:
    """A line whose submit got no answer stays unknown, also when the batch is made again."""
    provider.on_submit = lambda number: _lost() if number == 0 else None
    kinds = []
    for _ in range(2):
        made = many(client_of(paid()), ["x", "y"], key="k", at_once=1)
        kinds.append(["SubmissionUnknown" if isinstance(one, VidorchError) else "Result" for one in made])
    assert ([["SubmissionUnknown", "Result"]] * 2, 2) == (kinds, submits(provider))


def _lost() -> Accepted:
    raise ConnectionResetError("the connection broke")
