"""Images at the edges of the built-in model: which ones it takes for frames of its world, and clips that begin with one."""

from __future__ import annotations

import io

import numpy as np
import pytest

from mini_training import checker, world
from vidorch_local.mini.model import upscale
from vidorch_local.mini.words import describe, understand

CHAOS = np.random.default_rng(0)
Y, X = np.mgrid[:256, :256]


def plain(colour):
    return np.full((256, 256, 3), colour, np.uint8)


def with_cross(colour):
    image = plain(colour)
    image[100:160, 124:132] = image[126:134, 98:158] = (240, 240, 240)
    return image


def with_bar(colour):
    image = plain(colour)
    image[100:110, 20:220] = (222, 40, 45)
    return image


def blurred_noise(colour, amount):
    coarse = np.kron(CHAOS.standard_normal((16, 16, 3)), np.ones((16, 16, 1)))
    return np.clip(np.array(colour) + amount * coarse, 0, 255).astype(np.uint8)


def with_text():
    image = plain((205, 208, 214))
    for _ in range(40):
        y, x = CHAOS.integers(20, 230, 2)
        image[y : y + 6, x : x + 15] = 30
    return image


STRANGERS = {
    "noise": CHAOS.integers(0, 256, (128, 128, 3), dtype=np.uint8),
    "gradient": np.stack([X.astype(np.uint8)] * 3, -1),
    "both ways gradient": np.stack([X, Y, 255 - X], -1).astype(np.uint8),
    "blurred noise": blurred_noise((120, 120, 120), 60),
    "dark noise": blurred_noise((18, 20, 32), 30),
    "text": with_text(),
    "white": plain((255, 255, 255)),
    "empty dark": plain((18, 20, 32)),
    "empty light": plain((205, 208, 214)),
    "green background": plain((40, 120, 40)),
    "cross on dark": with_cross((18, 20, 32)),
    "cross on light": with_cross((205, 208, 214)),
    "bar on dark": with_bar((18, 20, 32)),
}


@pytest.mark.parametrize("image", STRANGERS.values(), ids=STRANGERS)
def test_an_image_from_elsewhere_is_told_with_the_reason(mini, image):
    """Noise, gradients, text, empty frames and foreign things on the right background are not of its world."""
    known, why = mini.recognises(image)
    assert not known
    assert why


@pytest.fixture(scope="module", params=[0, 1], ids=["dark", "light"])
def rendered(request):
    clips = world.sample(np.random.default_rng(8), 8, two=0.25, background=request.param)
    return clips, world.render(clips)


def test_frames_of_its_world_are_known(mini, rendered):
    """Rendered first frames are taken as they are, and when they were blown up to 256 pixels."""
    for video in rendered[1]:
        assert (True, "it is a frame of the built-in model's world") == mini.recognises(video[0])
        assert mini.recognises(upscale(video[:1])[0])[0]


def test_its_own_frames_are_known(mini, rendered):
    """The last frame of a clip it made can be the first of the next one."""
    for tokens in rendered[0].tokens[:3]:
        video = mini.generate(understand(describe(tokens)), seed=3)
        assert mini.recognises(video[-1])[0]


def test_compressed_frames_are_known(mini, rendered):
    """What H.264 does to a frame, at the size shown, does not make it foreign."""
    av = pytest.importorskip("av")
    for video in rendered[1][:3]:
        file = io.BytesIO()
        with av.open(file, "w", format="mp4") as out:
            stream = out.add_stream("libx264", rate=12, options={"crf": "28"})
            stream.height = stream.width = 256
            stream.pix_fmt = "yuv420p"
            for frame in upscale(video):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            out.mux(stream.encode())
        file.seek(0)
        with av.open(file) as back:
            first = next(back.decode(video=0)).to_ndarray(format="rgb24")
        assert mini.recognises(first)[0]


def test_a_clip_begins_where_its_image_stands(mini, rendered):
    """Given a first frame, the object of the clip's first frame stands where it stands on the image."""
    clips, videos = rendered
    for i in np.flatnonzero(clips.words[:, 0] == 0)[:3]:
        image = videos[i, 0]
        made = mini.generate(understand(describe(clips.tokens[i])), seed=9, image=image)
        where = [np.argwhere(_object(frame)).mean(0) for frame in (image, made[0])]
        assert np.linalg.norm(where[0] - where[1]) < 3


def _object(frame):
    """Where a frame differs from its background, above the floor."""
    upper = frame[: world.FLOOR].astype(float)
    return np.linalg.norm(upper - np.median(upper, (0, 1)), axis=-1) > checker.SEEN


def test_any_size_of_image_is_taken(mini):
    """Images are cropped to the middle square and resized by area."""
    image = np.concatenate([plain((18, 20, 32))] * 2, 1)
    image[100:150, 230:280] = (55, 95, 235)
    assert mini.recognises(image)[0]
    assert (24, 64, 64, 3) == mini.generate(
        understand("a blue square moving up"), seed=1, steps=2, image=image
    ).shape


@pytest.mark.parametrize(
    "bad", [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 4), np.uint8), np.zeros((64, 64, 3))]
)
def test_what_is_no_image_is_refused(mini, bad):
    """An array that is not uint8 (H, W, 3) is an error that says so."""
    with pytest.raises(ValueError, match="must be uint8"):
        mini.recognises(bad)
