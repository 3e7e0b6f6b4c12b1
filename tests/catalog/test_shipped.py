"""The shipped rows: every price with a source and a day, no fact twice, and what the vendors' pages say."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import product
from pathlib import Path

import pytest

from vidorch.catalog import load, shipped
from vidorch.offer import Lifecycle, Offer, PriceRow
from vidorch.price import price_of
from vidorch.request import Request

OFFERS = tuple(
    offer for offer in shipped().offers if offer.model != "any"
)  # what stands for all others has no facts of its own
TODAY = date(2026, 11, 26)
WORDLESS = ("lipsync", "motion", "upscale")
"""Tasks that may do without a prompt."""

each_offer = pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.name)


@each_offer
def test_every_price_row_has_a_source_and_a_day(offer: Offer) -> None:
    """No price without the page it was read on and the day it was read; where none is known, why."""
    assert offer.price.rule in ("free", "hours") or offer.price.rows or offer.price.note
    assert all(row.source.strip() and row.as_of and row.as_of <= TODAY for row in offer.price.rows)


@each_offer
def test_every_lifecycle_and_latency_has_a_source(offer: Offer) -> None:
    """No word about life or speed without where it was read."""
    assert offer.lifecycle.source
    assert offer.lifecycle.as_of
    assert offer.latency.source or not offer.latency.high


@each_offer
def test_every_offer_can_be_asked(offer: Offer) -> None:
    """A hosted offer names its key's variable and maps the prompt and the length; the built-in one needs neither.

    No words are needed where a sound, a motion or the clip itself says them, and no length where only one is made, or where
    the input's decides.
    """
    hosted = offer.provider != "local"
    assert bool(offer.variables) == hosted
    for route in offer.routes.values():
        legal = route.capabilities.durations
        assert not hosted or route.task in ("lipsync", "motion", "upscale") or "prompt" in route.fields
        assert (
            not hosted
            or {"duration", "frames"} & route.fields.keys()
            or (legal.least is None and len(legal.choices) < 2)
        )
        assert route.path
        assert "{model}" not in route.path


@each_offer
def test_every_input_of_a_task_has_a_field(offer: Offer) -> None:
    """A route that takes an image, a last image or references says where they go."""
    needed = {
        "image-to-video": {"image"}, "first-last-frame": {"image", "last_image"}, "reference-to-video": {"reference_images"},
        "edit": {"video"}, "restyle": {"video"}, "extend": {"video"}, "motion": {"image", "video"}, "lipsync": {"audio_track"},
    }  # fmt: skip
    for task, route in offer.routes.items():
        assert offer.provider == "local" or needed.get(task, set()) <= route.fields.keys()
        assert route.capabilities.last_image == (task == "first-last-frame")


def test_no_fact_stands_twice() -> None:
    """No offer has two rows, no title two offers, and a vendor's model costs the same wherever two of our names stand for it."""
    assert len({offer.name for offer in OFFERS}) == len(OFFERS)
    assert len({offer.title for offer in OFFERS}) == len(OFFERS)
    seen: dict[tuple[object, ...], PriceRow | None] = {}
    for offer in OFFERS:
        for route in offer.routes.values():
            for resolution, audio in product(route.capabilities.resolutions or (None,), (True, False)):
                row = price_of(
                    offer, Request(prompt="x", duration=5, resolution=resolution, audio=audio), route
                ).row
                fact = (offer.endpoint, route.path, tuple(route.fixed.items()), route.task, resolution, audio)
                assert seen.setdefault(fact, row) == row


def test_what_has_ended() -> None:
    """On 26 November 2026 Sora is gone for sure; Veo 3.1 on Vertex is only said to be."""
    gone = {offer.name for offer in OFFERS if offer.lifecycle.dead_on(TODAY)}
    said = {offer.name for offer in OFFERS if offer.lifecycle.retires and not offer.lifecycle.confirmed}
    assert gone == {"openai/sora-2", "openai/sora-2-pro"}
    assert said == {"vertex/veo-3.1", "vertex/veo-3.1-fast", "vertex/veo-3.1-lite"}


def test_sora_lived_until_its_last_day() -> None:
    """Sora is alive on 23 September 2026, its last day, and dead from the 24th on, though its row says retired all along."""
    offer = shipped().offer("openai/sora-2")
    assert offer is not None
    assert (offer.lifecycle.retires, offer.lifecycle.state) == (date(2026, 9, 24), "retired")
    days = [date(2026, 9, 23), date(2026, 9, 24), TODAY]
    assert [offer.lifecycle.dead_on(day) for day in days] == [False, True, True]


def test_retired_without_a_date() -> None:
    """Where no date is known, the state alone decides, if it was confirmed at first hand."""
    assert Lifecycle(state="retired", confirmed=True).dead_on(TODAY)
    assert not Lifecycle(state="retired").dead_on(TODAY)


def test_built_in() -> None:
    """The built-in model is free, needs no key, makes 2 s of 256x256 at 12 frames per second, and dies with its caller."""
    offer = shipped().offer("local/mini")
    assert offer is not None
    able = offer.routes["image-to-video"].capabilities
    assert (offer.price.rule, offer.variables, offer.outlives_caller, offer.find) == (
        "free",
        (),
        False,
        "none",
    )
    assert able.durations.choices == (Decimal(2),)
    assert (able.sizes, able.fps, able.audio) == ({"256p 1:1": (256, 256)}, (Fraction(12),), "off")


def test_one_file_per_family_or_endpoint() -> None:
    """Each shipped file holds one family, or what one endpoint has; Runway's also what others have of Runway."""
    folder = Path(load.__code__.co_filename).parent / "data"
    for path in folder.glob("*.toml"):
        file = tomllib.loads(path.read_text("utf-8"))
        families = {offer.get("family", file.get("family")) for offer in file["offer"]}
        elsewhere = {
            offer.get("family", file.get("family")) for offer in file["offer"]
            if not offer.get("endpoint", offer.get("like", "")).startswith(path.stem)
        }  # fmt: skip
        assert len(families) == 1 or elsewhere <= {path.stem}, path.name


def test_door_is_lazy() -> None:
    """Naming the catalog loads no TOML parser; pricing loads nothing but the standard library."""
    code = (
        "import sys, vidorch.catalog; assert 'tomllib' not in sys.modules; "
        "import vidorch.routing, vidorch.catalog.layers; vidorch.catalog.shipped(); "
        "heavy = {'numpy', 'av', 'httpx', 'pydantic', 'rich', 'sqlalchemy', 'platformdirs', 'torch'} & sys.modules.keys(); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
