"""Writing: what players need, exactly what was asked, and all or nothing."""

from __future__ import annotations

import re
import resource
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest

from vidorch.errors import BadMedia, InvalidRequest
from vidorch.media import frames, last_frame, probe, timed_frames, verify, write_video


def ffmpeg(*arguments: str | Path) -> str:
    """What an FFmpeg of another build and version says; it is only ever asked for a second opinion."""
    program = imageio_ffmpeg.get_ffmpeg_exe()
    done = subprocess.run(
        [program, "-hide_banner", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stderr + done.stdout


def boxes(data: bytes) -> list[str]:
    """The names of an MP4's outermost boxes, in order."""
    names, at = [], 0
    while at < len(data):
        names.append(data[at + 4 : at + 8].decode())
        at += int.from_bytes(data[at : at + 4], "big")
    return names


class TestTheFile:
    def test_the_index_comes_first(self, clips: Any, tmp_path: Path) -> None:
        """A browser begins to play before the rest has arrived: `moov` lies before `mdat`."""
        write_video(tmp_path / "a.mp4", clips.greys(24), fps=24)
        names = boxes((tmp_path / "a.mp4").read_bytes())
        assert names.index("moov") < names.index("mdat")

    def test_it_is_what_browsers_decode(self, clips: Any, tmp_path: Path) -> None:
        """H.264 High or below, 8-bit 4:2:0."""
        info = write_video(tmp_path / "a.mp4", clips.greys(24), fps=24)
        with av.open(str(tmp_path / "a.mp4")) as file:
            profile = file.streams.video[0].profile
        assert (info.container, info.codec, info.pix_fmt) == ("mp4", "h264", "yuv420p")
        assert profile in ("High", "Main", "Constrained Baseline")

    def test_all_four_colour_tags_are_there(self, clips: Any, tmp_path: Path) -> None:
        """Primaries, transfer, matrix and range are BT.709 and limited."""
        info = write_video(tmp_path / "a.mp4", clips.greys(3), fps=24)
        assert (
            info.color_range,
            info.color_space,
            info.color_primaries,
            info.color_transfer,
        ) == ("tv", "bt709", "bt709", "bt709")

    def test_another_ffmpeg_agrees(self, clips: Any, tmp_path: Path) -> None:
        """A different FFmpeg reads the same codec, tags, rate, length and number of frames."""
        path = tmp_path / "a.mp4"
        write_video(path, clips.greys(30, (128, 96)), fps=24)
        said = ffmpeg("-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "null", "-")
        assert re.search(r"h264 \(High\).*yuv420p\(tv, bt709, progressive\), 128x96.*24 fps", said)
        assert "Duration: 00:00:01.25" in said
        assert re.findall(r"frame=\s*(\d+)", said)[-1] == "30"

    @pytest.mark.parametrize("fps", [1, 8, 24, 23.976, 29.97, 60, Fraction(12345, 678)])
    @pytest.mark.parametrize("count", [1, 2, 13])
    def test_rate_and_length_are_exact(
        self, clips: Any, tmp_path: Path, fps: float | Fraction, count: int
    ) -> None:
        """Frame i is at exactly i / fps and the clip ends one frame after the last."""
        path = tmp_path / "a.mp4"
        info = write_video(path, clips.greys(count, (32, 32)), fps=fps)
        assert info.fps is not None
        assert [i / info.fps for i in range(count)] == [seconds for seconds, _ in timed_frames(path)]
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            assert Fraction(count) / info.fps == stream.duration * stream.time_base
        assert (count, float(count / info.fps)) == (info.frames, info.duration)

    def test_the_facts_are_those_of_the_finished_file(self, clips: Any, tmp_path: Path) -> None:
        """What is returned is what `probe` says of the file under its final name."""
        path = tmp_path / "a.mp4"
        assert write_video(path, clips.greys(5), fps=24) == probe(path)

    def test_same_frames_same_bytes(self, clips: Any, tmp_path: Path) -> None:
        """Nothing of the clock or the machine gets into the file."""
        for name in ("a.mp4", "b.mp4"):
            write_video(tmp_path / name, clips.greys(30), fps=24)
        assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()

    def test_a_key_frame_at_least_every_two_seconds(self, clips: Any, tmp_path: Path) -> None:
        """Players can jump, and the last frame is found without decoding all."""
        path = tmp_path / "a.mp4"
        write_video(path, (np.full((32, 32, 3), 90, np.uint8) for _ in range(100)), fps=10)
        with av.open(str(path)) as file:
            keys = [packet.pts * packet.time_base for packet in file.demux(video=0) if packet.is_keyframe]
        assert keys == [0, 2, 4, 6, 8]


class TestPixels:
    @pytest.mark.parametrize(
        "colour",
        [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128), (0, 0, 0), (255, 255, 255), (200, 30, 90)],
    )
    def test_colours_come_back(self, tmp_path: Path, colour: tuple[int, int, int]) -> None:
        """Pure colours and greys return within three levels, by our reading and by another FFmpeg's."""
        path = tmp_path / "a.mp4"
        write_video(path, [np.full((32, 32, 3), colour, np.uint8)] * 3, fps=24)
        for frame in frames(path):
            assert np.abs(frame.astype(int) - colour).max() <= 3
        raw = tmp_path / "a.rgb"
        # The other FFmpeg is told nothing: it goes by the tags in the file alone.
        ffmpeg(
            "-i",
            path,
            "-vf",
            "scale=flags=accurate_rnd+full_chroma_int",
            "-pix_fmt",
            "rgb24",
            "-f",
            "rawvideo",
            raw,
        )
        theirs = np.frombuffer(raw.read_bytes(), np.uint8).reshape(-1, 32, 32, 3)
        assert np.abs(theirs.astype(int) - colour).max() <= 3

    def test_limited_range_is_in_the_numbers(self, tmp_path: Path) -> None:
        """White is 235 and black 16 in the stored luma, as the tag says."""
        path = tmp_path / "a.mp4"
        white, black = np.full((32, 32, 3), 255, np.uint8), np.zeros((32, 32, 3), np.uint8)
        write_video(path, [white, black], fps=1)
        with av.open(str(path)) as file:
            luma = [int(np.median(frame.to_ndarray()[:32])) for frame in file.decode(video=0)]
        assert luma == [235, 16]

    def test_every_frame_is_kept_in_order(self, clips: Any, tmp_path: Path) -> None:
        """Frames come back one for one, the last one among them."""
        path = tmp_path / "a.mp4"
        write_video(path, iter(clips.greys(50)), fps=24)
        assert list(range(50)) == [clips.number(frame) for frame in frames(path)]
        assert clips.number(last_frame(path)) == 49

    def test_a_view_is_written_like_a_copy(self, clips: Any, tmp_path: Path) -> None:
        """Flipped and sliced arrays need no copying first."""
        write_video(tmp_path / "a.mp4", [clips.corners()[::-1, ::-1]], fps=24)
        difference = np.abs(next(frames(tmp_path / "a.mp4")).astype(int) - clips.corners()[::-1, ::-1])
        assert np.median(difference) <= 3


class TestRefusals:
    @pytest.mark.parametrize(
        ("field", "given_frames", "settings"),
        [
            ("frames", [], {}),
            ("frames", [np.zeros((47, 64, 3), np.uint8)], {}),
            ("frames", [np.zeros((48, 63, 3), np.uint8)], {}),
            ("frames", [np.zeros((48, 64, 3), np.float32)], {}),
            ("frames", [np.zeros((48, 64), np.uint8)], {}),
            ("frames", [np.zeros((48, 64, 4), np.uint8)], {}),
            ("frames", [np.zeros((0, 64, 3), np.uint8)], {}),
            ("frames", ["a.png"], {}),
            ("frames", [np.zeros((48, 64, 3), np.uint8), np.zeros((64, 48, 3), np.uint8)], {}),
            ("fps", [np.zeros((48, 64, 3), np.uint8)], {"fps": 0}),
            ("crf", [np.zeros((48, 64, 3), np.uint8)], {"crf": 0}),
            ("preset", [np.zeros((48, 64, 3), np.uint8)], {"preset": "quick"}),
        ],
    )
    def test_wrong_arguments_name_the_field(
        self, tmp_path: Path, field: str, given_frames: Any, settings: dict[str, Any]
    ) -> None:
        """Each refusal names the argument and says what would do; nothing is written."""
        with pytest.raises(InvalidRequest) as caught:
            write_video(tmp_path / "a.mp4", given_frames, **{"fps": 24, **settings})
        assert (field, True) == (caught.value.field, bool(caught.value.allowed))
        assert not list(tmp_path.iterdir())

    def test_an_odd_size_says_how_to_cut(self, tmp_path: Path) -> None:
        """The hint is the expression to use."""
        with pytest.raises(InvalidRequest, match=r"frame\[: h // 2 \* 2, : w // 2 \* 2\]"):
            write_video(tmp_path / "a.mp4", [np.zeros((47, 64, 3), np.uint8)], fps=24)

    def test_a_name_that_is_taken(self, clips: Any, tmp_path: Path) -> None:
        """Another file of that name stays as it is, and no frame is rendered for nothing."""
        (tmp_path / "a.mp4").write_bytes(b"mine")

        def never() -> Iterator[np.ndarray]:
            raise AssertionError("no frame should be asked for")
            yield

        with pytest.raises(FileExistsError):
            write_video(tmp_path / "a.mp4", never(), fps=24)
        assert (tmp_path / "a.mp4").read_bytes() == b"mine"

    def test_unless_asked_to_overwrite(self, clips: Any, tmp_path: Path) -> None:
        """`overwrite=True` replaces it."""
        (tmp_path / "a.mp4").write_bytes(b"old")
        assert write_video(tmp_path / "a.mp4", clips.greys(3), fps=24, overwrite=True).frames == 3

    def test_a_folder_that_is_not_there(self, clips: Any, tmp_path: Path) -> None:
        """A missing folder is Python's own error, with the path in it."""
        with pytest.raises(FileNotFoundError, match="nowhere"):
            write_video(tmp_path / "nowhere" / "a.mp4", clips.greys(3), fps=24)


class TestNothingIsLeftBehind:
    @pytest.mark.parametrize(
        "raised", [ValueError("model failed"), KeyboardInterrupt()], ids=["error", "ctrl-c"]
    )
    @pytest.mark.parametrize("after", [0, 1, 40])
    def test_when_the_frames_raise(
        self, clips: Any, tmp_path: Path, raised: BaseException, after: int
    ) -> None:
        """The error comes through as it is, and the folder is as it was."""

        def failing() -> Iterator[np.ndarray]:
            yield from clips.greys(after)
            raise raised

        with pytest.raises(type(raised)) as caught:
            write_video(tmp_path / "a.mp4", failing(), fps=24)
        assert raised is caught.value
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("limit", [0, 100, 200_000])
    def test_when_the_disk_is_full(self, tmp_path: Path, limit: int) -> None:
        """A write that the system cuts short is an `OSError` with its number, at the start, the middle or the end."""
        noise = np.random.default_rng(0).integers(0, 256, (12, 256, 256, 3), dtype=np.uint8)
        # A file-size limit fails writes as a full disk does: part of them goes through, then none.
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
            with pytest.raises(OSError) as caught:
                write_video(tmp_path / "a.mp4", noise, fps=24)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)
        assert OSError is type(caught.value)
        assert caught.value.errno
        assert not list(tmp_path.iterdir())

    def test_when_the_file_reads_back_wrong(
        self, clips: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What does not read back with every frame is never published."""
        monkeypatch.setattr("vidorch.media.write.probe", lambda path: replace(probe(path), frames=2))
        with pytest.raises(BadMedia, match="written wrong"):
            write_video(tmp_path / "a.mp4", clips.greys(3), fps=24)
        assert not list(tmp_path.iterdir())


class TestTogether:
    def test_what_is_written_verifies(self, clips: Any, tmp_path: Path) -> None:
        """A fresh file passes every check."""
        write_video(tmp_path / "a.mp4", clips.greys(48), fps=24)
        assert verify(tmp_path / "a.mp4", duration=2, size=(64, 48)).frames == 48

    def test_clips_made_from_clips_keep_their_colours(self, tmp_path: Path) -> None:
        """Five times from reader to writer: no tint, no darkening, and no colour that wanders sideways."""
        rows, columns = np.mgrid[0:64, 0:96]
        # Steep enough that chroma half a pixel off shows as a change of level.
        slope = np.stack([columns * 2, rows * 3, 255 - columns - rows], axis=-1).astype(np.uint8)
        write_video(tmp_path / "a.mp4", [slope] * 3, fps=24, crf=1)
        for source, target in ("ab", "bc", "cd", "de"):
            write_video(tmp_path / f"{target}.mp4", frames(tmp_path / f"{source}.mp4"), fps=24, crf=1)
        difference = last_frame(tmp_path / "e.mp4").astype(int) - slope
        assert np.abs(difference).mean() <= 1
        assert np.abs(difference.mean(axis=(0, 1))).max() <= 0.5
