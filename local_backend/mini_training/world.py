"""The closed world: which clips exist, what they are called, and what they look like.

A clip is one or two equal shapes that move for 24 frames over a dark or a light background. Clips are drawn in
batches: `sample` chooses what happens, `render` turns it into pixels, `pool` into what the model diffuses.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidorch_local.mini.words import COLOURS, MOTIONS, SHAPES, SLOTS, TOKEN

Array = NDArray[Any]

FRAMES, SIZE, POOL = 24, 64, 4
FLOOR = SIZE - 6  # first row of the floor strip, drawn only for falling and bouncing

# Every colour stands out from both backgrounds, and from its nearest neighbour by 90 or more (Euclid, 0..255).
RGB = np.array(
    [
        (222, 40, 45),
        (245, 130, 25),
        (245, 225, 55),
        (50, 185, 70),
        (50, 210, 225),
        (55, 95, 235),
        (150, 60, 200),
        (250, 125, 190),
    ],
    np.float32,
)
BACKGROUND_RGB = np.array([(18, 20, 32), (205, 208, 214)], np.float32)

LEFT, RIGHT, UP, DOWN, FALLING, BOUNCING, STILL, CIRCLING = range(len(MOTIONS))
SQUARE, TRIANGLE = SHAPES.index("square"), SHAPES.index("triangle")
RADII = ((4.6, 5.6), (7.0, 8.4), (10.0, 11.5))  # pixels, by size
SPEEDS_PX = ((0.65, 0.85), (1.15, 1.5), (1.9, 2.2))  # pixels per frame, by speed
WINDOW = 33  # a big triangle reaches 15 pixels from its centre


def held_out(colour: int, shape: int, motion: int) -> bool:
    """Whether a combination is kept out of training (30 of the 192), by a hash that never changes.

    The salt 174 is the one of the first 400 that spreads them most evenly over colours, shapes and motions.
    """
    return zlib.crc32(f"174|{COLOURS[colour]}|{SHAPES[shape]}|{MOTIONS[motion]}".encode()) % 100 < 15


HELD_OUT = np.array(
    [
        [[held_out(c, s, m) for m in range(len(MOTIONS))] for s in range(len(SHAPES))]
        for c in range(len(COLOURS))
    ]
)


@dataclass(frozen=True, slots=True)
class Clips:
    """What happens in a batch of clips; `words` holds the place of each word within its slot."""

    words: Array  # (B, 7) int: count, size, colour, shape, motion, speed, background
    radius: Array  # (B,) pixels
    centres: Array  # (B, 2, T, 2) x, y in pixels; the second object repeats the first where there is one

    def __len__(self) -> int:
        return len(self.words)

    @property
    def tokens(self) -> Array:
        """(B, 7) int64, as the network reads them."""
        starts = np.array([TOKEN[slot[0]] for slot in SLOTS])
        return (self.words + starts).astype(np.int64)

    def take(self, index: Any) -> Clips:
        return Clips(self.words[index], self.radius[index], self.centres[index])

    def at(self, frames: Array) -> Clips:
        """The same clips reduced to chosen frames, (B, n) int."""
        rows = np.arange(len(self))[:, None]
        return Clips(
            self.words, self.radius, self.centres.transpose(0, 2, 1, 3)[rows, frames].transpose(0, 2, 1, 3)
        )


def sample(
    rng: np.random.Generator,
    n: int,
    *,
    split: str = "train",
    two: float = 0.15,
    background: int | None = None,
) -> Clips:
    """Chooses `n` clips. `split` is "train", "held" (combinations never trained on) or "any"."""
    triples = np.argwhere({"train": ~HELD_OUT, "held": HELD_OUT, "any": HELD_OUT | True}[split])
    colour, shape, motion = triples[rng.integers(len(triples), size=n)].T
    count = ((rng.random(n) < two) & (motion != CIRCLING)).astype(int)
    size = rng.choice(3, size=n, p=(0.25, 0.5, 0.25))
    size = np.where((count == 1) & (size == 2), 1, size)  # two big objects would overlap
    speed = np.where(motion < FALLING, rng.choice(3, size=n, p=(0.25, 0.5, 0.25)), 1)
    light = rng.integers(2, size=n) if background is None else np.full(n, background)
    low, high = np.array(RADII).T
    radius = rng.uniform(low[size], high[size])
    radius = np.where(count == 1, np.minimum(radius, 7.4), radius)
    words = np.stack([count, size, colour, shape, motion, speed, light], 1)
    centres = np.stack([_track(rng, w, r) for w, r in zip(words, radius, strict=True)])
    return Clips(words, radius.astype(np.float32), centres.astype(np.float32))


def _track(rng: np.random.Generator, words: Array, r: float) -> Array:
    """(2, T, 2) centres of one clip's objects; two objects keep to their own half, across the motion."""
    count, _, _, _, motion, speed, _ = (int(w) for w in words)
    low, high = r + 1, SIZE - 2 - r
    out = np.empty((2, FRAMES, 2))
    for k in range(count + 1):
        half = (low, high) if count == 0 else ((low, 31 - r), (33 + r, high))[k]
        across = rng.uniform(*half)
        if motion < FALLING:
            span = min(rng.uniform(*SPEEDS_PX[speed]) * (FRAMES - 1), high - low - 0.5)
            along = rng.uniform(low, high - span) + np.linspace(0, span, FRAMES)
            if motion in (LEFT, UP):
                along = along[::-1]
            axes = (along, across) if motion in (LEFT, RIGHT) else (across, along)
        elif motion == STILL:
            axes = (across, rng.uniform(low, high))
        elif motion == FALLING:
            axes = (across, _drop(rng.uniform(low, low + 8), 0.0, rng.uniform(0.26, 0.38), 0.25, FLOOR - r))
        elif motion == BOUNCING:
            y, v = rng.uniform(low + 2, low + 12), rng.uniform(0, 1.2)
            axes = (across, _drop(y, v, 0.75, 0.95, FLOOR - r))
        else:
            ring = min(rng.uniform(11, 16), (high - low) / 2)
            cx, cy = rng.uniform(low + ring, high - ring, 2)
            turn = rng.uniform(0, 2 * np.pi) + rng.choice((-1, 1)) * np.arange(FRAMES) * 2 * np.pi / 21
            axes = (cx + ring * np.cos(turn), cy + ring * np.sin(turn))
        out[k, :, 0], out[k, :, 1] = axes
    if count == 0:
        out[1] = out[0]
    return out


def _drop(y: float, v: float, g: float, bounce: float, floor: float) -> Array:
    """(T,) heights of something that falls and comes back with `bounce` of its speed; four substeps a frame."""
    heights = np.empty(FRAMES)
    for t in range(FRAMES):
        heights[t] = y
        for _ in range(4):
            v += g / 4
            y += v / 4
            if y > floor:
                y, v = 2 * floor - y, -v * bounce
                if -v < 0.8 and bounce < 0.5:
                    y, v = floor, 0.0
        y = min(y, floor)
    return heights


def render(clips: Clips) -> Array:
    """uint8 (B, T, 64, 64, 3). Objects are drawn in windows round their centres: four times as fast as whole frames."""
    B, _, T, _ = clips.centres.shape
    count, _, colour, shape, motion, _, light = clips.words.T
    edge = WINDOW // 2 + 1  # margin of the canvas, so that windows never leave it
    canvas = np.empty((B, T, SIZE + 2 * edge, SIZE + 2 * edge, 3), np.float32)
    canvas[:] = BACKGROUND_RGB[light][:, None, None, None]
    floored = np.flatnonzero((motion == FALLING) | (motion == BOUNCING))
    canvas[floored, :, edge + FLOOR :] = (BACKGROUND_RGB[light[floored]] * 0.5 + 64)[:, None, None, None]
    x = np.arange(SIZE, dtype=np.float32)
    rows = np.arange(FLOOR, SIZE, dtype=np.float32)
    grid = np.arange(WINDOW, dtype=np.float32)
    for k in range(2):
        who = floored[count[floored] >= k]
        if len(who):  # a soft shadow, fainter and wider the higher the object
            cx, cy = clips.centres[who, k, :, 0, None, None], clips.centres[who, k, :, 1, None, None]
            height = np.maximum(FLOOR - cy, 0) / 40
            wide = ((x - cx) / (clips.radius[who, None, None, None] * (1 + 0.3 * height))) ** 2
            far = np.sqrt(wide + ((rows[:, None] - FLOOR - 2.5) / 2) ** 2)  # (b, T, 6, 64)
            dark = np.clip((1 - far) * 2, 0, 1) * 0.5 * (1 - np.clip(height, 0, 0.8))
            canvas[who, :, edge + FLOOR : edge + SIZE, edge : edge + SIZE] *= (1 - dark)[..., None]
    for k in range(2):
        for s in range(len(SHAPES)):
            who = np.flatnonzero((count >= k) & (shape == s))
            if not len(who):
                continue
            centre = clips.centres[who, k].reshape(-1, 2)  # (b * T, 2)
            corner = np.floor(centre).astype(int) - WINDOW // 2
            offset = grid + (corner - centre)[..., None]  # (b * T, 2, K)
            dx, dy = offset[:, 0, None, :], offset[:, 1, :, None]
            r = np.repeat(clips.radius[who], T)[:, None, None]
            if s == SQUARE:
                outside = np.maximum(np.abs(dx), np.abs(dy)) - r * 0.886  # the area of the ball
            elif s == TRIANGLE:
                h = r * 1.15
                outside = np.maximum(dy - h * 0.75, (np.abs(dx) * 1.6 - (dy + h * 1.05)) / 1.887)
            else:
                outside = np.sqrt(dx * dx + dy * dy) - r
            alpha = np.clip(0.5 - outside, 0, 1)[..., None]
            shade = 1 - 0.16 * np.clip((dx + dy) / (2 * r), -1, 1)
            paint = np.clip(shade[..., None] * np.repeat(RGB[colour[who]], T, 0)[:, None, None], 0, 255)
            b, t = np.repeat(who, T)[:, None, None], np.tile(np.arange(T), len(who))[:, None, None]
            at = (
                b,
                t,
                (corner[:, 1, None] + np.arange(WINDOW) + edge)[:, :, None],
                (corner[:, 0, None] + np.arange(WINDOW) + edge)[:, None, :],
            )
            canvas[at] = canvas[at] * (1 - alpha) + alpha * paint
    return np.rint(canvas[:, :, edge : edge + SIZE, edge : edge + SIZE]).astype(np.uint8)


def pool(frames: Array) -> Array:
    """uint8 (..., 64, 64, 3) -> uint8 (..., 16, 16, 3), by area: the fixed encoder of the model."""
    *lead, h, w, c = frames.shape
    rows = frames.reshape(*lead, h // POOL, POOL, w, c).sum(-3, dtype=np.uint16)
    blocks = rows.reshape(*lead, h // POOL, w // POOL, POOL, c).sum(-2, dtype=np.uint16)
    return ((blocks + POOL * POOL // 2) // (POOL * POOL)).astype(np.uint8)
