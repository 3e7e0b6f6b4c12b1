"""How long clips took here: which of them are alike, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.engine.scripted import catalog, offer
from vidorch.catalog import load
from vidorch.experience import FEWEST, NEWEST, Experience
from vidorch.ledger.glance import finished_jobs
from vidorch.request import Request

OFFER = load(catalog(offer()), environ={}, user_file="none").offer("test/basic")
TASK = "text-to-video"


class Took(NamedTuple):
    seconds: float
    endpoint: str = "test"
    model: str = "basic"
    task: str = TASK
    settings: str = json.dumps({"duration": 5.0, "resolution": "720p"})
    timings: str = ""


def seen(*took: Took, duration: float | None = 5.0, resolution: str | None = "720p", task: str = TASK):  # type: ignore[no-untyped-def]
    assert OFFER is not None
    request = Request(prompt="x", duration=duration, resolution=resolution)
    return Experience(lambda: took).of(OFFER, request, task)


class TestOf:
    def test_half_of_them(self) -> None:
        """Low, expected and high are the tenth, the half and the nineteen twentieths of such clips."""
        found = seen(*(Took(float(seconds)) for seconds in range(20, 0, -1)))
        assert (3.0, 11.0, 20.0, 20) == (
            *(found.seconds.low, found.seconds.expected, found.seconds.high),
            found.clips,
        )

    def test_too_few(self) -> None:
        """The catalog's range is better than two clips."""
        assert seen(*[Took(1.0)] * (FEWEST - 1)) is None
        assert seen(*[Took(1.0)] * FEWEST) is not None

    @pytest.mark.parametrize(
        "other", [{"model": "other"}, {"endpoint": "other"}, {"task": "image-to-video"},
                  {"settings": json.dumps({"duration": 5.0, "resolution": "1080p"})},
                  {"settings": json.dumps({"duration": 10.0, "resolution": "720p"})}]
    )  # fmt: skip
    def test_only_of_the_same_kind(self, other: dict[str, str]) -> None:
        """Model, endpoint, task, size, and a length within a quarter."""
        assert seen(*[Took(1.0, **other)] * 9) is None

    def test_a_little_longer_is_alike(self) -> None:
        """A clip of 6 s tells of one of 5 s."""
        assert (
            seen(*[Took(1.0, settings=json.dumps({"duration": 6.0, "resolution": "720p"}))] * 9) is not None
        )

    def test_the_newest_count(self) -> None:
        """A vendor that has become quicker is quick."""
        found = seen(*[Took(10.0)] * NEWEST, *[Took(90.0)] * 500)
        assert (10.0, NEWEST) == (found.seconds.high, found.clips)

    def test_is_read_once(self) -> None:
        """However many offers are looked at."""
        reads = []
        experience = Experience(lambda: reads.append(1) or ())  # type: ignore[func-returns-value]
        for _ in range(3):
            assert OFFER is not None
            experience.of(OFFER, Request(prompt="x"), TASK)
        assert [1] == reads


class TestFinishedJobs:
    def test_without_a_ledger(self, tmp_path: Path) -> None:
        """There is nothing to know, and nothing is made."""
        assert [] == finished_jobs(tmp_path / "none.db")
        assert [] == list(tmp_path.iterdir())

    def test_of_what_is_no_ledger(self, tmp_path: Path) -> None:
        """A plan does not fail for it; opening it for work says what is wrong."""
        (tmp_path / "x.db").write_bytes(b"no database" * 100)
        assert [] == finished_jobs(tmp_path / "x.db")
