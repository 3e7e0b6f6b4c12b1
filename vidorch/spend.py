"""What was spent, and how right the estimates were: jobs of the ledger, put together by day, model, endpoint, scope or tag."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple, get_args

from vidorch.money import from_micros

__all__ = ["BY", "STAGES", "By", "Percentiles", "Spend", "SpendJob", "SpendLine", "spend_of"]

By = Literal["day", "model", "endpoint", "scope", "tag"]
BY: tuple[By, ...] = get_args(By)
_AMOUNTS = (
    "jobs", "clips", "cost", "estimated", "imputed", "error", "overruns", "over", "wasted", "assumed", "open", "held",
)  # fmt: skip
STAGES = ("wait", "upload", "queue", "run", "download")


class SpendJob(NamedTuple):
    """What a job of the ledger says about money and time. Amounts are millionths of USD.

    Attributes:
        created_at: seconds since 1970. ended: whether anything is to come of it. settled: whether it gave its clips.
        billed: whether it is spending; what one's own hardware costs is not.
        low, estimate, high: as estimated for it. cost: None as long as nobody knows. basis: "assumed" and its like.
        timings, tags: JSON; tags of its run, empty unless they are asked for.
    """

    created_at: float
    endpoint: str
    model: str
    scope: str
    ended: bool
    settled: bool
    billed: bool
    samples: int
    estimate: int
    high: int
    cost: int | None
    basis: str | None
    timings: str | None
    tags: str = ""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Seconds that half, nine tenths and 99 of a hundred clips took at most."""

    p50: float
    p90: float
    p99: float

    def to_dict(self) -> dict[str, float]:
        """JSON-ready, rounded to milliseconds."""
        return {name: round(getattr(self, name), 3) for name in ("p50", "p90", "p99")}


@dataclass(frozen=True, slots=True)
class SpendLine:
    """One group of jobs.

    Attributes:
        name: the day, the model, ...; "total" for all of them. jobs, clips: how many, and how many clips they gave.
        cost: USD that was spent. estimated: what the same jobs were expected to cost. imputed: what one's own hardware took.
        error: (cost - estimated) / estimated of the jobs that gave clips and whose vendor or price list says what they cost;
            None where there is none.
        overruns: jobs that cost more than their high estimate, and over: by how much in all.
        wasted: USD for jobs that gave nothing. assumed: USD booked without anybody's word.
        open, held: jobs that are not over, and what they may still cost at most.
        latency: seconds from the call to the checked file; stages: where they went. None and empty without finished clips.
    """

    name: str
    jobs: int = 0
    clips: int = 0
    cost: Decimal = Decimal(0)
    estimated: Decimal = Decimal(0)
    imputed: Decimal = Decimal(0)
    error: Decimal | None = None
    overruns: int = 0
    over: Decimal = Decimal(0)
    wasted: Decimal = Decimal(0)
    assumed: Decimal = Decimal(0)
    open: int = 0
    held: Decimal = Decimal(0)
    latency: Percentiles | None = None
    stages: Mapping[str, Percentiles] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; money and the error as text."""
        plain: dict[str, Any] = {"name": self.name}
        for name in _AMOUNTS:
            value = getattr(self, name)
            plain[name] = f"{value:f}" if isinstance(value, Decimal) else value
        plain["latency"] = None if self.latency is None else self.latency.to_dict()
        plain["stages"] = {stage: one.to_dict() for stage, one in self.stages.items()}
        return plain


@dataclass(frozen=True, slots=True)
class Spend:
    """What was spent. `lines` by name, the dearest first, days by date; `total` is all of them together.

    By tag, a job counts for each tag of its run, so that the lines may come to more than the total.
    """

    by: By
    lines: tuple[SpendLine, ...]
    total: SpendLine
    currency: str = "USD"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; money as text."""
        return {
            "by": self.by,
            "currency": self.currency,
            "lines": [line.to_dict() for line in self.lines],
            "total": self.total.to_dict(),
        }


def spend_of(jobs: Iterable[SpendJob], by: By) -> Spend:
    """Put jobs together."""
    groups: dict[str, _Group] = {}
    total = _Group()
    days: dict[int, str] = {}
    tags: dict[str, tuple[str, ...]] = {}
    for job in jobs:
        took = _took(job)
        total.add(job, took)
        for name in _names(job, by, days, tags):
            group = groups.get(name)
            if group is None:
                group = groups[name] = _Group()
            group.add(job, took)
    lines = [group.line(name) for name, group in groups.items()]
    lines.sort(key=(lambda line: (line.name,)) if by == "day" else _dearest)
    return Spend(by, tuple(lines), total.line("total"))


def _dearest(line: SpendLine) -> tuple[Any, ...]:
    return -line.cost, -line.imputed, -line.jobs, line.name


def _names(job: SpendJob, by: By, days: dict[int, str], tags: dict[str, tuple[str, ...]]) -> Sequence[str]:
    if by == "model":
        return (job.model,)
    if by == "endpoint":
        return (job.endpoint,)
    if by == "scope":
        return (job.scope,)
    if by == "day":
        number = int(job.created_at // 86_400)
        if number not in days:
            days[number] = datetime.fromtimestamp(number * 86_400, UTC).date().isoformat()
        return (days[number],)
    if job.tags not in tags:
        found = json.loads(job.tags) if job.tags else {}
        tags[job.tags] = tuple(f"{name}={value}" for name, value in found.items()) or ("(no tag)",)
    return tags[job.tags]


def _took(job: SpendJob) -> tuple[float, ...] | None:
    """Seconds of each stage, for a job that gave its clips."""
    if not job.settled or not job.timings:
        return None
    said = json.loads(job.timings)
    return tuple(said.get(stage) or 0.0 for stage in STAGES)


class _Group:
    """Sums of one line, in millionths."""

    __slots__ = (
        "assumed", "clips", "cost", "estimated", "held", "imputed", "jobs", "known", "meant", "open", "over", "overruns", "took",
        "wasted",
    )  # fmt: skip

    def __init__(self) -> None:
        self.jobs = self.clips = self.cost = self.estimated = self.imputed = self.overruns = self.over = 0
        self.wasted = self.assumed = self.open = self.held = self.known = self.meant = 0
        self.took: list[tuple[float, ...]] = []

    def add(self, job: SpendJob, took: tuple[float, ...] | None) -> None:
        self.jobs += 1
        if took is not None:
            self.took.append(took)
        if job.settled:
            self.clips += job.samples
        if not job.billed:
            self.imputed += job.cost or 0
            return
        if not job.ended:
            self.open += 1
            self.held += job.high
            return
        cost = job.cost or 0
        self.cost += cost
        self.estimated += job.estimate if job.settled or cost else 0
        if job.basis == "assumed":
            self.assumed += cost
        if not job.settled:
            self.wasted += cost
        elif job.cost is not None and job.basis != "assumed":
            self.known += cost
            self.meant += job.estimate
        if cost > job.high:
            self.overruns += 1
            self.over += cost - job.high

    def line(self, name: str) -> SpendLine:
        columns = [sorted(column) for column in zip(*self.took, strict=True)]
        return SpendLine(
            name, self.jobs, self.clips, from_micros(self.cost), from_micros(self.estimated), from_micros(self.imputed),
            (Decimal(self.known - self.meant) / self.meant).quantize(Decimal("0.0001")) if self.meant else None,
            self.overruns, from_micros(self.over), from_micros(self.wasted), from_micros(self.assumed), self.open,
            from_micros(self.held),
            _percentiles(sorted(map(sum, self.took))) if self.took else None,
            {stage: _percentiles(column) for stage, column in zip(STAGES, columns, strict=False)},
        )  # fmt: skip


def _percentiles(took: Sequence[float]) -> Percentiles:
    """Of numbers that rise: the least that this part of them does not exceed."""
    return Percentiles(*(took[min(-(-len(took) * part // 100), len(took)) - 1] for part in (50, 90, 99)))
