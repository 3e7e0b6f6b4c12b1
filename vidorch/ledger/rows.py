"""Rows of the tables as plain types, and back: money as `Decimal`, JSON read, flags as booleans."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from vidorch.frozen import changed
from vidorch.ledger.session import Values
from vidorch.money import from_micros, to_micros
from vidorch.result import Job, Timings

__all__ = ["column_values", "job_of", "job_with", "money", "run_of"]


def money(micros: int | None) -> Decimal | None:
    """Dollars, or None."""
    return None if micros is None else from_micros(micros)


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _mapping(text: str | None) -> dict[str, Any]:
    return json.loads(text) if text and text != "{}" else {}


_READ: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("estimate", "estimate_low", "estimate_high", "cost", "quote"), money),
    **dict.fromkeys(("outlives_caller", "billed"), bool),
    "charged": _flag,
    "settings": _mapping,
    "details": _mapping,
    "possible_ids": lambda text: tuple(json.loads(text)) if text else (),
    "timings": lambda text: Timings(**_mapping(text)),
}
"""What a column's value is on a `Job`, where it is not the same."""

_FIELDS = tuple(Job.__dataclass_fields__)
_NAMES = frozenset(_FIELDS)
_PLAIN = frozenset((int, float, type(None)))


def job_of(row: Values) -> Job:
    """A row of `jobs` as the job it is; columns that were left out are empty."""
    get = row.get
    read = _READ.get
    values: dict[str, Any] = {}
    for name in _FIELDS:
        value = get(name)
        convert = read(name)
        values[name] = value if convert is None else convert(value)
    return Job(**values)


def job_with(job: Job, changes: Mapping[str, Any]) -> Job:
    """The job after columns of its row have changed."""
    fields: dict[str, Any] = {}
    for name, value in changes.items():
        if name in _NAMES:
            convert = _READ.get(name)
            fields[name] = value if convert is None else convert(value)
    return changed(job, **fields)


def column_values(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values as the columns take them: money in millionths (rounded up), flags as 0 or 1, the rest of it as JSON."""
    return {
        name: value
        if type(value) in _PLAIN or (type(value) is str and value.isascii() and "\0" not in value)
        else _writable(_column(value))
        for name, value in changes.items()
    }


def _column(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):  # a word of an enumeration
        return str(value)
    if isinstance(value, Decimal):
        return to_micros(value, up=True)
    if isinstance(value, Timings):
        value = value.to_dict()
    if isinstance(value, Mapping):
        value = dict(value)
    return json.dumps(value, default=str, sort_keys=True, ensure_ascii=False)


def _writable(value: Any) -> Any:
    """Text without half a character, and without character 0: a vendor may send one, and not every database takes it."""
    if not isinstance(value, str):
        return value
    value = value.replace("\0", "\ufffd")
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace").decode()
    return value


_RUN_JSON = ("request", "plan", "estimate", "options", "tags", "notes", "error")


def run_of(row: Values) -> dict[str, Any]:
    """A row of `runs`, with its JSON columns read and its money in dollars."""
    plain = dict(row)
    for name in _RUN_JSON:
        plain[name] = json.loads(plain[name]) if plain[name] else None
    for name in ("max_cost", "cost", "imputed"):
        plain[name] = money(plain[name])
    return plain
