"""From a request as bought to the arguments of a pipeline: legal lengths and sizes, inputs as pictures of that size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from vidorch.errors import Unsupported
from vidorch.frozen import changed
from vidorch.inputs import Media
from vidorch.mapping import body_of, pixels_of
from vidorch.offer import FieldMap, Offer, Route, Weights
from vidorch.request import RESOLUTIONS, Request
from vidorch_local.backend import PROVIDER
from vidorch_local.diffusion.settings import Settings

if TYPE_CHECKING:
    from vidorch_local.diffusion.jobs import Frames

__all__ = ["Asked", "ask", "fps_of", "frames_for", "route_of", "shift_of", "size_problem"]

USUAL_FPS = Fraction(16)  # Wan's
MOST_FRAMES = 2_000  # of a source clip: at 720p they take 5.5 GB
_VACE = "WanVACEPipeline"
_FIELDS: Mapping[str, FieldMap] = {
    "prompt": FieldMap("prompt"),
    "negative_prompt": FieldMap("negative_prompt"),
    "steps": FieldMap("num_inference_steps", "integer"),
    "guidance": FieldMap("guidance_scale", "number"),
    "width": FieldMap("width", "integer"),
    "height": FieldMap("height", "integer"),
    "frames": FieldMap("num_frames", "integer"),
    "image": FieldMap("image", "image"),
    "last_image": FieldMap("last_image", "image"),
    "reference_images": FieldMap("reference_images", "image"),
    "video": FieldMap("video", "video"),
}
"""What nearly all pipelines of diffusers call these; a route's own fields go before them."""
_MEDIA = ("image", "last_image", "reference_images", "video")
_OURS = ("seed", "duration", "resolution", "aspect_ratio", "size", "loras", "job_id", "samples", "webhook")
"""What is never an argument as it stands: it decides others, or is given another way."""
_DEFAULTS = {"steps": "num_inference_steps", "guidance": "guidance_scale", "guidance_2": "guidance_scale_2"}
_OF_THE_SAMPLER = ("sampler", "sigmas")
_SETTINGS = {
    "strength": "strength", "guidance_2": "guidance_scale_2", "conditioning_scale": "conditioning_scale",
    "max_sequence_length": "max_sequence_length",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of one clip, of plain types; `given` names those that the caller asked for, by our names.

    Attributes:
        frames: how many of the frames that come out are the clip; None: all.
    """

    call: Mapping[str, Any]
    given: Mapping[str, str]
    frames: int | None = None


def route_of(offer: Offer, request: Request) -> Route | None:
    """The route that a plan takes for a request."""
    route = offer.routes.get(request.task)
    if route is None and request.task == "first-last-frame":
        return offer.routes.get("image-to-video")
    return route


def fps_of(route: Route) -> Fraction:
    """Frames a second of what a route makes."""
    return route.capabilities.fps[0] if route.capabilities.fps else USUAL_FPS


def frames_for(seconds: float, fps: Fraction, step: int) -> int:
    """The legal number of frames nearest to a length: a multiple of `step` and one, the more of two that are as near."""
    wanted = Fraction(Decimal(repr(seconds))) * fps
    return max(1, int((wanted - 1) / step + Fraction(1, 2))) * step + 1


def size_problem(request: Request, offer: Offer) -> str:
    """Why the size that is bought cannot be made; empty when it can."""
    route, weights = route_of(offer, request), offer.weights
    if route is None or weights is None:
        return ""
    exact = _exact_size(request, route)
    if exact is None or not any(side % weights.size_multiple for side in exact):
        return ""
    return f"size {exact[0]}x{exact[1]}: makes multiples of {weights.size_multiple} pixels"


def shift_of(weights: Weights, settings: Settings, height: int) -> float | None:
    """The scheduler's shift for a size: as set, else that of the resolution nearest to it."""
    if settings.flow_shift is not None or not weights.flow_shift:
        return settings.flow_shift
    nearest = min(
        weights.flow_shift,
        key=lambda name: (abs(RESOLUTIONS.get(name, 0) - height), -RESOLUTIONS.get(name, 0)),
    )
    return weights.flow_shift[nearest]


def ask(request: Request, offer: Offer, route: Route, settings: Settings) -> Asked:
    """The arguments for a request as bought. Reads its inputs.

    Raises:
        BadMedia: an input cannot be read. Unsupported: a source clip is too long, or lies where it cannot be read.
    """
    weights = cast("Weights", offer.weights)
    fields = {**_FIELDS, **{name: _typed(name, mapped) for name, mapped in route.fields.items()}}
    said = {name: mapped for name, mapped in fields.items() if name not in (*_MEDIA, *_OURS)}
    call = _defaults(weights, request, settings)
    call |= body_of(changed(request, extra={}), replace(route, fields=said))
    given = {fields[name].to: name for name in request.given() if name in said and name != "prompt"}
    for name, to in _SETTINGS.items():
        if (value := getattr(settings, name)) is not None:
            call[to] = value
            given[to] = f"extra[...][{name!r}]"
    width, height = _size(request, route, weights)
    call[fields["width"].to], call[fields["height"].to] = width, height
    step, fps = weights.frame_step, fps_of(route)
    frames = None if request.duration is None else frames_for(request.duration, fps, step)
    if frames is not None:
        call[fields["frames"].to] = frames
    inputs, kept = _inputs(request, (width, height), fps, step, frames, route.path, settings)
    for name, value in inputs.items():
        to = fields[name].to if name in fields else name
        call[to], given[to] = value, name
        if name == "video":
            call[fields["frames"].to] = len(value)
    return Asked(call, given, kept)


# Sizes and settings -------------------------------------------------------------------------------------------------


def _typed(name: str, mapped: FieldMap) -> FieldMap:
    """A row of a catalog need not say the type of what has but one in every pipeline."""
    usual = _FIELDS.get(name)
    return replace(mapped, type=usual.type) if usual is not None and mapped.type == "string" else mapped


def _defaults(weights: Weights, request: Request, settings: Settings) -> dict[str, Any]:
    made = {
        _DEFAULTS.get(name, name): _number(value)
        for name, value in weights.defaults.items()
        if name not in _OF_THE_SAMPLER
    }
    if request.guidance is not None and settings.guidance_2 is None:
        made.pop("guidance_scale_2", None)  # whoever sets one weight means both experts
    return made


def _number(value: Any) -> Any:
    """Catalogs hold decimals; torch wants floats."""
    return (int(value) if value == int(value) else float(value)) if isinstance(value, Decimal) else value


def _exact_size(request: Request, route: Route) -> tuple[int, int] | None:
    """Pixels that were asked for or that the catalog names, which have to be met as they are."""
    if request.size is not None:
        return request.size
    return route.capabilities.sizes.get(f"{request.resolution} {request.aspect_ratio}")


def _size(request: Request, route: Route, weights: Weights) -> tuple[int, int]:
    """Width and height, multiples of what the model makes."""
    pixels = _exact_size(request, route) or pixels_of(request, route)
    if pixels is None:
        short = RESOLUTIONS[request.resolution or (route.capabilities.resolutions or ("480p",))[0]]
        width, height = _own_size(request) or (16, 9)
        scale = short / min(width, height)
        pixels = round(width * scale), round(height * scale)
    one = weights.size_multiple
    return max(one, round(pixels[0] / one) * one), max(one, round(pixels[1] / one) * one)


def _own_size(request: Request) -> tuple[int, int] | None:
    from vidorch import media

    if request.image is not None:
        height, width = media.load_still(_source(cast("Media", request.image))).shape[:2]
        return width, height
    if request.video is not None:
        info = media.probe(_source(cast("Media", request.video)))
        return info.width, info.height
    return None


# Inputs -------------------------------------------------------------------------------------------------------------


def _inputs(
    request: Request,
    size: tuple[int, int],
    fps: Fraction,
    step: int,
    frames: int | None,
    pipeline: str,
    settings: Settings,
) -> tuple[dict[str, Any], int | None]:
    """The inputs by name, pictures of the clip's size; and how many frames of a clip made from a clip are kept."""
    inputs: dict[str, Any] = {}
    kept: int | None = None
    for name in ("image", "last_image"):
        if (picture := getattr(request, name)) is not None:
            inputs[name] = _covering(_still(picture), size)
    if request.reference_images:
        inputs["reference_images"] = [_still(cast("Media", one)) for one in request.reference_images]
    if request.video is not None:
        inputs["video"], kept = _clip(cast("Media", request.video), size, fps, step, frames)
    if pipeline == _VACE:
        inputs = _for_vace(inputs, size, frames, settings)
    return inputs, kept


def _source(media: Media) -> Path | bytes:
    return media.path if media.path is not None else media.read()


def _still(media: Media) -> Frames:
    from vidorch.media import load_still

    return load_still(_source(media))


def _covering(picture: Frames, size: tuple[int, int]) -> Frames:
    """A picture scaled until it covers `size`, and cut at its middle: never stretched."""
    import numpy as np
    from PIL import Image

    width, height = size
    have_height, have_width = picture.shape[:2]
    scale = max(width / have_width, height / have_height)
    wide, high = width / scale, height / scale
    left, top = (have_width - wide) / 2, (have_height - high) / 2
    box = (left, top, min(left + wide, have_width), min(top + high, have_height))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS, box=box))


def _clip(
    source: Media, size: tuple[int, int], fps: Fraction, step: int, most: int | None
) -> tuple[Frames, int]:
    """A source clip at the model's rate, and how many frames it has. It is made longer by its last frame to a legal number,
    since a pipeline would cut it to the one below: 16 frames would come back as 13.
    """
    import numpy as np

    from vidorch import media

    shown: list[Frames] = []
    before: Frames | None = None
    for seconds, frame in media.timed_frames(_source(source)):
        while before is not None and Fraction(len(shown)) / fps < seconds:
            shown.append(_covering(before, size))
            if len(shown) > MOST_FRAMES:
                raise Unsupported(
                    f"video: more than {MOST_FRAMES} frames at {float(fps):g} a second do not fit into memory. Nothing was made.",
                    provider=PROVIDER, hint="Give a shorter clip.",
                )  # fmt: skip
        before = frame
    if before is not None and len(shown) < media.probe(_source(source)).duration * fps:
        shown.append(_covering(before, size))
    shown = shown[:most]
    count = len(shown)
    legal = -(-max(count - 1, 1) // step) * step + 1
    return np.stack([*shown, *[shown[-1]] * (legal - count)]), count


def _for_vace(
    inputs: dict[str, Any], size: tuple[int, int], frames: int | None, settings: Settings
) -> dict[str, Any]:
    """VACE takes a clip and a mask instead of first and last frames: grey and white where it has to make something."""
    import numpy as np

    first, last = inputs.pop("image", None), inputs.pop("last_image", None)
    if first is not None and "video" not in inputs and frames is not None:
        video = np.full((frames, size[1], size[0], 3), 128, np.uint8)  # (F, H, W, C)
        mask = np.full_like(video, 255)
        for place, picture in ((0, first), (-1, last)):
            if picture is not None:
                video[place], mask[place] = picture, 0
        inputs |= {"video": video, "mask": mask}
    if settings.mask is not None and "video" in inputs:
        picture = _covering(_still(Media.of(settings.mask, "image", "mask")), size)
        inputs["mask"] = np.repeat(picture[None], len(inputs["video"]), 0)
    return inputs
