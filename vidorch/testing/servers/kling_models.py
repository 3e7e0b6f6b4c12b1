"""What each model of Kling's API takes and costs in the line of 2026-07, and the error codes of both lines.

Sources, read 2026-11-22: copies of kling.ai/document-api (common information, image-to-video 3.0, prices of 2026-08-13), the
schemas of docs.comfy.org for 3.0 turbo, 3.0 omni and 4.0.

Unconfirmed: where the 4.0 family is served (here as the others: its model in the path), that it refuses `callback_url` and
`external_task_id` for video as it does for images, its price (fal's), settings and contents of kling-o1, kling-2.6 and
kling-2.5-turbo, how many elements go with a first frame, and the price of motion control.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vidorch.testing.servers.checks import Check, problems

__all__ = ["CODES", "MODELS", "Model", "contents_rule", "image_problem", "shots_rule"]

CODES: Mapping[int, tuple[int, str]] = {
    1000: (401, "Authentication failed"),
    1001: (401, "Authorization is empty"),
    1002: (401, "Authorization is invalid"),
    1003: (401, "Authorization is not yet valid"),
    1004: (401, "Authorization has expired"),
    1100: (429, "Account exception"),
    1101: (429, "Account in arrears"),
    1102: (429, "Resource pack depleted or expired"),
    1103: (403, "Unauthorized access to the requested resource"),
    1200: (400, "Invalid request parameters"),
    1201: (400, "Invalid parameters"),
    1202: (404, "The requested method is invalid"),
    1203: (404, "The requested resource does not exist"),
    1300: (400, "Trigger the platform's policy"),
    1301: (400, "Trigger the content security policy"),
    1302: (429, "The API request is too fast"),
    1303: (429, "parallel task over resource pack limit"),
    1304: (429, "Trigger the IP whitelist policy"),
    5000: (500, "Internal server error"),
    5001: (503, "Server temporarily unavailable, usually due to maintenance"),
    5002: (504, "Internal server timeout"),
}
"""Body code: (HTTP status, message). The status of 5002 was not seen; messages are of this meaning, not to the letter."""
_RATIOS = ("16:9", "9:16", "1:1")


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the new line at one endpoint.

    Attributes:
        contents: type of item: the most of them; empty where `prompt` stands alone. settings: by name.
        prompt: characters of a prompt. image_mb, narrowest: of an image: megabytes, and its shorter side by its longer.
        quiet: whether `callback_url` and `external_task_id` are refused.
        rates: USD a second by resolution: (silent, with sound). video_rates: with a video among the contents.
        sounds: "off" unless asked for, "always", or "never".
    """

    settings: Mapping[str, Check]
    contents: Mapping[str, int] = field(default_factory=dict)
    prompt: int = 3072
    image_mb: int = 50
    narrowest: float = 1 / 2.5
    quiet: bool = False
    rates: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    video_rates: Mapping[str, float] = field(default_factory=dict)
    sounds: str = "off"


def _settings(
    *resolutions: str, least: int = 3, most: int = 15, lengths: tuple[int, ...] = (), ratios: tuple[str, ...] = (),
    audio: tuple[str, ...] = (), shots: bool = False,
) -> dict[str, Check]:  # fmt: skip
    settings = {
        "resolution": Check(choices=resolutions),
        "duration": Check("integer", choices=lengths, least=least, most=most),
    }
    if ratios:
        settings["aspect_ratio"] = Check(choices=ratios)
    if audio:
        settings["audio"] = Check(choices=audio)
    return settings | ({"multi_shot": Check("boolean")} if shots else {})


def _both(**rates: float) -> dict[str, tuple[float, float]]:
    return {name.removeprefix("r"): (rate, rate) for name, rate in rates.items()}


_R30 = {"720p": (0.084, 0.126), "1080p": (0.112, 0.168), "4k": (0.42, 0.42)}
_R30_OMNI = {"720p": (0.084, 0.112), "1080p": (0.112, 0.14), "4k": (0.42, 0.42)}
_R30_TURBO = _both(r720p=0.112, r1080p=0.14)
_R_O1 = _both(r720p=0.084, r1080p=0.112)
_R26 = {"720p": (0.042, 0.042), "1080p": (0.07, 0.14)}
_R25 = _both(r720p=0.042, r1080p=0.07)
_R40 = _both(r720p=0.157, r1080p=0.235)
_R40_FLASH = _both(r720p=0.094)
_VIDEO_IN = {"720p": 0.126, "1080p": 0.168, "4k": 0.42}
_FRAMES = {"prompt": 1, "first_frame": 1, "last_frame": 1}
_OMNI = {**_FRAMES, "refer_image": 7, "feature_video": 1, "base_video": 1, "element": 7}
_FRAMES_40 = {"prompt": 1, "first_frame": 1, "middle_frame": 8, "last_frame": 1}
_OMNI_40 = {
    "prompt": 1, "first_frame": 1, "middle_frame": 8, "last_frame": 1, "refer_image": 10, "feature_video": 5, "base_video": 1,
    "element": 7, "voice": 3,
}  # fmt: skip
_SOUND = ("native", "off")
_SOUND_OMNI = ("native", "original", "off")


def _of_40(most: int, *resolutions: str, contents: Mapping[str, int], ratios: bool = True) -> Model:
    return Model(
        _settings(*resolutions, most=most, ratios=(*_RATIOS, "21:9") if ratios else ()), contents, prompt=26_000, image_mb=30,
        quiet=True, rates=_R40 if "1080p" in resolutions else _R40_FLASH, sounds="always",
    )  # fmt: skip


MODELS: Mapping[str, Mapping[str, Model]] = {
    "text-to-video": {
        "kling-3.0": Model(
            _settings("720p", "1080p", "4k", ratios=_RATIOS, audio=_SOUND, shots=True), {"prompt": 1}, rates=_R30
        ),
        "kling-3.0-turbo": Model(
            _settings("720p", "1080p", ratios=_RATIOS), {"prompt": 1}, rates=_R30_TURBO, sounds="always"
        ),
        "kling-2.6": Model(
            _settings("720p", "1080p", lengths=(5, 10), ratios=_RATIOS, audio=_SOUND), {"prompt": 1}, rates=_R26
        ),
        "kling-2.5-turbo": Model(
            _settings("720p", "1080p", lengths=(5, 10), ratios=_RATIOS), {"prompt": 1}, rates=_R25, sounds="never"
        ),
        "kling-4.0": _of_40(30, "720p", "1080p", contents={"prompt": 1}),
        "kling-4.0-flash": _of_40(20, "720p", contents={"prompt": 1}),
    },
    "image-to-video": {
        "kling-3.0": Model(
            _settings("720p", "1080p", "4k", audio=_SOUND, shots=True), {**_FRAMES, "element": 3}, rates=_R30
        ),
        "kling-3.0-turbo": Model(
            _settings("720p", "1080p"), {"prompt": 1, "first_frame": 1}, rates=_R30_TURBO, sounds="always"
        ),
        "kling-2.6": Model(_settings("720p", "1080p", lengths=(5, 10), audio=_SOUND), _FRAMES, rates=_R26),
        "kling-2.5-turbo": Model(
            _settings("720p", "1080p", lengths=(5, 10)), _FRAMES, rates=_R25, sounds="never"
        ),
        "kling-4.0": _of_40(30, "720p", "1080p", contents=_FRAMES_40, ratios=False),
        "kling-4.0-flash": _of_40(20, "720p", contents=_FRAMES_40, ratios=False),
    },
    "omni-video": {
        "kling-3.0-omni": Model(
            _settings("720p", "1080p", "4k", ratios=_RATIOS, audio=_SOUND_OMNI, shots=True), _OMNI,
            rates=_R30_OMNI, video_rates=_VIDEO_IN,
        ),
        "kling-o1": Model(
            _settings("720p", "1080p", most=10, ratios=_RATIOS), _OMNI, rates=_R_O1, video_rates=_VIDEO_IN, sounds="never"
        ),
        "kling-4.0": _of_40(30, "720p", "1080p", contents=_OMNI_40),
        "kling-4.0-flash": _of_40(20, "720p", contents=_OMNI_40),
    },
    "motion-control": {
        "kling-3.0": Model(
            {
                "resolution": Check(choices=("720p", "1080p")), "audio": Check(choices=("original", "off")),
                "character_orientation": Check(required=True, choices=("image", "video")),
            },
            {"prompt": 1, "image": 1, "video": 1, "element": 1}, prompt=2500, rates=_both(r720p=0.126, r1080p=0.168),
        ),
    },
}  # fmt: skip
"""Endpoint, model."""
_IMAGES = ("first_frame", "middle_frame", "last_frame", "refer_image", "image")
_VIDEOS = ("feature_video", "base_video", "video")


def contents_rule(
    endpoint: str, model: Model, contents: Any, *, image: Callable[[str], str], video: Callable[[str], str]
) -> str:
    """What is wrong with the contents of a request, or "".

    Args:
        image, video: what is wrong with a URL, or with base64 for images.
    """
    if not isinstance(contents, list) or not contents:
        return "contents has to be a list that is not empty"
    counts: dict[str, int] = dict.fromkeys(model.contents, 0)
    names = []
    for index, item in enumerate(contents):
        where = f"contents[{index}]"
        kind = item.get("type") if isinstance(item, dict) else None
        if not isinstance(kind, str) or kind not in counts:
            return f"{where}.type has to be one of {', '.join(counts)}"
        counts[kind] += 1
        for found in problems(item, _item(kind)):
            return f"{where}.{found.dotted} {found.message}"
        if kind == "prompt" and not 0 < len(item["text"]) <= _longest(model, item["text"]):
            return f"{where}.text has to be of 1 to {_longest(model, item['text'])} characters"
        names += [item["id"]] if "id" in item else []
        if kind in (*_IMAGES, *_VIDEOS) and (why := (image if kind in _IMAGES else video)(item["url"])):
            return f"{where}.url {why}"
    for kind, count in counts.items():
        if count > model.contents[kind]:
            return f"contents has {count} of type {kind}, and at most {model.contents[kind]} are taken"
    if len(set(names)) < len(names):
        return "contents has one id twice"
    return _together(endpoint, model, counts)


def _together(endpoint: str, model: Model, counts: Mapping[str, int]) -> str:
    first, last = counts.get("first_frame", 0), counts.get("last_frame", 0)
    videos = sum(counts.get(kind, 0) for kind in _VIDEOS)
    if last and not first:
        return "contents has a last_frame without a first_frame"
    if endpoint == "image-to-video" and not first:
        return "contents needs a first_frame"
    if endpoint == "motion-control" and not (counts["image"] and counts["video"]):
        return "contents needs an image and a video"
    if model.quiet:
        images = sum(counts.get(kind, 0) for kind in _IMAGES)
        if images > 10 or sum(counts.values()) - counts["prompt"] > 15 or videos > 5:
            return "contents takes at most 15 inputs, of them 10 images and 5 videos"
        return ""
    if endpoint == "omni-video" and videos > 1:
        return "contents takes one video"
    if endpoint == "omni-video" and videos and counts["refer_image"] + counts["element"] > 4:
        return "contents takes at most 4 reference images and elements with a video"
    if endpoint == "omni-video" and counts["refer_image"] + counts["element"] > 7:
        return "contents takes at most 7 reference images and elements"
    return ""


def _item(kind: str) -> dict[str, Check]:
    fields = {"type": Check(required=True)}
    if kind == "prompt":
        return fields | {"text": Check(required=True)}
    if kind in ("element", "voice"):
        return fields | {
            f"{kind}_id": Check(required=True, least=1),
            "id": Check(required=kind == "voice", least=1),
        }
    return fields | {"url": Check(required=True, least=1), "id": Check(least=1)}


def _longest(model: Model, text: str) -> int:
    """Kling 4 takes 26,000 characters of English, 11,000 of anything else: here, of text that is not ASCII."""
    return model.prompt if model.prompt < 26_000 or text.isascii() else 11_000


_SHOT = re.compile(r"\s*(?:shot|镜头)\s*(\d+)\s*,\s*(\d+)\s*,\s*(.*?)\s*", re.IGNORECASE | re.DOTALL)


def shots_rule(prompt: str, seconds: int) -> str:
    """What is wrong with a prompt that is written as shots ("shot 1, 3, words; shot 2, 2, words;"), or ""."""
    parts = [part for part in re.split("[;；]", prompt) if part.strip()]  # noqa: RUF001
    shots = [_SHOT.fullmatch(part) for part in parts]
    if not parts or not all(shots):
        return ""  # it is prose
    if len(shots) > 6:
        return "prompt has more than 6 shots"
    found = [match.groups() for match in shots if match is not None]
    if any(len(words) > 512 for _, _, words in found):
        return "prompt has a shot of more than 512 characters"
    if (
        any(int(length) < 1 for _, length, _ in found)
        or sum(int(length) for _, length, _ in found) != seconds
    ):
        return f"prompt has shots that are not {seconds} seconds together"
    return ""


def image_problem(given: str, model: Model) -> str:
    """What is wrong with an image that is a URL, or base64 without `data:` before it; or "". A URL is not followed."""
    if given.startswith(("http://", "https://")):
        return ""
    if given.startswith("data:"):
        return "has to be base64 without a data: prefix"
    try:
        data = base64.b64decode(given, validate=True)
    except ValueError:
        return "has to be a URL or base64"
    size = _size(data)
    if size is None:
        return "has to be a JPEG or PNG"
    if len(data) > model.image_mb * 1024 * 1024:
        return f"has to be at most {model.image_mb} MB"
    if min(size) < 300:
        return "has to be at least 300 pixels wide and high"
    return "" if min(size) >= model.narrowest * max(size) else "is too narrow or too wide"


def _size(data: bytes) -> tuple[int, int] | None:
    """Pixels of a JPEG or PNG."""
    import av

    if not data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        return None
    try:
        with av.open(io.BytesIO(data)) as container:
            stream = container.streams.video[0]
            return stream.width, stream.height
    except (av.FFmpegError, IndexError):
        return None
