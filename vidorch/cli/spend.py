"""`vidorch spend`: what was paid, how right the estimates were, and where the time went."""

from __future__ import annotations

import csv
import sys
from datetime import UTC, date, datetime
from typing import Any

from vidorch.cli.books import reading
from vidorch.cli.say import as_json, console, table_of
from vidorch.errors import InvalidRequest
from vidorch.money import show_usd
from vidorch.request import nearest_name
from vidorch.spend import BY, STAGES, Percentiles, Spend, SpendLine, spend_of

__all__ = ["spend"]

_MONEY = ("cost", "estimated", "imputed", "error", "overruns", "over", "wasted", "assumed", "open", "held")


def spend(
    by: str, *, since: str | None, until: str | None, scope: str | None, as_csv: bool, as_document: bool
) -> None:
    """Print what the ledger knows of money and time."""
    how = next((known for known in BY if known == by), None)
    if how is None:
        near = nearest_name(by, BY)
        raise InvalidRequest(
            f"--by {by} cannot be used.{f' Did you mean {near}?' if near else ''} Allowed is one of {', '.join(BY)}.",
            field="by", value=by, allowed=", ".join(BY),
        )  # fmt: skip
    after, before = _day("since", since), _day("until", until)
    asked: dict[str, Any] = {"since": after, "until": before, "scope": scope, "tags": how == "tag"}
    with reading() as ledger:
        jobs = [] if ledger is None else ledger.spend(**{k: v for k, v in asked.items() if v is not None})
    found = spend_of(jobs, how)
    if as_document:
        as_json(found.to_dict())
    elif as_csv:
        _as_csv(found)
    else:
        _as_table(found)


def _day(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(
            f"--{name} {text} cannot be used. Allowed is a day such as 2026-11-26 (UTC).",
            field=name,
            value=text,
            allowed="a day",
        ) from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def _as_csv(found: Spend) -> None:
    """One row for each line, amounts as plain numbers of USD."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    marks = ("p50", "p90", "p99")
    spans = ("latency", *STAGES)
    out.writerow(
        [found.by, "jobs", "clips", *_MONEY, *(f"{span}_{mark}" for span in spans for mark in marks)]
    )
    for line in (*found.lines, found.total):
        plain = line.to_dict()
        times: list[Any] = []
        for span in spans:
            took = plain["latency"] if span == "latency" else plain["stages"].get(span)
            times += ["" if took is None else took[mark] for mark in marks]
        money = ["" if plain[name] is None else plain[name] for name in _MONEY]
        out.writerow([line.name, line.jobs, line.clips, *money, *times])


def _as_table(found: Spend) -> None:
    out = console()
    if not found.total.jobs:
        out.print("Nothing was made yet." if not found.lines else "", markup=False)
        return
    lines = (*found.lines, found.total)
    rows = [
        [
            line.name,
            str(line.jobs),
            str(line.clips),
            show_usd(line.cost),
            show_usd(line.estimated),
            _percent(line),
            _remarks(line),
        ]
        for line in lines
    ]
    out.print(
        table_of("", [f"!{found.by}", ">jobs", ">clips", ">spent", ">estimated", ">error", "besides"], rows)
    )
    if timed := [line for line in lines if line.latency is not None]:
        out.print(_of_times(found.by, timed, out.width))


def _of_times(by: str, timed: list[SpendLine], width: int) -> Any:
    """A column for each stage; on a terminal without room for that, a row."""
    rows = [
        [line.name, _took(line.latency), *(_took(line.stages.get(stage)) for stage in STAGES)]
        for line in timed
    ]
    spans = ("in all", *STAGES)
    title = "seconds of half, nine tenths and 99 of a hundred clips"
    columns = [by, *spans]
    longest = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    if sum(longest) + 3 * len(longest) <= width:
        return table_of(title, [f"!{by}", *(f">{span}" for span in spans)], rows)
    turned = [
        [row[0] if not number else "", span, took]
        for row in rows
        for number, (span, took) in enumerate(zip(spans, row[1:], strict=True))
    ]
    return table_of(title, [f"!{by}", "!stage", ">seconds"], turned)


def _percent(line: SpendLine) -> str:
    return "-" if line.error is None else f"{line.error * 100:+.1f} %"


def _remarks(line: SpendLine) -> str:
    said = [
        (line.overruns, f"{line.overruns} over their high, by {show_usd(line.over)}"),
        (line.wasted, f"{show_usd(line.wasted)} for nothing"),
        (line.assumed, f"{show_usd(line.assumed)} assumed"),
        (line.open, f"{line.open} open, up to {show_usd(line.held)}"),
        (line.imputed, f"{show_usd(line.imputed)} imputed"),
    ]
    return "; ".join(text for amount, text in said if amount) or "-"


def _took(one: Percentiles | None) -> str:
    return (
        "-"
        if one is None
        else " / ".join(
            f"{seconds:.3g}" if seconds < 10 else f"{seconds:.0f}" for seconds in (one.p50, one.p90, one.p99)
        )
    )
