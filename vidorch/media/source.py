"""Open a file for reading, safely, and say in plain words why it cannot be read."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import av
from av.stream import Disposition

from vidorch.errors import BadMedia

if TYPE_CHECKING:
    from av.container.input import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from vidorch.media.types import MediaSource

# Only these are ever tried. Playlists (hls, dash, concat, image2 patterns) stay out: they make FFmpeg open *other*
# files and addresses that the downloaded bytes name.
FORMATS = (
    "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,ivf,gif,apng,yuv4mpegpipe,mpegvideo,m4v,h264,hevc,av1,obu,"
    "png_pipe,jpeg_pipe,webp_pipe,webp_anim,bmp_pipe,tiff_pipe,jpegxl_pipe,qoi_pipe,"
    "wav,mp3,flac,aac,w64,aiff,caf"
)

# 8192 x 8192. A PNG of a few kilobytes can claim gigapixels; nothing here makes or needs more than 8K.
MAX_PIXELS = 8192 * 8192

# FFmpeg counts rows padded to 64 pixels against its limit; the exact one is kept below.
_PADDING = 64 * 65_536

# Reads go through Python, so few and large ones; seeks throw a buffer away, so not too large.
_BUFFER = 256 * 1024

_NOT_SHOWN = (
    Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image | Disposition.dependent
)


@dataclass(slots=True)
class Source:
    """An open file. `label` is how messages call it; `head` its first bytes."""

    container: InputContainer
    path: Path | None
    label: str
    size: int
    head: bytes
    handle: BinaryIO

    def bad(self, what: str, hint: str = "") -> BadMedia:
        return bad(self.path, self.label, what, hint)

    @contextmanager
    def reading(self, doing: str) -> Iterator[None]:
        """Turn whatever PyAV raises into `BadMedia`, told as "… cannot be read: `doing`"."""
        try:
            yield
        except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
            hint = "The file is damaged or was cut off; fetch or export it again."
            raise self.bad(f"{doing}: {_reason(error)}.", hint) from error

    @property
    def indexed(self) -> bool:
        """Whether a seek lands on a key frame that the container itself lists, not on a guess."""
        return bool({"mov", "matroska"} & set(self.container.format.name.split(",")))

    def picture_stream(self) -> VideoStream | None:
        """Return the video to show: the largest, then the default one; covers and thumbnails do not count."""
        shown = [s for s in self.container.streams.video if not s.disposition & _NOT_SHOWN]
        if not shown and self.is_still:
            shown = list(self.container.streams.video)
        if not shown:
            return None
        known = [s for s in shown if cast(Any, s.codec_context) is not None]
        if not known:
            raise self.bad(
                "its video is in a format that this FFmpeg cannot decode.", "Convert it to H.264 first."
            )
        return max(
            known, key=lambda s: (s.width * s.height, bool(s.disposition & Disposition.default), -s.index)
        )

    @property
    def is_still(self) -> bool:
        """Whether this is a picture file, by its container alone."""
        return self.container.format.name.endswith("_pipe") or self.head[4:12] in (
            b"ftypavif",
            b"ftypmif1",
            b"ftypheic",
        )

    def everything(self, limit: int) -> bytes:
        """Return the file's bytes, at most `limit`; where the container reads on is left as it was."""
        place = self.handle.tell()
        self.handle.seek(0)
        data = self.handle.read(limit)
        self.handle.seek(place)
        return data

    def decode(self, stream: VideoStream) -> Iterator[VideoFrame]:
        """Yield every frame from here to the end, in the order shown, the decoder's delayed ones included.

        A packet that cannot be decoded is `BadMedia`, but in containers that may start between key frames, as broadcasts
        do, it is skipped until the first frame.
        """
        packets = self.container.demux(stream)
        trouble: Exception | None = None
        started = False
        while True:
            with self.reading("it cannot be read to its end"):
                packet = next(packets, None)
            if packet is None:
                break
            try:
                frames = packet.decode()
            except (av.FFmpegError, ValueError) as error:
                if started or self.indexed:
                    with self.reading("a frame cannot be decoded"):
                        raise
                trouble = error
                continue
            for frame in frames:
                started = True
                yield frame
        if not started and trouble is not None:
            with self.reading("no frame can be decoded"):
                raise trouble


@contextmanager
def opened(source: MediaSource, *, max_pixels: int = MAX_PIXELS) -> Iterator[Source]:
    """Open a path or bytes. Raises `BadMedia` for whatever is missing, empty, not a file, or not media."""
    path = None if isinstance(source, bytes) else Path(source)
    label = f"The given data ({len(source)} bytes)" if isinstance(source, bytes) else str(path)
    handle: BinaryIO = io.BytesIO(source) if isinstance(source, bytes) else _handle(cast(Path, path))
    with handle:
        size = handle.seek(0, os.SEEK_END)
        handle.seek(0)
        if size == 0:
            raise bad(
                path,
                label,
                "is empty (0 bytes).",
                "The download or the program that wrote it did not finish.",
            )
        head = handle.read(4096)
        handle.seek(0)
        limit = {"max_pixels": str(max_pixels + _PADDING)}
        options = {"format_whitelist": FORMATS, **limit}
        try:
            # Tags in old files come in any encoding; they are not what is asked for here.
            container = av.open(handle, "r", options=options, metadata_errors="replace", buffer_size=_BUFFER)
        except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
            what, hint = _not_media(head)
            raise bad(path, label, what, hint) from error
        with container:
            for stream in container.streams.video:
                if cast(Any, stream.codec_context) is not None:
                    settings = dict(limit)
                    if container.format.name == "jpeg_pipe":
                        settings["err_detect"] = "explode"  # else the missing half of a photograph is grey
                    _refuse_bomb(path, label, stream, max_pixels, container.format.name)
                    stream.codec_context.options = settings
                    # One thread: callers read several files at once, and errors come in the same order every time.
                    stream.codec_context.thread_count = 1
            yield Source(container, path, label, size, head, handle)


def _refuse_bomb(path: Path | None, label: str, stream: VideoStream, max_pixels: int, demuxer: str) -> None:
    if stream.width * stream.height > max_pixels:
        size = f"{stream.width}x{stream.height}"
        raise bad(
            path, label, f"is {size}, more than the {max_pixels} pixels accepted.", "Scale it down first."
        )
    if stream.width == 0 and demuxer.endswith("_pipe"):  # FFmpeg refused its size, or could not read it
        raise bad(
            path,
            label,
            f"is cut off or damaged, or has more than {max_pixels} pixels.",
            "Save it again, smaller.",
        )


def _handle(path: Path) -> BinaryIO:
    # O_NONBLOCK so that a named pipe without a writer is refused below instead of waited for.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError as error:
        raise bad(
            path, str(path), "does not exist.", "Check the path; relative ones start at " + str(Path.cwd())
        ) from error
    except PermissionError as error:
        # Windows answers so for a folder.
        what = "is a folder." if path.is_dir() else "may not be read (permission denied)."
        raise bad(path, str(path), what, "Give a file that this user may read.") from error
    except (OSError, ValueError) as error:
        raise bad(path, str(path), f"cannot be opened: {_reason(error)}.") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        what = "is a folder." if stat.S_ISDIR(mode) else "is not a regular file (a pipe, socket or device)."
        raise bad(path, str(path), what, "Give the path of a video or picture file.")
    return os.fdopen(descriptor, "rb")


def bad(path: Path | None, label: str, what: str, hint: str = "") -> BadMedia:
    """Build the one error of this room; `what` follows the file's name in the sentence."""
    return BadMedia(
        f"{label} {what}" if path is None else f"{label}: {what}",
        hint=hint,
        path=None if path is None else str(path),
    )


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).rstrip(".")


def _not_media(head: bytes) -> tuple[str, str]:
    """Say what a file that FFmpeg does not open is instead, from its first bytes."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    lower = text[:64].lower()
    web = "A server sent an answer in place of the file: the link may have expired, or need a login."
    if lower.startswith((b"<!doctype", b"<html", b"<head", b"<body")):
        return "is an HTML page, not media.", web
    if lower.startswith(b"<"):
        return "is XML text, not media.", web
    if text[:1] in (b"{", b"["):
        return "is JSON text, not media.", web
    if text.startswith(b"#EXTM3U"):
        return "is a playlist, not media.", "Download what it lists; playlists are not followed."
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
        return (
            "is an MP4 that is cut off or damaged: its index (moov) cannot be read.",
            "Fetch or export it again.",
        )
    if head.startswith((b"\x1a\x45\xdf\xa3", b"RIFF", b"\x89PNG", b"\xff\xd8\xff", b"GIF8")):
        return (
            "starts like media but is cut off, damaged, or larger than what is accepted.",
            "Fetch or export it again.",
        )
    if not head.strip(b"\0"):
        return (
            "holds only zeros at its start, not media.",
            "It was reserved on disk and never written; fetch it again.",
        )
    if _is_text(head):
        return "is text, not media.", web
    return (
        "is not in a media format that can be read here.",
        "MP4, MOV, WebM, MKV, PNG, JPEG and WebP can be.",
    )


def _is_text(head: bytes) -> bool:
    try:
        text = head[:1024].decode("utf-8", errors="strict" if len(head) <= 1024 else "ignore")
    except UnicodeDecodeError:
        return False
    return bool(text) and sum(c.isprintable() or c in "\t\r\n" for c in text) >= 0.99 * len(text)
