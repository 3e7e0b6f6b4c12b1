"""Frames of a video as RGB arrays, with exact times; the first and the last one exactly."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import av

from vidorch.errors import InvalidRequest
from vidorch.media.clock import as_seconds
from vidorch.media.picture import Painter, still_orientation
from vidorch.media.source import Source, opened

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from vidorch.media.types import MediaSource, Picture

# Below this a seek (two key frames, a decoder flush) costs more than decoding from the beginning.
_SEEK_FROM = 2

# In ticks: before and after any time that occurs, yet far from where FFmpeg's 64-bit arithmetic overflows.
_EARLIEST, _LATEST = -(2**40), 2**40


def frames(
    source: MediaSource,
    *,
    start: float | Fraction | None = None,
    stop: float | Fraction | None = None,
    every: int = 1,
    size: tuple[int, int] | None = None,
) -> Iterator[Picture]:
    """Yield the frames shown from `start` up to, not including, `stop`, as uint8 `(H, W, 3)` RGB.

    Times are those of `timed_frames`, and so are the arguments and errors.
    """
    return (picture for _, picture in timed_frames(source, start=start, stop=stop, every=every, size=size))


def timed_frames(
    source: MediaSource,
    *,
    start: float | Fraction | None = None,
    stop: float | Fraction | None = None,
    every: int = 1,
    size: tuple[int, int] | None = None,
) -> Iterator[tuple[Fraction, Picture]]:
    """Yield `(seconds, frame)` in the order shown; the first frame of the video is at 0, whatever its timestamp is.

    Frames are upright, have square pixels, and are full-range RGB by the file's own matrix and range (untagged: BT.709 from
    1280 wide or more than 576 high, BT.601 below; limited range). Transfer curves are left alone: HDR is not tone-mapped.

    Args:
        source: a path, or the bytes of a whole file.
        start, stop: seconds; frames whose time is in `[start, stop)` are given. None: from the first, to the last.
        every: 1 gives each of them, 3 each third, beginning with the first.
        size: `(width, height)` to scale to, as shown; the aspect ratio is the caller's business.

    Raises:
        InvalidRequest: at once, for a wrong argument.
        BadMedia: while iterating, when the file is not a video, or a frame cannot be decoded.
    """
    first = as_seconds(start) if start is not None else Fraction(0)
    last = as_seconds(stop) if stop is not None else None
    if first < 0:
        raise InvalidRequest(f"start is {start}.", field="start", value=start, allowed="0 or more seconds")
    if last is not None and last <= first:
        raise InvalidRequest(
            f"stop is {stop}, start {first}.", field="stop", value=stop, allowed="more than start"
        )
    if every < 1:
        raise InvalidRequest(f"every is {every}.", field="every", value=every, allowed="1 or more")
    if size is not None and min(size) < 1:
        raise InvalidRequest(
            f"size is {size}.", field="size", value=size, allowed="(width, height), both 1 or more"
        )
    return _timed(source, first, last, every, size)


def _timed(
    source: MediaSource, start: Fraction, stop: Fraction | None, every: int, size: tuple[int, int] | None
) -> Iterator[tuple[Fraction, Picture]]:
    painter: Painter | None = None
    given = 0
    with opened(source) as media:
        stream = _video(media)
        for seconds, frame in _from(media, stream, start):
            if stop is not None and seconds >= stop:
                break
            if given % every == 0:
                painter = painter or _painter(media, stream, frame, size)
                yield seconds, _painted(media, painter, frame)
            given += 1


def _from(media: Source, stream: VideoStream, start: Fraction) -> Iterator[tuple[Fraction, VideoFrame]]:
    """Yield the frames at or after `start` with their times, seeking there when that is safe and worth it."""
    clock = _Clock(stream)
    frames = media.decode(stream)
    opening = next(frames, None)
    if opening is None:
        raise media.bad("has no frame that decodes.", "Fetch or export it again.")
    zero = clock(opening)
    if start == 0:
        yield Fraction(0), opening
    elif start > _SEEK_FROM and media.indexed:
        for frame in _after_seek(media, stream, zero + start):
            seconds = clock(frame) - zero
            if seconds >= start:
                yield seconds, frame
        return
    for frame in frames:
        seconds = clock(frame) - zero
        if seconds >= start:
            yield seconds, frame


def _after_seek(media: Source, stream: VideoStream, target: Fraction) -> Iterator[VideoFrame]:
    """Yield at least all frames from `target` on, decoded from a key frame before it, else from the beginning."""
    base = stream.time_base or Fraction(1)
    clock = _Clock(stream)
    found = not _found(media, stream, int(target / base))
    for frame in media.decode(stream):
        if not found:
            if not frame.key_frame:
                continue  # shown before the key frame but made from frames before that: broken after a seek
            if clock(frame) > target:
                break
            found = True
        yield frame
    if not found:
        _found(media, stream, _EARLIEST)
        yield from media.decode(stream)


class _Clock:
    """Exact time of each frame. Frames without one (raw streams, some AVI) follow at the stream's rate."""

    def __init__(self, stream: VideoStream) -> None:
        self._step = 1 / (stream.average_rate or stream.guessed_rate or Fraction(25))
        self._base = stream.time_base or Fraction(1)
        self._next = Fraction(0)

    def __call__(self, frame: VideoFrame) -> Fraction:
        tick = frame.pts if frame.pts is not None else frame.dts
        seconds = self._next if tick is None else tick * (frame.time_base or self._base)
        self._next = seconds + self._step
        return seconds


def first_frame(source: MediaSource) -> Picture:
    """Return the first frame shown, uint8 `(H, W, 3)` RGB. Raises `BadMedia` when there is none."""
    with opened(source) as media:
        stream = _video(media)
        frame = next(media.decode(stream), None)
        if frame is None:
            raise media.bad("has no frame that decodes.", "Fetch or export it again.")
        return _painted(media, _painter(media, stream, frame, None), frame)


def last_frame(source: MediaSource) -> Picture:
    """Return exactly the last frame shown, uint8 `(H, W, 3)` RGB, whatever lengths and counts the header claims.

    Decodes from the last key frame to the end of the file, or the whole of it where no index tells key frames.
    Raises `BadMedia` when there is none.
    """
    with opened(source) as media:
        stream = _video(media)
        frame = closing_frame(media, stream)
        return _painted(media, _painter(media, stream, frame, None), frame)


def closing_frame(media: Source, stream: VideoStream) -> VideoFrame:
    """Return the last frame shown, as decoded."""
    last = indexed_end(media, stream)
    if last is None:
        for last in media.decode(stream):  # noqa: B007
            pass
    if last is None:
        raise media.bad("has no frame that decodes.", "Fetch or export it again.")
    return last


def indexed_end(media: Source, stream: VideoStream) -> VideoFrame | None:
    """Return the last frame shown by the container's own list of key frames, wherever it was read to before; None without one."""
    if not media.indexed or not _found(media, stream, _LATEST):
        return None
    last: VideoFrame | None = None
    for frame in media.decode(stream):
        # Nothing counts before a key frame: what is shown earlier may lack the frames it is made from.
        if last is not None or frame.key_frame:
            last = frame
    if last is None:
        _found(media, stream, _EARLIEST)
    return last


def _found(media: Source, stream: VideoStream, tick: int) -> bool:
    """Seek; say whether that worked. Where it did not, reading goes on from where it was."""
    try:
        media.container.seek(tick, stream=stream, backward=True)
    except av.FFmpegError:
        return False
    return True


def _video(media: Source) -> VideoStream:
    stream = media.picture_stream()
    if stream is None:
        raise media.bad("has no video in it, only sound.", "Give a video file.")
    return stream


def _painter(media: Source, stream: VideoStream, frame: VideoFrame, size: tuple[int, int] | None) -> Painter:
    still = media.is_still
    orientation = still_orientation(media, frame) if still else None
    return Painter(frame, stream, size=size, orientation=orientation, still=still)


def _painted(media: Source, painter: Painter, frame: VideoFrame) -> Picture:
    with media.reading("its colours cannot be converted"):
        return painter.rgb(frame)
