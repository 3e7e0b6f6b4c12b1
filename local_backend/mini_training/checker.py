"""Says from the pixels alone what a clip shows, so that it can be held against its prompt.

Nothing here knows the model or the prompt: background, objects, colour, outline and path are measured in the
64 x 64 frames. The thresholds were set on rendered clips, before the model made its first one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vidorch_local.mini.words import COLOURS, MOTIONS, SHAPES

from .world import BACKGROUND_RGB, FLOOR, RGB, Array

SEEN = 40.0  # distance from the background from which a pixel may belong to an object
COLOUR_REACH = 75.0  # an object further than this from every colour of the world has none of them
SMALLEST = 14  # pixels; the smallest object of the world has 60
MEAN_OVERLAP = 0.75  # of outline and ideal outline; less is a blot, whichever shape is nearest


@dataclass(frozen=True, slots=True)
class Seen:
    """What a clip shows; None where it shows nothing clear."""

    count: int
    colour: str | None
    shape: str | None
    motion: str | None
    background: str
    flicker: float  # spread of the object's area over time, relative to its mean

    def against(self, words: Array) -> dict[str, bool]:
        """Which parts agree with one row of `Clips.words`."""
        parts = {
            "colour": self.colour == COLOURS[words[2]],
            "motion": self.motion == MOTIONS[words[4]],
            "shape": self.shape == SHAPES[words[3]],
            "count": self.count == words[0] + 1,
        }
        return parts | {"all": all(parts.values())}


def look(frames: Array) -> Seen:
    """What uint8 frames (T, 64, 64, 3) show."""
    video = frames.astype(np.float32)
    background = np.median(video[:, :FLOOR].reshape(len(video), -1, 3), 1)  # (T, 3)
    nearest = int(np.argmin(((BACKGROUND_RGB - np.median(background, 0)) ** 2).sum(-1)))
    difference = video - background[:, None, None]
    floor = np.median(difference[:, FLOOR + 2 :], (0, 1, 2))
    if np.linalg.norm(floor) > 25:  # a floor strip: it and the shadows on it are no objects
        difference[:, FLOOR:] = 0
    distance = np.linalg.norm(difference, axis=-1)  # (T, 64, 64)
    strong = distance > np.maximum(SEEN, 0.7 * np.quantile(distance, 0.995, (1, 2)))[:, None, None]
    offset = np.median(difference[strong], 0) if strong.any() else np.zeros(3)  # object minus background
    if strong.sum() < SMALLEST * len(video) // 4 or np.linalg.norm(offset) < SEEN / 2:
        return Seen(0, None, None, None, ("dark", "light")[nearest], 0.0)
    colours = np.linalg.norm(RGB - (offset + np.median(background, 0)), axis=-1)
    colour = COLOURS[int(colours.argmin())] if colours.min() < COLOUR_REACH else None
    # How far each pixel is on the way from background to object; half of the way is the outline.
    mask = ((difference @ offset) / (offset @ offset) > 0.5) & (distance > SEEN)
    objects = [_objects(m) for m in mask]
    counts = np.array([len(o) for o in objects])
    count = int(np.bincount(counts).argmax())
    if count == 0 or count > 2:
        return Seen(count, colour, None, None, ("dark", "light")[nearest], 0.0)
    good = [i for i in range(len(video)) if counts[i] == count]
    overlaps = np.array([[_overlaps(o) for o in objects[i]] for i in good])  # (frames, count, 3)
    votes = np.bincount(overlaps.argmax(-1).ravel(), minlength=3)
    shape = int(votes.argmax())
    clear = votes[shape] > 0.5 * votes.sum() and overlaps[..., shape].mean() > MEAN_OVERLAP
    motion = None
    if len(good) >= 0.8 * len(video):
        tracks = _tracks([[o.mean(0)[::-1] for o in objects[i]] for i in good])
        kinds = {_motion(t) for t in tracks}
        motion = kinds.pop() if len(kinds) == 1 else None
    areas = np.array([[len(o) for o in objects[i]] for i in good])
    return Seen(
        count,
        colour,
        SHAPES[shape] if clear else None,
        motion,
        ("dark", "light")[nearest],
        float((areas.std(0) / areas.mean(0)).mean()),
    )


def _objects(mask: Array) -> list[Array]:
    """(n, 2) y, x of each connected patch of at least `SMALLEST` pixels, and a fifth of the largest."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    found = []
    while left:
        todo = [left.pop()]
        patch = []
        while todo:
            y, x = todo.pop()
            patch.append((y, x))
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if near in left:
                    left.remove(near)
                    todo.append(near)
        found.append(patch)
    least = max([SMALLEST, *(len(p) / 5 for p in found)])
    return [np.array(p) for p in found if len(p) >= least]


def _overlaps(pixels: Array) -> list[float]:
    """Intersection over union with an ideal ball, square and triangle of the same area and centre."""
    area, centre = len(pixels), pixels.mean(0)
    reach = int(np.sqrt(area)) + 3
    corner = np.floor(centre).astype(int) - reach
    grid = np.zeros((2 * reach + 1, 2 * reach + 1), bool)
    inside = pixels - corner
    inside = inside[((inside >= 0) & (inside < len(grid))).all(1)]
    grid[inside[:, 0], inside[:, 1]] = True
    y, x = np.mgrid[: len(grid), : len(grid)] + (corner - centre)[:, None, None]
    ball = x * x + y * y <= area / np.pi
    square = np.maximum(np.abs(x), np.abs(y)) <= np.sqrt(area) / 2
    tall = np.sqrt(area / 0.625)  # an upright triangle 1.25 times as wide as tall
    triangle = (y <= tall / 3) & (np.abs(x) <= (y + 2 * tall / 3) * 0.625)
    return [
        float((grid & ideal).sum() / (area + ideal.sum() - (grid & ideal).sum()))
        for ideal in (ball, square, triangle)
    ]


def _tracks(centres: list[list[Any]]) -> Array:
    """(objects, frames, 2) x, y: each object followed to the nearest centre of the next frame."""
    rows = [np.array(centres[0])]
    for listed in centres[1:]:
        now = np.array(listed)
        swapped = now[::-1]
        rows.append(swapped if ((swapped - rows[-1]) ** 2).sum() < ((now - rows[-1]) ** 2).sum() else now)
    return np.stack(rows, 1)


def _motion(track: Array) -> str | None:
    """The motion word for one path, (frames, 2) x, y in pixels."""
    x, y = track.T
    wide, tall = np.ptp(track, axis=0)
    if max(wide, tall) < 4:
        return "still"
    if min(wide, tall) > 12:
        around = track - (track.max(0) + track.min(0)) / 2
        angle = np.unwrap(np.arctan2(around[:, 1], around[:, 0]))
        radius = np.linalg.norm(around, axis=1)
        return "circling" if abs(angle[-1] - angle[0]) > 4.5 and radius.std() < 0.3 * radius.mean() else None
    if wide > 2.5 * tall and wide > 8:
        shift = x[-1] - x[0]
        return None if abs(shift) < 0.8 * wide else "right" if shift > 0 else "left"
    if tall > 2.5 * wide and tall > 8:
        low = int(y.argmax())
        if (
            y[low] - y[low:].min() > 0.4 * (y[low] - y[: low + 1].min())
            and y[low] - y[0] > 0.4 * tall
            and low < len(y) - 1
        ):
            return "bouncing"
        shift = y[-1] - y[0]
        if shift < -0.8 * tall:
            return "up"
        if shift > 0.8 * tall:
            # Half-way through its descent what falls has covered a quarter of it, what moves down a half.
            end = int(np.argmax(y - y[0] >= 0.95 * (y[low] - y[0])))
            half = np.interp(end / 2, np.arange(len(y)), y)
            early = (half - y[0]) / (y[end] - y[0])
            return "falling" if early < 0.375 or end < 0.75 * (len(y) - 1) else "down"
    return None


def scores(videos: Array, words: Array) -> dict[str, float]:
    """The share of clips in which each part agrees with its row of `words`, and the mean flicker."""
    return compared([look(v) for v in videos], words)


def compared(seen: list[Seen], words: Array) -> dict[str, float]:
    """The same, of clips already looked at."""
    rows = [s.against(w) for s, w in zip(seen, words, strict=True)]
    return {k: float(np.mean([r[k] for r in rows])) for k in rows[0]} | {
        "flicker": float(np.mean([s.flicker for s in seen]))
    }
