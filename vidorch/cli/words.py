"""How commands put things: amounts, times, files, and what a cancelled job costs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from vidorch.cli.here import catalog_here
from vidorch.errors import VidorchError
from vidorch.ledger.moves import BEFORE_SENDING, ENDS, State
from vidorch.money import show_usd

if TYPE_CHECKING:
    from vidorch.offer import Offer
    from vidorch.result import Job, Result

__all__ = ["amount", "clock", "lately", "many", "price_of_cancelling", "say_result", "short", "took", "when"]


def when(at: float) -> str:
    """A moment in local time, to the second."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def lately(at: float, now: float) -> str:
    """The time of today, the day of anything older: as much as a table has room for."""
    moment = datetime.fromtimestamp(at).astimezone()
    today = datetime.fromtimestamp(now).astimezone().date()
    return moment.strftime("%H:%M:%S" if moment.date() == today else "%Y-%m-%d")


def clock(at: float) -> str:
    """A moment in local time, to the millisecond, without its day."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S.%f")[:-3]


def took(job: Job) -> str:
    """How long an ended job took."""
    return "-" if job.ended_at is None else f"{job.ended_at - job.created_at:.1f} s"


def amount(job: Job) -> str:
    """What a job cost; what is reserved for it while nobody knows."""
    if job.cost is None:
        reserved = job.ended_at is None and job.billed and job.estimate_high > 0
        return f"({show_usd(job.estimate_high)})" if reserved else "-"
    if job.cost == Decimal(0):
        return "free"
    return show_usd(job.cost) if job.billed else f"{show_usd(job.cost)} imputed"


def many(count: int, one: str, more: str = "") -> str:
    """`1 job`, `2 jobs`."""
    return f"{count} {one if count == 1 else more or f'{one}s'}"


def short(path: Path) -> str:
    """Relative to where the person stands, when it lies below that."""
    try:
        return os.fspath(path.relative_to(Path.cwd()))
    except (ValueError, OSError):  # elsewhere; or the folder is gone
        return os.fspath(path)


def price_of_cancelling(jobs: Iterable[Job]) -> str:
    """What it costs to cancel these jobs now, in one sentence for each offer, by the billing rules of the catalog."""
    offers = _offers()
    open_jobs = [job for job in jobs if State(job.state) not in ENDS]
    sent = [job for job in open_jobs if State(job.state) not in BEFORE_SENDING]
    if not sent:
        return "Nothing of it was sent, so cancelling costs nothing."
    known = [job for job in sent if job.state != State.UNKNOWN]
    if not known:
        return "Nobody knows whether the vendor has it, so nothing can be cancelled there; what it may cost stays reserved."
    if not any(job.billed for job in known):
        return "It costs nothing."
    said = []
    for name in dict.fromkeys(f"{job.endpoint}/{job.model}" for job in known):
        high = sum((job.estimate_high for job in known if f"{job.endpoint}/{job.model}" == name), Decimal(0))
        offer = offers.get(name)
        rule = "unknown" if offer is None else offer.billing.cancelled
        rule = "hours" if offer is not None and offer.price.rule == "hours" else rule
        said.append(_RULES.get(rule, _RULES["unknown"]).format(name=name, high=show_usd(high)))
    return " ".join(said)


_RULES = {
    "free": "{name} takes nothing for a cancelled job.",
    "full": "{name} bills a cancelled job in full: {high}.",
    "part": "{name} bills a part of a cancelled job: up to {high}.",
    "hours": "{name} is billed by the hour: what it was worked on until then, up to {high}.",
    "unknown": "What {name} takes for a cancelled job is not known: up to {high}.",
}


def _offers() -> dict[str, Offer]:
    try:
        catalog = catalog_here()
    except VidorchError:  # a broken file of prices is no reason not to cancel
        return {}
    return {offer.name: offer for offer in catalog.offers}


def say_result(result: Result) -> tuple[list[str], list[str]]:
    """A finished run as lines for stdout (where the clips are) and for stderr (everything else)."""
    clip = result.clip
    fps = f", {float(clip.fps):g} fps" if clip.fps else ""
    if result.imputed and not result.cost:
        cost = f"{show_usd(result.imputed)} imputed, nothing spent"
    elif clip.cost == 0 == result.cost:
        cost = "free"
    else:
        cost = f"{show_usd(result.cost)} ({clip.cost_basis}{_earlier(result)})"
    seed = "" if clip.seed is None else f" · seed {clip.seed}"
    what = f"{clip.endpoint}/{clip.model} · {clip.duration:.1f} s, {clip.width}x{clip.height}{fps}{seed}"
    asides = [f"{what} · {cost} · made in {clip.latency:.1f} s", *(f"Note: {note}" for note in result.notes)]
    asides += [f"A candidate failed: {failure}" for failure in result.failures]
    places = [one.uri if one.path is None else short(one.path) for one in result.candidates]
    if clip.uri not in {one.uri for one in result.candidates}:
        places.insert(0, clip.uri if clip.path is None else short(clip.path))
    return places, asides


def _earlier(result: Result) -> str:
    """What a call that joined a run did not pay itself."""
    if not result.paid_earlier:
        return ""
    of_it = "" if result.paid_earlier == result.cost else f"{show_usd(result.paid_earlier)} of it "
    return f", {of_it}paid earlier"
