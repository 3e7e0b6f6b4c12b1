"""Copies of frozen, slotted dataclasses with some fields changed, without validating again what was valid already.

`dataclasses.replace` runs `__init__` and `__post_init__`; on a class of fifty fields that moves six times per job, that counts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

__all__ = ["changed"]

T = TypeVar("T")


@cache
def _access(
    kind: type,
) -> tuple[Callable[[Any], tuple[Any, ...]], tuple[Callable[[Any, Any], None], ...], dict[str, int]]:
    names = kind.__slots__  # type: ignore[attr-defined]
    return (
        attrgetter(*names),
        tuple(kind.__dict__[name].__set__ for name in names),
        {n: i for i, n in enumerate(names)},
    )


def changed(instance: T, **changes: Any) -> T:
    """A copy of `instance` with fields changed to values that are known to be right."""
    kind: type = type(instance)
    get, setters, places = _access(kind)
    values = list(get(instance))
    for name, value in changes.items():
        values[places[name]] = value
    copy: T = object.__new__(kind)
    for set_field, value in zip(setters, values, strict=True):
        set_field(copy, value)
    return copy
