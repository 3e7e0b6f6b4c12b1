"""One `[[offer]]` table becomes an `Offer`: the format of a catalog file, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from typing import Any

from vidorch.catalog.weights import read_weights
from vidorch.offer import (
    Billing,
    Capabilities,
    Durations,
    FieldMap,
    Latency,
    Lifecycle,
    Limits,
    Offer,
    Price,
    PriceRow,
    Route,
)
from vidorch.request import RESOLUTIONS, TASKS, Request
from vidorch.tables import REQUIRED, Table

__all__ = ["CONDITIONS", "CONTEXT_FIELDS", "merge", "read_offer", "read_row"]

CONDITIONS: tuple[str, ...] = ("resolution", "audio", "task", "references", "duration")
"""What a price row may depend on, in `when`."""

CONTEXT_FIELDS: tuple[str, ...] = ("samples", "job_id", "webhook", "fps", "frames", "width", "height")
"""What a route may map besides the fields of a request: what the engine adds to a submit, and what follows from it."""

_NAME = r"[a-z0-9][a-z0-9._-]*"
_NAMED = "lower-case letters, digits, '.', '_' and '-'"
_RATIO = r"[1-9][0-9]{0,2}:[1-9][0-9]{0,2}"
_SUPPORT = ("native", "prompt", "absent")
_TYPES = ("string", "integer", "number", "boolean", "image", "video", "audio", "list", "job", "job_or_video")
_CHARGES = ("free", "full", "part", "unknown")
_AMOUNTS = {"fixed", "per_second", "per_input_second", "per_megapixel", "per_million_tokens"}
_WHOLE = (
    "durations",
    "sizes",
)  # replaced as one: half of an inherited range beside a list of choices means nothing


def merge(base: Mapping[str, Any], over: Mapping[str, Any], parent: str = "") -> dict[str, Any]:
    """`over` laid on `base`, table by table. A field map, `durations` and `sizes` are replaced whole."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(below, value, key) if both and key not in _WHOLE and parent != "fields" else value  # type: ignore[arg-type]
    return merged


def read_offer(table: Table, *, family: str, layer: str) -> Offer:
    """One offer, every value checked.

    Raises:
        CatalogError: with file, line and field.
    """
    as_of: date = table.day("as_of")
    vendor_model = table.text("vendor_model", "")
    lifecycle = _lifecycle(table.table("lifecycle"))
    price = _price(table.table("price"), as_of)
    routes = _routes(table, vendor_model)
    offer = Offer(
        model=table.text("model", pattern=_NAME, wanted=_NAMED),
        endpoint=table.text("endpoint", pattern=_NAME, wanted=_NAMED),
        provider=table.text("provider", pattern=_NAME, wanted=_NAMED),
        family=table.text("family", family or REQUIRED, pattern=_NAME, wanted=_NAMED),
        routes=routes,
        price=price,
        title=table.text("title"),
        vendor_model=vendor_model,
        billing=_billing(table.table("billing")),
        lifecycle=lifecycle,
        latency=_latency(table.table("latency")),
        min_poll=table.real("min_poll", 5.0),
        outlives_caller=table.flag("outlives_caller", True),
        find=table.one_of("find", ("exact", "list", "none"), "none"),
        find_lag=table.real("find_lag") if "find_lag" in table.data else 120.0,
        result_lifetime=table.real("result_lifetime") if "result_lifetime" in table.data else None,
        variables=table.texts("variables", pattern=r"[A-Z][A-Z0-9_]*"),
        licence=table.text("licence", ""),
        notes=table.texts("notes"),
        as_of=as_of,
        pinned=table.flag("pinned", False),
        layer=layer,
        weights=read_weights(table, routes.values()),
    )
    table.done()
    _check_rows_against_routes(table, offer)
    return offer


def _routes(table: Table, vendor_model: str) -> dict[str, Route]:
    shared = table.table("capabilities")
    _capabilities(shared)  # checked by itself first, so that a mistake is told where it stands
    fields = _fields(table.table("fields"))
    fixed = table.table("fixed").data
    path, refused = table.text("path", ""), table.texts("refused")
    given = table.table("routes")
    if not given.data:
        raise table.error("routes", "is missing. An offer does at least one task.")
    routes: dict[str, Route] = {}
    for task in TASKS:
        if task not in given.data:
            continue
        route = given.table(task)
        for owner, name in ((table, path), (route, route.data.get("path"))):
            if isinstance(name, str) and ("://" in name or name.startswith("//")):
                raise owner.error(
                    "path", "has to be a path at the endpoint's own host, which gets the credential."
                )
        own = merge(shared.data, route.table("capabilities").data)
        routes[task] = Route(
            task=task,
            path=route.text("path", path or REQUIRED).replace("{model}", vendor_model),
            capabilities=_capabilities(Table(table.source, own, (*route.path, "capabilities"), table.offer)),
            fields={**fields, **_fields(route.table("fields"))},
            fixed={
                name: value for name, value in {**fixed, **route.table("fixed").data}.items() if value != ""
            },
            refused=(*refused, *route.texts("refused")),
        )
        route.done()
    given.done(TASKS)
    return routes


def _capabilities(table: Table) -> Capabilities:
    resolutions = table.texts("resolutions", among=RESOLUTIONS)
    ratios = table.texts("aspect_ratios", pattern=_RATIO)
    made = Capabilities(
        durations=_durations(table.table("durations")),
        resolutions=resolutions,
        aspect_ratios=ratios,
        sizes=_sizes(table.table("sizes"), resolutions, ratios),
        fps=tuple(Fraction(value) for value in table.numbers("fps")),
        audio=table.one_of("audio", ("off", "on", "switch"), "off"),
        seed=table.flag("seed", False),
        negative_prompt=table.one_of("negative_prompt", _SUPPORT, "absent"),
        camera=table.one_of("camera", _SUPPORT, "absent"),
        last_image=table.flag("last_image", False),
        references=table.whole("references", 0),
        audio_track=table.flag("audio_track", False),
        loras=table.flag("loras", False),
        steps=_whole_pair(table, "steps"),
        guidance=table.pair("guidance"),
        samples=table.whole("samples", 1, least=1),
        limits=_limits(table.table("limits")),
    )
    table.done()
    return made


def _durations(table: Table) -> Durations:
    choices = table.numbers("choices")
    if choices and list(choices) != sorted(set(choices)):
        raise table.error("choices", "has to rise, each length once.")
    ranged = [key for key in ("least", "most", "step") if key in table.data]
    if choices and ranged:
        raise table.error(ranged[0], "cannot stand beside choices.")
    least = most = None
    if ranged:
        least, most = table.number("least", above=True), table.number("most", above=True)
        if least > most:
            raise table.error("most", f"{most} is less than least, {least}.")
    step = table.number("step", 1, above=True)
    table.done()
    return Durations(choices, least, most, step)


def _sizes(table: Table, resolutions: tuple[str, ...], ratios: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    sizes: dict[str, tuple[int, int]] = {}
    for key in table.data:
        name, _, ratio = key.partition(" ")
        if name not in resolutions or ratio not in ratios:
            raise table.error(
                key, "has to be 'RESOLUTION RATIO', both of them named by this offer, such as '720p 16:9'."
            )
        pair = _whole_pair(table, key, rising=False)
        assert pair is not None
        sizes[key] = pair
    table.done()
    return sizes


def _whole_pair(table: Table, key: str, *, rising: bool = True) -> tuple[int, int] | None:
    def right(value: Any) -> bool:
        whole = isinstance(value, (list, tuple)) and all(
            type(item) is int and 1 <= item <= 100_000 for item in value
        )
        return whole and len(value) == 2 and (not rising or value[0] <= value[1])

    value = table.take(key, None, "[least, most]" if rising else "[width, height], in pixels", right)
    return None if value is None else (value[0], value[1])


def _limits(table: Table) -> Limits:
    limits = Limits(
        prompt_characters=table.whole("prompt_characters", None, least=1),
        image_bytes=table.whole("image_bytes", None, least=1),
        video_bytes=table.whole("video_bytes", None, least=1),
        audio_bytes=table.whole("audio_bytes", None, least=1),
        image_types=table.texts("image_types", pattern=r"image/[a-z0-9.+-]+"),
        video_seconds=table.pair("video_seconds"),
    )
    table.done()
    return limits


def _fields(table: Table) -> dict[str, FieldMap]:
    maps: dict[str, FieldMap] = {}
    for name in table.data:
        if not Request.known(name) and name not in CONTEXT_FIELDS:
            raise table.error(name, "is no field of a request.")
        row = table.table(name)
        maps[name] = FieldMap(
            to=row.text("to"),
            type=row.one_of("type", _TYPES, "string"),
            values=dict(row.table("values").data),
            form=row.text("form", ""),
            add=row.text("add", ""),
        )
        row.done()
    return maps


def _price(table: Table, as_of: date) -> Price:
    rule = table.one_of("rule", ("free", "table", "hours", "unpriced"), "table")
    source = table.text("source", REQUIRED if rule == "table" and not _each_row_has(table, "source") else "")
    day: date = table.day("as_of", as_of)
    rows = tuple(read_row(row, source, day) for row in table.tables("row"))
    if rule == "table" and not rows:
        raise table.error(
            "row", "is missing. A table of prices has at least one row; without one the rule is 'unpriced'."
        )
    if rule != "table" and rows:
        raise table.error("row", f"cannot stand beside rule = '{rule}'.")
    for (i, one), (j, other) in combinations(enumerate(rows), 2):
        shared = one.when.keys() & other.when.keys()
        if len(one.when) == len(other.when) and all(
            set(one.when[key]) & set(other.when[key]) for key in shared
        ):
            raise table.error(
                "row",
                f"rows {i + 1} and {j + 1} can both hold for one request. Tell them apart in `when`.",
            )
    price = Price(
        rule=rule,
        rows=rows,
        unit=table.text("unit", "usd"),
        usd_per_unit=table.number("usd_per_unit", 1, above=True),
        source=source,
        as_of=day,
        note=table.text("note", ""),
    )
    if price.unit != "usd" and "usd_per_unit" not in table.data:
        raise table.error("usd_per_unit", f"is missing. It says what one {price.unit} costs.")
    if price.unit == "usd" and price.usd_per_unit != 1:
        raise table.error("usd_per_unit", "has to be 1 where the unit is usd.")
    table.done()
    return price


def _each_row_has(table: Table, key: str) -> bool:
    rows = table.data.get("row")
    return (
        isinstance(rows, (list, tuple))
        and bool(rows)
        and all(isinstance(row, Mapping) and key in row for row in rows)
    )


def read_row(table: Table, source: str, as_of: date) -> PriceRow:
    """One row of a price; `source` and `as_of` hold where it has none of its own."""
    row = PriceRow(
        when=_when(table.table("when")),
        fixed=table.number("fixed", 0),
        per_second=table.number("per_second", 0),
        per_input_second=table.number("per_input_second", 0),
        minimum_seconds=table.number("minimum_seconds", 0),
        block_seconds=table.number("block_seconds", 0),
        high_per_second=table.number("high_per_second") if "high_per_second" in table.data else None,
        per_megapixel=table.number("per_megapixel", 0),
        per_million_tokens=table.number("per_million_tokens", 0),
        source=table.text("source", source),
        as_of=table.day("as_of", as_of),
        confirmed=table.flag("confirmed", True),
    )
    table.done()
    if not _AMOUNTS & table.data.keys():
        raise table.error("per_second", "is missing, and every other amount is, too: the row says no price.")
    if row.high_per_second is not None and row.high_per_second < row.per_second:
        raise table.error("high_per_second", "is less than per_second.")
    return row


def _when(table: Table) -> dict[str, tuple[Any, ...]]:
    """Conditions as tuples of the values that each lets through."""
    checks: dict[str, Any] = {
        "resolution": lambda value: value in RESOLUTIONS,
        "task": lambda value: value in TASKS,
        "audio": lambda value: isinstance(value, bool),
        "references": lambda value: isinstance(value, bool),
        "duration": lambda value: type(value) in (int, Decimal),
    }
    when: dict[str, tuple[Any, ...]] = {}
    for key in CONDITIONS:
        if key not in table.data:
            continue
        value = table.take(key, None, "", lambda _: True)
        values = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        for item in values:
            if not isinstance(item, (str, bool, int, Decimal)) or not checks[key](item):
                raise table.error(key, f"{item!r} is no {key} that a request can have.")
        when[key] = tuple(Decimal(item) for item in values) if key == "duration" else values
    table.done(CONDITIONS)
    return when


def _check_rows_against_routes(table: Table, offer: Offer) -> None:
    """A row for a resolution or task that the offer does not have is a slip, not a price."""
    resolutions = {name for route in offer.routes.values() for name in route.capabilities.resolutions}
    for index, row in enumerate(offer.price.rows):
        for key, legal in (("resolution", resolutions), ("task", set(offer.routes))):
            for value in row.when.get(key, ()):
                if value not in legal:
                    path = ("price", "row", index, "when", key)
                    raise table.source.error(
                        f"{value!r} is not among what this offer makes.", path, table.offer
                    )


def _billing(table: Table) -> Billing:
    keys = ("failed", "refused_input", "refused_output", "cancelled")
    ends = {key: table.one_of(key, _CHARGES, "unknown") for key in keys}
    billing = Billing(
        **ends, source=table.text("source", REQUIRED if set(ends.values()) != {"unknown"} else "")
    )
    table.done()
    return billing


def _lifecycle(table: Table) -> Lifecycle:
    life = Lifecycle(
        state=table.one_of("state", ("live", "preview", "deprecated", "retired"), "live"),
        released=table.day("released", None),
        retires=table.day("retires", None),
        confirmed=table.flag("confirmed", False),
        replacement=table.texts("replacement"),
        source=table.text("source", REQUIRED if table.data else ""),
        as_of=table.day("as_of", None),
    )
    if life.released and life.retires and life.retires < life.released:
        raise table.error("retires", f"{life.retires} is before released, {life.released}.")
    table.done()
    return life


def _latency(table: Table) -> Latency:
    latency = Latency(
        low=table.real("low", 0.0),
        expected=table.real("expected", 0.0),
        high=table.real("high", 0.0),
        per_output_second=table.real("per_output_second", 0.0),
        source=table.text("source", REQUIRED if table.data else ""),
        confirmed=table.flag("confirmed", False),
        device=table.text("device", ""),
    )
    if not latency.low <= latency.expected <= latency.high:
        raise table.error("expected", "has to lie between low and high.")
    table.done()
    return latency
