"""Whether the packages are here that open-weight models need, told without loading them."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from vidorch.errors import MissingCredentials
from vidorch_local.backend import PROVIDER

__all__ = ["NEEDED", "missing", "require"]

NEEDED = ("torch", "diffusers", "transformers", "accelerate")


def missing(packages: Sequence[str] = NEEDED) -> tuple[str, ...]:
    """Those that are not installed."""
    return tuple(name for name in packages if importlib.util.find_spec(name) is None)


def require(name: str) -> None:
    """See to it that offer `name` could run.

    Raises:
        MissingCredentials: something is not installed; names the extra.
    """
    if absent := missing():
        raise MissingCredentials(
            f"{name} runs on this machine with {' and '.join(absent)}, which {'is' if len(absent) == 1 else 'are'} not "
            "installed. Nothing was made.",
            hint='pip install "vidorch[local]"', extra="local", provider=PROVIDER,
        )  # fmt: skip
