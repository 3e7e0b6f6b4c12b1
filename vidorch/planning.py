"""The ordered offers that can serve a request, and, for each one left out, the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from vidorch.errors import MissingCredentials, Retired, Unsupported
from vidorch.estimating import Estimate, EstimateLine, LeftOut
from vidorch.inputs import without_secrets
from vidorch.offer import Offer, Route
from vidorch.price import Priced, Range
from vidorch.request import Request

__all__ = ["NOT_HERE", "Plan", "PlannedOffer", "estimate_of", "settings_of"]

NOT_HERE = "provider not in this version"
"""What `needs` says where the code that speaks to an offer is not installed."""

_TOLD = 8
"""Reasons that an error says; a route has a whole market of them."""
_WRITTEN = 20
"""Offers left out that the ledger keeps with a run."""
_BUILT_IN = "local/mini"
_SETTINGS = (
    "duration", "resolution", "aspect_ratio", "size", "audio", "seed", "negative_prompt", "camera", "loras",
    "steps", "guidance", "fit", "extra",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PlannedOffer:
    """One purchase that would do.

    Attributes:
        asked: the request that this offer was to serve (with the overrides of its `Choice`).
        request: as bought: every setting filled that the route has. A seed not asked for is drawn later.
        billed_seconds, cost, seconds: for one clip; `seconds` is None when nobody knows how long it takes.
        seconds_seen: of how many clips made here `seconds` comes; 0 where it is the catalog's range.
        needs: what is missing to run it; empty in a plan that is to run. notes: for people.
        samples: how many clips one submit yields.
        at_once: how many jobs its endpoint takes at once; None for any number.
        trim_to: seconds to cut the clip to after it was made; None to leave it.
        priced: with the price row that was used. unpriced: nobody knows what it costs; `cost` is zero then.
        choice: which model of the caller's list it serves, aliases taken apart, counted from 0; with a route all are one.
        alias: the name that the caller gave, where that stands for this model by configuration; else empty.
        spending: whether its cost is money. imputed: USD that one's own hardware takes for one clip and that nobody pays; None
            where it takes none, or nobody knows. device: the class of that hardware, and the preset of its endpoint.
    """

    offer: Offer
    route: Route
    asked: Request
    request: Request
    priced: Priced
    cost: Range[Decimal]
    billed_seconds: Decimal = Decimal(0)
    seconds: Range[float] | None = None
    needs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    samples: int = 1
    at_once: int | None = None
    trim_to: float | None = None
    unpriced: bool = False
    choice: int = 0
    seconds_seen: int = 0
    alias: str = ""
    spending: bool = True
    imputed: Range[Decimal] | None = None
    device: str = ""

    @property
    def in_all(self) -> Range[Decimal]:
        """USD for one clip, paid or imputed: what offers are compared by. What is imputed and not known counts nothing."""
        return self.cost if self.imputed is None else self.imputed

    def line(self) -> EstimateLine:
        """The line of an estimate, for all candidates."""
        row, price, candidates = self.priced.row or self.priced.hour, self.offer.price, self.asked.candidates
        rounds = -(-candidates // self.at_once) if self.at_once else 1
        return EstimateLine(
            offer=self.offer.name,
            task=self.route.task,
            cost=self.cost.times(candidates),
            seconds=self.seconds.times(rounds) if self.seconds else None,
            seconds_seen=self.seconds_seen,
            asked=settings_of(self.asked),
            bought=settings_of(self.request),
            billed_seconds=self.billed_seconds,
            unit_price=self.priced.in_words(self.offer),
            price_source=row.source if row else price.source,
            price_as_of=row.as_of if row else price.as_of,
            confirmed=row is None or row.confirmed,
            needs=self.needs,
            notes=self.notes,
            rule=price.rule,
            imputed=self.imputed.times(candidates) if self.imputed else None,
        )

    def describe(self, line: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """JSON-ready: asked, bought, billed. `line`: its line as a dictionary, where that is made already."""
        return {
            "route": self.route.path,
            "trim_to": self.trim_to,
            "samples": self.samples,
            **(self.line().to_dict() if line is None else line),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What can be done about a request.

    Attributes:
        entries: in order of preference. left_out: the others that were asked for, with every reason.
        notes: what holds for all of it. catalog_as_of: the newest day on which the catalog was read.
        alternatives: live offers for this very request, at most three, as
            `"fal/kling-3.0-pro ($0.56; needs FAL_KEY)"`; looked for only when there is no entry.
        hosted: whether the provider of any hosted model is in this version.
    """

    request: Request
    entries: tuple[PlannedOffer, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    catalog_as_of: date | None = None
    alternatives: tuple[str, ...] = ()
    hosted: bool = True

    @property
    def candidates(self) -> int:
        """How many clips are to be made."""
        return self.request.candidates

    def require(self) -> tuple[PlannedOffer, ...]:
        """The entries, at least one.

        Raises:
            MissingCredentials: an offer would do if its key were there.
            Retired: everything that was named is switched off.
            Unsupported: nothing that was named can do what was asked; carries every reason.
        """
        if self.entries:
            return self.entries
        reasons = {one.offer_name: one.reason for one in self.left_out}
        told = [f"{name}: {reason}" for name, reason in reasons.items()]
        more = (
            [f"and {len(told) - _TOLD} others, which `vidorch estimate --compare` tells"]
            if len(told) > _TOLD
            else []
        )
        said = "; ".join((*told[:_TOLD], *more))
        for one in self.left_out:
            if one.kinds == {"credentials"}:
                raise MissingCredentials(
                    f"{one.offer_name} {one.reason}, and it is not set. Nothing was sent.",
                    hint=f"Set {one.variables[0]}, or: vidorch setup {one.offer_name.partition('/')[0]}. The built-in model, "
                    f"{_BUILT_IN}, needs no key.",
                    variable=one.variables[0],
                )  # fmt: skip
        if self.left_out and all("retired" in one.kinds for one in self.left_out):
            raise Retired(
                f"No such model any more. {said}. Nothing was sent.",
                hint=self._advice(),
                reasons=reasons,
                offers=self.alternatives,
            )
        raise Unsupported(
            f"This request cannot be served. {said}. Nothing was sent.",
            hint=self._advice(), reasons=reasons, offers=self.alternatives,
        )  # fmt: skip

    def _advice(self) -> str:
        said = [f"What can serve this request: {', '.join(self.alternatives)}."] if self.alternatives else []
        if not self.hosted:
            said.append(
                "No provider for a hosted model is in this version of vidorch; "
                "`vidorch estimate --compare` knows their prices."
            )
        elif not self.alternatives:
            said.append("No other offer whose provider is in this version can serve it as it is.")
        return " ".join(said)

    def describe(
        self, estimate: Mapping[str, Any] | None = None, request: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """JSON-ready form for the ledger: asked, bought and billed by entry, what was left out and why.

        Args:
            estimate: what `estimate_of` gave for this plan, as a dictionary, where it was asked already. request: its
                request described, likewise.
        """
        lines = [None] * len(self.entries) if estimate is None else estimate["lines"]
        return {
            "asked": self.request.describe() if request is None else request,
            "candidates": self.candidates,
            "entries": [entry.describe(line) for entry, line in zip(self.entries, lines, strict=True)],
            "left_out": [one.describe() for one in self.left_out[:_WRITTEN]],
            "left_out_more": max(len(self.left_out) - _WRITTEN, 0),
            "notes": list(self.notes),
            "catalog_as_of": str(self.catalog_as_of) if self.catalog_as_of else None,
        }


def estimate_of(plan: Plan) -> Estimate:
    """What a plan will cost and how long it will take."""
    return Estimate(
        lines=tuple(entry.line() for entry in plan.entries),
        left_out=plan.left_out,
        notes=plan.notes,
        candidates=plan.candidates,
        catalog_as_of=plan.catalog_as_of,
    )


def settings_of(request: Request) -> dict[str, Any]:
    """The settings of a request, JSON-ready, without prompt, media and secrets."""
    seen: dict[str, Any] = {}
    for name in _SETTINGS:
        value = getattr(request, name)
        if value is None or value == () or value == {}:
            continue
        seen[name] = (
            f"{value[0]}x{value[1]}"
            if name == "size"
            else without_secrets(value)
            if name in ("loras", "extra")
            else value
        )
    return seen
