"""Verifying: each check fails by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vidorch.errors import BadMedia
from vidorch.media import first_frame, probe, save_still, verify

NOISE = list(np.random.default_rng(3).integers(0, 256, (48, 48, 64, 3), dtype=np.uint8))


class TestVerify:
    def test_a_good_clip_passes(self, clips: Any) -> None:
        """All checks at once, and the facts come back."""
        info = verify(clips.make("a.mp4", 48, options={"bf": "2", "g": "10"}), duration=2, size=(64, 48))
        assert info.frames == 48

    @pytest.mark.parametrize(("duration", "good"), [(1.5, True), (2.5, True), (1.4, False), (2.6, False)])
    def test_the_length_may_differ_by_the_tolerance(self, clips: Any, duration: float, good: bool) -> None:
        """Half a second both ways, unless told otherwise."""
        path = clips.make("a.mp4", 48)
        if good:
            assert verify(path, duration=duration).duration == 2
        else:
            with pytest.raises(BadMedia, match=r"lasts 2\.00 s"):
                verify(path, duration=duration)

    def test_sound_does_not_make_up_for_missing_video(self, clips: Any) -> None:
        """A second of video under three seconds of sound is not a clip of three seconds."""
        with pytest.raises(BadMedia, match=r"lasts 1\.00 s"):
            verify(clips.make("a.mp4", 24, audio=3), duration=3)

    def test_the_size_is_as_shown(self, clips: Any) -> None:
        """Portrait is asked for as portrait."""
        path = clips.make("a.mp4", [clips.corners(96, 64)] * 2, rotation=90)
        assert verify(path, size=(64, 96)).frames == 2
        with pytest.raises(BadMedia, match="64x96, not 96x64"):
            verify(path, size=(96, 64))

    def test_a_damaged_end_is_found(self, clips: Any) -> None:
        """The header is whole, and the last frame is not."""
        path = clips.make("a.mp4", NOISE, options={"g": "8"}, container={"movflags": "faststart"})
        data = bytearray(path.read_bytes())
        tail = len(data) // 10
        data[-tail:] = bytes(tail)
        path.write_bytes(data)
        with pytest.raises(BadMedia, match=r"decoded|damaged"):
            verify(path)

    def test_a_damaged_beginning_is_found(self, clips: Any) -> None:
        """The first frame has to decode as well."""
        path = clips.make("a.mp4", NOISE, options={"g": "8"}, container={"movflags": "faststart"})
        data = bytearray(path.read_bytes())
        start = data.index(b"mdat") + 4
        data[start : start + len(data) // 20] = bytes(len(data) // 20)
        path.write_bytes(data)
        for check in (verify, first_frame):
            with pytest.raises(BadMedia, match=r"decode|damaged"):
                check(path)

    def test_a_first_frame_that_is_half_there_is_found(self, clips: Any) -> None:
        """A decoder patches a damaged frame up and goes on; that frame is not the one that was made."""
        path = clips.make("a.mp4", NOISE, options={"g": "8"}, container={"movflags": "faststart"})
        with av.open(str(path)) as file:
            first = file.streams.video[0].index_entries[0]  # only valid while the file is open
            middle = first.pos + first.size // 2
        data = bytearray(path.read_bytes())
        data[middle : middle + 200] = np.random.default_rng(5).bytes(200)
        path.write_bytes(data)
        assert probe(path).frames == len(NOISE)
        with pytest.raises(BadMedia, match="first frame is damaged"):
            verify(path)

    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
    def test_half_a_download_is_found(self, clips: Any, name: str) -> None:
        """In every container, also one that keeps no length."""
        path = clips.make(name, NOISE, options={"g": "8"})
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(BadMedia, match=r"cut off|damaged"):
            verify(path)

    def test_a_still_is_a_still(self, clips: Any, tmp_path: Path) -> None:
        """A picture passes by its size, and fails where a length was asked for."""
        path = save_still(clips.corners(), tmp_path / "a.png")
        assert verify(path, size=(96, 64)).kind == "image"
        with pytest.raises(BadMedia, match="is a still"):
            verify(path, duration=5)

    def test_an_error_page_is_named(self, tmp_path: Path) -> None:
        """What a vendor's storage sends in place of a clip is told apart from a damaged clip."""
        (tmp_path / "a.mp4").write_bytes(b"<html><body>expired</body></html>")
        with pytest.raises(BadMedia, match="HTML"):
            verify(tmp_path / "a.mp4", duration=5)
