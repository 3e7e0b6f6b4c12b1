"""What each endpoint of fal takes: the fields of its input, their types, the values there are.

Sources: the types that @fal-ai/client 1.10.1 (npm, 2026-05-04) ships for 1,206 endpoints, and stored copies of the models' own
pages (`https://fal.ai/models/<id>/llms.txt`), read 2026-11-22. The package prints every enum as strings; the pages say which
lengths are strings (Kling, Veo, Seedance) and which are integers (LTX, Wan 3.0).

Not confirmed: Wan 2.7's lengths are integers here, as reported at second hand, and strings in the package's types; those of Wan
2.5 and 2.6, Hailuo and Pika 2.2 are strings here. Kling 4.0, Kling 3.0 Turbo Standard, Kling 2.1 Pro, Wan 3.0's references and
Seedance 2.0 are not in the package: their fields are what is known of other hosts or of their siblings. Whether fal refuses
unknown fields or passes over them differs by model; here they are refused. What the pages say in words of a reference (pixels,
bytes, seconds) is not checked: the server never opens the files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vidorch.testing.servers.checks import Check, Problem
from vidorch.testing.servers.fields import (
    COUNT,
    FLAG,
    NEED_URL,
    PROMPT,
    REAL,
    SEED,
    SHARE,
    TEXT,
    URL,
    Fields,
    Model,
    Rule,
    either,
    many,
    need,
    one,
    span,
    together,
)

__all__ = ["MODELS", "PRICES", "megapixels", "pixels"]

MODELS: dict[str, Model] = {}
"""By endpoint id. What is not here takes any object."""

THREE_RATIOS = one("16:9", "9:16", "1:1")
AUTO_RATIOS = one("auto", "16:9", "9:16", "1:1")
FIVE_RATIOS = one("16:9", "9:16", "1:1", "4:3", "3:4")
FIVE_OR_TEN = one("5", "10")
HD = one("720p", "1080p")
SIZES = one("480p", "720p", "1080p")


def _add(paths: str, fields: Fields, *rules: Rule, **more: Any) -> None:
    """Add endpoints: `<a,b>` in a path stands for several."""
    head, mark, rest = paths.partition("<")
    if not mark:
        MODELS[paths] = Model(fields, rules, **more)
        return
    choices, _, tail = rest.partition(">")
    for choice in choices.split(","):
        _add(head + choice + tail, fields, *rules, **more)


# fmt: off
def _older_kling() -> None:
    at = "fal-ai/kling-video"
    base: Fields = {"prompt": PROMPT, "duration": FIVE_OR_TEN, "negative_prompt": TEXT, "cfg_scale": SHARE}
    image: Fields = base | {"image_url": NEED_URL}
    text: Fields = base | {"aspect_ratio": THREE_RATIOS}
    tail: Fields = {"tail_image_url": URL}
    masks: Fields = {"static_mask_url": URL, "dynamic_masks": Check("list", nullable=True)}
    _add(f"{at}/v1/standard/text-to-video", text | {
        "camera_control": one("down_back", "forward_up", "right_turn_forward", "left_turn_forward"),
        "advanced_camera_control": Check("object", nullable=True),
    })
    _add(f"{at}/v1/standard/image-to-video", image | masks | tail)
    _add(f"{at}/<v1.5/pro,v1.6/pro,v1.6/standard,v2/master,v2.1/master,v2.5-turbo/pro>/text-to-video", text)
    _add(f"{at}/v1.5/pro/image-to-video", image | masks | tail | {"aspect_ratio": THREE_RATIOS})
    _add(f"{at}/v1.6/pro/image-to-video", image | tail | {"aspect_ratio": THREE_RATIOS})
    _add(f"{at}/<v1.6/standard,v2/master,v2.1/master,v2.1/standard,v2.5-turbo/standard>/image-to-video", image)
    _add(f"{at}/<v2.1/pro,v2.5-turbo/pro>/image-to-video", image | tail)
    _add(f"{at}/v1.6/<pro,standard>/elements", {
        "prompt": PROMPT, "input_image_urls": need(many(URL, 1, 4)), "duration": FIVE_OR_TEN, "aspect_ratio": THREE_RATIOS,
        "negative_prompt": TEXT,
    })
    audio: Fields = {"generate_audio": FLAG}
    loud = {"sound": ("generate_audio", True)}
    _add(f"{at}/v2.6/pro/text-to-video", text | audio, **loud)
    _add(f"{at}/v2.6/pro/image-to-video", audio | {
        "prompt": PROMPT, "duration": FIVE_OR_TEN, "negative_prompt": TEXT, "start_image_url": NEED_URL, "end_image_url": URL,
        "voice_ids": many(TEXT, None, 2),
    }, **loud)
    face: Fields = {"image_url": NEED_URL, "audio_url": NEED_URL, "prompt": TEXT}
    _add(f"{at}/ai-avatar/v2/<standard,pro>", face, sound=True, gives=("duration",))
    _add(f"{at}/v1/<standard,pro>/ai-avatar", face, sound=True, gives=("duration",))
    _add(f"{at}/lipsync/audio-to-video", {"video_url": NEED_URL, "audio_url": NEED_URL}, sound=True)
    _add(f"{at}/lipsync/text-to-video", {
        "video_url": NEED_URL, "text": Check(required=True, least=1, most=120), "voice_id": PROMPT,
        "voice_language": one("zh", "en"), "voice_speed": Check("number", least=0.8, most=2),
    }, sound=True)


def _newer_kling() -> None:
    at = "fal-ai/kling-video"
    picture: Fields = {"frontal_image_url": URL, "reference_image_urls": many(URL, None, 3)}
    drawn = many(Check("object", fields=picture), None, 4)
    element = Check("object", fields=picture | {"video_url": URL, "voice_id": TEXT})
    moves: Fields = {
        "image_url": NEED_URL, "video_url": NEED_URL, "character_orientation": one("image", "video", required=True),
        "prompt": TEXT, "keep_original_sound": FLAG,
    }
    kept: dict[str, Any] = {"sound": ("keep_original_sound", True)}
    _add(f"{at}/v2.6/<pro,standard>/motion-control", moves, **kept)
    _add(f"{at}/v3/<pro,standard>/motion-control", moves | {"elements": replace(drawn, most=1)}, **kept)

    shot = Check("object", fields={"prompt": PROMPT, "duration": span(1, 15)})
    shots: Fields = {"prompt": TEXT, "multi_prompt": many(shot, 1), "duration": span(3, 15)}
    one_prompt = either("prompt", "multi_prompt")
    three: Fields = shots | {"negative_prompt": TEXT, "cfg_scale": SHARE}
    free: Fields = three | {"aspect_ratio": THREE_RATIOS, "shot_type": one("customize", "intelligent")}
    audio: Fields = {"generate_audio": FLAG}
    loud: dict[str, Any] = {"sound": ("generate_audio", True)}
    _add(f"{at}/v3/<standard,pro,4k>/text-to-video", free | audio, one_prompt, **loud)
    _add(f"{at}/v3/<standard,pro,4k>/image-to-video", three | audio | {
        "start_image_url": NEED_URL, "end_image_url": URL, "elements": many(element), "shot_type": TEXT,
    }, one_prompt, **loud)
    _add(f"{at}/v3/turbo/<standard,pro>/text-to-video", free, one_prompt)    # no switch; no page says whether it has sound

    omni: Fields = shots | audio | {"shot_type": TEXT}
    looks: Fields = {"image_urls": many(URL, None, 4), "elements": many(element, None, 4)}
    ends: Fields = {"start_image_url": URL, "end_image_url": URL}
    quiet: dict[str, Any] = {"sound": ("generate_audio", False)}
    _add(f"{at}/o3/<standard,pro,4k>/text-to-video", omni | {"aspect_ratio": THREE_RATIOS}, one_prompt, **quiet)
    _add(f"{at}/o3/<standard,pro,4k>/image-to-video", omni | {"image_url": NEED_URL, "end_image_url": URL}, one_prompt, **quiet)
    _add(f"{at}/o3/<standard,pro,4k>/reference-to-video", omni | looks | ends | {"aspect_ratio": THREE_RATIOS}, one_prompt,
         together("end_image_url", "start_image_url"), **quiet)
    edit: Fields = {"prompt": PROMPT, "video_url": NEED_URL, "image_urls": many(URL, None, 4), "elements": drawn,
    "keep_audio": FLAG}
    kept = {"sound": ("keep_audio", True)}
    _add(f"{at}/o3/<standard,pro>/video-to-video/edit", edit | {"shot_type": TEXT}, **kept)
    _add(f"{at}/o3/<standard,pro>/video-to-video/reference",
         edit | {"shot_type": TEXT, "aspect_ratio": AUTO_RATIOS, "duration": span(3, 15)}, **kept)

    first: Fields = {"prompt": PROMPT, "duration": span(3, 10)}
    lost: dict[str, Any] = {"sound": ("keep_audio", False)}
    _add(f"{at}/<o1,o1/standard>/image-to-video", first | {"start_image_url": NEED_URL, "end_image_url": URL})
    _add(f"{at}/<o1,o1/standard>/reference-to-video",
         first | {"aspect_ratio": THREE_RATIOS, "image_urls": many(URL, None, 7), "elements": replace(drawn, most=7)})
    _add(f"{at}/<o1,o1/standard>/video-to-video/edit", edit, **lost)
    _add(f"{at}/<o1,o1/standard>/video-to-video/reference", edit | first | {"aspect_ratio": AUTO_RATIOS}, **lost)

    four: Fields = {"prompt": PROMPT, "duration": span(3, 30), "resolution": HD}
    wide = one("21:9", "16:9", "4:3", "1:1", "3:4", "9:16")
    _add("kling/v4/text-to-video", four | {"aspect_ratio": wide}, sound=True)
    _add("kling/v4/image-to-video", four | {"start_image_url": NEED_URL, "end_image_url": URL}, sound=True)
    _add("kling/v4/reference-to-video", four | looks | {"aspect_ratio": wide, "video_urls": many(URL)}, sound=True)
    _add("kling/v4/video-to-video/edit", looks | {"prompt": PROMPT, "video_url": NEED_URL, "resolution": HD}, sound=True)


def _wan() -> None:
    safe: Fields = {"enable_safety_checker": FLAG, "seed": SEED}
    grown: Fields = safe | {"enable_prompt_expansion": FLAG}
    three: Fields = grown | {
        "prompt": PROMPT, "resolution": SIZES, "duration": Check("integer", least=2, most=30, nullable=True), "audio": FLAG,
        "enable_thinking": FLAG,
    }
    ratios = one("adaptive", "16:9", "4:3", "1:1", "3:4", "9:16")
    told: dict[str, Any] = {"sound": ("audio", True), "gives": ("seed", "duration", "actual_prompt")}
    _add("alibaba/<wan-3.0,wan-3.0-prime>/text-to-video", three | {"aspect_ratio": ratios}, **told)
    _add("alibaba/<wan-3.0,wan-3.0-prime>/image-to-video", three | {"start_image_url": NEED_URL, "end_image_url": URL}, **told)
    _add("alibaba/<wan-3.0,wan-3.0-prime>/reference-to-video", three | {
        "aspect_ratio": ratios, "image_urls": many(URL, None, 10), "video_urls": many(URL, None, 5),
        "audio_urls": many(URL, None, 5),
    }, **told)

    base: Fields = {"resolution": HD, "negative_prompt": Check(most=500, nullable=True)}
    seven: Fields = base | grown | {"duration": one(*range(2, 16)), "audio_url": URL}
    long = Check(required=True, least=1, most=5000)
    seeded: dict[str, Any] = {"sound": True, "gives": ("seed", "actual_prompt")}
    _add("fal-ai/wan/v2.7/text-to-video", seven | {"prompt": long, "aspect_ratio": FIVE_RATIOS}, **seeded)
    _add("fal-ai/wan/v2.7/image-to-video", seven | {
        "prompt": replace(TEXT, most=5000), "image_url": URL, "end_image_url": URL, "video_url": URL,
    }, either("image_url", "video_url"), **seeded)
    _add("fal-ai/wan/v2.7/reference-to-video", base | safe | {
        "prompt": long, "duration": one(*range(2, 11)), "aspect_ratio": FIVE_RATIOS, "multi_shots": FLAG,
        "reference_image_urls": many(URL), "reference_video_urls": many(URL),
    }, **seeded)
    _add("fal-ai/wan/v2.7/edit-video", safe | {
        "prompt": PROMPT, "video_url": NEED_URL, "reference_image_url": URL, "resolution": HD, "aspect_ratio": FIVE_RATIOS,
        "duration": one(0, *range(2, 11)), "audio_setting": one("auto", "origin"),
    }, **seeded)

    short = Check(required=True, least=1, most=800)
    six: Fields = base | grown | {"prompt": short, "duration": one("5", "10", "15"), "audio_url": URL, "multi_shots": FLAG}
    _add("wan/v2.6/text-to-video", six | {"aspect_ratio": FIVE_RATIOS}, **seeded)
    _add("wan/v2.6/image-to-video<,/flash>", six | {"image_url": NEED_URL}, **seeded)
    shown: Fields = base | grown | {"prompt": PROMPT, "duration": FIVE_OR_TEN, "aspect_ratio": FIVE_RATIOS, "multi_shots": FLAG}
    _add("wan/v2.6/reference-to-video", shown | {"video_urls": need(many(URL, 1, 3))}, **seeded)
    _add("wan/v2.6/reference-to-video/flash", shown | {
        "video_urls": many(URL, None, 3), "image_urls": many(URL, None, 5), "enable_audio": FLAG,
    }, sound=("enable_audio", True), gives=("seed", "actual_prompt"))
    five: Fields = base | grown | {"prompt": short, "resolution": SIZES, "duration": FIVE_OR_TEN, "audio_url": URL}
    _add("fal-ai/wan-25-preview/text-to-video", five | {"aspect_ratio": THREE_RATIOS}, **seeded)
    _add("fal-ai/wan-25-preview/image-to-video", five | {"image_url": NEED_URL}, **seeded)


def _open_wan() -> None:
    written: Fields = {
        "prompt": PROMPT, "seed": SEED, "enable_safety_checker": FLAG, "enable_output_safety_checker": FLAG,
        "enable_prompt_expansion": FLAG,
        "video_quality": one("low", "medium", "high", "maximum"), "video_write_mode": one("fast", "balanced", "small"),
    }
    sampled: Fields = written | {
        "negative_prompt": TEXT, "num_frames": Check("integer", least=17, most=161), "num_inference_steps": COUNT,
        "frames_per_second": Check("integer", least=4, most=60, nullable=True), "guidance_scale": REAL,
        "shift": Check("number", least=1, most=10), "interpolator_model": one("none", "film", "rife"),
        "num_interpolated_frames": Check("integer", least=0, most=4), "adjust_fps_for_interpolation": FLAG,
    }
    turbo: Fields = written | {"resolution": one("480p", "580p", "720p"), "acceleration": one("none", "regular")}
    big: Fields = sampled | turbo | {"guidance_scale_2": REAL}
    weight: Fields = {"path": PROMPT, "scale": REAL, "transformer": one("high", "low", "both"), "weight_name": TEXT}
    loras: Fields = {"loras": many(Check("object", fields=weight)), "reverse_video": FLAG}
    start: Fields = {"image_url": NEED_URL, "end_image_url": URL, "aspect_ratio": AUTO_RATIOS}
    free: Fields = {"aspect_ratio": THREE_RATIOS}
    at = "fal-ai/wan/v2.2-a14b"
    told: dict[str, Any] = {"length": 81 / 16, "gives": ("seed", "prompt")}
    _add(f"{at}/text-to-video", big | free, **told)
    _add(f"{at}/text-to-video/lora", big | loras | free, **told)
    _add(f"{at}/text-to-video/turbo", turbo | free, **told)
    _add(f"{at}/image-to-video", big | start, **told)
    _add(f"{at}/image-to-video/lora", big | loras | start, **told)
    _add(f"{at}/image-to-video/turbo", turbo | start, **told)
    _add(f"{at}/video-to-video", big | {
        "video_url": NEED_URL, "strength": SHARE, "resample_fps": FLAG, "aspect_ratio": AUTO_RATIOS,
    }, **told)
    small: Fields = sampled | {"resolution": one("580p", "720p")}
    told = told | {"length": 81 / 24}
    _add("fal-ai/wan/v2.2-5b/text-to-video", small | free, **told)
    _add("fal-ai/wan/v2.2-5b/image-to-video", small | {"image_url": NEED_URL, "aspect_ratio": AUTO_RATIOS}, **told)


def _veo() -> None:
    two = one("16:9", "9:16")
    auto = one("auto", "16:9", "9:16")
    sharp = one("720p", "1080p", "4k")
    base: Fields = {
        "prompt": PROMPT, "generate_audio": FLAG, "auto_fix": FLAG, "safety_tolerance": one("1", "2", "3", "4", "5", "6"),
    }
    full: Fields = base | {"duration": one("4s", "6s", "8s"), "negative_prompt": TEXT, "seed": SEED}
    ends: Fields = {"first_frame_url": NEED_URL, "last_frame_url": NEED_URL, "aspect_ratio": auto}
    loud: dict[str, Any] = {"sound": ("generate_audio", True), "length": 8}
    for name, sizes in {"veo3": HD, "veo3/fast": HD, "veo3.1": sharp, "veo3.1/fast": sharp, "veo3.1/lite": HD}.items():
        size: Fields = {"resolution": sizes}
        _add(f"fal-ai/{name}", full | size | {"aspect_ratio": two}, **loud)
        _add(f"fal-ai/{name}/image-to-video", full | size | {"image_url": NEED_URL, "aspect_ratio": auto}, **loud)
        if name.startswith("veo3.1"):
            _add(f"fal-ai/{name}/first-last-frame-to-video", full | size | ends, **loud)
    _add("fal-ai/veo3.1/reference-to-video", base | {
        "duration": one("8s"), "image_urls": need(many(URL, 1)), "aspect_ratio": two, "resolution": sharp,
    }, **loud)
    _add("fal-ai/<veo3.1,veo3.1/fast>/extend-video", full | {
        "video_url": NEED_URL, "duration": one("7s"), "aspect_ratio": auto, "resolution": one("720p"),
    }, **loud | {"length": 7})


def _brief(body: dict[str, Any]) -> list[Problem]:
    plain = body.get("resolution", "1080p") == "1080p" and body.get("fps", 25) == 25
    duration = body.get("duration", 6)
    if plain or not isinstance(duration, int) or duration <= 10:
        return []
    return [Problem(("duration",), "rule", "longer than 10 needs 1080p at 25 frames per second", duration)]


def _ltx_and_pika() -> None:
    auto = one("auto", "16:9", "9:16")
    ltx: Fields = {
        "prompt": PROMPT, "duration": one(6, 8, 10), "resolution": one("1080p", "1440p", "2160p"), "fps": one(24, 25, 48, 50),
        "generate_audio": FLAG,
    }
    fast: Fields = ltx | {"duration": one(*range(6, 21, 2))}
    text: Fields = {"aspect_ratio": one("16:9", "9:16")}
    image: Fields = {"image_url": NEED_URL, "end_image_url": URL, "aspect_ratio": auto}
    loud: dict[str, Any] = {"sound": ("generate_audio", True), "length": 6}
    at = "fal-ai/ltx-2.3"
    _add(f"{at}/text-to-video", ltx | text, **loud)
    _add(f"{at}/text-to-video/fast", fast | text, _brief, **loud)
    _add(f"{at}/image-to-video", ltx | image, **loud)
    _add(f"{at}/image-to-video/fast", fast | image, _brief, **loud)
    part = Check("number", least=1, most=20)
    _add(f"{at}/extend-video", {
        "prompt": TEXT, "video_url": NEED_URL, "duration": part, "mode": one("start", "end"), "context": part,
    }, sound=True)
    _add(f"{at}/retake-video", {
        "prompt": PROMPT, "video_url": NEED_URL, "start_time": Check("number", least=0), "duration": part,
        "retake_mode": one("replace_audio", "replace_video", "replace_audio_and_video"),
    }, sound=True)
    _add(f"{at}/audio-to-video", {
        "audio_url": NEED_URL, "image_url": URL, "prompt": TEXT, "guidance_scale": REAL, "aspect_ratio": auto,
    }, sound=True)

    pika: Fields = {"prompt": PROMPT, "negative_prompt": TEXT, "resolution": HD, "seed": SEED}
    seven = one("16:9", "9:16", "1:1", "4:5", "5:4", "3:2", "2:3")
    _add("fal-ai/pika/v2.2/text-to-video", pika | {"duration": FIVE_OR_TEN, "aspect_ratio": seven})
    _add("fal-ai/pika/v2.2/image-to-video", pika | {"duration": FIVE_OR_TEN, "image_url": NEED_URL})
    turn: Fields = {"prompt": TEXT, "duration": Check("integer", least=1, most=25)}
    _add("fal-ai/pika/v2.2/pikaframes", pika | {
        "prompt": TEXT, "image_urls": need(many(URL, 2, 5)), "transitions": many(Check("object", fields=turn)),
    })


def _seedance_and_hailuo() -> None:
    ratios = one("21:9", "16:9", "4:3", "1:1", "3:4", "9:16", "auto")
    base: Fields = {
        "prompt": PROMPT, "aspect_ratio": ratios, "resolution": SIZES, "camera_fixed": FLAG, "seed": SEED,
        "enable_safety_checker": FLAG,
    }
    first: Fields = {"image_url": NEED_URL}
    both: Fields = first | {"end_image_url": URL}
    seeded: dict[str, Any] = {"gives": ("seed",)}
    told: dict[str, Any] = seeded | {"sound": ("generate_audio", True)}
    old: Fields = base | {"duration": span(2, 12), "num_frames": COUNT}
    at = "fal-ai/bytedance/seedance"
    text: Fields = {"aspect_ratio": one("21:9", "16:9", "4:3", "1:1", "3:4", "9:16", "9:21")}
    _add(f"{at}/v1/<lite,pro,pro/fast>/text-to-video", old | text, **seeded)
    _add(f"{at}/v1/<lite,pro>/image-to-video", old | both, **seeded)
    _add(f"{at}/v1/pro/fast/image-to-video", old | first, **seeded)
    _add(f"{at}/v1/lite/reference-to-video", old | {
        "reference_image_urls": need(many(URL, 1)), "resolution": one("480p", "720p"),
    }, **seeded)
    heard: Fields = base | {"duration": span(4, 12), "generate_audio": FLAG}
    _add(f"{at}/v1.5/pro/text-to-video", heard, **told)
    _add(f"{at}/v1.5/pro/image-to-video", heard | both, **told)
    new: Fields = {
        "prompt": PROMPT, "aspect_ratio": ratios, "seed": SEED, "generate_audio": FLAG, "resolution": one("480p", "720p",
        "1080p", "4k"),
        "duration": one("auto", *map(str, range(4, 16))),
    }
    _add("bytedance/seedance-2.0/text-to-video", new, **told)
    _add("bytedance/seedance-2.0/image-to-video", new | both, **told)
    _add("bytedance/seedance-2.0/reference-to-video", new | {
        "image_urls": many(URL, None, 9), "video_urls": many(URL, None, 3), "audio_urls": many(URL, None, 3),
    }, **told)

    plain: Fields = {"prompt": PROMPT, "prompt_optimizer": FLAG}
    timed: Fields = plain | {"duration": one("6", "10")}
    six: dict[str, Any] = {"length": 6}
    at = "fal-ai/minimax"
    _add(f"{at}/<hailuo-02,hailuo-2.3>/pro/text-to-video", plain, **six)
    _add(f"{at}/<hailuo-02,hailuo-2.3>/standard/text-to-video", timed, **six)
    _add(f"{at}/hailuo-02/pro/image-to-video", plain | both, **six)
    _add(f"{at}/hailuo-02/standard/image-to-video", timed | both | {"resolution": one("512P", "768P")}, **six)
    _add(f"{at}/<hailuo-2.3,hailuo-2.3-fast>/pro/image-to-video", plain | first, **six)
    _add(f"{at}/<hailuo-02-fast,hailuo-2.3/standard,hailuo-2.3-fast/standard>/image-to-video", timed | first, **six)


_PRESETS = {
    "square_hd": (1024, 1024), "square": (512, 512), "portrait_4_3": (768, 1024), "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768), "landscape_16_9": (1024, 576),
}


def pixels(body: Mapping[str, Any]) -> tuple[int, int]:
    """(width, height) that an image endpoint was asked for; fal's default is landscape_4_3."""
    given = body.get("image_size", "landscape_4_3")
    if isinstance(given, dict):
        return given.get("width", 512), given.get("height", 512)
    return _PRESETS.get(given, (1024, 768))


def megapixels(body: Mapping[str, Any]) -> int:
    """What one image is billed as: rounded up."""
    width, height = pixels(body)
    return math.ceil(width * height / 1_000_000)


def _size(value: Any) -> str:
    if isinstance(value, str):
        return "" if value in _PRESETS else f"has to be one of {', '.join(_PRESETS)}, or an object"
    if not isinstance(value, dict) or set(value) - {"width", "height"}:
        return "has to be a preset, or an object of width and height"
    right = all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in value.values())
    return "" if right else "width and height have to be positive integers"


def _flux() -> None:
    base: Fields = {
        "prompt": PROMPT, "image_size": Check("any", rule=_size), "seed": SEED, "sync_mode": FLAG,
        "output_format": one("jpeg", "png"),
    }
    safe: Fields = base | {"enable_safety_checker": FLAG}
    tuned: Fields = {"num_inference_steps": COUNT, "guidance_scale": REAL}
    several: Fields = {"num_images": Check("integer", least=1, most=4)}
    speed: Fields = {"acceleration": one("none", "regular", "high")}
    strict: Fields = {"safety_tolerance": one("1", "2", "3", "4", "5")}
    judged: dict[str, Any] = {"makes": "images", "gives": ("seed", "has_nsfw_concepts", "timings", "prompt")}
    plain: dict[str, Any] = {"makes": "images", "gives": ("seed",)}
    _add("fal-ai/flux/<dev,schnell>", safe | tuned | several | speed, **judged)
    two: Fields = safe | several | {
        "enable_prompt_expansion": FLAG, "guidance_scale": REAL, "output_format": one("jpeg", "png", "webp"),
    }
    _add("fal-ai/flux-2", two | tuned | speed, **judged)
    _add("fal-ai/flux-2/<turbo,flash>", two, **judged)
    _add("fal-ai/<flux-2-pro,flux-2-max>", safe | strict, **plain)           # guidance and steps are refused
    _add("fal-ai/flux-2-flex", safe | strict | tuned, **plain)
    _add("fal-ai/flux-pro/v1.1", base | several | {
        "safety_tolerance": one("1", "2", "3", "4", "5", "6"), "enhance_prompt": FLAG,
    }, **judged)


for _family in (_older_kling, _newer_kling, _wan, _open_wan, _veo, _ltx_and_pika, _seedance_and_hailuo, _flux):
    _family()

_TEXT_AND_IMAGE = ("text-to-video", "image-to-video")
_AND_REFERENCE = (*_TEXT_AND_IMAGE, "reference-to-video")
_A_SECOND: dict[str, float] = {
    **{f"fal-ai/kling-video/v3/standard/{task}": 0.084 for task in _TEXT_AND_IMAGE},
    **{f"fal-ai/kling-video/v3/pro/{task}": 0.112 for task in _TEXT_AND_IMAGE},
    **{f"fal-ai/kling-video/v3/4k/{task}": 0.42 for task in _TEXT_AND_IMAGE},
    **{f"fal-ai/kling-video/o3/4k/{task}": 0.42 for task in _AND_REFERENCE},
    **{f"fal-ai/kling-video/o3/standard/{task}": 0.084 for task in _AND_REFERENCE},
    **{f"fal-ai/kling-video/v2.5-turbo/pro/{task}": 0.07 for task in _TEXT_AND_IMAGE},
    "fal-ai/kling-video/v3/turbo/pro/text-to-video": 0.14, "fal-ai/kling-video/v3/pro/motion-control": 0.168,
    "fal-ai/kling-video/v2.1/standard/image-to-video": 0.05, "fal-ai/kling-video/o3/pro/video-to-video/edit": 0.336,
    "fal-ai/kling-video/ai-avatar/v2/pro": 0.115, "fal-ai/kling-video/lipsync/audio-to-video": 0.014,
    **{f"kling/v4/{task}": 0.157 for task in _AND_REFERENCE},
    **{f"alibaba/wan-3.0/{task}": 0.05 for task in _AND_REFERENCE},
    **{f"fal-ai/wan/v2.7/{task}": 0.1 for task in _AND_REFERENCE},
    **{f"fal-ai/veo3.1{task}": 0.2 for task in ("", "/image-to-video", "/first-last-frame-to-video", "/reference-to-video")},
    **{f"fal-ai/veo3.1/fast{task}": 0.1 for task in ("", "/image-to-video", "/first-last-frame-to-video")},
    "fal-ai/ltx-2.3/text-to-video": 0.08, "fal-ai/ltx-2.3/text-to-video/fast": 0.04, "fal-ai/ltx-2.3/image-to-video": 0.06,
}
PRICES: dict[str, tuple[float, str]] = {
    **{endpoint: (price, "seconds") for endpoint, price in _A_SECOND.items()},
    **{f"fal-ai/wan/v2.2-a14b/{task}/turbo": (0.05, "videos") for task in _TEXT_AND_IMAGE},
    "fal-ai/flux/schnell": (0.003, "megapixels"), "fal-ai/flux/dev": (0.025, "megapixels"),
    "fal-ai/flux-2-pro": (0.03, "megapixels"), "fal-ai/flux-2-flex": (0.05, "megapixels"),
}
"""(USD, unit) as the pricing API gives it: one figure an endpoint, without what sound or a larger picture costs more."""
# fmt: on
