"""What the caller asked for, while the caller is there: only with it may anything be submitted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from vidorch.call import Call
from vidorch.clock import Ids
from vidorch.engine.purchase import Purchase
from vidorch.estimating import Estimate
from vidorch.naming import is_uncatalogued
from vidorch.planning import Plan, PlannedOffer
from vidorch.request import Request

__all__ = ["Asked", "chunks"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with everything that is needed to carry it out.

    Attributes:
        parent: the batch it belongs to; position: its line there.
        made_from: by field, the vendor's id of the job that made an input, where that is known.
    """

    request: Request
    call: Call
    plan: Plan
    estimate: Estimate
    parent: str | None = None
    position: int | None = None
    made_from: Mapping[str, str] = field(default_factory=dict)

    @property
    def entries(self) -> Sequence[PlannedOffer]:
        """The offers of the plan, in order."""
        return self.plan.entries

    def order(self, candidate: int) -> list[int]:
        """Places in the plan in the order in which one candidate tries them: with `spread`, each starts at its own model."""
        places = list(range(len(self.entries)))
        if not self.call.spread:
            return places
        models = list(dict.fromkeys(entry.choice for entry in self.entries))
        own = models[candidate % len(models)]
        return [p for p in places if self.entries[p].choice == own] + [
            p for p in places if self.entries[p].choice != own
        ]

    @property
    def at_first(self) -> Decimal:
        """USD that the first submits may cost, one for every candidate."""
        firsts = (self.order(candidate)[0] for candidate in range(self.request.candidates))
        return sum((self.entries[place].cost.high for place in firsts), Decimal(0))

    @property
    def at_most(self) -> Decimal:
        """USD that it may come to with everything that it allows: the dearest model of its list, and what is bought again."""
        call, count = self.call, self.request.candidates
        dearest = max(entry.cost.high for entry in self.entries)
        again = call.retries + call.refill + call.retry_refused * count
        again += count if call.on_unknown == "next" and len(self.entries) > 1 else 0
        return max(self.at_first, dearest * count) + dearest * again

    def samples(self, entry: int, wanted: int) -> int:
        """How many of `wanted` candidates one job of that offer yields. Seeds that were asked for hold for single clips only."""
        route = self.entries[entry].route
        seeded = self.request.seed is not None and route.capabilities.seed
        return 1 if seeded else max(1, min(route.capabilities.samples, wanted))

    def seed(self, entry: int, candidate: int, ids: Ids, *, anew: int = 0) -> int | None:
        """The seed of one candidate: `s + i`, or a fresh one where none was asked for. `anew`: how many were tried before.

        What the catalog does not list gets none unasked: whether it takes one is not known, and strict vendors refuse it.
        """
        planned = self.entries[entry]
        asked = planned.request.seed
        if not planned.route.capabilities.seed or (asked is None and is_uncatalogued(planned.offer)):
            return None
        return ids.seed() if asked is None else (asked + candidate + anew * self.request.candidates) % 2**32

    def purchase(self, entry: int, candidate: int, samples: int, ids: Ids, *, anew: int = 0) -> Purchase:
        """What is bought for `samples` candidates from `candidate` on."""
        return Purchase.of_plan(
            self.entries[entry],
            samples=samples,
            seed=self.seed(entry, candidate, ids, anew=anew),
            webhook=self.call.webhook,
            made_from=self.made_from,
        )

    def first_round(self, ids: Ids, *, without: Collection[int] = ()) -> list[tuple[int, int, Purchase]]:
        """The first purchase for every candidate, as (candidate, entry, purchase)."""
        firsts = [
            next(place for place in self.order(candidate) if place not in without)
            for candidate in range(self.request.candidates)
        ]
        found, candidate = [], 0
        while candidate < len(firsts):
            entry, alike = firsts[candidate], 1
            while candidate + alike < len(firsts) and firsts[candidate + alike] == entry:
                alike += 1
            samples = self.samples(entry, alike)
            found.append((candidate, entry, self.purchase(entry, candidate, samples, ids)))
            candidate += samples
        return found


def chunks(candidates: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbours among candidates, as (first, count)."""
    found: list[tuple[int, int]] = []
    for candidate in sorted(candidates):
        if found and sum(found[-1]) == candidate:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((candidate, 1))
    return found
