"""Estimates: what would be spent, line by line, for people and as JSON."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

from tests.steady import STEADY
from vidorch.contract import Admission, Endpoint
from vidorch.estimating import Estimate
from vidorch.planning import estimate_of
from vidorch.price import Range
from vidorch.request import Request
from vidorch.routing import make_plan


def estimate(*models: str, at_once: int | None = None, keys: bool = False, **fields: Any) -> Estimate:
    endpoints = {
        "local": Endpoint("local", "local", concurrency=at_once),
        "kling": Endpoint("kling", "kling", concurrency=at_once),
    }
    plan = make_plan(
        Request(prompt="a red ball", **fields), models, catalog=STEADY, endpoints=endpoints, installed=("local",),
        has_credentials=lambda _: keys, admit=lambda *_: Admission(), today=date(2026, 11, 22), to_run=False,
    )  # fmt: skip
    return estimate_of(plan)


def test_cost_is_the_first_line_for_all_candidates() -> None:
    """The cost is what would really be spent: every candidate on the first offer, and not the other offers."""
    made = estimate("kling-3.0-pro", "gen4.5", duration=5, candidates=3)
    assert [line.offer for line in made.lines] == [
        "kling/kling-3.0-pro",
        "replicate/kling-3.0-pro",
        "fal/kling-3.0-pro",
        "runway/gen4.5",
    ]
    assert made.cost == Range(Decimal("1.68"), Decimal("1.68"), Decimal("1.68"))
    assert made.lines[2].cost == Range(Decimal("1.68"), Decimal("1.68"), Decimal("3.36"))


def test_a_film_is_so_many_times_the_cost_and_no_more_time() -> None:
    """A film of twelve clips costs twelve times as much, each clip takes as long as before, and JSON tells it."""
    one, film = (
        estimate("kling/kling-3.0-pro", duration=5),
        estimate("kling/kling-3.0-pro", duration=5).film(12),
    )
    assert film.cost == Range(Decimal("6.72"), Decimal("6.72"), Decimal("6.72"))
    assert film.seconds == one.seconds
    assert film == Estimate.from_dict(json.loads(json.dumps(film.to_dict()))).film(1)
    assert str(film).startswith("kling/kling-3.0-pro: 12 clips $6.72")


def test_free() -> None:
    """The built-in model costs nothing."""
    made = estimate()
    assert made.cost == Range(Decimal(0), Decimal(0), Decimal(0))
    assert (made.lines[0].unit_price, made.lines[0].needs, made.lines[0].confirmed) == ("free", (), True)


def test_line_says_where_its_price_is_from() -> None:
    """A line has asked, bought, billed, the price in words, its source, its day and what is missing to run it."""
    (line,) = estimate("gen4.5", duration=5.3).lines
    assert line.asked == {"duration": 5.3}
    assert line.bought == {
        "duration": 5.0,
        "resolution": "720p",
        "aspect_ratio": "16:9",
        "size": "1280x720",
        "audio": False,
    }
    assert line.billed_seconds == 5
    assert (line.unit_price, line.price_as_of) == ("12 credits ($0.12) per second", date(2026, 9, 25))
    assert line.price_source.startswith("https://docs.dev.runwayml.com/guides/pricing")
    assert line.needs == ("provider not in this version", "RUNWAYML_API_SECRET")


def test_unconfirmed_price_says_so() -> None:
    """A price that nobody confirmed is marked in the line, in its notes and in the summary."""
    made = estimate("fal/kling-3.0-pro")
    assert not made.lines[0].confirmed
    assert any("price not confirmed" in note for note in made.lines[0].notes)
    assert "not confirmed" in str(made)


def test_seconds_by_rounds() -> None:
    """Candidates that do not fit on an endpoint at once take their turns."""
    alone, three = estimate("kling/kling-3.0-pro"), estimate("kling/kling-3.0-pro", candidates=3, at_once=2)
    assert alone.seconds == Range(50.0, 106.0, 284.0)
    assert three.seconds == Range(100.0, 212.0, 568.0)


def test_unknown_time() -> None:
    """Where nobody knows how long it takes there is no number."""
    made = estimate("gen4.5")
    assert made.seconds is None
    assert "time not known" in str(made)


def test_nothing_can_serve() -> None:
    """Without a line there is no cost, and each offer's reason stands there."""
    made = estimate("gen4.5", duration=30)
    assert (made.cost, made.seconds, made.lines) == (None, None, ())
    assert str(made).splitlines() == [
        "No offer can serve this request.", "left out: runway/gen4.5: duration 30 s: makes whole seconds from 2 to 10",
    ]  # fmt: skip


def test_summary() -> None:
    """One line for each offer: how many clips, for how much, how long, the price's day and what is missing."""
    made = estimate("kling/kling-3.0-pro", duration=5, candidates=3)
    assert str(made) == (
        "kling/kling-3.0-pro: 3 clips $1.68, about 106 s, price of 2026-08-13; "
        "needs provider not in this version, KLINGAI_API_KEY"
    )


def test_json_has_money_as_text() -> None:
    """As JSON money is text, digit by digit what the Decimal is."""
    told = json.loads(json.dumps(estimate("gen4.5", duration=7, candidates=2).to_dict()))
    assert told["cost"] == {"low": "1.68", "expected": "1.68", "high": "1.68"}
    assert (told["currency"], told["candidates"], told["catalog_as_of"]) == ("USD", 2, "2026-11-26")
    assert told["lines"][0]["billed_seconds"] == "7"


def test_json_there_and_back() -> None:
    """What the ledger keeps of an estimate gives the same estimate again."""
    for made in (estimate("kling-3.0-pro", "gen4.5", "mini", candidates=2), estimate("sora-2"), estimate()):
        again = Estimate.from_dict(json.loads(json.dumps(made.to_dict())))
        assert (again.lines, again.cost, again.seconds, again.catalog_as_of) == (
            made.lines,
            made.cost,
            made.seconds,
            made.catalog_as_of,
        )
        assert str(again) == str(made)
