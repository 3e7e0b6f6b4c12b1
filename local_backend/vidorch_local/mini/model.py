"""The built-in model: loads its weights, draws a clip from a `Reading`, and tells frames of its world from others."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .images import SIZE, Frames, latent, recognise, square, upscale
from .network import Floats, Network
from .words import NULL_TOKENS, Reading

__all__ = [
    "DEFAULT_STEPS",
    "FPS",
    "FRAMES",
    "MAX_STEPS",
    "MIN_STEPS",
    "SIZE",
    "Mini",
    "Stopped",
    "upscale",
]

FORMAT = "vidorch-mini-1"
FRAMES, FPS = 24, 12
DEFAULT_STEPS, MIN_STEPS, MAX_STEPS = 8, 1, 64
SHIFT = 4.0  # moves the steps towards noise, where the place of an object is decided
GUIDED_BELOW = 0.9  # earlier than that, guiding away from the null prompt harms
LARGEST_FILE = 9_500_000  # bytes


class Stopped(Exception):
    """The caller asked, through `should_stop`, that the clip not be finished."""


def schedule(steps: int) -> list[float]:
    """Times from 1 (noise) to 0 (clip)."""
    even = [1 - i / steps for i in range(steps + 1)]
    return [SHIFT * u / (1 + (SHIFT - 1) * u) for u in even]


@dataclass(frozen=True, slots=True)
class Mini:
    """The network with its weights. Made by `load`."""

    network: Network
    guidance: float  # 1: none, the weights have it built in
    meta: Mapping[str, Any]

    @classmethod
    def load(cls, path: str | Path | None = None) -> Mini:
        """Reads a weights file, by default the one in this folder.

        Raises ValueError for a file that is missing, truncated, changed, of another version, or without weights.
        """
        file = Path(path) if path is not None else Path(__file__).with_name("weights.npz")
        try:
            with file.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            meta = json.loads(str(arrays.pop("meta")))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(
                f"The weights of the built-in model cannot be read from {file}: {error}"
            ) from error
        if not isinstance(meta, dict) or meta.get("format") != FORMAT:
            raise ValueError(f"{file} holds no weights of this version: {FORMAT} was expected.")
        if not all(np.isfinite(a).all() for a in arrays.values()) or not _alive(arrays):
            raise ValueError(f"{file} holds no trained weights: parts of them are zero or not finite.")
        if meta.get("checksum") != cls.checksum(arrays):
            raise ValueError(
                f"The weights in {file} are not the ones that were written there: their checksum differs."
            )
        weights = {name: a.astype(np.float32) for name, a in arrays.items()}
        return cls(Network(weights, meta["config"]), float(meta["guidance"]), meta)

    @staticmethod
    def checksum(arrays: Mapping[str, NDArray[Any]]) -> int:
        """CRC-32 over names and values, in the order of the names."""
        crc = 0
        for name in sorted(arrays):
            crc = zlib.crc32(np.ascontiguousarray(arrays[name]).tobytes(), zlib.crc32(name.encode(), crc))
        return crc

    def generate(
        self,
        reading: Reading,
        *,
        seed: int,
        steps: int = DEFAULT_STEPS,
        image: Frames | None = None,
        on_progress: Callable[[str, float], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Frames:
        """Draws a clip: uint8 (24, 64, 64, 3), 12 frames a second; the same seed gives the same bytes on one machine.

        `image` is a first frame, uint8 (H, W, 3). `on_progress` gets ("encode" | "denoise" | "decode", share done).
        Raises ValueError for a reading outside the world or steps outside MIN_STEPS .. MAX_STEPS, and Stopped.
        """
        if reading.missing:
            raise ValueError(
                f"The prompt is not of this model's world: no {' and no '.join(reading.missing)} understood."
            )
        if not MIN_STEPS <= steps <= MAX_STEPS:
            raise ValueError(f"steps must be from {MIN_STEPS} to {MAX_STEPS}, not {steps}.")
        report = on_progress or (lambda stage, share: None)

        def pause() -> None:
            if should_stop is not None and should_stop():
                raise Stopped

        net = self.network
        pause()
        report("encode", 0.0)
        tokens = np.array([reading.tokens], np.int64)
        both = np.array(
            [reading.tokens, NULL_TOKENS], np.int64
        )  # guided steps run with and without the words
        crossed, pooled = net.encode(both if self.guidance != 1 else tokens)
        alone = [(k[:1], v[:1]) for k, v in crossed]
        first = None if image is None else net.patchify(latent(square(image))[None, None])
        report("encode", 1.0)

        noise = np.random.default_rng(seed).standard_normal((1, net.tokens, net.patch_numbers), np.float32)
        x: Floats = noise
        times = schedule(steps)
        for i, (t, following) in enumerate(pairwise(times)):
            pause()
            report("denoise", i / steps)
            if self.guidance != 1 and t < GUIDED_BELOW:
                with_words, without = net.denoise(np.repeat(x, 2, 0), t, crossed, pooled, first)
                clean = (without + np.float32(self.guidance) * (with_words - without))[None]
            else:
                clean = net.denoise(x, t, alone, pooled[:1], first)
            if first is not None:
                # What is known of the clip is put in: the first numbers of a token are its first frame.
                clean[:, : first.shape[1], : first.shape[2]] = first
            keep = np.float32(following / t)
            # A straight step: exact where the predicted clip no longer changes.
            x = keep * x + (1 - keep) * np.clip(clean, -1.1, 1.1)
        report("denoise", 1.0)
        pause()
        report("decode", 0.0)
        frames = _bytes(net.decode(net.unpatchify(x)[0], tokens[0]))
        report("decode", 1.0)
        return frames

    def recognises(self, image: Frames) -> tuple[bool, str]:
        """Whether an image (H, W, 3) is a frame of this model's world, with the reason."""
        return recognise(self.network, image)


def _alive(arrays: Mapping[str, NDArray[Any]]) -> bool:
    return bool(arrays) and all(np.any(a) for name, a in arrays.items() if name.endswith(".weight"))


def _bytes(x: Floats) -> Frames:
    frames: Frames = np.rint((np.clip(x, -1, 1) + 1) * np.float32(127.5)).astype(np.uint8)
    return frames
