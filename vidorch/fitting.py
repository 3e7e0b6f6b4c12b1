"""One request and one route: what would be bought, and every reason why that is not what was asked.

Only fields that the caller gave can be a reason. All others are filled, with the legal value nearest to 5 s,
720p and the first image's shape or 16:9, above before below, sound off. What comes out is legal for the route
in any case, so that a provider can be asked about it even when something else already speaks against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from vidorch.errors import InvalidRequest
from vidorch.frozen import changed
from vidorch.inputs import Media
from vidorch.mapping import goes_by_its_job
from vidorch.offer import Capabilities, Durations, Limits, Offer, Route
from vidorch.price import is_sold, resolution_of
from vidorch.request import RESOLUTIONS, Request, parse_ratio

__all__ = ["Fitted", "ImageSize", "either", "fit", "own_extra", "route_for"]

ImageSize = Callable[[Media], "tuple[int, int] | None"]
"""Gives an image's or a clip's width and height as it is shown, or None where that is not known."""

_USUAL_SECONDS = Decimal(5)
_USUAL_RATIO = Fraction(16, 9)
_CLOSE = Decimal("0.5")  # seconds: what counts as the asked duration
_SAME_SHAPE = Fraction(
    51, 50
)  # pixels are whole and often multiples of 16: 848x480 is 16:9 to anybody who asks for it
_WITHOUT_IMAGE = ("text-to-video", "reference-to-video")


@dataclass(slots=True)
class Fitted:
    """What came of it.

    Attributes:
        request: as bought, every setting filled that the route has.
        trim_to: seconds to cut the clip to (`fit="exact"`).
        reasons: why this is not what was asked; empty when it is.
        notes: what differs within what was allowed.
    """

    request: Request
    trim_to: float | None = None
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def route_for(offer: Offer, task: str) -> Route | None:
    """The route for a task; for first-last-frame also image-to-video, where that takes a last image."""
    route = offer.routes.get(task)
    if route is None and task == "first-last-frame":
        route = offer.routes.get("image-to-video")
        return route if route and route.capabilities.last_image else None
    return route


def fit(request: Request, offer: Offer, route: Route, image_size: ImageSize | None = None) -> Fitted:
    """Fit a request to a route.

    Raises:
        InvalidRequest: `extra` sets what vidorch sets itself, or what changes price or count.
    """
    made = Fitted(request)
    able = route.capabilities
    named = resolution_of(request, route)
    sold = _sold_lengths(offer, route, named)
    seconds = _duration(request, sold, made, narrowed=named if sold != able.durations else None)
    shape = _shape(request, able, _sold_shapes(offer, route, named, seconds), made, image_size)
    settings: dict[str, Any] = {
        "duration": None if seconds is None else float(seconds),
        "audio": _audio(request, able, made),
        "extra": own_extra(request, offer, route),
        **_extras(request, able, made),
        **shape,
    }
    _inputs(request, offer, route, made)
    made.request = changed(request, **settings)  # all of it legal by what the catalog says
    return made


# What goes together --------------------------------------------------------------------------------------------


def _sold_lengths(offer: Offer, route: Route, resolution: str | None) -> Durations:
    """The lengths that are made in a resolution: all, unless the price names those it is for."""
    legal = route.capabilities.durations
    sold = tuple(choice for choice in legal.choices if is_sold(offer, route, resolution, choice))
    return replace(legal, choices=sold) if resolution is not None and sold else legal


def _sold_shapes(offer: Offer, route: Route, asked: str | None, seconds: Decimal | None) -> list[_Shape]:
    """The formats of a route; where no resolution was asked for, those that are made in this length."""
    shapes = _shapes(route.capabilities)
    sold = [shape for shape in shapes if is_sold(offer, route, shape.resolution, seconds)]
    return sold if asked is None and sold else shapes


# Duration ---------------------------------------------------------------------------------------------------


def _duration(request: Request, legal: Durations, made: Fitted, *, narrowed: str | None) -> Decimal | None:
    asked = None if request.duration is None else Decimal(repr(request.duration))
    if not legal.choices and legal.least is None:
        if asked is not None:
            _either_way(request, made, f"duration {_plain(asked)} s", "takes the length of its input")
        return None
    nearest = legal.nearest(_USUAL_SECONDS if asked is None else asked)
    if asked is None or nearest == asked or nearest is None:
        return nearest
    what, makes = (
        f"duration {_plain(asked)} s",
        f"makes {_lengths(legal)}{f' in {narrowed}' if narrowed else ''}",
    )
    if request.fit == "exact":
        longer = _next_longer(legal, asked)
        if longer is None:
            made.reasons.append(f"{what}: {makes}")
            return nearest
        made.trim_to = request.duration
        made.notes.append(f"{what}: {_plain(longer)} s are made and cut to {_plain(asked)} s")
        return longer
    if request.fit == "nearest" or (request.fit is None and abs(nearest - asked) <= _CLOSE):
        made.notes.append(f"{what}: {_plain(nearest)} s are made")
    else:
        made.reasons.append(f"{what}: {makes}")
    return nearest


def _next_longer(legal: Durations, asked: Decimal) -> Decimal | None:
    if legal.choices:
        return next((choice for choice in legal.choices if choice >= asked), None)
    longer = legal.on_grid(asked, ROUND_CEILING)
    return longer if longer is not None and longer >= asked else None


def _lengths(legal: Durations) -> str:
    if legal.choices:
        return either(_plain(choice) for choice in legal.choices)
    assert legal.least is not None
    assert legal.most is not None
    every = "whole seconds" if legal.step == 1 and legal.least % 1 == 0 else f"every {_plain(legal.step)} s"
    return f"{every} from {_plain(legal.least)} to {_plain(legal.most)}"


# Shape ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shape:
    """One picture format that a route makes. None means that it keeps its input's."""

    resolution: str | None
    ratio: str | None
    size: tuple[int, int] | None = None


def _shape(
    request: Request, able: Capabilities, shapes: list[_Shape], made: Fitted, image_size: ImageSize | None
) -> dict[str, Any]:
    """Resolution, aspect ratio and size to buy."""
    image = _ratio_of_input(request, image_size)
    legal = [shape for shape in shapes if _is_asked(request, shape, image)]
    if not legal:
        for what, makes in _against(request, able, shapes, image):
            _either_way(request, made, what, makes)
    wanted = _wanted_ratio(request) or image or _USUAL_RATIO
    side = (
        RESOLUTIONS[request.resolution] if request.resolution else min(request.size) if request.size else 720
    )

    def distance(shape: _Shape) -> tuple[Any, ...]:
        height = side if shape.resolution is None else RESOLUTIONS[shape.resolution]
        return (*_off(wanted, shape.ratio), abs(height - side), -height)

    among = legal or shapes
    best = among[0] if len(among) == 1 else min(among, key=distance)
    if image and best.ratio and not _wanted_ratio(request) and not _alike(parse_ratio(best.ratio), image):
        source = "image" if request.image is not None else "source"
        made.notes.append(f"the {source} is {_as_ratio(image)} and the clip {best.ratio}")
    return _bought_shape(request, best, image, bool(legal))


@lru_cache(maxsize=1024)
def _off(wanted: Fraction, ratio: str | None) -> tuple[Fraction, Fraction]:
    """How far an aspect ratio is from the one that is wanted, and of two that are as far the wider first; None is that one."""
    given = wanted if ratio is None else parse_ratio(ratio)
    return max(given / wanted, wanted / given), -given


def _shapes(able: Capabilities) -> list[_Shape]:
    if able.sizes:
        named = ((name.partition(" "), size) for name, size in able.sizes.items())
        return [_Shape(resolution, ratio, size) for (resolution, _, ratio), size in named]
    return [
        _Shape(name, ratio) for name in able.resolutions or (None,) for ratio in able.aspect_ratios or (None,)
    ]


def _is_asked(request: Request, shape: _Shape, image: Fraction | None) -> bool:
    if request.size is not None:
        if request.size == shape.size:
            return True
        named = shape.resolution is not None and RESOLUTIONS[shape.resolution] == min(request.size)
        return named and _has_ratio(shape, Fraction(*request.size), image, close=True)
    if request.resolution is not None and shape.resolution != request.resolution:
        return False
    return request.aspect_ratio is None or _has_ratio(shape, parse_ratio(request.aspect_ratio), image)


def _has_ratio(shape: _Shape, wanted: Fraction, image: Fraction | None, *, close: bool = False) -> bool:
    if shape.ratio is None:  # keeps the image's: only what is seen to be equal counts
        return image is not None and _alike(image, wanted)
    ratio = parse_ratio(shape.ratio)
    return _alike(ratio, wanted) if close else ratio == wanted


def _against(
    request: Request, able: Capabilities, shapes: list[_Shape], image: Fraction | None
) -> list[tuple[str, str]]:
    """What was asked and what is made instead: field by field, or both together where each alone would do."""
    if request.size is not None:
        pixels = either(f"{size[0]}x{size[1]}" for size in able.sizes.values())
        named = f"{either(able.resolutions) or 'the size of its input'} in {_ratios_made(able, image)}"
        return [(f"size {request.size[0]}x{request.size[1]}", f"makes {pixels or named}")]
    said: list[tuple[str, str]] = []
    if request.resolution is not None and not any(shape.resolution == request.resolution for shape in shapes):
        said.append(
            (f"resolution {request.resolution}", f"makes {either(able.resolutions) or 'that of its input'}")
        )
    if request.aspect_ratio is not None:
        wanted = parse_ratio(request.aspect_ratio)
        if not any(_has_ratio(shape, wanted, image) for shape in shapes):
            said.append((f"aspect ratio {request.aspect_ratio}", f"makes {_ratios_made(able, image)}"))
    return said or [(f"{request.resolution} in {request.aspect_ratio}", "not made together")]


def _ratios_made(able: Capabilities, image: Fraction | None) -> str:
    own = f"that of the image, {_as_ratio(image) if image else 'which is not known here'}"
    return either(able.aspect_ratios) or own


def _bought_shape(request: Request, shape: _Shape, image: Fraction | None, legal: bool) -> dict[str, Any]:
    ratio = shape.ratio or (request.aspect_ratio if legal else None) or (_as_ratio(image) if image else None)
    size = shape.size
    if (
        size is None
        and request.size is not None
        and legal
        and shape.ratio
        and Fraction(*request.size) == parse_ratio(shape.ratio)
    ):
        size = request.size
    resolution = shape.resolution
    if size is not None:
        # A vendor's "720p" may be 1104x832; a request does not hold a name beside pixels that contradict it.
        resolution = resolution if resolution and RESOLUTIONS[resolution] == min(size) else None
        ratio = ratio if ratio and _alike(parse_ratio(ratio), Fraction(*size)) else None
    return {"resolution": resolution, "aspect_ratio": ratio, "size": size}


def _wanted_ratio(request: Request) -> Fraction | None:
    if request.size is not None:
        return Fraction(*request.size)
    return None if request.aspect_ratio is None else parse_ratio(request.aspect_ratio)


def _ratio_of_input(request: Request, image_size: ImageSize | None) -> Fraction | None:
    """The shape of the first image, else of the source clip; None where it is not known."""
    source = request.image if request.image is not None else request.video
    if not isinstance(source, Media) or image_size is None:
        return None
    size = image_size(source)
    return Fraction(*size) if size and min(size) > 0 else None


def _alike(one: Fraction, other: Fraction) -> bool:
    return max(one / other, other / one) <= _SAME_SHAPE


_NAMED_RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3", "21:9", "9:21", "5:4", "4:5")


def _as_ratio(ratio: Fraction) -> str:
    """The usual name of a shape, else its own numbers, made small enough for a request to hold."""
    for name in _NAMED_RATIOS:
        if _alike(parse_ratio(name), ratio):
            return name
    narrow = min(ratio, 1 / ratio).limit_denominator(99) or Fraction(
        1, min(999, round(max(ratio, 1 / ratio)))
    )
    short, long = narrow.numerator, narrow.denominator
    return f"{short}:{long}" if ratio < 1 else f"{long}:{short}"


# Everything else --------------------------------------------------------------------------------------------


def _audio(request: Request, able: Capabilities, made: Fitted) -> bool:
    if able.audio == "switch":
        return bool(request.audio)
    always = able.audio == "on"
    if request.audio is not None and request.audio != always:
        made.reasons.append("sound off: always makes sound" if always else "sound: makes silent clips")
    elif request.audio is None and always:
        made.notes.append("always makes sound")
    return always


def _extras(request: Request, able: Capabilities, made: Fitted) -> dict[str, Any]:
    """Settings that a route has or has not. What it has not is not sent."""
    if request.seed is not None and not able.seed:
        made.notes.append(f"seed {request.seed}: takes none, so the clip cannot be made again")
    for name, text, how in (
        ("negative prompt", request.negative_prompt, able.negative_prompt),
        ("camera", request.camera, able.camera),
    ):
        if text and how == "absent":
            made.reasons.append(f"{name}: takes none")
        elif text and how == "prompt":
            made.notes.append(f"{name}: said in the prompt")
    if request.loras and not able.loras:
        made.reasons.append("loras: takes none")
    return {
        "seed": request.seed if able.seed else None,
        "steps": _within(request, made, "steps", request.steps, able.steps),
        "guidance": _within(request, made, "guidance", request.guidance, able.guidance),
    }


def _within(
    request: Request, made: Fitted, name: str, asked: float | None, legal: tuple[Any, Any] | None
) -> Any:
    if asked is None:
        return None
    if legal is None:
        made.reasons.append(f"{name} {asked:g}: has no such setting")
        return None
    if legal[0] <= asked <= legal[1]:
        return asked
    _either_way(request, made, f"{name} {asked:g}", f"takes {legal[0]} to {legal[1]}")
    return type(asked)(legal[0] if asked < legal[0] else legal[1])


def _inputs(request: Request, offer: Offer, route: Route, made: Fitted) -> None:
    able, limits = route.capabilities, route.capabilities.limits
    count = len(request.reference_images)
    if count > able.references:
        made.reasons.append(f"{count} reference image{'s' * (count > 1)}: takes {able.references or 'none'}")
    for name in ("image", "video"):
        has_no_place = name not in route.fields and (route.fields or route.task in _WITHOUT_IMAGE)
        if getattr(request, name) is not None and has_no_place:
            made.reasons.append(f"{name}: {route.task} takes none")
    if (
        route.task == "lipsync"
    ):  # a face, from a picture or a clip, and a voice: what a route has a place for, it needs
        for name in ("image", "video", "audio_track"):
            if name in route.fields and getattr(request, name) is None:
                made.reasons.append(f"{name.replace('_', ' ')}: needs one")
    if request.prompt.strip() and route.fields and "prompt" not in route.fields:
        made.notes.append("prompt: takes none")
    if request.last_image is not None and not able.last_image:
        made.reasons.append("last image: takes none")
    if request.audio_track is not None and not able.audio_track:
        made.reasons.append("audio track: takes none")
    most = limits.prompt_characters
    if most is not None and len(request.prompt) > most:
        made.reasons.append(f"prompt of {len(request.prompt):,} characters: takes {most:,}")
    for name, media in request.media():
        _media(name.replace("_", " "), media, limits, made)
        mapped = route.fields.get(name)
        if mapped is not None and mapped.type == "job" and not goes_by_its_job(media, offer, route):
            made.reasons.append(f"{name}: takes the id of a clip that was made by {offer.name}, and no file")


def _media(name: str, media: Media, limits: Limits, made: Fitted) -> None:
    most: int | None = {
        "image": limits.image_bytes,
        "video": limits.video_bytes,
        "audio": limits.audio_bytes,
    }[media.kind]
    if most is not None and media.size is not None and media.size > most:
        made.reasons.append(f"{name} of {media.size:,} bytes: takes {most:,}")
    if (
        media.kind == "image"
        and media.media_type
        and limits.image_types
        and media.media_type not in limits.image_types
    ):
        made.reasons.append(f"{name} of type {media.media_type}: takes {either(limits.image_types)}")


def own_extra(request: Request, offer: Offer, route: Route) -> dict[str, dict[str, Any]]:
    """The part of `extra` that is meant for this offer's endpoint or provider.

    Raises:
        InvalidRequest: a key that vidorch sets itself, or that changes price or count.
    """
    own = {
        owner: dict(request.extra[owner])
        for owner in (offer.provider, offer.endpoint)
        if owner in request.extra
    }
    set_here = {mapped.to: f"what {name}= sets" for name, mapped in route.fields.items()}
    set_here |= dict.fromkeys(route.fixed, "set by vidorch")
    set_here |= dict.fromkeys(route.refused, "a key that changes the price or the number of clips")
    for owner, values in own.items():
        for key in _dotted(values):
            for name, why in set_here.items():
                if key == name or key.startswith(f"{name}.") or name.startswith(f"{key}."):
                    raise InvalidRequest(
                        f"extra[{owner!r}] sets {key!r}, and that is {why}. Nothing was sent.",
                        hint="Leave it out of extra.",
                        field="extra", value=key, allowed="keys that vidorch does not set",
                    )  # fmt: skip
    return own


def _dotted(values: Mapping[str, Any], above: str = "") -> list[str]:
    keys: list[str] = []
    for key, value in values.items():
        keys += (
            _dotted(value, f"{above}{key}.") if isinstance(value, Mapping) and value else [f"{above}{key}"]
        )
    return keys


def _either_way(request: Request, made: Fitted, what: str, makes: str) -> None:
    """A reason, or with `fit="nearest"` only a note."""
    if request.fit == "nearest":
        made.notes.append(f"{what}: {makes}; the nearest is taken")
    else:
        made.reasons.append(f"{what}: {makes}")


def either(names: Any) -> str:
    """`"4, 6 or 8"`."""
    *first, last = list(names) or [""]
    return f"{', '.join(first)} or {last}" if first else str(last)


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
