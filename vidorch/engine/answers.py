"""What a provider answered, made fit to be written down. An adapter's slip must not cost the id of what was paid for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from math import isfinite
from typing import Any

from vidorch.contract import Accepted, Billed, Done, Failed, Output, Polled, Progress
from vidorch.errors import ProviderFailed, VidorchError
from vidorch.money import MOST

__all__ = ["accepted_of", "polled_of"]

LARGEST = 2**63 - 1
"""The largest whole number that a database keeps."""


def accepted_of(said: Any) -> Accepted:
    """The vendor's word that it took a job: its id as text, and of the rest what can be kept.

    Raises:
        TypeError: there is no id in it.
    """
    if not isinstance(said, Accepted) or said.remote_id in ("", None):
        raise TypeError(f"its submit gave {type(said).__name__} without an id")
    return Accepted(str(said.remote_id), _amount(said.quote), _details(said.details))


def polled_of(said: Any) -> Polled:
    """What one look found, with what is no number or no text left out.

    Raises:
        TypeError: it is none of the three answers, or its outputs are none. Then the look was lost.
    """
    if isinstance(said, Progress):
        stage = said.stage if said.stage in ("queued", "running") else "running"
        return Progress(
            stage, _number(said.fraction), _number(said.eta), _text(said.detail), _number(said.poll_after)
        )
    if isinstance(said, Done):
        outputs = _outputs(said.outputs)
        notes = (
            *_texts(said.notes),
            *(f"The seed was {one.seed}." for one in outputs if _too_large(one.seed)),
        )
        return Done(
            tuple(replace(one, seed=None) if _too_large(one.seed) else one for one in outputs), _amount(said.cost),
            said.filtered if isinstance(said.filtered, int) else 0, _texts(said.filter_reasons), _seconds(said.timings), notes,
        )  # fmt: skip
    if isinstance(said, Failed):
        error: Any = said.error
        if not isinstance(error, VidorchError):
            error = ProviderFailed(_text(error) or type(error).__name__)
        return Failed(error, bool(said.cancelled), _amount(said.cost))
    raise TypeError(f"its poll gave {type(said).__name__}")


def _amount(value: Any) -> Decimal | Billed | None:
    """An amount, in USD or in what the vendor counts; None, as if nothing had been said, for what is none."""
    if isinstance(value, Billed):
        amount = _usd(value.amount)
        return None if amount is None else Billed(amount, _text(value.unit))
    return _usd(value)


def _usd(value: Any) -> Decimal | None:
    """An amount in USD; None, as if nothing had been said, for what is none. (Less than nothing would make room in a budget.)"""
    if isinstance(value, float) and isfinite(value):
        value = Decimal(str(value))
    if isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite() or not 0 <= value <= MOST:
        return None
    return value


def _details(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {}
    try:
        kept = json.loads(json.dumps(dict(value), default=str))
    except (TypeError, ValueError, RecursionError):
        kept = {str(name): str(one) for name, one in value.items()}
    return dict(kept)


def _outputs(value: Any) -> tuple[Output, ...]:
    """Its outputs, each with a place of its own."""
    outputs = tuple(value)
    if not all(isinstance(one, Output) and isinstance(one.media_type, str) for one in outputs):
        raise TypeError("its poll gave outputs that are none")
    if len({one.index for one in outputs}) < len(outputs):
        return tuple(replace(one, index=place) for place, one in enumerate(outputs))
    return outputs


def _too_large(seed: Any) -> bool:
    return isinstance(seed, int) and abs(seed) > LARGEST


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and isfinite(value) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _texts(value: Any) -> tuple[str, ...]:
    many = [value] if isinstance(value, str) else value if isinstance(value, Iterable) else ()
    return tuple(_text(one) for one in many)


def _seconds(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping):
        return {}
    found = {str(name): _number(one) for name, one in value.items()}
    return {name: one for name, one in found.items() if one is not None}
