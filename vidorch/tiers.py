"""What an account may send: by its endpoint's own limits, else by the tier that it has there, else by the vendor's default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from vidorch.contract import Endpoint
from vidorch.errors import InvalidRequest
from vidorch.offer import Offer
from vidorch.request import nearest_name
from vidorch.tables import Source, Table, parse

__all__ = ["Allowed", "Tier", "VendorLimits", "allowed", "check_tier", "limits_at"]

_DATA = Path(__file__).parent / "catalog" / "tiers.toml"


@dataclass(frozen=True, slots=True)
class Tier:
    """One kind of account at a vendor.

    Attributes:
        concurrency: jobs at once. per_minute, per_day: submits within any minute and any 24 hours. None for no such limit.
        default: whether it is what an account has of which nobody says more.
    """

    name: str
    concurrency: int | None = None
    per_minute: int | None = None
    per_day: int | None = None
    default: bool = False

    def in_words(self) -> str:
        """`"3 jobs at once, 500 submits a day"`."""
        parts = (
            (self.concurrency, "jobs at once" if self.concurrency != 1 else "job at once"),
            (self.per_minute, "submits a minute"),
            (self.per_day, "submits a day"),
        )
        return ", ".join(f"{number} {what}" for number, what in parts if number is not None)


@dataclass(frozen=True, slots=True)
class VendorLimits:
    """What a vendor allows, by tier.

    Attributes:
        models: those that it holds for; empty for all. over: what becomes of a submit that is over the number of jobs at once:
            "refused", or "waits" at the vendor, at no cost. each_model: whether each model has the limits for itself.
    """

    provider: str
    tiers: tuple[Tier, ...]
    over: Literal["refused", "waits"]
    each_model: bool = False
    models: tuple[str, ...] = ()
    note: str = ""
    source: str = ""
    as_of: date | None = None
    confirmed: bool = False

    def tier(self, name: str) -> Tier | None:
        """The tier of that name; with an empty one the default that has to be kept, where there is one."""
        if name:
            return next((one for one in self.tiers if one.name == name), None)
        return next((one for one in self.tiers if one.default and self.over == "refused"), None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "over": self.over, "each_model": self.each_model, "note": self.note, "source": self.source,
            "as_of": self.as_of and str(self.as_of), "confirmed": self.confirmed,
            "tiers": {
                one.name: {
                    "concurrency": one.concurrency, "per_minute": one.per_minute, "per_day": one.per_day, "default": one.default,
                }
                for one in self.tiers
            },
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be sent for one offer from one account; None for no limit.

    Attributes:
        each_model: names of those of these limits that the model has for itself.
    """

    concurrency: int | None = None
    per_minute: int | None = None
    per_day: int | None = None
    each_model: frozenset[str] = frozenset()


@lru_cache(maxsize=1)
def _all() -> Mapping[str, tuple[VendorLimits, ...]]:
    source = Source(str(_DATA), _DATA.read_text("utf-8"), rooted=True)
    top = Table(source, parse(source))
    found: dict[str, tuple[VendorLimits, ...]] = {}
    for table in top.tables("limits"):
        one = _limits(table)
        found[one.provider] = (*found.get(one.provider, ()), one)
    top.done()
    return found


def limits_at(provider: str, model: str) -> VendorLimits | None:
    """What the vendor behind a provider allows for a model; None where nothing is known."""
    return next((one for one in _all().get(provider, ()) if not one.models or model in one.models), None)


def allowed(endpoint: Endpoint, offer: Offer) -> Allowed:
    """The limits that hold for an offer at an endpoint.

    Each is the endpoint's own where it has one, else that of its `tier`, else the vendor's default where that has to be kept.
    """
    known = limits_at(endpoint.provider, offer.model)
    if endpoint.base_url is not None and not endpoint.tier:
        known = None  # a gateway or a server of one's own has limits of its own
    tier = None if known is None else known.tier(endpoint.tier)
    if known is None or tier is None:
        return Allowed(endpoint.concurrency, endpoint.per_minute)
    # What the endpoint says itself is of the whole account, whatever the model.
    own = {name for name in ("concurrency", "per_minute") if getattr(endpoint, name) is not None}
    return Allowed(
        tier.concurrency if endpoint.concurrency is None else endpoint.concurrency,
        tier.per_minute if endpoint.per_minute is None else endpoint.per_minute,
        tier.per_day,
        frozenset({"concurrency", "per_minute", "per_day"} - own) if known.each_model else frozenset(),
    )


def check_tier(endpoint: Endpoint, where: str = "") -> None:
    """Find out whether the vendor of an endpoint has the tier that it names.

    Args:
        where: the place that names it, for the error.

    Raises:
        InvalidRequest: it has none of that name, with the nearest right one.
    """
    if not endpoint.tier:
        return
    names = list(dict.fromkeys(tier.name for one in _all().get(endpoint.provider, ()) for tier in one.tiers))
    if endpoint.tier in names:
        return
    near = nearest_name(endpoint.tier, names)
    there = f"Known are {', '.join(names)}." if names else f"No tiers of {endpoint.provider} are known."
    raise InvalidRequest(
        f"The endpoint {endpoint.name!r}{f' ({where})' if where else ''} has tier={endpoint.tier!r}, and its vendor has no such."
        f"{f' Did you mean {near!r}?' if near else ''} {there}",
        hint="concurrency and per_minute of the endpoint set its limits without a tier.", field="tier", value=endpoint.tier,
        allowed=", ".join(names) or "no tier",
    )  # fmt: skip


def _limits(table: Table) -> VendorLimits:
    limits = VendorLimits(
        provider=table.text("provider"),
        tiers=tuple(_tier(one) for one in table.tables("tier")),
        over=table.one_of("over", ("refused", "waits"), "refused"),
        each_model=table.flag("each_model", False),
        models=table.texts("models"),
        note=table.text("note", ""),
        source=table.text("source"),
        as_of=table.day("as_of"),
        confirmed=table.flag("confirmed", False),
    )
    table.done()
    return limits


def _tier(table: Table) -> Tier:
    tier = Tier(
        name=table.text("name"),
        concurrency=table.whole("concurrency", None, least=1),
        per_minute=table.whole("per_minute", None, least=1),
        per_day=table.whole("per_day", None, least=1),
        default=table.flag("default", False),
    )
    table.done()
    return tier
