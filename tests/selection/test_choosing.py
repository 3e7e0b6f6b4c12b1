"""Choosing among clips: by name or by function, and no clip is ever lost by it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidorch.call import SELECTORS
from vidorch.errors import InvalidRequest
from vidorch.result import Clip, Timings
from vidorch.selection import Report, names, select_from


def a_clip(candidate: int) -> Clip:
    path = Path(f"/clips/{candidate + 1}.mp4")
    return Clip(
        path=path, uri=str(path), model="m", endpoint="e", seed=candidate, cost=Decimal(1), cost_basis="computed", latency=1.0,
        timings=Timings(), width=64, height=64, frames=8, fps=None, duration=1.0, candidate=candidate,
    )  # fmt: skip


CLIPS = tuple(a_clip(candidate) for candidate in range(3))


class TestByName:
    def test_first_looks_at_nothing(self) -> None:
        """The first clip is taken as it is, without a report."""
        selection = select_from("first", CLIPS)
        assert (0, (None, None, None), ()) == (selection.chosen, selection.reports, selection.notes)

    def test_names_are_those_of_a_call(self) -> None:
        """What `select=` takes by name is what can be done."""
        assert set(SELECTORS) == set(names())

    @pytest.mark.parametrize("select", ["best", "", None, 3])
    def test_another_name(self, select: Any) -> None:
        """A selection that does not exist is said with those that do."""
        with pytest.raises(InvalidRequest, match="'first', 'consistency', or a function"):
            select_from(select, CLIPS)

    def test_of_no_clips(self) -> None:
        """There has to be something to choose from."""
        with pytest.raises(InvalidRequest, match="no clip to choose from"):
            select_from("first", ())


class TestByFunction:
    def test_is_given_the_clips_in_order(self) -> None:
        """The function sees all of them, as a tuple."""
        seen: list[Any] = []
        select_from(lambda clips: seen.append(clips) or 0, list(CLIPS))
        assert [CLIPS] == seen

    @pytest.mark.parametrize(
        ("answer", "chosen"), [(CLIPS[2], 2), (1, 1), (np.int64(2), 2), (replace(CLIPS[1]), 1), (0, 0)]
    )
    def test_returns_a_clip_or_its_index(self, answer: Any, chosen: int) -> None:
        """One of the clips, an equal one, or an index of any whole type."""
        assert chosen == select_from(lambda _: answer, CLIPS).chosen

    @pytest.mark.parametrize(
        "answer", [None, 3, -1, True, "1", 1.0, a_clip(7), CLIPS, [0], float("nan"), object()]
    )
    def test_that_returns_nonsense(self, answer: Any) -> None:
        """Nothing is guessed, and the error says where the clips are."""
        with pytest.raises(InvalidRequest, match=r"none of the 3 clips") as caught:
            select_from(lambda _: answer, CLIPS)
        assert all(clip.uri in str(caught.value) for clip in CLIPS) and caught.value.charged is None

    def test_that_raises(self) -> None:
        """Its error is named and kept as the cause, and the clips are safe."""

        def broken(_: Any) -> int:
            raise ZeroDivisionError("division by zero")

        with pytest.raises(InvalidRequest, match="raised ZeroDivisionError: division by zero") as caught:
            select_from(broken, CLIPS)
        assert isinstance(caught.value.__cause__, ZeroDivisionError) and CLIPS[0].uri in str(caught.value)

    def test_that_is_async(self) -> None:
        """A coroutine is closed, not left behind, and the error says what is needed."""

        async def later(clips: Any) -> int:
            return 0

        with pytest.raises(InvalidRequest, match="async; a plain one is needed"):
            select_from(later, CLIPS)  # type: ignore[arg-type]

    def test_that_is_interrupted(self) -> None:
        """Ctrl-C is nobody's answer."""

        def interrupted(_: Any) -> int:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            select_from(interrupted, CLIPS)


def test_a_report_is_ready_for_json() -> None:
    """Plain types, rounded."""
    report = Report("consistency", 0.123456, {"whole": 1 / 3}, ("a",))
    expected = {"selector": "consistency", "score": 0.1235, "parts": {"whole": 0.3333}, "notes": ["a"]}
    assert expected == report.to_dict()
