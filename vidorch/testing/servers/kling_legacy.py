"""What Kling's legacy line, `/v1/videos/*`, takes and costs.

Sources, read 2026-11-22: copies of kling.ai/document-api, ComfyUI's and vercel/ai's clients.

Unconfirmed: whether video-extend, lip-sync and avatars are still served, what becomes of a request that names no model now
that its usual one is retired (here 1203), and prices of lip-sync, extension and avatars.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vidorch.testing.servers.checks import Check, problems

__all__ = ["LEGACY", "RETIRED", "Legacy", "legacy_problem", "legacy_rate"]

RETIRED = ("kling-v1", "kling-v1-5", "kling-v1-6", "kling-v2-master", "kling-v2-1", "kling-v2-1-master")
"""Since 2026-09-15: no longer served (1203)."""
_RATIOS = ("16:9", "9:16", "1:1")
_RATES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "kling-v2-5-turbo": {"std": (0.042, 0.042), "pro": (0.07, 0.07)},
    "kling-v2-6": {"std": (0.042, 0.042), "pro": (0.07, 0.14)},
    "kling-v3": {"std": (0.084, 0.126), "pro": (0.112, 0.168), "4k": (0.42, 0.42)},
    "kling-video-o1": {"std": (0.084, 0.084), "pro": (0.112, 0.112)},
    "kling-v3-omni": {"std": (0.084, 0.112), "pro": (0.112, 0.14), "4k": (0.42, 0.42)},
    "": {"std": (0.042, 0.042), "pro": (0.07, 0.07)},
}
"""USD a second by mode: (silent, with sound); under "" of what names no model."""


@dataclass(frozen=True, slots=True)
class Legacy:
    """An endpoint of `/v1/videos/*`.

    Attributes:
        fields: by name. models: that it takes; empty where the body names none. usual: the model where none is named.
    """

    fields: Mapping[str, Check]
    models: tuple[str, ...] = ()
    usual: str = ""


def _words(most: int, *, required: bool = False) -> Check:
    return Check(required=required, least=1 if required else None, most=most)


def _texts(least: int, most: int) -> tuple[str, ...]:
    return tuple(map(str, range(least, most + 1)))


_SHARED = {
    "callback_url": Check(), "external_task_id": Check(),
    "watermark_info": Check("object", fields={"enabled": Check("boolean", required=True)}),
}  # fmt: skip
_MODE = Check(choices=("std", "pro", "4k"))
_SHOT_FIELDS = {
    "multi_shot": Check("boolean"), "shot_type": Check(choices=("customize", "intelligence")),
    "multi_prompt": Check("list", most=6, items=Check("object", fields={
        "index": Check("integer", required=True, least=1), "prompt": Check(required=True, most=512),
        "duration": Check(required=True, choices=_texts(1, 15)),
    })),
}  # fmt: skip
_ELEMENTS = Check("list", items=Check("object", fields={"element_id": Check("any", required=True)}))
_VOICES = Check("list", most=2, items=Check("object", fields={"voice_id": Check(required=True)}))
_SWITCH = Check(choices=("on", "off"))
_YES = Check(choices=("yes", "no"))
_MADE = {
    "model_name": Check(), "prompt": _words(2500), "negative_prompt": _words(2500), "cfg_scale": Check("number", least=0, most=1),
    "mode": _MODE, "duration": Check(choices=_texts(3, 15)), "sound": _SWITCH, "voice_list": _VOICES, **_SHOT_FIELDS, **_SHARED,
}  # fmt: skip
_VIDEO_MODELS = ("kling-v2-5-turbo", "kling-v2-6", "kling-v3")

LEGACY: Mapping[str, Legacy] = {
    "text2video": Legacy({**_MADE, "aspect_ratio": Check(choices=_RATIOS)}, _VIDEO_MODELS, "kling-v1"),
    "image2video": Legacy(
        {**_MADE, "image": Check(), "image_tail": Check(), "element_list": _ELEMENTS, "camera_control": Check("object"),
         "static_mask": Check(), "dynamic_masks": Check("list", most=6)},
        _VIDEO_MODELS, "kling-v1",
    ),
    "omni-video": Legacy(
        {
            "model_name": Check(), "prompt": _words(2500), "mode": _MODE, "duration": Check(choices=_texts(3, 15)),
            "aspect_ratio": Check(choices=_RATIOS), "sound": _SWITCH, "element_list": _ELEMENTS,
            "image_list": Check("list", most=7, items=Check("object", fields={
                "image_url": Check(required=True), "type": Check(choices=("first_frame", "end_frame")),
            })),
            "video_list": Check("list", most=1, items=Check("object", fields={
                "video_url": Check(required=True), "refer_type": Check(choices=("feature", "base")), "keep_original_sound": _YES,
            })),
            **_SHOT_FIELDS, **_SHARED,
        },
        ("kling-video-o1", "kling-v3-omni"), "kling-video-o1",
    ),
    "motion-control": Legacy(
        {
            "model_name": Check(), "prompt": _words(2500), "image_url": Check(required=True), "video_url": Check(required=True),
            "keep_original_sound": _YES, "character_orientation": Check(required=True, choices=("image", "video")),
            "mode": Check(required=True, choices=("std", "pro")), **_SHARED,
        },
        ("kling-v2-6", "kling-v3"), "kling-v2-6",
    ),
    "lip-sync": Legacy({
        "input": Check("object", required=True, fields={
            "video_id": Check(), "video_url": Check(), "mode": Check(required=True, choices=("text2video", "audio2video")),
            "text": _words(120), "voice_id": Check(), "voice_language": Check(choices=("zh", "en")),
            "voice_speed": Check("number", least=0.8, most=2), "audio_type": Check(choices=("file", "url")),
            "audio_file": Check(), "audio_url": Check(),
        }),
        "callback_url": Check(), "external_task_id": Check(),
    }),
    "video-extend": Legacy({
        "video_id": Check(required=True), "prompt": _words(2500), "negative_prompt": _words(2500),
        "cfg_scale": Check("number", least=0, most=1), **_SHARED,
    }),
    "avatar/image2video": Legacy({
        "image": Check(required=True), "audio_id": Check(), "sound_file": Check(), "prompt": _words(2500),
        "mode": Check(choices=("std", "pro")), **_SHARED,
    }),
}  # fmt: skip
"""By what follows `/v1/videos/`."""


def legacy_problem(
    kind: str, body: dict[str, Any], *, image: Callable[[str], str], video: Callable[[str], str]
) -> tuple[int, str]:
    """What is wrong with a body: (code, in words), or (0, "").

    Args:
        kind: key of `LEGACY`. image, video: what is wrong with a URL, or with base64 for images.
    """
    spec = LEGACY[kind]
    for found in problems(body, spec.fields):
        return 1201, f"{found.dotted} {found.message}"
    model = body.get("model_name", spec.usual)
    if spec.models and model not in spec.models:
        return 1203, f"The model {model} is not supported"
    why = _RULES.get(kind, _none)(body)
    why = why or (_of_model(model, body) if spec.models else "")
    return (1201, why) if why else _media(body, image, video)


def legacy_rate(kind: str, body: dict[str, Any]) -> float:
    """USD a second."""
    modes = _RATES[body.get("model_name", LEGACY[kind].usual)]
    usual = "pro" if kind == "omni-video" else "std"
    silent, sound = modes[body.get("mode", usual)]
    return sound if body.get("sound") == "on" else silent


def _none(body: dict[str, Any]) -> str:
    return ""


def _of_model(model: str, body: dict[str, Any]) -> str:
    mode, newest = body.get("mode", "std"), model.startswith("kling-v3")
    if mode not in _RATES[model]:
        return f"mode {mode} is not supported by {model}"
    if model.startswith("kling-v2") and body.get("duration", "5") not in ("5", "10"):
        return "duration has to be 5 or 10"
    if model == "kling-video-o1" and int(body.get("duration", "5")) > 10:
        return "duration has to be 3 to 10"
    if model.startswith("kling-v2") and "cfg_scale" in body:
        return f"cfg_scale is not supported by {model}"
    if body.get("sound") == "on" and not newest and not (model == "kling-v2-6" and mode == "pro"):
        return f"sound is not supported by {model} in mode {mode}"
    if any(name in body for name in ("multi_shot", "shot_type", "multi_prompt")) and not newest:
        return f"multi_shot is not supported by {model}"
    return next((f"{name} is not supported by {model}" for name in _GONE if name in body), "")


_GONE = ("camera_control", "static_mask", "dynamic_masks")


def _shots(body: dict[str, Any]) -> str:
    """Shots that replace the prompt have to be there, and as long as the clip."""
    if not body.get("multi_shot"):
        return "" if body.get("prompt") else "prompt is required"
    if "shot_type" not in body:
        return "shot_type is required with multi_shot"
    if body["shot_type"] == "intelligence":
        return "" if body.get("prompt") else "prompt is required"
    shots = body.get("multi_prompt", [])
    if not shots:
        return "multi_prompt is required"
    total = sum(int(shot["duration"]) for shot in shots)
    return "" if total == int(body.get("duration", "5")) else "multi_prompt is not as long as duration"


def _image2video(body: dict[str, Any]) -> str:
    if not body.get("image"):
        return "image is required"
    return "" if not body.get("multi_shot") else _shots(body)


def _omni(body: dict[str, Any]) -> str:
    images = body.get("image_list", [])
    videos = body.get("video_list", [])
    kinds = [item.get("type") for item in images]
    edits = any(item.get("refer_type", "base") == "base" for item in videos)
    if "end_frame" in kinds and "first_frame" not in kinds:
        return "image_list has an end_frame without a first_frame"
    if "end_frame" in kinds and len(images) > 2:
        return "image_list takes no end_frame with more than 2 images"
    if len(images) + len(body.get("element_list", [])) > (4 if videos else 7):
        return f"image_list and element_list take at most {4 if videos else 7} together"
    if "aspect_ratio" not in body and "first_frame" not in kinds and not edits:
        return "aspect_ratio is required"
    if videos and body.get("sound") == "on":
        return "sound has to be off with a video"
    return _shots(body)


def _lip_sync(body: dict[str, Any]) -> str:
    given = body["input"]
    if ("video_id" in given) == ("video_url" in given):
        return "input takes one of video_id and video_url"
    if given["mode"] == "text2video":
        missing = next((name for name in ("text", "voice_id") if not given.get(name)), "")
        return f"input.{missing} is required" if missing else ""
    audio = {"file": "audio_file", "url": "audio_url"}.get(given.get("audio_type", ""), "audio_type")
    return "" if given.get(audio) else f"input.{audio} is required"


def _avatar(body: dict[str, Any]) -> str:
    return (
        "one of audio_id and sound_file is required" if ("audio_id" in body) == ("sound_file" in body) else ""
    )


_RULES: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "text2video": _shots, "image2video": _image2video, "omni-video": _omni, "lip-sync": _lip_sync,
    "avatar/image2video": _avatar,
}  # fmt: skip


def _media(body: dict[str, Any], image: Callable[[str], str], video: Callable[[str], str]) -> tuple[int, str]:
    names = ("image", "image_tail", "image_url")
    given: list[tuple[str, str, Callable[[str], str]]] = [
        (name, body[name], image) for name in names if name in body
    ]
    given += [("image_list", item["image_url"], image) for item in body.get("image_list", [])]
    given += [("video_list", item["video_url"], video) for item in body.get("video_list", [])]
    given += [("video_url", body["video_url"], video)] if "video_url" in body else []
    url = body.get("input", {}).get("video_url")
    given += [("input.video_url", url, video)] if url is not None else []
    return next(((1201, f"{name} {why}") for name, value, check in given if (why := check(value))), (0, ""))
