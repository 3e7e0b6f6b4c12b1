"""Money: `Decimal` US dollars outside, whole millionths of a dollar in the ledger."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from vidorch.errors import InvalidRequest, shown

__all__ = ["MOST", "from_micros", "show_usd", "to_micros", "usd"]

MICRO = Decimal("0.000001")
MOST = Decimal(10_000_000)
_PLAIN = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")


def usd(value: Any, field: str) -> Decimal:
    """An amount the caller gave, as `Decimal`. Floats are not taken: 0.1 is not a tenth.

    Text is digits and a point, with or without a dollar sign: `1e5` may be a slip of the finger, and `1_000` is no price tag.

    Raises:
        InvalidRequest: not an amount from 0 to 10 million; or a part of a millionth, which nobody could count.
    """
    allowed = f"an amount in USD from 0 to {MOST:,}, in plain digits as text, int or Decimal, such as '3.00'"
    bad = InvalidRequest(
        f"{field}={shown(value)} cannot be used. Allowed is {allowed}.",
        field=field,
        value=value,
        allowed=allowed,
    )
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise bad
    text = value.strip().removeprefix("$") if isinstance(value, str) else ""
    try:
        amount = Decimal(text if isinstance(value, str) else value)
    except (InvalidOperation, ValueError):
        raise bad from None
    if not amount.is_finite() or not 0 <= amount <= MOST or 0 < amount < MICRO:
        raise bad
    if isinstance(value, str) and not _PLAIN.fullmatch(text):
        bad.hint = f"Write it as '{amount:f}'."
        raise bad
    return amount.copy_abs()  # there is no minus zero in a till


def to_micros(amount: Decimal, *, up: bool = False) -> int:
    """Whole millionths; `up` rounds any rest upwards, as reservations do."""
    return int((amount / MICRO).to_integral_value(ROUND_CEILING if up else ROUND_HALF_EVEN))


def from_micros(micros: int) -> Decimal:
    """Millionths back to dollars, without needless zeros but with at least cents."""
    amount = Decimal(micros) * MICRO
    cents = amount.quantize(Decimal("0.01"))
    return cents if cents == amount else amount.normalize()


def show_usd(amount: Decimal) -> str:
    """`$1.20`; more digits only where they matter."""
    cents = amount.quantize(Decimal("0.01"))
    return f"${cents}" if cents == amount else f"${amount.normalize():f}"
