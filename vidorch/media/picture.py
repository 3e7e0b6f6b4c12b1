"""From a decoded frame to what people see: the right colours, upright, square pixels."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from vidorch.media.exif import exif_orientation

if TYPE_CHECKING:
    from av.sidedata.sidedata import SideDataContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from vidorch.media.source import Source
    from vidorch.media.types import Picture

# FFmpeg's numbers (libavutil/pixfmt.h, which are those of ITU-T H.273) and its names for them.
RANGES = {1: "tv", 2: "pc"}
SPACES = {
    0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
    10: "bt2020c", 14: "ictcp",
}  # fmt: skip
PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020", 11: "smpte431",
    12: "smpte432", 22: "ebu3213",
}  # fmt: skip
TRANSFERS = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 11: "iec61966-2-4",
    13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 18: "arib-std-b67",
}  # fmt: skip

_BT709, _BT601 = 1, 6
_NO_MATRIX = {0, 2, 3}  # RGB, unspecified, reserved: none of them says how to read YUV

# Without ACCURATE_RND each way through YUV and back darkens a picture by 1.2 levels on average: five clips chained by
# their last frames would lose six. With it five rounds lose nothing (measured on gradients, FFmpeg 8.1).
EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP


class Orientation(NamedTuple):
    """How stored rows and columns become shown ones: swap the axes first, then mirror."""

    swap: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @property
    def degrees(self) -> int:
        """Degrees clockwise; of a mirrored picture, the turn that is left after the mirror."""
        if self.swap:
            return 90 if self.mirror_x else 270
        return 180 if self.mirror_y else 0

    def apply(self, picture: Picture) -> Picture:
        if self.swap:
            picture = picture.transpose(1, 0, 2)
        if self.mirror_x:
            picture = picture[:, ::-1]
        if self.mirror_y:
            picture = picture[::-1]
        return np.ascontiguousarray(picture)


# WebP keeps its tags at the very end; no still that `MAX_PIXELS` lets through is larger than this.
_EXIF_BYTES = 256 * 1024 * 1024

UPRIGHT = Orientation()
# The EXIF tag, 1 to 8.
EXIF_ORIENTATIONS = {
    1: UPRIGHT,
    2: Orientation(mirror_x=True),
    3: Orientation(mirror_x=True, mirror_y=True),
    4: Orientation(mirror_y=True),
    5: Orientation(swap=True),
    6: Orientation(swap=True, mirror_x=True),
    7: Orientation(swap=True, mirror_x=True, mirror_y=True),
    8: Orientation(swap=True, mirror_y=True),
}


def orientation_of(frame: VideoFrame) -> Orientation:
    """Read the display matrix, which PyAV hands over and does not apply. Angles between are taken to the nearest."""
    try:
        matrix = cast("SideDataContainer", frame.side_data).get("DISPLAYMATRIX")
    except (
        ValueError
    ):  # PyAV 18.1 lists no side data at all when a frame carries a kind that it does not know
        quarter = round(-frame.rotation / 90) % 4
        return EXIF_ORIENTATIONS[(1, 6, 3, 8)[quarter]]
    if matrix is None:
        return UPRIGHT
    # Nine 16.16 numbers; a stored point (x, y) is shown at (a x + c y, b x + d y).
    a, b, _, c, d = (int(n) for n in np.frombuffer(bytes(matrix), np.int32)[:5])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(mirror_x=a < 0, mirror_y=d < 0)
    return Orientation(swap=True, mirror_x=c < 0, mirror_y=b < 0)


def still_orientation(media: Source, frame: VideoFrame) -> Orientation:
    """Which way up a still is: its EXIF tag where that is readable, else its display matrix."""
    if media.head.startswith((b"\xff\xd8", b"\x89PNG")) or media.head[8:12] == b"WEBP":
        return EXIF_ORIENTATIONS[exif_orientation(media.everything(_EXIF_BYTES))]
    return orientation_of(frame)


def square(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    """Return the size with square pixels; `aspect` is a stored pixel's width over its height."""
    if not aspect or aspect <= 0 or aspect == 1:
        return width, height
    return max(1, round(width * aspect)), height


class Painter:
    """Turns the frames of one stream into RGB arrays, all of the size of the first."""

    def __init__(
        self,
        frame: VideoFrame,
        stream: VideoStream,
        *,
        size: tuple[int, int] | None = None,
        orientation: Orientation | None = None,
        still: bool = False,
    ) -> None:
        self.orientation = orientation_of(frame) if orientation is None else orientation
        stored = square(frame.width, frame.height, stream.sample_aspect_ratio)
        self.size = stored[::-1] if self.orientation.swap else stored  # (width, height) as shown
        if size is not None:
            self.size = size
            stored = size[::-1] if self.orientation.swap else size
        self._stored = stored
        self._still = still
        self._reformatter = VideoReformatter()

    def rgb(self, frame: VideoFrame) -> Picture:
        """Return `frame` as uint8 `(H, W, 3)`: full range, by its own matrix and range or the usual ones if untagged."""
        return self.orientation.apply(self._convert(frame, "rgb24"))

    def rgb_on_white(self, frame: VideoFrame) -> Picture:
        """Like `rgb`, with what is transparent laid on white: pixels under full transparency hold leftovers."""
        if not (frame.format.has_palette or any(part.is_alpha for part in frame.format.components)):
            return self.rgb(frame)
        rgba = self._convert(frame, "rgba")
        alpha = rgba[..., 3:].astype(np.uint32)
        mixed = (rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
        return self.orientation.apply(mixed.astype(np.uint8))

    def _convert(self, frame: VideoFrame, target: str) -> Picture:
        width, height = self._stored
        name = frame.format.name
        if not (frame.format.is_rgb or frame.format.has_palette):
            if frame.colorspace in _NO_MATRIX:
                frame.colorspace = self._usual_matrix(frame)
            if frame.color_range not in RANGES:
                full = name.startswith(("yuvj", "gray", "ya8", "ya16"))
                frame.color_range = ColorRange.JPEG if full else ColorRange.MPEG
        shrinks = width * height < frame.width * frame.height
        scaler = Interpolation.AREA if shrinks else Interpolation.BICUBIC
        out = self._reformatter.reformat(
            frame, width=width, height=height, format=target, interpolation=scaler | EXACT, threads=1
        )
        return cast("Picture", out.to_ndarray())

    def _usual_matrix(self, frame: VideoFrame) -> int:
        # What players assume of untagged video: HD is BT.709, anything smaller BT.601. JPEG and WebP are BT.601.
        if not self._still and (frame.width >= 1280 or frame.height > 576):
            return _BT709
        return _BT601
