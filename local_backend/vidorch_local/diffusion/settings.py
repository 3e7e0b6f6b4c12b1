"""What can be set of a local model beside a request's fields: in an endpoint's `options`, and in `extra={"local": {...}}`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from vidorch.errors import InvalidRequest, shown
from vidorch.request import is_real, nearest_name
from vidorch_local.diffusion.attention import KNOWN as ATTENTION
from vidorch_local.diffusion.presets import PRESETS
from vidorch_local.diffusion.scheduling import SAMPLERS

__all__ = ["PLACEMENTS", "Settings", "of_endpoint", "of_request"]

PLACEMENTS = ("gpu", "model-offload", "group-offload", "fp8", "cpu")
"""Where the weights lie, from the fastest to the slowest that give the same picture, then those that change it or take hours."""

PREVIEW_EVERY = 5  # steps: ten previews of a clip of fifty steps


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one job; None and "" where nothing was set.

    Attributes:
        placement: one of `PLACEMENTS`; "" for the best one that fits into the memory there is.
        previews: a small picture after every so many steps, in the job's folder; 0 for none. `true` stands for every fifth.
        keep_gb: memory that pipelines may take while they wait for the next call; 0 keeps none.
        flow_shift: of the scheduler. strength: 0 to 1, how much of a source clip is made anew.
        guidance_2: prompt weight of the second expert. conditioning_scale: weight of what VACE is given.
        mask: a picture that says where a clip is made anew: white there, black where it stays. max_sequence_length: tokens.
        preset: one of `presets.PRESETS`, how much of the picture may be given for speed; "" for "quality", nothing.
        attention: in the order in which they are tried; one alone has to be there. Empty for the best one that is.
        compile: whether the transformer's blocks are compiled; None: on a GPU, where a clip is long enough to make up for it.
        tiling: whether the clip is decoded in tiles, which takes less memory and more time.
        sampler: one of `scheduling.SAMPLERS`; "" for the model's own.
        lora_experts: for each LoRA of the call, the expert that it is for: "high", "low" or "" for both.
    """

    placement: str = ""
    previews: int = 0
    keep_gb: float | None = None
    flow_shift: float | None = None
    strength: float | None = None
    guidance_2: float | None = None
    conditioning_scale: float | None = None
    mask: str | None = None
    max_sequence_length: int | None = None
    preset: str = ""
    attention: tuple[str, ...] = ()
    compile: bool | None = None
    tiling: bool = False
    sampler: str = ""
    lora_experts: tuple[str, ...] = ()


def of_endpoint(options: Mapping[str, Any], endpoint: str = "local", beside: Iterable[str] = ()) -> Settings:
    """The settings of an endpoint.

    Args:
        beside: other options that an endpoint may have, for messages; whoever reads them has taken them out.

    Raises:
        InvalidRequest: an unknown option, with the nearest right name, or a value that cannot be used.
    """
    known = (*_OF_ENDPOINT, *beside)
    return _laid(Settings(), options, known, lambda key: f"endpoints.{endpoint}.options.{key}")


def of_request(extra: Mapping[str, Mapping[str, Any]], below: Settings | None = None) -> Settings:
    """The settings of a call, laid on those of its endpoint. `extra` holds what is meant for its offer alone.

    Raises:
        InvalidRequest: an unknown key, with the nearest right name, or a value that cannot be used.
    """
    laid = below or Settings()
    for owner, values in extra.items():
        laid = _laid(laid, values, _OF_REQUEST, lambda key, owner=owner: f"extra[{owner!r}][{key!r}]")  # type: ignore[misc]
    return laid


def _laid(
    below: Settings, values: Mapping[str, Any], known: Iterable[str], called: Callable[[str], str]
) -> Settings:
    known = tuple(known)
    for key, value in values.items():
        if key not in known:
            near = nearest_name(key, known)
            meant = f" Did you mean {near!r}?" if near else ""
            raise InvalidRequest(
                f"{called(key)} is not known to local models. Known are {', '.join(known)}.{meant} Nothing was made.",
                field=called(key), value=value, allowed=", ".join(known),
            )  # fmt: skip
        right, read, allowed = _KINDS[key]
        if not right(value):
            near = nearest_name(value, _CHOICES[key]) if key in _CHOICES else None
            meant = f" Did you mean {near!r}?" if near else ""
            raise InvalidRequest(
                f"{called(key)}={shown(value)} cannot be used. Allowed is {allowed}.{meant} Nothing was made.",
                field=called(key), value=value, allowed=allowed,
            )  # fmt: skip
        below = replace(below, **{key: read(value)})
    return below


def _number(least: float, most: float) -> tuple[Callable[[Any], bool], Callable[[Any], Any], str]:
    return lambda value: is_real(value) and least <= value <= most, float, f"{least:g} to {most:g}"


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 1_000


def _one_of(names: Iterable[str]) -> tuple[Callable[[Any], bool], Callable[[Any], Any], str]:
    names = tuple(names)
    return lambda value: value in names, str, ", ".join(map(repr, names))


def _several_of(names: Iterable[str]) -> tuple[Callable[[Any], bool], Callable[[Any], Any], str]:
    names = tuple(names)

    def right(value: Any) -> bool:
        some = (value,) if isinstance(value, str) else value
        return isinstance(some, (list, tuple)) and all(one in names for one in some)

    listed = f"{', '.join(map(repr, names))}, or a list of them"
    return right, lambda value: (value,) if isinstance(value, str) else tuple(value), listed


_CHOICES: Mapping[str, Iterable[str]] = {
    "placement": PLACEMENTS, "preset": tuple(PRESETS), "attention": tuple(ATTENTION), "sampler": tuple(SAMPLERS),
}  # fmt: skip
_FLAG = (lambda value: isinstance(value, bool), bool, "true or false")
_KINDS: dict[str, tuple[Callable[[Any], bool], Callable[[Any], Any], str]] = {
    "placement": _one_of(PLACEMENTS),
    "preset": _one_of(PRESETS),
    "attention": _several_of(ATTENTION),
    "compile": _FLAG,
    "tiling": _FLAG,
    "sampler": _one_of(SAMPLERS),
    "lora_experts": _several_of(("high", "low", "")),
    "previews": (
        lambda value: isinstance(value, bool) or _whole(value),
        lambda value: PREVIEW_EVERY * value if isinstance(value, bool) else value,
        "true, false, or a number of steps",
    ),
    "keep_gb": _number(0, 100_000),
    "flow_shift": _number(0.01, 100),
    "strength": _number(0, 1),
    "guidance_2": _number(0, 100),
    "conditioning_scale": _number(0, 10),
    "mask": (lambda value: isinstance(value, str) and Path(value).expanduser().is_file(), str, "the path of a picture"),
    "max_sequence_length": (lambda value: _whole(value) and value > 0, int, "1 to 1000"),
}  # fmt: skip
_OF_ENDPOINT = ("placement", "previews", "keep_gb", "preset", "attention", "compile", "tiling")
_OF_REQUEST = tuple(one.name for one in fields(Settings) if one.name != "keep_gb")
