"""Which offers take a request, and in which order: from names and the catalog to a plan. Nothing is sent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from decimal import Decimal
from math import inf
from types import MappingProxyType
from typing import Literal, TypeVar

from vidorch.catalog import Catalog
from vidorch.choice import Choice
from vidorch.considering import WORKING, MediaLength, Planner, Took
from vidorch.contract import Admission, Endpoint
from vidorch.errors import InvalidRequest
from vidorch.estimating import LeftOut
from vidorch.fitting import ImageSize
from vidorch.frozen import changed
from vidorch.inputs import Media
from vidorch.money import show_usd
from vidorch.naming import BUILT_IN, Aliases, by_name, market, not_named, offers_at
from vidorch.offer import Offer
from vidorch.planning import Plan, PlannedOffer
from vidorch.price import Hour
from vidorch.request import Request, nearest_name

__all__ = ["make_plan"]

T = TypeVar("T")

_ADVISED = 3


def make_plan(
    request: Request,
    models: Sequence[str | Choice],
    *,
    route: Literal["cheapest", "fastest"] | None = None,
    took: Took | None = None,
    hour: Callable[[Offer], Hour] | None = None,
    aliases: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    catalog: Catalog,
    endpoints: Mapping[str, Endpoint],
    installed: Collection[str],
    has_credentials: Callable[[Offer], bool],
    admit: Callable[[Offer, Request], Admission],
    today: date,
    to_run: bool,
    image_size: ImageSize | None = None,
    length: MediaLength | None = None,
    allow_unpriced: bool = False,
    max_cost: Decimal | None = None,
) -> Plan:
    """Plan a request.

    Args:
        models: in order of preference: `"endpoint/model"` pins; a bare model name stands for all its
            endpoints, cheapest first; `"fal:owner/name"` is one that the catalog does not list; empty means the
            built-in model alone, or with `route` every other.
        route: an order over all of them, instead of the caller's. took: how long such clips took here. hour: what an hour
            of the hardware costs that an offer runs on.
        aliases: other names of models, each for one or several in order of preference.
        endpoints: the configured ones, by name. installed: names of the providers that are here.
        has_credentials: whether an offer's key is there.
        admit: the provider's own word, offline, on a request as bought.
        today: the day that lifecycles are compared with.
        to_run: leave out what cannot run here for want of a provider or a key; otherwise say so in `needs`.
        image_size: width and height of an image; None leaves all images' shapes unknown.
        allow_unpriced: keep offers whose price nobody knows. max_cost: USD that the call may cost: what is held for an
            offer that the catalog does not list.
        length: seconds of a clip or a sound; None leaves all lengths unknown.

    Raises:
        InvalidRequest: an unknown model (with the nearest right name); `extra` for nobody, or for what
            vidorch sets itself.
    """
    offers = offers_at(catalog, endpoints)
    resolve = Aliases(aliases)
    named = by_name(offers)
    _check_owners(request, offers, endpoints, installed)
    planner = Planner(
        endpoints,
        installed,
        has_credentials,
        admit,
        today,
        _once_each(image_size),
        allow_unpriced,
        max_cost,
        _once_each(length),
        took,
        hour,
    )
    entries: list[PlannedOffer] = []
    left_out: dict[str, LeftOut] = {}
    seen: dict[str, list[Request]] = {}
    item = -1
    for one in models or ((BUILT_IN,) if route is None else market(offers)):
        choice = one if isinstance(one, Choice) else Choice(one)
        asked = choice.applied_to(request)
        for model in resolve(choice.model):
            item += 0 if route else 1
            group: list[PlannedOffer] = []
            alias = "" if model == choice.model else choice.model
            for offer in named.get(model) or not_named(model, offers):
                before = seen.setdefault(offer.name, [])
                if asked in before:
                    continue
                before.append(asked)
                considered = planner.consider(offer, asked, to_run=to_run)
                if isinstance(considered, LeftOut):
                    left_out[offer.name] = considered
                else:
                    notes = (*considered.notes, *([f"{alias} stands for {model} here"] if alias else []))
                    group.append(changed(considered, choice=max(item, 0), alias=alias, notes=notes))
            entries += sorted(group, key=_by_cost)
    if route is not None:
        entries.sort(key=_by_cost if route == "cheapest" else _by_time)
    entries.sort(key=lambda entry: planner.reported_gone(entry.offer))
    hosted = any(offer.provider in installed for offer in offers if offer.price.rule not in ("free", "hours"))
    advised = () if entries else _alternatives(planner, request, offers, left_out)
    return Plan(request, tuple(entries), tuple(left_out.values()), (), catalog.as_of, advised, hosted)


def _check_owners(
    request: Request, offers: Sequence[Offer], endpoints: Collection[str], installed: Collection[str]
) -> None:
    owners = {*endpoints, *installed}
    for offer in offers:
        owners |= {offer.endpoint, offer.provider}
    for owner in request.extra:
        if owner not in owners:
            near = nearest_name(owner, sorted(owners))
            raise InvalidRequest(
                f"extra names {owner!r}: no such endpoint.{f' Did you mean {near!r}?' if near else ''}",
                field="extra", value=owner, allowed=", ".join(sorted(owners)),
            )  # fmt: skip


def _alternatives(
    planner: Planner, request: Request, offers: Sequence[Offer], passed: Collection[str]
) -> tuple[str, ...]:
    """Live offers for this very request whose provider is here: different models, cheapest first."""
    best: dict[str, PlannedOffer] = {}
    for offer in offers:
        if offer.name in passed or offer.provider not in planner.installed or planner.reported_gone(offer):
            continue
        try:
            entry = planner.consider(offer, request, to_run=False)
        except InvalidRequest:  # `extra` speaks to this offer in a way it does not take: not one to advise
            continue
        if isinstance(entry, LeftOut) or any(need.startswith(WORKING) for need in entry.needs):
            continue
        if (
            offer.weights is not None and entry.needs
        ):  # gigabytes to fetch are no advice to somebody who wants a clip
            continue
        if offer.model not in best or _by_cost(entry) < _by_cost(best[offer.model]):
            best[offer.model] = entry
    return tuple(_advised(entry) for entry in sorted(best.values(), key=_by_cost)[:_ADVISED])


def _by_cost(entry: PlannedOffer) -> tuple[Decimal, Decimal, str]:
    return entry.in_all.expected, entry.in_all.high, entry.offer.name


def _by_time(entry: PlannedOffer) -> tuple[float, Decimal, str]:
    seconds = inf if entry.seconds is None else entry.seconds.expected
    return seconds, entry.in_all.expected, entry.offer.name


def _advised(entry: PlannedOffer) -> str:
    cost = entry.cost.times(entry.asked.candidates).expected
    needs = f"; needs {entry.needs[0]}" if entry.needs else ""
    return f"{entry.offer.name} ({show_usd(cost) if cost else 'free'}{needs})"


def _once_each(look: Callable[[Media], T] | None) -> Callable[[Media], T] | None:
    """An input is opened once for a plan, however many offers look at it."""
    if look is None:
        return None
    known: dict[int, tuple[Media, T]] = {}  # holds the input, so that no other gets its id

    def seen(media: Media) -> T:
        if id(media) not in known:
            known[id(media)] = (media, look(media))
        return known[id(media)][1]

    return seen
