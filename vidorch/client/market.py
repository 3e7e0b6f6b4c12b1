"""What there is to be had: the catalog, its endpoints, the credentials and the providers of one client; and plans from these."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vidorch.call import Call, parse
from vidorch.catalog import Catalog, load, shipped
from vidorch.client.allowing import AllowedInputs
from vidorch.client.configured import configured_endpoints, found_in, with_defaults
from vidorch.config import Config, EndpointSettings, usable_base_url
from vidorch.contract import Admission, Clock, Endpoint
from vidorch.errors import CatalogError, InvalidRequest, MissingCredentials, VidorchError, shown
from vidorch.experience import Experience, Past
from vidorch.frozen import changed
from vidorch.inputs import without_query
from vidorch.naming import offers_at
from vidorch.offer import Offer
from vidorch.planning import Plan, PlannedOffer
from vidorch.price import Hour, is_spending
from vidorch.registry import Registry
from vidorch.request import Request
from vidorch.routing import make_plan
from vidorch.surroundings import Surroundings
from vidorch.tiers import check_tier

if TYPE_CHECKING:
    from vidorch.inputs import Media

__all__ = ["Credentials", "Market", "Now"]

FRESH_FOR = 60.0
"""Seconds that what the ledger knew of latencies is good for."""
Credentials = Callable[[str, str], "str | None"]
"""(scope, endpoint) -> secret, asked at use and never stored."""


def credentials_of(given: object) -> Credentials | None:
    """What a client was given as `credentials=`, as a callable.

    Raises:
        InvalidRequest: it is none, and no mapping of endpoints to secrets. Its values are not shown.
    """
    if given is None:
        return None
    allowed = "a callable (scope, endpoint) -> secret or None, or a mapping of endpoints to secrets for the scope 'default'"
    if isinstance(given, Mapping):
        kept = dict(given)
        if all(isinstance(name, str) and isinstance(secret, str) for name, secret in kept.items()):
            return lambda scope, endpoint: kept.get(endpoint) if scope == "default" else None
    elif callable(given):
        asked: Credentials = given
        return asked
    raise InvalidRequest(
        f"credentials={type(given).__name__} cannot be used. Allowed is {allowed}.",
        hint="Such as credentials={'fal': key}, or credentials=lambda scope, endpoint: vault[scope, endpoint].",
        field="credentials", allowed=allowed,
    )  # fmt: skip


class Market:
    """What a client can choose from. It only computes and reads; nothing is opened or sent.

    Args:
        argument: the caller's own catalog layer. inputs: which media may be used here. world: the mock, where there is one.
        endpoints: the caller's own, by name. config: what holds where nobody says anything. stored: gives the user's kept keys.
        finished: gives the ledger's finished jobs, newest first. cards: gives the names of the cards in this machine, in place
            of a look.
    """

    def __init__(
        self, argument: Any, *, registry: Registry, credentials: Credentials | None, inputs: AllowedInputs, clock: Clock,
        world: Surroundings | None, endpoints: Mapping[str, Endpoint] | None = None, config: Config | None = None,
        stored: Callable[[], Mapping[str, str]] = dict, finished: Callable[[], Sequence[Past]] = tuple,
        cards: Callable[[], tuple[str, ...]] | None = None,
    ) -> None:  # fmt: skip
        self._config = config or Config()
        self._warned = False
        self._finished = finished
        self._cards = cards
        self._known: tuple[float, Experience] | None = None
        self._stored = stored
        self._endpoints = endpoints_of(endpoints)
        self._argument = argument
        self._registry = registry
        self._credentials = credentials
        self._inputs = inputs
        self._clock = clock
        self._world = world

    @cached_property
    def catalog(self) -> Catalog:
        """All offers, in their layers; read at first use."""
        if self._world is not None:
            inside: Catalog = self._world.catalog(
                self._config.catalog if self._argument is None else self._argument
            )
            return inside
        return load(self._argument, configured=self._config.catalog)

    def _below_it(self) -> Catalog:
        """What there is without anybody's layer: what free work goes by where a layer is broken."""
        if self._world is None:
            return shipped()
        inside: Catalog = self._world.catalog(None)
        return inside

    @cached_property
    def offers(self) -> Mapping[str, Offer]:
        """The catalog's, and those at endpoints with names of their own, by `endpoint/model`."""
        return {offer.name: offer for offer in offers_at(self.catalog, self.endpoints)}

    @cached_property
    def endpoints(self) -> Mapping[str, Endpoint]:
        """By name: each provider has one of its own name; the configured ones; a base URL from the environment; the caller's."""
        return self._endpoints_with(self.catalog, self._config)

    def endpoints_even_so(self) -> Mapping[str, Endpoint]:
        """The same; where a layer of the catalog is broken, those that hold without it."""
        try:
            return self.endpoints
        except CatalogError:
            below = self._below_it()
        try:
            return self._endpoints_with(below, self._config)
        except InvalidRequest:  # one is of a provider that the broken layer alone would tell of
            return self._endpoints_with(below, Config())

    def _endpoints_with(self, catalog: Catalog, config: Config) -> Mapping[str, Endpoint]:
        cores = os.cpu_count() or 1
        known = {
            offer.endpoint: Endpoint(
                offer.endpoint, offer.provider, concurrency=cores if offer.provider == "local" else None
            )
            for offer in catalog.offers
        }
        known = configured_endpoints(config, catalog, known) | self._endpoints
        urls = {
            name: os.environ.get(base_url_variable(name)) for name in known if name not in self._endpoints
        }
        return known | {
            name: replace(known[name], base_url=_usable(url, name)) for name, url in urls.items() if url
        }

    def parse(self, prompt: Any, options: Mapping[str, Any]) -> tuple[Request, Call]:
        """As `vidorch.call.parse`, once it is clear that no input is of a kind that may not be used here.

        Raises:
            InvalidRequest, Unsupported: as that.
        """
        self._inputs.check_options(options)
        request, call = parse(prompt, options)
        return request, with_defaults(call, self._config)

    def plan(self, request: Request, call: Call, *, to_run: bool) -> Plan:
        """The offers that can serve a request, in order.

        Where the user's layer is broken, what costs nothing and runs here is still made, by the catalog that ships, with a
        warning; nothing is spent or estimated by prices that may be wrong.

        Raises:
            InvalidRequest: an input that may not be used here. CatalogError: a layer is broken, and this is no free local work.
        """
        self._inputs.check(request)  # before a file is opened for its size
        try:
            return self._plan(request, call, self.catalog, self.endpoints, to_run=to_run)
        except CatalogError as error:
            if not to_run or self._argument is not None or not self._is_free_and_here(call):
                raise
            plan = self._plan(request, call, self._below_it(), self.endpoints_even_so(), to_run=True)
            if not plan.entries or not all(self._is_own_and_free(entry.offer) for entry in plan.entries):
                raise  # also where nothing can serve it: the offers that would be advised may have other prices
            self._warn_of(error)
            return plan

    def _plan(
        self, request: Request, call: Call, catalog: Catalog, endpoints: Mapping[str, Endpoint], *, to_run: bool
    ) -> Plan:  # fmt: skip
        kept = cache(self._stored)  # the user's kept keys are looked for once for all offers
        plan = make_plan(
            request,
            call.models or self._config.models,
            route=call.route or (self._config.route if not (call.models or self._config.models) else None),
            took=self._experience().of,
            hour=self.hour,
            aliases=self._config.aliases,
            catalog=catalog,
            endpoints=endpoints,
            installed=self._registry.names(),
            has_credentials=lambda offer: self._has_credentials(offer, call.scope, kept),
            admit=self._admit,
            today=datetime.fromtimestamp(self._clock.now(), UTC).date(),
            to_run=to_run,
            image_size=_image_size,
            length=_length,
            allow_unpriced=call.allow_unpriced,
            max_cost=call.max_cost,
        )
        if call.webhook is not None:
            plan = replace(plan, entries=tuple(map(self._told_of_webhook, plan.entries)))
        if not to_run and any(entry.offer.weights is not None for entry in plan.entries):
            told = (self._with_outlook(entry, endpoints.get(entry.offer.endpoint)) for entry in plan.entries)
            plan = replace(plan, entries=tuple(told))
        if catalog.warnings:
            plan = replace(plan, notes=(*plan.notes, *catalog.warnings))
        return plan

    def _with_outlook(self, entry: PlannedOffer, endpoint: Endpoint | None) -> PlannedOffer:
        """With what the provider of a model on one's own hardware tells of how it would be made."""
        offer = entry.offer
        if offer.weights is None or entry.needs or offer.provider not in self._registry.names():
            return entry
        where = endpoint or Endpoint(offer.endpoint, offer.provider)
        try:
            told = self._registry.get(offer.provider).outlook(where, entry.request, offer)
        except VidorchError as error:  # as of an option that is none; the run says so in full
            told = (error.message,)
        return changed(entry, notes=(*entry.notes, *told)) if told else entry

    def _told_of_webhook(self, entry: PlannedOffer) -> PlannedOffer:
        """With a note where its vendor cannot be asked to call."""
        offer = entry.offer
        try:
            if offer.provider not in self._registry.names() or self._registry.get(
                offer.provider
            ).takes_webhook(entry.route):
                return entry
        except VidorchError:  # its package is missing, which the plan says in its own words
            return entry
        note = f"{offer.name} takes no webhook: nobody calls, and its job is polled as ever"
        return changed(entry, notes=(*entry.notes, note))

    def _is_free_and_here(self, call: Call) -> bool:
        """Whether a call names nothing but what ships, costs nothing and runs in this process."""
        models = call.models or self._config.models
        if call.route or (self._config.route and not models):
            return False
        below = self._below_it()
        for model in models:
            named = (below.offer(model), *below.of_model(model)) if isinstance(model, str) else ()
            there = [offer for offer in named if offer is not None]
            if not there or not all(map(self._is_own_and_free, there)):
                return False
        return True

    def _is_own_and_free(self, offer: Offer) -> bool:
        """Whether it runs in this process, and nobody pays for that."""
        return not offer.outlives_caller and not is_spending(
            offer, self.endpoints_even_so().get(offer.endpoint)
        )

    def _warn_of(self, error: CatalogError) -> None:
        """Once for each client."""
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"{error} This costs nothing, so it is made by the catalog that ships; until that is mended nothing is "
                "estimated or paid.",
                stacklevel=3,
            )

    def _experience(self) -> Experience:
        """What the ledger knows of latencies, as of less than a minute ago."""
        now = self._clock.monotonic()
        if self._known is None or now - self._known[0] > FRESH_FOR:
            self._known = now, Experience(self._finished)
        return self._known[1]

    def hour(self, offer: Offer) -> Hour:
        """What an hour of the hardware costs that an offer runs on. In a mock there is no card."""
        from vidorch.hardware import gpus, hour_of

        cards = gpus if self._world is None else tuple
        return hour_of(offer, self.endpoints_even_so().get(offer.endpoint), self._cards or cards)

    def _admit(self, offer: Offer, request: Request) -> Admission:
        if offer.provider not in self._registry.names():
            return Admission()
        provider = self._registry.get(offer.provider)
        where = self.endpoints_even_so().get(offer.endpoint)
        if (
            provider.many_hosts
            and offer.endpoint != offer.provider
            and (where is None or where.base_url is None)
        ):
            raise MissingCredentials(
                f"its endpoint {offer.endpoint!r} has no base URL", hint=base_url_variable(offer.endpoint)
            )
        return provider.admit(request, offer)

    def secret(self, offer: Offer, scope: str) -> str | None:
        """The credential for an offer, read at this moment; None where there is none, or none is needed."""
        names = self._variables_of(offer, scope)
        if names is None:
            return None
        if self._credentials is not None:
            return self._credentials(scope, offer.endpoint)
        return found_in(names, self._stored)

    def _variables_of(self, offer: Offer, scope: str) -> tuple[str, ...] | None:
        """Where the credential of a scope for an offer may be; empty where that scope has none; None where none is needed."""
        where = self.endpoints_even_so().get(offer.endpoint)
        names = offer.variables if where is None or where.variables is None else where.variables
        if not names:
            return None
        configured = self._config.scopes.get(scope, {})
        if (found := configured.get(offer.endpoint)) is not None:
            return found
        return names if scope == "default" else ()

    def secret_at(self, endpoint: str, scope: str) -> str | None:
        """The same for an endpoint whatever its model: what a submit to any of its offers would carry."""
        there = (offer for offer in self.offers.values() if offer.endpoint == endpoint)
        return next((found for offer in there if (found := self.secret(offer, scope)) is not None), None)

    def _has_credentials(self, offer: Offer, scope: str, kept: Callable[[], Mapping[str, str]]) -> bool:
        names = self._variables_of(offer, scope)
        if names is None:
            return True
        if self._credentials is not None:
            return self._credentials(scope, offer.endpoint) is not None
        if found_in(names, kept) is not None:
            return True
        if scope != "default":
            return False
        if offer.provider not in self._registry.names():
            return False
        try:
            return self._registry.get(offer.provider).finds_credentials(offer)
        except VidorchError:  # its package is missing, which the plan says in its own words
            return False


class Now(Mapping[str, Endpoint]):
    """Endpoints as they are at each look."""

    def __init__(self, look: Callable[[], Mapping[str, Endpoint]]) -> None:
        self._look = look

    def __getitem__(self, name: str) -> Endpoint:
        return self._look()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._look())

    def __len__(self) -> int:
        return len(self._look())


def base_url_variable(endpoint: str) -> str:
    """The environment variable that holds an endpoint's base URL: `VIDORCH_FAL_BASE_URL`."""
    return f"VIDORCH_{re.sub(r'[^A-Za-z0-9]+', '_', endpoint).upper()}_BASE_URL"


def own_hosts(given: Mapping[str, Endpoint | EndpointSettings] | None) -> list[str]:
    """Hosts of base URLs that the user configured: results may come from there, private or not, without the credential."""
    ours = (Endpoint, EndpointSettings)
    urls = [one.base_url for one in (given or {}).values() if isinstance(one, ours)]
    urls += [value for name, value in os.environ.items() if re.fullmatch(r"VIDORCH_\w+_BASE_URL", name)]
    hosts = []
    for url in urls:
        with contextlib.suppress(ValueError):
            hosts.append(urlsplit(url or "").hostname)
    return [host for host in dict.fromkeys(hosts) if host]


def endpoints_of(given: Mapping[str, Endpoint] | None) -> dict[str, Endpoint]:
    """The caller's own endpoints, checked.

    Raises:
        InvalidRequest: one is no `Endpoint`, bears another name than its key, or has a base URL or tier that cannot be one.
    """
    allowed = "a mapping of names to vidorch.Endpoint, such as {'studio': Endpoint('studio', 'openai', base_url='http://gpu:8000')}"
    if given is None:
        return {}
    for name, one in given.items() if isinstance(given, Mapping) else [("", given)]:
        if not isinstance(one, Endpoint) or one.name != name:
            raise InvalidRequest(
                f"endpoints={shown(given)} cannot be used. Allowed is {allowed}.",
                field="endpoints",
                value=given,
                allowed=allowed,
            )
        check_tier(one)
        if one.base_url is not None:
            _usable(one.base_url, name)
    return dict(given)


def _usable(url: str, endpoint: str) -> str:
    if not usable_base_url(url):
        raise InvalidRequest(
            f"The base URL {without_query(url)!r} of endpoint {endpoint!r} cannot be used. Allowed is a URL such as "
            "'https://gpu.example.com:8000/v1', without user, password and query.",
            field="base_url", value=without_query(url), allowed="an http or https URL",
        )  # fmt: skip
    return url


def _image_size(image: Media) -> tuple[int, int] | None:
    """Width and height of an image or a clip that lies here; None for one elsewhere."""
    if image.url is not None:
        return None
    from vidorch import media

    info = media.probe(image.path if image.path is not None else image.read())
    return info.width, info.height


def _length(source: Media) -> Decimal | None:
    """Seconds of a clip or a sound that lies here; None for one elsewhere, and for one that carries no times."""
    if source.url is not None:
        return None
    from vidorch import media

    seconds = media.probe(source.path if source.path is not None else source.read()).duration
    return Decimal(str(round(float(seconds), 3))) if seconds > 0 else None
