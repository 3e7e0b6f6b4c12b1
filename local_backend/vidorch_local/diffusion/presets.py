"""How much of the picture may be given for speed: what each preset leaves out. Plain data; nothing here needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vidorch.offer import Weights
from vidorch.weights import locate_lora

__all__ = ["FEW", "PRESETS", "Preset", "few_steps_here", "laid", "preset_of"]

FEW = 8
"""So many steps and fewer are those of a distilled model: no two of them are alike, so nothing can be left out between them."""
LEAST = 8
"""Fewer steps than these no preset takes from a model that was not distilled: below, its motion falls apart."""


@dataclass(frozen=True, slots=True)
class Preset:
    """What may be left out.

    Attributes:
        cache: the relative change of the first block's output below which the other blocks are not computed again; 0: never.
        guided: the part of the steps, from the first on, that are guided by the negative prompt, too. steps: the part of the
            usual number of steps that is made. rough: whether attention in 8 bits, and decoding in 16, will do.
    """

    cache: float = 0.0
    guided: float = 1.0
    steps: float = 1.0
    rough: bool = False


PRESETS: Mapping[str, Preset] = {
    "quality": Preset(),
    "balanced": Preset(cache=0.08),
    "fast": Preset(cache=0.2, guided=0.7, rough=True),
    "draft": Preset(cache=0.2, guided=0.5, steps=0.4, rough=True),
}
"""From the best picture to the quickest. `docs/benchmarks.md` has how far each is from the first."""


def preset_of(name: str) -> Preset:
    """The preset of that name; "" is `quality`."""
    return PRESETS[name or "quality"]


def few_steps_here(weights: Weights) -> bool:
    """Whether the distillation that a draft is made with is on this machine."""
    few = weights.few_steps
    return few is not None and all(locate_lora(lora) is not None for lora in few.loras)


def laid(weights: Weights, name: str, *, here: bool = True) -> Weights:
    """What a model is asked for under a preset: a draft takes the distillation that is here, else fewer of its own steps.

    Args:
        here: whether it is made on this machine; nobody can tell what is on another.
    """
    preset = preset_of(name)
    steps = weights.defaults.get("steps")
    if preset.steps == 1.0 or (steps is not None and steps <= FEW):
        return weights
    few = weights.few_steps
    if here and few is not None and few_steps_here(weights):
        shift = few.flow_shift or weights.flow_shift
        return replace(
            weights, defaults={**weights.defaults, **few.defaults}, flow_shift=shift, loras=(*weights.loras, *few.loras)
        )  # fmt: skip
    defaults: dict[str, Any] = dict(weights.defaults)
    if steps is not None:
        defaults["steps"] = max(LEAST, round(steps * preset.steps))
    return replace(weights, defaults=defaults)
