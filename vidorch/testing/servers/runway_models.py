"""What each model of the Runway API takes.

Fields, sizes and literals: the types of the runwayml 5.24.0 package (2026-10-23). Of the image models only three are here.

Unconfirmed, and so taken as widely as it could be: lengths of kling, wan3 and grok models, gen4_turbo (5 and 10, or 2 to 10),
how many references a model takes where the package does not say, and limits of prompts that it does not name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vidorch.testing.servers.checks import Check, problems

__all__ = ["MODELS", "media_of", "rule_of"]

_WIDE = ("1280:720", "720:1280")
_GEN4 = (*_WIDE, "1104:832", "960:960", "832:1104", "1584:672")
_VEO = (*_WIDE, "1080:1920", "1920:1080")
_STANDARD = (*_WIDE, "960:960")
_PRO = ("1920:1080", "1080:1920", "1440:1440")
_4K = ("3840:2160", "2160:3840", "2880:2880")
_SEEDANCE_480 = ("992:432", "864:496", "752:560", "640:640", "560:752", "496:864")
_SEEDANCE_720 = ("1470:630", "1280:720", "1112:834", "960:960", "834:1112", "720:1280")
_SEEDANCE_1080 = ("2206:946", "1920:1080", "1664:1248", "1440:1440", "1248:1664", "1080:1920")
_SEEDANCE_4K = ("3840:1646", "3840:2160", "3840:2880", "3840:3840", "2880:3840", "2160:3840")
_SEEDANCE_25 = (
    "992:432",
    "854:480",
    "752:560",
    "640:640",
    "560:752",
    "480:854",
    *_SEEDANCE_720,
    *_SEEDANCE_1080,
)
_OMNI = ("640:360", "360:640", *_WIDE, "1920:1080", "1080:1920", "3840:2160", "2160:3840")
_AUTO = ("auto_480p", "auto_720p", "auto_1080p")
_WAN = (
    "832:480", "720:544", "624:624", "544:720", "480:832", "1280:720", "1104:832", "960:960", "832:1104", "720:1280",
    "1920:1080", "1648:1248", "1440:1440", "1248:1648", "1080:1920", *_AUTO,
)  # fmt: skip
_HORSE = (
    *_WIDE, "960:960", "1108:832", "832:1108", "1920:1080", "1080:1920", "1440:1440", "1662:1248", "1248:1662",
)  # fmt: skip
_LITE = (
    "848:480", "480:848", "480:480", "640:480", "480:640", "720:480", "480:720", *_WIDE, "720:720", "960:720", "720:960",
    "1088:720", "720:1088", "1904:1072", "1072:1904", "1424:1424", "1648:1232", "1232:1648", "1744:1152", "1152:1744",
)  # fmt: skip
_KLING_4 = (*_WIDE, "940:940", "1460:624", "1920:1080", "1080:1920", "1440:1440", "2200:940", *_AUTO[1:])
_SHAPES = ("adaptive", "21:9", "16:9", "4:3", "1:1", "3:4", "9:16")
_GEN4_IMAGE = (
    "1024:1024", "1080:1080", "1168:880", "1360:768", "1440:1080", "1080:1440", "1808:768", "1920:1080", "1080:1920",
    "2112:912", "1280:720", "720:1280", "720:720", "960:720", "720:960", "1680:720",
)  # fmt: skip
_GEMINI_IMAGE = (
    "1344:768", "768:1344", "1024:1024", "1184:864", "864:1184", "1536:672", "832:1248", "1248:832", "896:1152", "1152:896",
)  # fmt: skip
_FORMATS = (
    "mp4", "prores", "png_sequence", "hdr10", "hlg", "sdr_rec709_10bit", "hdr_pq_12bit_master", "hdr_prores", "hdr_png_sequence",
    "hdr_exr_sequence", "hdr_exr_acescg_sequence_1_3", "hdr_exr_acescg_sequence_2_0",
)  # fmt: skip
_PROFILES = ("422", "4444", "422 Proxy", "422 LT", "422 HQ", "4444 XQ")


def _text(most: int | None = None, *, required: bool = True) -> Check:
    """A prompt that is not empty, of at most so many UTF-16 code units."""

    def rule(value: str) -> str:
        units = len(value.encode("utf-16-le", "surrogatepass")) // 2
        return (
            ""
            if most is None or units <= most
            else f"has to be at most {most} UTF-16 code units, not {units}"
        )

    return Check(required=required, least=1, rule=rule)


def _choice(*choices: str | int, required: bool = False) -> Check:
    return Check("integer" if isinstance(choices[0], int) else "string", required=required, choices=choices)


def _whole(least: int, most: int, *, required: bool = False) -> Check:
    return Check("integer", required=required, least=least, most=most)


def _or_auto(least: int, most: int) -> Check:
    """Whole seconds, or "auto"."""

    def rule(value: Any) -> str:
        fits = value == "auto" or (type(value) is int and least <= value <= most)
        return "" if fits else f'has to be a whole number from {least} to {most}, or "auto"'

    return Check("any", rule=rule)


def _images(
    *positions: str, most: int, placed: bool = True, mixed: bool = False, required: bool = True
) -> Check:
    """A URI, or images that say where they stand.

    Args:
        positions: that there are. placed: each has to say its own; else those that say none are references.
        mixed: whether frames and references go together.
    """
    fields = {"uri": Check(required=True), "position": Check(required=placed, choices=positions)}

    def rule(value: Any) -> str:
        if isinstance(value, str):
            return ""
        if not isinstance(value, list) or not 0 < len(value) <= most:
            return f"has to be a URI or a list of 1 to {most} images"
        for index, item in enumerate(value):
            for found in problems(item, fields, where=(index,)):
                return f"{found.dotted} {found.message}"
        given = [item.get("position") for item in value]
        if not mixed and None in given and any(given):
            return "cannot mix keyframes and reference images"
        if any(given.count(position) > 1 for position in ("first", "last")):
            return "has one position twice"
        return "has a last frame but no first one" if "last" in given and "first" not in given else ""

    return Check("any", required=required, rule=rule)


def _list(kind: str, most: int, *, required: bool = False) -> Check:
    """References: images are `{uri}`, the others say their type besides."""
    fields = {"uri": Check(required=True)}
    if kind != "image":
        fields = {"type": _choice(kind, required=True), **fields}
    return Check(
        "list",
        required=required,
        least=1 if required else None,
        most=most,
        items=Check("object", fields=fields),
    )


def _shots(*, sound: bool = False) -> Check:
    """Kling's shots, 3 to 15 seconds together."""
    shot = Check(
        "object", fields={"prompt": Check(required=True, least=1), "duration": _whole(1, 15, required=True)}
    )

    def rule(value: dict[str, Any]) -> str:
        total = sum(one["duration"] for one in value.get("multiPrompt", ()))
        return (
            ""
            if not value.get("multiPrompt") or 3 <= total <= 15
            else f"has shots of {total} seconds together, not 3 to 15"
        )

    fields = {"multiPrompt": Check("list", items=shot), "shotType": _choice("intelligence", "customize")}
    return Check(
        "object", fields=fields | ({"keepOriginalSound": Check("boolean")} if sound else {}), rule=rule
    )


def _keyframe(value: Any) -> str:
    window = Check(
        "object",
        fields={
            "start_seconds": _whole(0, 3600, required=True),
            "end_seconds": _whole(0, 3600, required=True),
        },
    )
    fields = {"uri": Check(required=True), "range": window}
    moment = {"at": Check("number", required=True, least=0, most=1)}
    if isinstance(value, dict) and "seconds" in value:
        moment = {"seconds": Check("number", required=True, least=0)}
    return next((f"{found.dotted} {found.message}" for found in problems(value, fields | moment)), "")


_SEED = _whole(0, 2**32 - 1)
_SOUND = Check("boolean")
_NEGATIVE = Check(least=1)
_SCALE = Check("number", least=0, most=1)
_MODERATION = Check("object", fields={"publicFigureThreshold": _choice("auto", "low")})
_FIRST = _images("first", most=1)
_ENDS = _images("first", "last", most=2)
_TAGGED = {"uri": Check(required=True), "tag": Check(least=3, most=16)}
_VIDEO = {"type": _choice("video", required=True), "uri": Check(required=True)}


def _ratio(choices: tuple[str, ...], *, required: bool = False) -> dict[str, Check]:
    return {"ratio": _choice(*choices, required=required)}


def _gen45(ratios: tuple[str, ...]) -> dict[str, Check]:
    return {
        "promptText": _text(1000), "duration": _whole(2, 10, required=True), **_ratio(ratios, required=True), "seed": _SEED,
        "contentModeration": _MODERATION, "outputFormat": _choice(*_FORMATS), "proresProfile": _choice(*_PROFILES),
    }  # fmt: skip


def _veo(*, prompt: bool) -> dict[str, Check]:
    return {
        "promptText": _text(1000, required=prompt), **_ratio(_VEO, required=True), "audio": _SOUND, "duration": _choice(4, 6, 8),
        "negativePrompt": _NEGATIVE, "seed": _SEED,
    }  # fmt: skip


def _kling3(ratios: tuple[str, ...], *, ratio: bool, scale: bool) -> dict[str, Check]:
    more = {"cfgScale": _SCALE} if scale else {}
    return {
        "promptText": _text(required=False), **_ratio(ratios, required=ratio), "audio": _SOUND, "duration": _whole(3, 15),
        "providerSettings": _shots(), **more,
    }  # fmt: skip


def _seedance2(ratios: tuple[str, ...], *, prompt: bool, references: bool) -> dict[str, Check]:
    more = {"references": _list("image", 9), "referenceVideos": _list("video", 9)} if references else {}
    return {
        "promptText": _text(3500, required=prompt), "audio": _SOUND, "duration": _or_auto(4, 15), **_ratio(ratios),
        "referenceAudio": _list("audio", 9), "seed": _SEED, **more,
    }  # fmt: skip


def _seedance25(*, references: bool) -> dict[str, Check]:
    more = {"references": _list("image", 30), "referenceVideos": _list("video", 30)} if references else {}
    return {
        "promptText": _text(15_000, required=False), "audio": _SOUND, "draft": Check("boolean"), "duration": _or_auto(4, 30),
        "outputFormat": _choice("mp4", "mov"), **_ratio(_SEEDANCE_25), "referenceAudio": _list("audio", 30), "seed": _SEED,
        **more,
    }  # fmt: skip


def _hailuo(*, references: bool) -> dict[str, Check]:
    more = {"references": _list("image", 9), "referenceVideos": _list("video", 9)} if references else {}
    return {
        "promptText": _text(6000), "duration": _whole(5, 15), **_ratio(_SHAPES), "referenceAudio": _list("audio", 9),
        "resolution": _choice("768p", "2k", "768P", "2K"), **more,
    }  # fmt: skip


def _wan(*, references: bool) -> dict[str, Check]:
    more = (
        {"references": _list("image", 10)}
        if references
        else {"promptImage": _images("first", "last", most=10, placed=False)}
    )
    return {
        "promptText": _text(), "audio": _SOUND, "duration": _whole(2, 15), **_ratio(_WAN), "referenceAudio": _list("audio", 10),
        "referenceVideos": _list("video", 10), **more,
    }  # fmt: skip


def _h3_max() -> dict[str, Check]:
    return {
        "promptText": _text(), "duration": _whole(5, 15), "promptExpansionMode": _choice("disabled", "balanced", "quality"),
        "resolution": _choice("480p", "768p"), "seed": _SEED,
    }  # fmt: skip


_KLING_VIDEOS = Check(
    "list", most=5, items=Check("object", fields={"uri": Check(required=True), "type": _choice("video")})
)
_O3_IMAGES = _images("first", "last", most=7, placed=False, mixed=True, required=False)
_OMNI_VIDEOS = Check("list", most=3, items=Check("object", fields={"uri": Check(required=True)}))

_TEXT: dict[str, dict[str, Check]] = {
    "gen4.5": _gen45(_WIDE),
    "veo3.1": _veo(prompt=True),
    "veo3.1_fast": _veo(prompt=True),
    "kling2.5_turbo_pro": {
        "promptText": _text(), "cfgScale": _SCALE, "duration": _choice(5, 10),
        **_ratio(("1920:1080", "1440:1440", "1080:1920", "1280:720", "720:720", "720:1280")),
    },
    **{f"kling3.0_{name}": _kling3(ratios, ratio=True, scale=True) for name, ratios in
       (("standard", _STANDARD), ("pro", _PRO), ("4k", _4K))},
    **{f"klingO3_{name}": _kling3(ratios, ratio=True, scale=False) for name, ratios in
       (("standard", _STANDARD), ("pro", _PRO), ("4k", _4K))},
    "kling_4": {
        "promptText": _text(), "duration": _whole(3, 30), **_ratio(_KLING_4), "references": _list("image", 10),
        "referenceVideos": _KLING_VIDEOS,
    },
    "seedance2": _seedance2((*_SEEDANCE_480, *_SEEDANCE_720, *_SEEDANCE_1080, *_SEEDANCE_4K), prompt=True, references=True),
    "seedance2_fast": _seedance2((*_SEEDANCE_480, *_SEEDANCE_720), prompt=True, references=True),
    "seedance2_mini": _seedance2((*_SEEDANCE_480, *_SEEDANCE_720), prompt=True, references=True),
    "seedance2_5": _seedance25(references=True) | {"draftTaskId": Check(least=1)},
    "gemini_omni_flash": {"promptText": _text(), "duration": _whole(3, 10), **_ratio(_WIDE)},
    "gemini_omni_flash_1.1": {
        "promptText": _text(), "duration": _or_auto(3, 10), **_ratio(_OMNI), "references": _list("image", 3),
        "referenceVideos": _OMNI_VIDEOS,
    },
    "wan3": _wan(references=True),
    "wan3_prime": _wan(references=True),
    "hailuo3": _hailuo(references=True),
    "h3_max": _h3_max(),
    "happyhorse_1_0": {"promptText": _text(2500), "duration": _whole(3, 15), **_ratio(_HORSE)},
    "grok_imagine_1_5": {
        "promptText": _text(), "duration": _whole(1, 15), **_ratio(("1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3")),
        "referenceAudio": _list("audio", 7), "references": _list("image", 7), "resolution": _choice("480p", "720p", "1080p"),
    },
    "grok_imagine_1_5_lite": {"promptText": _text(), "duration": _whole(1, 15), **_ratio(_LITE)},
}  # fmt: skip
_IMAGE: dict[str, dict[str, Check]] = {
    "gen4.5": _gen45(_GEN4) | {"promptImage": _FIRST},
    "gen4_turbo": {
        "promptImage": _FIRST, "promptText": _text(1000, required=False), **_ratio(_GEN4, required=True),
        "duration": _whole(2, 10), "seed": _SEED, "contentModeration": _MODERATION,
    },
    "veo3.1": _veo(prompt=False) | {"promptImage": _ENDS},
    "veo3.1_fast": _veo(prompt=False) | {"promptImage": _ENDS},
    "kling2.5_turbo_pro": {"promptImage": _ENDS, "promptText": _text(), "cfgScale": _SCALE, "duration": _choice(5, 10)},
    **{f"kling3.0_{name}": _kling3(ratios, ratio=False, scale=True) | {"promptImage": _ENDS} for name, ratios in
       (("standard", _STANDARD), ("pro", _PRO), ("4k", _4K))},
    **{f"klingO3_{name}": _kling3(ratios, ratio=False, scale=False) | {"promptImage": _ENDS, "references": _O3_IMAGES}
       for name, ratios in (("standard", _STANDARD), ("pro", _PRO), ("4k", _4K))},
    "kling_4": {
        "promptImage": _images("first", "middle", "last", most=10), "promptText": _text(required=False),
        "duration": _whole(3, 30), **_ratio(_AUTO[1:]), "references": _list("image", 10), "referenceVideos": _KLING_VIDEOS,
    },
    **{name: _seedance2(ratios, prompt=False, references=False) | {"promptImage": _images("first", "last", most=9, placed=False)}
       for name, ratios in (("seedance2", (*_SEEDANCE_480, *_SEEDANCE_720, *_SEEDANCE_1080, *_SEEDANCE_4K)),
                            ("seedance2_fast", (*_SEEDANCE_480, *_SEEDANCE_720)),
                            ("seedance2_mini", (*_SEEDANCE_480, *_SEEDANCE_720)))},
    "seedance2_5": _seedance25(references=False) | {"promptImage": _images("first", "last", most=30, placed=False)},
    "gemini_omni_flash": {
        "promptImage": _FIRST, "promptText": _text(required=False), "duration": _whole(3, 10), **_ratio(_WIDE),
    },
    "gemini_omni_flash_1.1": {"promptImage": _ENDS, "promptText": _text(), "duration": _or_auto(3, 10), **_ratio(_OMNI)},
    "wan3": _wan(references=False),
    "wan3_prime": _wan(references=False),
    "hailuo3": _hailuo(references=False) | {"promptImage": _images("first", "last", most=9, placed=False)},
    "h3_max": _h3_max() | {"promptImage": _ENDS},
    "happyhorse_1_0": {
        "promptImage": _FIRST, "promptText": _text(2500, required=False), "duration": _whole(3, 15),
        "resolution": _choice("720p", "1080p", "720P", "1080P"),
    },
    "grok_imagine_1_5": {
        "promptImage": _FIRST, "promptText": _text(required=False), "duration": _whole(1, 15),
        "resolution": _choice("480p", "720p", "1080p"),
    },
    "grok_imagine_1_5_lite": {
        "promptImage": _FIRST, "promptText": _text(required=False), "duration": _whole(1, 15), **_ratio(_AUTO),
    },
}  # fmt: skip
_PROMPT_VIDEO = {"promptVideo": Check(required=True)}
_VIDEO_URI = {"videoUri": Check(required=True)}
_MODE = {"mode": _choice("reference", "extend", "edit")}
_EDIT: dict[str, dict[str, Check]] = {
    "aleph2": {
        **_VIDEO_URI, "promptText": _text(1000, required=False), "contentModeration": _MODERATION, "seed": _SEED,
        "keyframes": Check("list", most=5, items=Check("any", rule=_keyframe)), "ratio": Check(),
        "outputFormat": _choice("mp4", "prores", "png_sequence", "sdr_rec709_10bit"), "proresProfile": _choice(*_PROFILES),
        "targetAspectRatio": _choice("16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "21:9"),
    },
    **{f"klingO3_{name}": {
        **_PROMPT_VIDEO, "promptText": _text(), "providerSettings": _shots(sound=True),
        "references": _images("first", "last", most=4, placed=False, mixed=True, required=False),
    } for name in ("standard", "pro", "4k")},
    "kling_4": {**_VIDEO_URI, "promptText": _text(), **_ratio(_AUTO[1:]), "references": _list("image", 10)},
    "seedance2": _seedance2((*_SEEDANCE_480, *_SEEDANCE_720, *_SEEDANCE_1080, *_SEEDANCE_4K), prompt=False, references=True)
    | _PROMPT_VIDEO,
    "seedance2_fast": _seedance2((*_SEEDANCE_480, *_SEEDANCE_720), prompt=False, references=True) | _PROMPT_VIDEO,
    "seedance2_mini": _seedance2((*_SEEDANCE_480, *_SEEDANCE_720), prompt=False, references=True) | _PROMPT_VIDEO,
    "seedance2_5": _seedance25(references=True) | _PROMPT_VIDEO | _MODE,
    "gemini_omni_flash": {**_VIDEO_URI, "promptText": _text(), "references": _list("image", 3)},
    "gemini_omni_flash_1.1": {
        **_VIDEO_URI, "promptText": _text(), "duration": _or_auto(3, 10), **_MODE, **_ratio(_OMNI),
        "references": _list("image", 3),
    },
    "hailuo3": _hailuo(references=True) | _PROMPT_VIDEO,
}  # fmt: skip
_CHARACTER = {"type": _choice("image", "video", required=True), "uri": Check(required=True)}

MODELS: Mapping[str, Mapping[str, Mapping[str, Check]]] = {
    "text_to_video": _TEXT,
    "image_to_video": _IMAGE,
    "video_to_video": _EDIT,
    "character_performance": {
        "act_two": {
            "character": Check("object", required=True, fields=_CHARACTER), "seed": _SEED, **_ratio(_GEN4),
            "reference": Check("object", required=True, fields=_VIDEO), "bodyControl": Check("boolean"),
            "expressionIntensity": _whole(1, 5), "contentModeration": _MODERATION,
        },
    },
    "video_upscale": {
        "magnific_video_upscaler_creative": {
            **_VIDEO_URI, "creativity": _whole(0, 100), "flavor": _choice("vivid", "natural"), "fpsBoost": Check("boolean"),
            "resolution": _choice("720p", "1k", "2k", "4k"), "sharpen": _whole(0, 100), "smartGrain": _whole(0, 100),
        },
        "enhance_frame_rate": {
            **_VIDEO_URI,
            "targetFramerate": _choice("24", "25", "30", "48", "50", "60", "120", "23_98", "29_97", "59_94", required=True),
        },
    },
    "text_to_image": {
        name: {
            "promptText": _text(1000), **_ratio(ratios, required=True), **more,
            "referenceImages": Check("list", required=name == "gen4_image_turbo", least=1, most=3,
                                     items=Check("object", fields=_TAGGED)),
        }
        for name, ratios, more in (
            ("gen4_image", _GEN4_IMAGE, {"seed": _SEED, "contentModeration": _MODERATION}),
            ("gen4_image_turbo", _GEN4_IMAGE, {"seed": _SEED, "contentModeration": _MODERATION}),
            ("gemini_2.5_flash", _GEMINI_IMAGE, {}),
        )
    },
}  # fmt: skip
"""Endpoint, model, field."""


def rule_of(endpoint: str, body: dict[str, Any]) -> tuple[str, str]:
    """What is wrong with fields together: (field, in words), or two empty texts."""
    model, output = body["model"], body.get("outputFormat", "mp4")
    if "proresProfile" in body and output not in ("prores", "hdr_prores"):
        return "proresProfile", "is only valid with a ProRes output"
    if output == "hdr_prores" and body.get("proresProfile", "422 HQ") not in ("422", "422 HQ", "4444"):
        return "proresProfile", "has to be one of 422, 422 HQ, 4444 for hdr_prores"
    if (
        model.startswith(("kling3.0", "klingO3"))
        and endpoint != "video_to_video"
        and "promptText" not in body
    ):
        settings = body.get("providerSettings", {})
        if not settings.get("multiPrompt") or settings.get("shotType") == "intelligence":
            return "promptText", "is required unless every shot has its own"
    if "draftTaskId" in body and set(body) - {"model", "draftTaskId"}:
        return "draftTaskId", "takes no other generation fields"
    if model == "seedance2_5":
        if endpoint == "text_to_video" and not {"promptText", "draftTaskId"} & set(body):
            return "promptText", "is required"
        if body.get("draft") and output != "mp4":
            return "outputFormat", "has to be mp4 in draft mode"
        if body.get("mode") in ("extend", "edit") and "promptText" not in body:
            return "promptText", "is required in this mode"
        if body.get("mode") in ("extend", "edit") and "ratio" in body:
            return "ratio", "may not be provided in this mode"
        if body.get("mode") == "edit" and body.get("duration") != "auto":
            return "duration", 'has to be "auto" in edit mode'
    guided = body.get("references") or body.get("referenceVideos")
    if endpoint == "text_to_video" and body.get("ratio") == "adaptive" and not guided:
        return "ratio", "has to be concrete for a request of text alone"
    if model == "grok_imagine_1_5" and body.get("referenceAudio") and not body.get("references"):
        return "referenceAudio", "requires at least one image reference"
    if model == "grok_imagine_1_5" and body.get("references") and body.get("resolution") == "1080p":
        return "resolution", "is at most 720p with image references"
    images = body.get("promptImage")
    placed = isinstance(images, str) or any(item.get("position") for item in images or ())
    if (
        model.startswith("wan3")
        and endpoint == "image_to_video"
        and placed
        and body.get("ratio", _AUTO[0]) not in _AUTO
    ):
        return "ratio", "has to be auto_480p, auto_720p or auto_1080p with keyframes"
    return "", ""


_MEDIA = {
    "promptImage": "image", "references": "image", "referenceImages": "image", "keyframes": "image", "promptVideo": "video",
    "videoUri": "video", "referenceVideos": "video", "reference": "video", "referenceAudio": "audio",
}  # fmt: skip


def media_of(body: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Every file that a body names: (where, URI, "image", "video" or "audio")."""
    for name, kind in (*_MEDIA.items(), ("character", "")):
        given = body.get(name)
        for index, item in enumerate(given if isinstance(given, list) else [given]):
            where = f"{name}.{index}" if isinstance(given, list) else name
            if isinstance(item, str):
                yield where, item, kind
            elif isinstance(item, dict):
                yield f"{where}.uri", item["uri"], kind or item["type"]
