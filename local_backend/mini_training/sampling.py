"""From noise to a clip with the torch network; the same arithmetic as `vidorch_local.mini.model`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from .net import Base

SHIFT = 4.0
GUIDED_BELOW = (
    0.9  # above it the null prompt knows less than the plain background, and guiding away from it harms
)


def schedule(steps: int) -> list[float]:
    """Times from 1 to 0, moved towards noise."""
    even = [1 - i / steps for i in range(steps + 1)]
    return [SHIFT * u / (1 + (SHIFT - 1) * u) for u in even]


def noise(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    return torch.randn(tuple(shape), generator=generator)


def towards(x: Tensor, x0: Tensor, t: float, next_t: float) -> Tensor:
    """One step of the straight path; exact where x0 does not change."""
    return (next_t / t) * x + (1 - next_t / t) * x0


@torch.no_grad()
def solve(
    base: Base,
    x: Tensor,
    tokens: Tensor,
    times: Sequence[float],
    *,
    guidance: float = 1.0,
    image: Tensor | None = None,
) -> Tensor:
    """Patches (B, N, P) at times[0] -> clean patches. `image` is (B, 1, 16, 16, 3) in [-1, 1]."""
    B = len(x)
    has = torch.full((B,), 0.0 if image is None else 1.0)
    first = (
        torch.zeros(B, 16, base.config.patch_numbers // base.config.patch[0])
        if image is None
        else base.patchify(image)
    )
    for t, next_t in pairwise(times):
        x0 = base(x, torch.full((B,), t), tokens, first, has)
        if guidance != 1 and t < GUIDED_BELOW:
            null = base(x, torch.full((B,), t), torch.zeros_like(tokens), first, has)
            x0 = null + guidance * (x0 - null)
        x = towards(x, x0.clamp(-1.1, 1.1), t, next_t)
    return x
