"""What the name of a model means: which of the offers there are, here and at the endpoints of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from vidorch.catalog import Catalog
from vidorch.contract import Endpoint
from vidorch.errors import InvalidRequest, shown
from vidorch.offer import Offer
from vidorch.request import nearest_name
from vidorch.served import served_at

__all__ = [
    "ANY",
    "BUILT_IN",
    "Aliases",
    "by_name",
    "is_uncatalogued",
    "market",
    "not_named",
    "offers_at",
    "uncatalogued",
]

ANY = "any"
"""The model that stands for those that the catalog does not list, and its family."""
BUILT_IN = "local/mini"
"""What runs when no model is named: never a model that costs."""


class Aliases:
    """Other names of models, resolved: a name that an alias gives may be one itself, and its own name means the model."""

    def __init__(self, aliases: Mapping[str, tuple[str, ...]]) -> None:
        self._aliases = aliases

    def __call__(self, model: str, above: tuple[str, ...] = ()) -> list[str]:
        """The names that `model` stands for, each once, in order; `[model]` where it is no alias."""
        if model not in self._aliases or model in above:
            return [model]
        found = [name for one in self._aliases[model] for name in self(one, (*above, model))]
        return list(dict.fromkeys(found))


def offers_at(catalog: Catalog, endpoints: Mapping[str, Endpoint]) -> list[Offer]:
    """The catalog's offers, and at each endpoint with a name of its own those of its provider."""
    offers = [_keyed(offer, endpoints.get(offer.endpoint)) for offer in catalog.offers]
    known = {offer.endpoint for offer in offers}
    for name, endpoint in endpoints.items():
        if served := served_at(endpoint, catalog.offers):
            offers += [_keyed(offer, endpoint) for offer in served]
        elif name not in known:
            offers += [
                _keyed(replace(offer, endpoint=name), endpoint)
                for offer in catalog.offers
                if offer.endpoint == endpoint.provider
            ]
    return offers


def _keyed(offer: Offer, endpoint: Endpoint | None) -> Offer:
    """The offer with the variables of its endpoint, where that has its own, and with the cluster that it runs on."""
    if endpoint is not None and offer.weights is not None and isinstance(endpoint.options.get("ray"), str):
        offer = replace(offer, weights=replace(offer.weights, cluster=endpoint.options["ray"]))
    if endpoint is None or endpoint.variables is None or endpoint.variables == offer.variables:
        return offer
    return replace(offer, variables=endpoint.variables)


def by_name(offers: Sequence[Offer]) -> dict[str, list[Offer]]:
    """What `"endpoint/model"` and a bare model name mean; the first goes before the second."""
    found: dict[str, list[Offer]] = {}
    for offer in offers:
        found.setdefault(offer.model, []).append(offer)
    return found | {offer.name: [offer] for offer in offers}


def not_named(model: str, offers: Sequence[Offer]) -> list[Offer]:
    """What a name means that no offer bears.

    Raises:
        InvalidRequest: nothing, with the nearest right one.
    """
    if (made := uncatalogued(model, offers)) is not None:
        return [made]
    names = list(dict.fromkeys([*(offer.model for offer in offers), *(offer.name for offer in offers)]))
    near = nearest_name(model, names)
    raise InvalidRequest(
        f"model={shown(model)} is not in the catalog.{f' Did you mean {near!r}?' if near else ''}",
        hint="`vidorch models` lists all.", field="model", value=model, allowed=", ".join(names),
    )  # fmt: skip


def uncatalogued(model: str, offers: Iterable[Offer]) -> Offer | None:
    """What `"endpoint:vendor's own id"` names, made after the offer `endpoint/any`; None where there is no such offer."""
    endpoint, _, own = model.partition(":")
    like = next((offer for offer in offers if offer.name == f"{endpoint}/{ANY}"), None)
    if like is None or not own.strip("/") or not own.isprintable() or " " in own:
        return None
    own = own.strip("/")
    routes = {task: replace(route, path=route.path.replace(ANY, own)) for task, route in like.routes.items()}
    return replace(like, model=own, vendor_model=own, title=own, routes=routes)


def is_uncatalogued(offer: Offer) -> bool:
    """Whether an offer was made for this call alone, from its vendor's own id."""
    return offer.family == ANY and offer.model != ANY


def market(offers: Sequence[Offer]) -> list[str]:
    """Every offer there is to choose from by itself: not the built-in model, and none that stands for others."""
    return [offer.name for offer in offers if offer.name != BUILT_IN and offer.model != ANY]
