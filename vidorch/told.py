"""What adapters read in vendors' words, the same way for all of them: kinds of files, moments, numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlsplit

__all__ = ["kind_of", "moment", "number", "suffix_of"]

_KINDS = {
    "mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm", "gif": "image/gif", "png": "image/png",
    "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "mp3": "audio/mpeg", "wav": "audio/wav",
}  # fmt: skip
_SUFFIXES = {kind: suffix for suffix, kind in reversed(_KINDS.items())}


def kind_of(link: str, default: str = "") -> str:
    """The media type that a link's path names by its end, whatever stands behind it; `default` for an end that nobody knows."""
    return _KINDS.get(urlsplit(link).path.rpartition(".")[2].lower(), default)


def suffix_of(media_type: str) -> str:
    """What the name of an uploaded file ends in, without the dot; "bin" where the kind is not known."""
    return _SUFFIXES.get(media_type, "bin")


def moment(value: object) -> float | None:
    """Seconds since 1970, out of ISO 8601 (without a zone: UTC) or a number; None for anything else."""
    if (seconds := number(value)) is not None:
        return seconds
    try:
        read = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def number(value: object) -> float | None:
    """A number of JSON; None for anything else, also for true and false."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
