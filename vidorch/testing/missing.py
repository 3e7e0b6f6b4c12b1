"""Packages that only parts of the test kit need: where one is missing, the extra that brings it is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vidorch.errors import MissingCredentials

__all__ = ["needing"]


@contextmanager
def needing(package: str, what: str, extra: str) -> Iterator[None]:
    """Around imports: `what` is the thing that cannot be had without `package`.

    Raises:
        MissingCredentials: `package` is not installed; names the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise MissingCredentials(
            f"{what} needs the package {package}, which is not installed. Nothing was sent.",
            hint=f"pip install 'vidorch[{extra}]'", extra=extra,
        ) from None  # fmt: skip
