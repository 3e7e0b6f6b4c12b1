"""Rules from a file: TOML with the words of `Mock.on`, or Python with a function `script(m)`."""

from __future__ import annotations

import re
import runpy
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidorch.errors import InvalidRequest, VidorchError
from vidorch.request import nearest_name

if TYPE_CHECKING:
    from vidorch.testing.kit import Mock

__all__ = ["follow"]

MATCHES = ("model", "prompt", "pattern", "scope", "call")
WORDS = (
    "succeed", "fail", "refuse", "reject", "throttle", "lose_reply", "crash_poll", "expire_url", "bad_file", "hold",
)  # fmt: skip


def follow(mock: Mock, path: Path) -> None:
    """Give `mock` the rules of a file.

    Raises:
        InvalidRequest: it cannot be read, or a rule of it is wrong; says which.
    """
    try:
        if path.suffix == ".py":
            _run(mock, path)
        elif path.suffix == ".toml":
            _read(mock, path)
        else:
            raise _wrong(path, "is neither .toml nor .py")
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror or error}") from None


def _run(mock: Mock, path: Path) -> None:
    script = runpy.run_path(str(path)).get("script")
    if not callable(script):
        raise _wrong(path, "has no function script(m)")
    script(mock)


def _read(mock: Mock, path: Path) -> None:
    try:
        data = tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)
    except ValueError as error:
        raise _wrong(path, f"is no TOML: {error}") from None
    rules = data.pop("rule", [])
    if data or not isinstance(rules, list):
        raise _wrong(path, "may hold nothing but [[rule]] tables")
    for number, table in enumerate(rules, 1):
        try:
            _rule(mock, table)
        except (VidorchError, TypeError) as error:
            said = error.message if isinstance(error, VidorchError) else str(error)
            raise _wrong(path, f"rule {number}: {said}") from None


def _rule(mock: Mock, table: Mapping[str, Any]) -> None:
    for name in table:
        if name not in MATCHES + WORDS:
            near = nearest_name(name, MATCHES + WORDS)
            said = f"Did you mean {near!r}?" if near else f"Allowed are: {', '.join(MATCHES + WORDS)}."
            raise InvalidRequest(f"There is no {name!r}. {said}", field=name)
    matches = {name: table[name] for name in MATCHES if name in table}
    if (pattern := matches.pop("pattern", None)) is not None:
        try:
            matches["prompt"] = re.compile(pattern)
        except re.error as error:
            raise InvalidRequest(f"pattern is no regular expression: {error}.", field="pattern") from None
    rule = mock.on(**matches)
    for word in WORDS:
        if (given := table.get(word)) is None or given is False:
            continue
        if given is not True and not isinstance(given, Mapping):
            raise InvalidRequest(f"{word} is neither true nor a table.", field=word)
        getattr(rule, word)(**({} if given is True else given))


def _wrong(path: Path, why: str) -> InvalidRequest:
    stop = "" if why.endswith((".", "?")) else "."
    return InvalidRequest(
        f"The mock script {path} {why}{stop}", field="VIDORCH_MOCK", value=str(path), allowed="see docs/testing.md"
    )  # fmt: skip
