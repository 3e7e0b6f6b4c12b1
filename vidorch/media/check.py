"""Is this file what was asked for? Asked of every clip before it is published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidorch.media.probing import describe
from vidorch.media.read import closing_frame
from vidorch.media.source import Source, opened

if TYPE_CHECKING:
    from vidorch.media.types import MediaInfo, MediaSource

_AGAIN = "Fetch or export it again."


def verify(
    source: MediaSource,
    *,
    duration: float | None = None,
    tolerance: float = 0.5,
    size: tuple[int, int] | None = None,
) -> MediaInfo:
    """Check a video (or a still): header and every packet, first and last frame decode undamaged, length, size.

    Frames between the first and the last key frame are not decoded: a second of checking for a minute of video.

    Args:
        source: a path, or the bytes of a whole file.
        duration: seconds it should last; None accepts any length above 0.
        tolerance: seconds it may differ from that, both ways.
        size: `(width, height)` it should have, as shown.

    Returns:
        What the file is.

    Raises:
        BadMedia: says which of the checks failed, and how.
    """
    with opened(source) as media:
        info = describe(media)
        if info.kind == "audio":
            raise media.bad("is sound without pictures.", "A video was expected.")
        if size is not None and info.size != size:
            raise media.bad(f"is {info.width}x{info.height}, not {size[0]}x{size[1]}.")
        if info.kind == "image":
            if duration:
                raise media.bad(f"is a still, not a video of {duration:g} s.")
            return info
        if info.duration <= 0:
            raise media.bad("has no length: its frames carry no times.", _AGAIN)
        if duration is not None and abs(info.duration - duration) > tolerance:
            raise media.bad(f"lasts {info.duration:.2f} s, not {duration:g} s (± {tolerance:g} s).")
    with opened(source) as media:  # a fresh decoder: the first one has read to the end
        _first_and_last(media)
    return info


def _first_and_last(media: Source) -> None:
    stream = media.picture_stream()
    assert stream is not None
    first = next(media.decode(stream), None)
    if first is None:
        raise media.bad("its first frame does not decode.", _AGAIN)
    if first.is_corrupt:
        raise media.bad("its first frame is damaged.", _AGAIN)
    if closing_frame(media, stream).is_corrupt:
        raise media.bad("its last frame is damaged.", _AGAIN)
