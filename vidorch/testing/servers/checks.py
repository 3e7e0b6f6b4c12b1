"""Strict validation of a body, as vendors do it: unknown fields, wrong types, values that are not on the list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Check", "Problem", "problems"]

Type = Literal["string", "integer", "number", "boolean", "list", "object", "any"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a body.

    Attributes:
        where: path in the body, such as `("settings", "duration")`. kind: "missing", "unknown", "type", "choice", "least",
            "most" or "rule". message: in words. given: the value; choices: what would have been taken.
    """

    where: tuple[str | int, ...]
    kind: str
    message: str
    given: Any = None
    choices: tuple[Any, ...] = ()

    @property
    def dotted(self) -> str:
        """`settings.duration`."""
        return ".".join(map(str, self.where))


@dataclass(frozen=True, slots=True)
class Check:
    """What one field may hold.

    Attributes:
        type: of its JSON value; a boolean is no number here. choices: the only values there are.
        least, most: of a number; of a string its length; of a list its length.
        fields: of an object. items: of each item of a list. rule: more; gives what is wrong, or "".
    """

    type: Type = "string"
    required: bool = False
    choices: tuple[Any, ...] = ()
    least: float | None = None
    most: float | None = None
    fields: Mapping[str, Check] | None = None
    items: Check | None = None
    nullable: bool = False
    rule: Callable[[Any], str] | None = field(default=None, repr=False)


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "list": (list,), "object": (dict,),
    "any": (object,),
}  # fmt: skip


def problems(
    body: Any, fields: Mapping[str, Check], *, where: Sequence[str | int] = (), extra: bool = False
) -> list[Problem]:
    """Everything that is wrong with an object, in the order of its fields.

    Args:
        fields: what it may hold. where: path of the object itself. extra: whether unknown fields are let through.
    """
    at = tuple(where)
    if not isinstance(body, dict):
        return [Problem(at, "type", "has to be an object", body)]
    found = []
    for name, check in fields.items():
        if name not in body:
            if check.required:
                found.append(Problem((*at, name), "missing", "is required"))
            continue
        found += _value(body[name], check, (*at, name))
    if not extra:
        found += [
            Problem((*at, name), "unknown", "is not a known field", body[name])
            for name in body
            if name not in fields
        ]
    return found


def _value(value: Any, check: Check, at: tuple[str | int, ...]) -> list[Problem]:
    if value is None and check.nullable:
        return []
    fits = isinstance(value, _TYPES[check.type]) and (
        check.type in ("boolean", "any") or not isinstance(value, bool)
    )
    if not fits:
        return [Problem(at, "type", f"has to be of type {check.type}", value)]
    if check.choices and value not in check.choices:
        return [
            Problem(
                at, "choice", f"has to be one of {', '.join(map(str, check.choices))}", value, check.choices
            )
        ]
    measure = len(value) if isinstance(value, (str, list)) else value
    if check.least is not None and measure < check.least:
        return [Problem(at, "least", f"has to be at least {check.least:g}", value)]
    if check.most is not None and measure > check.most:
        return [Problem(at, "most", f"has to be at most {check.most:g}", value)]
    found = []
    if check.fields is not None:
        found += problems(value, check.fields, where=at)
    if check.items is not None:
        for index, item in enumerate(value):
            found += _value(item, check.items, (*at, index))
    # A rule counts on the types of what it looks into.
    if check.rule is not None and not found and (why := check.rule(value)):
        found.append(Problem(at, "rule", why, value))
    return found
