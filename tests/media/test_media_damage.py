"""Damage: whatever bytes are wrong, there is an answer or `BadMedia`, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidorch.errors import BadMedia
from vidorch.media import first_frame, frames, last_frame, load_still, probe, save_still, verify

KINDS: dict[str, dict[str, Any]] = {
    "faststart.mp4": {"options": {"bf": "2"}, "audio": 0.5, "container": {"movflags": "faststart"}},
    "fragmented.mp4": {"container": {"movflags": "frag_keyframe+empty_moov"}},
    "a.mkv": {},
    "a.webm": {"codec": "libvpx-vp9"},
    "a.ts": {},
    "a.avi": {"codec": "mpeg4"},
    "a.gif": {"codec": "gif", "pix_fmt": "rgb8", "fps": 10},
    "a.png": {},
    "a.jpg": {},
}


@pytest.mark.parametrize("name", KINDS)
def test_random_damage_never_leaks_an_error(clips: Any, tmp_path: Path, name: str) -> None:
    """Flipped bytes and cut ends give a result or `BadMedia`; never an error of PyAV, the system or numpy."""
    if name.endswith(("png", "jpg")):
        whole = save_still(clips.corners(), tmp_path / name).read_bytes()
    else:
        whole = clips.make(name, 12, **KINDS[name]).read_bytes()
    chance = np.random.default_rng(2026)
    for attempt in range(15):
        data = bytearray(whole)
        for place in chance.integers(0, len(data), size=attempt + 1):
            data[place] = chance.integers(256)
        if attempt % 3 == 0:
            del data[chance.integers(1, len(data)) :]
        for read in (probe, verify, first_frame, last_frame, load_still, lambda given: list(frames(given))):
            try:
                assert read(bytes(data)) is not None
            except BadMedia as error:
                assert error.message
