"""Pictures in and out, without Pillow."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from vidorch.errors import InvalidRequest
from vidorch.media.atomic import publish, temporary_beside
from vidorch.media.picture import EXACT, Painter, still_orientation
from vidorch.media.source import MAX_PIXELS, opened

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

    from vidorch.media.types import MediaSource, Picture


def load_still(source: MediaSource, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Return a picture as uint8 `(H, W, 3)` RGB: upright by its EXIF orientation, transparency laid on white.

    Reads PNG, JPEG, WebP, AVIF, GIF, BMP and TIFF. Colour profiles (ICC) are not applied.

    Args:
        source: a path, or the bytes of a whole file.
        max_pixels: refuse anything larger, before memory is taken for it; a few kilobytes can claim gigapixels.

    Raises:
        BadMedia: not a readable still, or too large.
    """
    with opened(source, max_pixels=max_pixels) as media:
        stream = media.picture_stream()
        if stream is None:
            raise media.bad("is sound, not a picture.", "Give a PNG, JPEG or WebP.")
        frames = media.decode(stream)
        frame = next(frames, None)
        if frame is None:
            raise media.bad("has no picture in it that decodes.", "Save it again as PNG.")
        if not media.is_still and next(frames, None) is not None:
            raise media.bad(
                "is a video, not a still.", "Take a frame of it with first_frame() or last_frame()."
            )
        painter = Painter(frame, stream, orientation=still_orientation(media, frame), still=media.is_still)
        with media.reading("its colours cannot be converted"):
            return painter.rgb_on_white(frame)


def save_still(frame: Picture, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write an RGB array as PNG, or as JPEG when `path` ends in `.jpg` or `.jpeg`; return the path.

    PNG keeps every value: use it for a frame that the next clip starts from. JPEG is written at high quality with full
    colour resolution.

    Args:
        frame: uint8 `(H, W, 3)`.
        path: where to; its folder must exist.
        overwrite: replace a file of that name.

    Raises:
        InvalidRequest: not such an array, or another ending.
        FileExistsError: the name is taken and `overwrite` is False.
        OSError: the disk said no; nothing is left behind.
    """
    path = Path(path)
    check_frame(frame)
    ending = path.suffix.lower()
    if ending not in (".png", ".jpg", ".jpeg"):
        raise InvalidRequest(
            f"A still cannot be saved as {path.name!r}.",
            field="path",
            value=str(path),
            allowed=".png, .jpg or .jpeg",
        )
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "exists already; pass overwrite=True to replace it", str(path))
    data = _png(frame) if ending == ".png" else _jpeg(frame)
    temporary = temporary_beside(path)
    try:
        temporary.write_bytes(data)
        return publish(temporary, path, overwrite=overwrite)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def check_frame(frame: object) -> None:
    """Raise `InvalidRequest` unless `frame` is a uint8 `(H, W, 3)` array with something in it."""
    if isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.shape[2:] == (3,) and frame.size:
        return
    found = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
    raise InvalidRequest(
        f"A frame is {found}.", field="frames", value=found, allowed="a numpy array, uint8, (height, width, 3), RGB",
        hint="Values in 0..1 become uint8 by (x * 255).round().clip(0, 255).astype('uint8').",
    )  # fmt: skip


def _png(frame: Picture) -> bytes:
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    return _encoded("png", picture)


def _jpeg(frame: Picture) -> bytes:
    # JFIF is BT.601 in full range, and readers assume so whatever a tag says.
    picture = VideoReformatter().reformat(
        av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"),
        format="yuvj444p", dst_colorspace=5, dst_color_range=2, interpolation=EXACT, threads=1,
    )  # fmt: skip
    return _encoded("mjpeg", picture, qmin=2, qmax=2)


def _encoded(codec: str, picture: av.VideoFrame, **settings: Any) -> bytes:
    context = cast("VideoCodecContext", av.CodecContext.create(codec, "w"))
    context.width, context.height = picture.width, picture.height
    context.pix_fmt = picture.format.name
    context.time_base = Fraction(1, 25)
    context.thread_count = 1
    for name, value in settings.items():
        setattr(context, name, value)
    picture.pts = 0
    return b"".join(bytes(packet) for packet in [*context.encode(picture), *context.encode(None)])
