"""The media room: the only place that reads and writes video files and stills.

    probe(path)                          what a file is: kind, length, size, frames, codec, colour, sound
    frames(path), timed_frames(path)     RGB arrays in the order they are shown, upright, in full-range sRGB-like values
    first_frame(path), last_frame(path)  exactly those two
    load_still(path), save_still(...)    pictures
    write_video(path, frames, fps=24)    H.264 MP4 that every browser plays
    verify(path, duration=5)             header, first and last frame, length
    publish(temporary, final)            onto disk, then under its name, never over another file unasked

Bad input is always `BadMedia`; a wrong argument is `InvalidRequest`. Importing this package loads neither PyAV nor numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidorch.media.atomic import publish as publish
    from vidorch.media.atomic import temporary_beside as temporary_beside
    from vidorch.media.check import verify as verify
    from vidorch.media.clock import exact_rate as exact_rate
    from vidorch.media.clock import frame_at as frame_at
    from vidorch.media.clock import time_of as time_of
    from vidorch.media.probing import probe as probe
    from vidorch.media.read import first_frame as first_frame
    from vidorch.media.read import frames as frames
    from vidorch.media.read import last_frame as last_frame
    from vidorch.media.read import timed_frames as timed_frames
    from vidorch.media.still import load_still as load_still
    from vidorch.media.still import save_still as save_still
    from vidorch.media.types import MediaInfo as MediaInfo
    from vidorch.media.write import write_video as write_video

# No module here is called like a name it exports: importing a submodule binds it on the package, over the function.
_HOMES = {
    "MediaInfo": "types",
    "exact_rate": "clock",
    "first_frame": "read",
    "frame_at": "clock",
    "frames": "read",
    "last_frame": "read",
    "load_still": "still",
    "probe": "probing",
    "publish": "atomic",
    "save_still": "still",
    "temporary_beside": "atomic",
    "time_of": "clock",
    "timed_frames": "read",
    "verify": "check",
    "write_video": "write",
}

__all__ = [
    "MediaInfo",
    "exact_rate",
    "first_frame",
    "frame_at",
    "frames",
    "last_frame",
    "load_still",
    "probe",
    "publish",
    "save_still",
    "temporary_beside",
    "time_of",
    "timed_frames",
    "verify",
    "write_video",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
