"""What an image tells the built-in model of its background."""

from __future__ import annotations

from pathlib import Path

import pytest

import vidorch
from vidorch import media
from vidorch_local.mini.words import understand


@pytest.fixture
def light_frame(tmp_path: Path) -> Path:
    """A frame that the model made itself, on a light background."""
    with vidorch.Client(home=tmp_path / "made") as client:
        clip = client.generate("a big red square standing still on a light background", seed=5).clip
    assert clip.path is not None
    return media.save_still(media.first_frame(clip.path), tmp_path / "light.png")


class TestABackground:
    def test_comes_from_the_image(self, light_frame: Path, tmp_path: Path) -> None:
        """With an image, its background is drawn on, and no other is assumed."""
        with vidorch.Client(home=tmp_path / "home") as client:
            result = client.generate("a big red square moving right", image=light_frame, seed=1)
        assert result.clip.path is not None
        last = media.last_frame(result.clip.path)
        assert float(last[:20, :20].mean()) > 150
        assert not [note for note in result.notes if "background" in note]

    def test_of_the_prompt_gives_way_and_that_is_said(self) -> None:
        """A prompt that says dark beside a light image is told so."""
        reading = understand("a red ball rolling left on a dark background", seen="light")
        assert ("a red ball moving left on a light background", 1) == (reading.caption, len(reading.notes))
