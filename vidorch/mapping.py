"""From our words to a vendor's: the body of a request, by the field maps of its route."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, cast

from vidorch.errors import InvalidRequest, Unsupported
from vidorch.inputs import Media, without_secrets
from vidorch.offer import FieldMap, Offer, Route
from vidorch.request import RESOLUTIONS, Request, parse_ratio

__all__ = ["body_of", "goes_by_its_job", "pixels_of", "prompt_of", "was_sent_as"]

_NAMES = (
    "prompt", "negative_prompt", "camera", "duration", "resolution", "aspect_ratio", "size", "audio", "seed", "steps",
    "guidance", "loras",
)  # fmt: skip
_MEDIA = ("image", "last_image", "reference_images", "video", "audio_track")
_AS_GIVEN = ("image", "video", "audio", "job", "job_or_video")
"""Types whose values the provider has brought into shape."""
_PHRASES = {"negative_prompt": " Avoid: {}.", "camera": " Camera: {}."}
"""How a capability is said in the prompt where the route has no words of its own for it."""


def body_of(
    request: Request,
    route: Route,
    media: Mapping[str, Any] | None = None,
    *,
    samples: int = 1,
    job_id: str = "",
    webhook: str | None = None,
) -> dict[str, Any]:
    """What goes over the wire, as nested dictionaries and lists.

    Args:
        request: as bought, every field filled; its `extra` holds what is meant for this endpoint and provider alone.
        media: for each media field of the request its value as the vendor takes it: a URL, a data URI, an object; a list
            for `reference_images`.
        samples, job_id, webhook: for the maps of these names.

    Raises:
        Unsupported: the caller gave something that this route has no way to say, or `extra` does not fit into the body.
    """
    body: dict[str, Any] = {}
    for name, value in route.fixed.items():
        _put(body, name, value)
    values = _values(request, route, media or {}, samples, job_id, webhook)
    unsaid = [name for name in _MEDIA if name in (media or {}) and name not in route.fields]
    if unsaid:
        raise Unsupported(
            f"{unsaid[0]}: the route {route.path} has no field for it. Nothing was sent.",
            hint="Leave it out, or add the field to the route in a catalog file of your own.",
        )
    for name, mapped in route.fields.items():
        value = values.get(name)
        if value is not None and not mapped.add:
            _put(body, mapped.to, _said(name, value, mapped))
    for to, words in _added(values, route):  # after what they are added to
        _put(body, to, f"{str(_get(body, to) or '').rstrip()}{words}")
    for own in request.extra.values():
        _merge(body, own)
    return body


def prompt_of(settings: Mapping[str, Any], route: Route | None) -> str:
    """The prompt as `body_of` sends it: with what the route has no other words for at its end.

    Args:
        settings: a request as `Request.describe()` writes it.
    """
    words = str(settings.get("prompt") or "")
    to = None if route is None else route.fields.get("prompt")
    if route is None or to is None:
        return words
    for where, more in _added(settings, route):
        if where == to.to:
            words = f"{words.rstrip()}{more}"
    return words


def was_sent_as(told: Mapping[str, Any], settings: Mapping[str, Any], route: Route) -> bool:
    """Whether a vendor's list tells back what `body_of` makes of these settings: each field that was sent, with its value.

    Inputs are looked for, not compared: where they were uploaded to is known to nobody any more. What the vendor filled in by
    itself is not ours to judge, nor how many clips one job makes.

    Args:
        told: the input as the vendor tells it. settings: a request as `Request.describe()` writes it.
    """
    given: dict[str, Any] = {name: settings.get(name) for name in _NAMES}
    given["loras"], given["extra"] = given["loras"] or (), settings.get("extra") or {}
    if isinstance(given["size"], list):
        given["size"] = tuple(given["size"])
    media = {name: _INPUT for name in _MEDIA if settings.get(name) and name in route.fields}
    route = replace(
        route, fields={name: to for name, to in route.fields.items() if name not in _OF_THE_SUBMIT}
    )
    return _holds(told, body_of(cast("Request", SimpleNamespace(**given)), route, media))


_OF_THE_SUBMIT = ("samples", "job_id", "webhook")
_INPUT = object()
"""Stands for an input that was handed over."""


def _holds(told: Any, sent: Any) -> bool:
    """Whether all that was sent is in what is told: numbers by their value, the rest as it is."""
    if sent is _INPUT:
        return bool(told)
    if isinstance(sent, Mapping):
        return isinstance(told, Mapping) and all(
            _holds(told.get(name), value) for name, value in sent.items()
        )
    if isinstance(sent, list):
        return isinstance(told, list) and len(told) >= len(sent) and all(map(_holds, told, sent))
    if isinstance(sent, bool) or isinstance(told, bool):
        return told is sent
    if (
        told == sent or without_secrets(told) == sent
    ):  # addresses in `extra` were written down without their query
        return True
    try:
        return Decimal(str(told)) == Decimal(str(sent))
    except InvalidOperation:
        return False


def _added(values: Mapping[str, Any], route: Route) -> Iterator[tuple[str, str]]:
    """What is said at the end of another field: (the vendor's field, words)."""
    for name, mapped in route.fields.items():
        if mapped.add and values.get(name):
            yield mapped.to, mapped.add.format(values[name])
    if (prompt := route.fields.get("prompt")) is not None:
        for name, phrase in _PHRASES.items():
            said_there = name not in route.fields and getattr(route.capabilities, name) == "prompt"
            if said_there and values.get(name):
                yield prompt.to, phrase.format(values[name])


def goes_by_its_job(media: Media, offer: Offer, route: Route) -> bool:
    """Whether an input is a clip that can be named by the id of the job that made it, where the route takes such ids.

    Made by another model of the endpoint it cannot, unless the route says its model: the vendor goes on with that of the source,
    which has its own price.
    """
    return bool(
        media.job_id and media.endpoint == offer.endpoint and (media.model == offer.model or "model" in route.fixed)
    )  # fmt: skip


def pixels_of(request: Request, route: Route) -> tuple[int, int] | None:
    """Width and height of what is bought, where that is known before it is made."""
    if request.size is not None:
        return request.size
    if request.resolution is None or request.aspect_ratio is None:
        return None
    exact = route.capabilities.sizes.get(f"{request.resolution} {request.aspect_ratio}")
    if exact is not None:
        return exact
    return _sides(RESOLUTIONS[request.resolution], request.aspect_ratio)


@lru_cache(maxsize=256)
def _sides(short: int, aspect_ratio: str) -> tuple[int, int]:
    ratio = parse_ratio(aspect_ratio)
    long = round(short * max(ratio, 1 / ratio) / 2) * 2
    return (long, short) if ratio >= 1 else (short, long)


def _values(
    request: Request, route: Route, media: Mapping[str, Any], samples: int, job_id: str, webhook: str | None
) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: getattr(request, name) or None for name in ("prompt", "negative_prompt", "camera")
    }
    values |= {name: getattr(request, name) for name in _NAMES if name not in values}
    values |= {name: value for name, value in media.items() if value not in (None, [], ())}
    values["loras"] = [{"path": name, "scale": weight} for name, weight in request.loras] or None
    pixels = pixels_of(request, route)
    values["size"] = pixels
    if pixels is not None:
        values["width"], values["height"] = pixels
        named = _names_of(pixels, route)
        values["resolution"] = request.resolution or named[0]
        values["aspect_ratio"] = request.aspect_ratio or named[1]
    fps = route.capabilities.fps
    if fps:
        values["fps"] = _plain(fps[0])
        if request.duration is not None:
            frames = round(Fraction(Decimal(repr(request.duration))) * fps[0])
            step = route.frame_step
            values["frames"] = round(frames / step) * step + 1 if step else frames
    return values | {"samples": samples, "job_id": job_id or None, "webhook": webhook}


def _names_of(pixels: tuple[int, int], route: Route) -> tuple[str | None, str | None]:
    """The route's own names of a size: resolution and aspect ratio."""
    for name, size in route.capabilities.sizes.items():
        if size == pixels:
            resolution, _, ratio = name.partition(" ")
            return resolution, ratio
    short = min(pixels)
    resolution = next((name for name, side in RESOLUTIONS.items() if side == short), "")
    ratio = next((one for one in route.capabilities.aspect_ratios if _near(one, (pixels[0], pixels[1]))), "")
    return resolution or None, ratio or None


@lru_cache(maxsize=1024)
def _near(ratio: str, pixels: tuple[int, int]) -> bool:
    one, other = parse_ratio(ratio), Fraction(*pixels)
    return max(one / other, other / one) <= Fraction(51, 50)


def _said(name: str, value: Any, mapped: FieldMap) -> Any:
    """A value in the vendor's words and of the vendor's type."""
    if mapped.values:
        value = _looked_up(name, value, mapped)
    if isinstance(value, (list, tuple)) and not (mapped.form and name == "size"):
        return (
            [_typed(item, mapped) for item in value] if mapped.type in ("list", *_AS_GIVEN) else list(value)
        )
    if mapped.type in ("list", *_AS_GIVEN):
        return [value] if mapped.type == "list" else value
    if mapped.form:
        return mapped.form.format(*value) if isinstance(value, tuple) else mapped.form.format(_plain(value))
    return _typed(value, mapped)


def _looked_up(name: str, value: Any, mapped: FieldMap) -> Any:
    key = str(value).lower() if isinstance(value, bool) else str(_plain(value))
    return mapped.values.get(key, value)


def _typed(value: Any, mapped: FieldMap) -> Any:
    if mapped.type == "string" and not isinstance(value, (str, bool)):
        return str(_plain(value))
    if mapped.type == "integer" and not isinstance(value, bool):
        return int(value)
    if mapped.type == "number":
        return _plain(value)
    return value


def _plain(value: Any) -> Any:
    """A number as it is written: 5 rather than 5.0."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, Fraction)):
        return value
    return int(value) if value == int(value) else float(value)


def _steps(name: str) -> list[str | int]:
    return [int(step) if step.isdigit() else step for step in name.split(".")]


def _put(body: dict[str, Any], name: str, value: Any) -> None:
    """Set a dotted name; a number is a place in a list, and a list there goes from that place on."""
    steps = _steps(name)
    here: Any = body
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        if isinstance(step, int):
            while len(here) <= step:
                here.append({} if isinstance(following, str) else [] if following is not None else None)
        if following is None:
            if isinstance(step, int) and isinstance(value, list):
                here[step:] = value  # several of a kind, from this place on
            else:
                here[step] = value
            return
        here = (
            here.setdefault(step, [] if isinstance(following, int) else {})
            if isinstance(here, dict)
            else here[step]
        )


def _get(body: Mapping[str, Any], name: str) -> Any:
    here: Any = body
    for step in _steps(name):
        try:
            here = here[step]
        except (KeyError, IndexError, TypeError):
            return None
    return here


def _merge(body: dict[str, Any], more: Mapping[str, Any], above: Sequence[str] = ()) -> None:
    """Lay the caller's own fields into the body. What vidorch sets itself was refused before."""
    for name, value in more.items():
        if "." in name:
            _put(body, name, value)
            continue
        if isinstance(value, Mapping) and isinstance(body.get(name), dict):
            _merge(body[name], value, (*above, name))
        elif name in body and body[name] != value:
            dotted = ".".join((*above, name))
            raise InvalidRequest(
                f"extra sets {dotted!r}, which vidorch sets itself. Nothing was sent.", hint="Leave it out of extra.",
                field="extra", value=dotted, allowed="keys that vidorch does not set",
            )  # fmt: skip
        else:
            body[name] = value
