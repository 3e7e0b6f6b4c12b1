"""Writes docs/images/first-clips.png, the frames in the README, with the built-in model: `python docs/make_frames.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import vidorch
from vidorch import media

PICTURE = Path(__file__).parent / "images" / "first-clips.png"
CLIPS = (
    ("a red ball rolling left", 7),
    ("a big blue square bouncing on a light background", 3),
    ("a green triangle circling", 7),
)
EVERY = 4  # of 24 frames, so six in a row


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder, vidorch.Client(home=folder) as client:
        for prompt, seed in CLIPS:
            clip = client.generate(prompt, seed=seed).clip
            assert clip.path is not None
            shown = media.frames(clip.path, every=EVERY, size=(128, 128))
            rows.append(np.concatenate([_framed(frame) for frame in shown], axis=1))
    PICTURE.parent.mkdir(exist_ok=True)
    media.save_still(np.concatenate(rows, axis=0), PICTURE, overwrite=True)


def _framed(frame: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """A line to the right of a frame and below it, so that six frames do not look like one picture."""
    return np.pad(frame, ((0, 2), (0, 2), (0, 0)), constant_values=110)


if __name__ == "__main__":
    main()
