"""What vendors ask, written down by hand from their pages and from those who copied them; nothing here is read from the catalog.

A formula takes a cell and gives the USD of one clip: expected, and the most that it may be. None: no price is known for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from itertools import product
from math import ceil
from typing import NamedTuple

from vidorch.offer import Capabilities, Offer

__all__ = ["FORMULAS", "SOURCES", "Cell", "cells_of"]

SOURCES = (Decimal(2), Decimal("4.5"), Decimal(7), Decimal(10))
"""Seconds of the clip or sound that goes in, where the price or the length depends on it."""


class Cell(NamedTuple):
    """One thing that can be bought.

    Attributes:
        s: seconds of the clip; None of a still. source: of what goes in, None where nothing does.
    """

    task: str
    resolution: str | None
    audio: bool
    references: bool
    s: Decimal | None
    source: Decimal | None
    pixels: int | None


Cost = tuple[Fraction, Fraction] | None
Formula = Callable[[Cell], Cost]

_FROM_A_SOURCE = ("edit", "restyle", "lipsync", "motion", "upscale")


def cells_of(offer: Offer) -> Iterator[Cell]:
    """Every cell of an offer: task, resolution, sound, references, length."""
    for task, route in offer.routes.items():
        able = route.capabilities
        sounds = {"on": [True], "off": [False], "switch": [False, True]}[able.audio]
        looks = [True] if task == "reference-to-video" else [False, True] if able.references else [False]
        pixels: list[tuple[str | None, int | None]] = [(name, None) for name in able.resolutions or (None,)]
        if task == "image":
            pixels = [(name.split()[0], w * h) for name, (w, h) in able.sizes.items()]
        for (resolution, size), audio, look in product(pixels, sounds, looks):
            for seconds in _lengths(able):
                own = seconds is None and task != "image"
                sources = SOURCES if own or task in (*_FROM_A_SOURCE, "extend") else (None,)
                for source in sources:
                    length = source if own else seconds
                    yield Cell(task, resolution, audio, look, length, source, size)


def _lengths(able: Capabilities) -> list[Decimal | None]:
    legal = able.durations
    if legal.choices:
        return list(legal.choices)
    if legal.least is None or legal.most is None:
        return [None]
    steps = int((legal.most - legal.least) / legal.step)
    return [legal.least + legal.step * n for n in range(steps + 1)]


def _usd(text: str) -> Fraction:
    return Fraction(text)


def second(rate: str, high: str = "", *, least: int = 0) -> Formula:
    """By the second of the clip, at least so many."""

    def cost(cell: Cell) -> Cost:
        if cell.s is None:
            return None
        billed = max(Fraction(cell.s), Fraction(least))
        return billed * _usd(rate), billed * _usd(high or rate)

    return cost


def clip(usd: str) -> Formula:
    """By the clip."""
    return lambda _: (_usd(usd), _usd(usd))


def sound(off: Formula | None, on: Formula | None) -> Formula:
    """One price without sound, one with."""

    def cost(cell: Cell) -> Cost:
        formula = on if cell.audio else off
        return None if formula is None else formula(cell)

    return cost


def by(**formulas: Formula | None) -> Formula:
    """By resolution, written `p720` and `k4`."""
    named = {f"{key[1:]}{key[0]}": formula for key, formula in formulas.items()}

    def cost(cell: Cell) -> Cost:
        formula = named.get(cell.resolution or "")
        return None if formula is None else formula(cell)

    return cost


def tasks(usual: Formula, others: Mapping[str, Formula]) -> Formula:
    """Another price for some tasks."""
    return lambda cell: others.get(cell.task, usual)(cell)


def lengths(**formulas: Formula) -> Formula:
    """By the length in whole seconds, written `s6`; no other is sold."""

    def cost(cell: Cell) -> Cost:
        formula = formulas.get(f"s{cell.s}")
        return None if formula is None else formula(cell)

    return cost


def source(rate: str, *, block: int = 0) -> Formula:
    """By the second of what goes in, by whole blocks of them."""

    def cost(cell: Cell) -> Cost:
        if cell.source is None:
            return None
        billed = Fraction(cell.source)
        if block:
            billed = Fraction(ceil(billed / block) * block)
        return billed * _usd(rate), billed * _usd(rate)

    return cost


def both(one: Formula, other: Formula) -> Formula:
    """Two parts of one price."""

    def cost(cell: Cell) -> Cost:
        first, more = one(cell), other(cell)
        return None if first is None or more is None else (first[0] + more[0], first[1] + more[1])

    return cost


def pictures(usual: Formula, usd: str, most: int, *, sold: tuple[str, ...] = ()) -> Formula:
    """So much more for each reference image, of which so many may go in; `sold`: resolutions that take them at a known price."""

    def cost(cell: Cell) -> Cost:
        if cell.references and (not sold or cell.resolution in sold):
            return both(usual, clip(str(Fraction(usd) * most)))(cell)
        return usual(cell)

    return cost


def megapixels(first: str, further: str) -> Formula:
    """By the million pixels that is begun."""

    def cost(cell: Cell) -> Cost:
        assert cell.pixels is not None
        usd = _usd(first) + (ceil(Fraction(cell.pixels, 10**6)) - 1) * _usd(further)
        return usd, usd

    return cost


KLING_3_STANDARD = sound(second("0.084"), second("0.126"))
KLING_3_PRO = sound(second("0.112"), second("0.168"))
KLING_26_PRO = sound(second("0.07"), second("0.14"))
KLING_4 = by(p720=second("0.157", "0.188"), p1080=second("0.235", "0.282"))
KLING_4_IN = by(p720=second("0.188"), p1080=second("0.282"))  # twice 0.094 and 0.141, as what goes in counts
OMNI_STANDARD = sound(second("0.084"), second("0.112"))
OMNI_PRO = sound(second("0.112"), second("0.14"))
LIPSYNC = source("0.014", block=5)  # 0.07 for each 5 s that are begun
VEO_31 = sound(second("0.20"), second("0.40"))
VEO_31_FAST = sound(second("0.10"), second("0.15"))
WAN_3 = by(p480=second("0.05"), p720=second("0.10"), p1080=second("0.20"))
WAN_2 = by(p480=second("0.05"), p720=second("0.10"), p1080=second("0.15"))
TOKENS_OF_INPUT = "0.0087"  # of a second of video at 1.50 a million: 5,792 tokens, rounded up
GEMINI_11 = by(
    p360=second("0.03"), p720=second("0.10", "0.10136"), p1080=second("0.15"), k4=second("0.30")
)  # 0.10136: 5,792 tokens a second at 17.50 a million
GEMINI_12 = by(
    p360=second("0.023", "0.03"), p720=second("0.07", "0.10136"), p1080=second("0.105", "0.15"), k4=second("0.21", "0.30")
)  # fmt: skip


def _gemini(usual: Formula) -> Formula:
    with_input = both(usual, source(TOKENS_OF_INPUT))

    def extend(cell: Cell) -> Cost:
        return with_input(cell) if cell.resolution in ("360p", "720p") else usual(cell)

    return tasks(usual, {"edit": with_input, "restyle": with_input, "extend": extend})


def _credits(number: str, high: str = "", *, least: int = 0) -> Formula:
    """Runway's credits a second, a cent each."""
    return second(str(Fraction(number) / 100), str(Fraction(high) / 100) if high else "", least=least)


def _at_least(seconds: str, usual: Formula) -> Formula:
    return lambda cell: usual(cell if cell.s is None else cell._replace(s=max(cell.s, Decimal(seconds))))


FORMULAS: dict[str, Formula] = {
    # fal: llms.txt of each model, and the figures that pages of others give where it is marked as not confirmed
    "fal/flux-schnell": megapixels("0.003", "0.003"),
    "fal/flux-dev": megapixels("0.025", "0.025"),
    "fal/flux-2-pro": megapixels("0.03", "0.015"),
    "fal/hailuo-02-pro": second("0.08"),
    "fal/kling-3.0-standard": tasks(KLING_3_STANDARD, {"motion": second("0.126")}),
    "fal/kling-3.0-pro": tasks(
        sound(second("0.112", "0.224"), second("0.168", "0.224")), {"motion": second("0.168")}
    ),
    "fal/kling-3.0-4k": second("0.42"),
    "fal/kling-3.0-turbo-pro": second("0.14"),
    "fal/kling-3.0-turbo-standard": second("0.112", "0.14"),
    "fal/kling-3.0-omni-standard": OMNI_STANDARD,
    "fal/kling-3.0-omni-pro": tasks(OMNI_PRO, {"edit": second("0.336")}),
    "fal/kling-3.0-omni-4k": second("0.42"),
    "fal/kling-2.5-turbo-pro": second("0.07"),
    "fal/kling-2.6-pro": tasks(
        sound(second("0.07", "0.0735"), second("0.14", "0.147")), {"motion": lambda _: None}
    ),
    "fal/kling-4.0": tasks(
        by(p720=second("0.157"), p1080=second("0.235")),
        {
            "edit": by(
                p720=both(second("0.094"), source("0.094")), p1080=both(second("0.141"), source("0.141"))
            )
        },
    ),
    "fal/kling-lipsync": LIPSYNC,
    "fal/kling-avatar-2-pro": second("0.115"),
    "fal/kling-avatar-2-standard": second("0.0562"),
    "fal/ltx-2.3-pro": tasks(
        by(p1080=second("0.08"), p1440=second("0.16"), k4=second("0.32")),
        dict.fromkeys(
            ("image-to-video", "first-last-frame"),
            by(p1080=second("0.06", "0.08"), p1440=second("0.12", "0.16"), k4=second("0.24", "0.32")),
        ),
    ),
    "fal/ltx-2.3-fast": by(
        p1080=second("0.04"),
        p1440=lengths(s6=second("0.08"), s8=second("0.08"), s10=second("0.08")),
        k4=lengths(s6=second("0.16"), s8=second("0.16"), s10=second("0.16")),
    ),
    "fal/seedance-2.0": by(
        p480=second("0.1346"), p720=second("0.3034"), p1080=second("0.682"), k4=second("1.5552")
    ),
    "fal/veo-3.1": by(p720=VEO_31, p1080=VEO_31, k4=sound(second("0.40"), second("0.60"))),
    "fal/veo-3.1-fast": by(p720=VEO_31_FAST, p1080=VEO_31_FAST, k4=sound(second("0.30"), second("0.35"))),
    "fal/veo-3.1-lite": by(p720=second("0.05"), p1080=second("0.08")),
    "fal/wan-3.0": WAN_3,
    "fal/wan-3.0-prime": by(p1080=second("0.28")),
    "fal/wan-2.7": WAN_2,
    "fal/wan-2.6": WAN_2,
    "fal/wan-2.5": WAN_2,
    "fal/wan-2.2-a14b": by(p480=second("0.04"), p580=second("0.06"), p720=second("0.08")),
    "fal/wan-2.2-a14b-lora": second("0.10"),
    "fal/wan-2.2-a14b-turbo": by(p480=clip("0.05"), p580=clip("0.075"), p720=clip("0.10")),
    # Replicate: pages and README of each model
    "replicate/grok-imagine": second("0.05"),
    "replicate/hailuo-2.3": by(
        p768=lengths(s6=clip("0.28"), s10=clip("0.56")), p1080=lengths(s6=clip("0.49"))
    ),
    "replicate/hailuo-2.3-fast": by(
        p768=lengths(s6=clip("0.19"), s10=clip("0.32")), p1080=lengths(s6=clip("0.33"))
    ),
    "replicate/kling-3.0-standard": KLING_3_STANDARD,
    "replicate/kling-3.0-pro": sound(second("0.112", "0.168"), second("0.168")),
    "replicate/kling-2.5-turbo-pro": second("0.07"),
    "replicate/kling-2.6-pro": KLING_26_PRO,
    "replicate/kling-lipsync": LIPSYNC,
    "replicate/gen4-turbo": second("0.05"),
    "replicate/gen4-aleph": second("0.18"),
    "replicate/seedance-1.5-pro": sound(
        by(p480=second("0.013"), p720=second("0.026"), p1080=second("0.06")), None
    ),
    "replicate/veo-3.1": VEO_31,
    "replicate/veo-3.1-fast": VEO_31_FAST,
    "replicate/veo-3.1-lite": by(p720=second("0.05", "0.08"), p1080=lengths(s8=second("0.08"))),
    "replicate/wan-3.0": WAN_3,
    "replicate/wan-2.2-fast": by(p480=clip("0.05"), p720=clip("0.11")),
    # Kling itself: its page of prices, 2026-08-13
    "kling/kling-3.0-standard": KLING_3_STANDARD,
    "kling/kling-3.0-pro": KLING_3_PRO,
    "kling/kling-3.0-4k": second("0.42"),
    "kling/kling-3.0-turbo-standard": second("0.112"),
    "kling/kling-3.0-turbo-pro": second("0.14"),
    "kling/kling-2.5-turbo-standard": second("0.042"),
    "kling/kling-2.5-turbo-pro": second("0.07"),
    "kling/kling-2.6-standard": second("0.042"),
    "kling/kling-2.6-pro": KLING_26_PRO,
    "kling/kling-o1-standard": tasks(second("0.084"), dict.fromkeys(("edit", "restyle"), second("0.126"))),
    "kling/kling-o1-pro": tasks(second("0.112"), dict.fromkeys(("edit", "restyle"), second("0.168"))),
    "kling/kling-3.0-omni-standard": tasks(
        OMNI_STANDARD, dict.fromkeys(("edit", "restyle"), second("0.126"))
    ),
    "kling/kling-3.0-omni-pro": tasks(OMNI_PRO, dict.fromkeys(("edit", "restyle"), second("0.168"))),
    "kling/kling-3.0-omni-4k": second("0.42"),
    "kling/kling-4.0": tasks(KLING_4, dict.fromkeys(("edit", "restyle"), KLING_4_IN)),
    "kling/kling-4.0-flash": second("0.094", "0.188"),
    # Google: its pages, and Portkey's table of 2026-08-21
    "gemini/gemini-omni-1.1-flash": _gemini(GEMINI_11),
    "gemini/gemini-omni-1.2-flash": _gemini(GEMINI_12),
    "vertex/gemini-omni-1.1-flash": _gemini(GEMINI_11),
    "vertex/gemini-omni-1.2-flash": _gemini(GEMINI_12),
    "vertex/veo-3.1": tasks(
        by(p720=VEO_31, p1080=VEO_31, k4=sound(second("0.40", "0.60"), second("0.60"))),
        {"extend": sound(second("0.20", "0.40"), second("0.40"))},
    ),
    "vertex/veo-3.1-fast": tasks(
        by(
            p720=second("0.10"),
            p1080=sound(second("0.10", "0.12"), second("0.12")),
            k4=sound(None, second("0.30")),
        ),
        {"extend": second("0.10")},
    ),
    "vertex/veo-3.1-lite": by(
        p720=sound(second("0.03", "0.05"), second("0.05")),
        p1080=sound(second("0.05", "0.08"), second("0.08")),
    ),
    # Runway: its guide's pricing, copied on 2026-09-25; a credit is a cent
    "runway/gen4.5": _credits("12"),
    "runway/gen4-turbo": _credits("5"),
    "runway/aleph2": _credits("28", least=2),  # 56 credits at the least
    "runway/act-two": _credits("5"),
    "runway/veo-3.1": sound(_credits("20"), _credits("40")),
    "runway/veo-3.1-fast": sound(_credits("10"), _credits("15")),
    "runway/seedance-2.0": by(
        p480=_credits("36"), p720=_credits("36"), p1080=_credits("40"), k4=_credits("150")
    ),
    "runway/seedance-2.0-fast": _credits("29"),
    "runway/seedance-2.0-mini": _credits("16", least=4),  # 64 credits at the least
    "runway/seedance-2.5": tasks(
        by(
            p480=_credits("20", least=4), p720=_credits("30"), p1080=_credits("68")
        ),  # 80 credits at the least
        {
            "extend": _credits("30", "68"),
            **dict.fromkeys(
                ("edit", "restyle"), _at_least("2.67", _credits("30", "68"))
            ),  # 80 credits at the least
        },
    ),
    "runway/gemini-omni-1.1-flash": pictures(by(p720=_credits("10")), "0.01", 3),
    "runway/wan-3.0": by(p480=_credits("5"), p720=_credits("10"), p1080=_credits("20")),
    "runway/wan-3.0-prime": by(p480=_credits("5")),
    "runway/hailuo-3": pictures(by(p768=_credits("10"), p1440=_credits("15")), "0.02", 9),
    "runway/h3-max": by(p480=_credits("5"), p768=_credits("8")),
    "runway/happyhorse-1.0": by(p720=_credits("15"), p1080=_credits("30")),
    "runway/grok-imagine-1.5": pictures(
        by(p480=_credits("10"), p720=_credits("16"), p1080=_credits("29")), "0.01", 7, sold=("480p", "720p")
    ),
    # OpenAI's last prices
    "openai/sora-2": second("0.10"),
    "openai/sora-2-pro": second("0.30"),
}
