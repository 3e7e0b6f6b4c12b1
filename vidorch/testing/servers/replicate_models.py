"""What the video models on Replicate take: the fields of `input`, their types, the values there are.

Source: the models' schema pages (`https://replicate.com/<owner>/<name>/api/schema`) as stored copies and public code had them in
2026, read 2026-11-22. Lengths are integers here where fal has strings, and frames are called `start_image`, not
`start_image_url`.

Not confirmed: whether a field that is not in a schema is refused or passed over (here it is refused); `cfg_scale` of Kling 2.0
and 2.1 Master; the shapes of Kling's lip-sync and motion control, of Kling 3 Omni's references, of Wan 2.2's frames, and of
Hailuo's, Seedance's, Runway's and Flux's further fields. Models that are not here take any object.
"""

from __future__ import annotations

import json
from typing import Any

from vidorch.testing.servers.checks import Check, Problem
from vidorch.testing.servers.fields import (
    FLAG,
    NEED_URL,
    PROMPT,
    SEED,
    SHARE,
    TEXT,
    URL,
    Fields,
    Model,
    Rule,
    many,
    one,
    together,
)

__all__ = ["METRICS", "MODELS"]

MODELS: dict[str, Model] = {}
"""By `owner/name`."""
METRICS = {"kwaivgi/kling-v3-video": "mode", "google/veo-3.1": "resolution", "alibaba/wan-3": "resolution"}
"""The field whose value an official model's metrics give as `resolution_target`, where it is known that they do."""

THREE_RATIOS = one("16:9", "9:16", "1:1")
TWO_RATIOS = one("16:9", "9:16")
FIVE_OR_TEN = one(5, 10)
HD = one("720p", "1080p")
SIZES = one("480p", "720p", "1080p")


def _add(names: str, fields: Fields, *rules: Rule, **more: Any) -> None:
    """Add models of one owner: `owner/a,b` are two."""
    owner, _, rest = names.partition("/")
    for name in rest.split(","):
        MODELS[f"{owner}/{name}"] = Model(fields, rules, **more)


def _shots(body: dict[str, Any]) -> list[Problem]:
    """Kling 3's shots are a string of JSON: six at most, and their lengths make up the whole."""
    text = body.get("multi_prompt")
    if text is None:
        return []
    at = ("multi_prompt",)
    try:
        shots = json.loads(text)
        lengths = [shot["duration"] for shot in shots]
    except (ValueError, TypeError, KeyError):
        return [Problem(at, "rule", "has to be JSON, a list of objects with prompt and duration", text)]
    if not 1 <= len(shots) <= 6 or not all(isinstance(length, int) for length in lengths):
        return [Problem(at, "rule", "has to be one to six shots with whole seconds", text)]
    if sum(lengths) != body.get("duration", 5):
        return [Problem(at, "rule", "lengths have to sum to duration", text)]
    return []


# fmt: off
def _kling() -> None:
    long = Check(required=True, least=1, most=2500)
    spoken: dict[str, Any] = {"sound": ("generate_audio", False)}
    frames: Fields = {"start_image": URL, "end_image": URL}
    whole = Check("integer", least=3, most=15)
    _add("kwaivgi/kling-v3-video", frames | {
        "prompt": long, "negative_prompt": TEXT, "mode": one("standard", "pro", "4k"), "aspect_ratio": THREE_RATIOS,
        "duration": whole,
        "generate_audio": FLAG, "multi_prompt": TEXT,
    }, together("end_image", "start_image"), _shots, **spoken)
    _add("kwaivgi/kling-v3-omni-video", frames | {
        "prompt": long, "negative_prompt": TEXT, "mode": one("standard", "pro", "4k"), "aspect_ratio": THREE_RATIOS,
        "duration": whole,
        "generate_audio": FLAG, "multi_prompt": TEXT, "reference_images": many(URL, None, 7), "reference_video": URL,
    }, together("end_image", "start_image"), _shots, **spoken)
    base: Fields = {"prompt": long, "negative_prompt": TEXT, "start_image": URL, "aspect_ratio": THREE_RATIOS,
    "duration": FIVE_OR_TEN}
    _add("kwaivgi/kling-v2.6", base | {"generate_audio": FLAG}, sound=("generate_audio", True))
    _add("kwaivgi/kling-v2.5-turbo-pro", base | {"end_image": URL}, together("end_image", "start_image"))
    _add("kwaivgi/kling-v2.1", base | {"start_image": NEED_URL, "end_image": URL, "mode": one("standard", "pro")})
    _add("kwaivgi/kling-v2.1-master,kling-v2.0", base | {"cfg_scale": SHARE})
    _add("kwaivgi/kling-v1.6-standard,kling-v1.6-pro", base | {
        "cfg_scale": SHARE, "end_image": URL, "reference_images": many(URL, None, 4),
    })
    _add("kwaivgi/kling-v2.6-motion-control", {
        "prompt": TEXT, "image": NEED_URL, "video": NEED_URL, "character_orientation": one("image", "video"),
        "mode": one("std", "pro"),
        "keep_original_sound": FLAG,
    }, sound=("keep_original_sound", True))
    _add("kwaivgi/kling-lip-sync", {
        "video_url": URL, "video_id": TEXT, "audio_file": URL, "text": TEXT, "voice_id": TEXT,
        "voice_speed": Check("number", least=0.8, most=2),
    }, sound=True)


def _google() -> None:
    base: Fields = {
        "prompt": PROMPT, "image": URL, "last_frame": URL, "duration": one(4, 6, 8), "aspect_ratio": TWO_RATIOS, "resolution": HD,
        "generate_audio": FLAG, "negative_prompt": TEXT, "seed": SEED,
    }
    loud: dict[str, Any] = {"sound": ("generate_audio", True), "length": 8}

    def references(body: dict[str, Any]) -> list[Problem]:
        given = body.get("reference_images")
        fits = body.get("duration", 8) == 8 and body.get("aspect_ratio", "16:9") == "16:9"
        return [] if not given or fits else [Problem(("reference_images",), "rule", "needs 16:9 and 8 seconds", given)]

    def sharp(body: dict[str, Any]) -> list[Problem]:
        wrong = body.get("resolution") == "1080p" and body.get("duration", 8) != 8
        return [Problem(("resolution",), "rule", "1080p needs 8 seconds", "1080p")] if wrong else []

    _add("google/veo-3.1", base | {"reference_images": many(URL, 1, 3), "resolution": one("720p", "1080p", "4k")}, references,
         together("last_frame", "image"), **loud)
    _add("google/veo-3.1-fast", base | {"resolution": one("720p", "1080p", "4k")}, together("last_frame", "image"), **loud)
    _add("google/veo-3.1-lite", base, together("last_frame", "image"), sharp, **loud)
    older = {name: check for name, check in base.items() if name != "last_frame"}
    _add("google/veo-3,veo-3-fast", older, **loud)
    _add("google/veo-2", {"prompt": PROMPT, "image": URL, "duration": one(5, 6, 7, 8), "aspect_ratio": TWO_RATIOS, "seed": SEED})


def _others() -> None:
    ratios = one("16:9", "9:16", "1:1", "4:3", "3:4")
    _add("alibaba/wan-3", {
        "prompt": PROMPT, "image": URL, "resolution": SIZES, "duration": Check("integer", least=2, most=30),
        "aspect_ratio": ratios,
        "seed": SEED,
    }, sound=True)
    moving: Fields = {
        "prompt": PROMPT, "negative_prompt": TEXT, "duration": FIVE_OR_TEN, "audio": URL, "enable_prompt_expansion": FLAG,
        "seed": SEED,
    }
    size = one("1280*720", "720*1280", "1920*1080", "1080*1920", "832*480", "480*832")
    _add("wan-video/wan-2.5-t2v,wan-2.5-t2v-fast", moving | {"size": size}, sound=True)
    _add("wan-video/wan-2.5-i2v,wan-2.5-i2v-fast", moving | {"image": NEED_URL, "resolution": SIZES}, sound=True)
    fast: Fields = {
        "prompt": PROMPT, "resolution": one("480p", "720p"), "num_frames": Check("integer", least=81, most=121),
        "frames_per_second": Check("integer", least=5, most=30), "interpolate_output": FLAG, "go_fast": FLAG,
        "sample_shift": Check("number"),
        "seed": SEED, "disable_safety_checker": FLAG,
    }
    _add("wan-video/wan-2.2-t2v-fast", fast | {"aspect_ratio": TWO_RATIOS})
    _add("wan-video/wan-2.2-i2v-fast", fast | {"image": NEED_URL, "last_image": URL})
    _add("openai/sora-2,sora-2-pro", {
        "prompt": PROMPT, "seconds": one(4, 8, 12), "aspect_ratio": one("portrait", "landscape"), "input_reference": URL,
    }, sound=True, length=4)
    wide = one("16:9", "9:16", "4:3", "3:4", "1:1", "21:9")
    _add("runwayml/gen4-turbo", {"prompt": PROMPT, "image": NEED_URL, "duration": FIVE_OR_TEN, "aspect_ratio": wide,
    "seed": SEED})
    _add("runwayml/gen4-aleph", {"prompt": PROMPT, "video": NEED_URL, "reference_image": URL, "aspect_ratio": wide, "seed": SEED})
    hailuo: Fields = {
        "prompt": PROMPT, "first_frame_image": URL, "duration": one(6, 10), "resolution": one("768p", "1080p"),
        "prompt_optimizer": FLAG,
    }

    def short(body: dict[str, Any]) -> list[Problem]:
        wrong = body.get("resolution") == "1080p" and body.get("duration", 6) != 6
        return [Problem(("duration",), "rule", "1080p needs 6 seconds", body["duration"])] if wrong else []

    _add("minimax/hailuo-2.3", hailuo, short, length=6)
    _add("minimax/hailuo-2.3-fast", hailuo | {"first_frame_image": NEED_URL}, short, length=6)
    _add("minimax/hailuo-02", hailuo | {"last_frame_image": URL, "resolution": one("512p", "768p", "1080p")}, short, length=6)
    seedance: Fields = {
        "prompt": PROMPT, "image": URL, "last_frame_image": URL, "duration": Check("integer", least=2, most=12),
        "resolution": SIZES,
        "aspect_ratio": one("16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "9:21"), "fps": one(24), "camera_fixed": FLAG,
        "seed": SEED,
    }
    _add("bytedance/seedance-1-pro,seedance-1-lite", seedance, together("last_frame_image", "image"))
    _add("bytedance/seedance-1.5-pro", seedance | {"generate_audio": FLAG}, together("last_frame_image", "image"),
         sound=("generate_audio", False))
    _add("xai/grok-imagine-video", {
        "prompt": PROMPT, "image": URL, "duration": Check("integer", least=1, most=15), "resolution": one("480p", "720p"),
        "aspect_ratio": ratios,
    }, sound=True)
    pictures: dict[str, Any] = {"makes": "images"}
    flux: Fields = {
        "prompt": PROMPT, "aspect_ratio": one("1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16",
        "9:21"), "seed": SEED,
        "num_outputs": Check("integer", least=1, most=4), "output_format": one("webp", "jpg", "png"), "go_fast": FLAG,
        "output_quality": Check("integer", least=0, most=100), "disable_safety_checker": FLAG, "megapixels": one("1", "0.25"),
        "num_inference_steps": Check("integer", least=1, most=50),
    }
    _add("black-forest-labs/flux-schnell", flux | {"num_inference_steps": one(1, 2, 3, 4)}, **pictures)
    _add("black-forest-labs/flux-dev", flux | {"guidance": Check("number", least=0, most=10), "image": URL,
    "prompt_strength": SHARE},
         **pictures)
# fmt: on


for _family in (_kling, _google, _others):
    _family()
