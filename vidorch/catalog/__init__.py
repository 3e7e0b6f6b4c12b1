"""Which offers exist: dated data files, layered, with a source for every price.

from vidorch.catalog import load
load().offer("fal/kling-3.0-pro").price
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidorch.catalog.layers import (
        Catalog,
        default_user_file,
        load,
        shipped,
        with_newer_prices,
        with_own_models,
    )

__all__ = ["Catalog", "default_user_file", "load", "shipped", "with_newer_prices", "with_own_models"]


def __getattr__(name: str) -> Any:
    # The parser is loaded when somebody asks for a price, not by `import vidorch`.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("vidorch.catalog.layers"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
