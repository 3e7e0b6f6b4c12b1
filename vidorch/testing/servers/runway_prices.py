"""What a task of the Runway API costs, in credits: a credit is 0.01 USD.

Copies of the pricing guide of docs.dev.runwayml.com, the newest of 2026-09-25. The models in `STAND_INS` have no public price
that was found: theirs are what Kling or fal ask for the same, or a guess, to have any at all. Unconfirmed besides:
gemini_omni_flash_1.1 at sizes other than 720p (Google's own prices), wan3_prime at 1080p, the length where none is asked for,
whether Kling 3 sounds unless it is told to, and the surcharge above 4 megapixels, which is left out.
"""

from __future__ import annotations

import math
from typing import Any

from vidorch.testing.servers.runway_models import MODELS

__all__ = ["STAND_INS", "credits_of", "seconds_of"]

STAND_INS = frozenset({
    "kling2.5_turbo_pro", "kling3.0_standard", "kling3.0_pro", "kling3.0_4k", "klingO3_standard", "klingO3_pro", "klingO3_4k",
    "kling_4", "grok_imagine_1_5_lite", "magnific_video_upscaler_creative", "enhance_frame_rate", "gen4_image",
    "gen4_image_turbo", "gemini_2.5_flash",
})  # fmt: skip
"""Models whose price here is nobody's word."""
_RATES: dict[str, dict[str, float]] = {
    "gen4.5": {"": 12}, "gen4_turbo": {"": 5}, "act_two": {"": 5}, "aleph2": {"": 28},
    "veo3.1": {"sound": 40, "": 20}, "veo3.1_fast": {"sound": 15, "": 10},
    "kling2.5_turbo_pro": {"": 7}, "kling_4": {"720p": 15.7, "": 23.5},
    "kling3.0_standard": {"sound": 12.6, "": 8.4}, "kling3.0_pro": {"sound": 16.8, "": 11.2}, "kling3.0_4k": {"": 42},
    "klingO3_standard": {"sound": 11.2, "": 8.4}, "klingO3_pro": {"sound": 14, "": 11.2}, "klingO3_4k": {"": 42},
    "seedance2": {"480p": 36, "720p": 36, "1080p": 40, "": 150}, "seedance2_fast": {"": 29}, "seedance2_mini": {"": 16},
    "seedance2_5": {"480p": 20, "720p": 30, "": 68},
    "gemini_omni_flash": {"": 10}, "gemini_omni_flash_1.1": {"360p": 3, "720p": 10, "1080p": 15, "": 30},
    "wan3": {"480p": 5, "720p": 10, "": 20}, "wan3_prime": {"480p": 5, "720p": 8, "": 16},
    "hailuo3": {"768p": 10, "": 15}, "h3_max": {"480p": 5, "": 8}, "happyhorse_1_0": {"720p": 15, "": 30},
    "grok_imagine_1_5": {"480p": 10, "720p": 16, "": 29}, "grok_imagine_1_5_lite": {"480p": 5, "720p": 8, "": 14},
    "magnific_video_upscaler_creative": {"": 10}, "enhance_frame_rate": {"": 2},
}  # fmt: skip
"""Credits a second, by sound or by size; under "" what is left."""
_IMAGES = {"gen4_image": 8, "gen4_image_turbo": 2, "gemini_2.5_flash": 5}
_LEAST = {"seedance2_mini": 64, "seedance2_5": 80, "aleph2": 56}
_A_REFERENCE = {"gemini_omni_flash": 1, "gemini_omni_flash_1.1": 1, "hailuo3": 2, "grok_imagine_1_5": 1}
_LONGEST = {
    "seedance2": 15,
    "seedance2_fast": 15,
    "seedance2_mini": 15,
    "seedance2_5": 30,
    "gemini_omni_flash_1.1": 10,
}
_SILENT_UNLESS_ASKED = ("kling3.0", "klingO3")


def seconds_of(endpoint: str, body: dict[str, Any], source: float) -> float | None:
    """How long the clip will be; None where the model chooses.

    Args:
        source: seconds of a video that is changed, where the result is as long.
    """
    model, shots = body["model"], body.get("providerSettings", {}).get("multiPrompt", ())
    if endpoint not in ("text_to_video", "image_to_video") and "duration" not in MODELS[endpoint][model]:
        return source
    if shots:
        return float(sum(shot["duration"] for shot in shots))
    usual = {"veo3.1": 8, "veo3.1_fast": 8, "gen4_turbo": 10}.get(model, 5)
    seconds = body.get("duration", usual)
    return None if seconds == "auto" else float(seconds)


def credits_of(endpoint: str, body: dict[str, Any], seconds: float | None) -> float:
    """What it costs; of a clip whose length the model chooses, the most that it can."""
    model = body["model"]
    if endpoint == "text_to_image":
        small = model == "gen4_image" and _tier(body) in ("480p", "720p")
        return 5 if small else _IMAGES[model]
    rates = _RATES[model]
    sounds = body.get("audio", not model.startswith(_SILENT_UNLESS_ASKED))
    tier = "480p" if body.get("draft") else "1080p" if "draftTaskId" in body else _tier(body)
    rate = rates["sound"] if "sound" in rates and sounds else rates.get(tier, rates[""])
    output = body.get("outputFormat", "mp4")
    if model in ("gen4.5", "aleph2") and output != "mp4":
        rate += 5 if output in ("prores", "png_sequence") else 20
    whole = rate * (_LONGEST[model] if seconds is None else seconds)
    for name in ("references", "promptImage"):
        images = body.get(name)
        if model in _A_REFERENCE and isinstance(images, list):
            whole += _A_REFERENCE[model] * sum("position" not in item for item in images)
    return math.ceil(max(whole, _LEAST.get(model, 0)) * 100 - 1e-6) / 100


def _tier(body: dict[str, Any]) -> str:
    said = str(body.get("resolution") or body.get("ratio") or "").lower().removeprefix("auto_")
    if said.endswith(("p", "k")):
        return said
    width, _, height = said.partition(":")
    pixels = int(width) * int(height) if width.isdigit() else 0
    if pixels < 1000:  # a shape, or nothing
        return "768p" if body["model"] in ("hailuo3", "h3_max") else "720p"
    limits = ((250_000, "360p"), (650_000, "480p"), (1_500_000, "720p"), (4_500_000, "1080p"))
    return next((name for limit, name in limits if pixels <= limit), "4k")
