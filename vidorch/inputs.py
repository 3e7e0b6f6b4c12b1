"""Media handed to a request: where it comes from, what kind it is, and a stable fingerprint.

A value is taken as it is (path, bytes, URL, PIL image, `Clip`) and looked at once, at birth: a file must exist, be
readable and start like an image, a video or a sound. Nothing is decoded here and nothing leaves the machine.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import unquote, urlsplit, urlunsplit

from vidorch.errors import BadMedia, InvalidRequest, Unsupported, shown

if TYPE_CHECKING:
    from vidorch.result import Clip

__all__ = [
    "Kind", "Media", "MediaInput", "local_path", "names_a_file", "usable_path", "without_query", "without_secrets",
]  # fmt: skip

Kind = Literal["image", "video", "audio"]
MediaInput: TypeAlias = "str | os.PathLike[str] | bytes | Clip | Media | Any"
"""A path, bytes, an https or fsspec URL, a PIL image, or a `Clip`. (`Any` stands for the PIL image: Pillow is not needed.)"""

LONGEST_NAME = 255  # bytes, nearly everywhere
_HEAD = 256  # bytes looked at: one packet of a transport stream (188) and the beginning of the next
_SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]+)://")


@dataclass(frozen=True, slots=True, repr=False)
class Media:
    """One image, video or sound of a request. Exactly one of `path`, `data` and `url` is set.

    Attributes:
        kind: `"image"`, `"video"` or `"audio"`.
        media_type: MIME type as its first bytes tell; empty for a URL.
        size: bytes; None for a URL.
        job_id, endpoint, model: of a `Clip`, the job that made it: some vendors take the id of an earlier job of theirs.
    """

    kind: Kind
    path: Path | None = None
    data: bytes | None = None
    url: str | None = None
    media_type: str = ""
    size: int | None = None
    job_id: str = field(default="", compare=False)
    endpoint: str = field(default="", compare=False)
    model: str = field(default="", compare=False)

    @classmethod
    def of(cls, value: MediaInput, kind: Kind, field: str) -> Media:
        """Take what the caller gave for `field`.

        Raises:
            InvalidRequest: missing or unreadable file, nothing in it, or not media of this kind.
        """
        if isinstance(value, Media):
            if value.kind != kind:
                raise _wrong(field, value, f"{_an(kind)}, not {_an(value.kind)}")
            return value
        if isinstance(value, (bytes, bytearray, memoryview)):
            data = bytes(value)
            return cls(
                kind,
                data=data,
                media_type=_sniff(data[:_HEAD], kind, field, f"{len(data)} bytes"),
                size=len(data),
            )
        if callable(getattr(value, "save", None)) and hasattr(value, "mode") and hasattr(value, "size"):
            return cls._of_picture(value, kind, field)
        if type(value).__name__ == "Clip" and hasattr(value, "path"):
            clip: Any = value
            found = cls.of(clip.path or clip.uri, kind, field)
            return replace(found, job_id=clip.job_id, endpoint=clip.endpoint, model=clip.model)
        if isinstance(value, str) and (scheme := _SCHEME.match(value)):
            return cls._of_url(value, scheme[1].lower(), kind, field)
        if isinstance(value, (str, os.PathLike)):
            return cls._of_path(value, kind, field)
        raise _wrong(field, value, f"a path, bytes, a URL, a PIL image or a Clip, not {type(value).__name__}")

    @classmethod
    def _of_picture(cls, picture: Any, kind: Kind, field: str) -> Media:
        if kind != "image":
            raise _wrong(field, "a PIL image", _an(kind))
        buffer = io.BytesIO()
        try:
            try:
                picture.save(buffer, "PNG")
            except OSError:  # a mode that PNG does not know, such as CMYK
                buffer = io.BytesIO()
                picture.convert("RGB").save(buffer, "PNG")
        except Exception as error:  # closed, of no size, or of a mode that has no colours
            raise _wrong(field, f"a PIL image ({error})", "a picture that can be saved as PNG") from None
        data = buffer.getvalue()
        return cls("image", data=data, media_type="image/png", size=len(data))

    @classmethod
    def _of_url(cls, url: str, scheme: str, kind: Kind, field: str) -> Media:
        if scheme == "file":
            return cls._of_path(local_path(url, field), kind, field)
        if scheme == "http":
            raise _wrong(field, without_query(url), "an https URL: plain http can be changed on its way")
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise _wrong(field, without_query(url), "a URL that can be read", "It is malformed.") from None
        if not host or " " in parts.netloc or not url.isprintable():
            raise _wrong(
                field, without_query(url), "a URL with a host, such as 'https://example.com/cat.png'"
            )
        return cls(kind, url=url)

    @classmethod
    def _of_path(cls, value: str | os.PathLike[str], kind: Kind, field: str) -> Media:
        try:
            path = Path(value).expanduser()
            status = path.stat()  # before opening: reading from a pipe may never return
            if stat.S_ISDIR(status.st_mode):
                raise _wrong(field, str(value), "a file", "This is a folder.")
            if not stat.S_ISREG(status.st_mode):
                raise _wrong(field, str(value), "a file", "This is a pipe, a socket or a device.")
            with path.open("rb") as file:
                head = file.read(_HEAD)
        except InvalidRequest:
            raise
        except FileNotFoundError:
            raise _wrong(field, str(value), "a file that exists", "There is no such file.") from None
        except (OSError, ValueError, RuntimeError, TypeError) as error:
            why = getattr(error, "strerror", None) or error
            raise _wrong(
                field, str(value), "a file that can be read", f"It cannot be opened: {why}."
            ) from None
        return cls(kind, path=path, media_type=_sniff(head, kind, field, str(value)), size=status.st_size)

    def fingerprint(self) -> str:
        """SHA-256 of the content, as hex; of the URL without its query where the content is elsewhere.

        Raises:
            BadMedia: the file is gone or cannot be read any more.
        """
        if self.data is not None:
            return hashlib.sha256(self.data).hexdigest()
        if self.url is not None:
            return hashlib.sha256(without_query(self.url).encode()).hexdigest()
        assert self.path is not None
        try:
            status = self.path.stat()
            return _hash_file(self.path, status.st_mtime_ns, status.st_size)
        except OSError as error:
            raise _gone(self.path, error) from error

    def read(self) -> bytes:
        """The content, from memory or disk.

        Raises:
            BadMedia: the file is gone or cannot be read any more.
            Unsupported: the content is at a URL; fetching inputs is not open yet.
        """
        if self.data is not None:
            return self.data
        if self.path is not None:
            try:
                return self.path.read_bytes()
            except OSError as error:
                raise _gone(self.path, error) from error
        raise Unsupported(
            f"The {self.kind} at {without_query(self.url or '')} would have to be downloaded, and this version of vidorch "
            "does not fetch inputs. Nothing was sent.",
            hint="Download it and pass the file.",
        )

    def describe(self) -> dict[str, Any]:
        """What the ledger keeps: never the content, never a query string."""
        seen: dict[str, Any] = {"kind": self.kind, "sha256": self.fingerprint()}
        if self.size is not None:
            seen["size"] = self.size
        if self.url is not None:
            seen["url"] = without_query(self.url)
        return seen

    def __repr__(self) -> str:
        where = self.path or (without_query(self.url) if self.url else f"{self.size} bytes")
        return f"Media({self.kind}, {where})"


def names_a_file(value: Any) -> bool:
    """Whether `Media.of` would read this from the disk of this machine. Nothing is looked at to tell."""
    if type(value).__name__ == "Clip" and hasattr(value, "path"):
        value = value.path or value.uri
    if isinstance(value, str):
        scheme = _SCHEME.match(value)
        return scheme is None or scheme[1].lower() == "file"
    return isinstance(value, os.PathLike) or (isinstance(value, Media) and value.path is not None)


def without_query(url: str) -> str:
    """The URL without user, password, query and fragment: what may be written down."""
    try:
        parts = urlsplit(url)
    except ValueError:  # where its parts begin and end is anybody's guess, and one of them may be a secret
        return f"{url.partition('://')[0]}://..."
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


HIDDEN = "(hidden)"
_URL = re.compile(r"""[a-zA-Z][a-zA-Z0-9+.-]*://[^\s"'<>\\]+""")
_INLINE = re.compile(r"data:([^,]*),(.*)", re.DOTALL | re.IGNORECASE)
_BEARER = re.compile(r"(?i)\b(bearer)\s+\S+")
_CREDENTIAL = re.compile(
    r"(?i:apikey|secret|passw|passphrase|authori[sz]|signature|credential|token|bearer|cookie|accesskey|privatekey)"
    r"|(?i:(?:^|[^a-z])(?:key|auth|sig|pwd|sas)(?:[^a-z]|$))"
    r"|[a-z](?:Key|Auth|Sig)(?![a-z])"
)


def without_secrets(value: Any) -> Any:
    """A JSON value as it may be written down.

    URLs lose user, password and query, data URLs their content; what stands under a name such as `api_key` is hidden.
    """
    if isinstance(value, Mapping):
        return {
            without_secrets(name): HIDDEN
            if isinstance(name, str) and _CREDENTIAL.search(name)
            else without_secrets(item)
            for name, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [without_secrets(item) for item in value]
    if not isinstance(value, str):
        return value
    if inline := _INLINE.fullmatch(value):
        return f"data:{inline[1]},(sha256 {hashlib.sha256(inline[2].encode()).hexdigest()})"
    return _BEARER.sub(rf"\1 {HIDDEN}", _URL.sub(lambda url: without_query(url[0]), value))


def local_path(url: str, field: str) -> str:
    """The path that a file:// URL names.

    Raises:
        InvalidRequest: it names a file of another machine, or none.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise _wrong(field, without_query(url), "a URL that can be read", "It is malformed.") from None
    path = unquote(parts.path)
    if host not in (None, "localhost") or not path or "\x00" in path:
        raise _wrong(field, without_query(url), "a file on this machine, such as 'file:///home/me/cat.png'")
    return path.removeprefix("/") if os.name == "nt" else path


def usable_path(value: Any, field: str) -> Path:
    """The path that was given, with `~` filled in; whether anything is there is not asked.

    Raises:
        InvalidRequest: no path, or one that this system cannot have.
    """
    try:
        text = os.fspath(value)
        path = Path(text).expanduser()
        for part in (*path.parents, path):  # a name that is too long shows only where its folder is there
            if len(os.fsencode(part.name)) > LONGEST_NAME:
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            path.lstat()
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        why = f"{getattr(error, 'strerror', None) or error}".rstrip(".")
        raise _wrong(field, value, "a path that this system can have", f"{why}.") from None
    if not text:
        raise _wrong(field, value, "a path", "It is empty.")
    return path


def _gone(path: Path, error: OSError) -> BadMedia:
    return BadMedia(
        f"{path} was there when the request was made and cannot be read now: {error.strerror}.",
        path=str(path),
    )


@lru_cache(maxsize=256)
def _hash_file(path: Path, mtime_ns: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heic",
}
# Second byte of a frame: sync, version 1, 2 or 2.5, layer II or III. (FF FE, which would be layer I, begins UTF-16 text.)
_MPEG_AUDIO = frozenset(
    bytes([0xE0 | version << 3 | layer << 1 | crc])
    for version in (0, 2, 3)
    for layer in (1, 2)
    for crc in (0, 1)
)


def _media_type(head: bytes) -> str:
    """MIME type from the first bytes, or ''. Signatures: the formats' own specifications."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    if head.startswith(b"BM") and head[6:10] == bytes(4):  # reserved, zero; text may start with BM too
        return "image/bmp"
    if head[:4] in (b"II*\x00", b"MM\x00*"):
        return "image/tiff"
    if head.startswith(b"RIFF"):
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}.get(head[8:12], "")
    box = head[4:8] if head[:1] < b"\x20" else b""  # a length in front, never text
    if box == b"ftyp":
        brand = head[8:12]
        if brand in (b"M4A ", b"M4B "):
            return "audio/mp4"
        return _BRANDS.get(brand, "video/quicktime" if brand == b"qt  " else "video/mp4")
    if box in (b"moov", b"mdat", b"wide", b"free"):
        return "video/quicktime"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "video/webm"
    if head.startswith(b"fLaC"):
        return "audio/flac"
    if head.startswith(b"OggS"):
        return "audio/ogg"
    if head.startswith(b"ID3") or (head[:1] == b"\xff" and head[1:2] in _MPEG_AUDIO):
        return "audio/mpeg"
    if head[:1] == b"\xff" and head[1:2] in (b"\xf0", b"\xf1", b"\xf8", b"\xf9"):  # ADTS: layer 0
        return "audio/aac"
    if head[:1] == b"G" == head[188:189]:  # 0x47 in front of every packet
        return "video/mp2t"
    return ""


def _sniff(head: bytes, kind: Kind, field: str, shown: str) -> str:
    if not head:
        raise _wrong(field, shown, f"{_an(kind)} with something in it", "It is empty.")
    media_type = _media_type(head)
    if not media_type:
        raise _wrong(field, shown, _an(kind), f"Its first bytes are not those of any {kind} format.")
    # A container does not say whether it holds pictures or only sound, so mp4, webm and ogg pass for both.
    both = media_type in ("video/mp4", "video/webm", "audio/ogg") and kind in ("video", "audio")
    if not both and not media_type.startswith(kind):
        raise _wrong(field, shown, _an(kind), f"It is {media_type}.")
    return media_type


def _an(kind: str) -> str:
    return f"a {kind}" if kind == "video" else f"an {kind}"


def _wrong(field: str, value: Any, allowed: str, why: str = "") -> InvalidRequest:
    return InvalidRequest(
        f"{field}={shown(value, 120)} cannot be used. {why + ' ' if why else ''}Allowed is {allowed}.",
        field=field,
        value=value,
        allowed=allowed,
    )
