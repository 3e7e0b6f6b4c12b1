"""What one clip costs: the row of an offer's price that holds for a request, and exact arithmetic on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any, Generic, TypeVar

from vidorch.contract import Endpoint
from vidorch.money import show_usd
from vidorch.offer import Offer, PriceRow, Route
from vidorch.request import RESOLUTIONS, Request

__all__ = [
    "FREE",
    "Hour",
    "Priced",
    "Range",
    "is_sold",
    "is_spending",
    "price_at",
    "price_of",
    "rate_of",
    "resolution_of",
    "usd_of_hours",
]

N = TypeVar("N", Decimal, float)

_MICRO = Decimal("0.000001")
# No product of catalog numbers is rounded before the last step, whatever the caller's own context is.
_EXACT = Context(prec=60)


@dataclass(frozen=True, slots=True)
class Range(Generic[N]):
    """Low, expected and high: USD as `Decimal`, or seconds as `float`."""

    low: N
    expected: N
    high: N

    def times(self, count: int) -> Range[N]:
        """The same for `count` of them."""
        return Range(self.low * count, self.expected * count, self.high * count)


FREE: Range[Decimal] = Range(Decimal(0), Decimal(0), Decimal(0))


@dataclass(frozen=True, slots=True)
class Hour:
    """What an hour of the hardware costs that a model runs on.

    Attributes:
        usd: None where nobody knows. device: the class of the machine, "" for a server elsewhere.
        source, as_of, confirmed: where that comes from, when it was read, is it sure.
    """

    usd: Decimal | None
    device: str = ""
    source: str = ""
    as_of: date | None = None
    confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Priced:
    """The price of one clip.

    Attributes:
        cost: USD, rounded up to a millionth; None when no bounded price is known, and then `reason` says why.
        row: the row that was used; None where it is free or unpriced.
        billed_seconds: what the vendor counts; 0 where it counts none. Of one's own hardware the seconds that it takes.
        hour: what an hour of that costs, where it is priced so.
    """

    cost: Range[Decimal] | None
    row: PriceRow | None = None
    billed_seconds: Decimal = Decimal(0)
    reason: str = ""
    hour: Hour | None = None

    def in_words(self, offer: Offer) -> str:
        """The unit price: `"$0.168 per second"`, `"12 credit ($0.12) per second"`, `"free"`."""
        if offer.price.rule == "free":
            return "free"
        if self.hour is not None and self.hour.usd is not None:
            of = f" of {self.hour.device}" if self.hour.device else ""
            return f"{show_usd(self.hour.usd)} per hour{of}"
        if self.row is None:
            return "not known"
        amounts = (
            (self.row.fixed, "per clip"),
            (self.row.per_second, "per second"),
            (self.row.per_input_second, "per second of input"),
            (self.row.per_megapixel, "per megapixel"),
            (self.row.per_million_tokens, "per million tokens"),
        )
        return " + ".join(f"{_amount(amount, offer)} {per}" for amount, per in amounts if amount) or "free"


def price_of(
    offer: Offer, request: Request, route: Route, *, input_seconds: Decimal | None = None, hour: Hour | None = None,
    takes: Range[float] | None = None,
) -> Priced:  # fmt: skip
    """Price one clip of a request as it will be bought: every field that a price depends on is filled.

    Args:
        input_seconds: length of the source clip or sound, for prices that count it and clips that last as long.
        hour, takes: of one's own hardware: what an hour of it costs, and the seconds that it takes; None where nobody knows.
    """
    if offer.price.rule == "hours":
        return _of_hours(hour or Hour(None), takes)
    seconds = None if request.duration is None else _exactly(request.duration)
    return price_at(offer, _facts(request, route, seconds), input_seconds=input_seconds)


def price_at(offer: Offer, facts: Mapping[str, Any], *, input_seconds: Decimal | None = None) -> Priced:
    """Price one clip of which everything is known that a price can depend on.

    Args:
        facts: by the names in `vidorch.catalog.offers.CONDITIONS`; `duration` in seconds, None for a clip as long as its source.
            Besides these `pixels` of a frame and `fps`, for what is priced by them; left out where they are not known.
    """
    seconds: Decimal | None = facts["duration"]
    if offer.price.rule == "free":
        return Priced(FREE, billed_seconds=seconds or Decimal(0))
    if offer.price.rule == "hours":
        return _of_hours(Hour(None), None)
    if offer.price.rule == "unpriced":
        return _unpriced(offer.price.note or "no bounded price is known")
    row = _row(offer, facts)
    if row is None:
        said = ", ".join(
            f"{key} {_word(value)}"
            for key, value in facts.items()
            if _matters(offer, key) and value is not None
        )
        return _unpriced(f"no price is known for {said or 'this request'}")
    if row.per_second and seconds is None and input_seconds is None:
        return _unpriced("it is priced by the second, and how long the clip will be is not known")
    if row.per_input_second and input_seconds is None:
        return _unpriced("seconds of the source clip are billed, and how long it is is not known")
    counted = _counted(row, facts, seconds, input_seconds)
    if isinstance(counted, str):
        return _unpriced(counted)
    source = input_seconds or Decimal(0)
    if row.per_input_second and not row.per_second:  # minimum and blocks are of what is counted
        billed = source = _billed(row, source)
    else:
        billed = _billed(row, source if seconds is None else seconds)
    base = _EXACT.add(_EXACT.add(row.fixed, counted), _EXACT.multiply(row.per_input_second, source))
    dearest = row.per_second if row.high_per_second is None else row.high_per_second
    expected, high = (
        _usd(offer, _EXACT.add(base, _EXACT.multiply(rate, billed))) for rate in (row.per_second, dearest)
    )
    return Priced(Range(expected, expected, high), row, billed)


def usd_of_hours(usd_per_hour: Decimal, seconds: float) -> Decimal:
    """USD for so many seconds of hardware that costs so much an hour, rounded up to a millionth.

    The one rule for one's own hardware: estimates, reservations and what is booked in the end all go by it.
    """
    return _whole(_EXACT.divide(_EXACT.multiply(usd_per_hour, _exactly(max(seconds, 0.0))), Decimal(3600)))


def is_spending(offer: Offer, endpoint: Endpoint | None) -> bool:
    """Whether what an offer costs is money: what one's own hardware takes is only where its endpoint says `billed = true`."""
    if offer.price.rule == "hours":
        return endpoint is not None and endpoint.billed
    return offer.price.rule != "free"


def _of_hours(hour: Hour, takes: Range[float] | None) -> Priced:
    if hour.usd is None:
        of = f" of {hour.device}" if hour.device else ""
        return Priced(
            None,
            reason=f"what an hour{of} costs is not known; usd_per_hour of its endpoint says it",
            hour=hour,
        )
    if not hour.usd:
        return Priced(FREE, billed_seconds=_exactly(takes.expected) if takes else Decimal(0), hour=hour)
    if takes is None:
        return Priced(None, reason="how long it takes on this hardware is not known yet", hour=hour)
    low, expected, high = (usd_of_hours(hour.usd, one) for one in (takes.low, takes.expected, takes.high))
    return Priced(Range(low, expected, high), billed_seconds=_exactly(takes.expected), hour=hour)


def rate_of(offer: Offer, route: Route | None, settings: Mapping[str, Any], unit: str = "") -> Decimal | None:
    """USD for one of what the vendor counts, for vendors that report how many they billed.

    Args:
        settings: what was bought, as `Request.describe` writes it. unit: "second" or "clip"; "" for whichever it is.

    Returns:
        None where the price has more than one part, so that one number does not tell what it comes to.
    """
    if route is None:
        return None
    seconds, size = settings.get("duration"), settings.get("size")
    pixels = tuple(int(side) for side in (size.split("x") if isinstance(size, str) else size or ()))
    facts = {
        "resolution": settings.get("resolution") or _resolution_of(pixels, route),
        "audio": bool(settings.get("audio")),
        "task": route.task,
        "references": bool(settings.get("reference_images")),
        "duration": None if seconds is None else _exactly(float(seconds)),
    }
    row = _row(offer, facts)
    if row is None:
        return None
    by_time = {rate for rate in (row.per_second, row.per_input_second) if rate}
    by_size = {rate for rate in (row.per_megapixel, row.per_million_tokens) if rate}
    rates = by_time | by_size | ({row.fixed} if row.fixed else set())
    if by_size and (by_time or row.fixed or unit):
        return None
    if len(rates) != 1 or (unit == "second" and row.fixed) or (unit == "clip" and by_time):
        return None
    if unit == "second" and (row.minimum_seconds or row.block_seconds):
        return None  # the seconds of a clip are not those that are billed
    return _EXACT.multiply(rates.pop(), offer.price.usd_per_unit)


def _counted(
    row: PriceRow, facts: Mapping[str, Any], seconds: Decimal | None, input_seconds: Decimal | None
) -> Decimal | str:
    """What a clip's pixels and tokens come to, in the price's unit; or why nobody knows."""
    if not row.per_megapixel and not row.per_million_tokens:
        return Decimal(0)
    pixels = facts.get("pixels")
    if pixels is None:
        return "it is priced by its pixels, and how many it will have is not known"
    megapixels = Decimal(-(-int(pixels) // 1_000_000))
    amount = _EXACT.multiply(row.per_megapixel, megapixels)
    if row.per_million_tokens:
        fps, lasts = facts.get("fps"), input_seconds if seconds is None else seconds
        if fps is None or lasts is None:
            return "it is priced by tokens, and how many frames it will have is not known"
        both = _EXACT.add(lasts, input_seconds or Decimal(0))
        frames = _EXACT.divide(_EXACT.multiply(both, Decimal(fps.numerator)), Decimal(fps.denominator))
        tokens = _EXACT.divide(_EXACT.multiply(Decimal(pixels), frames), Decimal(1024))
        millions = _EXACT.divide(tokens, Decimal(1_000_000))
        amount = _EXACT.add(amount, _EXACT.multiply(row.per_million_tokens, millions))
    return amount


def _pixels(request: Request, route: Route) -> int | None:
    """Pixels of a frame of a request as bought; None where only the vendor knows them."""
    size = request.size
    if size is None and request.resolution is not None:
        size = route.capabilities.sizes.get(f"{request.resolution} {request.aspect_ratio}")
    return None if size is None else size[0] * size[1]


def resolution_of(request: Request, route: Route) -> str | None:
    """The resolution's name of a request as bought, also where the vendor's pixels bear no such name."""
    if request.resolution is not None or request.size is None:
        return request.resolution
    return _resolution_of(request.size, route)


def _resolution_of(pixels: tuple[int, ...], route: Route) -> str | None:
    if not pixels:
        return None
    for name, size in route.capabilities.sizes.items():
        if size == pixels:
            return name.partition(" ")[0]
    return next((name for name, side in RESOLUTIONS.items() if side == min(pixels)), None)


def _row(offer: Offer, facts: Mapping[str, Any]) -> PriceRow | None:
    """The row that holds for a request: the one with the most conditions."""
    rows = [
        row for row in offer.price.rows if all(facts.get(key) in values for key, values in row.when.items())
    ]
    return max(rows, key=lambda row: len(row.when), default=None)


def is_sold(offer: Offer, route: Route, resolution: str | None, seconds: Decimal | None) -> bool:
    """Whether the price has a row for this resolution in this length, whatever else it depends on; None stands for any.

    Vendors that make some lengths in some resolutions alone are known by it. What has no table of prices sells everything.
    """
    rows = offer.price.rows if offer.price.rule == "table" else ()
    for row in rows:
        when = row.when
        if (
            ("task" not in when or route.task in when["task"])
            and (resolution is None or "resolution" not in when or resolution in when["resolution"])
            and (seconds is None or "duration" not in when or seconds in when["duration"])
        ):
            return True
    return not rows


def _facts(request: Request, route: Route, seconds: Decimal | None) -> dict[str, Any]:
    """What the conditions of a row are compared with, by the names in `vidorch.catalog.offers.CONDITIONS`."""
    return {
        "resolution": resolution_of(request, route),
        "audio": bool(request.audio),
        "task": route.task,
        "references": bool(request.reference_images),
        "duration": seconds,
        "pixels": _pixels(request, route),
        "fps": route.capabilities.fps[0] if route.capabilities.fps else None,
    }


def _exactly(seconds: float) -> Decimal:
    """The number that was meant: 0.1 as a tenth, 8.0 as 8."""
    number = Decimal(repr(seconds))
    return Decimal(int(number)) if number == int(number) else number


def _billed(row: PriceRow, seconds: Decimal) -> Decimal:
    billed = max(seconds, row.minimum_seconds)
    if row.block_seconds:
        blocks = _EXACT.divide(billed, row.block_seconds).to_integral_value(ROUND_CEILING)
        billed = _EXACT.multiply(blocks, row.block_seconds)
    return billed


def _usd(offer: Offer, units: Decimal) -> Decimal:
    return _whole(_EXACT.multiply(units, offer.price.usd_per_unit))


def _whole(usd: Decimal) -> Decimal:
    """Rounded up to a millionth, and without needless zeros after the cents."""
    amount = usd.quantize(_MICRO, ROUND_CEILING, _EXACT)
    cents = amount.quantize(Decimal("0.01"), ROUND_CEILING, _EXACT)
    return cents if cents == amount else amount.normalize(_EXACT)


def _amount(amount: Decimal, offer: Offer) -> str:
    if offer.price.unit == "usd":
        return show_usd(amount)
    in_usd = show_usd(_EXACT.multiply(amount, offer.price.usd_per_unit))
    return f"{amount.normalize():f} {offer.price.unit}{'s' * (amount != 1)} ({in_usd})"


def _matters(offer: Offer, key: str) -> bool:
    return any(key in row.when for row in offer.price.rows)


def _word(value: Any) -> str:
    return str(value) if not isinstance(value, bool) else "on" if value else "off"


def _unpriced(reason: str) -> Priced:
    return Priced(None, reason=reason)
