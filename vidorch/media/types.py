"""What the media room hands out: plain facts about a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Picture: TypeAlias = npt.NDArray[np.uint8]

Kind: TypeAlias = Literal["video", "image", "audio"]
MediaSource: TypeAlias = "str | Path | bytes"

SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "video/mp4": (".mp4", ".m4v"),
    "video/quicktime": (".mov",),
    "video/webm": (".webm",),
    "video/x-matroska": (".mkv",),
    "image/png": (".png",),
    "image/jpeg": (".jpg", ".jpeg"),
    "image/webp": (".webp",),
    "image/gif": (".gif",),
}
"""What the name of a file ends in, by what is in it: a player goes by one, a program by the other. The first is what we give."""


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a file is, as `probe()` found it.

    Attributes:
        path: the file; None when bytes were given.
        container: `"mp4"`, `"mov"`, `"webm"`, `"mkv"`, `"png"`, `"jpeg"` or FFmpeg's name for anything else.
        kind: `"video"`, `"image"` (one still) or `"audio"` (no picture but perhaps a cover).
        size_bytes: of the whole file.
        duration: seconds the *video* lasts, from its own timestamps and without what an edit list hides; the sound
            may be longer or shorter. Of the sound where kind is `"audio"`; 0 for a still.
        width, height: in pixels as shown, so after rotation and with square pixels; 0 without a picture.
        fps: frames per second, exact; None when they are not evenly spaced, and for a still.
        frames: how many are shown; None when only reading the whole of a very large file would tell.
        codec, pix_fmt: such as `"h264"` and `"yuv420p"`; None without a picture.
        rotation: degrees clockwise (0, 90, 180, 270) by which stored pictures are turned to be shown. Arrays that this
            package returns are turned already.
        color_range, color_space, color_primaries, color_transfer: FFmpeg's names (`"tv"`, `"bt709"`), None when untagged.
        has_audio, audio_codec, audio_rate, audio_channels: the sound; rate in Hz.
    """

    path: Path | None
    container: str
    kind: Kind
    size_bytes: int
    duration: float
    width: int = 0
    height: int = 0
    fps: Fraction | None = None
    frames: int | None = None
    codec: str | None = None
    pix_fmt: str | None = None
    rotation: int = 0
    color_range: str | None = None
    color_space: str | None = None
    color_primaries: str | None = None
    color_transfer: str | None = None
    has_audio: bool = False
    audio_codec: str | None = None
    audio_rate: int | None = None
    audio_channels: int | None = None

    @property
    def size(self) -> tuple[int, int]:
        """`(width, height)` in pixels, as shown."""
        return (self.width, self.height)
