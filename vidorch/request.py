"""What the caller wants: validated at birth, immutable, the same for every provider.

Only fields that the caller gave can leave an offer out; the others stay None here and are filled per offer by the plan.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import numbers
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, Self, cast

from vidorch.errors import InvalidRequest, shown
from vidorch.inputs import Kind, Media, MediaInput, without_secrets

__all__ = [
    "FITS",
    "MAX_CANDIDATES",
    "MAX_PROMPT",
    "RESOLUTIONS",
    "TASKS",
    "Fit",
    "Request",
    "is_real",
    "nearest_name",
    "parse_ratio",
]

Fit = Literal["strict", "exact", "nearest"]
FITS: tuple[str, ...] = ("strict", "exact", "nearest")

NAMED_TASKS: tuple[str, ...] = ("extend", "edit", "restyle", "lipsync", "motion", "upscale", "image")
TASKS: tuple[str, ...] = (
    "text-to-video",
    "image-to-video",
    "first-last-frame",
    "reference-to-video",
    *NAMED_TASKS,
)
"""The first four are read from the inputs; the others are named by the caller with `task=`."""

RESOLUTIONS: dict[str, int] = {
    "256p": 256, "360p": 360, "480p": 480, "540p": 540, "580p": 580, "720p": 720, "768p": 768,
    "1080p": 1080, "1440p": 1440, "4k": 2160,
}  # fmt: skip
"""Name to short side in pixels."""
_RESOLUTION_ALIASES = {"2160p": "4k", "uhd": "4k", "hd": "720p", "fullhd": "1080p", "2k": "1440p"}

MAX_PROMPT = (
    32_000  # Kling 4.0 takes 26,000, the longest of any vendor; an offer's own limit is checked in the plan
)
MAX_DURATION = 3_600.0
MAX_CANDIDATES = 64
MAX_REFERENCES = 16
MAX_SIDE = 8_192
_WITHOUT_PROMPT = {"upscale", "lipsync", "motion"}
_NEEDS_VIDEO = {"extend", "edit", "restyle", "upscale"}
_INPUTS = frozenset({"image", "last_image", "reference_images", "video"})
_MEDIA: dict[str, Kind] = {"image": "image", "last_image": "image", "video": "video", "audio_track": "audio"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One thing to make.

    Args:
        prompt: what to show; may be empty only for `task="upscale"`, `"lipsync"` and `"motion"`.
        task: one of `TASKS`; needed only where the inputs allow more than one reading (a source video).
        image: first frame. last_image: last frame (needs `image`). reference_images: up to 16 pictures for subject or style.
        video: source clip of an extend, edit, restyle, lip-sync, motion or upscale task. audio_track: driving sound.
        duration: seconds, over 0 and at most 3,600. Default None: the plan takes the legal value nearest to 5.
        resolution: a name in `RESOLUTIONS`, such as `"720p"`. Default None: nearest to 720p.
        aspect_ratio: `"16:9"`, `"9:16"`, `"1:1"`, ... Default None: the first image's, else 16:9.
        size: `"1080x1920"` or `(1080, 1920)`, in pixels, instead of resolution and aspect ratio.
        audio: native sound on or off. Default None: off where that can be chosen.
        seed: 0 to 4294967295; candidate i gets `seed + i`. Soft: noted where a vendor has none.
        negative_prompt, camera: what to avoid; how the camera moves.
        loras: names or `(name, weight)` pairs, for models that take them.
        steps: denoising steps, 1 to 1,000. guidance: prompt weight, 0 to 100. For models that take them.
        fit: how far an offer may be from what was asked; None is within 0.5 s and the same aspect ratio.
        candidates: how many clips to make, 1 to 64.
        extra: `{"fal": {...}}`, passed untouched to that endpoint or provider alone.

    Raises:
        InvalidRequest: with `field`, `value` and `allowed`. Nothing was spent.
    """

    prompt: str = ""
    task: str = ""
    image: MediaInput | None = None
    last_image: MediaInput | None = None
    reference_images: Sequence[MediaInput] = ()
    video: MediaInput | None = None
    audio_track: MediaInput | None = None
    duration: float | None = None
    resolution: str | None = None
    aspect_ratio: str | None = None
    size: tuple[int, int] | None = None
    audio: bool | None = None
    seed: int | None = None
    negative_prompt: str | None = None
    camera: str | None = None
    loras: tuple[tuple[str, float], ...] = ()
    steps: int | None = None
    guidance: float | None = None
    fit: Fit | None = None
    candidates: int = 1
    extra: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)  # may hold secrets

    def __post_init__(self) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)  # frozen: the one way in

        for name, kind in _MEDIA.items():
            if (value := getattr(self, name)) is not None:
                put(name, Media.of(value, kind, name))
        put("reference_images", _references(self.reference_images))
        put("duration", _number("duration", self.duration, MAX_DURATION, "seconds"))
        put("guidance", _number("guidance", self.guidance, 100.0, "a weight", low_included=True))
        put("resolution", _resolution(self.resolution))
        put("aspect_ratio", None if self.aspect_ratio is None else _ratio(self.aspect_ratio))
        put("size", _size(self.size))
        put("seed", _integer("seed", self.seed, 0, 2**32 - 1))
        put("steps", _integer("steps", self.steps, 1, 1_000))
        put("candidates", _integer("candidates", self.candidates, 1, MAX_CANDIDATES))
        put("audio", _boolean("audio", self.audio))
        put("negative_prompt", _text("negative_prompt", self.negative_prompt))
        put("camera", _text("camera", self.camera))
        put("loras", _loras(self.loras))
        put("fit", None if self.fit is None else _one_of("fit", self.fit, FITS))
        put("extra", _extra(self.extra))
        self._check_size_against_its_parts()
        put("task", self._task())
        put("prompt", _prompt(self.prompt, self.task))

    def _check_size_against_its_parts(self) -> None:
        if self.size is None:
            return
        width, height = self.size
        if self.aspect_ratio is not None and abs(
            Fraction(width, height) / parse_ratio(self.aspect_ratio) - 1
        ) > Fraction(1, 50):
            raise _bad(
                "aspect_ratio",
                self.aspect_ratio,
                f"nothing beside size={width}x{height}, or the ratio of that size",
            )
        if self.resolution is not None and RESOLUTIONS[self.resolution] != min(width, height):
            raise _bad(
                "resolution",
                self.resolution,
                f"nothing beside size={width}x{height}, or the resolution of that size",
            )

    def _task(self) -> str:
        """The task: as named, or as the inputs can only be read."""
        if self.last_image is not None and self.image is None:
            raise _bad("last_image", self.last_image, "only together with image=, the first frame")
        named: Any = self.task
        if named is None:
            named = ""
        if not isinstance(named, str):
            raise _bad("task", named, "one of " + ", ".join(map(repr, TASKS)))
        if named:
            _one_of("task", named, TASKS)
            if (
                named in _NEEDS_VIDEO
                and self.video is None
                and not (named == "upscale" and self.image is not None)
            ):
                raise _bad("task", named, "only with video=, the clip to work on")
            if named == "lipsync" and self.video is None and self.image is None:
                raise _bad("task", named, "only with video= or image=, the face that speaks")
            if named == "motion" and (self.video is None or self.image is None):
                raise _bad("task", named, "only with image=, the character, and video=, the motion")
            if named == "image-to-video" and self.image is None:
                raise _bad("task", named, "only with image=, the first frame")
            if named == "first-last-frame" and self.last_image is None:
                raise _bad("task", named, "only with image= and last_image=")
            if named == "reference-to-video" and not self.reference_images:
                raise _bad("task", named, "only with reference_images=")
            if named == "text-to-video" and (
                self.image is not None or self.video is not None or self.reference_images
            ):
                raise _bad("task", named, "only without image=, video= and reference_images=")
            return named
        if self.video is not None:
            raise InvalidRequest(
                "task is missing: a source video can be used in more than one way. "
                "Allowed are 'extend', 'edit', 'restyle', 'lipsync', 'motion' and 'upscale'.",
                field="task",
                value=None,
                allowed="'extend', 'edit', 'restyle', 'lipsync', 'motion' or 'upscale'",
            )
        if self.last_image is not None:
            return "first-last-frame"
        if self.image is not None:
            return "image-to-video"
        return "reference-to-video" if self.reference_images else "text-to-video"

    @classmethod
    def known(cls, name: str) -> bool:
        """Whether `name` is a field of a request."""
        return name in _FIELDS

    def given(self) -> dict[str, Any]:
        """The fields that the caller gave, by name, as they are. `prompt`, `task` and `candidates` are always there."""
        seen: dict[str, Any] = {"prompt": self.prompt, "task": self.task}
        for name in _GIVEN:
            value = getattr(self, name)
            if value is not None and value != () and value != {}:
                seen[name] = value
        return seen

    def describe(self) -> dict[str, Any]:
        """JSON-ready form for the ledger: media as hash, size and kind, never as content; no secrets of `extra`."""
        seen = {name: _plain(value) for name, value in self.given().items()}
        return seen | {name: without_secrets(seen[name]) for name in _FOREIGN & seen.keys()}

    def fingerprint(self, described: Mapping[str, Any] | None = None) -> str:
        """SHA-256 of what was asked, before defaults: what a key is compared by.

        Args:
            described: what `describe` gave, where that is at hand.
        """
        seen = dict(self.describe() if described is None else described)
        for name in sorted(_FOREIGN & seen.keys()):
            if (exact := _plain(getattr(self, name))) != seen[
                name
            ]:  # what is not written down counts all the same
                seen[f"{name}_sha256"] = _digest(exact)
        return _digest(seen)

    def media(self) -> Iterable[tuple[str, Media]]:
        """Each media input with its field name."""
        for name in _MEDIA:
            if (value := getattr(self, name)) is not None:
                yield name, value
        for index, picture in enumerate(self.reference_images):
            yield f"reference_images[{index}]", cast("Media", picture)  # __post_init__ made each one a Media

    def with_(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated again. A task that was read from the inputs is read from the new ones."""
        if self.task not in NAMED_TASKS and not changes.keys().isdisjoint(_INPUTS):
            changes = {"task": ""} | changes
        return replace(self, **changes)


_FIELDS = frozenset(item.name for item in fields(Request))
_GIVEN = tuple(item.name for item in fields(Request) if item.name not in ("prompt", "task"))
_FOREIGN = frozenset({"extra", "loras"})
"""Fields whose words are a vendor's: they may hold keys and signed URLs."""


def _plain(value: Any) -> Any:
    if isinstance(value, Media):
        return value.describe()
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def nearest_name(given: object, known: Iterable[str]) -> str | None:
    """The known name that is nearest to a mistyped one, or None."""
    if not isinstance(given, str):
        return None
    names = list(known)
    folded = {name.lower(): name for name in names}
    longer = sorted((name for name in folded if len(given) > 2 and name.startswith(given.lower())), key=len)
    if longer:  # "aspect" is the beginning of "aspect_ratio", however alike "select" may look
        return folded[longer[0]]
    found = difflib.get_close_matches(given.lower(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


@lru_cache(maxsize=256)
def parse_ratio(text: str) -> Fraction:
    """`"16:9"` as a fraction, width over height."""
    width, _, height = text.partition(":")
    return Fraction(int(width), int(height))


def _bad(name: str, value: Any, allowed: str, nearest: str | None = None) -> InvalidRequest:
    meant = f" Did you mean {nearest!r}?" if nearest else ""
    return InvalidRequest(
        f"{name}={shown(value)} cannot be used. Allowed is {allowed}.{meant}",
        field=name,
        value=value,
        allowed=allowed,
    )


def _prompt(value: Any, task: str) -> str:
    if not isinstance(value, str):
        raise _bad("prompt", value, "text")
    if len(value) > MAX_PROMPT:
        raise InvalidRequest(
            f"prompt has {len(value):,} characters. Allowed are at most {MAX_PROMPT:,}.",
            field="prompt", value=value, allowed=f"at most {MAX_PROMPT:,} characters",
        )  # fmt: skip
    _encodable("prompt", value)
    if not value.strip() and task not in _WITHOUT_PROMPT:
        raise InvalidRequest(
            "prompt is empty. Say what to show, such as 'a red ball rolling left'.",
            field="prompt", value=value, allowed="some words",
        )  # fmt: skip
    return value


def _encodable(name: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _bad(name, ascii(value), "text without lone surrogates") from None
    if "\x00" in value:
        raise _bad(name, value, "text without NUL characters")


def _text(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_PROMPT:
        raise _bad(name, value, f"text of at most {MAX_PROMPT:,} characters")
    _encodable(name, value)
    return value or None


def is_real(value: Any) -> bool:
    """Whether it is a real number (bools are not) that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, Decimal)):
        return False
    try:
        return math.isfinite(float(value))
    except (OverflowError, ValueError):
        return False


def _number(name: str, value: Any, most: float, unit: str, *, low_included: bool = False) -> float | None:
    if value is None:
        return None
    low = "from 0" if low_included else "over 0"
    allowed = f"{unit}, {low} and at most {most:,.0f}"
    number = float(value) if is_real(value) else -1.0
    if number > most or number < 0 or (number == 0 and not low_included):
        raise _bad(name, value, allowed)
    return number


def _integer(name: str, value: Any, least: int, most: int) -> int | None:
    if value is None:
        if name == "candidates":
            return 1
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not least <= int(value) <= most:
        raise _bad(name, value, f"a whole number from {least} to {most}")
    return int(value)


def _boolean(name: str, value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise _bad(name, value, "True or False")


def _one_of(name: str, value: Any, allowed: Iterable[str]) -> Any:
    names = tuple(allowed)
    if not isinstance(value, str) or value not in names:
        raise _bad(name, value, "one of " + ", ".join(map(repr, names)), nearest_name(value, names))
    return value


def _resolution(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        name = value.strip().lower()
        name = _RESOLUTION_ALIASES.get(name, name)
        if name in RESOLUTIONS:
            return name
    allowed = "one of " + ", ".join(map(repr, RESOLUTIONS))
    raise _bad("resolution", value, allowed, nearest_name(value, RESOLUTIONS))


def _ratio(value: Any) -> str:
    match = (
        re.fullmatch(r"\s*([0-9]{1,3})\s*[:/x]\s*([0-9]{1,3})\s*", value) if isinstance(value, str) else None
    )
    if match is None or not int(match[1]) or not int(match[2]):
        raise _bad("aspect_ratio", value, "two whole numbers, such as '16:9'")
    return f"{int(match[1])}:{int(match[2])}"


def _size(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    allowed = f"'WIDTHxHEIGHT' in pixels, each from 16 to {MAX_SIDE}, such as '1280x720'"
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9]{1,5})\s*[xX*]\s*([0-9]{1,5})\s*", value)
        pair: tuple[Any, ...] = (int(match[1]), int(match[2])) if match else ()
    else:
        pair = tuple(value) if isinstance(value, (tuple, list)) else ()
    whole = len(pair) == 2 and all(
        isinstance(side, numbers.Integral) and not isinstance(side, bool) for side in pair
    )
    if not whole or not all(16 <= side <= MAX_SIDE for side in pair):
        raise _bad("size", value, allowed)
    return (int(pair[0]), int(pair[1]))


def _references(value: Any) -> tuple[Media, ...]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise _bad("reference_images", value, "a list of pictures")
    if len(value) > MAX_REFERENCES:
        raise _bad("reference_images", f"{len(value)} pictures", f"at most {MAX_REFERENCES}")
    return tuple(Media.of(item, "image", f"reference_images[{index}]") for index, item in enumerate(value))


def _loras(value: Any) -> tuple[tuple[str, float], ...]:
    allowed = "a list of names, or of (name, weight) pairs"
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise _bad("loras", value, allowed)
    pairs = []
    for item in value:
        pair = (item, 1.0) if isinstance(item, str) else item
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise _bad("loras", item, allowed)
        name, weight = pair
        if not isinstance(name, str) or not name or not is_real(weight):
            raise _bad("loras", item, allowed)
        pairs.append((name, float(weight)))
    return tuple(pairs)


def _extra(value: Any) -> dict[str, dict[str, Any]]:
    allowed = "a mapping by endpoint or provider, such as {'fal': {'cfg_scale': 0.5}}, of JSON values"
    if not isinstance(value, Mapping):
        raise _bad("extra", value, allowed)
    copied: dict[str, dict[str, Any]] = {}
    for owner, settings in value.items():
        if not isinstance(owner, str) or not isinstance(settings, Mapping):
            raise _bad("extra", value, allowed)
        try:
            copied[owner] = json.loads(json.dumps(dict(settings), allow_nan=False))
        except (TypeError, ValueError, RecursionError):
            raise _bad("extra", value, allowed) from None
    return copied
