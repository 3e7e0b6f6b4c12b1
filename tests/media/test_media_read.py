"""Reading: the right frames, at the right times, upright, in the right colours."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vidorch.errors import BadMedia, InvalidRequest
from vidorch.media import first_frame, frames, last_frame, probe, timed_frames
from vidorch.media import read as reading

B_FRAMES = {"preset": "veryfast", "bf": "3"}
OPEN_GOP = {**B_FRAMES, "x264-params": "open-gop=1:keyint=10:min-keyint=10:scenecut=0"}
REFRESH = {"x264-params": "intra-refresh=1:keyint=12"}

# name: (arguments for `make`, number of the first frame shown, how many are shown)
TORTURE: dict[str, tuple[dict[str, Any], int, int]] = {
    "plain": ({"name": "a.mp4"}, 0, 24),
    "B-frames": ({"name": "a.mp4", "options": B_FRAMES}, 0, 24),
    "several key frames": ({"name": "a.mp4", "frames": 48, "options": {**B_FRAMES, "g": "10"}}, 0, 48),
    "open groups of pictures": ({"name": "a.mp4", "frames": 48, "options": OPEN_GOP}, 0, 48),
    "no key frame but the first": ({"name": "a.mp4", "frames": 48, "options": REFRESH}, 0, 48),
    "edit list hides 14 frames": (
        {"name": "a.mp4", "frames": 40, "options": {**B_FRAMES, "g": "12"}, "shift": -14},
        14,
        26,
    ),
    "starts after 8.3 s": ({"name": "a.mp4", "options": B_FRAMES, "shift": 200}, 0, 24),
    "variable rate": (
        {"name": "a.mp4", "frames": 6, "ticks": [0, 40, 100, 300, 310, 900], "time_base": Fraction(1, 1000)},
        0,
        6,
    ),
    "sound longer than the video": ({"name": "a.mp4", "audio": 3}, 0, 24),
    "fragmented": (
        {"name": "a.mp4", "container": {"movflags": "frag_keyframe+empty_moov"}, "options": {"g": "6"}},
        0,
        24,
    ),
    "8 fps": ({"name": "a.mp4", "fps": 8, "frames": 9}, 0, 9),
    "one frame": ({"name": "a.mp4", "frames": 1}, 0, 1),
    "odd size": ({"name": "a.mkv", "pix_fmt": "yuv444p", "size": (63, 47), "frames": 5}, 0, 5),
    "MKV without counts": ({"name": "a.mkv", "options": B_FRAMES}, 0, 24),
    "WebM VP9": ({"name": "a.webm", "codec": "libvpx-vp9"}, 0, 24),
    "WebM VP8": ({"name": "a.webm", "codec": "libvpx"}, 0, 24),
    "MPEG-TS": ({"name": "a.ts", "options": {**B_FRAMES, "g": "8"}}, 0, 24),
    "animated GIF": ({"name": "a.gif", "codec": "gif", "pix_fmt": "rgb8", "frames": 5, "fps": 10}, 0, 5),
    "small track first": ({"name": "a.mkv", "before": 3, "frames": 10}, 0, 10),
    "small default track first": ({"name": "a.mp4", "before": 3, "frames": 10}, 0, 10),
    "cover picture": ({"name": "a.mp4", "cover": np.zeros((480, 640, 3), np.uint8), "frames": 10}, 0, 10),
}


@pytest.fixture(params=TORTURE, ids=lambda name: name.replace(" ", "-"))
def torture(request: pytest.FixtureRequest, clips: Any) -> tuple[Path, int, int]:
    arguments, first, count = TORTURE[request.param]
    arguments = dict(arguments)
    if size := arguments.pop("size", None):
        arguments["frames"] = clips.greys(arguments["frames"], size)
    if before := arguments.pop("before", None):
        arguments["before"] = clips.greys(before, (32, 32))
    return clips.make(**arguments), first, count


class TestEveryKindOfFile:
    def test_all_frames_come_once_in_the_order_shown(
        self, clips: Any, torture: tuple[Path, int, int]
    ) -> None:
        """Nothing is lost, doubled, swapped or taken from another track; what an edit list hides stays hidden."""
        path, first, count = torture
        assert list(range(first, first + count)) == [clips.number(frame) for frame in frames(path)]

    def test_the_last_frame_is_exactly_the_last(self, clips: Any, torture: tuple[Path, int, int]) -> None:
        """It is the very array that reading all frames ends with."""
        path, first, count = torture
        last = last_frame(path)
        assert first + count - 1 == clips.number(last)
        assert np.array_equal(list(frames(path))[-1], last)

    def test_the_first_frame_is_exactly_the_first(self, clips: Any, torture: tuple[Path, int, int]) -> None:
        """It is the first one shown, not the first one stored."""
        assert torture[1] == clips.number(first_frame(torture[0]))

    def test_times_begin_at_zero_and_rise(self, torture: tuple[Path, int, int]) -> None:
        """The first frame is at 0 and each later one after the one before."""
        times = [seconds for seconds, _ in timed_frames(torture[0])]
        assert times[0] == 0
        assert times == sorted(set(times))

    def test_probe_counts_what_is_shown(self, torture: tuple[Path, int, int]) -> None:
        """`frames` and `size` of the facts are those of the arrays."""
        info = probe(torture[0])
        assert (torture[2], first_frame(torture[0]).shape) == (info.frames, (info.height, info.width, 3))

    def test_starting_later_gives_the_same_frames(
        self, torture: tuple[Path, int, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A seek is only a faster way to the frames that decoding from the beginning gives, bit for bit."""
        everything = list(timed_frames(torture[0]))
        monkeypatch.setattr(reading, "_SEEK_FROM", 0)
        for start in {everything[len(everything) * part // 7][0] for part in range(7)}:
            expected = [(seconds, frame.tobytes()) for seconds, frame in everything if seconds >= start]
            assert expected == [(s, frame.tobytes()) for s, frame in timed_frames(torture[0], start=start)]


class TestChoosing:
    def test_start_counts_and_stop_does_not(self, clips: Any) -> None:
        """`[start, stop)` in seconds, so that neighbouring ranges neither share nor miss a frame."""
        path = clips.make("a.mp4", 24, fps=8)
        assert [clips.number(frame) for frame in frames(path, start=1, stop=1.5)] == [8, 9, 10, 11]

    def test_every_third(self, clips: Any) -> None:
        """`every=3` begins with the first and skips two each time."""
        assert [clips.number(frame) for frame in frames(clips.make("a.mp4", 10), every=3)] == [0, 3, 6, 9]

    def test_times_are_the_files_own(self, clips: Any) -> None:
        """Variable frame times come through exactly."""
        path = clips.make("a.mp4", 4, ticks=[0, 40, 100, 300], time_base=Fraction(1, 1000))
        assert [Fraction(n, 1000) for n in (0, 40, 100, 300)] == [
            seconds for seconds, _ in timed_frames(path)
        ]

    def test_a_start_after_the_end_gives_nothing(self, clips: Any) -> None:
        """There is no frame to give, and that is no error."""
        assert list(frames(clips.make("a.mp4", 4), start=9)) == []

    def test_a_size_scales_as_shown(self, clips: Any) -> None:
        """`size` is width and height of the upright picture."""
        path = clips.make("a.mp4", [clips.corners(96, 64)], rotation=90)
        picture = next(frames(path, size=(32, 48)))
        assert picture.shape == (48, 32, 3)

    def test_bytes_are_read_like_a_file(self, clips: Any) -> None:
        """A whole file in memory does as well as a path."""
        data = clips.make("a.mp4", 5).read_bytes()
        assert [clips.number(frame) for frame in frames(data)] == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize(
        ("field", "arguments"),
        [
            ("start", {"start": -1}),
            ("stop", {"start": 2, "stop": 2}),
            ("every", {"every": 0}),
            ("size", {"size": (0, 10)}),
        ],
    )
    def test_wrong_arguments_are_told_at_once(self, field: str, arguments: dict[str, Any]) -> None:
        """They raise before the file is touched, and name the argument."""
        with pytest.raises(InvalidRequest) as caught:
            frames("no such file", **arguments)
        assert field == caught.value.field

    def test_an_abandoned_iterator_closes_its_file(self, clips: Any) -> None:
        """Stopping half way leaves nothing open: the file can be renamed and removed anywhere."""
        path = clips.make("a.mp4", 10)
        iterator = timed_frames(path)
        next(iterator)
        iterator.close()  # type: ignore[attr-defined]
        path.unlink()
        assert not path.exists()


class TestOrientation:
    @pytest.mark.parametrize(
        ("turned", "shown"),
        [
            ({"rotation": 90}, lambda a: np.rot90(a, -1)),
            ({"rotation": 180}, lambda a: np.rot90(a, 2)),
            ({"rotation": 270}, lambda a: np.rot90(a, 1)),
            ({"mirrored": True}, np.fliplr),
            ({"rotation": 180, "mirrored": True}, np.flipud),
        ],
        ids=["90", "180", "270", "mirrored", "180-mirrored"],
    )
    def test_frames_are_upright(
        self, clips: Any, turned: dict[str, Any], shown: Callable[[Any], Any]
    ) -> None:
        """What the display matrix says is done to the pixels: quarter turns, half turns and mirror images."""
        path = clips.make("a.mp4", [clips.corners()] * 2, **turned)
        difference = np.abs(shown(clips.corners()).astype(int) - first_frame(path))
        assert np.median(difference) <= 3

    def test_the_facts_are_of_the_upright_picture(self, clips: Any) -> None:
        """A phone's portrait clip is stored lying; size and rotation say how it is shown."""
        info = probe(clips.make("a.mp4", [clips.corners(96, 64)], rotation=90))
        assert (info.size, info.rotation) == ((64, 96), 90)

    def test_pixels_become_square(self, clips: Any) -> None:
        """Anamorphic video comes at the width it is shown with."""
        path = clips.make("a.mp4", 2, aspect=Fraction(3, 2))
        assert (probe(path).size, first_frame(path).shape) == ((96, 48), (48, 96, 3))


class TestColour:
    @pytest.mark.parametrize("full_range", [False, True])
    @pytest.mark.parametrize("matrix", [1, 5, 6, 9])
    def test_matrix_and_range_are_read_from_the_file(self, clips: Any, matrix: int, full_range: bool) -> None:
        """BT.601, 709 and 2020 in limited and full range all come back as the RGB that went in."""
        colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128), (200, 30, 90)]
        pictures = [np.full((48, 64, 3), colour, np.uint8) for colour in colours]
        scaler_matrix = {1: 1, 5: 5, 6: 5, 9: 9}[matrix]
        path = clips.make(
            "a.mp4",
            pictures,
            matrix=scaler_matrix,
            full_range=full_range,
            options={"crf": "1"},
            pix_fmt="yuv444p",
        )
        for colour, frame in zip(colours, frames(path), strict=True):
            assert np.abs(frame.astype(int) - colour).max() <= 3

    @pytest.mark.parametrize(("size", "matrix"), [((64, 48), 5), ((1280, 16), 1), ((16, 720), 1)])
    def test_untagged_video_is_read_as_players_do(
        self, clips: Any, size: tuple[int, int], matrix: int
    ) -> None:
        """Without a tag HD is BT.709 and anything smaller BT.601."""
        picture = np.full((size[1], size[0], 3), (200, 30, 90), np.uint8)
        path = clips.make(
            "a.mp4", [picture], matrix=matrix, tagged=False, options={"crf": "1"}, pix_fmt="yuv444p"
        )
        assert np.abs(first_frame(path).astype(int) - picture).max() <= 3

    def test_rgb_and_grey_need_no_matrix(self, clips: Any) -> None:
        """Video stored as RGB comes back untouched."""
        picture = clips.corners()
        path = clips.make("a.mkv", [picture], codec="ffv1", pix_fmt="bgr0")
        assert np.array_equal(picture, first_frame(path))


class TestRefusals:
    def test_sound_has_no_frames(self, clips: Any, tmp_path: Path) -> None:
        """A sound file says that it is one."""
        path = tmp_path / "a.m4a"
        with av.open(str(path), "w", format="mp4") as file:
            stream = file.add_stream("aac", rate=48000)
            frame = av.AudioFrame.from_ndarray(
                np.zeros((2, 1024), np.float32), format="fltp", layout="stereo"
            )
            frame.sample_rate, frame.pts = 48000, 0
            file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        for read in (first_frame, last_frame, lambda p: list(frames(p))):
            with pytest.raises(BadMedia, match="only sound"):
                read(path)

    def test_a_frame_damaged_on_the_way_is_told(self, clips: Any) -> None:
        """Reading stops with `BadMedia` where the bytes end, not with an error of the library below."""
        path = clips.make("a.mp4", 24, container={"movflags": "faststart"}, options={"g": "4"})
        path.write_bytes(path.read_bytes()[:-600])
        with pytest.raises(BadMedia, match="cut off"):
            list(frames(path))
