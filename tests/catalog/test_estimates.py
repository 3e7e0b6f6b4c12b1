"""Every live offer and route of the shipped catalog, estimated at every resolution, sound and a spread of lengths."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import pairwise, product
from typing import Any

import pytest

from vidorch.catalog import Catalog, shipped
from vidorch.client.market import _image_size, _length
from vidorch.contract import Admission
from vidorch.estimating import EstimateLine, LeftOut
from vidorch.offer import Durations, Offer, PriceRow
from vidorch.request import Request
from vidorch.routing import make_plan
from vidorch.testing.clips import clip_bytes, still_bytes

TODAY = date(2026, 11, 26)
OFFERS = [offer for offer in shipped().offers if offer.model != "any" and not offer.lifecycle.dead_on(TODAY)]
HOSTED = [offer for offer in OFFERS if offer.provider != "local"]
each_route = pytest.mark.parametrize(
    ("offer", "task"),
    [(offer, task) for offer in HOSTED for task in offer.routes],
    ids=[f"{offer.name}-{task}" for offer in HOSTED for task in offer.routes],
)
_LENGTHS = 5
"""Of a range, how many are tried at least: both ends, and between them."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What was asked for, and what became of it."""

    resolution: str | None
    audio: bool | None
    references: bool
    seconds: float | None
    said: EstimateLine | LeftOut
    row: PriceRow | None


def sound_bytes(seconds: int) -> bytes:
    """A WAV of silence."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 8000 * seconds))
    return buffer.getvalue()


PICTURE, CLIP, SOUND = still_bytes((64, 36)), clip_bytes((64, 36), 5), sound_bytes(3)
NEEDED: dict[str, dict[str, Any]] = {
    "image-to-video": {"image": PICTURE},
    "first-last-frame": {"image": PICTURE, "last_image": PICTURE},
    "reference-to-video": {"reference_images": [PICTURE]},
    "extend": {"video": CLIP}, "edit": {"video": CLIP}, "restyle": {"video": CLIP}, "upscale": {"video": CLIP},
    "motion": {"image": PICTURE, "video": CLIP},
}  # fmt: skip


def lengths(legal: Durations) -> list[float | None]:
    """Rising, both ends among them."""
    if legal.choices:
        return [float(choice) for choice in legal.choices]
    if legal.least is None or legal.most is None:
        return [None]
    steps = int((legal.most - legal.least) / legal.step)
    every = max(steps // (_LENGTHS - 1), 1)
    return [float(legal.least + legal.step * n) for n in sorted({*range(0, steps, every), steps})]


def _inputs(offer: Offer, task: str) -> dict[str, Any]:
    if task == "lipsync":
        given = {"image": PICTURE, "video": CLIP, "audio_track": SOUND}
        return {name: value for name, value in given.items() if name in offer.routes[task].fields}
    return NEEDED.get(task, {})


def _every(offer: Offer, task: str) -> Iterator[Tried]:
    able = offer.routes[task].capabilities
    sounds = {"switch": (False, True), "on": (True,), "off": (None,)}[able.audio]
    looks = (False, True) if able.references and "reference_images" not in _inputs(offer, task) else (False,)
    for resolution, audio, look in product(able.resolutions or (None,), sounds, looks):
        for seconds in lengths(able.durations):
            given = _inputs(offer, task) | ({"reference_images": [PICTURE]} if look else {})
            plan = make_plan(
                Request(prompt="a red ball", task=task, resolution=resolution, audio=audio, duration=seconds, **given),
                [offer.name], catalog=Catalog((offer,)), endpoints={}, installed={offer.provider},
                has_credentials=lambda _: False, admit=lambda *_: Admission(), today=TODAY, to_run=False,
                image_size=_image_size, length=_length,
            )  # fmt: skip
            entry = plan.entries[0] if plan.entries else None
            yield Tried(
                resolution, audio, look, seconds,
                entry.line() if entry else plan.left_out[0], entry.priced.row if entry else None,
            )  # fmt: skip


@cache
def tried(name: str, task: str) -> tuple[Tried, ...]:
    """All of them, made once."""
    offer = shipped().offer(name)
    assert offer is not None
    return tuple(_every(offer, task))


def lines(offer: Offer, task: str) -> list[EstimateLine]:
    return [one.said for one in tried(offer.name, task) if isinstance(one.said, EstimateLine)]


@each_route
def test_low_is_least_and_high_is_most(offer: Offer, task: str) -> None:
    """Never negative, low <= expected <= high, in dollars and in seconds."""
    for line in lines(offer, task):
        assert 0 <= line.cost.low <= line.cost.expected <= line.cost.high
        assert line.seconds is None or 0 <= line.seconds.low <= line.seconds.expected <= line.seconds.high


@each_route
def test_longer_is_never_cheaper(offer: Offer, task: str) -> None:
    """Of the same settings, more seconds cost no less and take no less."""
    for one, other in pairwise(tried(offer.name, task)):
        same = (one.resolution, one.audio, one.references) == (
            other.resolution,
            other.audio,
            other.references,
        )
        if not same or isinstance(one.said, LeftOut) or isinstance(other.said, LeftOut):
            continue
        assert one.said.cost.expected <= other.said.cost.expected
        assert one.said.cost.high <= other.said.cost.high
        assert (
            not (one.said.seconds and other.said.seconds) or one.said.seconds.high <= other.said.seconds.high
        )


@each_route
def test_a_price_has_a_source_and_a_day_or_there_is_a_reason(offer: Offer, task: str) -> None:
    """A line says where its price was read and when; what has no line says why."""
    said = [one.said for one in tried(offer.name, task)]
    assert said
    assert all(
        one.price_source.strip()
        and one.price_as_of is not None
        and one.price_as_of <= TODAY
        and one.unit_price
        if isinstance(one, EstimateLine)
        else one.reason.strip() and one.kinds <= {"request", "price"}
        for one in said
    )


@each_route
def test_an_unconfirmed_price_is_marked(offer: Offer, task: str) -> None:
    """A line whose row nobody confirmed says so in a note, and no other line does."""
    for one in tried(offer.name, task):
        if isinstance(one.said, EstimateLine) and one.row is not None:
            noted = any(note.startswith("price not confirmed: ") for note in one.said.notes)
            assert (one.row.confirmed, not one.row.confirmed) == (one.said.confirmed, noted)


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.name)
def test_no_unconfirmed_row_is_out_of_reach(offer: Offer) -> None:
    """Each row that nobody confirmed is what some request is estimated with, marked."""
    reached = [one.row for task in offer.routes for one in tried(offer.name, task)]
    assert [] == [row for row in offer.price.rows if not row.confirmed and row not in reached]
