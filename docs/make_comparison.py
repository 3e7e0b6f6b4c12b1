"""Writes docs/comparison.md from the shipped catalog: `python docs/make_comparison.py`. A test holds the page to it."""

# ruff: noqa: E501 - a row of a table is one line

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

from vidorch.catalog import Catalog, shipped
from vidorch.contract import Admission
from vidorch.estimating import Estimate, EstimateLine
from vidorch.hardware import devices
from vidorch.money import show_usd
from vidorch.naming import ANY
from vidorch.offer import Offer
from vidorch.planning import estimate_of
from vidorch.price import Priced, Range, usd_of_hours
from vidorch.request import Request
from vidorch.routing import make_plan

PAGE = Path(__file__).with_name("comparison.md")
CLIPS, CANDIDATES = 12, 3
FIRST = ("veo", "kling", "runway", "wan")
"""Families that are named first; the others follow by name."""

HEAD = """# What a clip costs, and how long it takes

A clip of 5 s in 720p from words, a one-minute film of twelve of them, and three candidates of each, at every offer of the
catalog that ships, as of {as_of}. The same on your own terminal, with the prices of your own catalog and the times of your own
ledger:

```
vidorch estimate "a lighthouse at dusk" --compare --duration 5 --resolution 720p
vidorch estimate "a lighthouse at dusk" --compare --duration 5 --resolution 720p --clips 12 --candidates 3
```

Money is US dollars, list price, without tax. **?** marks a price that nobody could confirm at its vendor. *Low*, *expected* and
*high* differ where the sources do; budgets hold the high one. *Time* is what others report for the model, no promise, and *-* where
nobody knows. Models that cannot make 5 s make the next longer clip, which is paid whole and cut. The price is without sound where
sound can be left out; *with sound* is the expected cost of the same clip with it.

This page is made by `python docs/make_comparison.py`; nothing on it was tried on the live services.
"""

OWN = """
## Self-hosted Wan

What it costs is what your hardware costs: the seconds of work for a clip, times dollars an hour of the machine, over 3600. That is
imputed: nobody pays it unless the endpoint says `billed = true`. `vidorch estimate ... --compare` reckons with the card that is here, or
with `usd_per_hour` of an endpoint ([configuration](configuration.md)), and with your own clips once there are three of a kind
([the catalog](catalog.md#hours-of-ones-own-hardware)); Wan behind a [server of your own](servers.md) is an endpoint like any other. Below are
published times, none of them measured here, at what such a card costs for rent (`vidorch/catalog/hardware.toml`; none of these rents
could be confirmed). A card of your own costs its electricity.

| model of the catalog | clip | hardware | time | an hour | a clip | times published by |
|---|---|---|---|---|---|---|
"""
AT = (
    ("wan-2.1-t2v-1.3b", "5 s 480p, 50 steps, denoising alone", "h200", 95.2, "FastVideo's blog"),
    ("wan-2.1-t2v-1.3b", "5 s 480p, 50 steps", "rtx-4090", 240.0, "Wan's README"),
    ("fastwan-2.1-t2v-1.3b", "5 s 480p, 3 steps, FastVideo's kernels", "h200", 5.0, "FastVideo's blog"),
    ("fastwan-2.1-t2v-1.3b", "5 s 480p, 3 steps, FastVideo's kernels", "rtx-4090", 21.0, "FastVideo's blog"),
    ("wan-2.2-ti2v-5b", "5 s 720p, 50 steps, denoising alone", "h200", 157.0, "FastVideo's blog"),
    ("wan-2.2-ti2v-5b", "5 s 720p, 50 steps, at most", "rtx-4090", 540.0, "Wan 2.2's README"),
    ("fastwan-2.2-ti2v-5b", "5 s 720p, 3 steps, FastVideo's kernels", "h200", 16.0, "FastVideo's blog"),
    ("wan-2.1-i2v-14b-480p", "5 s 480p, 40 steps, diffusers", "h100", 391.0, "LightX2V's README"),
    ("wan-2.1-t2v-14b", "5 s 720p, 50 steps, denoising alone", "h200", 1746.0, "FastVideo's blog"),
    ("wan-2.1-t2v-14b", "5 s 720p, 50 steps", "rtx-5090", 4767.0, "TurboDiffusion's README"),
    ("wan-2.2-t2v-a14b", "40 steps", "a100-80", 1140.0, "qevos.ai"),
    ("wan-2.2-t2v-a14b-lightx2v", "4 steps", "a100-80", 150.0, "qevos.ai"),
)
"""Model, clip, class of hardware, seconds, whose word: published times on one card that this catalog knows a rent of."""

QUOTED = """
## The figures that are usually quoted

From a price map, resellers' tables, and copies of the vendors' own pages, some of them old.

| model | quoted | from | today |
|---|---|---|---|
| Sora 2 | $0.10 a second (Pro $0.30, 1024x1792 $0.50) | LiteLLM 1.109.1 price map, OpenAI's model page | **wrong**: switched off on 2026-09-24, API and all, without a successor; a client that goes by that map still prices it |
| Veo 3.1 | $0.40 a second | Portkey's price table, 2026-08-21 | with sound; $0.20 without, which the Gemini API never sold |
| Veo 3.1 Fast | $0.15 a second, 4k $0.35 | lists from before April 2026 | **old** at Google: $0.10 in 720p, $0.12 in 1080p, $0.30 in 4k, with sound; $0.15 with sound still stands at fal, Replicate and Runway |
| Veo 3.1 on a Gemini API key | the same | google-genai up to 2.34, which still builds the call | **wrong**: those models were shut on 2026-10-22 (docs.apiyi.com, of 2026-10-25, from Google's own list); Vertex, fal, Replicate and Runway have them |
| Veo 3.0, Veo 2 | $0.40, $0.35 to $0.50 a second | Google's old pages | **wrong**: retired on 2026-06-30 |
| Kling 1.0 to 2.1 | $0.028 to $0.28 a second | Kling's page of 2026-08-13 | **wrong** at Kling: retired on 2026-09-15 |
| Kling 3.0 Pro on fal | $0.224 a second | older copies of fal's page | **old**: $0.112, with sound $0.168 |
| Kling 2.5 Turbo Pro | $0.35 for 5 s | fal's page | stands, in 1080p |
| Runway Gen-4 Turbo | $0.05 a second | Runway's page of prices, 2026-09-25 | stands; it needs an image, and of words alone Gen-4.5 makes clips, at $0.12 |
| Runway Aleph | $0.18 a second | Replicate's page, not confirmed | **old** at Runway: Aleph 2 took its place, at $0.28 |
| Wan 2.5 on fal | $0.05, $0.10, $0.15 a second (480p, 720p, 1080p) | a copy of March 2026 | 480p stands; the others were not confirmed since |
| Wan 3.0 on Replicate | $0.05, $0.10, $0.20 a second | its README | the page's own data had half of that |

And the times:

| model, clip | quoted | from |
|---|---|---|
| Veo 3.1, 4 to 8 s | 11 s to 6 min | a copy of Google's own page |
| Kling 2.6, 5 s; 10 s | 50 to 70 s; 80 to 100 s | apixo.ai's documentation, a reseller |
| Kling 4.0, 5 to 30 s | 106 to 284 s; one of 5 s took 213 s, Flash 86 s | a reseller's test of October and November 2026 (dev.to/siray) |
| Gemini Omni, 10 s | 24 s; at another host 5 to 15 min | TanStack/ai#871; docs.oxen.ai |
| Runway Gen-4.5 and Gen-4 Turbo, Seedance, Hailuo | nothing that can be trusted | |
"""


def page() -> str:
    """The whole page."""
    catalog = Catalog(tuple(offer for offer in shipped().offers if offer.model != ANY))
    assert catalog.as_of is not None
    offers = {offer.name: offer for offer in catalog.offers}
    found, loud = _estimate(catalog, None), _estimate(catalog, True)
    sounding = {line.offer: line for line in loud.lines}
    bought = (
        line for line in found.lines if line.rule != "hours"
    )  # one's own hardware has a table of its own
    lines = sorted(bought, key=lambda line: _place(line, offers[line.offer]))
    return "".join(
        (
            HEAD.format(as_of=catalog.as_of),
            *_clip(lines, offers, sounding),
            *_film(lines),
            *_others(found, offers),
            OWN,
            *_own(),
            QUOTED,
        )
    )


def _estimate(catalog: Catalog, audio: bool | None) -> Estimate:
    request = Request(prompt="a lighthouse at dusk", duration=5, resolution="720p", fit="exact", audio=audio)
    plan = make_plan(
        request, [offer.name for offer in catalog.offers], catalog=catalog, endpoints={},
        installed={offer.provider for offer in catalog.offers}, has_credentials=lambda _: True,
        admit=lambda *_: Admission(), today=catalog.as_of or date.max, to_run=False,
    )  # fmt: skip
    return estimate_of(plan)


def _place(line: EstimateLine, offer: Offer) -> tuple[int, str, Decimal, str]:
    first = FIRST.index(offer.family) if offer.family in FIRST else len(FIRST)
    return first, offer.family, line.cost.expected, line.offer


def _clip(
    lines: list[EstimateLine], offers: dict[str, Offer], sounding: dict[str, EstimateLine]
) -> Iterator[str]:
    yield "\n## One clip of 5 s in 720p\n\n"
    yield "| offer | bought | low | expected | high | with sound | time | price read | its source |\n"
    yield "|---|---|---|---|---|---|---|---|---|\n"
    family = ""
    for line in lines:
        if offers[line.offer].family != family:
            family = offers[line.offer].family
            yield f"| **{family}** | | | | | | | | |\n"
        money = " | ".join(show_usd(cost) for cost in (line.cost.low, line.cost.expected, line.cost.high))
        loud = sounding.get(line.offer)
        with_sound = "-" if loud is None else show_usd(loud.cost.expected) + ("" if loud.confirmed else " ?")
        mark = "" if line.confirmed else " ?"
        yield (
            f"| {line.offer} | {round(line.bought['duration'], 2):g} s{', sound' if line.bought.get('audio') else ''} | {money}{mark} "
            f"| {with_sound} | {_time(line.seconds)} | {line.price_as_of} | {line.price_source.replace('|', '/')} |\n"
        )


def _film(lines: list[EstimateLine]) -> Iterator[str]:
    yield f"\n## Three candidates, and a one-minute film of {CLIPS} such clips\n\n"
    yield "Expected cost, to the high one where that differs. The film takes as long as one clip where all clips are made at once, which\n"
    yield "no vendor promises, and as long as *one after another* where only one is.\n\n"
    yield f"| offer | {CANDIDATES} candidates | film | film, {CANDIDATES} candidates of each | one clip | one after another |\n"
    yield "|---|---|---|---|---|---|\n"
    for line in lines:
        three, film = line.cost.times(CANDIDATES), line.cost.times(CLIPS)
        mark = "" if line.confirmed else " ?"
        money = " | ".join(_to(cost) + mark for cost in (three, film, film.times(CANDIDATES)))
        row = line.seconds.times(CLIPS) if line.seconds else None
        yield f"| {line.offer} | {money} | {_time(line.seconds)} | {_minutes(row)} |\n"


def _own() -> Iterator[str]:
    rents = {one.name: one for one in devices()}
    for model, clip, device, seconds, source in AT:
        rent = rents[device].usd_per_hour
        cost = usd_of_hours(rent, seconds).quantize(Decimal("0.001"))
        yield f"| local/{model} | {clip} | {device} | {seconds:g} s | {show_usd(rent)} | {show_usd(cost)} | {source} |\n"
    yield "\nOn eight H100 an A14B clip from an image (720p, 40 steps) took 250.7 s, tuned 109 s (Morphic's blog).\n"


def _others(found: Estimate, offers: dict[str, Offer]) -> Iterator[str]:
    gone = [one for one in found.left_out if "retired" in one.kinds]
    yield "\n## Sora\n\nNo offer any more:\n\n"
    for one in gone:
        (row,) = offers[one.offer_name].price.rows
        yield f"- {one.offer_name}: {one.reason}. Its last price was {Priced(None, row).in_words(offers[one.offer_name])}.\n"
    yield "\n## What is not in the tables\n\n"
    counted = Counter(
        one.reason.partition(":")[0] if "request" in one.kinds else "no price that anybody knows"
        for one in found.left_out
        if "retired" not in one.kinds
    )
    for what, count in counted.most_common():
        yield f"- {what}: {count}\n"
    yield "\n`vidorch estimate ... --compare --all` says it of each.\n"


def _to(cost: Range[Decimal]) -> str:
    if cost.expected == cost.high:
        return show_usd(cost.expected)
    return f"{show_usd(cost.expected)} to {show_usd(cost.high)}"


def _time(seconds: Range[float] | None) -> str:
    return f"{seconds.low:.0f} to {seconds.high:.0f} s" if seconds else "-"


def _minutes(seconds: Range[float] | None) -> str:
    return f"{seconds.low / 60:.0f} to {seconds.high / 60:.0f} min" if seconds else "-"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
