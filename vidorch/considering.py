"""One offer and one request: what it would cost and take there, or everything that speaks against it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_FLOOR, Decimal

from vidorch.contract import Admission, Endpoint
from vidorch.errors import BadMedia, InvalidRequest, MissingCredentials, VidorchError
from vidorch.estimating import LeftOut
from vidorch.experience import Seen
from vidorch.fitting import Fitted, ImageSize, either, fit, route_for
from vidorch.hardware import CPU
from vidorch.inputs import Media
from vidorch.naming import is_uncatalogued
from vidorch.offer import Offer, Route
from vidorch.planning import NOT_HERE, PlannedOffer
from vidorch.price import FREE, Hour, Priced, Range, is_spending, price_of
from vidorch.request import Request
from vidorch.tiers import allowed

__all__ = ["WORKING", "MediaLength", "Planner", "Took"]

MediaLength = Callable[[Media], "Decimal | None"]
"""Gives the seconds that a clip or a sound lasts, or None where that is not known."""

Took = Callable[[Offer, Request, str, str], "Seen | None"]
"""Gives how long clips of an offer, request, task and class of machines took here, or None where too few are known."""

MICRO = Decimal("0.000001")
WORKING = "a provider that works"
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


@dataclass(frozen=True, slots=True)
class _Faulty:
    """A provider that cannot be asked: why, and what is needed to mend that."""

    reason: str
    needs: str


@dataclass(slots=True)
class Planner:
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
    took: Took | None = None
    hour: Callable[[Offer], Hour] | None = None

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
        endpoint = self.endpoints.get(offer.endpoint)
        spending, hour = is_spending(offer, endpoint), self._hour(offer)
        device = hour.device if hour is not None else ""
        made_on = _made_on(device, endpoint)
        seen = self.took(offer, fitted.request, route.task, made_on) if self.took is not None else None
        takes = _seconds(offer, fitted, route, device) if seen is None else seen.seconds
        work = takes if seen is None else seen.work or seen.seconds
        priced = price_of(
            offer, fitted.request, route, input_seconds=seconds or longest, hour=hour, takes=work
        )
        cost, notes = priced.cost, list(fitted.notes)
        imputed: Range[Decimal] | None = None
        if offer.price.rule == "hours" and not spending:
            notes += [f"imputed cost not known: {priced.reason}"] if cost is None else []
            imputed, cost = cost, FREE
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
        elif (
            not against or offer.weights is None
        ):  # no disk is looked at for weights that would not do anyway
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
        if seen is None and takes is not None and not offer.latency.confirmed:
            notes.append(f"time not confirmed: {offer.latency.source}")
        return PlannedOffer(
            offer=offer,
            route=route,
            asked=request,
            request=fitted.request,
            priced=priced,
            cost=cost,
            unpriced=spending and priced.cost is None and cost == FREE,  # what max_cost holds is bounded
            billed_seconds=priced.billed_seconds,
            seconds=takes,
            seconds_seen=0 if seen is None else seen.clips,
            needs=tuple(needs),
            notes=tuple(notes),
            at_once=_at_once(offer, endpoint),
            trim_to=fitted.trim_to,
            spending=spending,
            imputed=imputed,
            device=made_on,
        )

    def _hour(self, offer: Offer) -> Hour | None:
        """What an hour of an offer's hardware costs, where it is priced so."""
        return self.hour(offer) if offer.price.rule == "hours" and self.hour is not None else None

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
        counts = any(
            row.per_input_second or row.per_million_tokens or (row.per_second and lasts_as_long)
            for row in offer.price.rows
        )
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
            return _Faulty(error.message.rstrip(". "), f"{WORKING} ({error.message.rstrip('. ')})")
        except Exception as error:
            why = f"its provider {offer.provider!r} failed: {type(error).__name__}: {error}"
            return _Faulty(why, f"{WORKING} ({why})")

    def _cautions(self, offer: Offer, priced: Priced) -> list[str]:
        said: list[str] = []
        if priced.row is not None and not priced.row.confirmed:
            note = f"price not confirmed: {priced.row.source}, {priced.row.as_of}. {offer.price.note}"
            said.append(note.rstrip(". "))
        if priced.hour is not None and priced.hour.usd and not priced.hour.confirmed:
            said.append(
                f"price of an hour not confirmed: {priced.hour.source}; usd_per_hour of its endpoint sets your own"
            )
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


def _has_no_words(request: Request, offer: Offer, route: Route) -> str:
    """Why settings cannot be passed on to a model that the catalog does not list: nobody knows what it calls them."""
    given = request.given()
    unsaid = [name for name in _SETTINGS if name in given and name not in route.fields]
    if not unsaid:
        return ""
    extra = f"extra={{{offer.endpoint!r}: {{...}}}}"
    return f"{', '.join(unsaid)}: not in the catalog, so its own name for that has to be passed in {extra}"


def _at_once(offer: Offer, endpoint: Endpoint | None) -> int | None:
    """How many clips are made at the same time; None for any number."""
    if offer.weights is not None and not offer.outlives_caller:
        return 1  # a card makes one after another, however many are asked for
    return None if endpoint is None else allowed(endpoint, offer).concurrency


def _made_on(device: str, endpoint: Endpoint | None) -> str:
    """The class of a machine, and the preset that its endpoint has for every call: a draft tells nothing of whole clips."""
    preset = endpoint.options.get("preset") if endpoint is not None else None
    return "/".join(part for part in (device, preset) if isinstance(part, str) and part)


def _seconds(offer: Offer, fitted: Fitted, route: Route, device: str) -> Range[float] | None:
    """How long one clip takes; None where the catalog knows nothing, or nothing of this class of machines."""
    latency = offer.latency
    published = (
        device == CPU and offer.weights is not None and not latency.device
    )  # of cards, as all of these are
    if not latency.high or published or (device and latency.device not in ("", device)):
        return None
    more = latency.per_output_second * (fitted.request.duration or 0.0)
    found = Range(latency.low + more, latency.expected + more, latency.high + more)
    usual, steps = _usual_steps(offer, route), fitted.request.steps
    if offer.price.rule != "hours" or not usual or steps is None or steps <= usual:
        return found
    times = (
        steps / usual
    )  # of the whole, which is no less than it can be: all but the steps takes as long as ever
    return Range(found.low, found.expected * times, found.high * times)


def _usual_steps(offer: Offer, route: Route) -> float:
    """Steps that a clip of one's own hardware takes where nobody says another number; 0 where that is not known."""
    asked = route.fields.get("steps")
    usual = (
        offer.weights.defaults.get("steps")
        if offer.weights is not None
        else route.fixed.get(asked.to)
        if asked is not None
        else None
    )
    return float(usual) if isinstance(usual, (int, float)) else 0.0


def _too_long_or_short(request: Request, route: Route, seconds: Decimal | None) -> list[str]:
    legal = route.capabilities.limits.video_seconds
    if request.video is None or seconds is None or legal is None or legal[0] <= seconds <= legal[1]:
        return []
    return [f"video of {float(seconds):g} s: takes {float(legal[0]):g} to {float(legal[1]):g} s"]


def _end_of(offer: Offer) -> str:
    life = offer.lifecycle
    when = f" on {life.retires}" if life.retires else ""
    return f"switched off by its vendor{when} ({life.source})"
