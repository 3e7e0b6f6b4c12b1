"""The `[offer.weights]` table: of a model for one's own hardware, where its weights are, what they need, how it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from vidorch.offer import FewSteps, Lora, Route, Weights
from vidorch.request import RESOLUTIONS
from vidorch.tables import Table

__all__ = ["DEFAULTS", "PLACEMENTS", "read_weights"]

PLACEMENTS: tuple[str, ...] = ("gpu", "fp8", "model-offload", "group-offload", "cpu")
"""Where a model may lie while it works, the fastest first: what `memory` says the need of."""

_MOST_BYTES = 10**15  # a petabyte: no model of this world is larger, and a slip of a digit or three is found
_SOURCE = r"[^\s:](?:[^:\n]*[^\s:])?"
_LORA = r"[^\s:](?:[^:\n]*[^\s:])?(?::[^\s:\\/](?:[^:\n\\]*[^\s:\\])?)?"
_HUB_OR_FOLDER = "a hub id such as 'owner/name', or a folder"


def _above_zero(value: Any) -> bool:
    return type(value) in (int, Decimal) and 0 < value <= 1000


def _weight(value: Any) -> bool:
    return type(value) in (int, Decimal) and 0 <= value <= 100


def _falling(value: Any) -> bool:
    """Noise levels of the steps of one clip."""
    if not isinstance(value, list) or not all(_above_zero(one) and one <= 1 for one in value):
        return False
    return bool(value) and all(one > then for one, then in pairwise(value))


DEFAULTS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "steps": ("a whole number from 1 to 1000", lambda value: type(value) is int and 1 <= value <= 1000),
    "guidance": ("a number from 0 to 100", _weight),
    "guidance_2": ("a number from 0 to 100", _weight),
    "negative_prompt": ("text", lambda value: isinstance(value, str)),
    "strength": ("a number over 0, at most 1", lambda value: _above_zero(value) and value <= 1),
    "sampler": ("unipc, euler or lcm", lambda value: value in ("unipc", "euler", "lcm")),
    "sigmas": ("numbers over 0, at most 1, each below the one before it", _falling),
}
"""What a call may be made with unless it is given, and what each may be."""


def read_weights(table: Table, routes: Iterable[Route]) -> Weights | None:
    """The offer's weights, every value checked, and that its sizes and lengths can be made with them; None where it has none.

    Raises:
        CatalogError: with file, line and field.
    """
    rows = table.table("weights")
    if "weights" not in table.data:
        return None
    weights = Weights(
        source=rows.text("source", pattern=_SOURCE, wanted=_HUB_OR_FOLDER),
        revision=rows.text("revision", ""),
        download_bytes=_bytes(rows, "download_bytes"),
        memory=_memory(rows.table("memory")),
        frame_step=rows.whole("frame_step", 4, least=1),
        size_multiple=rows.whole("size_multiple", 16, least=1),
        defaults=_defaults(rows.table("defaults")),
        flow_shift=_flow_shift(rows),
        loras=tuple(_lora(row) for row in rows.tables("loras")),
        few_steps=_few_steps(rows),
    )
    rows.done()
    for route in routes:
        _check_route(table, route, weights)
    return weights


def _bytes(table: Table, key: str) -> int | None:
    wanted = "a whole number of bytes over 0"
    right = lambda value: type(value) is int and 0 < value <= _MOST_BYTES  # noqa: E731
    value: int | None = table.take(key, None, wanted, right)
    return value


def _memory(table: Table) -> dict[str, int]:
    needs = {name: _bytes(table, name) for name in PLACEMENTS}
    table.done()
    return {name: need for name, need in needs.items() if need is not None}


def _defaults(table: Table) -> dict[str, Any]:
    given = {
        name: table.take(name, None, wanted, right)
        for name, (wanted, right) in DEFAULTS.items()
        if name in table.data
    }
    table.done(DEFAULTS)
    return {name: _plain(value) for name, value in given.items()}


def _plain(value: Any) -> Any:
    """Without the decimals that files are read with."""
    if isinstance(value, list):
        return tuple(float(one) for one in value)
    return float(value) if isinstance(value, Decimal) else value


def _few_steps(rows: Table) -> FewSteps | None:
    """A distillation of these weights."""
    table = rows.table("few_steps")
    if "few_steps" not in rows.data:
        return None
    loras = tuple(_lora(row) for row in table.tables("loras"))
    if not loras:
        raise table.error("loras", "is missing: a distillation is at least one file.")
    few = FewSteps(loras, _defaults(table.table("defaults")), _flow_shift(table))
    table.done()
    return few


def _flow_shift(table: Table) -> dict[str, float]:
    shifts = table.table("flow_shift")
    made = {}
    for name in shifts.data:
        if name not in RESOLUTIONS:
            raise shifts.error(name, f"is no resolution. It has to be one of {', '.join(RESOLUTIONS)}.")
        made[name] = float(shifts.take(name, None, "a number over 0", _above_zero))
    return made


def _lora(table: Table) -> Lora:
    scale = table.take(
        "scale",
        1,
        "a number from -10 to 10",
        lambda value: type(value) in (int, Decimal) and abs(value) <= 10,
    )
    lora = Lora(
        source=table.text(
            "source", pattern=_LORA, wanted="a file, a folder or a hub id, a file inside it after a colon"
        ),
        scale=float(scale),
        expert=table.take(
            "expert", "", "high, low, or left out for both", lambda value: value in ("", "high", "low")
        ),
    )
    table.done()
    return lora


def _check_route(table: Table, route: Route, weights: Weights) -> None:
    """A size or a length that these weights cannot make would fail after minutes of work, or be another one."""
    able, where = route.capabilities, ("routes", route.task, "capabilities")
    for name, size in able.sizes.items():
        if any(side % weights.size_multiple for side in size):
            raise table.source.error(
                f"{size[0]}x{size[1]} is no multiple of size_multiple, {weights.size_multiple}, on both sides.",
                _nearest(table, where, "sizes", name),
                table.offer,
            )
    for fps in able.fps:
        lengths = able.durations.choices or tuple(
            length for length in (able.durations.least, able.durations.step) if able.durations.least is not None and length
        )  # fmt: skip
        for length in lengths:
            frames = Fraction(length) * fps
            if frames % weights.frame_step:
                raise table.source.error(
                    f"{length} s at {fps} frames per second are {float(frames):g} frames, no multiple of frame_step, "
                    f"{weights.frame_step}.",
                    _nearest(table, where, "durations"),
                    table.offer,
                )


def _nearest(table: Table, where: tuple[str, ...], *key: str) -> tuple[str, ...]:
    """Where a route has a capability from: its own table, else the offer's."""
    here: Any = table.data
    for name in (*where, key[0]):
        here = here.get(name) if isinstance(here, Mapping) else None
    return (*where, *key) if here is not None else ("capabilities", *key)
