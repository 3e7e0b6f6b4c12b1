"""Prices: every priced cell of the shipped rows against figures worked out by hand, and what must always hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import product
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vidorch.catalog import load, shipped
from vidorch.offer import Offer
from vidorch.price import Priced, Range, price_at, price_of, rate_of
from vidorch.request import Request

# offer, sound, resolution, seconds -> USD of one clip: expected, and the most where that differs. Worked out by hand from
# the vendors' figures, not from the catalog: seconds x price of a second.
CELLS = [
    ("kling/kling-3.0-standard", False, "720p", 5, "0.42", None),  # 5 x 0.084
    ("kling/kling-3.0-standard", True, "720p", 10, "1.26", None),  # 10 x 0.126
    ("kling/kling-3.0-pro", False, "1080p", 5, "0.56", None),  # 5 x 0.112
    ("kling/kling-3.0-pro", True, "1080p", 15, "2.52", None),  # 15 x 0.168
    ("kling/kling-3.0-4k", False, "4k", 3, "1.26", None),  # 3 x 0.42
    ("kling/kling-3.0-4k", True, "4k", 5, "2.10", None),  # 5 x 0.42
    ("fal/kling-3.0-standard", False, "720p", 7, "0.588", None),  # 7 x 0.084
    ("fal/kling-3.0-standard", True, "720p", 5, "0.63", None),  # 5 x 0.126
    ("fal/kling-3.0-pro", False, "1080p", 5, "0.56", "1.12"),  # 5 x 0.112; older pages 0.224
    (
        "fal/kling-3.0-pro",
        True,
        "1080p",
        5,
        "0.84",
        "1.12",
    ),  # 5 x 0.168; 0.224 is the dearest figure of any page
    ("fal/kling-3.0-4k", False, "4k", 5, "2.10", None),
    ("fal/kling-3.0-4k", True, "4k", 5, "2.10", None),
    ("vertex/veo-3.1", True, "720p", 8, "3.20", None),  # 8 x 0.40
    ("vertex/veo-3.1", True, "1080p", 4, "1.60", None),
    ("vertex/veo-3.1", True, "4k", 8, "4.80", None),  # 8 x 0.60
    ("vertex/veo-3.1", False, "720p", 6, "1.20", None),  # 6 x 0.20
    ("vertex/veo-3.1", False, "1080p", 8, "1.60", None),
    ("vertex/veo-3.1", False, "4k", 8, "3.20", "4.80"),  # 8 x 0.40, not confirmed; with sound 0.60
    ("vertex/veo-3.1-fast", True, "720p", 8, "0.80", None),  # 8 x 0.10
    ("vertex/veo-3.1-fast", True, "1080p", 8, "0.96", None),  # 8 x 0.12
    ("vertex/veo-3.1-fast", True, "4k", 8, "2.40", None),  # 8 x 0.30
    ("vertex/veo-3.1-fast", False, "720p", 4, "0.40", None),  # 4 x 0.10, from before the cut
    ("vertex/veo-3.1-fast", False, "1080p", 4, "0.40", "0.48"),
    ("vertex/veo-3.1-lite", True, "720p", 8, "0.40", None),  # 8 x 0.05
    ("vertex/veo-3.1-lite", True, "1080p", 8, "0.64", None),  # 8 x 0.08
    ("vertex/veo-3.1-lite", False, "720p", 8, "0.24", "0.40"),  # 8 x 0.03, a reseller's figure
    ("vertex/veo-3.1-lite", False, "1080p", 8, "0.40", "0.64"),
    ("runway/gen4.5", False, "720p", 5, "0.60", None),  # 5 x 12 credits of 0.01
    ("runway/gen4.5", False, "720p", 10, "1.20", None),
    ("openai/sora-2", True, "720p", 12, "1.20", None),  # its last price
    ("openai/sora-2-pro", True, "720p", 8, "2.40", None),
    ("local/mini", False, "256p", 2, "0", None),
]


def offer_of(name: str) -> Offer:
    offer = shipped().offer(name)
    assert offer is not None
    return offer


def price(offer: Offer, seconds: float | None = 5, task: str = "text-to-video", **fields: Any) -> Priced:
    more = {key: fields.pop(key) for key in ("input_seconds",) if key in fields}
    request = Request(prompt="a boat", duration=seconds, **fields)
    return price_of(offer, request, offer.routes[task], **more)


def made_up(*rows: dict[str, Any], **more: Any) -> Offer:
    able = more.pop("capabilities", {"resolutions": ["720p", "1080p"]})
    offer = {
        "model": "one", "endpoint": "acme", "provider": "acme", "family": "acme", "title": "One", "as_of": date(2026, 12, 1),
        "capabilities": able, "price": {"source": "a page", "row": list(rows), **more},
        "routes": {"text-to-video": {"path": "/"}, "reference-to-video": {"path": "/"}},
    }  # fmt: skip
    made = load({"offer": [offer]}, environ={}, user_file="none").offer("acme/one")
    assert made is not None
    return made


@pytest.mark.parametrize(("name", "audio", "resolution", "seconds", "expected", "high"), CELLS)
def test_cell(
    name: str, *, audio: bool, resolution: str, seconds: int, expected: str, high: str | None
) -> None:
    """Each priced cell equals the figure worked out by hand, to the millionth."""
    priced = price(offer_of(name), seconds, audio=audio, resolution=resolution)
    assert priced.cost == Range(Decimal(expected), Decimal(expected), Decimal(high or expected))
    assert priced.billed_seconds == seconds


def test_every_cell_is_tested() -> None:
    """The table above has a line for each pair of sound and resolution that any shipped row prices."""
    tested = {cell[:3] for cell in CELLS}
    elsewhere = ("fal", "replicate", "gemini", "kling", "runway", "vertex")  # with cases in tests/catalog
    for offer in shipped().offers:
        if offer.price.rule == "hours":
            continue  # by the seconds that it takes: tests/test_hours.py
        if offer.endpoint in elsewhere and offer.name not in {name for name, _, _ in tested}:
            continue
        if offer.weights is not None:  # costs what the hardware costs, whatever is made
            continue
        able = offer.routes["text-to-video"].capabilities
        sounds = {"on": [True], "off": [False], "switch": [True, False]}[able.audio]
        priced = {(offer.name, audio, name) for audio in sounds for name in able.resolutions
                  if price(offer, audio=audio, resolution=name).cost is not None}  # fmt: skip
        assert priced <= tested


def test_no_price_is_invented() -> None:
    """What silent 4k costs on Veo 3.1 Fast is not known, and the reason names just that."""
    priced = price(offer_of("vertex/veo-3.1-fast"), 8, audio=False, resolution="4k")
    assert (priced.cost, priced.reason) == (
        None,
        "no price is known for resolution 4k, audio off, task text-to-video",
    )


def test_unpriced() -> None:
    """An offer without a bounded price has none for any request, and its note says why."""
    assert price(made_up(rule="unpriced", note="billed by tokens")).reason == "billed by tokens"


def test_most_specific_row() -> None:
    """Of the rows that hold, the one with the most conditions counts."""
    offer = made_up(
        {"per_second": 1},
        {"when": {"audio": True}, "per_second": 2},
        {"when": {"audio": True, "resolution": "1080p"}, "per_second": 3},
    )
    rates = [
        price(offer, 1, audio=audio, resolution=name).cost
        for audio, name in [(False, "1080p"), (True, "720p"), (True, "1080p")]
    ]
    assert [cost.expected for cost in rates if cost] == [1, 2, 3]


def test_row_by_duration_and_task() -> None:
    """A price per clip by length, and another for a task."""
    offer = made_up(
        {"when": {"duration": [5]}, "fixed": "0.35"},
        {"when": {"duration": 10}, "fixed": "0.70"},
        {"when": {"duration": [5, 10], "task": "reference-to-video"}, "fixed": 1},
    )
    assert price(offer, 10).cost == Range(Decimal("0.7"), Decimal("0.7"), Decimal("0.7"))
    assert price(offer, 10, "reference-to-video", reference_images=[PNG]).cost == Range(
        Decimal(1), Decimal(1), Decimal(1)
    )
    assert price(offer, 7).reason == "no price is known for task text-to-video, duration 7"


def test_row_by_references() -> None:
    """A price that depends on whether there are reference images."""
    offer = made_up({"when": {"references": True}, "fixed": 2}, {"when": {"references": False}, "fixed": 1})
    assert price(offer).cost == Range(Decimal(1), Decimal(1), Decimal(1))
    assert price(offer, 5, "reference-to-video", reference_images=[PNG]).cost == Range(
        Decimal(2), Decimal(2), Decimal(2)
    )


@pytest.mark.parametrize(("seconds", "billed"), [(1, 5), (5, 5), (5.5, 10), (10, 10), (10.1, 15)])
def test_blocks_and_minimum(seconds: float, billed: int) -> None:
    """Billed seconds are at least the minimum and whole blocks."""
    offer = made_up({"per_second": "0.01", "minimum_seconds": 3, "block_seconds": 5})
    assert price(offer, seconds).billed_seconds == billed


def test_input_seconds() -> None:
    """Seconds of the source clip are billed beside the clip's, and without their number there is no price."""
    offer = made_up({"per_second": "0.10", "per_input_second": "0.05"})
    assert price(offer, 4, input_seconds=Decimal(3)).cost == Range(*[Decimal("0.55")] * 3)
    assert "seconds of the source clip" in price(offer, 4).reason


@pytest.mark.parametrize(("seconds", "cost"), [("2", "0.07"), ("5", "0.07"), ("5.1", "0.14"), ("10", "0.14")])
def test_blocks_of_the_source(seconds: str, cost: str) -> None:
    """Where the source's seconds alone are billed, they are rounded up to whole blocks."""
    priced = price(
        made_up({"per_input_second": "0.014", "block_seconds": 5}), None, input_seconds=Decimal(seconds)
    )
    assert priced.cost == Range(*[Decimal(cost)] * 3)


def test_a_second_has_no_one_price_in_blocks() -> None:
    """Of a vendor's count of seconds no cost can be made where blocks or a minimum are billed; of what it billed, it can."""
    offer = made_up({"per_input_second": "0.014", "block_seconds": 5})
    route = offer.routes["text-to-video"]
    assert rate_of(offer, route, {}, "second") is None
    assert rate_of(offer, route, {}) == Decimal("0.014")


SIZED = {"resolutions": ["720p", "1080p"], "aspect_ratios": ["16:9"], "fps": [24],
         "sizes": {"720p 16:9": [1280, 720], "1080p 16:9": [1920, 1088]}}  # fmt: skip


@pytest.mark.parametrize(
    ("usd_per_million", "seconds", "cost"),
    [
        ("7", 5, "0.756"),  # Seedance 2.0 at BytePlus: 1280 x 720 x 24 x 5 / 1024 = 108,000 tokens
        ("5.6", 5, "0.6048"),  # 2.0 fast
        ("3.5", 10, "0.756"),  # 2.0 mini: 216,000 tokens
        ("21.40", 5, "2.3112"),  # 2.5 at fal
    ],
)
def test_tokens(usd_per_million: str, seconds: float, cost: str) -> None:
    """Width x height x frames a second x seconds / 1024, by the million."""
    offer = made_up({"per_million_tokens": usd_per_million}, capabilities=SIZED)
    assert price(offer, seconds, size=(1280, 720)).cost == Range(*[Decimal(cost)] * 3)


def test_tokens_of_a_named_size() -> None:
    """A resolution's pixels are those that the offer says it has: 1920 x 1088 x 24 x 5 / 1024 = 244,800 tokens."""
    offer = made_up({"per_million_tokens": 7}, capabilities=SIZED)
    found = price(offer, 5, resolution="1080p", aspect_ratio="16:9")
    assert found.cost == Range(*[Decimal("1.7136")] * 3)
    assert found.in_words(offer) == "$7.00 per million tokens"


def test_tokens_of_what_goes_in() -> None:
    """Seconds of a clip that goes in are counted beside those that come out: 8 s are 172,800 tokens."""
    offer = made_up({"per_million_tokens": 7}, capabilities=SIZED)
    assert price(offer, 5, size=(1280, 720), input_seconds=Decimal(3)).cost == Range(*[Decimal("1.2096")] * 3)


@pytest.mark.parametrize("field", ["per_million_tokens", "per_megapixel"])
def test_no_pixels_are_invented(field: str) -> None:
    """Where the vendor's pixels of a resolution are not known there is no price."""
    found = price(made_up({field: 7}), 5, resolution="720p")
    assert (found.cost, found.reason) == (
        None,
        "it is priced by its pixels, and how many it will have is not known",
    )


@pytest.mark.parametrize(
    ("size", "cost"),
    [((1000, 1000), "0.03"), ((1280, 720), "0.03"), ((1001, 1000), "0.045"), ((1920, 1088), "0.06")],
)
def test_megapixels(size: tuple[int, int], cost: str) -> None:
    """FLUX.2 pro: 0.03 for the first million pixels and 0.015 for each further one that is begun."""
    offer = made_up({"fixed": "0.015", "per_megapixel": "0.015"})
    assert price(offer, None, size=size).cost == Range(*[Decimal(cost)] * 3)


def test_what_a_vendor_counts_in_tokens() -> None:
    """A number without a unit is of what the row counts, here millions of tokens; seconds it is not."""
    offer = made_up({"per_million_tokens": 7})
    route = offer.routes["text-to-video"]
    assert (Decimal(7), None) == (rate_of(offer, route, {}), rate_of(offer, route, {}, "second"))


def test_the_sum_of_shots() -> None:
    """Kling bills the seconds of all shots: three of 3, 5 and 2 s are a clip of 10 s, 1.12 on Kling 3.0 Pro."""
    shots = [3, 5, 2]
    assert price(offer_of("fal/kling-3.0-pro"), sum(shots), audio=False).cost.expected == Decimal("1.12")  # type: ignore[union-attr]
    assert all("multi_prompt" in route.refused for route in offer_of("fal/kling-3.0-pro").routes.values())


@given(
    st.fixed_dictionaries({name: st.decimals(0, 50, places=4) for name in
                           ("fixed", "per_second", "per_input_second", "per_megapixel", "per_million_tokens")}),
    st.integers(1, 30), st.integers(1, 30), st.integers(0, 30),
)  # fmt: skip
def test_every_amount_together(amounts: dict[str, Decimal], one: int, other: int, source: int) -> None:
    """Never negative, exact to the millionth, and longer is never cheaper."""
    offer = made_up(amounts, capabilities=SIZED)
    less, more = (
        price(offer, float(seconds), size=(1280, 720), input_seconds=Decimal(source)).cost
        for seconds in sorted((one, other))
    )
    assert less is not None
    assert more is not None
    assert 0 <= less.low <= less.expected <= more.expected
    tokens = Fraction(1280 * 720 * 24 * (max(one, other) + source), 1024 * 10**6)
    by_hand = (
        Fraction(amounts["fixed"]) + Fraction(amounts["per_second"]) * max(one, other)
        + Fraction(amounts["per_input_second"]) * source + Fraction(amounts["per_megapixel"])
        + Fraction(amounts["per_million_tokens"]) * tokens
    )  # fmt: skip
    assert more.expected == Decimal(-(-by_hand * 10**6 // 1)) / 10**6


def test_own_length() -> None:
    """A clip as long as its input is billed by the input's length."""
    offer = made_up({"per_second": "0.10"})
    assert price(offer, None, input_seconds=Decimal("2.5")).cost == Range(*[Decimal("0.25")] * 3)
    assert "how long the clip will be" in price(offer, None).reason


def test_rounded_up_to_a_millionth() -> None:
    """A rest below a millionth of a dollar is rounded up, never away."""
    assert price(made_up({"per_second": "0.00000001"}), 1).cost == Range(*[Decimal("0.000001")] * 3)


def test_nobody_else_s_rounding() -> None:
    """The caller's own decimal context changes nothing."""
    with localcontext() as context:
        context.prec = 2
        assert price(offer_of("kling/kling-3.0-pro"), 15, audio=True).cost == Range(*[Decimal("2.52")] * 3)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kling/kling-3.0-pro", "$0.112 per second"),
        ("runway/gen4.5", "12 credits ($0.12) per second"),
        ("local/mini", "free"),
    ],
)
def test_unit_price_in_words(name: str, words: str) -> None:
    """The unit price is said in the vendor's unit and in USD."""
    offer = offer_of(name)
    assert price(offer, audio=False).in_words(offer) == words


PNG = b"\x89PNG\r\n\x1a\n" + bytes(56)
AMOUNTS = st.decimals(0, 100, places=4)
SECONDS = st.integers(1, 600).map(lambda tenths: tenths / 10)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(shipped().offers), SECONDS, SECONDS, st.booleans(), st.data())
def test_shipped_prices_rise_with_length(
    offer: Offer, one: float, other: float, audio: bool, data: st.DataObject
) -> None:
    """No price is negative, low is not above expected nor that above high, and a longer clip is never cheaper."""
    route = data.draw(st.sampled_from(list(offer.routes.values())))
    resolution = data.draw(st.sampled_from(route.capabilities.resolutions or (None,)))
    source = Decimal(str(data.draw(SECONDS)))
    short, long = (
        price_of(
            offer,
            Request(prompt="x", duration=seconds, audio=audio, resolution=resolution),
            route,
            input_seconds=source,
        ).cost
        for seconds in (min(one, other), max(one, other))
    )
    assume(short is not None)
    assume(long is not None)
    assert short is not None
    assert long is not None
    assert 0 <= short.low <= short.expected <= short.high
    assert (short.low, short.expected, short.high) <= (long.low, long.expected, long.high)


def every_cell() -> Iterator[tuple[Offer, dict[str, Any], list[Decimal | None]]]:
    """Every shipped offer with a table, by task, resolution, sound and references: and the legal lengths, shortest first."""
    sounds = {"off": (False,), "on": (True,), "switch": (False, True)}
    for offer in shipped().offers:
        for route in offer.routes.values() if offer.price.rule == "table" else ():
            makes = route.capabilities
            legal = makes.durations
            lengths: list[Decimal | None] = [*legal.choices]
            if legal.least is not None and legal.most is not None:
                lengths += [
                    legal.least + legal.step * step
                    for step in range(int((legal.most - legal.least) / legal.step) + 1)
                ]
            for resolution, audio, references in product(
                makes.resolutions or (None,),
                sounds[makes.audio],
                (False, True) if makes.references else (False,),
            ):
                facts = {
                    "task": route.task,
                    "resolution": resolution,
                    "audio": audio,
                    "references": references,
                }
                yield offer, facts, lengths or [None]


def test_every_priced_cell_rises_with_length() -> None:
    """In no cell of any shipped table is a price below zero, a high below its expected, or a longer clip cheaper."""
    seen = 0
    for offer, facts, lengths in every_cell():
        before = Range(Decimal(0), Decimal(0), Decimal(0))
        for seconds in lengths:
            for source in (Decimal(3), Decimal(10)):
                priced = price_at(offer, {**facts, "duration": seconds}, input_seconds=source)
                if priced.cost is None:  # a length that is not sold in this resolution
                    continue
                seen += 1
                cost = priced.cost
                assert 0 <= cost.low <= cost.expected <= cost.high, (offer.name, facts, seconds)
                assert before.low <= cost.low, (offer.name, facts, seconds)
                assert (before.expected, before.high) <= (cost.expected, cost.high), (
                    offer.name,
                    facts,
                    seconds,
                )
                before = cost if source == 3 else before
    assert seen > 1000


def test_every_rate_by_the_second_is_its_price() -> None:
    """What one second comes to, for vendors that report how many they billed, is the price divided by its seconds."""
    seen = 0
    for offer, facts, lengths in every_cell():
        route = offer.routes[facts["task"]]
        for seconds in lengths:
            bought = {
                "duration": None if seconds is None else float(seconds), "resolution": facts["resolution"], "audio": facts["audio"],
                "reference_images": ["x"] if facts["references"] else [],
            }  # fmt: skip
            rate = rate_of(offer, route, bought, unit="second")
            priced = price_at(offer, {**facts, "duration": seconds}, input_seconds=seconds)
            if rate is None or seconds is None or priced.cost is None:
                continue
            seen += 1
            assert abs(rate * seconds - priced.cost.expected) < Decimal("0.01"), (offer.name, facts, seconds)
    assert seen > 500


@settings(max_examples=100, deadline=None)
@given(AMOUNTS, AMOUNTS, st.integers(0, 20), st.integers(0, 20), SECONDS, SECONDS)
def test_any_rule_rises_with_length(
    fixed: Decimal, rate: Decimal, minimum: int, block: int, one: float, other: float
) -> None:
    """Fees, rates, minimums and blocks of any size keep a longer clip from being cheaper."""
    row = {"fixed": fixed, "per_second": rate, "minimum_seconds": minimum, "block_seconds": block}
    offer = made_up(row)
    short, long = price(offer, min(one, other)), price(offer, max(one, other))
    assert short.cost is not None
    assert long.cost is not None
    assert 0 <= short.cost.expected <= long.cost.expected
    assert max(Decimal(str(min(one, other))), Decimal(minimum)) <= short.billed_seconds <= long.billed_seconds
