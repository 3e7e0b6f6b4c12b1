"""Prices at fal and Replicate, worked out by hand from what their pages say: every row of the catalog has a case."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from vidorch.catalog import shipped
from vidorch.price import Priced, Range, price_of
from vidorch.request import Request
from vidorch.testing.clips import still_bytes

PICTURE = still_bytes((64, 36))
LOUD: dict[str, Any] = {"audio": True}
QUIET: dict[str, Any] = {"audio": False}
# offer, task, settings, seconds of the clip or (as text) of its source -> USD expected, and the most where that differs
CASES: list[tuple[str, str, dict[str, Any], float | str | None, str, str | None]] = [
    # 0.084 and 0.126 a second; moving as somebody does costs 0.126
    ("fal/kling-3.0-standard", "image-to-video", QUIET, 3, "0.252", None),
    ("fal/kling-3.0-standard", "text-to-video", LOUD, 15, "1.89", None),
    ("fal/kling-3.0-standard", "motion", QUIET, "12.5", "1.575", None),
    ("fal/kling-3.0-pro", "first-last-frame", QUIET, 10, "1.12", "2.24"),
    ("fal/kling-3.0-pro", "text-to-video", LOUD, 10, "1.68", "2.24"),
    ("fal/kling-3.0-pro", "motion", LOUD, "5", "0.84", None),
    ("fal/kling-3.0-4k", "image-to-video", LOUD, 5, "2.10", None),
    # 0.35 for 5 seconds
    ("fal/kling-2.5-turbo-pro", "text-to-video", QUIET, 10, "0.70", None),
    ("fal/kling-2.6-pro", "text-to-video", QUIET, 5, "0.35", "0.3675"),
    ("fal/kling-2.6-pro", "image-to-video", LOUD, 10, "1.40", "1.47"),
    ("fal/kling-3.0-turbo-pro", "text-to-video", LOUD, 5, "0.70", None),
    ("fal/kling-3.0-turbo-standard", "text-to-video", LOUD, 5, "0.56", "0.70"),
    ("fal/kling-3.0-omni-standard", "reference-to-video", QUIET, 5, "0.42", None),
    ("fal/kling-3.0-omni-standard", "text-to-video", LOUD, 5, "0.56", None),
    ("fal/kling-3.0-omni-4k", "text-to-video", QUIET, 5, "2.10", None),
    ("fal/kling-3.0-omni-pro", "text-to-video", QUIET, 5, "0.56", None),
    ("fal/kling-3.0-omni-pro", "image-to-video", LOUD, 5, "0.70", None),
    ("fal/kling-3.0-omni-pro", "edit", LOUD, "4.5", "1.512", None),  # 4.5 x 0.336
    ("fal/kling-4.0", "text-to-video", LOUD | {"resolution": "720p"}, 30, "4.71", None),  # 30 x 0.157
    ("fal/kling-4.0", "reference-to-video", LOUD | {"resolution": "1080p"}, 8, "1.88", None),  # 8 x 0.235
    ("fal/kling-4.0", "edit", LOUD | {"resolution": "720p"}, "6", "1.128", None),  # (6 + 6) x 0.094
    ("fal/kling-4.0", "edit", LOUD | {"resolution": "1080p"}, "3", "0.846", None),  # (3 + 3) x 0.141
    ("fal/kling-lipsync", "lipsync", LOUD, "5", "0.07", None),
    ("fal/kling-lipsync", "lipsync", LOUD, "2", "0.07", None),  # rounded up to 5 seconds of the source
    ("fal/kling-lipsync", "lipsync", LOUD, "5.1", "0.14", None),
    ("fal/kling-avatar-2-pro", "lipsync", LOUD, "12", "1.38", None),  # 12 x 0.115
    ("fal/kling-avatar-2-standard", "lipsync", LOUD, "12", "0.6744", None),
    ("replicate/kling-3.0-standard", "text-to-video", QUIET, 15, "1.26", None),
    ("replicate/kling-3.0-standard", "text-to-video", LOUD, 5, "0.63", None),
    ("replicate/kling-3.0-pro", "text-to-video", QUIET, 5, "0.56", "0.84"),  # another table: 0.168
    ("replicate/kling-3.0-pro", "text-to-video", LOUD, 5, "0.84", None),
    ("replicate/kling-2.5-turbo-pro", "first-last-frame", QUIET, 5, "0.35", None),
    ("replicate/kling-2.6-pro", "text-to-video", QUIET, 10, "0.70", None),
    ("replicate/kling-2.6-pro", "text-to-video", LOUD, 10, "1.40", None),
    ("replicate/kling-lipsync", "lipsync", LOUD, "7", "0.14", None),
    ("fal/veo-3.1", "text-to-video", QUIET | {"resolution": "720p"}, 8, "1.60", None),
    ("fal/veo-3.1", "text-to-video", LOUD | {"resolution": "1080p"}, 8, "3.20", None),
    ("fal/veo-3.1", "text-to-video", QUIET | {"resolution": "4k"}, 4, "1.60", None),
    ("fal/veo-3.1", "image-to-video", LOUD | {"resolution": "4k"}, 4, "2.40", None),
    ("fal/veo-3.1", "extend", QUIET | {"resolution": "720p"}, 7, "1.40", None),
    ("fal/veo-3.1", "extend", LOUD | {"resolution": "720p"}, 7, "2.80", None),
    ("fal/veo-3.1-fast", "text-to-video", QUIET | {"resolution": "1080p"}, 6, "0.60", None),
    ("fal/veo-3.1-fast", "text-to-video", LOUD | {"resolution": "720p"}, 6, "0.90", None),
    ("fal/veo-3.1-fast", "text-to-video", QUIET | {"resolution": "4k"}, 6, "1.80", None),
    ("fal/veo-3.1-fast", "text-to-video", LOUD | {"resolution": "4k"}, 6, "2.10", None),
    ("fal/veo-3.1-fast", "extend", QUIET | {"resolution": "720p"}, 7, "0.70", None),
    ("fal/veo-3.1-fast", "extend", LOUD | {"resolution": "720p"}, 7, "1.05", None),
    ("fal/veo-3.1-lite", "text-to-video", LOUD | {"resolution": "720p"}, 8, "0.40", None),
    ("fal/veo-3.1-lite", "text-to-video", QUIET | {"resolution": "1080p"}, 8, "0.64", None),
    ("replicate/veo-3.1", "reference-to-video", QUIET, 8, "1.60", None),
    ("replicate/veo-3.1", "text-to-video", LOUD, 4, "1.60", None),
    ("replicate/veo-3.1-fast", "text-to-video", QUIET, 8, "0.80", None),
    ("replicate/veo-3.1-fast", "text-to-video", LOUD, 8, "1.20", None),
    ("replicate/veo-3.1-lite", "text-to-video", QUIET | {"resolution": "720p"}, 4, "0.20", "0.32"),
    ("replicate/veo-3.1-lite", "text-to-video", LOUD | {"resolution": "1080p"}, 8, "0.64", None),
    ("fal/wan-3.0", "text-to-video", LOUD | {"resolution": "480p"}, 30, "1.50", None),
    ("fal/wan-3.0", "image-to-video", QUIET | {"resolution": "720p"}, 5, "0.50", None),
    ("fal/wan-3.0", "reference-to-video", QUIET | {"resolution": "1080p"}, 2, "0.40", None),
    ("fal/wan-2.7", "text-to-video", LOUD | {"resolution": "720p"}, 15, "1.50", None),
    ("fal/wan-2.7", "text-to-video", LOUD | {"resolution": "1080p"}, 15, "2.25", None),
    ("fal/wan-2.6", "text-to-video", LOUD | {"resolution": "720p"}, 10, "1.00", None),
    ("fal/wan-2.6", "text-to-video", LOUD | {"resolution": "1080p"}, 10, "1.50", None),
    ("fal/wan-2.5", "text-to-video", LOUD | {"resolution": "480p"}, 5, "0.25", None),
    ("fal/wan-2.5", "text-to-video", LOUD | {"resolution": "720p"}, 5, "0.50", None),
    ("fal/wan-2.5", "text-to-video", LOUD | {"resolution": "1080p"}, 5, "0.75", None),
    ("fal/wan-2.2-a14b", "text-to-video", QUIET | {"resolution": "480p"}, 10, "0.40", None),
    ("fal/wan-2.2-a14b", "image-to-video", QUIET | {"resolution": "580p"}, 5, "0.30", None),
    ("fal/wan-2.2-a14b", "text-to-video", QUIET | {"resolution": "720p"}, 5, "0.40", None),  # 80 frames at 16
    ("fal/wan-2.2-a14b-lora", "text-to-video", QUIET | {"resolution": "720p"}, 5, "0.50", None),
    ("fal/wan-2.2-a14b-turbo", "text-to-video", QUIET | {"resolution": "480p"}, 5.0625, "0.05", None),
    ("fal/wan-2.2-a14b-turbo", "text-to-video", QUIET | {"resolution": "580p"}, 5.0625, "0.075", None),
    ("fal/wan-2.2-a14b-turbo", "text-to-video", QUIET | {"resolution": "720p"}, 5.0625, "0.10", None),
    ("replicate/wan-3.0", "text-to-video", LOUD | {"resolution": "480p"}, 10, "0.50", None),
    ("replicate/wan-3.0", "text-to-video", LOUD | {"resolution": "720p"}, 10, "1.00", None),
    ("replicate/wan-3.0", "text-to-video", LOUD | {"resolution": "1080p"}, 10, "2.00", None),
    ("replicate/wan-2.2-fast", "image-to-video", QUIET | {"resolution": "480p"}, 7, "0.05", None),  # by the clip
    ("replicate/wan-2.2-fast", "image-to-video", QUIET | {"resolution": "720p"}, 5.0625, "0.11", None),
    ("fal/seedance-2.0", "text-to-video", LOUD | {"resolution": "480p"}, 5, "0.673", None),
    ("fal/seedance-2.0", "text-to-video", QUIET | {"resolution": "720p"}, 5, "1.517", None),
    ("fal/seedance-2.0", "text-to-video", QUIET | {"resolution": "1080p"}, 4, "2.728", None),
    ("fal/seedance-2.0", "text-to-video", QUIET | {"resolution": "4k"}, 4, "6.2208", None),
    ("fal/wan-3.0-prime", "text-to-video", LOUD | {"resolution": "1080p"}, 5, "1.40", None),
    ("replicate/grok-imagine", "text-to-video", LOUD | {"resolution": "720p"}, 5, "0.25", None),
    ("replicate/seedance-1.5-pro", "text-to-video", QUIET | {"resolution": "480p"}, 5, "0.065", None),
    ("replicate/seedance-1.5-pro", "text-to-video", QUIET | {"resolution": "720p"}, 12, "0.312", None),
    ("replicate/seedance-1.5-pro", "text-to-video", QUIET | {"resolution": "1080p"}, 5, "0.30", None),
    ("fal/hailuo-02-pro", "text-to-video", QUIET, 6, "0.48", None),
    ("replicate/hailuo-2.3", "text-to-video", QUIET | {"resolution": "768p"}, 6, "0.28", None),
    ("replicate/hailuo-2.3", "text-to-video", QUIET | {"resolution": "768p"}, 10, "0.56", None),
    ("replicate/hailuo-2.3", "text-to-video", QUIET | {"resolution": "1080p"}, 6, "0.49", None),
    ("replicate/hailuo-2.3-fast", "image-to-video", QUIET | {"resolution": "768p"}, 6, "0.19", None),
    ("replicate/hailuo-2.3-fast", "image-to-video", QUIET | {"resolution": "768p"}, 10, "0.32", None),
    ("replicate/hailuo-2.3-fast", "image-to-video", QUIET | {"resolution": "1080p"}, 6, "0.33", None),
    ("fal/ltx-2.3-pro", "text-to-video", QUIET | {"resolution": "1080p"}, 6, "0.48", None),
    ("fal/ltx-2.3-pro", "text-to-video", QUIET | {"resolution": "1440p"}, 8, "1.28", None),
    ("fal/ltx-2.3-pro", "text-to-video", QUIET | {"resolution": "4k"}, 10, "3.20", None),
    ("fal/ltx-2.3-pro", "image-to-video", QUIET | {"resolution": "1080p"}, 10, "0.60", "0.80"),
    ("fal/ltx-2.3-pro", "image-to-video", QUIET | {"resolution": "1440p"}, 10, "1.20", "1.60"),
    ("fal/ltx-2.3-pro", "first-last-frame", QUIET | {"resolution": "4k"}, 10, "2.40", "3.20"),
    ("fal/ltx-2.3-fast", "text-to-video", QUIET | {"resolution": "1080p"}, 20, "0.80", None),
    ("fal/ltx-2.3-fast", "text-to-video", QUIET | {"resolution": "1440p"}, 10, "0.80", None),
    ("fal/ltx-2.3-fast", "text-to-video", QUIET | {"resolution": "4k"}, 10, "1.60", None),
    # megapixels, rounded up: 1280 x 720 is one, 1920 x 1088 are three
    ("fal/flux-schnell", "image", {"size": (1280, 720)}, None, "0.003", None),
    ("fal/flux-schnell", "image", {"size": (1920, 1088)}, None, "0.009", None),
    ("fal/flux-dev", "image", {"size": (720, 720)}, None, "0.025", None),
    ("fal/flux-dev", "image", {"size": (1088, 1920)}, None, "0.075", None),
    ("fal/flux-2-pro", "image", {"size": (1280, 720)}, None, "0.03", None),
    ("fal/flux-2-pro", "image", {"size": (1920, 1088)}, None, "0.06", None),  # 0.03 and two further megapixels at 0.015
    ("replicate/gen4-turbo", "image-to-video", QUIET, 10, "0.50", None),
    ("replicate/gen4-aleph", "edit", QUIET, "5", "0.90", None),
]  # fmt: skip


def priced(name: str, task: str, fields: dict[str, Any], seconds: float | str | None) -> Priced:
    """A number is the clip's length, a text that of its source."""
    offer = shipped().offer(name)
    assert offer is not None
    media = {
        "image-to-video": {"image": PICTURE}, "first-last-frame": {"image": PICTURE, "last_image": PICTURE},
        "reference-to-video": {"reference_images": [PICTURE]},
    }.get(task, {})  # fmt: skip
    source = Decimal(seconds) if isinstance(seconds, str) else None
    length = None if isinstance(seconds, str) else seconds
    named = {"task": task} if task == "image" else {}
    request = Request(prompt="a boat", duration=length, **media, **fields, **named)
    return price_of(offer, request, offer.routes[task], input_seconds=source)


@pytest.mark.parametrize(
    ("name", "task", "fields", "seconds", "expected", "high"), CASES,
    ids=[f"{name}-{task}-{number}" for number, (name, task, *_) in enumerate(CASES)],
)  # fmt: skip
def test_case(
    name: str, task: str, fields: dict[str, Any], seconds: float | str | None, expected: str, high: str | None
) -> None:
    """Each case equals the figure worked out by hand, to the millionth."""
    cost = priced(name, task, fields, seconds).cost
    assert cost == Range(Decimal(expected), Decimal(expected), Decimal(high or expected))


def test_every_row_has_a_case() -> None:
    """No row of these offers goes untested."""
    rows = {
        (offer.name, repr(row))
        for offer in shipped().offers
        for row in offer.price.rows
        if offer.endpoint in ("fal", "replicate")
    }
    assert rows == {(name, repr(priced(name, *case).row)) for name, *case in (one[:4] for one in CASES)}


@pytest.mark.parametrize(
    ("name", "task", "fields", "seconds"),
    [
        ("replicate/seedance-1.5-pro", "text-to-video", LOUD | {"resolution": "720p"}, 5),
        ("replicate/hailuo-2.3", "text-to-video", QUIET | {"resolution": "1080p"}, 10),
        ("replicate/veo-3.1-lite", "text-to-video", QUIET | {"resolution": "1080p"}, 4),
        ("fal/ltx-2.3-fast", "text-to-video", QUIET | {"resolution": "4k"}, 12),
        ("fal/kling-2.6-pro", "motion", QUIET, "5"),
        ("fal/kling-3.0-omni-pro", "edit", QUIET, None),
        ("fal/kling-lipsync", "lipsync", LOUD, None),
        ("fal/pika-2.2", "text-to-video", QUIET, 5),
        ("fal/kling-o1-pro", "image-to-video", QUIET, 5),
    ],
)
def test_no_price_is_invented(
    name: str, task: str, fields: dict[str, Any], seconds: float | str | None
) -> None:
    """What is on no page, or depends on a length that nobody knows, has no price, and a reason."""
    found = priced(name, task, fields, seconds)
    assert found.cost is None
    assert found.reason
