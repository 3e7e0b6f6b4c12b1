"""Requests: what may be asked, what is refused at birth, and what of it is remembered."""

from __future__ import annotations

import dataclasses
import json
import pickle
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import samples
from vidorch.errors import InvalidRequest
from vidorch.request import (
    FITS,
    MAX_PROMPT,
    NAMED_TASKS,
    RESOLUTIONS,
    TASKS,
    Request,
    nearest_name,
    parse_ratio,
)


def refused(**fields: Any) -> InvalidRequest:
    """The error that these fields meet."""
    with pytest.raises(InvalidRequest) as caught:
        Request(**({"prompt": "a cat"} | fields))
    return caught.value


class TestPrompt:
    @pytest.mark.parametrize("prompt", ["", " ", "\n\t", "\u3000"])
    def test_empty(self, prompt: str) -> None:
        """An empty prompt is refused, with an example of a good one."""
        assert "prompt is empty. Say what to show, such as 'a red ball rolling left'." == str(
            refused(prompt=prompt)
        )

    def test_too_long(self) -> None:
        """An over-long prompt is refused, with its length and the limit."""
        assert "prompt has 32,001 characters. Allowed are at most 32,000." == str(
            refused(prompt="x" * (MAX_PROMPT + 1))
        )

    def test_just_long_enough(self) -> None:
        """The limit itself is allowed."""
        assert len(Request(prompt="x" * MAX_PROMPT).prompt) == MAX_PROMPT

    @pytest.mark.parametrize("prompt", [None, 1, b"a cat", ["a cat"], 1.5, True, object()])
    def test_no_text(self, prompt: Any) -> None:
        """What is no text is refused."""
        assert "prompt" == refused(prompt=prompt).field

    @pytest.mark.parametrize("prompt", ["a\x00b", "a\udc80b"])
    def test_what_no_vendor_can_be_sent(self, prompt: str) -> None:
        """NUL and lone surrogates are refused before anything is sent."""
        assert "prompt" == refused(prompt=prompt).field

    @pytest.mark.parametrize("prompt", ["🐈 läuft", "一只猫", "a 'quoted' \"cat\"\n<b>&</b>"])
    def test_kept_as_it_is(self, prompt: str) -> None:
        """Everything else is kept to the letter."""
        assert prompt == Request(prompt=prompt).prompt

    def test_may_be_empty_where_none_is_needed(self) -> None:
        """Upscaling needs no words."""
        assert "upscale" == Request(task="upscale", video=samples.MP4).task

    def test_only_by_name(self) -> None:
        """Fields are given by name, so that they may grow."""
        with pytest.raises(TypeError):
            Request("a cat")  # type: ignore[call-arg]


class TestDuration:
    @pytest.mark.parametrize(
        "duration",
        [0, -1, 0.0, -0.0, float("nan"), float("inf"), float("-inf"), Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), 3_600.1, 10**400,
         "5", "", True, False, [5], (5,), {5: 5}, b"5", 5j, object()],
    )  # fmt: skip
    def test_refused(self, duration: Any) -> None:
        """Zero, negative, NaN, endless, too long, and what is no number."""
        assert "duration" == refused(duration=duration).field

    @pytest.mark.parametrize("duration", [5, 5.0, Decimal(5), Fraction(5), np.float32(5), np.int64(5)])
    def test_any_real_number(self, duration: Any) -> None:
        """Every kind of real number is taken, as a float of seconds."""
        assert 5.0 == Request(prompt="a cat", duration=duration).duration

    def test_says_what_is_allowed(self) -> None:
        """The error names field, value and what is allowed."""
        assert "duration=-1 cannot be used. Allowed is seconds, over 0 and at most 3,600." == str(
            refused(duration=-1)
        )

    def test_value_is_kept(self) -> None:
        """The value is on the error as it was given."""
        assert -1 == refused(duration=-1).value


class TestNumbers:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("seed", -1), ("seed", 2**32), ("seed", 1.0), ("seed", "1"), ("seed", True), ("seed", float("nan")), ("steps", 0), ("steps", 1001),
            ("steps", 4.0), ("candidates", 0), ("candidates", 65), ("candidates", -3), ("candidates", True), ("candidates", "3"),
            ("guidance", -0.1), ("guidance", 100.1), ("guidance", float("nan")), ("guidance", "7"), ("guidance", False),
            ("audio", 1), ("audio", "yes"), ("audio", 0),
        ],
    )  # fmt: skip
    def test_refused(self, name: str, value: Any) -> None:
        """Out of range or of the wrong type: refused by name."""
        assert name == refused(**{name: value}).field

    @pytest.mark.parametrize(
        ("name", "value"),
        [("seed", 0), ("seed", 2**32 - 1), ("steps", 1), ("steps", 1000), ("candidates", 1), ("candidates", 64), ("guidance", 0), ("guidance", 100),
         ("audio", True), ("audio", False), ("seed", np.int64(7))],
    )  # fmt: skip
    def test_bounds_are_allowed(self, name: str, value: Any) -> None:
        """The bounds themselves are allowed."""
        assert value == getattr(Request(prompt="a cat", **{name: value}), name)


class TestResolutionAndSize:
    @pytest.mark.parametrize("name", RESOLUTIONS)
    def test_every_name(self, name: str) -> None:
        """Every listed resolution can be asked for."""
        assert name == Request(prompt="a cat", resolution=name).resolution

    @pytest.mark.parametrize(
        ("given", "name"),
        [
            ("1080P", "1080p"),
            (" 720p ", "720p"),
            ("2160p", "4k"),
            ("UHD", "4k"),
            ("2K", "1440p"),
            ("HD", "720p"),
        ],
    )
    def test_other_spellings(self, given: str, name: str) -> None:
        """Common other names are understood."""
        assert name == Request(prompt="a cat", resolution=given).resolution

    @pytest.mark.parametrize("value", ["", "1079p", "big", 1080, True, b"720p", ("720p",), float("nan")])
    def test_unknown_resolution(self, value: Any) -> None:
        """An unknown resolution is refused with the list of known ones."""
        assert "'720p'" in str(refused(resolution=value))

    def test_nearest_resolution(self) -> None:
        """A mistyped one gets the nearest right one."""
        assert "Did you mean '1080p'?" in str(refused(resolution="1080"))

    @pytest.mark.parametrize(
        "size",
        ["", "big", "1280", "1280x", "x720", "0x0", "15x16", "9000x16", "1280x720x3", (1280,), (1280, 720, 3), (1280.0, 720.0), (True, True),
         ("1280", "720"), 1280, {1280, 720}, {"w": 1}, b"1280x720", "١٢٨٠x٧٢٠", (-1280, -720), (float("nan"), 1), "99999999999x1", object()],
    )  # fmt: skip
    def test_bad_size(self, size: Any) -> None:
        """A size is two whole numbers of pixels, each from 16 to 8,192."""
        assert "size" == refused(size=size).field

    @pytest.mark.parametrize(
        "size",
        [
            "1080x1920",
            "1080X1920",
            " 1080 x 1920 ",
            "1080*1920",
            (1080, 1920),
            [1080, 1920],
            (np.int64(1080), np.int64(1920)),
        ],
    )
    def test_good_size(self, size: Any) -> None:
        """Text and pairs are taken, as a pair of ints."""
        assert (1080, 1920) == Request(prompt="a cat", size=size).size

    @pytest.mark.parametrize(
        "ratio",
        [
            "",
            "16",
            "16:0",
            "0:9",
            "a:b",
            ":",
            "16:9:1",
            "1.5:1",
            1.78,
            (16, 9),
            True,
            "1000:1",
            "-16:9",
            "١:٢",
        ],
    )
    def test_bad_ratio(self, ratio: Any) -> None:
        """An aspect ratio is two whole numbers."""
        assert "aspect_ratio" == refused(aspect_ratio=ratio).field

    @pytest.mark.parametrize(
        ("given", "ratio"),
        [("16:9", "16:9"), ("16/9", "16:9"), ("9x16", "9:16"), (" 1 : 1 ", "1:1"), ("016:09", "16:9")],
    )
    def test_good_ratio(self, given: str, ratio: str) -> None:
        """Other ways to write a ratio become one."""
        assert ratio == Request(prompt="a cat", aspect_ratio=given).aspect_ratio

    def test_size_against_ratio(self) -> None:
        """Size and another aspect ratio contradict each other."""
        assert "aspect_ratio" == refused(size="1280x720", aspect_ratio="9:16").field

    def test_size_against_resolution(self) -> None:
        """Size and another resolution contradict each other."""
        assert "resolution" == refused(size="1280x720", resolution="1080p").field

    def test_size_with_its_own_parts(self) -> None:
        """Size beside its own resolution and ratio is only repetition."""
        assert (1280, 720) == Request(
            prompt="a cat", size=(1280, 720), resolution="720p", aspect_ratio="16:9"
        ).size

    def test_parse_ratio(self) -> None:
        """A ratio is a fraction, width over height."""
        assert Fraction(16, 9) == parse_ratio("16:9")


class TestTask:
    @pytest.mark.parametrize(
        ("inputs", "task"),
        [
            ({}, "text-to-video"),
            ({"image": samples.PNG}, "image-to-video"),
            ({"image": samples.PNG, "last_image": samples.PNG}, "first-last-frame"),
            ({"reference_images": [samples.PNG]}, "reference-to-video"),
            ({"task": "image"}, "image"),
            ({"task": "extend", "video": samples.MP4}, "extend"),
            ({"task": "upscale", "image": samples.PNG}, "upscale"),
            ({"task": "lipsync", "image": samples.PNG, "audio_track": samples.WAV}, "lipsync"),
            ({"task": "motion", "image": samples.PNG, "video": samples.MP4}, "motion"),
        ],
    )  # fmt: skip
    def test_read_from_the_inputs(self, inputs: dict[str, Any], task: str) -> None:
        """The task is read from the inputs, or named where they allow more than one reading."""
        assert task == Request(prompt="a cat", **inputs).task

    def test_a_video_needs_a_named_task(self) -> None:
        """A source video alone does not say what to do with it."""
        assert all(
            f"'{name}'" in refused(video=samples.MP4).allowed
            for name in ("extend", "edit", "restyle", "lipsync", "motion", "upscale")
        )

    @pytest.mark.parametrize(
        ("field", "inputs"),
        [
            ("last_image", {"last_image": samples.PNG}),
            ("task", {"task": "extend"}), ("task", {"task": "edit"}), ("task", {"task": "restyle"}), ("task", {"task": "upscale"}),
            ("task", {"task": "lipsync"}), ("task", {"task": "motion", "image": samples.PNG}), ("task", {"task": "image-to-video"}),
            ("task", {"task": "first-last-frame", "image": samples.PNG}), ("task", {"task": "reference-to-video"}),
            ("task", {"task": "text-to-video", "image": samples.PNG}), ("task", {"task": "text-to-video", "reference_images": [samples.PNG]}),
        ],
    )  # fmt: skip
    def test_conflicting_inputs(self, field: str, inputs: dict[str, Any]) -> None:
        """A task without its inputs, or against them, is refused."""
        assert field == refused(**inputs).field

    @pytest.mark.parametrize(
        ("typo", "meant"),
        [
            ("extnd", "extend"),
            ("Upscale", "upscale"),
            ("lip-sync", "lipsync"),
            ("text2video", "text-to-video"),
        ],
    )
    def test_nearest_task(self, typo: str, meant: str) -> None:
        """A mistyped task gets the nearest right one."""
        assert f"Did you mean '{meant}'?" in str(refused(task=typo))

    @pytest.mark.parametrize("task", [1, 0.0, True, ["extend"], b"extend", object(), {}, np.zeros(2)])
    def test_no_text(self, task: Any) -> None:
        """A task is a word: other types are refused, empty ones too."""
        assert "task" == refused(task=task).field

    def test_named_tasks_are_tasks(self) -> None:
        """Every task that can be named is in the list of all."""
        assert set(NAMED_TASKS) < set(TASKS)


class TestOtherFields:
    @pytest.mark.parametrize("fit", FITS)
    def test_fit(self, fit: Any) -> None:
        """The ways to fit are strict, exact and nearest."""
        assert fit == Request(prompt="a cat", fit=fit).fit

    @pytest.mark.parametrize("fit", ["", "exakt", 1, True, object()])
    def test_bad_fit(self, fit: Any) -> None:
        """Another way is refused."""
        assert "fit" == refused(fit=fit).field

    @pytest.mark.parametrize("name", ["negative_prompt", "camera"])
    @pytest.mark.parametrize("value", [1, b"x", ["x"], "x" * (MAX_PROMPT + 1), "a\x00b", "a\udc80b", True])
    def test_bad_words(self, name: str, value: Any) -> None:
        """Words are text of a bounded length."""
        assert name == refused(**{name: value}).field

    @pytest.mark.parametrize(
        "loras",
        [
            "name",
            1,
            [1],
            [("a",)],
            [("a", "b")],
            [("a", float("nan"))],
            [("", 1)],
            [("a", True)],
            [("a", 10**400)],
            {"a": 1},
        ],
    )
    def test_bad_loras(self, loras: Any) -> None:
        """LoRAs are names, or pairs of name and weight."""
        assert "loras" == refused(loras=loras).field

    def test_loras(self) -> None:
        """A name alone has weight 1."""
        given: Any = ["film", ("grain", 0.5)]
        assert (("film", 1.0), ("grain", 0.5)) == Request(prompt="a cat", loras=given).loras

    @pytest.mark.parametrize(
        "references",
        [samples.PNG, "a.png", 1, [1], [b""], [samples.PNG] * 17, {"a": samples.PNG}, [samples.MP4]],
    )
    def test_bad_references(self, references: Any) -> None:
        """References are a list of at most 16 pictures."""
        assert refused(reference_images=references).field.startswith("reference_images")

    def test_the_wrong_reference_is_named(self) -> None:
        """Of several pictures, the error names the one that is wrong."""
        assert "reference_images[1]" == refused(reference_images=[samples.PNG, samples.TEXT]).field

    @pytest.mark.parametrize(
        "extra",
        [
            1,
            "x",
            [("fal", {})],
            {"fal": 1},
            {1: {}},
            {"fal": {"x": object()}},
            {"fal": {"x": float("nan")}},
            {"fal": {"x": b""}},
            {"fal": {("a",): 1}},
        ],
    )
    def test_bad_extra(self, extra: Any) -> None:
        """Extra settings are JSON, by endpoint or provider."""
        assert "extra" == refused(extra=extra).field

    def test_endless_extra(self) -> None:
        """A mapping that holds itself is refused."""
        endless: dict[str, Any] = {}
        endless["me"] = endless
        assert "extra" == refused(extra={"fal": endless}).field

    def test_deep_extra(self) -> None:
        """A mapping nested beyond all reason is refused."""
        deep: dict[str, Any] = {}
        for _ in range(100_000):
            deep = {"x": deep}
        assert "extra" == refused(extra={"fal": deep}).field

    def test_long_values_are_shortened(self) -> None:
        """A message stays readable whatever was given."""
        assert len(str(refused(resolution="x" * 100_000))) < 500

    def test_a_number_of_too_many_digits(self) -> None:
        """A number that Python itself refuses to print is refused all the same."""
        assert "duration=<int> cannot be used." in str(refused(duration=10**5000))

    def test_a_value_that_cannot_be_shown(self) -> None:
        """A value whose repr fails is refused all the same."""

        class Shy:
            def __repr__(self) -> str:
                raise RuntimeError("no")

        assert "duration" == refused(duration=Shy()).field


class TestImmutable:
    def test_fields(self) -> None:
        """No field can be set."""
        with pytest.raises(dataclasses.FrozenInstanceError):
            Request(prompt="a cat").prompt = "a dog"  # type: ignore[misc]

    def test_extra_is_a_copy(self) -> None:
        """What the caller does to its own mapping afterwards does not matter."""
        extra: dict[str, dict[str, Any]] = {"fal": {"x": [1]}}
        request = Request(prompt="a cat", extra=extra)
        extra["fal"]["x"].append(2)
        assert {"fal": {"x": [1]}} == request.extra

    def test_references_are_a_tuple(self) -> None:
        """A list of references becomes a tuple."""
        assert isinstance(Request(prompt="a cat", reference_images=[samples.PNG]).reference_images, tuple)

    def test_with_(self) -> None:
        """A changed copy leaves the first one alone."""
        first = Request(prompt="a cat", duration=5)
        assert (5.0, 8.0) == (first.duration, first.with_(duration=8).duration) and first.duration == 5.0

    def test_with_is_checked(self) -> None:
        """A changed copy is checked like a new one."""
        with pytest.raises(InvalidRequest):
            Request(prompt="a cat").with_(duration=-1)

    def test_with_reads_the_task_again(self) -> None:
        """An image added by `with_` makes it image-to-video."""
        assert "image-to-video" == Request(prompt="a cat").with_(image=samples.PNG).task

    def test_without_its_image_again(self) -> None:
        """An image taken away makes it text-to-video again."""
        assert "text-to-video" == Request(prompt="a cat", image=samples.PNG).with_(image=None).task

    def test_equal(self) -> None:
        """Two requests that ask the same are equal."""
        assert Request(prompt="a cat", duration=5) == Request(prompt="a cat", duration=5.0)

    def test_pickled(self) -> None:
        """A request survives the way to another process."""
        request = Request(prompt="a cat", image=samples.PNG, loras=("film",), extra={"fal": {"x": 1}})  # type: ignore[arg-type]
        assert request == pickle.loads(pickle.dumps(request))


class TestWhatWasAsked:
    def test_given_has_only_what_was_given(self) -> None:
        """`given()` holds prompt, task, and what the caller gave: nothing was filled in."""
        assert {"prompt": "a cat", "task": "text-to-video", "duration": 5.0} == {
            k: v for k, v in Request(prompt="a cat", duration=5).given().items() if k != "candidates"
        }

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("audio", False),
            ("seed", 0),
            ("guidance", 0),
            ("resolution", "720p"),
            ("fit", "strict"),
            ("candidates", 3),
        ],
    )
    def test_given_has_false_and_zero(self, name: str, value: Any) -> None:
        """False and zero are answers, not gaps."""
        assert value == Request(prompt="a cat", **{name: value}).given()[name]

    def test_description_is_json(self, tmp_path: Path) -> None:
        """The description goes into the ledger as JSON, media as hashes."""
        path = tmp_path / "cat.png"
        path.write_bytes(samples.PNG)
        request = Request(
            prompt="a cat",
            image=path,
            reference_images=[samples.PNG],
            size=(1280, 720),
            extra={"fal": {"x": 1}},
        )
        assert {"prompt", "task", "image", "reference_images", "size", "extra"} <= set(
            json.loads(json.dumps(request.describe()))
        )

    def test_description_has_no_content(self) -> None:
        """No byte of the media and no path of it is in the description."""
        assert {"kind", "sha256", "size"} == set(
            Request(prompt="a cat", image=samples.PNG).describe()["image"]
        )

    @pytest.mark.parametrize(
        "settings",
        [
            {"url": "https://me:s3cret@cdn.example.com/a.mp4?X-Amz-Signature=s3cret"},
            {"note": "see https://cdn.example.com/a.mp4?sig=s3cret, twice"},
            {"webhooks": [{"to": "https://example.com/hook?t=s3cret"}]},
            {"image": "data:image/png;base64,s3cret"},
            {"api_key": "s3cret"},
            {"apiKey": "s3cret"},
            {"KEY": "s3cret"},
            {"headers": {"Authorization": "s3cret", "X-Api-Key": "s3cret"}},
            {"headers": ["Authorization: Bearer s3cret"]},
            {"auth": {"user": "s3cret", "token": ["s3cret"]}},
            {"client_secret": 1, "password": "s3cret", "signature": "s3cret", "credentials": {"x": "s3cret"}},
        ],
        ids=str,
    )
    def test_description_has_no_secrets(self, settings: dict[str, Any]) -> None:
        """No key and no signed URL of `extra` is in the description or the repr; the fingerprint still tells them apart."""
        request = Request(prompt="a cat", extra={"fal": settings})
        other = json.loads(json.dumps({"fal": settings}).replace("s3cret", "other"))
        assert "s3cret" not in json.dumps(request.describe()) + repr(request) + request.fingerprint()
        assert Request(prompt="a cat", extra=other).fingerprint() != request.fingerprint()
        assert settings == request.extra["fal"]

    def test_description_keeps_what_is_no_secret(self) -> None:
        """Everything else of `extra` is written down as it is."""
        extra = {
            "fal": {"cfg_scale": 0.5, "keyframes": [1, None], "style": "a/b: c?", "url": "https://a.b/c"}
        }
        assert extra == Request(prompt="a cat", extra=extra).describe()["extra"]

    def test_description_of_loras(self) -> None:
        """The address of a LoRA is written down without its query, which counts in the fingerprint all the same."""
        one, two = (Request(prompt="a", loras=(f"https://a.b/c?t={n}",)) for n in ("s3cret", "x"))  # type: ignore[arg-type]
        assert [["https://a.b/c", 1.0]] == one.describe()["loras"]
        assert one.fingerprint() != two.fingerprint()

    def test_fingerprint_is_stable(self) -> None:
        """The fingerprint of a request is the same in every process and version: keys of old runs are compared by it."""
        expected = "dc462ab78fd0471e02fdba966286fd24"
        assert expected == Request(prompt="a cat", duration=5, size=(1280, 720), seed=7).fingerprint()[:32]

    @pytest.mark.parametrize(
        "change",
        [
            {"prompt": "a dog"},
            {"duration": 6},
            {"image": samples.PNG},
            {"candidates": 2},
            {"seed": 1},
            {"audio": False},
            {"extra": {"fal": {"x": 1}}},
        ],
    )
    def test_fingerprint_tells_requests_apart(self, change: dict[str, Any]) -> None:
        """Whatever was asked differently has another fingerprint."""
        request = Request(prompt="a cat", duration=5)
        assert request.fingerprint() != request.with_(**change).fingerprint()

    def test_fingerprint_by_content(self, tmp_path: Path) -> None:
        """The same picture as a path and as bytes is the same request."""
        path = tmp_path / "cat.png"
        path.write_bytes(samples.PNG)
        assert (
            Request(prompt="a cat", image=path).fingerprint()
            == Request(prompt="a cat", image=samples.PNG).fingerprint()
        )

    def test_media(self) -> None:
        """All media, by the name of its field."""
        request = Request(prompt="a cat", image=samples.PNG, reference_images=[samples.PNG, samples.JPEG])
        assert ["image", "reference_images[0]", "reference_images[1]"] == [
            name for name, _ in request.media()
        ]

    def test_known(self) -> None:
        """Whether a name is a field."""
        assert (True, False) == (Request.known("duration"), Request.known("length"))


class TestNearestName:
    @pytest.mark.parametrize(
        ("given", "meant"),
        [("durration", "duration"), ("Duration", "duration"), ("seeed", "seed"), ("zzz", None), ("", None)],
    )
    def test_nearest(self, given: str, meant: str | None) -> None:
        """The known name that is nearest, or None."""
        assert meant == nearest_name(given, ["duration", "seed", "size"])
