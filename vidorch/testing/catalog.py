"""The frozen catalog of the test kit: what this version ships, and its own invented models. Nobody else's layer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from vidorch.catalog import Catalog, load

__all__ = ["OWN_OFFERS", "frozen"]

OWN_OFFERS = Path(__file__).parent / "data" / "test.toml"
_NOBODYS = Path(os.devnull)  # no regular file, so there is no layer of the user


def frozen(argument: Any = None) -> Catalog:
    """Shipped offers, the invented ones, and on top what the caller brought (a file, a mapping or a catalog).

    Raises:
        CatalogError: the caller's layer is wrong.
    """
    return load(
        argument, environ={"VIDORCH_CATALOG": str(OWN_OFFERS)}, user_file=_NOBODYS, prices_file=_NOBODYS
    )
