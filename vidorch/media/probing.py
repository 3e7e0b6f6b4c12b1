"""What a file is. One pass over its packets and one decoded frame; the header alone is not believed."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypedDict, cast

import av

from vidorch.media.clock import steady_rate
from vidorch.media.picture import PRIMARIES, RANGES, SPACES, TRANSFERS, Painter, still_orientation
from vidorch.media.source import Source, opened
from vidorch.media.types import MediaInfo

if TYPE_CHECKING:
    from pathlib import Path

    from av.audio.stream import AudioStream
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from vidorch.media.types import Kind, MediaSource

# Timestamps live in the packets, so the file is read once: about a second for half a gigabyte. Of a larger one, the header
# is taken at its word.
_SCANNED_BYTES = 512 * 1024 * 1024

# How much shorter than its header says a file may be. Headers are rounded, sound ends between two frames.
_EARLY_END = Fraction(1, 2)


@dataclass(slots=True)
class _Track:
    """The timestamps of one stream's packets, in its time base."""

    time_base: Fraction
    shown: list[int] = field(default_factory=list)
    last: tuple[int, int] = (0, 0)  # (time, duration) of the one shown last
    end: int = 0  # of everything, also of what an edit list hides

    def add(self, packet: Packet[Any]) -> None:
        tick = packet.pts if packet.pts is not None else packet.dts  # AVI has no presentation times
        if tick is None:
            return
        duration = packet.duration or 0
        self.end = max(self.end, tick + duration)
        if not packet.is_discard:
            if not self.shown or tick > self.last[0]:
                self.last = (tick, duration)
            self.shown.append(tick)

    @property
    def seconds(self) -> Fraction:
        """From the first one shown to the end of the last."""
        if not self.shown:
            return Fraction(0)
        ticks = sorted(self.shown)
        last = self.last[1] or (ticks[-1] - ticks[-2] if len(ticks) > 1 else 0)
        return (ticks[-1] - ticks[0] + last) * self.time_base


def probe(source: MediaSource) -> MediaInfo:
    """Say what a file is, from its packets and its first frame.

    Args:
        source: a path, or the bytes of a whole file.

    Raises:
        BadMedia: the file is missing, empty, a folder, unreadable, not media, cut off, or has no frame that decodes.
    """
    with opened(source) as media:
        return describe(media)


def describe(media: Source) -> MediaInfo:
    """Do what `probe` does with a file that is open; it is read to its end."""
    return look(media)[0]


def look(media: Source) -> tuple[MediaInfo, VideoFrame | None]:
    """Do what `describe` does, and give the first frame beside it; None where there is only sound."""
    video, audio = media.picture_stream(), _sound(media)
    if video is None and audio is None:
        raise media.bad("has neither pictures nor sound.", "Give a video, a picture or a sound file.")
    _refuse_cut_off(media)
    tracks, frame = _scan(media, video)
    _refuse_early_end(media, tracks)
    if video is None:
        assert audio is not None
        info = MediaInfo(
            **_file(media), kind="audio", duration=_length(media, audio, tracks), **_heard(audio)
        )
        return info, None
    if frame is None:
        what = "picture" if media.is_still else "video track"
        raise media.bad(
            f"has a {what} that does not decode: it is damaged or cut off.", "Fetch or export it again."
        )
    track = tracks.get(video.index)
    count = len(track.shown) if track is not None else video.frames or None
    still = media.is_still or (media.container.format.name in ("gif", "apng") and count == 1)
    kind: Kind = "image" if still else "video"
    painter = Painter(frame, video, orientation=still_orientation(media, frame) if still else None)
    fps = None if still else _rate(video, track)
    # Frames over rate is exact where a container counts in milliseconds: WebM ends a clip of 1 s after 0.999.
    length = float(count / fps) if fps and track and count else _length(media, video, tracks)
    info = MediaInfo(
        **_file(media),
        kind=kind,
        duration=0.0 if still else length,
        width=painter.size[0],
        height=painter.size[1],
        fps=fps,
        frames=1 if still else count,
        codec=video.codec_context.codec.canonical_name,
        pix_fmt=frame.format.name,
        rotation=painter.orientation.degrees,
        color_range=RANGES.get(frame.color_range),
        color_space=SPACES.get(frame.colorspace),
        color_primaries=PRIMARIES.get(frame.color_primaries),
        color_transfer=TRANSFERS.get(frame.color_trc),
        **_heard(audio),
    )
    return info, frame


def _sound(media: Source) -> AudioStream | None:
    streams = [s for s in media.container.streams.audio if cast("Any", s.codec_context) is not None]
    return max(streams, key=lambda s: (bool(s.disposition & 1), -s.index)) if streams else None


def _refuse_cut_off(media: Source) -> None:
    """Catch an MP4 whose index is whole (it comes first) while the frames it points at are not all there."""
    for stream in media.container.streams:
        entries = stream.index_entries
        if len(entries) == 0:
            continue
        missing = entries[-1].pos + entries[-1].size - media.size
        if missing > 0:
            raise media.bad(
                f"is cut off: at least {missing} bytes are missing at its end.", "Fetch it again."
            )


def _refuse_early_end(media: Source, tracks: dict[int, _Track]) -> None:
    """Catch the rest: a header that promises more seconds than there are packets for."""
    container = media.container
    if not tracks or container.duration is None or "mov" in container.format.name.split(","):
        return  # an MP4's index has been looked at; its header also counts what an edit list hides
    promised = Fraction(container.duration, 1_000_000)
    start = Fraction(container.start_time or 0, 1_000_000)
    found = max(track.end * track.time_base for track in tracks.values()) - min(start, Fraction(0))
    # `duration` runs from `start` in some formats and from zero in others, so the more lenient reading counts.
    if promised - found > _EARLY_END:
        text = f"is cut off: it says {float(promised):.2f} s but ends after {float(found):.2f} s."
        raise media.bad(text, "Fetch or export it again.")


def _scan(media: Source, video: VideoStream | None) -> tuple[dict[int, _Track], VideoFrame | None]:
    """Read packets to the end (of large files: to the first frame); return each stream's times and the first frame."""
    whole = media.size <= _SCANNED_BYTES
    streams = [s for s in media.container.streams if s.type in ("video", "audio") and s.time_base]
    tracks = {s.index: _Track(s.time_base or Fraction(1)) for s in streams}
    first: VideoFrame | None = None
    with media.reading("it cannot be read to its end"):
        for packet in media.container.demux(streams):
            if packet.size:
                tracks[packet.stream_index].add(packet)
            if video is not None and first is None and packet.stream_index == video.index:
                first = _decoded(media, packet)
            if not whole and (first is not None or video is None):
                return {}, first
    return tracks, first


def _decoded(media: Source, packet: Packet[Any]) -> VideoFrame | None:
    try:
        frames = packet.decode()
    except (av.FFmpegError, ValueError):
        if media.indexed:
            with media.reading("its first frame cannot be decoded"):
                raise
        return (
            None  # a broadcast before its first key frame; whether anything ever decodes is asked at the end
        )
    return frames[0] if frames else None


def _length(media: Source, stream: VideoStream | AudioStream, tracks: dict[int, _Track]) -> float:
    track = tracks.get(stream.index)
    if track is not None:
        return float(track.seconds)
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return (media.container.duration or 0) / 1_000_000


def _rate(video: VideoStream, track: _Track | None) -> Fraction | None:
    claimed = [rate for rate in (video.average_rate, video.guessed_rate, video.base_rate) if rate]
    if track is None:
        return claimed[0] if claimed and len(set(claimed)) == 1 else None
    if len(track.shown) > 1:
        return steady_rate(sorted(track.shown), track.time_base, claimed)
    return 1 / track.seconds if track.seconds else (claimed[0] if claimed else None)


class _FileFacts(TypedDict):
    path: Path | None
    container: str
    size_bytes: int


class _SoundFacts(TypedDict):
    has_audio: bool
    audio_codec: str | None
    audio_rate: int | None
    audio_channels: int | None


def _file(media: Source) -> _FileFacts:
    return {"path": media.path, "container": _container_name(media), "size_bytes": media.size}


def _heard(audio: AudioStream | None) -> _SoundFacts:
    if audio is None:
        return {"has_audio": False, "audio_codec": None, "audio_rate": None, "audio_channels": None}
    name = audio.codec_context.codec.canonical_name
    rate, channels = audio.codec_context.sample_rate, audio.codec_context.layout.nb_channels
    return {"has_audio": True, "audio_codec": name, "audio_rate": rate, "audio_channels": channels}


def _container_name(media: Source) -> str:
    name = media.container.format.name
    brand = media.container.metadata.get("major_brand", "").strip()
    if name.startswith("mov,"):
        return {"qt": "mov", "avif": "avif", "mif1": "heif", "heic": "heif"}.get(brand, "mp4")
    if name.startswith("matroska"):
        return "webm" if b"webm" in media.head[:64] else "mkv"
    return name.removesuffix("_pipe")
