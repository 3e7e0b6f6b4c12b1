"""Which way up a photograph is: the EXIF orientation of a JPEG, PNG or WebP, and nothing else of EXIF.

FFmpeg reads it too, but PyAV 18.1 cannot list the side data of a frame that carries EXIF, and the angle alone that it does
give loses mirror images.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_ORIENTATION = 0x0112


def exif_orientation(data: bytes) -> int:
    """Return 1 to 8 from the bytes of a whole picture file; 1 (as stored) when it says nothing or nonsense."""
    try:
        for block in _exif_blocks(data):
            found = _orientation(block)
            if found:
                return found
    except (struct.error, IndexError):
        pass  # a cut-off tag; whether the picture itself is whole is the decoder's business
    return 1


def _exif_blocks(data: bytes) -> Iterator[bytes]:
    if data.startswith(b"\xff\xd8"):
        yield from _jpeg(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        yield from (body for kind, body in _chunks(data, 8, big=True, padding=4) if kind == b"eXIf")
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        yield from (body for kind, body in _chunks(data, 12, big=False, padding=0) if kind == b"EXIF")


def _jpeg(data: bytes) -> Iterator[bytes]:
    at = 2
    while data[at] == 0xFF and data[at + 1] not in (0xDA, 0xD9):  # to the start of scan: tags come before it
        (length,) = struct.unpack_from(">H", data, at + 2)
        if data[at + 1] == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            yield data[at + 10 : at + 2 + length]
        at += 2 + length


def _chunks(data: bytes, at: int, *, big: bool, padding: int) -> Iterator[tuple[bytes, bytes]]:
    """Walk PNG (length, kind, body, checksum) or RIFF (kind, length, body to an even byte) chunks."""
    while at + 8 <= len(data):
        if big:
            length, kind = struct.unpack_from(">I4s", data, at)
        else:
            kind, length = struct.unpack_from("<4sI", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length + padding + (0 if big else length & 1)


def _orientation(block: bytes) -> int:
    """Find the tag in the first directory of a TIFF block."""
    if block.startswith(b"Exif\0\0"):  # some writers keep JPEG's prefix in PNG and WebP
        block = block[6:]
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 0
    (at,) = struct.unpack_from(order + "I", block, 4)
    (count,) = struct.unpack_from(order + "H", block, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, _, _, value = struct.unpack_from(order + "HHIH", block, entry)
        if tag == _ORIENTATION:
            return value if 1 <= value <= 8 else 0
    return 0
