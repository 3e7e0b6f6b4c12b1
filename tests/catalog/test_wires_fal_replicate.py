"""The shipped offers at fal and Replicate against their wires: what a plan buys is what the strict servers take."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from vidorch.catalog import Catalog, shipped
from vidorch.client.market import _image_size, _length
from vidorch.contract import Admission, Context, Endpoint, Rejected
from vidorch.http import Http
from vidorch.offer import FieldMap, Offer, Route
from vidorch.planning import PlannedOffer
from vidorch.registry import Registry
from vidorch.request import Request
from vidorch.routing import make_plan
from vidorch.testing import VirtualClock
from vidorch.testing.clips import clip_bytes, still_bytes
from vidorch.testing.servers import ProtocolServer, fal_models, replicate_models, serve
from vidorch.testing.servers.base import RemoteJob

MODELS = {"fal": fal_models.MODELS, "replicate": replicate_models.MODELS}
OFFERS = [offer for offer in shipped().offers if offer.endpoint in MODELS and offer.model != "any"]
ROUTES = [(offer, task) for offer in OFFERS for task in offer.routes]
KEYS = {"fal": "test-key-id:test-key-secret", "replicate": "r8_test-key"}
TODAY = date(2026, 11, 26)

each_offer = pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.name)
each_route = pytest.mark.parametrize(
    ("offer", "task"), ROUTES, ids=[f"{offer.name}-{task}" for offer, task in ROUTES]
)


def sound_bytes(seconds: int) -> bytes:
    """A WAV of silence."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 8000 * seconds))
    return buffer.getvalue()


PICTURE, CLIP, SOUND = still_bytes((64, 36)), clip_bytes((64, 36), 5), sound_bytes(3)
INPUTS: dict[str, Any] = {"image": PICTURE, "last_image": PICTURE, "video": CLIP, "audio_track": SOUND}


def needed(route: Route) -> dict[str, Any]:
    """What the task cannot do without."""
    names = {
        "image-to-video": ("image",), "first-last-frame": ("image", "last_image"), "extend": ("video",), "edit": ("video",),
        "restyle": ("video",), "motion": ("image", "video"),
        "lipsync": tuple(name for name in INPUTS if name in route.fields),
    }.get(route.task, ())  # fmt: skip
    given = {name: INPUTS[name] for name in names}
    if route.task == "reference-to-video":
        given["reference_images"] = [PICTURE]
    return given


def everything(route: Route) -> dict[str, Any]:
    """Every setting that the route has, at its end where it has one."""
    able = route.capabilities
    given: dict[str, Any] = needed(route)
    given |= {"seed": 4294967295} if able.seed else {}
    given |= {"negative_prompt": "blur"} if able.negative_prompt == "native" else {}
    given |= {"steps": able.steps[1]} if able.steps else {}
    given |= {"guidance": float(able.guidance[1])} if able.guidance else {}
    given |= {"loras": ["https://example.com/style.safetensors"]} if able.loras else {}
    given |= {"audio_track": SOUND} if able.audio_track else {}
    given |= {"reference_images": [PICTURE] * able.references} if able.references else {}
    return given


def variants(offer: Offer, route: Route) -> Iterator[dict[str, Any]]:
    """Everything, in each resolution and shape, as long and as loud as there is a price for."""
    able = route.capabilities
    lengths = [*reversed(able.durations.choices)] or [able.durations.most]
    sounds = {"switch": [True, False], "on": [True], "off": [None]}[able.audio]
    shapes: list[tuple[str | None, str | None]] = [
        (name.partition(" ")[0], name.partition(" ")[2]) for name in able.sizes
    ] or list(product(able.resolutions or [None], able.aspect_ratios or [None]))
    for resolution, ratio in shapes:
        shaped = everything(route) | {"resolution": resolution, "aspect_ratio": ratio}
        tried = [
            shaped | {"duration": None if length is None else float(length), "audio": sound}
            for sound, length in product(sounds, lengths)
        ]
        yield next((one for one in tried if planned(offer, route.task, one) is not None), tried[0])


def is_priced(offer: Offer, task: str) -> bool:
    """Whether any row is about the task."""
    return any(task in row.when.get("task", offer.routes) for row in offer.price.rows)


def planned(
    offer: Offer, task: str, fields: Mapping[str, Any], *, unpriced: bool | None = None
) -> PlannedOffer | None:
    """The purchase of a plan in which nothing stands for itself but what is known to have no price."""
    request = Request(prompt="a red ball rolling left", task=task, **fields)
    plan = make_plan(
        request, [offer.name], catalog=Catalog((offer,)), endpoints={}, installed={offer.provider},
        has_credentials=lambda _: True, admit=lambda *_: Admission(), today=TODAY, to_run=True, image_size=_image_size,
        length=_length, allow_unpriced=not is_priced(offer, task) if unpriced is None else unpriced,
    )  # fmt: skip
    return plan.entries[0] if plan.entries else None


@pytest.fixture(scope="module")
def servers() -> Iterator[Mapping[str, ProtocolServer]]:
    with serve("fal") as fal, serve("replicate") as replicate:
        yield {"fal": fal, "replicate": replicate}


def buy(server: ProtocolServer, entry: PlannedOffer, folder: Path) -> RemoteJob:
    """Hand the inputs over and submit, as the engine does. A wrong field, type or value is an error of the server's."""
    provider = Registry().get(entry.offer.provider)

    async def go() -> str:
        http = Http(private_hosts=["127.0.0.1"])
        try:
            context = Context(
                Endpoint(entry.offer.endpoint, entry.offer.provider, base_url=server.url), VirtualClock(), "job_1", folder,
                secret=KEYS[entry.offer.endpoint], http=http, route=entry.route, samples=entry.samples,
            )  # fmt: skip
            prepared = await provider.prepare(context, entry.request, entry.offer)
            return (await provider.submit(context, prepared)).remote_id
        finally:
            await http.aclose()

    job = server.find(asyncio.run(go()))
    assert job is not None
    return job


@each_route
def test_the_server_knows_it(offer: Offer, task: str) -> None:
    """Each route is among the endpoints whose fields the server checks, so that the tests below mean something."""
    assert offer.routes[task].path in MODELS[offer.endpoint]


@each_route
def test_the_least_is_taken(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    servers: Mapping[str, ProtocolServer],
    offer: Offer,
    task: str,
) -> None:
    """A prompt and what the task needs: the plan fills the rest, and the server takes it as it was meant."""
    monkeypatch.setenv("VIDORCH_LIVE", "1")  # to the loopback alone
    entry = planned(offer, task, needed(offer.routes[task]))
    assert entry is not None
    meant(servers[offer.endpoint], entry, buy(servers[offer.endpoint], entry, tmp_path))


@each_route
def test_everything_is_taken(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    servers: Mapping[str, ProtocolServer],
    offer: Offer,
    task: str,
) -> None:
    """Every setting at once, in each resolution and shape, at its longest."""
    monkeypatch.setenv("VIDORCH_LIVE", "1")
    for fields in variants(offer, offer.routes[task]):
        entry = planned(offer, task, fields)
        assert entry is not None
        job = buy(servers[offer.endpoint], entry, tmp_path)
        meant(servers[offer.endpoint], entry, job)
        for name in fields.keys() & {"seed", "negative_prompt"}:
            assert fields[name] == job.body[offer.routes[task].fields[name].to]


def meant(server: ProtocolServer, entry: PlannedOffer, job: RemoteJob) -> None:
    """The server understood the length and the sound as they were bought."""
    if entry.request.duration is not None:
        assert entry.request.duration == server.seconds(job)  # type: ignore[attr-defined]
    if entry.route.capabilities.audio == "switch":
        assert entry.request.audio == server.sounds(job)  # type: ignore[attr-defined]


@each_offer
def test_it_can_be_searched_for(offer: Offer) -> None:
    """Both vendors list what was submitted; a result of Replicate's is gone after an hour."""
    lifetime = {"fal": (None, 60.0), "replicate": (3600.0, 120.0)}[offer.endpoint]
    assert (offer.find, (offer.result_lifetime, offer.find_lag)) == ("list", lifetime)


def test_a_price_is_never_free() -> None:
    """Nothing at a hosted vendor costs nothing."""
    for offer in OFFERS:
        for row in offer.price.rows:
            assert (
                row.fixed + row.per_second + row.per_input_second + row.per_megapixel + row.per_million_tokens
                > 0
            )


def test_what_has_no_price() -> None:
    """These routes have no price that is known; no plan has them unless that is asked for."""
    unpriced = {f"{offer.name} {task}" for offer, task in ROUTES if not is_priced(offer, task)}
    o1 = ("image-to-video", "first-last-frame", "reference-to-video", "edit")
    shown = ("text-to-video", "image-to-video", "first-last-frame")
    assert unpriced == {
        "fal/pika-2.2 text-to-video", "fal/pika-2.2 image-to-video", "fal/kling-2.6-pro motion",
        *(f"fal/kling-o1-{size} {task}" for size in ("pro", "standard") for task in o1),
        *(f"fal/seedance-1.5-pro {task}" for task in shown),
        *(f"replicate/kling-3.0-omni-{size} {task}" for size in ("pro", "standard") for task in (*shown, "reference-to-video")),
    }  # fmt: skip
    for offer, task in ROUTES:
        entry = planned(offer, task, needed(offer.routes[task]), unpriced=False)
        assert (entry is None) == (f"{offer.name} {task}" in unpriced)


@pytest.mark.parametrize(
    ("name", "field", "wrong"),
    [
        ("fal/kling-2.5-turbo-pro", "duration", FieldMap("duration", "integer")),
        ("fal/kling-3.0-omni-standard", "prompt", FieldMap("text")),
        ("replicate/veo-3.1", "duration", FieldMap("duration", "string")),
        ("replicate/hailuo-2.3", "resolution", FieldMap("resolution", form="{}P")),
    ],
)
def test_a_wrong_map_would_be_seen(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    servers: Mapping[str, ProtocolServer],
    name: str,
    field: str,
    wrong: FieldMap,
) -> None:
    """The servers refuse a field of another name, type or value, so that the tests above prove something."""
    monkeypatch.setenv("VIDORCH_LIVE", "1")
    offer = next(offer for offer in OFFERS if offer.name == name)
    entry = planned(offer, "text-to-video", {})
    assert entry is not None
    spoilt = replace(entry, route=replace(entry.route, fields={**entry.route.fields, field: wrong}))
    with pytest.raises(Rejected):
        buy(servers[offer.endpoint], spoilt, tmp_path)
