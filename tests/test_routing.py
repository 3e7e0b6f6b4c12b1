"""Routing: which offers take a request, in which order, and every reason why the others do not."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.steady import STEADY
from vidorch.catalog import Catalog, load, shipped
from vidorch.choice import Choice
from vidorch.contract import Admission, Endpoint
from vidorch.errors import InvalidRequest, MissingCredentials, Retired, Unsupported, VidorchError
from vidorch.inputs import Media
from vidorch.offer import Offer
from vidorch.planning import Plan, PlannedOffer, estimate_of
from vidorch.request import FITS, RESOLUTIONS, Request, parse_ratio
from vidorch.routing import make_plan

PNG = b"\x89PNG\r\n\x1a\n" + bytes(56)
GIF = b"GIF89a" + bytes(58)
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(52)
MP3 = b"ID3" + bytes(61)
TODAY = date(2026, 11, 22)
ALL = ("local", "fal", "replicate", "kling", "vertex", "runway", "openai")


def plan(
    model: str | Choice | Sequence[str | Choice] = (),
    *,
    prompt: str = "a red ball",
    installed: Sequence[str] = ALL,
    keys: Sequence[str] = ALL,
    refuses: str = "",
    image_size: tuple[int, int] | None = None,
    catalog: Catalog | None = None,
    endpoints: dict[str, Endpoint] | None = None,
    today: date = TODAY,
    to_run: bool = False,
    trouble: dict[str, Exception] | None = None,
    length: str | None = None,
    **fields: Any,
) -> Plan:
    def admit(offer: Offer, _: Request) -> Admission:
        if trouble and offer.provider in trouble:
            raise trouble[offer.provider]
        return Admission(
            "it knows no balls" if offer.provider == refuses else "", (f"asked {offer.provider}",)
        )

    return make_plan(
        Request(prompt=prompt, **fields),
        [model] if isinstance(model, (str, Choice)) else model,
        catalog=catalog or STEADY,
        endpoints=endpoints or {},
        installed=installed,
        has_credentials=lambda offer: offer.provider in keys,
        admit=admit,
        today=today,
        to_run=to_run,
        image_size=(lambda _: image_size) if image_size else None,
        length=(lambda _: Decimal(length)) if length else None,
    )


def only(made: Plan) -> PlannedOffer:
    assert [one.reason for one in made.left_out] == []
    (entry,) = made.entries
    return entry


def reason(made: Plan) -> str:
    assert made.entries == ()
    (one,) = made.left_out
    return one.reason


def names(made: Plan) -> list[str]:
    return [entry.offer.name for entry in made.entries]


class TestNames:
    """What `model=` may be."""

    def test_no_model_is_the_built_in_one(self) -> None:
        """Without a model only the built-in one is considered, whatever keys are there."""
        made = plan(())
        assert names(made) == ["local/mini"]
        assert made.entries[0].cost.high == 0

    def test_no_model_never_costs(self) -> None:
        """Where the built-in model cannot, nothing else takes its place."""
        assert names(plan((), refuses="local")) == []

    def test_pinned(self) -> None:
        """`endpoint/model` is that offer alone."""
        assert names(plan("fal/kling-3.0-pro")) == ["fal/kling-3.0-pro"]

    def test_bare_name_is_cheapest_first(self) -> None:
        """A bare name is all its endpoints, cheapest first, and of two that cost alike the one that is sure of it."""
        assert names(plan("kling-3.0-pro")) == [
            "kling/kling-3.0-pro",
            "replicate/kling-3.0-pro",
            "fal/kling-3.0-pro",
        ]

    def test_list_is_an_order(self) -> None:
        """A list is an order of preference, whatever it costs."""
        assert names(plan(["kling-3.0-4k", "gen4.5"])) == [
            "fal/kling-3.0-4k",
            "kling/kling-3.0-4k",
            "runway/gen4.5",
        ]

    def test_twice_named_is_once_planned(self) -> None:
        """An offer that a list names twice is planned once, at its first place."""
        assert names(plan(["fal/kling-3.0-pro", "kling-3.0-pro"])) == [
            "fal/kling-3.0-pro",
            "kling/kling-3.0-pro",
            "replicate/kling-3.0-pro",
        ]

    @pytest.mark.parametrize(
        ("wrong", "near"),
        [("kling-3-pro", "kling-3.0-pro"), ("fal/kling-3.0-pr", "fal/kling-3.0-pro"), ("Gen4.5", "gen4.5")],
    )
    def test_unknown(self, wrong: str, near: str) -> None:
        """An unknown name is an InvalidRequest with the nearest right one."""
        with pytest.raises(InvalidRequest, match=f"Did you mean {near!r}") as caught:
            plan(wrong)
        assert (caught.value.field, caught.value.value) == ("model", wrong)

    def test_endpoint_of_ones_own(self) -> None:
        """A configured endpoint with a name of its own has its provider's offers."""
        made = plan("fal-eu/kling-3.0-pro", endpoints={"fal-eu": Endpoint("fal-eu", "fal", concurrency=2)})
        assert (names(made), made.entries[0].at_once) == (["fal-eu/kling-3.0-pro"], 2)

    def test_endpoint_of_ones_own_by_bare_name(self) -> None:
        """A bare name means that endpoint, too."""
        made = plan("kling-3.0-pro", endpoints={"fal-eu": Endpoint("fal-eu", "fal")})
        here = {"fal/kling-3.0-pro", "kling/kling-3.0-pro", "replicate/kling-3.0-pro"}
        assert set(names(made)) == {"fal-eu/kling-3.0-pro", *here}


class TestChoice:
    """Settings of one entry of a list."""

    def test_overrides_hold_for_one(self) -> None:
        """A Choice asks one offer differently; the others are asked as the call says."""
        made = plan([Choice("gen4.5", duration=8), "kling/kling-3.0-pro"], duration=5)
        assert [entry.request.duration for entry in made.entries] == [8.0, 5.0]
        assert [entry.asked.duration for entry in made.entries] == [8.0, 5.0]

    def test_size_replaces_resolution(self) -> None:
        """A Choice's size replaces the call's resolution and shape, and the other way round."""
        made = plan([Choice("gen4.5", size="720x1280")], resolution="1080p", aspect_ratio="16:9")
        assert made.entries[0].request.size == (720, 1280)
        assert (
            plan([Choice("kling/kling-3.0-pro", resolution="1080p")], size="1280x720")
            .entries[0]
            .request.resolution
            == "1080p"
        )

    def test_image_changes_the_task(self) -> None:
        """An image in a Choice makes that entry image-to-video."""
        assert plan([Choice("gen4.5", image=PNG)]).entries[0].route.task == "image-to-video"

    def test_unknown_field(self) -> None:
        """A field that no request has is refused with the nearest right name."""
        with pytest.raises(InvalidRequest, match="Did you mean duration="):
            Choice("gen4.5", duratoin=5)

    def test_no_candidates(self) -> None:
        """How many clips there are to be is the call's to say."""
        with pytest.raises(InvalidRequest, match="candidates"):
            Choice("gen4.5", candidates=3)

    def test_equal_choices_are_one(self) -> None:
        """Two equal choices are planned once, two different ones twice."""
        made = plan(
            [Choice("gen4.5", duration=5), Choice("gen4.5", duration=5), Choice("gen4.5", duration=6)]
        )
        assert [entry.request.duration for entry in made.entries] == [5.0, 6.0]

    def test_description(self, tmp_path: Path) -> None:
        """What the ledger keeps of a Choice is JSON: media as hash, size and kind, settings without secrets."""
        (tmp_path / "s3cret.png").write_bytes(PNG)
        choice = Choice(
            "gen4.5", duration=Decimal(6), size=(720, 1280), image=tmp_path / "s3cret.png",
            video="https://a.b/c.mp4?sig=s3cret", reference_images=[PNG], last_image=None,
            extra={"runway": {"apiKey": "s3cret", "x": 1}},
        )  # fmt: skip
        said = json.dumps(choice.describe())
        assert "s3cret" not in said + repr(choice)
        overrides = json.loads(said)["overrides"]
        assert ("gen4.5", 6.0, [720, 1280], None) == (
            choice.describe()["model"], overrides["duration"], overrides["size"], overrides["last_image"],
        )  # fmt: skip
        picture = Media.of(PNG, "image", "image").describe()
        assert (picture, [picture]) == (overrides["image"], overrides["reference_images"])
        assert "https://a.b/c.mp4" == overrides["video"]["url"]
        assert {"apiKey": "(hidden)", "x": 1} == overrides["extra"]["runway"]

    def test_plan_without_secrets(self) -> None:
        """Neither the plan that the ledger keeps nor the estimate that is printed shows a secret of `extra`."""
        made = plan("gen4.5", extra={"runway": {"token": "s3cret", "hook": "https://a.b/c?t=s3cret"}})
        assert names(made) == ["runway/gen4.5"]
        assert "s3cret" not in json.dumps([made.describe(), estimate_of(made).to_dict()], default=str)

    def test_plain_value(self) -> None:
        """A Choice compares, hashes and travels between processes."""
        choice = Choice("gen4.5", duration=5)
        assert pickle.loads(pickle.dumps(choice)) == choice == Choice("gen4.5", duration=5)
        assert len({choice, Choice("gen4.5", duration=5)}) == 1


class TestDuration:
    """Within half a second, or as `fit` says."""

    @pytest.mark.parametrize(
        ("asked", "fit", "bought"),
        [
            (8, None, 8), (7.5, None, 8), (6.4, None, 6), (4.5, None, 4),
            (8, "strict", 8), (5, "exact", 6), (4, "exact", 4), (0.5, "exact", 4),
            (5, "nearest", 6), (4.9, "nearest", 4), (60, "nearest", 8), (0.1, "nearest", 4),
        ],
    )  # fmt: skip
    def test_choices(self, asked: float, fit: Any, bought: float) -> None:
        """Of 4, 6 and 8 s the right one is bought; of two equally near the longer."""
        assert only(plan("vertex/veo-3.1", duration=asked, fit=fit)).request.duration == bought

    @pytest.mark.parametrize(
        ("asked", "fit", "bought"),
        [(5.4, None, 5), (5.5, None, 6), (5.2, "exact", 6), (20, "nearest", 15), (1, "nearest", 3)],
    )
    def test_range(self, asked: float, fit: Any, bought: float) -> None:
        """Of whole seconds from 3 to 15 the right one is bought."""
        assert only(plan("kling/kling-3.0-pro", duration=asked, fit=fit)).request.duration == bought

    @pytest.mark.parametrize(
        ("model", "asked", "fit", "says"),
        [
            ("vertex/veo-3.1", 7, None, "duration 7 s: makes 4, 6 or 8"),
            ("vertex/veo-3.1", 7.5, "strict", "duration 7.5 s: makes 4, 6 or 8"),
            ("vertex/veo-3.1", 8.5, "exact", "duration 8.5 s: makes 4, 6 or 8"),
            ("gen4.5", 11, None, "duration 11 s: makes whole seconds from 2 to 10"),
            ("mini", 5, None, "duration 5 s: makes 2"),
        ],
    )
    def test_left_out(self, model: str, asked: float, fit: Any, says: str) -> None:
        """Further away the offer is left out, with what was asked and what is made."""
        assert reason(plan(model, duration=asked, fit=fit)) == says

    def test_trimmed(self) -> None:
        """`fit="exact"` buys the next longer clip and says what it will be cut to."""
        entry = only(plan("gen4.5", duration=4.2, fit="exact"))
        assert (entry.request.duration, entry.trim_to) == (5.0, 4.2)
        assert entry.billed_seconds == 5
        assert "duration 4.2 s: 5 s are made and cut to 4.2 s" in entry.notes

    def test_difference_is_noted(self) -> None:
        """A clip that is not exactly as long as asked is told."""
        assert "duration 7.6 s: 8 s are made" in only(plan("vertex/veo-3.1", duration=7.6)).notes

    def test_route_of_its_own(self) -> None:
        """A route's own lengths count: with references Veo makes 8 s only."""
        assert reason(plan("vertex/veo-3.1", duration=6, reference_images=[PNG])) == "duration 6 s: makes 8"


class TestWhatGoesTogether:
    """A length that is made in some resolutions alone."""

    @pytest.mark.parametrize(
        ("model", "given", "bought"),
        [
            ("replicate/veo-3.1-lite", {"resolution": "1080p"}, (8, "1080p")),
            (
                "replicate/veo-3.1-lite",
                {"resolution": "1080p", "duration": 5, "fit": "nearest"},
                (8, "1080p"),
            ),
            ("replicate/veo-3.1-lite", {}, (6, "720p")),
            ("replicate/hailuo-2.3", {"duration": 10}, (10, "768p")),
            ("replicate/hailuo-2.3", {"resolution": "1080p"}, (6, "1080p")),
            ("fal/ltx-2.3-fast", {"duration": 14}, (14, "1080p")),
        ],
    )
    def test_what_was_not_given_is_filled_with_what_fits(
        self, model: str, given: dict[str, Any], bought: tuple[float, str]
    ) -> None:
        """The nearest that is made together with what was given."""
        request = only(plan(model, **given)).request
        assert bought == (request.duration, request.resolution)

    def test_what_was_given_and_does_not_fit_is_said(self) -> None:
        """With what would."""
        assert "duration 6 s: makes 8 in 1080p" in reason(
            plan("replicate/veo-3.1-lite", resolution="1080p", duration=6)
        )

    def test_every_resolution_of_every_offer_can_be_asked_for_alone(self) -> None:
        """Vidorch fills the length so that there is a price for it."""
        for offer in shipped().offers:
            route = offer.routes.get("text-to-video")
            if route is None or offer.price.rule != "table" or offer.lifecycle.dead_on(TODAY):
                continue
            for resolution in route.capabilities.resolutions:
                made = plan(offer.name, catalog=shipped(), resolution=resolution, installed=[*ALL, "gemini"])
                assert not made.left_out or "duration" not in reason(made), (offer.name, resolution)


class TestShape:
    """Resolution, aspect ratio and size."""

    @pytest.mark.parametrize(
        ("model", "fields", "says"),
        [
            ("gen4.5", {"resolution": "1080p"}, "resolution 1080p: makes 720p"),
            ("vertex/veo-3.1", {"aspect_ratio": "1:1"}, "aspect ratio 1:1: makes 16:9 or 9:16"),
            (
                "gen4.5",
                {"resolution": "4k", "aspect_ratio": "1:1"},
                "resolution 4k: makes 720p; aspect ratio 1:1: makes 16:9 or 9:16",
            ),
            (
                "vertex/veo-3.1",
                {"size": "1000x1000"},
                "size 1000x1000: makes 720p, 1080p or 4k in 16:9 or 9:16",
            ),
            ("gen4.5", {"size": "1920x1080"}, "size 1920x1080: makes 1280x720 or 720x1280"),
            ("mini", {"resolution": "720p"}, "resolution 720p: makes 256p"),
        ],
    )
    def test_left_out(self, model: str, fields: dict[str, Any], says: str) -> None:
        """What is asked and not made leaves the offer out; every reason is given."""
        assert reason(plan(model, **fields)) == says

    def test_size_by_ratio(self) -> None:
        """A size counts as its resolution and ratio where the vendor names those."""
        bought = only(plan("kling/kling-3.0-pro", size="1080x1920")).request
        assert (bought.resolution, bought.aspect_ratio, bought.size) == ("1080p", "9:16", (1080, 1920))

    def test_pixels_of_the_vendor(self) -> None:
        """Where the vendor fixes pixels they are bought, without a name that contradicts them."""
        bought = only(plan("gen4.5", image=PNG, aspect_ratio="4:3", resolution="720p")).request
        assert (bought.size, bought.aspect_ratio, bought.resolution) == ((1104, 832), "4:3", None)

    def test_nearest(self) -> None:
        """`fit="nearest"` takes the nearest shape and says so."""
        entry = only(plan("gen4.5", resolution="4k", aspect_ratio="2:3", fit="nearest"))
        assert entry.request.size == (720, 1280)
        assert "resolution 4k: makes 720p; the nearest is taken" in entry.notes

    def test_filled(self) -> None:
        """What was not given is 16:9 and nearest to 720p, with above before below."""
        bought = only(plan("vertex/veo-3.1")).request
        assert (bought.duration, bought.resolution, bought.aspect_ratio, bought.audio) == (
            6.0,
            "720p",
            "16:9",
            False,
        )

    def test_filled_from_the_image(self) -> None:
        """With an image the legal shape nearest to it is taken."""
        assert only(plan("vertex/veo-3.1", image=PNG, image_size=(900, 1600))).request.aspect_ratio == "9:16"

    def test_other_shape_than_the_image_is_noted(self) -> None:
        """A clip of another shape than its image is told."""
        assert (
            "the image is 1:1 and the clip 16:9"
            in only(plan("vertex/veo-3.1", image=PNG, image_size=(512, 512))).notes
        )

    def test_image_s_own_shape(self) -> None:
        """Where the clip takes the image's shape, that is what is bought."""
        assert (
            only(plan("kling/kling-3.0-pro", image=PNG, image_size=(1024, 768))).request.aspect_ratio == "4:3"
        )

    def test_asked_ratio_is_the_image_s(self) -> None:
        """An aspect ratio equal to the image's counts as met where the clip takes the image's own."""
        made = plan("kling/kling-3.0-pro", image=PNG, aspect_ratio="16:9", image_size=(1920, 1088))
        assert only(made).request.aspect_ratio == "16:9"

    @pytest.mark.parametrize(
        ("size", "says"),
        [
            ((512, 512), "makes that of the image, 1:1"),
            (None, "makes that of the image, which is not known here"),
        ],
    )
    def test_asked_ratio_is_not_the_image_s(self, size: tuple[int, int] | None, says: str) -> None:
        """Another ratio than the image's, or an image that cannot be seen, leaves such an offer out."""
        made = plan("kling/kling-3.0-pro", image=PNG, aspect_ratio="9:16", image_size=size)
        assert reason(made) == f"aspect ratio 9:16: {says}"

    def test_image_is_opened_once(self) -> None:
        """An image is measured once for a plan, however many offers there are."""
        opened: list[Media] = []

        def size(image: Media) -> tuple[int, int]:
            opened.append(image)
            return 64, 64

        make_plan(
            Request(prompt="a boat", image=PNG), shipped().models, catalog=shipped(), endpoints={}, installed=ALL,
            has_credentials=lambda _: True, admit=lambda *_: Admission(), today=TODAY, to_run=False, image_size=size,
        )  # fmt: skip
        assert len(opened) == 1


class TestSource:
    """A clip or a sound that is worked on."""

    def test_its_length_is_paid_for(self) -> None:
        """What lasts as long as its source is priced by that: 4.5 x 0.336."""
        made = only(plan("fal/kling-3.0-omni-pro", video=MP4, task="edit", length="4.5"))
        assert (made.cost.high, made.billed_seconds) == (Decimal("1.512"), Decimal("4.5"))

    def test_a_sound_s_length_is_paid_for(self) -> None:
        """A picture that speaks lasts as long as what it says: 12 x 0.115."""
        made = only(plan("fal/kling-avatar-2-pro", image=PNG, audio_track=MP3, task="lipsync", length="12"))
        assert made.cost.high == Decimal("1.38")

    def test_unknown_length_is_the_longest_there_may_be(self) -> None:
        """A source elsewhere is priced at the longest that the vendor takes, and a note says so."""
        made = only(plan("fal/kling-3.0-omni-pro", video="https://example.com/a.mp4", task="edit"))
        assert made.cost.high == Decimal("3.36")
        assert "how long the source is is not known here: priced as 10 s, the longest it may be" in made.notes

    def test_unknown_length_without_an_end_has_no_price(self) -> None:
        """Where no longest length is known either, there is no bounded price."""
        assert "how long the clip will be is not known" in reason(
            plan("replicate/gen4-aleph", video="https://example.com/a.mp4", task="edit")
        )

    @pytest.mark.parametrize("length", ["2.9", "10.1"])
    def test_too_short_or_too_long(self, length: str) -> None:
        """A source of a length that the vendor does not take leaves it out."""
        made = plan("fal/kling-3.0-omni-pro", video=MP4, task="edit", length=length)
        assert reason(made) == f"video of {length} s: takes 3 to 10 s"

    def test_nothing_is_opened_for_nothing(self) -> None:
        """Where neither price nor limits depend on the length, nobody looks."""
        looked: list[object] = []

        def length(media: object) -> Decimal:
            looked.append(media)
            return Decimal(5)

        make_plan(
            Request(prompt="x", video=MP4, task="extend"), ["fal/veo-3.1"], catalog=shipped(), endpoints={}, installed=ALL,
            has_credentials=lambda _: True, admit=lambda *_: Admission(), today=TODAY, to_run=False, length=length,
        )  # fmt: skip
        assert looked == []

    def test_its_shape_is_kept(self) -> None:
        """An upright clip stays upright, where its vendor asks for a shape."""
        made = plan("replicate/gen4-aleph", video=MP4, task="edit", length="5", image_size=(720, 1280))
        assert only(made).request.aspect_ratio == "9:16"

    @pytest.mark.parametrize(
        ("model", "fields", "says"),
        [
            (
                "fal/kling-lipsync",
                {"image": PNG, "audio_track": MP3},
                "image: lipsync takes none; video: needs one",
            ),
            ("fal/kling-lipsync", {"video": MP4}, "audio track: needs one"),
            (
                "fal/kling-avatar-2-pro",
                {"video": MP4, "audio_track": MP3},
                "video: lipsync takes none; image: needs one",
            ),
        ],
    )
    def test_face_and_voice(self, model: str, fields: dict[str, Any], says: str) -> None:
        """An offer that makes clips speak is no use for a picture, nor the other way round, and each needs the voice."""
        assert says in reason(plan(model, task="lipsync", length="5", **fields))

    def test_words_that_nobody_hears(self) -> None:
        """A prompt that the vendor has no place for is noted."""
        made = plan("fal/kling-lipsync", task="lipsync", length="5", video=MP4, audio_track=MP3)
        assert "prompt: takes none" in only(made).notes


class TestSettings:
    """Everything else that a request can ask."""

    @pytest.mark.parametrize(
        ("model", "fields", "says"),
        [
            ("gen4.5", {"audio": True}, "sound: makes silent clips"),
            ("gen4.5", {"negative_prompt": "rain"}, "negative prompt: takes none"),
            ("gen4.5", {"camera": "pan left"}, "camera: takes none"),
            ("gen4.5", {"loras": ("x",)}, "loras: takes none"),
            ("gen4.5", {"steps": 20}, "steps 20: has no such setting"),
            ("mini", {"steps": 100}, "steps 100: takes 2 to 64"),
            ("gen4.5", {"guidance": 3}, "guidance 3: has no such setting"),
            ("fal/kling-3.0-pro", {"guidance": 3}, "guidance 3: takes 0 to 1"),
            ("gen4.5", {"prompt": "x" * 1001}, "prompt of 1,001 characters: takes 1,000"),
            ("gen4.5", {"image": GIF}, "image of type image/gif: takes image/jpeg, image/png or image/webp"),
            ("gen4.5", {"image": Media("image", data=PNG, size=200_000_001)}, "image of 200,000,001 bytes: takes 200,000,000"),
            ("gen4.5", {"reference_images": [PNG]}, "reference-to-video: does text-to-video or image-to-video"),
            ("gen4.5", {"image": PNG, "reference_images": [PNG, PNG]}, "2 reference images: takes none"),
            ("vertex/veo-3.1", {"reference_images": [PNG] * 4}, "4 reference images: takes 3"),
            ("gen4.5", {"image": PNG, "last_image": PNG}, "first-last-frame: does text-to-video or image-to-video"),
            (
                "vertex/veo-3.1", {"image": PNG, "reference_images": [PNG], "task": "reference-to-video"},
                "image: reference-to-video takes none",
            ),
            ("vertex/veo-3.1", {"audio_track": b"ID3" + bytes(60)}, "audio track: takes none"),
            (
                "mini", {"steps": 1, "audio": True, "duration": 9},
                "duration 9 s: makes 2; sound: makes silent clips; steps 1: takes 2 to 64",
            ),
        ],
    )  # fmt: skip
    def test_left_out(self, model: str, fields: dict[str, Any], says: str) -> None:
        """A setting that the offer has not leaves it out, with what was asked and what is allowed."""
        assert reason(plan(model, **fields)) == says

    def test_sound_off_where_it_always_is_on(self) -> None:
        """Asking for silence leaves out what always makes sound; not asking is only noted."""
        before = date(2026, 1, 1)
        offer = shipped().offer("openai/sora-2")
        assert offer is not None
        alive = load({"offer": [_alive()]}, environ={}, user_file="none")
        assert (
            reason(plan("loud", catalog=alive, audio=False, today=before)) == "sound off: always makes sound"
        )
        assert "always makes sound" in only(plan("loud", catalog=alive, today=before)).notes

    def test_seed_is_soft(self) -> None:
        """A seed never leaves an offer out; where there is none it is noted and not sent."""
        entry = only(plan("kling/kling-3.0-pro", seed=7))
        assert entry.request.seed is None
        assert "seed 7: takes none, so the clip cannot be made again" in entry.notes
        assert only(plan("gen4.5", seed=7)).request.seed == 7

    def test_said_in_the_prompt(self) -> None:
        """What a vendor takes in words only is noted."""
        assert (
            "negative prompt: said in the prompt"
            in only(plan("kling/kling-3.0-pro", negative_prompt="rain")).notes
        )

    def test_nearest_steps(self) -> None:
        """`fit="nearest"` takes the nearest number of steps."""
        assert only(plan("mini", steps=100, fit="nearest")).request.steps == 64

    def test_last_image_has_a_route(self) -> None:
        """An image and a last image go by the first-last-frame route."""
        assert only(plan("kling/kling-3.0-pro", image=PNG, last_image=PNG)).route.task == "first-last-frame"


def _alive(**more: Any) -> dict[str, Any]:
    return {
        "model": "loud", "endpoint": "acme", "provider": "openai", "family": "acme", "title": "Loud", "as_of": TODAY,
        "routes": {"text-to-video": {"path": "/"}}, "price": {"source": "a page", "row": [{"per_second": 1}]},
        "capabilities": {"audio": "on", "durations": {"choices": [5]}}, **more,
    }  # fmt: skip


class TestExtra:
    """Keys that go to one endpoint or provider untouched."""

    def test_goes_to_its_owner_alone(self) -> None:
        """Each offer buys with its own part of `extra` and no other."""
        made = plan(["gen4.5", "kling/kling-3.0-pro"], extra={"runway": {"contentModeration": {"x": 1}}})
        assert [dict(entry.request.extra) for entry in made.entries] == [
            {"runway": {"contentModeration": {"x": 1}}},
            {},
        ]

    @pytest.mark.parametrize(
        ("model", "extra", "says"),
        [
            ("gen4.5", {"runway": {"duration": 9}}, "'duration', and that is what duration= sets"),
            ("gen4.5", {"runway": {"model": "other"}}, "'model', and that is set by vidorch"),
            ("gen4.5", {"runway": {"outputFormat": "prores"}}, "changes the price"),
            (
                "vertex/veo-3.1",
                {"vertex": {"parameters": {"sampleCount": 4}}},
                "'parameters.sampleCount', and that is what samples= sets",
            ),
            ("vertex/veo-3.1", {"vertex": {"parameters.seed": 4}}, "what seed= sets"),
            ("vertex/veo-3.1", {"vertex": {"instances": [{}]}}, "'instances', and that is what prompt= sets"),
            ("vertex/veo-3.1", {"vertex": {"parameters": {}}}, "'parameters', and that is what"),
        ],
    )
    def test_what_vidorch_sets(self, model: str, extra: dict[str, Any], says: str) -> None:
        """Keys that vidorch sets, or that change price or count, are refused by name."""
        with pytest.raises(InvalidRequest, match=says) as caught:
            plan(model, extra=extra)
        assert caught.value.field == "extra"

    def test_beside_what_vidorch_sets(self) -> None:
        """Another key in the same table is the caller's."""
        entry = only(plan("vertex/veo-3.1", extra={"vertex": {"parameters": {"storageUri": "gs://x"}}}))
        assert entry.request.extra == {"vertex": {"parameters": {"storageUri": "gs://x"}}}

    def test_for_nobody(self) -> None:
        """An owner that does not exist is refused with the nearest right name."""
        with pytest.raises(InvalidRequest, match="Did you mean 'runway'"):
            plan("gen4.5", extra={"runwai": {"x": 1}})


class TestLifecycle:
    """What was switched off, and what is only said to be."""

    def test_retired_names_live_offers(self) -> None:
        """A retired model raises Retired with up to three live offers for this request: different models, cheapest first."""
        made = plan("sora-2", refuses="local", keys=("runway",), duration=5)
        with pytest.raises(Retired) as caught:
            made.require()
        assert caught.value.offers == (
            "fal/wan-2.2-a14b-turbo ($0.10; needs FAL_KEY)",
            "replicate/seedance-1.5-pro ($0.13; needs REPLICATE_API_TOKEN)",
            "replicate/grok-imagine ($0.25; needs REPLICATE_API_TOKEN)",
        )
        assert "2026-09-24" in str(caught.value)
        assert caught.value.charged is False

    def test_retired_for_this_very_request(self) -> None:
        """Only offers that can serve the request are named, at the price of all its candidates."""
        made = plan(
            "sora-2",
            refuses="local",
            duration=8,
            resolution="4k",
            audio=True,
            candidates=2,
            today=date(2026, 11, 1),
        )
        assert made.alternatives == (
            "fal/ltx-2.3-fast ($2.56)", "vertex/veo-3.1-fast ($4.80)", "fal/ltx-2.3-pro ($5.12)",
        )  # fmt: skip

    def test_no_provider_for_a_hosted_model(self) -> None:
        """Where no hosted provider is in this version that is said plainly, and none is advised."""
        made = plan("sora-2", installed=("local",), refuses="local")
        assert made.alternatives == ()
        with pytest.raises(Retired, match="No provider for a hosted model is in this version"):
            made.require()

    def test_unconfirmed_end_goes_last(self) -> None:
        """An end that the vendor has not confirmed keeps the offer, at the end of the plan, with a note."""
        made = plan(["vertex/veo-3.1-lite", "gen4.5"])
        assert names(made) == ["runway/gen4.5", "vertex/veo-3.1-lite"]
        assert any("goes last" in note and "2026-11-17" in note for note in made.entries[1].notes)

    def test_before_that_day(self) -> None:
        """Before that day the order is the caller's, and the coming end is noted."""
        made = plan(["vertex/veo-3.1-lite", "gen4.5"], today=date(2026, 11, 16))
        assert names(made) == ["vertex/veo-3.1-lite", "runway/gen4.5"]
        assert any(
            "will be switched off on 2026-11-17 (not confirmed)" in note for note in made.entries[0].notes
        )

    @pytest.mark.parametrize(("today", "alive"), [(date(2026, 12, 31), True), (date(2027, 1, 1), False)])
    def test_confirmed_end_by_date(self, today: date, *, alive: bool) -> None:
        """A confirmed end blocks from its day on."""
        life = {"retires": date(2027, 1, 1), "confirmed": True, "source": "the vendor"}
        catalog = load({"offer": [_alive(lifecycle=life)]}, environ={}, user_file="none")
        assert bool(plan("loud", catalog=catalog, today=today).entries) == alive

    def test_retired_beside_live(self) -> None:
        """A retired model in a list is left out; the rest of the list serves."""
        made = plan(["sora-2", "gen4.5"])
        assert (names(made), [one.offer_name for one in made.left_out]) == (
            ["runway/gen4.5"],
            ["openai/sora-2"],
        )


class TestToRun:
    """Plans that are to be carried out at once, and those that only tell."""

    def test_missing_key(self) -> None:
        """Without a key a named offer raises MissingCredentials with the variable."""
        made = plan("gen4.5", keys=(), to_run=True)
        with pytest.raises(
            MissingCredentials, match="needs RUNWAYML_API_SECRET, and it is not set"
        ) as caught:
            made.require()
        assert caught.value.variable == "RUNWAYML_API_SECRET"

    def test_missing_provider(self) -> None:
        """Without its provider a named offer is Unsupported."""
        made = plan("gen4.5", installed=("local",), to_run=True)
        with pytest.raises(Unsupported, match="its provider is not in this version"):
            made.require()

    def test_bare_name_takes_those_with_keys(self) -> None:
        """A bare name is the endpoints that can run; the others are left out with the reason."""
        made = plan("kling-3.0-pro", keys=("fal",), to_run=True)
        assert names(made) == ["fal/kling-3.0-pro"]
        assert {one.offer_name: one.reason for one in made.left_out} == {
            "kling/kling-3.0-pro": "needs KLINGAI_API_KEY", "replicate/kling-3.0-pro": "needs REPLICATE_API_TOKEN",
        }  # fmt: skip

    def test_estimate_needs_no_key(self) -> None:
        """A plan that is not to run keeps them all and says what each needs."""
        made = plan("kling-3.0-pro", keys=(), installed=("local", "fal"))
        assert {entry.offer.name: entry.needs for entry in made.entries} == {
            "fal/kling-3.0-pro": ("FAL_KEY",), "kling/kling-3.0-pro": ("provider not in this version", "KLINGAI_API_KEY"),
            "replicate/kling-3.0-pro": ("provider not in this version", "REPLICATE_API_TOKEN"),
        }  # fmt: skip

    def test_all_reasons_at_once(self) -> None:
        """What is wrong with the request and what is missing to run it are told together, as Unsupported."""
        made = plan("gen4.5", keys=(), to_run=True, duration=30)
        assert reason(made) == "duration 30 s: makes whole seconds from 2 to 10; needs RUNWAYML_API_SECRET"
        with pytest.raises(Unsupported):
            made.require()


class TestAdmission:
    """The provider's own word."""

    def test_its_reason(self) -> None:
        """A request that the built-in model does not understand is Unsupported before anything runs, and names live offers."""
        made = plan((), refuses="local", to_run=True)
        with pytest.raises(Unsupported, match="local/mini: it knows no balls") as caught:
            made.require()
        assert caught.value.reasons == {"local/mini": "it knows no balls"}
        assert len(caught.value.offers) == 3
        assert not isinstance(caught.value, Retired)

    def test_its_notes(self) -> None:
        """What it will ignore is in the entry's notes."""
        assert "asked local" in only(plan(())).notes

    def test_asked_with_a_legal_request(self) -> None:
        """It is asked about the request as bought, also when something else already speaks against it."""
        made = plan((), refuses="local", duration=5)
        assert reason(made) == "duration 5 s: makes 2; it knows no balls"

    def test_not_asked_where_it_is_not(self) -> None:
        """A provider that is not here is not asked."""
        assert "asked runway" not in only(plan("gen4.5", installed=("local",))).notes


ABSENT = MissingCredentials(
    "The provider 'fal' needs the package 'fal_client', which is not installed.",
    hint="pip install 'vidorch[fal]'", extra="fal",
)  # fmt: skip


class TestFaultyProvider:
    """One provider that cannot be asked spoils nothing but its own offers."""

    def test_package_missing(self) -> None:
        """An estimate goes on without the package and says how to get it."""
        assert only(plan("fal/kling-3.0-pro", trouble={"fal": ABSENT})).needs == (
            "pip install 'vidorch[fal]'",
        )

    def test_package_and_key_missing(self) -> None:
        """The key that is missing besides is named as well."""
        assert only(plan("fal/kling-3.0-pro", trouble={"fal": ABSENT}, keys=())).needs == (
            "pip install 'vidorch[fal]'",
            "FAL_KEY",
        )

    def test_package_missing_to_run(self) -> None:
        """What is to run goes to the next offer, and the first one is left out with what to do."""
        made = plan(["fal/kling-3.0-pro", "kling/kling-3.0-pro"], trouble={"fal": ABSENT}, to_run=True)
        (one,) = made.left_out
        assert (names(made), one.kinds) == (["kling/kling-3.0-pro"], frozenset({"provider"}))
        assert one.reason == (
            "The provider 'fal' needs the package 'fal_client', which is not installed: pip install 'vidorch[fal]'"
        )

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (ZeroDivisionError("by zero"), "its provider 'fal' failed: ZeroDivisionError: by zero"),
            (Unsupported("The provider 'fal' cannot be loaded."), "The provider 'fal' cannot be loaded"),
        ],
    )
    def test_failing(self, error: Exception, said: str) -> None:
        """A third party's exception never comes out raw: it is a reason to leave the offer out, or what an estimate needs."""
        made = plan("fal/kling-3.0-pro", trouble={"fal": error}, to_run=True)
        assert (reason(made), made.left_out[0].kinds) == (said, frozenset({"provider"}))
        assert only(plan("fal/kling-3.0-pro", trouble={"fal": error})).needs == (
            f"a provider that works ({said})",
        )

    def test_failing_is_not_advised(self) -> None:
        """Whoever fails when asked is no alternative."""
        made = plan("sora-2", trouble={"fal": ZeroDivisionError(), "kling": ZeroDivisionError()})
        assert made.alternatives
        assert not [one for one in made.alternatives if one.startswith(("fal/", "kling/"))]

    def test_the_requests_fault(self) -> None:
        """What is wrong with the request itself is still said as such."""
        wrong = InvalidRequest("extra is wrong.", field="extra", allowed="less")
        with pytest.raises(InvalidRequest, match="extra is wrong"):
            plan("fal/kling-3.0-pro", trouble={"fal": wrong})


def test_unpriced_is_left_out() -> None:
    """An offer without a price for this request is left out with that reason."""
    assert (
        reason(plan("vertex/veo-3.1-fast", resolution="4k"))
        == "no price is known for resolution 4k, audio off, task text-to-video"
    )


def test_unconfirmed_price_is_noted() -> None:
    """A price that nobody confirmed is said to be so, with its source."""
    notes = only(plan("fal/kling-3.0-pro")).notes
    assert any(note.startswith("price not confirmed: a skill page") for note in notes)


def test_describe_is_json_ready() -> None:
    """The ledger's form of a plan has asked, bought and billed, and what was left out, as JSON."""
    import json

    made = plan(["gen4.5", "mini"], duration=5.4, image=PNG, candidates=2)
    told = json.loads(json.dumps(made.describe()))
    assert told["asked"]["duration"] == 5.4
    assert told["entries"][0]["asked"]["duration"] == 5.4
    assert told["entries"][0]["bought"]["duration"] == 5.0
    assert told["entries"][0]["billed_seconds"] == "5"
    assert told["entries"][0]["cost"]["expected"] == "1.20"
    assert told["left_out"] == [
        {"offer": "local/mini", "reason": "duration 5.4 s: makes 2", "kinds": ["request"]}
    ]


def is_legal(entry: PlannedOffer) -> bool:
    """Whether a request as bought is one that the route makes, checked apart from the code that fills it."""
    bought, able = entry.request, entry.route.capabilities
    seconds = Decimal(str(bought.duration))
    span = able.durations
    if span.choices:
        right = seconds in span.choices
    else:
        assert span.least is not None
        assert span.most is not None
        right = span.least <= seconds <= span.most and (seconds - span.least) % span.step == 0
    if able.sizes:
        right &= bought.size in able.sizes.values()
    else:
        right &= bought.resolution in able.resolutions
        right &= bought.aspect_ratio in able.aspect_ratios or not able.aspect_ratios
    right &= bought.audio is (able.audio == "on") or able.audio == "switch"
    right &= bought.seed is None or able.seed
    right &= bought.steps is None or (
        able.steps is not None and able.steps[0] <= bought.steps <= able.steps[1]
    )
    return right and len(bought.reference_images) <= able.references


REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "duration": st.floats(0.1, 40, allow_nan=False),
        "resolution": st.sampled_from(list(RESOLUTIONS)),
        "aspect_ratio": st.sampled_from(["16:9", "9:16", "1:1", "4:3", "21:9", "999:1"]),
        "size": st.tuples(st.integers(16, 4096), st.integers(16, 4096))
        | st.sampled_from([(1280, 720), (256, 256), (1080, 1920)]),
        "audio": st.booleans(),
        "seed": st.integers(0, 2**32 - 1),
        "steps": st.integers(1, 1000),
        "guidance": st.floats(0, 100),
        "negative_prompt": st.text(max_size=5),
        "camera": st.text(max_size=5),
        "image": st.just(PNG),
        "last_image": st.just(PNG),
        "reference_images": st.lists(st.just(PNG), max_size=4),
        "fit": st.sampled_from(FITS),
        "candidates": st.integers(1, 64),
        "extra": st.dictionaries(
            st.sampled_from(ALL), st.dictionaries(st.text(max_size=9), st.integers()), max_size=2
        ),
    },
)


@settings(max_examples=150, deadline=None)
@given(REQUESTS, st.none() | st.tuples(st.integers(1, 9000), st.integers(1, 9000)), st.booleans())
def test_any_request(fields: dict[str, Any], image_size: tuple[int, int] | None, to_run: bool) -> None:
    """Whatever is asked, only VidorchErrors come out; what is planned is legal for its offer and is what was asked."""
    try:
        made = plan(
            shipped().models, catalog=shipped(), image_size=image_size, to_run=to_run, keys=("fal", "runway"), **fields
        )  # fmt: skip
        made.require()
    except VidorchError:
        return
    for entry in made.entries:
        assert is_legal(entry)
        assert 0 <= entry.cost.low <= entry.cost.expected <= entry.cost.high
        assert_as_asked(entry)
    everything = {entry.offer.name for entry in made.entries} | {one.offer_name for one in made.left_out}
    assert everything == {offer.name for offer in shipped().offers}


def assert_as_asked(entry: PlannedOffer) -> None:
    asked, bought = entry.asked, entry.request
    if asked.audio is not None:
        assert bought.audio == asked.audio
    if asked.fit == "nearest":
        return
    if asked.duration is not None and bought.duration is not None:
        away = Decimal(str(bought.duration)) - Decimal(str(asked.duration))
        assert {None: abs(away) <= Decimal("0.5"), "strict": away == 0, "exact": away >= 0}[asked.fit]
    if asked.aspect_ratio is not None and bought.aspect_ratio is not None:
        assert abs(parse_ratio(bought.aspect_ratio) / parse_ratio(asked.aspect_ratio) - 1) <= Fraction(1, 50)
    if asked.resolution is not None:
        assert asked.resolution in entry.route.capabilities.resolutions


def test_offers_are_not_changed() -> None:
    """Planning leaves the catalog as it was."""
    before: tuple[Offer, ...] = shipped().offers
    plan(shipped().models, catalog=shipped(), endpoints={"fal-eu": Endpoint("fal-eu", "fal")})
    assert shipped().offers == before
