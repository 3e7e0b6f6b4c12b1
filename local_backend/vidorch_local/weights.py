"""Where a model's weights are, and what is missing to run it: the parts of `vidorch.weights` that a backend needs."""

from __future__ import annotations

from vidorch.weights import class_of, locate, locate_lora, missing, require

__all__ = ["class_of", "locate", "locate_lora", "missing", "require"]
