"""Torture files, made on the spot: every way in which a video can be unlike the plain one."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest


def shade(index: int) -> int:
    """The grey of frame `index`: steps of four survive any encoder here, so a frame tells its own number."""
    return 16 + 4 * index


def number(frame: np.ndarray) -> int:
    """Read back which frame this is."""
    return round((float(frame.mean()) - 16) / 4)


def greys(count: int, size: tuple[int, int] = (64, 48)) -> list[np.ndarray]:
    """`count` flat frames of `size` (width, height), each in its own shade."""
    return [np.full((size[1], size[0], 3), shade(i), np.uint8) for i in range(count)]


def corners(width: int = 96, height: int = 64) -> np.ndarray:
    """Red, green / blue, white: a picture whose every turn and mirror image differs."""
    picture = np.full((height, width, 3), 255, np.uint8)
    picture[: height // 2, : width // 2] = (255, 0, 0)
    picture[: height // 2, width // 2 :] = (0, 255, 0)
    picture[height // 2 :, : width // 2] = (0, 0, 255)
    return picture


class Clips:
    """Writes files into one folder. Frames are RGB arrays; everything else is said by name."""

    shade = staticmethod(shade)
    number = staticmethod(number)
    greys = staticmethod(greys)
    corners = staticmethod(corners)

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(
        self,
        name: str,
        frames: Sequence[np.ndarray] | int = 24,
        *,
        fps: Fraction | int = 24,
        codec: str = "libx264",
        options: dict[str, str] | None = None,
        container: dict[str, str] | None = None,
        muxer: str | None = None,
        ticks: Sequence[int] | None = None,
        time_base: Fraction | None = None,
        shift: int = 0,
        pix_fmt: str = "yuv420p",
        matrix: int | None = None,
        full_range: bool | None = None,
        tagged: bool = True,
        rotation: float | None = None,
        mirrored: bool = False,
        aspect: Fraction | None = None,
        audio: float = 0,
        cover: np.ndarray | None = None,
        before: Sequence[np.ndarray] = (),
    ) -> Path:
        """Encode `frames` (an int: that many greys).

        `ticks` are presentation times in `time_base` (default: one per frame at `fps`); `shift` moves the finished packets,
        in ticks of the file; `matrix` and `full_range` say how RGB becomes YUV, `tagged` whether the file tells;
        `before` is another, smaller track put first; `cover` an attached picture put before everything.
        """
        path = self.folder / name
        pictures = greys(frames) if isinstance(frames, int) else list(frames)
        if codec.startswith("libvpx"):
            options = {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "2M", **(options or {})}
        elif codec == "libx264":
            options = {"preset": "ultrafast", "crf": "10", **(options or {})}
        base = time_base or 1 / Fraction(fps)
        with av.open(str(path), "w", format=muxer, options=container or {}) as file:
            art = file.add_stream("mjpeg", rate=1) if cover is not None else None
            small = (
                _video(file, "libx264", before[0], Fraction(fps), {"preset": "ultrafast"}) if before else None
            )
            video = _video(file, codec, pictures[0], Fraction(fps), options or {}, pix_fmt, base)
            sound = file.add_stream("aac", rate=48000, layout="stereo") if audio else None
            if tagged and matrix is not None:
                video.codec_context.colorspace = matrix
            if tagged and full_range is not None:
                video.codec_context.color_range = 2 if full_range else 1
            if rotation is not None or mirrored:
                # Given here as degrees clockwise, as people and phones count; PyAV's are the other way round.
                video.set_display_rotation(-(rotation or 0), hflip=mirrored)
            if aspect is not None:
                video.codec_context.sample_aspect_ratio = aspect
            if art is not None and cover is not None:
                art.height, art.width, art.pix_fmt = cover.shape[0], cover.shape[1], "yuvj420p"
                art.disposition = av.stream.Disposition.attached_pic
                picture = av.VideoFrame.from_ndarray(cover, format="rgb24").reformat(format="yuvj420p")
                picture.pts = 0
                file.mux(art.encode(picture))
                file.mux(art.encode(None))
            for i, array in enumerate(before):
                assert small is not None
                picture = av.VideoFrame.from_ndarray(array, format="rgb24")
                picture.pts, picture.time_base = i, 1 / Fraction(fps)
                file.mux(small.encode(picture))
            if small is not None:
                file.mux(small.encode(None))
            for i, array in enumerate(pictures):
                picture = _yuv(array, pix_fmt, matrix, full_range)
                picture.pts, picture.time_base = (ticks[i] if ticks else i), base
                picture.duration = (ticks[i + 1] - ticks[i] if i + 1 < len(ticks) else 1) if ticks else 1
                self._mux(file, video.encode(picture), shift)
            self._mux(file, video.encode(None), shift)
            if sound is not None:
                _silence(file, sound, audio)
        return path

    @staticmethod
    def _mux(file: Any, packets: Any, shift: int) -> None:
        for packet in packets:
            if shift:
                packet.pts += shift
                packet.dts += shift
            file.mux(packet)


def _video(
    file: Any, codec: str, frame: np.ndarray, fps: Fraction, options: dict[str, str], pix_fmt: str = "yuv420p",
    base: Fraction | None = None,
) -> Any:  # fmt: skip
    stream = file.add_stream(codec, rate=fps, options=options)
    stream.height, stream.width, stream.pix_fmt = frame.shape[0], frame.shape[1], pix_fmt
    stream.codec_context.time_base = base or 1 / fps
    stream.codec_context.thread_count = 1
    return stream


def _yuv(array: np.ndarray, pix_fmt: str, matrix: int | None, full_range: bool | None) -> Any:
    picture = av.VideoFrame.from_ndarray(array, format="rgb24")
    if pix_fmt == "rgb24":
        return picture
    return picture.reformat(
        format=pix_fmt,
        dst_colorspace=5 if matrix in (None, 5, 6) else matrix,
        dst_color_range=2 if full_range else 1,
        interpolation="BICUBIC",
    )


def _silence(file: Any, stream: Any, seconds: float) -> None:
    for start in range(0, int(seconds * 48000), 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


@pytest.fixture
def clips(tmp_path: Path) -> Clips:
    return Clips(tmp_path)
