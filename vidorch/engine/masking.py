"""Credentials taken out of what others say: a vendor's reply, or a library's own error, may repeat the one that it was given."""

from __future__ import annotations

from typing import Any

__all__ = ["mask", "masked"]

SHORTEST = 6
"""Letters that a credential has at least: what is shorter is a word like any other."""
MASK = "***"


def mask(error: BaseException, secret: str | None) -> None:
    """Take `secret` out of an error, in place: out of its words and fields, and out of the errors that it came from."""
    if not secret or len(secret) < SHORTEST:
        return
    left, seen = [error], set()
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        one.args = tuple(masked(part, secret) for part in one.args)
        for name, value in vars(one).items():
            if isinstance(value, BaseException):
                left.append(value)
            elif value is not (plain := masked(value, secret)):
                vars(one)[name] = plain
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions
        left += [behind for behind in (one.__cause__, one.__context__) if behind is not None]


def masked(value: Any, secret: str) -> Any:
    """A value without `secret` in it."""
    if isinstance(value, str) and secret in value:
        return value.replace(secret, MASK)
    if isinstance(value, bytes) and secret.encode() in value:
        return value.replace(secret.encode(), MASK.encode())
    if isinstance(value, list | tuple):
        parts = [masked(part, secret) for part in value]
        if any(new is not old for new, old in zip(parts, value, strict=True)):
            return parts if isinstance(value, list) else tuple(parts)
    return value
