"""The network in torch, as it is trained; `vidorch_local.mini.network` is the same thing in NumPy.

A rectified-flow transformer over area-pooled clips (24 x 16 x 16 x 3), conditioned on seven word tokens and
optionally on a first frame, and a convolutional decoder from 16 x 16 back to 64 x 64.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidorch_local.mini.words import SLOTS, VOCABULARY


@dataclass(frozen=True, slots=True)
class Config:
    """The sizes of the network; written into the weights file."""

    dim: int = 144  # 4 heads of 36 = 18 rotary pairs, 6 for each of t, h, w; and one patch is 144 numbers
    heads: int = 4
    depth: int = 6
    mlp: int = 3
    patch: tuple[int, int, int] = (3, 4, 4)  # 128 tokens; 3 frames at 12 fps are a quarter of a second
    frames: int = 24
    side: int = 16  # of the pooled frame
    decoder_width: int = 48
    decoder_depth: int = 6

    @property
    def grid(self) -> tuple[int, int, int]:
        return self.frames // self.patch[0], self.side // self.patch[1], self.side // self.patch[2]

    @property
    def patch_numbers(self) -> int:
        return math.prod(self.patch) * 3

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def rms(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), eps=1e-6)


def channel_rms(x: Tensor) -> Tensor:
    """The same over the channels of images (N, C, H, W): without it the scales of the FiLM stack multiply and leap."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-6)


def rotary(grid: tuple[int, int, int], head: int, base: float = 100.0) -> tuple[Tensor, Tensor]:
    """cos and sin, each (tokens, head / 2): the pairs of a head are shared out over time, height and width."""
    pairs = head // 2
    share = (pairs // 3, (pairs - pairs // 3) // 2, pairs - pairs // 3 - (pairs - pairs // 3) // 2)
    places = torch.meshgrid(*(torch.arange(g) for g in grid), indexing="ij")
    angles = [
        place.flatten()[:, None].float() * base ** (-torch.arange(n).float() / n)
        for place, n in zip(places, share, strict=True)
    ]
    angle = torch.cat(angles, 1)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def linear(n_in: int, n_out: int, *, zero: bool = False, bias: bool = False) -> nn.Linear:
    layer = nn.Linear(n_in, n_out, bias=bias)
    if zero:
        nn.init.zeros_(layer.weight)
    return layer


class Text(nn.Module):
    """One pre-norm transformer layer over the seven tokens."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        d = c.dim
        self.heads = c.heads
        self.word = nn.Embedding(len(VOCABULARY), d)
        self.place = nn.Parameter(torch.randn(len(SLOTS), d) * 0.02)
        self.qkv, self.out = linear(d, 3 * d), linear(d, d)
        self.up, self.down = linear(d, 2 * d), linear(2 * d, d)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:  # (B, 7) -> (B, 7, d), (B, d)
        x = self.word(tokens) + self.place
        B, L, d = x.shape
        q, k, v = self.qkv(rms(x)).view(B, L, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (B, h, L, d / h)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, L, d))
        x = x + self.down(F.gelu(self.up(rms(x)), approximate="tanh"))
        return rms(x), x.mean(1)


class Block(nn.Module):
    """Full 3-D self-attention, cross-attention to the words, MLP; zero-initialised outputs."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        d = c.dim
        self.heads = c.heads
        self.qkv, self.out = linear(d, 3 * d), linear(d, d, zero=True)
        self.cross_q, self.cross_kv, self.cross_out = linear(d, d), linear(d, 2 * d), linear(d, d, zero=True)
        self.up, self.down = linear(d, c.mlp * d), linear(c.mlp * d, d, zero=True)
        self.table = nn.Parameter(torch.randn(6, d) * 0.02)

    def forward(self, x: Tensor, modulation: Tensor, words: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        B, N, d = x.shape
        m = (modulation + self.table)[:, :, None]  # (B, 6, 1, d)
        y = rms(x) * (1 + m[:, 0]) + m[:, 1]
        q, k, v = self.qkv(y).view(B, N, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (B, h, N, d / h)
        y = F.scaled_dot_product_attention(rotate(rms(q), cos, sin), rotate(rms(k), cos, sin), v)
        x = x + m[:, 2] * self.out(y.transpose(1, 2).reshape(B, N, d))
        q = rms(self.cross_q(rms(x)).view(B, N, self.heads, -1)).transpose(1, 2)
        k, v = self.cross_kv(words).view(B, -1, 2, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, rms(k), v)
        x = x + self.cross_out(y.transpose(1, 2).reshape(B, N, d))
        y = F.gelu(self.up(rms(x) * (1 + m[:, 3]) + m[:, 4]), approximate="tanh")
        return x + m[:, 5] * self.down(y)


class Base(nn.Module):
    """Predicts the clean clip from a noised one: patches in, patches out, in [-1, 1]."""

    cos: Tensor
    sin: Tensor

    def __init__(self, c: Config) -> None:
        super().__init__()
        d = c.dim
        self.config = c
        self.text = Text(c)
        self.patch_in = linear(c.patch_numbers, d, bias=True)
        self.image_in = linear(c.patch_numbers // c.patch[0], d, bias=True)
        self.image_flag = nn.Parameter(torch.zeros(d))
        self.time_up, self.time_down = linear(128, d, bias=True), linear(d, d, bias=True)
        self.modulation = linear(d, 6 * d, zero=True, bias=True)
        with torch.no_grad():  # gates begin open: the zero-initialised outputs already make each block silent
            self.modulation.bias.zero_().view(6, d)[[2, 5]] = 1
        self.blocks = nn.ModuleList(Block(c) for _ in range(c.depth))
        self.patch_out = linear(d, c.patch_numbers, zero=True, bias=True)
        cos, sin = rotary(c.grid, d // c.heads)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def patchify(self, x: Tensor) -> Tensor:  # (B, T, 16, 16, 3) -> (B, tokens, numbers); T may be one frame
        ph, pw = self.config.patch[1:]
        pt = min(self.config.patch[0], x.shape[1])
        B, T, H, W, C = x.shape
        x = x.reshape(B, T // pt, pt, H // ph, ph, W // pw, pw, C).permute(0, 1, 3, 5, 2, 4, 6, 7)
        return x.reshape(B, -1, pt * ph * pw * C)

    def unpatchify(self, x: Tensor) -> Tensor:
        pt, ph, pw = self.config.patch
        gt, gh, gw = self.config.grid
        x = x.reshape(-1, gt, gh, gw, pt, ph, pw, 3).permute(0, 1, 4, 2, 5, 3, 6, 7)
        return x.reshape(-1, gt * pt, gh * ph, gw * pw, 3)

    def forward(self, x: Tensor, t: Tensor, tokens: Tensor, image: Tensor, has_image: Tensor) -> Tensor:
        """x (B, N, P), t (B,), tokens (B, 7), image (B, 16, P / 3) patches of the first frame, has_image (B,)."""
        words, pooled = self.text(tokens)
        rate = torch.exp(-math.log(1e4) * torch.arange(64, device=t.device) / 64)
        angle = t[:, None] * 1000 * rate
        e = self.time_down(F.silu(self.time_up(torch.cat([angle.cos(), angle.sin()], 1))))
        e = e + pooled + has_image[:, None] * self.image_flag
        m = self.modulation(F.silu(e)).view(len(x), 6, -1)
        x = self.patch_in(x)
        first = has_image[:, None, None] * self.image_in(image)
        x = x + F.pad(first, (0, 0, 0, x.shape[1] - first.shape[1]))
        for block in self.blocks:
            x = block(x, m, words, self.cos, self.sin)
        return self.patch_out(rms(x))


class Decoder(nn.Module):
    """A pooled frame with its two neighbours, and the words -> the sharp frame."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        w, n = c.decoder_width, c.decoder_depth
        self.word = nn.Embedding(len(VOCABULARY), 64)
        nn.init.normal_(self.word.weight, std=0.3)
        self.film = linear(64, 2 * w * n, zero=True, bias=True)
        self.conv_in = nn.Conv2d(9, w, 3, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(w, w, 3, padding=1) for _ in range(n))
        self.conv_out = nn.Conv2d(w, 48, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)

    def forward(self, near: Tensor, tokens: Tensor) -> Tensor:
        """near (N, 9, 16, 16): the frames before, at and after, three channels each; -> (N, 3, 64, 64)."""
        film = self.film(self.word(tokens).sum(1)).view(len(near), len(self.convs), 2, -1, 1, 1)
        x = self.conv_in(near)
        for i, conv in enumerate(self.convs):
            x = x + conv(F.silu(channel_rms(x) * (1 + film[:, i, 0]) + film[:, i, 1]))
        sharp = F.pixel_shuffle(self.conv_out(F.silu(channel_rms(x))), 4)
        return F.interpolate(near[:, 3:6], scale_factor=4, mode="bilinear") + sharp


def shifted(u: Tensor, shift: float = 4.0) -> Tensor:
    """Moves times towards noise, where the place of an object is decided."""
    return shift * u / (1 + (shift - 1) * u)
