"""Images at the edges of the built-in model: in (crop, pool, recognise) and out (upscale)."""

# ruff: noqa: N806 - T, H, W and C are what papers call them

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .network import Floats, Network
from .words import BACKGROUNDS, COLOURS, SHAPES, TOKEN

Frames = NDArray[np.uint8]

SIZE, POOL = 64, 4
FLOOR = 58  # first row of the strip under what falls and bounces
BACKGROUND_RGB = ((18, 20, 32), (205, 208, 214))
NEAR = 30.0  # distance in RGB up to which a pixel is background; compression and scaling stay below it
OBJECT = 45.0  # distance from which it is an object
ROUND_TRIP = 0.27  # mean error, as a share of contrast, of an object of its world; foreign ones begin at 0.29


def recognise(net: Network, image: Frames) -> tuple[bool, str]:
    """Whether an image (H, W, 3) is a frame of the model's world, with the reason.

    It is when most of it is one of the two backgrounds, one or two small things stand before it, and the decoder
    gives them back from the pooled image as some shape in some colour that it knows.
    """
    frame = square(image).astype(np.float32)
    background = np.median(frame[:FLOOR].reshape(-1, 3), 0)
    away = [float(np.linalg.norm(background - known)) for known in BACKGROUND_RGB]
    which = int(np.argmin(away))
    if away[which] > NEAR:
        return False, "its background is neither the dark nor the light one of the built-in model"
    distance = np.linalg.norm(frame - background, axis=-1)
    floor = np.linalg.norm(np.median(frame[FLOOR + 1 :], (0, 1)) - background) > 25
    body = distance[:FLOOR] if floor else distance
    thing = body > OBJECT
    if thing.sum() < 30:
        return False, "there is no object on it"
    if thing.mean() > 0.35 or (body < NEAR).mean() < 0.6:
        return False, "it holds more than one or two objects before a plain background"
    place = np.zeros((SIZE, SIZE), bool)
    place[: len(thing)] = thing
    near = _grown(place)
    small = latent(square(image))[None]
    motion = "falling" if floor else "still"
    errors = []
    for colour in COLOURS:
        for shape in SHAPES:
            words = ("one", "medium", colour, shape, motion, "steadily", BACKGROUNDS[which])
            again = net.decode(small, np.array([TOKEN[w] for w in words]))[0]
            errors.append(float(np.abs((np.clip(again, -1, 1) + 1) * 127.5 - frame)[near].mean()))
    contrast = float(np.abs(frame - background)[place].mean())
    if min(errors) > ROUND_TRIP * contrast:
        return False, "what is on it is no shape that the built-in model can draw"
    return True, "it is a frame of the built-in model's world"


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask and every pixel within two of it, along rows and columns."""
    out = mask.copy()
    for step in (1, 2):
        for axis in (0, 1):
            for sign in (-1, 1):
                out |= np.roll(mask, sign * step, axis)
    return out


def latent(frame: Frames) -> Floats:
    """uint8 (64, 64, 3) -> float (16, 16, 3) in [-1, 1]: the model's fixed encoder."""
    pooled = frame.reshape(SIZE // POOL, POOL, SIZE // POOL, POOL, 3).mean((1, 3), dtype=np.float32)
    return np.asarray(pooled / np.float32(127.5) - 1, np.float32)


def square(image: NDArray[Any]) -> Frames:
    """uint8 (H, W, 3) -> uint8 (64, 64, 3): the middle square, resized by area."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or min(image.shape[:2]) < 1:
        raise ValueError(f"An image must be uint8 (H, W, 3), not {image.dtype} {image.shape}.")
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    matrix = _areas(side, SIZE)
    middle = image[top : top + side, left : left + side].astype(np.float32)
    out = np.einsum("yh,hwc->ywc", matrix, middle, optimize=True)
    out = np.einsum("xw,ywc->yxc", matrix, out, optimize=True)
    result: Frames = np.rint(out).astype(np.uint8)
    return result


def _areas(n: int, m: int) -> Floats:
    """(m, n): the share of each of n source pixels in each of m target pixels; rows sum to one."""
    edge = np.arange(m + 1) * (n / m)
    start, end = edge[:-1, None], edge[1:, None]
    source = np.arange(n)[None]
    covered = np.clip(np.minimum(end, source + 1) - np.maximum(start, source), 0, None)
    return np.asarray(covered / covered.sum(1, keepdims=True), np.float32)


def upscale(frames: Frames, size: int = 256) -> Frames:
    """uint8 (T, 64, 64, 3) -> uint8 (T, size, size, 3), bicubic: smooth edges without the rings of wider filters."""
    matrix = _bicubic(frames.shape[1], size)
    T, n, _, C = frames.shape
    # Two large products, rows within channels: a third of the time of the obvious einsum.
    wide = frames.transpose(0, 1, 3, 2).astype(np.float32).reshape(-1, n) @ matrix.T  # (T * n * C, size)
    both = matrix @ wide.reshape(T, n, C * size)  # (T, size, C * size)
    both += 0.5
    np.clip(both, 0, 255, out=both)
    return np.ascontiguousarray(both.astype(np.uint8).reshape(T, size, C, size).transpose(0, 1, 3, 2))


def _bicubic(n: int, m: int) -> Floats:
    """(m, n) weights of the Catmull-Rom kernel; the border pixel is repeated outside."""
    place = (np.arange(m) + 0.5) * n / m - 0.5
    below = np.floor(place).astype(int)
    out = np.zeros((m, n), np.float32)
    for offset in range(-1, 3):
        d = np.abs(place - (below + offset))
        near = 1.5 * d**3 - 2.5 * d**2 + 1
        far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
        weight = np.where(d <= 1, near, np.where(d < 2, far, 0))
        np.add.at(out, (np.arange(m), np.clip(below + offset, 0, n - 1)), weight.astype(np.float32))
    return out
