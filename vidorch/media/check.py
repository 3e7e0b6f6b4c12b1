"""Is this file what was asked for? Asked of every clip before it is published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidorch.media.probing import look
from vidorch.media.read import closing_frame, indexed_end
from vidorch.media.source import Source, opened

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

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
        info, first = look(media)
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
        stream = media.picture_stream()
        assert stream is not None
        _must_be_whole(media, first, "first")
        if (last := indexed_end(media, stream)) is not None:
            _must_be_whole(media, last, "last")
            return info
    with opened(source) as media:  # a fresh decoder: nobody finds the way back in a file without an index
        stream = media.picture_stream()
        assert stream is not None
        _must_be_whole(media, next(media.decode(stream), None), "first")
        _must_be_whole(media, closing_frame(media, stream), "last")
    return info


def _must_be_whole(media: Source, frame: VideoFrame | None, which: str) -> None:
    if frame is None:
        raise media.bad(f"its {which} frame does not decode.", _AGAIN)
    if frame.is_corrupt:
        raise media.bad(f"its {which} frame is damaged.", _AGAIN)
