"""Made-up clips with known faults: soft coloured shapes that drift over a textured ground, as a slow camera sees them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vidorch import media
from vidorch.result import Clip, Timings

Frames = npt.NDArray[np.float64]

KINDS = (
    "good",
    "flicker",
    "local flicker",
    "strong flicker",
    "cut",
    "two cuts",
    "stutter",
    "held",
    "frozen",
    "black",
)
FPS = 12


def scene(seed: int, *, count: int = 30, width: int = 96, height: int = 64) -> Frames:
    """`(T, H, W, 3)` in 0 to 1: a smooth ground that pans slowly, and three shapes that move."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / width
    waves = [(rng.uniform(4, 30, 2), rng.uniform(0, 6.28), rng.uniform(0.02, 0.06, 3)) for _ in range(6)]
    pan = rng.uniform(-0.006, 0.006, 2)
    colours, places, speeds = (
        rng.uniform(0, 1, (3, 3)),
        rng.uniform(0.1, 0.9, (3, 2)),
        rng.uniform(-0.02, 0.02, (3, 2)),
    )
    sizes, base = rng.uniform(0.05, 0.15, 3), rng.uniform(0.3, 0.6, 3)
    frames = np.empty((count, height, width, 3))
    for t in range(count):
        frame = np.broadcast_to(base, (height, width, 3)).copy()
        for (fx, fy), phase, amplitude in waves:
            frame += np.sin(fx * (x + pan[0] * t) + fy * (y + pan[1] * t) + phase)[..., None] * amplitude
        for colour, place, speed, radius in zip(colours, places, speeds, sizes, strict=True):
            cx, cy = place + speed * t
            mask = 1 / (1 + np.exp((np.hypot(x - cx, y - cy * height / width) - radius) * 80))
            frame = frame * (1 - mask[..., None]) + colour * mask[..., None]
        frames[t] = frame
    return frames.clip(0, 1)


def broken(frames: Frames, kind: str, seed: int = 0) -> Frames:
    """The same clip with one fault."""
    count = len(frames)
    rng = np.random.default_rng(seed + 1_000)
    out = frames.copy()
    if kind in ("flicker", "strong flicker"):
        out *= (
            1
            + rng.choice([-1, 1], count)[:, None, None, None]
            * {"flicker": 0.03, "strong flicker": 0.08}[kind]
        )
    elif kind == "local flicker":
        out[:, : frames.shape[1] // 2, : frames.shape[2] // 2] *= (
            1 + 0.1 * rng.choice([-1, 1], count)[:, None, None, None]
        )
    elif kind in ("cut", "two cuts"):
        other = scene(seed + 5_000, count=count, width=frames.shape[2], height=frames.shape[1])
        out[count // 2 :] = other[count // 2 :]
        if kind == "two cuts":
            out[3 * count // 4 :] = frames[3 * count // 4 :]
    elif kind == "stutter":
        out = frames[np.arange(count) // 2 * 2]
    elif kind == "held":
        out[count // 3 : 2 * count // 3] = frames[count // 3]
    elif kind == "frozen":
        out[:] = frames[0]
    elif kind == "black":
        out[:] = 0
    return out.clip(0, 1)


def clip_of(path: Path, frames: Frames, *, fps: int = FPS) -> Clip:
    """The frames as a file, and the clip that stands for it."""
    info = media.write_video(
        path, ((frame * 255).round().astype(np.uint8) for frame in frames), fps=fps, crf=23
    )
    return Clip(
        path=path, uri=str(path), model="m", endpoint="e", seed=None, cost=Decimal(0), cost_basis="computed", latency=0.0,
        timings=Timings(), width=info.width, height=info.height, frames=info.frames, fps=info.fps, duration=float(info.duration),
        candidate=int(path.stem) if path.stem.isdecimal() else 0,
    )  # fmt: skip
