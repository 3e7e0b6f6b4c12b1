"""The options of one call: what a request does not say. Parsed and checked together with the request, at once.

`Options` names every option for type checkers and editors; `parse` turns what was given into a `Request` and a `Call`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, TypedDict
from urllib.parse import urlsplit

from vidorch import storage
from vidorch.bounds import MAX_WAIT, ROUTES
from vidorch.choice import Choice
from vidorch.errors import InvalidRequest, Unsupported, shown
from vidorch.inputs import MediaInput, local_path, usable_path
from vidorch.money import usd
from vidorch.request import Fit, Request, is_real, nearest_name
from vidorch.result import Progress

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
    route: Literal["cheapest", "fastest"]


class Options(EstimateOptions, total=False):
    """Options of `generate` and `submit`. See `Call` for what each one does.

    `until` is a reserved name: giving it raises `Unsupported` before anything is sent.
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
    on_unknown: Literal["stop", "next"]
    fallback_on_refusal: bool
    retry_refused: int
    retries: int
    allow_unpriced: bool
    webhook: str
    detach: bool


CALL_FIELDS = (
    "model", "max_cost", "scope", "tags", "output", "overwrite", "timeout", "on_progress", "key", "select", "spread",
    "refill", "on_unknown", "fallback_on_refusal", "retry_refused", "retries", "allow_unpriced", "detach",
    "webhook", "route",
)  # fmt: skip
NOT_OPEN = ("until",)
MOST_AGAIN = 100
SELECTORS = ("first", "consistency")
_REQUEST_FIELDS = tuple(RequestOptions.__annotations__)
_KNOWN = frozenset((*_REQUEST_FIELDS, *CALL_FIELDS, *NOT_OPEN))


@dataclass(frozen=True, slots=True)
class Call:
    """How one request is to be carried out.

    Attributes:
        models: in order of preference; empty means the built-in model alone, or with `route` every hosted model and every one of
            your own hardware.
        route: which of the models that can serve the request is taken: the "cheapest" by expected cost, or the "fastest" by
            how long such clips took here, else by the catalog. The others come after it, should it reject the submit.
        max_cost: USD that this call may cost at most; None means the default cap.
        scope: whose credentials and budgets. tags: kept with the run. output: file, folder or fsspec URL to publish to.
        timeout: seconds to wait; the job goes on after that. on_progress: called from a worker thread.
        key: names the run in its scope: every call with it joins the same run and pays nothing twice.
        select: which of several clips is handed over: "first" (default), "consistency", or a function that is given the
            clips and returns one of them, or its index.
        spread: start the candidates on different models of the list instead of all on the first.
        retries: jobs that may be bought again, in the whole run, after one that failed. refill: the same for candidates
            whose clip failed or was withheld. retry_refused: how often a refused candidate is tried again.
        on_unknown: "stop" (default), or "next" to pay another offer although a lost submit may still bring its clip.
        fallback_on_refusal: go on to the next offer after a refusal.
        allow_unpriced: also take offers whose price nobody knows; no cap can hold for them.
        detach: let go of the run once it is submitted; any process may take it up.
        webhook: https URL of your own that vendors call when a job ends, where they can; give what comes there to
            `client.handle_webhook`. Each job's URL carries a token of its own behind `?token=`. Polling goes on all the same.
    """

    models: tuple[str | Choice, ...] = ()
    route: Literal["cheapest", "fastest"] | None = None
    max_cost: Decimal | None = None
    scope: str = "default"
    tags: Mapping[str, str] = field(default_factory=dict)
    output: str | None = None
    overwrite: bool = False
    timeout: float | None = None
    on_progress: Callable[[Progress], object] | None = None
    key: str | None = None
    select: str | Callable[..., Any] | None = None
    spread: bool = False
    refill: int = 0
    on_unknown: Literal["stop", "next"] = "stop"
    fallback_on_refusal: bool = False
    retry_refused: int = 0
    retries: int = 0
    allow_unpriced: bool = False
    detach: bool = False
    webhook: str | None = None


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
    for name in ("overwrite", "spread", "fallback_on_refusal", "allow_unpriced", "detach"):
        if name in given:
            if not isinstance(given[name], bool):
                raise _bad(name, given[name], "True or False")
            call[name] = given[name]
    for name in ("retries", "refill", "retry_refused"):
        if name in given:
            call[name] = _count(name, given[name])
    if "key" in given:
        call["key"] = _word("key", given["key"], 200)
    if "on_unknown" in given:
        if given["on_unknown"] not in ("stop", "next"):
            raise _bad("on_unknown", given["on_unknown"], "'stop' or 'next'")
        call["on_unknown"] = given["on_unknown"]
    if "route" in given:
        if given["route"] not in ROUTES:
            raise _bad("route", given["route"], "'cheapest' or 'fastest'")
        call["route"] = given["route"]
    if "webhook" in given:
        call["webhook"] = _webhook(given["webhook"])
    if "select" in given:
        call["select"] = _select(given["select"])
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
        raise _bad("output", value, "a file, a folder or a URL")
    if storage.is_url(text):
        return storage.usable_url(text)
    if text.startswith("file://"):
        text = local_path(text, "output")
    usable_path(text, "output")
    return text


def _webhook(value: Any) -> str:
    allowed = "an https URL that vendors can reach, without user, token= and fragment"
    try:
        parts = (
            urlsplit(value) if isinstance(value, str) and value.isprintable() and " " not in value else None
        )
        good = parts is not None and bool(parts.hostname) and not (parts.username or parts.fragment)
        _ = parts.port if parts is not None else None
    except ValueError:
        parts, good = None, False
    if parts is None or not good or "token=" in parts.query:
        raise _bad("webhook", value, allowed)
    if parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise _bad("webhook", value, allowed)
    return str(value)


def _count(name: str, value: Any) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not 0 <= value <= MOST_AGAIN:
        raise _bad(name, value, f"a whole number from 0 to {MOST_AGAIN}")
    return int(value)


def _select(value: Any) -> Any:
    if callable(value):
        return value
    if isinstance(value, str) and value in SELECTORS:
        return value
    meant = nearest_name(value, SELECTORS)
    allowed = f"{', '.join(map(repr, SELECTORS))}, or a function that takes the clips"
    raise _bad("select", value, allowed + (f" (did you mean {meant!r}?)" if meant else ""))


def _seconds(value: Any) -> float:
    seconds = float(value) if is_real(value) else -1.0
    if not 0 < seconds <= MAX_WAIT:
        raise _bad("timeout", value, f"seconds, over 0 and at most {MAX_WAIT:,.0f}")
    return seconds
