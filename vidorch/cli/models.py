"""`vidorch models`: the catalog, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from vidorch.catalog import Catalog
from vidorch.catalog.checking import words_of
from vidorch.catalog.filtering import Match, Way
from vidorch.cli.here import config_here, key_here, login_here, meant_here, offered_here
from vidorch.cli.say import as_json, console, table_of
from vidorch.errors import InvalidRequest
from vidorch.home import home_folder
from vidorch.money import show_usd
from vidorch.naming import ANY, is_uncatalogued, uncatalogued
from vidorch.offer import Offer, PriceRow, Weights
from vidorch.registry import Registry
from vidorch.request import nearest_name
from vidorch.tiers import limits_at
from vidorch.weights import locate, missing, size_in_words

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Wanted", "models", "named_of", "wanted_of"]

_WITH_STATE = 140
"""Columns that a terminal needs to have for what an offer still needs to stand in its row."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the offers have to do, as `Catalog.filter` takes it; `ready`: whether they have to be usable here."""

    task: str | None = None
    audio: bool | None = None
    resolution: str | None = None
    under: str | None = None
    live_on: str | None = None
    family: str | None = None
    endpoint: str | None = None
    ready: bool = False

    @property
    def of_ways(self) -> bool:
        """Whether anything is said about how a clip is bought."""
        return any(one is not None for one in (self.task, self.audio, self.resolution, self.under))


def wanted_of(catalog: Catalog, name: str | None, wanted: Wanted) -> tuple[Match, ...]:
    """The offers that pass, of all models or of one. What stands for whatever is not listed is no model.

    Raises:
        InvalidRequest: there is no such model, or an option cannot be used.
    """
    installed = Registry().names()
    found = catalog.filter(
        task=wanted.task, audio=wanted.audio, resolution=wanted.resolution, under=wanted.under, live_on=wanted.live_on,
        family=wanted.family, endpoint=wanted.endpoint,
        ready=(lambda offer: _state(offer, installed) == "ready") if wanted.ready else None,
    )  # fmt: skip
    if not name:
        return tuple(match for match in found if match.offer.model != ANY)
    matches = {match.offer.name: match for match in found}
    named = {offer.name: offer for one in meant_here(name) for offer in named_of(catalog, one)}
    return tuple(
        Match(offer, None) if is_uncatalogued(offer) else matches[offer.name]
        for offer in named.values()
        if is_uncatalogued(offer) or offer.name in matches
    )


def models(name: str | None, wanted: Wanted, *, everything: bool, as_document: bool) -> None:
    """Print the offers that pass the filters, or one model in full."""
    home_folder()  # nothing here needs it, but whoever tries vidorch out with this command is to hear that no other will work
    catalog, aliases = offered_here(), config_here().aliases
    matches = wanted_of(catalog, name, wanted)
    today = datetime.now(UTC).date()
    if not everything and not name:
        matches = tuple(match for match in matches if not match.offer.lifecycle.dead_on(today))
    offers = tuple(match.offer for match in matches)
    unlisted = [f"{offer.endpoint}:owner/name" for offer in catalog.offers if offer.model == ANY]
    installed = Registry().names()
    if as_document:
        as_json(
            {
                "as_of": str(catalog.as_of),
                "offers": [_document(match, installed) for match in matches],
                "unlisted": unlisted,
                "aliases": {alias: list(names) for alias, names in aliases.items()},
                "warnings": list(catalog.warnings),
            }
        )
        return
    out = console()
    whole = not out.is_terminal
    if rows := [(match, _state(match.offer, installed)) for match in matches]:
        _table(out, rows, compared=wanted.of_ways)
    else:
        out.print(
            "No model does all of that. With --all, retired ones are looked at, too.",
            markup=False,
            soft_wrap=whole,
        )
    for alias, names in aliases.items():
        if name == alias or (not name and not wanted.of_ways):
            out.print(f"{alias} stands for {', then '.join(names)}", markup=False, soft_wrap=whole)
    if name:
        for offer in offers:
            if is_uncatalogued(offer):
                out.print(
                    f"{name} is not in the catalog. It can be called all the same, by its vendor's own id and with a --max-cost, "
                    "all of which is held for it; whether it exists, and what it takes and costs, is not known here.",
                    markup=False, soft_wrap=whole,
                )  # fmt: skip
            _in_full(out, offer)
    elif unlisted and not wanted.of_ways:
        out.print(
            f"What is not listed is called by its vendor's own id, with a --max-cost: {', '.join(unlisted)}",
            markup=False,
            soft_wrap=whole,
        )
    for warning in catalog.warnings:
        out.print(f"Warning: {warning}", markup=False, soft_wrap=whole)
    if any(offer.provider not in installed for offer in offers):
        out.print(
            "not yet: its provider is not in this version; `vidorch estimate` knows its price all the same.",
            markup=False,
            soft_wrap=whole,
        )
    if not everything and not name:
        out.print(
            f"Prices are in US dollars, as of {catalog.as_of} at the latest. One model in full: vidorch models NAME",
            markup=False,
            soft_wrap=whole,
        )


def _table(out: Console, rows: Sequence[tuple[Match, str]], *, compared: bool) -> None:
    """A row for each offer. Where a terminal has no room for what each still needs, that stands below, by endpoint."""
    offers = [match.offer for match, _ in rows]
    lengths = ["seconds", *map(_lengths, offers)]
    sound = ["sound", *map(_audio, offers)]
    price = [">price", *map(_price, offers)]
    rate = [[">compared", *(_rate(match.way) for match, _ in rows)]] if compared else []
    names, sizes = ["!offer"], ["resolutions"]
    for offer in offers:
        names.append(offer.name)
        sizes.append(", ".join(_resolutions(offer)))
    if out.width >= _WITH_STATE:
        table = [names, lengths, sizes, sound, price, *rate, ["here", *(state for _, state in rows)]]
    else:
        table = [names, lengths, ["size", *sizes[1:]], sound, *(rate or [price])]
    cells = [list(row) for row in zip(*table, strict=True)]
    out.print(table_of("", cells[0], cells[1:], whole_words=out.width < _WITH_STATE))
    if out.width < _WITH_STATE:
        for line in _states(rows):
            out.print(line, markup=False, soft_wrap=False)


def _states(rows: Sequence[tuple[Match, str]]) -> Iterator[str]:
    """What there is and what is needed, in a line for each endpoint."""
    endpoints: dict[str, dict[str, list[str]]] = {}
    for match, state in rows:
        said = state.partition(",")[0]  # without the size of weights, which is each model's own
        endpoints.setdefault(match.offer.endpoint, {}).setdefault(said, []).append(match.offer.model)
    for endpoint, states in sorted(endpoints.items()):
        *few, (most, many) = sorted(states.items(), key=lambda one: len(one[1]))
        told = [f"{state} ({', '.join(models)})" for state, models in few]
        rest = f" ({'the others' if len(many) > 1 else many[0]})" if few else ""
        yield f"{endpoint}: {'; '.join((*told, most + rest))}"


def named_of(catalog: Catalog, name: str) -> tuple[Offer, ...]:
    offers = (one,) if (one := catalog.offer(name)) else catalog.of_model(name)
    if not offers and (made := uncatalogued(name, catalog.offers)):
        return (made,)
    if not offers:
        nearest = nearest_name(name, (*catalog.models, *catalog.names()))
        meant = f" Did you mean {nearest}?" if nearest else ""
        raise InvalidRequest(
            f"There is no model {name!r} in the catalog.{meant}",
            field="model",
            value=name,
            allowed="a name from `vidorch models`",
        )
    return offers


def _in_full(out: Any, offer: Offer) -> None:
    def say(text: str) -> None:
        out.print(text, markup=False, soft_wrap=not out.is_terminal)

    say(f"{offer.name}: {offer.title or offer.model}")
    say(f"  tasks: {', '.join(offer.routes)}")
    ratios = sorted({ratio for route in offer.routes.values() for ratio in route.capabilities.aspect_ratios})
    if ratios:
        say(f"  aspect ratios: {', '.join(ratios)}")
    life = offer.lifecycle
    until = f", until {life.retires}" if life.retires else ""
    sure = "" if life.confirmed else " (not confirmed at first hand)"
    say(f"  life: {life.state}{until}{sure}" + (f"; {life.source}" if life.source else ""))
    for row in offer.price.rows:
        when = words_of(row.when) or "always"
        sure = "" if row.confirmed else ", not confirmed"
        say(f"  price: {when}: {_unit(offer, row)} (read {row.as_of}{sure}; {row.source})")
    if offer.price.rule == "hours":
        say("  price: hours of your own hardware, at usd_per_hour of its endpoint or what such a card costs for rent; imputed, "
            "unless the endpoint is billed")  # fmt: skip
    say(f"  billed when it gives no clip: failed {offer.billing.failed}, input refused {offer.billing.refused_input}, "
        f"output refused {offer.billing.refused_output}, cancelled {offer.billing.cancelled}")  # fmt: skip
    if (limits := limits_at(offer.provider, offer.model)) is not None:
        each = ", for each model" if limits.each_model else ""
        sure = "" if limits.confirmed else ", not confirmed"
        for tier in limits.tiers:
            usual = ", the default" if tier.default else ""
            say(
                f"  limits: tier {tier.name}{usual}: {tier.in_words()}{each} (read {limits.as_of}{sure}; {limits.source})"
            )
        say(
            f"  limits: {limits.note} What is over them {'waits there' if limits.over == 'waits' else 'is refused'}."
        )
    if offer.licence:
        say(f"  licence: {offer.licence}")
    if offer.weights is not None:
        for line in _of_weights(offer.weights, offer.model):
            say(f"  {line}")
    for note in offer.notes:
        say(f"  {note}")


def _unit(offer: Offer, row: PriceRow) -> str:
    parts = [
        (row.fixed, "a clip"), (row.per_second, "a second"), (row.per_input_second, "a second of input"),
        (row.per_megapixel, "a megapixel"), (row.per_million_tokens, "a million tokens"),
    ]  # fmt: skip
    return (
        " + ".join(f"{show_usd(amount * offer.price.usd_per_unit)} {per}" for amount, per in parts if amount)
        or "free"
    )


def _price(offer: Offer) -> str:
    if offer.price.rule in ("free", "hours"):
        return "free" if offer.price.rule == "free" else "its hours"
    rates = [row.per_second * offer.price.usd_per_unit for row in offer.price.rows if row.per_second]
    if not rates:
        return "see in full" if offer.price.rows else "not known"
    low, high = min(rates), max(rates)
    return f"{_usd(low)}/s" if low == high else f"{_usd(low)}-{_usd(high).removeprefix('$')}/s"


def _rate(way: Way | None) -> str:
    return "not known" if way is None or way.rate is None else f"{_usd(way.rate)}/s" if way.rate else "free"


def _usd(amount: Decimal) -> str:
    return show_usd(amount)


def _lengths(offer: Offer) -> str:
    texts = set()
    for route in offer.routes.values():
        durations = route.capabilities.durations
        if durations.choices:
            texts.add(", ".join(f"{choice.normalize():f}" for choice in durations.choices))
        elif durations.least is not None and durations.most is not None:
            texts.add(f"{durations.least.normalize():f}-{durations.most.normalize():f}")
    return " / ".join(sorted(texts)) or "as the input"


def _resolutions(offer: Offer) -> list[str]:
    names: dict[str, None] = {}
    for route in offer.routes.values():
        names |= dict.fromkeys(route.capabilities.resolutions)
    return list(names)


def _audio(offer: Offer) -> str:
    kinds = {route.capabilities.audio for route in offer.routes.values()}
    return {"off": "no", "on": "always", "switch": "on or off"}[kinds.pop()] if len(kinds) == 1 else "varies"


def _state(offer: Offer, installed: frozenset[str]) -> str:
    if offer.lifecycle.state == "retired":
        return f"retired {offer.lifecycle.retires or ''}".strip()
    if offer.provider not in installed:
        return "not yet"
    if offer.weights is not None:
        return _state_of_weights(offer.weights, offer.model)
    if not offer.variables:
        return "ready"
    if key_here(*offer.variables) or login_here([offer], Registry()):
        return "ready"
    return f"needs {' or '.join(offer.variables)}"


def _of_weights(weights: Weights, name: str) -> Iterator[str]:
    """What it takes to run it here, line by line."""
    there = locate(weights)
    yield f"weights: {weights.source}, {size_in_words(weights.download_bytes)}: {missing(weights, name) or f'in {there}'}"
    for lora in weights.loras:
        yield (
            f"laid over it: {lora.source}"
            + (f", {lora.scale:g}" if lora.scale != 1 else "")
            + (f", on its {lora.expert}-noise expert" if lora.expert else "")
        )
    if weights.memory:
        needs = ", ".join(f"{place} {size_in_words(size)}" for place, size in weights.memory.items())
        yield f"memory: {needs}"
    asked = ", ".join(
        f"{key} {value:g}" for key, value in weights.defaults.items() if not isinstance(value, str)
    )
    if asked:
        yield f"unless you say otherwise: {asked}"


def _state_of_weights(weights: Weights, name: str) -> str:
    """Of a model for one's own hardware: what it still needs, in a word or two; its page says how that comes."""
    if locate(weights) is None:
        return f"not pulled, {size_in_words(weights.download_bytes)}"
    return "needs the extra local" if missing(weights, name) else "ready"


def _document(match: Match, installed: frozenset[str]) -> dict[str, Any]:
    offer = match.offer
    return {
        "name": offer.name,
        "model": offer.model,
        "endpoint": offer.endpoint,
        "provider": offer.provider,
        "family": offer.family,
        "title": offer.title,
        "tasks": list(offer.routes),
        "durations": _lengths(offer),
        "resolutions": _resolutions(offer),
        "audio": _audio(offer),
        "price": {
            "rule": offer.price.rule,
            "unit": offer.price.unit,
            "usd_per_unit": str(offer.price.usd_per_unit),
            "rows": [
                {
                    "when": {key: list(values) for key, values in row.when.items()},
                    "fixed": str(row.fixed), "per_second": str(row.per_second), "per_input_second": str(row.per_input_second),
                    "per_megapixel": str(row.per_megapixel), "per_million_tokens": str(row.per_million_tokens),
                    "source": row.source, "as_of": str(row.as_of), "confirmed": row.confirmed,
                }
                for row in offer.price.rows
            ],
        },
        "lifecycle": {
            "state": offer.lifecycle.state, "retires": offer.lifecycle.retires and str(offer.lifecycle.retires),
            "confirmed": offer.lifecycle.confirmed, "source": offer.lifecycle.source,
        },
        "limits": None if (limits := limits_at(offer.provider, offer.model)) is None else limits.to_dict(),
        "licence": offer.licence,
        "weights": None if offer.weights is None else _weights_document(offer.weights, offer.model),
        "compared": None if match.way is None else match.way.to_dict(),
        "here": _state(offer, installed),
    }  # fmt: skip


def _weights_document(weights: Weights, name: str) -> dict[str, Any]:
    there = locate(weights)
    return {
        "source": weights.source, "download_bytes": weights.download_bytes, "memory": dict(weights.memory),
        "loras": [{"source": lora.source, "scale": lora.scale, "expert": lora.expert} for lora in weights.loras],
        "pulled": there is not None, "folder": there and str(there), "missing": missing(weights, name),
    }  # fmt: skip
