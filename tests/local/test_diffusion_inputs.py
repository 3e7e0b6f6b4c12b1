"""Images and clips as inputs of open-weight models: each kind of pipeline, with tiny random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidorch import Client, media
from vidorch.errors import Unsupported
from vidorch.result import Clip

pytestmark = pytest.mark.torch

PROMPT = "a lighthouse at dusk"
SHORT: dict[str, Any] = {"duration": 0.5, "aspect_ratio": "1:1", "seed": 3}


def frames(clip: Clip) -> Any:
    assert clip.path is not None
    return np.stack(list(media.frames(clip.path)))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A red picture with upright stripes and a blue one with a slope, square as the clips are."""
    folder = tmp_path_factory.mktemp("pictures")
    rows, columns = np.mgrid[0:64, 0:64]
    red, blue = np.zeros((2, 64, 64, 3), np.uint8)
    red[..., 0] = columns // 8 % 2 * 200
    blue[..., 2] = rows * 4
    return {
        "red": media.save_still(red, folder / "red.png"), "blue": media.save_still(blue, folder / "blue.png"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Clips of 8 and 5 frames at 8 a second, a bar that moves."""
    folder = tmp_path_factory.mktemp("clips")
    made = {}
    for count in (8, 5):
        shown = np.zeros((count, 64, 64, 3), np.uint8)
        for index in range(count):
            shown[index, :, index * 6 : index * 6 + 12] = 200
        made[count] = folder / f"{count}.mp4"
        media.write_video(made[count], shown, fps=8)
    return made


class TestImageToVideo:
    @pytest.mark.parametrize("kind", ["i2v", "i2v-clip", "ti2v"])
    def test_of_another_image_is_another_clip(
        self, client: Client, pictures: dict[str, Path], kind: str
    ) -> None:
        """Wan 2.2, Wan 2.1 with CLIP, and TI2V-5B: the image is looked at."""
        red, blue = (
            client.generate(PROMPT, model=f"local/tiny-{kind}", image=pictures[name], **SHORT).clip
            for name in ("red", "blue")
        )
        assert (5, 5) == (red.frames, blue.frames)
        assert not np.array_equal(frames(red), frames(blue))

    def test_with_a_last_image_is_another_clip(self, client: Client, pictures: dict[str, Path]) -> None:
        """Wan 2.2 takes first and last frame by the same weights."""
        asked = {"model": "local/tiny-i2v", "image": pictures["red"], **SHORT}
        without = client.generate(PROMPT, **asked).clip
        both = client.generate(PROMPT, last_image=pictures["blue"], **asked).clip
        assert not np.array_equal(frames(without), frames(both))

    def test_of_another_last_image_is_another_clip(self, client: Client, pictures: dict[str, Path]) -> None:
        """Wan 2.1 has a model for it, which looks at both with CLIP."""
        asked = {"model": "local/tiny-flf", "image": pictures["red"], **SHORT}
        red, blue = (
            client.generate(PROMPT, last_image=pictures[name], **asked).clip for name in ("red", "blue")
        )
        assert not np.array_equal(frames(red), frames(blue))

    def test_of_text_and_image_share_their_weights(self, client: Client, pictures: dict[str, Path]) -> None:
        """After an image the same weights make a clip of text alone as they did before."""
        text = {"model": "local/tiny-ti2v", **SHORT}
        before = client.generate(PROMPT, **text).clip
        client.generate(PROMPT, image=pictures["red"], **text)
        again = client.generate(PROMPT, **text).clip
        assert np.array_equal(frames(before), frames(again))
        assert again.timings.details["load"] < 1.0 + before.timings.details["load"]


class TestTwoExperts:
    def test_both_take_part(self, client: Client) -> None:
        """The weight of the second expert alone changes the clip; that of the caller's guidance holds for both."""
        asked = {"model": "local/tiny-two-experts", "steps": 4, **SHORT}
        usual = client.generate(PROMPT, **asked).clip
        other = client.generate(PROMPT, extra={"local": {"guidance_2": 1.5}}, **asked).clip
        assert not np.array_equal(frames(usual), frames(other))


class TestVace:
    def test_makes_a_clip_of_text(self, client: Client) -> None:
        """Without anything given it makes all of it."""
        assert 5 == client.generate(PROMPT, model="local/tiny-vace", **SHORT).clip.frames

    def test_looks_at_references(self, client: Client, pictures: dict[str, Path]) -> None:
        """One or two pictures of what is to be seen."""
        asked = {"model": "local/tiny-vace", **SHORT}
        one = client.generate(PROMPT, reference_images=[pictures["red"]], **asked).clip
        two = client.generate(PROMPT, reference_images=[pictures["red"], pictures["blue"]], **asked).clip
        assert (5, 5) == (one.frames, two.frames)
        assert not np.array_equal(frames(one), frames(two))

    def test_looks_at_first_and_last_frame(self, client: Client, pictures: dict[str, Path]) -> None:
        """They become a grey clip with the two in it, and a mask that keeps them."""
        asked = {"model": "local/tiny-vace", "last_image": pictures["blue"], **SHORT}
        one = client.generate(PROMPT, image=pictures["red"], **asked).clip
        other = client.generate(PROMPT, image=pictures["blue"], **asked).clip
        assert not np.array_equal(frames(one), frames(other))

    def test_edits_a_clip_where_the_mask_is_white(
        self, client: Client, clips: dict[int, Path], pictures: dict[str, Path], tmp_path: Path
    ) -> None:
        """With and without a mask the same source becomes different clips, as long as the source."""
        mask = np.zeros((64, 64, 3), np.uint8)
        mask[:32] = 255
        media.save_still(mask, tmp_path / "mask.png")
        asked = {
            "model": "local/tiny-vace",
            "task": "edit",
            "video": clips[8],
            "aspect_ratio": "1:1",
            "seed": 3,
        }
        whole = client.generate(PROMPT, **asked).clip
        part = client.generate(PROMPT, extra={"local": {"mask": str(tmp_path / "mask.png")}}, **asked).clip
        assert (8, 8) == (whole.frames, part.frames)
        assert not np.array_equal(frames(whole), frames(part))


class TestVideoToVideo:
    @pytest.mark.parametrize("count", [8, 5])
    def test_is_as_long_as_its_source(self, client: Client, clips: dict[int, Path], count: int) -> None:
        """Of 8 frames diffusers would give 5 back: it gets 9, and the last is cut off again."""
        asked = {"task": "restyle", "video": clips[count], "aspect_ratio": "1:1", "seed": 3, "steps": 2}
        assert count == client.generate(PROMPT, model="local/tiny-t2v", **asked).clip.frames

    def test_obeys_its_strength(self, client: Client, clips: dict[int, Path]) -> None:
        """How much is made anew is the caller's to say."""
        asked = {"task": "restyle", "video": clips[5], "aspect_ratio": "1:1", "seed": 3, "steps": 4}
        weak, strong = (
            client.generate(
                PROMPT, model="local/tiny-t2v", extra={"local": {"strength": strength}}, **asked
            ).clip
            for strength in (0.3, 0.9)
        )
        assert not np.array_equal(frames(weak), frames(strong))

    def test_too_weak_for_a_single_step_is_refused(self, client: Client, clips: dict[int, Path]) -> None:
        """Half of one step is none: said before anything is made, with what would do."""
        asked = {"task": "restyle", "video": clips[5], "steps": 1, "extra": {"local": {"strength": 0.5}}}
        with pytest.raises(Unsupported, match="at least 2 steps") as caught:
            client.generate(PROMPT, model="local/tiny-t2v", **asked)
        assert False is caught.value.charged


class TestLtx2:
    def test_makes_a_clip_and_says_that_its_sound_is_left_out(self, client: Client) -> None:
        """The same way as Wan, with latents of another form and a rate that it is told."""
        result = client.generate(
            PROMPT, model="local/tiny-ltx2", duration=1, aspect_ratio="1:1", steps=2, seed=3
        )
        assert (9, False) == (result.clip.frames, result.clip.has_audio)
        assert "The model made sound as well, which is not written." in result.notes

    def test_looks_at_its_image(self, client: Client, pictures: dict[str, Path]) -> None:
        """Another pipeline over the same weights."""
        red, blue = (
            client.generate(PROMPT, model="local/tiny-ltx2", image=pictures[name], **SHORT).clip
            for name in ("red", "blue")
        )
        assert not np.array_equal(frames(red), frames(blue))
