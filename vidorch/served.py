"""Open models behind a server of one's own: the offers of an endpoint that says what its server is and which models it serves.

    [endpoints.h100]
    provider = "openai"
    base_url = "http://gpu.example.com:8091/v1"
    options = { server = "vllm-omni", serves = ["wan-2.2-ti2v-5b"] }

The catalog's row of the model's weights says what it can make; the server's dialect says how it is asked. Sources: vLLM-Omni
0.30.0 (entrypoints/openai/protocol/videos.py), SGLang diffusion 0.5.23 (entrypoints/openai/video_api.py), read 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vidorch.errors import InvalidRequest, shown
from vidorch.offer import Capabilities, FieldMap, Offer, Route
from vidorch.request import nearest_name

if TYPE_CHECKING:
    from vidorch.contract import Endpoint

__all__ = ["SERVERS", "served_at"]


@dataclass(frozen=True, slots=True)
class _Server:
    """How a server is asked.

    Attributes:
        fields: our field -> its. refused: its fields that change what is made, and that `extra=` may therefore not set.
    """

    title: str
    fields: Mapping[str, FieldMap]
    refused: tuple[str, ...]


_ALIKE = {
    "prompt": FieldMap("prompt"),
    "negative_prompt": FieldMap("negative_prompt"),
    "size": FieldMap("size", form="{}x{}"),
    "frames": FieldMap("num_frames", "integer"),
    "fps": FieldMap("fps", "integer"),
    "seed": FieldMap("seed", "integer"),
    "steps": FieldMap("num_inference_steps", "integer"),
    "guidance": FieldMap("guidance_scale", "number"),
    "image": FieldMap("input_reference", "image"),
}
SERVERS: Mapping[str, _Server] = {
    "vllm-omni": _Server(
        "vLLM-Omni",
        {**_ALIKE, "video": FieldMap("source_video", "video")},
        ("num_outputs_per_prompt", "seconds", "width", "height", "enable_frame_interpolation"),
    ),
    "sglang": _Server(
        "SGLang",
        {**_ALIKE, "video": FieldMap("video_reference", "video")},
        ("num_outputs_per_prompt", "n", "seconds", "width", "height", "enable_frame_interpolation", "enable_upscaling"),
    ),
}  # fmt: skip
"""By the name that an endpoint's `server` option has."""

_TASKS: Mapping[str, frozenset[str]] = {
    "text-to-video": frozenset(),
    "image-to-video": frozenset({"image"}),
    "restyle": frozenset({"video"}),
}
"""What both can do by these fields, with the inputs that it takes."""
_SETTINGS = frozenset({"prompt", "negative_prompt", "size", "frames", "fps", "seed", "steps", "guidance"})


def served_at(endpoint: Endpoint, offers: Iterable[Offer]) -> list[Offer]:
    """What an endpoint's server makes; nothing where it does not say that it is one.

    Args:
        offers: the catalog's, among which are the models' own rows.

    Raises:
        InvalidRequest: no such server, or no such model with open weights.
    """
    named = endpoint.options.get("server")
    if named is None:
        return []
    server = SERVERS.get(named) if isinstance(named, str) else None
    if server is None:
        raise _wrong(endpoint, "server", named, SERVERS)
    open_weights = {offer.model: offer for offer in offers if offer.weights is not None}
    made = []
    for model, vendor_model in _models(endpoint, open_weights).items():
        if (offer := open_weights.get(model)) is None or not vendor_model:
            raise _wrong(endpoint, "serves", model, open_weights)
        made.append(_served(offer, endpoint, server, vendor_model))
    return made


def _models(endpoint: Endpoint, known: Mapping[str, Offer]) -> dict[str, str]:
    """Our name of each model -> the server's."""
    given: Any = endpoint.options.get("serves")
    if isinstance(given, str):
        given = [given]
    if isinstance(given, (list, tuple)) and given and all(isinstance(name, str) for name in given):
        return {name: _source(known.get(name)) for name in given}
    if (
        isinstance(given, Mapping)
        and given
        and all(isinstance(word, str) for pair in given.items() for word in pair)
    ):
        return dict(given)
    raise _wrong(endpoint, "serves", given, known)


def _source(offer: Offer | None) -> str:
    return offer.weights.source if offer is not None and offer.weights is not None else ""


def _served(offer: Offer, endpoint: Endpoint, server: _Server, vendor_model: str) -> Offer:
    assert offer.weights is not None
    defaults = {
        name: value for name, value in offer.weights.defaults.items() if name in ("steps", "guidance")
    }
    routes = {
        task: Route(
            task=task,
            path="/v1/videos",
            capabilities=_without_the_rest(route.capabilities),
            fields={
                name: to
                for name, to in server.fields.items()
                if name in _TASKS[task] or (name in _SETTINGS and _takes(route.capabilities, name))
            },
            fixed={"model": vendor_model}
            | {server.fields[name].to: value for name, value in defaults.items()},
            refused=server.refused,
            frame_step=offer.weights.frame_step,
        )
        for task, route in offer.routes.items()
        if task in _TASKS
    }
    return replace(
        offer,
        endpoint=endpoint.name,
        provider=endpoint.provider,
        title=f"{offer.title} behind {server.title}",
        vendor_model=vendor_model,
        routes=routes,
        weights=None,
        min_poll=1.0,
        outlives_caller=True,
        find="list",
        find_lag=60.0,
        variables=endpoint.variables or (),
    )


def _takes(capabilities: Capabilities, name: str) -> bool:
    if name in ("seed", "steps", "guidance"):
        return bool(getattr(capabilities, name))
    return name != "negative_prompt" or capabilities.negative_prompt == "native"


def _without_the_rest(capabilities: Capabilities) -> Capabilities:
    return replace(
        capabilities,
        last_image=False, references=0, audio_track=False, loras=False, camera="absent", samples=1,
    )  # fmt: skip


def _wrong(endpoint: Endpoint, option: str, value: object, known: Iterable[str]) -> InvalidRequest:
    names = sorted(known)
    near = nearest_name(value, names) if isinstance(value, str) else None
    allowed = ", ".join(names) if option == "server" else f"models with open weights: {', '.join(names)}"
    return InvalidRequest(
        f"The endpoint {endpoint.name!r} has {option}={shown(value)}, which is none."
        f"{f' Did you mean {near!r}?' if near else ''}",
        hint=f"Allowed is {allowed}.", field=option, value=value, allowed=allowed,
    )  # fmt: skip
