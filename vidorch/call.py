"""The options of one call: what a request does not say. Parsed and checked together with the request, at once.

`Options` names every option for type checkers and editors; `parse` turns what was given into a `Request` and a `Call`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, TypedDict

from vidorch.errors import InvalidRequest, Unsupported, shown
from vidorch.inputs import MediaInput, local_path, usable_path
from vidorch.money import usd
from vidorch.request import Fit, Request, is_real, nearest_name
from vidorch.result import Progress
from vidorch.routing import Choice

__all__ = ["Call", "EstimateOptions", "ModelChoice", "Options", "RequestOptions", "parse"]

ModelChoice = str | Choice | Sequence[str | Choice]


class RequestOptions(TypedDict, total=False):
    """The fields of a request besides the prompt. See `vidorch.Request` for units, ranges and defaults."""

    task: str
    image: MediaInput
    last_image: MediaInput
    reference_images: Sequence[MediaInput]
    video: MediaInput
    audio_track: MediaInput
    duration: float
    resolution: str
    aspect_ratio: str
    size: str | tuple[int, int]
    audio: bool
    seed: int
    negative_prompt: str
    camera: str
    loras: Sequence[str | tuple[str, float]]
    steps: int
    guidance: float
    fit: Fit
    candidates: int
    extra: Mapping[str, Mapping[str, Any]]


class EstimateOptions(RequestOptions, total=False):
    """Options of `estimate` and `plan`."""

    model: ModelChoice
    max_cost: str | int | Decimal


class Options(EstimateOptions, total=False):
    """Options of `generate` and `submit`.

    Open in this version: model, max_cost, scope, tags, output, overwrite, timeout, on_progress.
    The others are reserved names: giving one raises `Unsupported` before anything is sent.
    """

    scope: str
    tags: Mapping[str, str]
    output: str | os.PathLike[str]
    overwrite: bool
    timeout: float
    on_progress: Callable[[Progress], object]
    key: str
    select: str | Callable[..., Any]
    spread: bool
    refill: int
    until: float
    route: Literal["cheapest", "fastest"]
    on_unknown: Literal["stop", "next"]
    fallback_on_refusal: bool
    retry_refused: int
    retries: int
    allow_unpriced: bool
    webhook: str
    detach: bool


CALL_FIELDS = (
    "model", "max_cost", "scope", "tags", "output", "overwrite", "timeout", "on_progress",
)  # fmt: skip
NOT_OPEN = (
    "key", "select", "spread", "refill", "until", "route", "on_unknown", "fallback_on_refusal", "retry_refused",
    "retries", "allow_unpriced", "webhook", "detach",
)  # fmt: skip
_REQUEST_FIELDS = tuple(RequestOptions.__annotations__)
_KNOWN = frozenset((*_REQUEST_FIELDS, *CALL_FIELDS, *NOT_OPEN))
MAX_WAIT = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Call:
    """How one request is to be carried out.

    Attributes:
        models: in order of preference; empty means the built-in model alone.
        max_cost: USD that this call may cost at most; None means the default cap.
        scope: whose credentials and budgets. tags: kept with the run. output: file or folder to publish to.
        timeout: seconds to wait; the job goes on after that. on_progress: called from a worker thread.
    """

    models: tuple[str | Choice, ...] = ()
    max_cost: Decimal | None = None
    scope: str = "default"
    tags: Mapping[str, str] = field(default_factory=dict)
    output: str | None = None
    overwrite: bool = False
    timeout: float | None = None
    on_progress: Callable[[Progress], object] | None = None


def parse(prompt: Any, options: Mapping[str, Any]) -> tuple[Request, Call]:
    """Check a prompt (or a ready `Request`) and the options together.

    Raises:
        InvalidRequest: an unknown name (with the nearest right one), or a value that cannot be used.
        Unsupported: an option that this version does not open.
    """
    for name in options:
        if name not in _KNOWN:
            nearest = nearest_name(name, _KNOWN)
            meant = f" Did you mean {nearest}=?" if nearest else ""
            raise InvalidRequest(
                f"There is no option {name}=.{meant}",
                field=str(name),
                value=options[name],
                allowed=", ".join(sorted(_KNOWN)),
            )
    for name in NOT_OPEN:
        if options.get(name) is not None and options[name] is not False:
            raise Unsupported(
                f"{name}= is not open in this version of vidorch. Nothing was sent.", hint="Leave it out."
            )
    asked = {name: options[name] for name in _REQUEST_FIELDS if options.get(name) is not None}
    if isinstance(prompt, Request):
        if asked:
            raise InvalidRequest(
                f"{next(iter(asked))}= was given beside a Request, which says it already.",
                field=next(iter(asked)), value=next(iter(asked.values())), allowed="request.with_(...)",
            )  # fmt: skip
        request = prompt
    else:
        request = Request(prompt=prompt, **asked)
    return request, _call(options)


def _call(options: Mapping[str, Any]) -> Call:
    given: dict[str, Any] = {name: options[name] for name in CALL_FIELDS if options.get(name) is not None}
    call: dict[str, Any] = {}
    if "model" in given:
        call["models"] = _models(given["model"])
    if "max_cost" in given:
        call["max_cost"] = usd(given["max_cost"], "max_cost")
    if "scope" in given:
        call["scope"] = _word("scope", given["scope"], 200)
    if "tags" in given:
        call["tags"] = _tags(given["tags"])
    if "output" in given:
        call["output"] = _output(given["output"])
    if "overwrite" in given:
        if not isinstance(given["overwrite"], bool):
            raise _bad("overwrite", given["overwrite"], "True or False")
        call["overwrite"] = given["overwrite"]
    if "timeout" in given:
        call["timeout"] = _seconds(given["timeout"])
    if "on_progress" in given:
        if not callable(given["on_progress"]):
            raise _bad("on_progress", given["on_progress"], "a function that takes a Progress")
        call["on_progress"] = given["on_progress"]
    return Call(**call)


def _bad(name: str, value: Any, allowed: str) -> InvalidRequest:
    return InvalidRequest(
        f"{name}={shown(value)} cannot be used. Allowed is {allowed}.",
        field=name,
        value=value,
        allowed=allowed,
    )


def _models(value: Any) -> tuple[str | Choice, ...]:
    allowed = "a model's name, 'endpoint/model', a Choice, or a list of these in order of preference"
    many = value if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else (value,)
    if not many or not all(isinstance(one, Choice) or (isinstance(one, str) and one.strip()) for one in many):
        raise _bad("model", value, allowed)
    return tuple(one.strip() if isinstance(one, str) else one for one in many)


def _word(name: str, value: Any, most: int) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > most or not value.isprintable():
        raise _bad(name, value, f"a word of at most {most} printable characters")
    return value


def _tags(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or len(value) > 50:
        raise _bad("tags", value, "a mapping of at most 50 words to words")
    return {_word("tags", name, 200): _word("tags", item, 200) for name, item in value.items()}


def _output(value: Any) -> str:
    if (
        not isinstance(value, (str, os.PathLike))
        or not (text := os.fspath(value))
        or isinstance(text, bytes)
        or "\x00" in text
    ):
        raise _bad("output", value, "a file or folder")
    if "://" in text and not text.startswith("file://"):
        raise Unsupported(
            f"output={text.partition('://')[0]}://... is not open in this version; a file or folder on this machine is. "
            "Nothing was sent.",
            hint="Give a path and upload the file from there.",
        )
    if text.startswith("file://"):
        text = local_path(text, "output")
    usable_path(text, "output")
    return text


def _seconds(value: Any) -> float:
    seconds = float(value) if is_real(value) else -1.0
    if not 0 < seconds <= MAX_WAIT:
        raise _bad("timeout", value, f"seconds, over 0 and at most {MAX_WAIT:,.0f}")
    return seconds
