"""Which offers take a request, and in which order: from names and the catalog to a plan. Nothing is sent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import ROUND_FLOOR, Decimal
from math import inf
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from vidorch.catalog import Catalog
from vidorch.contract import Admission, Endpoint
from vidorch.errors import BadMedia, InvalidRequest, MissingCredentials, VidorchError, shown
from vidorch.estimating import LeftOut
from vidorch.experience import Seen
from vidorch.fitting import Fitted, ImageSize, either, fit, route_for
from vidorch.frozen import changed
from vidorch.inputs import Kind, Media, without_secrets
from vidorch.money import show_usd
from vidorch.offer import Offer, Route
from vidorch.planning import NOT_HERE, Plan, PlannedOffer, estimate_of
from vidorch.price import FREE, Priced, Range, price_of
from vidorch.request import NAMED_TASKS, Request, is_real, nearest_name

__all__ = [
    "BUILT_IN",
    "Choice",
    "LeftOut",
    "MediaLength",
    "Plan",
    "PlannedOffer",
    "estimate_of",
    "make_plan",
    "offers_at",
]

T = TypeVar("T")

MediaLength = Callable[[Media], "Decimal | None"]
"""Gives the seconds that a clip or a sound lasts, or None where that is not known."""

MICRO = Decimal("0.000001")
ANY = "any"
"""The model that stands for those that the catalog does not list, and its family."""
BUILT_IN = "local/mini"
"""What runs when no model is named: never a model that costs."""

_MEDIA_FIELDS: dict[str, Kind] = {
    "image": "image", "last_image": "image", "reference_images": "image", "video": "video", "audio_track": "audio",
}  # fmt: skip
_ADVISED = 3
_WORKING = "a provider that works"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Choice:
    """A model with settings of its own, for a list in which one offer is to be asked differently.

    `Choice("veo-3.1-fast", duration=6)` asks Veo for 6 s, whatever the call says for the others.
    """

    model: str
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def __init__(self, model: str, **overrides: Any) -> None:
        for name in overrides:
            if not Request.known(name) or name == "candidates":
                near = nearest_name(name, (known for known in _REQUEST_FIELDS if known != "candidates"))
                raise InvalidRequest(
                    f"A Choice cannot set {name}=.{f' Did you mean {near}=?' if near else ''}",
                    field=name, value=overrides[name], allowed="the fields of a request, without candidates",
                )  # fmt: skip
        object.__setattr__(self, "model", model)
        object.__setattr__(self, "overrides", dict(overrides))

    def __hash__(self) -> int:
        return hash((self.model, *sorted(self.overrides)))

    def __repr__(self) -> str:
        settings = "".join(
            f", {name}={'...' if name in _MEDIA_FIELDS else shown(without_secrets(value))}"
            for name, value in self.overrides.items()
        )
        return f"Choice({self.model!r}{settings})"

    def describe(self) -> dict[str, Any]:
        """JSON-ready form for the ledger: media as hash, size and kind, never as content; no secrets.

        Raises:
            InvalidRequest: media that cannot be read, as `applied_to` would.
        """
        return {
            "model": self.model,
            "overrides": {name: _written(name, value) for name, value in self.overrides.items()},
        }

    def applied_to(self, request: Request) -> Request:
        """The request as this choice wants it.

        Raises:
            InvalidRequest: the two do not go together.
        """
        if not self.overrides:
            return request
        changes = dict(self.overrides)
        if _MEDIA_FIELDS.keys() & changes.keys() and request.task not in NAMED_TASKS:
            changes.setdefault("task", "")  # read from the inputs; with other inputs it is read again
        if changes.keys() & {"resolution", "aspect_ratio"}:
            changes.setdefault("size", None)
        elif changes.get("size") is not None:
            changes = {"resolution": None, "aspect_ratio": None, **changes}
        return request.with_(**changes)


def _written(name: str, value: Any) -> Any:
    if name == "reference_images" and isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [Media.of(item, "image", name).describe() for item in value]
    if name in _MEDIA_FIELDS:
        return None if value is None else Media.of(value, _MEDIA_FIELDS[name], name).describe()
    if isinstance(value, (str, bool, int, float, list, tuple, Mapping)) or value is None:
        return without_secrets(value)
    return float(value) if is_real(value) else shown(value)


_REQUEST_FIELDS = tuple(item.name for item in Request.__dataclass_fields__.values())


@dataclass(frozen=True, slots=True)
class _Faulty:
    """A provider that cannot be asked: why, and what is needed to mend that."""

    reason: str
    needs: str


@dataclass(slots=True)
class _Planner:
    """What is the same for every offer of one plan."""

    endpoints: Mapping[str, Endpoint]
    installed: Collection[str]
    has_credentials: Callable[[Offer], bool]
    admit: Callable[[Offer, Request], Admission]
    today: date
    image_size: ImageSize | None
    allow_unpriced: bool = False
    max_cost: Decimal | None = None
    length: MediaLength | None = None
    took: Callable[[Offer, Request, str], Seen | None] | None = None

    def consider(self, offer: Offer, request: Request, *, to_run: bool) -> PlannedOffer | LeftOut:
        """Plan one offer, or say everything that speaks against it."""
        if offer.lifecycle.dead_on(self.today):
            return LeftOut(offer.name, _end_of(offer), frozenset({"retired"}))
        route = route_for(offer, request.task)
        if route is None:
            return LeftOut(offer.name, f"{request.task}: does {either(offer.routes)}", frozenset({"request"}))
        fitted = fit(request, offer, route, self.image_size)
        against: list[tuple[str, str]] = [("request", reason) for reason in fitted.reasons]
        if against and is_uncatalogued(offer) and (said := _has_no_words(request, offer, route)):
            against = [("request", said)]
        seconds, longest = self._source_seconds(offer, fitted.request, route)
        against += [("request", reason) for reason in _too_long_or_short(request, route, seconds)]
        priced = price_of(offer, fitted.request, route, input_seconds=seconds or longest)
        cost, notes = priced.cost, list(fitted.notes)
        if longest is not None:
            notes.append(
                f"how long the source is is not known here: priced as {float(longest):g} s, the longest it may be"
            )
        if cost is None and self.max_cost is not None and is_uncatalogued(offer):
            # Rounded down: the shares of all candidates together are to fit into what was allowed.
            share = (self.max_cost / request.candidates).quantize(MICRO, ROUND_FLOOR)
            notes.append(f"price not known ({priced.reason}): all of max_cost is held for it")
            cost = Range(Decimal(0), share, share)
        elif cost is None and self.allow_unpriced:
            notes.append(f"price not known ({priced.reason}): no max_cost and no budget can hold it")
            cost = FREE
        elif cost is None:
            hint = "; pass max_cost, all of which is then held for it" if is_uncatalogued(offer) else ""
            against.append(("price", f"{priced.reason}{hint}"))
        needs: list[str] = []
        if offer.provider not in self.installed:
            needs.append(NOT_HERE)
            against += [("provider", "its provider is not in this version")] if to_run else []
        else:
            admission = self._admission(offer, fitted.request)
            if isinstance(admission, _Faulty):
                needs.append(admission.needs)
                against += [("provider", admission.reason)] if to_run else []
            else:
                notes += admission.notes
                against += [("refused", admission.reason.rstrip(". "))] if admission.reason else []
        if offer.variables and not self.has_credentials(offer):
            needs.append(" or ".join(offer.variables))
            against += [("credentials", f"needs {needs[-1]}")] if to_run else []
        if against or cost is None:
            reason = "; ".join(reason for _, reason in against)
            return LeftOut(offer.name, reason, frozenset(kind for kind, _ in against), offer.variables)
        notes += self._cautions(offer, priced)
        seen = self.took(offer, fitted.request, route.task) if self.took is not None else None
        if seen is None and offer.latency.high and not offer.latency.confirmed:
            notes.append(f"time not confirmed: {offer.latency.source}")
        endpoint = self.endpoints.get(offer.endpoint)
        return PlannedOffer(
            offer=offer,
            route=route,
            asked=request,
            request=fitted.request,
            priced=priced,
            cost=cost,
            unpriced=priced.cost is None and cost == FREE,  # what max_cost holds is bounded
            billed_seconds=priced.billed_seconds,
            seconds=_seconds(offer, fitted) if seen is None else seen.seconds,
            seconds_seen=0 if seen is None else seen.clips,
            needs=tuple(needs),
            notes=tuple(notes),
            at_once=endpoint.concurrency if endpoint else None,
            trim_to=fitted.trim_to,
        )

    def _source_seconds(
        self, offer: Offer, request: Request, route: Route
    ) -> tuple[Decimal | None, Decimal | None]:
        """How long the source clip is, else the driving sound; where that cannot be seen but is paid for, the most it may be.

        Looked at only where something depends on it: a file has to be opened for it.
        """
        source = request.video if request.video is not None else request.audio_track
        if not isinstance(source, Media):
            return None, None
        able = route.capabilities
        lasts_as_long = not able.durations.choices and able.durations.least is None
        counts = any(row.per_input_second or (row.per_second and lasts_as_long) for row in offer.price.rows)
        legal = able.limits.video_seconds if request.video is not None else None
        seconds = self.length(source) if self.length is not None and (counts or legal) else None
        return seconds, legal[1] if seconds is None and counts and legal else None

    def _admission(self, offer: Offer, request: Request) -> Admission | _Faulty:
        """The provider's own word. One that fails is out itself, and no other offer with it."""
        try:
            return self.admit(offer, request)
        except (InvalidRequest, BadMedia):  # the request's fault, not the provider's
            raise
        except MissingCredentials as error:
            install = error.hint.rstrip(". ") or error.message
            return _Faulty(f"{error.message.rstrip('. ')}: {install}", install)
        except VidorchError as error:
            return _Faulty(error.message.rstrip(". "), f"{_WORKING} ({error.message.rstrip('. ')})")
        except Exception as error:
            why = f"its provider {offer.provider!r} failed: {type(error).__name__}: {error}"
            return _Faulty(why, f"{_WORKING} ({why})")

    def _cautions(self, offer: Offer, priced: Priced) -> list[str]:
        said: list[str] = []
        if priced.row is not None and not priced.row.confirmed:
            note = f"price not confirmed: {priced.row.source}, {priced.row.as_of}. {offer.price.note}"
            said.append(note.rstrip(". "))
        life = offer.lifecycle
        if self.reported_gone(offer):
            when = f" on {life.retires}" if life.retires else ""
            said.append(
                f"goes last: said to be switched off{when} ({life.source}), not confirmed by its vendor"
            )
        elif life.retires is not None:
            said.append(
                f"will be switched off on {life.retires}"
                f"{'' if life.confirmed else ' (not confirmed)'}: {life.source}"
            )
        return said

    def reported_gone(self, offer: Offer) -> bool:
        """Whether somebody, but not the vendor itself, says that it is switched off by today."""
        life = offer.lifecycle
        return life.said_dead_on(self.today) and not life.confirmed


def make_plan(
    request: Request,
    models: Sequence[str | Choice],
    *,
    route: Literal["cheapest", "fastest"] | None = None,
    took: Callable[[Offer, Request, str], Seen | None] | None = None,
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
        route: an order over all of them, instead of the caller's. took: how long such clips took here.
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
    resolve = _Aliases(aliases)
    named = _by_name(offers)
    _check_owners(request, offers, endpoints, installed)
    planner = _Planner(
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
    )
    entries: list[PlannedOffer] = []
    left_out: dict[str, LeftOut] = {}
    seen: dict[str, list[Request]] = {}
    item = -1
    for one in models or ((BUILT_IN,) if route is None else _market(offers)):
        choice = one if isinstance(one, Choice) else Choice(one)
        asked = choice.applied_to(request)
        for model in resolve(choice.model):
            item += 0 if route else 1
            group: list[PlannedOffer] = []
            alias = "" if model == choice.model else choice.model
            for offer in named.get(model) or _not_named(model, offers):
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
    hosted = any(offer.provider in installed for offer in offers if offer.price.rule != "free")
    advised = () if entries else _alternatives(planner, request, offers, left_out)
    return Plan(request, tuple(entries), tuple(left_out.values()), (), catalog.as_of, advised, hosted)


class _Aliases:
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
        if name not in known:
            offers += [
                _keyed(replace(offer, endpoint=name), endpoint)
                for offer in catalog.offers
                if offer.endpoint == endpoint.provider
            ]
    return offers


def _keyed(offer: Offer, endpoint: Endpoint | None) -> Offer:
    """The offer with the variables of its endpoint, where that has its own."""
    if endpoint is None or endpoint.variables is None or endpoint.variables == offer.variables:
        return offer
    return replace(offer, variables=endpoint.variables)


def _by_name(offers: Sequence[Offer]) -> dict[str, list[Offer]]:
    """What `"endpoint/model"` and a bare model name mean; the first goes before the second."""
    found: dict[str, list[Offer]] = {}
    for offer in offers:
        found.setdefault(offer.model, []).append(offer)
    return found | {offer.name: [offer] for offer in offers}


def _not_named(model: str, offers: Sequence[Offer]) -> list[Offer]:
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


_SETTINGS = (
    "duration",
    "resolution",
    "aspect_ratio",
    "size",
    "audio",
    "steps",
    "guidance",
    "loras",
    "camera",
)


def _has_no_words(request: Request, offer: Offer, route: Route) -> str:
    """Why settings cannot be passed on to a model that the catalog does not list: nobody knows what it calls them."""
    given = request.given()
    unsaid = [name for name in _SETTINGS if name in given and name not in route.fields]
    if not unsaid:
        return ""
    extra = f"extra={{{offer.endpoint!r}: {{...}}}}"
    return f"{', '.join(unsaid)}: not in the catalog, so its own name for that has to be passed in {extra}"


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
    planner: _Planner, request: Request, offers: Sequence[Offer], passed: Collection[str]
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
        if isinstance(entry, LeftOut) or any(need.startswith(_WORKING) for need in entry.needs):
            continue
        if offer.model not in best or _by_cost(entry) < _by_cost(best[offer.model]):
            best[offer.model] = entry
    return tuple(_advised(entry) for entry in sorted(best.values(), key=_by_cost)[:_ADVISED])


def _by_cost(entry: PlannedOffer) -> tuple[Decimal, Decimal, str]:
    return entry.cost.expected, entry.cost.high, entry.offer.name


def _by_time(entry: PlannedOffer) -> tuple[float, Decimal, str]:
    seconds = inf if entry.seconds is None else entry.seconds.expected
    return seconds, entry.cost.expected, entry.offer.name


def _market(offers: Sequence[Offer]) -> list[str]:
    """Every offer there is to choose from by itself: not the built-in model, and none that stands for others."""
    return [offer.name for offer in offers if offer.name != BUILT_IN and offer.model != ANY]


def _advised(entry: PlannedOffer) -> str:
    cost = entry.cost.times(entry.asked.candidates).expected
    needs = f"; needs {entry.needs[0]}" if entry.needs else ""
    return f"{entry.offer.name} ({show_usd(cost) if cost else 'free'}{needs})"


def _seconds(offer: Offer, fitted: Fitted) -> Range[float] | None:
    """How long one clip takes; None where the catalog knows nothing."""
    latency = offer.latency
    if not latency.high:
        return None
    more = latency.per_output_second * (fitted.request.duration or 0.0)
    return Range(latency.low + more, latency.expected + more, latency.high + more)


def _too_long_or_short(request: Request, route: Route, seconds: Decimal | None) -> list[str]:
    legal = route.capabilities.limits.video_seconds
    if request.video is None or seconds is None or legal is None or legal[0] <= seconds <= legal[1]:
        return []
    return [f"video of {float(seconds):g} s: takes {float(legal[0]):g} to {float(legal[1]):g} s"]


def _end_of(offer: Offer) -> str:
    life = offer.lifecycle
    when = f" on {life.retires}" if life.retires else ""
    return f"switched off by its vendor{when} ({life.source})"


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
