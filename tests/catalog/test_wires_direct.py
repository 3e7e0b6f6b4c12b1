"""Every route of the shipped offers at Kling, Runway, Vertex and Gemini, sent to the vendor's protocol server, which is strict."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import samples
from tests.direct import bought, planned
from vidorch.catalog import shipped
from vidorch.offer import Durations, Offer, Route
from vidorch.planning import PlannedOffer
from vidorch.testing.servers import ProtocolServer, serve

OPTIONS: dict[str, dict[str, Any]] = {
    "kling": {"slots": 100_000, "units": None},
    "runway": {"balance": 10**9},
    "vertex": {},
    "gemini": {},
}
OFFERS = [offer for offer in shipped().offers if offer.endpoint in OPTIONS]
ROUTES = [pytest.param(offer, task, id=f"{offer.name} {task}") for offer in OFFERS for task in offer.routes]
PICTURE, LAST = samples.png(400, 300), samples.png(400, 300, 200)
CLIP, VOICE = "https://example.com/a.mp4", "https://example.com/a.mp3"


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, ProtocolServer]]:
    running = {name: serve(name, **options) for name, options in OPTIONS.items()}
    for server in running.values():
        server.__enter__()
    yield running
    for server in running.values():
        server.__exit__(None, None, None)


def inputs(offer: Offer, task: str) -> dict[str, Any]:
    """The media that a task cannot do without; Kling takes clips by URL alone."""
    clip = CLIP if offer.endpoint == "kling" else samples.MP4
    needed: dict[str, dict[str, Any]] = {
        "image-to-video": {"image": PICTURE},
        "first-last-frame": {"image": PICTURE, "last_image": LAST},
        "reference-to-video": {"reference_images": [PICTURE]},
        "extend": {"task": task, "video": clip},
        "edit": {"task": task, "video": clip},
        "restyle": {"task": task, "video": clip},
        "upscale": {"task": task, "video": clip},
        "motion": {"task": task, "image": PICTURE, "video": clip},
    }
    if task == "lipsync":
        face = {"image": PICTURE} if "image" in offer.routes[task].fields else {"video": clip}
        return {"task": task, "audio_track": VOICE, **face}
    return needed.get(task, {})


def everything(route: Route) -> list[dict[str, Any]]:
    """Every optional setting at once: for each resolution and each shape, by turns with sound and without, the longest clip."""
    able = route.capabilities
    shared: dict[str, Any] = {"duration": longest(able.durations), "seed": 7 if able.seed else None}
    shared |= {name: "rain" for name in ("negative_prompt", "camera") if getattr(able, name) != "absent"}
    if able.guidance:
        shared["guidance"] = float(able.guidance[1])
    if able.references:
        shared["reference_images"] = [PICTURE] * able.references
    sounds = {"switch": (True, False), "on": (True,), "off": (None,)}[able.audio]
    shapes = [*itertools.product(able.resolutions or (None,), able.aspect_ratios or (None,))]
    shapes = shapes if len(shapes) > 1 else shapes * 2  # so that sound is heard both ways
    return [
        {**shared, "resolution": size, "aspect_ratio": ratio, "audio": sound}
        for (size, ratio), sound in zip(shapes, itertools.cycle(sounds), strict=False)
    ]


def longest(legal: Durations) -> float | None:
    most = legal.choices[-1] if legal.choices else legal.most
    return None if most is None else float(most)


@pytest.mark.parametrize(("offer", "task"), ROUTES)
class TestWires:
    """What the plan would buy, and what the vendor makes of it."""

    def test_takes_what_the_task_needs(
        self, offer: Offer, task: str, servers: dict[str, ProtocolServer], tmp_path: Path
    ) -> None:
        """With nothing but the inputs of the task, the strict server takes it and makes as many seconds as were bought."""
        entry = planned(offer, **inputs(offer, task))
        (job,) = bought(servers[offer.endpoint], [entry], tmp_path)
        assert lasts(entry) in (None, servers[offer.endpoint].seconds(job))
        assert "done" == job.fate.ending

    def test_takes_every_setting(
        self, offer: Offer, task: str, servers: dict[str, ProtocolServer], tmp_path: Path
    ) -> None:
        """With every setting that the offer says it takes, in each resolution and shape, the server takes it, too."""
        entries = [
            planned(offer, **{**inputs(offer, task), **settings})
            for settings in everything(offer.routes[task])
        ]
        jobs = bought(
            servers[offer.endpoint], entries, tmp_path, webhook="https://example.com/hook?token=1",
            samples=offer.routes[task].capabilities.samples,
        )  # fmt: skip
        assert [lasts(entry) for entry in entries] == [
            lasts(entry) and servers[offer.endpoint].seconds(job)
            for entry, job in zip(entries, jobs, strict=True)
        ]
        assert {"done"} == {job.fate.ending for job in jobs}


def lasts(entry: PlannedOffer) -> float | None:
    return entry.request.duration


def test_every_offer_of_these_endpoints_is_here() -> None:
    """No endpoint that has a protocol server of its own vendor's is forgotten."""
    assert {offer.endpoint for offer in OFFERS} == set(OPTIONS)
