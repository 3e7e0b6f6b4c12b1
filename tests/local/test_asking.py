"""From a request as bought to the arguments of a pipeline. Needs no torch."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.local import tiny
from vidorch import media
from vidorch.errors import Unsupported
from vidorch.offer import FieldMap, Offer, Weights
from vidorch.request import Request
from vidorch_local.diffusion import asking
from vidorch_local.diffusion.asking import Asked, ask, frames_for, shift_of, size_problem
from vidorch_local.diffusion.settings import Settings

PROMPT = "a lighthouse at dusk"


def asked(
    kind: str = "t2v", offer: Offer | None = None, settings: Settings | None = None, **request: Any
) -> Asked:
    """The arguments for a request to a tiny offer, half a second of 32x32 unless it says otherwise."""
    offer = offer or tiny.offer_of(kind, "/weights")
    made = Request(prompt=PROMPT, **{"duration": 0.5, "resolution": "256p", "aspect_ratio": "1:1", **request})
    route = asking.route_of(offer, made)
    assert route is not None
    return ask(made, offer, route, settings or Settings())


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Twice as wide as high: red, and blue in its outer quarters."""
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 20:60, 0] = 255
    pixels[:, :20, 2] = pixels[:, 60:, 2] = 255
    return media.save_still(pixels, tmp_path / "picture.png")


def clip(path: Path, count: int, fps: int = 8) -> Path:
    """Frames that get brighter, one by one."""
    media.write_video(path, (np.full((32, 32, 3), 10 * i, np.uint8) for i in range(count)), fps=fps)
    return path


class TestFramesFor:
    @pytest.mark.parametrize(
        ("seconds", "fps", "step", "frames"),
        [(5, 16, 4, 81), (5, 24, 4, 121), (5, 24, 8, 121), (0.5, 8, 4, 5), (3, 16, 4, 49), (0.01, 16, 4, 5)],
    )
    def test_is_the_legal_number_nearest(self, seconds: float, fps: int, step: int, frames: int) -> None:
        """Wan's 5 s are 81 frames at 16 a second."""
        assert frames == frames_for(seconds, Fraction(fps), step)

    @given(st.floats(0.3, 60), st.integers(8, 60), st.sampled_from([4, 8]))
    def test_is_never_off_by_more_than_half_a_step_and_one(self, seconds: float, fps: int, step: int) -> None:
        """So a clip lasts as long as was bought, within what the check of its file allows."""
        frames = frames_for(seconds, Fraction(fps), step)
        assert (1, True) == (frames % step, frames == step + 1 or abs(frames - seconds * fps) <= step / 2 + 1)


class TestAsk:
    def test_speaks_the_words_of_the_pipeline(self) -> None:
        """Our fields by their names; defaults where nothing was asked for."""
        made = asked(steps=3, guidance=2.5, negative_prompt="boats").call
        assert {
            "prompt": PROMPT, "negative_prompt": "boats", "num_inference_steps": 3, "guidance_scale": 2.5, "width": 32, "height": 32,
            "num_frames": 5, "max_sequence_length": 16,
        } == made  # fmt: skip

    def test_takes_the_defaults_of_the_catalog(self) -> None:
        """Decimals become numbers that torch takes."""
        offer = tiny.offer_of(
            "t2v", "/weights", defaults={"steps": 30, "guidance": Decimal("4.5"), "negative_prompt": "blur"}
        )
        made = asked(offer=offer).call
        assert (30, 4.5, float, "blur") == (
            made["num_inference_steps"],
            made["guidance_scale"],
            type(made["guidance_scale"]),
            made["negative_prompt"],
        )

    def test_of_one_guidance_means_both_experts(self) -> None:
        """The default of the second one does not stay beside a first one that the caller set."""
        offer = tiny.offer_of("two-experts", "/weights", defaults={"guidance": 4, "guidance_2": 3})
        assert (3, None) == (
            asked(offer=offer).call.get("guidance_scale_2"),
            asked(offer=offer, guidance=1.0).call.get("guidance_scale_2"),
        )

    def test_knows_what_the_caller_asked_for(self) -> None:
        """That may not be dropped, whatever the pipeline takes."""
        made = asked(steps=3, settings=Settings(strength=0.5))
        assert {"num_inference_steps": "steps", "strength": "extra[...]['strength']"} == made.given

    def test_of_a_route_without_fields_uses_the_usual_names(self) -> None:
        """Nearly all pipelines of diffusers share them."""
        offer = tiny.offer_of("t2v", "/weights")
        plain = replace(offer, routes={"text-to-video": replace(offer.routes["text-to-video"], fields={})})
        assert asked().call == asked(offer=plain).call

    def test_of_a_row_without_types_keeps_numbers_numbers(self) -> None:
        """A catalog of one's own may leave the type out."""
        offer = tiny.offer_of("t2v", "/weights")
        route = offer.routes["text-to-video"]
        loose = replace(
            route,
            fields={**route.fields, "width": FieldMap("width"), "fps": FieldMap("frame_rate", "number")},
        )
        made = asked(offer=replace(offer, routes={"text-to-video": loose})).call
        assert (32, 8) == (made["width"], made["frame_rate"])

    def test_fits_a_size_that_nobody_fixed_to_the_models_grid(self) -> None:
        """480p in 16:9 is 854 pixels wide, and 848 is what can be made."""
        offer = tiny.offer_of("t2v", "/weights")
        able = replace(offer.routes["text-to-video"].capabilities, sizes={})
        route = replace(offer.routes["text-to-video"], capabilities=able)
        made = ask(
            Request(prompt=PROMPT, duration=0.5, resolution="480p", aspect_ratio="16:9"),
            offer,
            route,
            Settings(),
        ).call
        assert (848, 480) == (made["width"], made["height"])


class TestAnImage:
    def test_is_scaled_until_it_covers_and_cut_at_its_middle(self, picture: Path) -> None:
        """Never stretched: the outer quarters go."""
        image = asked("i2v", image=picture).call["image"]
        assert ((32, 32, 3), True) == (image.shape, int(image[..., 2].max()) < 60)

    def test_of_the_end_comes_along(self, picture: Path) -> None:
        """First and last frame, of one size."""
        made = asked("i2v", image=picture, last_image=picture).call
        assert (32, 32, 3) == made["image"].shape == made["last_image"].shape

    def test_for_reference_keeps_its_shape(self, picture: Path) -> None:
        """What is to be seen in a clip need not be cut to it."""
        (one,) = asked("vace", reference_images=[picture]).call["reference_images"]
        assert (40, 80, 3) == one.shape


class TestForVace:
    def test_first_and_last_frame_become_a_clip_and_a_mask(self, picture: Path) -> None:
        """Grey and white where it has to make something, black where a frame stays."""
        made = asked("vace", image=picture, last_image=picture).call
        assert not {"image", "last_image"} & made.keys()
        assert [0, 255, 255, 255, 0] == [int(frame.max()) for frame in made["mask"]]
        assert [False, True, True, True, False] == [bool((frame == 128).all()) for frame in made["video"]]

    def test_a_mask_holds_for_every_frame(self, tmp_path: Path, picture: Path) -> None:
        """One picture, repeated."""
        made = asked(
            "vace",
            settings=Settings(mask=str(picture)),
            task="edit",
            video=clip(tmp_path / "c.mp4", 5),
            duration=None,
        ).call
        assert (5, 32, 32, 3) == made["mask"].shape == made["video"].shape


class TestASourceClip:
    @pytest.mark.parametrize(("count", "handed"), [(5, 5), (6, 9), (8, 9), (9, 9), (16, 17), (1, 5)])
    def test_is_made_longer_to_a_legal_number(self, tmp_path: Path, count: int, handed: int) -> None:
        """A pipeline would cut it to the legal number below; what is too much is cut off the result again."""
        made = asked(task="restyle", video=clip(tmp_path / "c.mp4", count), duration=None)
        assert (handed, handed, count) == (len(made.call["video"]), made.call["num_frames"], made.frames)

    @pytest.mark.parametrize(("fps", "count"), [(16, 17), (4, 5), (24, 25)])
    def test_is_brought_to_the_models_rate(self, tmp_path: Path, fps: int, count: int) -> None:
        """One second and a frame at any rate becomes one second and some at 8 a second."""
        made = asked(task="restyle", video=clip(tmp_path / "c.mp4", count, fps), duration=None)
        assert made.frames in (9, 10)
        brightness = [int(frame.mean()) for frame in made.call["video"]]
        assert sorted(brightness) == brightness

    def test_that_is_too_long_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before memory is full of it."""
        monkeypatch.setattr(asking, "MOST_FRAMES", 6)
        with pytest.raises(Unsupported, match="more than 6 frames"):
            asked(task="restyle", video=clip(tmp_path / "c.mp4", 9), duration=None)


class TestSizeProblem:
    def test_is_none_where_the_size_can_be_made(self) -> None:
        """Multiples of sixteen pixels."""
        request = Request(prompt=PROMPT, size=(48, 32))
        assert "" == size_problem(request, tiny.offer_of("t2v", "/weights"))

    def test_names_the_multiple(self) -> None:
        """TI2V-5B makes multiples of 32."""
        request = Request(prompt=PROMPT, size=(48, 32))
        offer = tiny.offer_of("t2v", "/weights", size_multiple=32)
        assert "size 48x32: makes multiples of 32 pixels" == size_problem(request, offer)


class TestShiftOf:
    WAN = Weights("/weights", flow_shift={"480p": 3.0, "720p": 5.0})

    @pytest.mark.parametrize(("height", "shift"), [(480, 3.0), (720, 5.0), (544, 3.0), (704, 5.0)])
    def test_is_that_of_the_resolution_nearest(self, height: int, shift: float) -> None:
        """Wan shifts more for larger pictures."""
        assert shift == shift_of(self.WAN, Settings(), height)

    def test_is_the_callers_where_one_is_given(self) -> None:
        """`extra={"local": {"flow_shift": 8}}`."""
        assert 8.0 == shift_of(self.WAN, Settings(flow_shift=8.0), 480)

    def test_is_left_to_the_folder_where_the_catalog_says_none(self) -> None:
        """Its own scheduler knows."""
        assert None is shift_of(Weights("/weights"), Settings(), 480)
