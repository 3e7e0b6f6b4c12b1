"""What a request carries: JSON, bytes, a form of parts, or a file. Its length is known; a file is never whole in memory."""

from __future__ import annotations

import json as json_module
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from vidorch.errors import BadMedia, InvalidRequest, shown
from vidorch.offloop import in_thread

__all__ = ["Body", "Part", "body_of", "file_body"]

BLOCK = 256 * 1024
"""Bytes that are read from a file and handed to the socket at a time."""

Piece = bytes | Path


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a form (`multipart/form-data`).

    Attributes:
        name: of the field. value: text, bytes, or the path of a file, which is streamed.
        filename: as the server is to see it; what has one is a file to most servers. A path's own name by default.
        media_type: such as `"image/png"`; left out by default.
    """

    name: str
    value: str | bytes | os.PathLike[str]
    filename: str | None = None
    media_type: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Body:
    """Bytes and files in a row.

    Attributes:
        length: bytes in all. media_type: its Content-Type; None where the caller says it.
    """

    pieces: tuple[Piece, ...] = ()
    length: int = 0
    media_type: str | None = None

    @property
    def whole(self) -> bytes | None:
        """All of it, where it is in memory and small enough to be handed over at once."""
        if self.length > BLOCK or any(isinstance(piece, Path) for piece in self.pieces):
            return None
        return b"".join(piece for piece in self.pieces if isinstance(piece, bytes))

    async def blocks(self) -> AsyncIterator[bytes]:
        """All of it, block by block; exactly `length` bytes.

        Raises:
            BadMedia: a file is gone, or has another size than at first.
        """
        left = self.length
        for piece in self.pieces:
            async for block in _blocks(piece):
                left -= len(block)
                if left < 0:
                    raise _changed(piece)
                yield block
        if left:
            raise _changed(self.pieces[-1])


async def _blocks(piece: Piece) -> AsyncIterator[bytes]:
    if isinstance(piece, bytes):
        for start in range(0, len(piece), BLOCK):
            yield piece[start : start + BLOCK]
        return
    try:
        file: BinaryIO = await in_thread(piece.open, "rb")
    except OSError as error:
        raise _gone(piece, error) from None
    try:
        while block := await in_thread(file.read, BLOCK):
            yield block
    except OSError as error:
        raise _gone(piece, error) from None
    finally:
        file.close()


def body_of(json: Any = None, data: bytes | None = None, parts: Sequence[Part] | None = None) -> Body:
    """The body of a request, from the one of these that was given.

    Raises:
        InvalidRequest: several were, or one of them cannot be sent. BadMedia: a file of a part cannot be read.
    """
    given = [name for name, value in (("json", json), ("data", data), ("parts", parts)) if value is not None]
    if len(given) > 1:
        raise _wrong(" and ".join(given), "...", "one of json, data and parts")
    if json is not None:
        try:
            text = json_module.dumps(
                json, ensure_ascii=False, allow_nan=False, separators=(",", ":")
            ).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise _wrong("json", type(json).__name__, f"what JSON can hold ({error})") from None
        return Body((text,), len(text), "application/json")
    if data is not None:
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise _wrong("data", type(data).__name__, "bytes")
        return Body((bytes(data),), len(data))
    return Body() if parts is None else _form(parts)


def file_body(source: str | os.PathLike[str] | bytes) -> Body:
    """A file, or bytes, as a body.

    Raises:
        BadMedia: the file cannot be read.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return Body((bytes(source),), len(source))
    path = Path(source)
    return Body((path,), _size(path))


def _form(parts: Sequence[Part]) -> Body:
    boundary = secrets.token_hex(16)  # 128 bits: no content has it
    pieces: list[Piece] = []
    length = 0
    for part in parts:
        if not isinstance(part, Part):
            raise _wrong("parts", type(part).__name__, "a list of Part")
        value: Piece = part.value.encode() if isinstance(part.value, str) else (
            bytes(part.value) if isinstance(part.value, (bytes, bytearray, memoryview)) else Path(part.value)
        )  # fmt: skip
        filename = part.filename if part.filename is not None or isinstance(value, bytes) else value.name
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(part.name)}"'
        if filename is not None:
            head += f'; filename="{_quoted(filename)}"'
        if part.media_type is not None:
            if not part.media_type.isprintable():
                raise _wrong("media_type", part.media_type, "a MIME type")
            head += f"\r\nContent-Type: {part.media_type}"
        lines = f"{head}\r\n\r\n".encode()
        pieces += [lines, value, b"\r\n"]
        length += len(lines) + 2 + (len(value) if isinstance(value, bytes) else _size(value))
    end = f"--{boundary}--\r\n".encode()
    return Body((*pieces, end), length + len(end), f"multipart/form-data; boundary={boundary}")


def _quoted(text: str) -> str:
    """A name as browsers write it into a form, https://html.spec.whatwg.org/#multipart-form-data."""
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise _gone(path, error) from None


def _gone(path: Path, error: OSError) -> BadMedia:
    return BadMedia(f"{path} cannot be read for sending: {error.strerror or error}.", path=str(path))


def _changed(piece: Piece) -> BadMedia:
    path = str(piece) if isinstance(piece, Path) else None
    return BadMedia(f"{path} changed its size while it was being sent.", path=path)


def _wrong(name: str, value: object, allowed: str) -> InvalidRequest:
    return InvalidRequest(
        f"{name}={shown(value)} cannot be sent. Allowed is {allowed}.",
        field=name,
        value=value,
        allowed=allowed,
    )
