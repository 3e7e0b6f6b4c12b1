"""The smallest files that start like what they are. No codec is needed to make or to recognise them."""

from __future__ import annotations

import struct
import zlib


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int = 2, height: int = 2, shade: int = 0) -> bytes:
    """A whole, valid grey PNG."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = b"".join(b"\x00" + bytes([shade]) * width for _ in range(height))
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


PNG = png()
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(52)
GIF = b"GIF89a" + bytes(58)
WEBP = b"RIFF\x40\x00\x00\x00WEBP" + bytes(52)
AVIF = b"\x00\x00\x00\x1cftypavif" + bytes(52)
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(52)
MOV = b"\x00\x00\x00\x14ftypqt  " + bytes(52)
WEBM = b"\x1aE\xdf\xa3" + bytes(60)
AVI = b"RIFF\x40\x00\x00\x00AVI " + bytes(52)
WAV = b"RIFF\x40\x00\x00\x00WAVE" + bytes(52)
MP3 = b"ID3\x04" + bytes(60)
FLAC = b"fLaC" + bytes(60)
OGG = b"OggS" + bytes(60)
M4A = b"\x00\x00\x00\x18ftypM4A " + bytes(52)
HTML = b"<!doctype html><title>404</title><p>There is nothing here, and it is served with status 200."
TEXT = b"This is a text file, whatever its name says. It goes on for a while, too."
TS = (b"G" + bytes(187)) * 2
AAC = b"\xff\xf1" + bytes(62)
MP3_BARE = b"\xff\xfb\x90\x64" + bytes(60)
BMP = b"BM\x46\x00\x00\x00" + bytes(4) + bytes(54)
