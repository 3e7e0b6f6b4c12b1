"""Small real videos: of the size, length and sound that was bought, each with a picture of its seed and bytes of its own."""

from __future__ import annotations

import io
import math
import struct
import tempfile
import threading
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np

from vidorch import media

__all__ = ["FPS", "clip_bytes", "still_bytes"]

FPS = 4
"""Frames a second: few, so that a clip of many seconds is made at once."""
COLOURS = 8
"""Clips of one size and length look this different; seeds that follow each other never look alike."""
RATE = 48_000  # samples a second
_making = threading.Lock()


def clip_bytes(
    size: tuple[int, int], seconds: float, *, seed: int = 0, sound: bool = False, name: str = ""
) -> bytes:
    """An MP4.

    Args:
        size: (width, height) in pixels, even. seconds: its length, to the nearest quarter of one.
        seed: decides the colours. sound: with a quiet tone. name: makes the bytes unlike those of any other name.
    """
    frames = max(1, round(seconds * FPS))
    with _making:  # candidates come at once, and the first one's clip is often the others' too
        plain = _clip(size, frames, seed % COLOURS, sound)
    # A box that players skip, as ISO 14496-12 has it: the picture is shared, the file is not.
    body = f"{name}:{seed}".encode()
    return plain + struct.pack(">I4s", 8 + len(body), b"free") + body


def still_bytes(size: tuple[int, int], *, seed: int = 0) -> bytes:
    """A PNG."""
    width, height = size
    container = av.CodecContext.create("png", "w")
    container.width, container.height, container.pix_fmt = width, height, "rgb24"
    container.time_base = Fraction(1, 1)
    frame = av.VideoFrame.from_ndarray(_picture(size, seed % COLOURS, 0, 1), format="rgb24")
    return b"".join(bytes(packet) for packet in (*container.encode(frame), *container.encode(None)))


@lru_cache(maxsize=64)
def _clip(size: tuple[int, int], frames: int, colour: int, sound: bool) -> bytes:
    with tempfile.TemporaryDirectory(prefix="vidorch-clip-") as folder:
        path = Path(folder) / "clip.mp4"
        pictures = (_picture(size, colour, number, frames) for number in range(frames))
        media.write_video(path, pictures, fps=FPS, crf=35, preset="ultrafast")
        return _with_sound(path) if sound else path.read_bytes()


def _picture(size: tuple[int, int], colour: int, number: int, frames: int) -> np.ndarray:
    """A bright square that crosses a plain ground from left to right."""
    width, height = size
    turn = 2 * math.pi * colour / COLOURS
    ground = [int(128 + 100 * math.cos(turn + third * 2 * math.pi / 3)) for third in range(3)]
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = ground
    side = max(2, height // 4)
    left = round((width - side) * (number / max(1, frames - 1)))
    picture[(height - side) // 2 : (height + side) // 2, max(0, left) : left + side] = 235
    return picture


def _with_sound(path: Path) -> bytes:
    """The same pictures with a quiet tone under them. `vidorch.media` writes silent clips only."""
    made = io.BytesIO()
    with av.open(str(path)) as silent, av.open(made, "w", format="mp4") as out:
        pictures = silent.streams.video[0]
        video = out.add_stream_from_template(pictures)
        tone = out.add_stream("aac", rate=RATE)
        assert pictures.time_base is not None
        assert pictures.duration is not None
        for packet in silent.demux(pictures):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
        for frame in _tone(float(pictures.duration * pictures.time_base)):
            out.mux(tone.encode(frame))
        out.mux(tone.encode(None))
    return made.getvalue()


def _tone(seconds: float) -> Iterator[av.AudioFrame]:
    block = 1_024
    for start in range(0, int(seconds * RATE), block):
        count = min(block, int(seconds * RATE) - start)
        wave = 0.05 * np.sin(2 * math.pi * 440 / RATE * np.arange(start, start + count))
        frame = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None, :], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        yield frame
