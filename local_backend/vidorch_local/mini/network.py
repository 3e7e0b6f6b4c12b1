"""The network in NumPy: text encoder, diffusion transformer and decoder; nothing else is needed at run time.

`mini_training/net.py` is the same network in torch, as it was trained; a test holds the two against each other.
Names of weights are those of the torch modules. d is the width (144), N the tokens of a clip (128), h the heads (4).
"""

# ruff: noqa: N806 - B, N, T, H, W and C are what papers call them

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

VIEW = 3  # frames a decoder input spans: the one before, the one meant, the one after


def rms(x: Floats) -> Floats:
    """Divides by the root mean square of the last axis."""
    out: Floats = x / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + np.float32(1e-6))
    return out


def gelu(x: Floats) -> Floats:
    """In its tanh form; the cube is spelt out, since a power is many times slower."""
    out: Floats = 0.5 * x * (1 + np.tanh(0.7978845608 * x * (1 + 0.044715 * x * x)))
    return out


def silu(x: Floats) -> Floats:
    """x times its sigmoid, written with tanh, which does not overflow."""
    out: Floats = 0.5 * x * (1 + np.tanh(0.5 * x))
    return out


def attention(q: Floats, k: Floats, v: Floats) -> Floats:
    """(..., h, N, d / h) queries over (..., h, M, d / h) keys and values, joined to (..., N, d)."""
    scaled = q * np.float32(1 / math.sqrt(q.shape[-1]))
    score = np.asarray(scaled @ k.swapaxes(-1, -2), np.float32)  # (..., h, N, M)
    score -= score.max(-1, keepdims=True)
    np.exp(score, out=score)
    score /= score.sum(-1, keepdims=True)
    out = (score @ v).swapaxes(-3, -2)  # (..., N, h, d / h)
    joined: Floats = out.reshape(*out.shape[:-2], -1)
    return joined


class Network:
    """Weights and sizes, and the three forward passes."""

    def __init__(self, weights: Mapping[str, Floats], config: Mapping[str, Any]) -> None:
        self.weights = weights
        self.dim, self.heads, self.depth = int(config["dim"]), int(config["heads"]), int(config["depth"])
        self.patch: tuple[int, int, int] = tuple(config["patch"])
        self.frames, self.side = int(config["frames"]), int(config["side"])
        self.decoder_depth = int(config["decoder_depth"])
        pt, ph, pw = self.patch
        self.grid = (self.frames // pt, self.side // ph, self.side // pw)
        self.tokens, self.patch_numbers = math.prod(self.grid), math.prod(self.patch) * 3
        self.cos, self.sin = _rotary(self.grid, self.dim // self.heads)

    def _linear(self, name: str, x: Floats) -> Floats:
        out: Floats = x @ self.weights[name + ".weight"].T
        bias = self.weights.get(name + ".bias")
        if bias is not None:
            out += bias
        return out

    def _heads(self, x: Floats) -> Floats:  # (B, N, d) -> (B, h, N, d / h)
        return x.reshape(*x.shape[:-1], self.heads, -1).swapaxes(-3, -2)

    def _rotate(self, x: Floats) -> Floats:
        half = x.shape[-1] // 2
        a, b = x[..., :half], x[..., half:]
        return np.concatenate((a * self.cos - b * self.sin, a * self.sin + b * self.cos), -1)

    def patchify(self, x: Floats) -> Floats:
        """(B, T, 16, 16, 3) -> (B, tokens, numbers); T may be one frame."""
        pt, ph, pw = min(self.patch[0], x.shape[1]), *self.patch[1:]
        B, T, H, W, C = x.shape
        x = x.reshape(B, T // pt, pt, H // ph, ph, W // pw, pw, C).transpose(0, 1, 3, 5, 2, 4, 6, 7)
        return x.reshape(B, -1, pt * ph * pw * C)

    def unpatchify(self, x: Floats) -> Floats:
        """(B, N, numbers) -> (B, 24, 16, 16, 3)."""
        (gt, gh, gw), (pt, ph, pw) = self.grid, self.patch
        x = x.reshape(-1, gt, gh, gw, pt, ph, pw, 3).transpose(0, 1, 4, 2, 5, 3, 6, 7)
        return x.reshape(-1, gt * pt, gh * ph, gw * pw, 3)

    def encode(self, tokens: Ints) -> tuple[list[tuple[Floats, Floats]], Floats]:
        """Words (B, 7) -> keys and values for each block, (B, h, 7, d / h), and the pooled sentence (B, d)."""
        w = self.weights
        x = w["text.word.weight"][tokens] + w["text.place"]  # (B, 7, d)
        q, k, v = (self._heads(part) for part in np.split(self._linear("text.qkv", rms(x)), 3, -1))
        x = x + self._linear("text.out", attention(q, k, v))
        x = x + self._linear("text.down", gelu(self._linear("text.up", rms(x))))
        words = rms(x)
        crossed = []
        for i in range(self.depth):
            k, v = np.split(self._linear(f"blocks.{i}.cross_kv", words), 2, -1)
            crossed.append((rms(self._heads(k)), self._heads(v)))
        return crossed, x.mean(1)

    def denoise(
        self,
        x: Floats,
        t: float,
        crossed: list[tuple[Floats, Floats]],
        pooled: Floats,
        image: Floats | None = None,
    ) -> Floats:
        """Noised patches (B, N, P) at time t -> clean patches. `image`: patches (1, 16, P / 3) of a first frame."""
        w = self.weights
        rate = np.exp(np.float32(-math.log(1e4)) * np.arange(64, dtype=np.float32) / 64)
        angle = np.float32(t * 1000) * rate
        e = np.concatenate((np.cos(angle), np.sin(angle)))[None]  # (1, 128)
        e = self._linear("time_down", silu(self._linear("time_up", e))) + pooled
        if image is not None:
            e = e + w["image_flag"]
        modulation = self._linear("modulation", silu(e)).reshape(len(e), 6, -1)
        x = self._linear("patch_in", x)  # (B, N, d)
        if image is not None:
            x[:, : image.shape[1]] += self._linear("image_in", image)
        for i in range(self.depth):
            name = f"blocks.{i}."
            m = (modulation + w[name + "table"])[:, :, None]  # (B, 6, 1, d): scale, shift, gate, twice
            y = rms(x) * (1 + m[:, 0]) + m[:, 1]
            q, k, v = (self._heads(part) for part in np.split(self._linear(name + "qkv", y), 3, -1))
            y = attention(self._rotate(rms(q)), self._rotate(rms(k)), v)
            x = x + m[:, 2] * self._linear(name + "out", y)
            q = rms(self._heads(self._linear(name + "cross_q", rms(x))))
            x = x + self._linear(name + "cross_out", attention(q, *crossed[i]))
            y = gelu(self._linear(name + "up", rms(x) * (1 + m[:, 3]) + m[:, 4]))
            x = x + m[:, 5] * self._linear(name + "down", y)
        return self._linear("patch_out", rms(x))

    def decode(self, low: Floats, tokens: Ints) -> Floats:
        """Pooled clip (T, 16, 16, 3) and its words (7,) -> sharp frames (T, 64, 64, 3), about [-1, 1]."""
        before, after = np.concatenate((low[:1], low[:-1])), np.concatenate((low[1:], low[-1:]))
        film = self._linear("decoder.film", self.weights["decoder.word.weight"][tokens].sum(0)[None])
        film = film.reshape(self.decoder_depth, 2, -1)
        x = self._conv("decoder.conv_in", np.concatenate((before, low, after), -1))  # (T, 16, 16, 48)
        for i in range(self.decoder_depth):
            x += self._conv(f"decoder.convs.{i}", silu(rms(x) * (1 + film[i, 0]) + film[i, 1]))
        sharp = self._conv("decoder.conv_out", silu(rms(x)))  # (T, 16, 16, 3 * 4 * 4)
        T, H, W, _ = sharp.shape
        sharp = sharp.reshape(T, H, W, 3, 4, 4).transpose(0, 1, 4, 2, 5, 3).reshape(T, 4 * H, 4 * W, 3)
        return sharp + _bilinear(low)

    def _conv(self, name: str, x: Floats) -> Floats:  # (T, H, W, C) -> (T, H, W, C'), 3 x 3, zero padding
        T, H, W, C = x.shape
        weight = self.weights[name + ".weight"]  # (C', C, 3, 3)
        padded = np.zeros((T, H + 2, W + 2, C), np.float32)
        padded[:, 1:-1, 1:-1] = x
        columns = np.concatenate([padded[:, i : i + H, j : j + W] for i in range(3) for j in range(3)], -1)
        matrix = weight.transpose(2, 3, 1, 0).reshape(9 * C, -1)
        out: Floats = columns.reshape(-1, 9 * C) @ matrix + self.weights[name + ".bias"]
        return out.reshape(T, H, W, -1)


def _rotary(grid: tuple[int, int, int], head: int, base: float = 100.0) -> tuple[Floats, Floats]:
    """cos and sin, each (N, head / 2): the pairs of a head are shared out over time, height and width."""
    pairs = head // 2
    n_t = pairs // 3
    n_h = (pairs - n_t) // 2
    places = np.meshgrid(*(np.arange(g) for g in grid), indexing="ij")
    angles = [
        place.reshape(-1, 1) * base ** (-np.arange(n) / n)
        for place, n in zip(places, (n_t, n_h, pairs - n_t - n_h), strict=True)
    ]
    angle = np.concatenate(angles, 1)
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def _bilinear(x: Floats, times: int = 4) -> Floats:
    """(T, H, W, C) -> (T, 4 H, 4 W, C), corners not aligned, as torch does it."""
    for axis in (1, 2):
        n = x.shape[axis]
        place = np.clip((np.arange(times * n) + 0.5) / times - 0.5, 0, n - 1)
        below = place.astype(int)
        share = (place - below).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(4)])
        x = x.take(below, axis) * (1 - share) + x.take(np.minimum(below + 1, n - 1), axis) * share
    return x
