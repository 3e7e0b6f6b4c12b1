"""Write a video that plays everywhere: MP4, H.264, 8-bit 4:2:0, BT.709 in numbers and in tags, index first."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from vidorch.errors import BadMedia, InvalidRequest
from vidorch.media.atomic import publish, temporary_beside
from vidorch.media.bt709 import Bt709
from vidorch.media.clock import exact_rate
from vidorch.media.probing import probe
from vidorch.media.still import check_frame

if TYPE_CHECKING:
    from av.container.output import OutputContainer
    from av.video.stream import VideoStream

    from vidorch.media.types import MediaInfo, Picture

# x264 gives the same bytes for the same number of threads, so it is fixed and not the machine's.
_THREADS = 2


def write_video(
    path: str | Path,
    frames: Iterable[Picture],
    *,
    fps: float | Fraction,
    crf: int = 18,
    preset: str = "veryfast",
    overwrite: bool = False,
) -> MediaInfo:
    """Encode RGB frames and put the finished file under `path`, checked and on disk.

    Args:
        path: where to; its folder must exist. The file is MP4 whatever the name ends in.
        frames: uint8 `(H, W, 3)` RGB arrays, all of one even width and height; taken one at a time.
        fps: frames per second, exact for int and Fraction; 23.976 and 29.97 mean 24000/1001 and 30000/1001.
        crf: x264's constant rate factor, 1 (best, large) to 51; 18 is hard to tell from the original. 0 would be
            lossless, in a profile that browsers do not play.
        preset: x264's speed, `"ultrafast"` to `"veryslow"`.
        overwrite: replace a file of that name.

    Returns:
        What was written, as `probe()` finds it.

    Raises:
        InvalidRequest: a wrong argument, no frames at all, an odd size, or frames that differ in size.
        FileExistsError: the name is taken and `overwrite` is False.
        OSError: the disk said no (full, read-only, no such folder).
        BadMedia: what was written does not read back as it should.
        Whatever `frames` raises. In every case nothing is left behind.
    """
    path = Path(path)
    rate = exact_rate(fps)
    if not 1 <= crf <= 51:
        raise InvalidRequest(f"crf is {crf}.", field="crf", value=crf, allowed="1 to 51")
    if preset not in _PRESETS:
        raise InvalidRequest(
            f"preset is {preset!r}.", field="preset", value=preset, allowed=", ".join(_PRESETS)
        )
    if not overwrite and os.path.lexists(path):
        # Asked again, atomically, when publishing; asked here so that nobody renders for an hour first.
        raise FileExistsError(errno.EEXIST, "exists already; pass overwrite=True to replace it", str(path))
    checked = _checked(frames)
    first = next(checked, None)
    if first is None:
        raise InvalidRequest("There are no frames to write.", field="frames", allowed="at least one frame")
    temporary = temporary_beside(path)
    try:
        count = _encode(temporary, first, checked, rate, {"crf": str(crf), "preset": preset})
        info = _read_back(temporary, first, count, rate)
        publish(temporary, path, overwrite=overwrite)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    return replace(info, path=path)


_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
)  # fmt: skip


def _checked(frames: Iterable[Picture]) -> Iterator[Picture]:
    shape: tuple[int, ...] | None = None
    for index, frame in enumerate(frames):
        check_frame(frame)
        if shape is None:
            shape = frame.shape
            if shape[0] % 2 or shape[1] % 2:
                raise InvalidRequest(
                    f"Frames are {shape[1]}x{shape[0]}; H.264 in 4:2:0 needs an even width and height.",
                    field="frames", value=shape, allowed="even width and height",
                    hint="Cut off the odd row or column: frame[: h // 2 * 2, : w // 2 * 2].",
                )  # fmt: skip
        elif frame.shape != shape:
            raise InvalidRequest(
                f"Frame {index} is {frame.shape[1]}x{frame.shape[0]}, the first one {shape[1]}x{shape[0]}.",
                field="frames", value=frame.shape, allowed="frames of one size",
            )  # fmt: skip
        yield frame


def _encode(
    path: Path, first: Picture, rest: Iterator[Picture], rate: Fraction, options: dict[str, str]
) -> int:
    """Write all frames to `path`; return how many. What the frames themselves raise comes through as it is."""
    # "file:" keeps a name with a colon in it from being taken for an address.
    with _disk(path):
        container = av.open(f"file:{path}", "w", format="mp4", options={"movflags": "+faststart"})
    try:
        with _disk(path):
            stream = _h264(container, first, rate, options)
            convert = Bt709(stream.width, stream.height)
        count = 0
        frame: Picture | None = first
        while frame is not None:
            with _disk(path):
                picture = convert(frame)
                picture.pts, picture.duration, picture.time_base = count, 1, 1 / rate
                container.mux(stream.encode(picture))
            count += 1
            frame = next(rest, None)
        with _disk(path):
            container.mux(stream.encode(None))
            container.close()
        return count
    except BaseException:
        with suppress(Exception):
            container.close()
        raise


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Turn PyAV's errors into Python's own `OSError`, or into `BadMedia` when it is not the disk that refuses."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or "cannot be written", str(path)) from error
    except (av.FFmpegError, ValueError, MemoryError) as error:
        raise BadMedia(f"{path} cannot be encoded: {error}.", path=str(path)) from error


def _h264(container: OutputContainer, first: Picture, rate: Fraction, options: dict[str, str]) -> VideoStream:
    stream = container.add_stream("libx264", rate=rate, options={"profile": "high", **options})
    stream.height, stream.width = first.shape[:2]
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.time_base = 1 / rate
    context.thread_count = _THREADS
    # A key frame every two seconds, so that players and last_frame() need not decode far; x264's own default is 250.
    context.gop_size = max(1, round(2 * rate))
    context.color_primaries = ColorPrimaries.BT709
    context.color_trc = ColorTrc.BT709
    context.colorspace = Colorspace.ITU709  # 1, here as in the standard
    context.color_range = ColorRange.MPEG
    return stream


def _read_back(path: Path, first: Picture, count: int, rate: Fraction) -> MediaInfo:
    info = probe(path)
    expected = (first.shape[1], first.shape[0], count, rate)
    found = (info.width, info.height, info.frames, info.fps)
    if found != expected:
        raise BadMedia(f"{path} was written wrong: (width, height, frames, fps) are {found}, not {expected}.")
    return info
