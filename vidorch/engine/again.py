"""What the ledger has of a request, beside what is asked now: the same, another one, or one to be asked again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vidorch.call import SELECTORS, Call
from vidorch.choice import Choice
from vidorch.engine.asked import Asked
from vidorch.engine.rows import asked_hash, models_of
from vidorch.errors import InvalidRequest, KeyConflict
from vidorch.request import Request

__all__ = ["conflict", "request_again"]


def conflict(row: Mapping[str, Any], asked: Asked) -> KeyConflict:
    before, now = dict(row["request"]), asked.request.describe()
    differs = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if row["options"].get("models", []) != models_of(asked.call):
        differs.append("model")
    if row["options"].get("spread", False) != asked.call.spread:
        differs.append("spread")
    said = ", ".join(differs) or "what is not written down of it (keys in extra=)"
    verb = "differ" if len(differs) > 1 else "differs"
    return KeyConflict(
        f"The key {asked.call.key!r} belongs to another request of scope {asked.call.scope!r}: {said} {verb}. Nothing was sent.",
        hint="Take another key for another request; the same key always means the same clip.",
        differs=tuple(differs), run_id=row["id"],
    )  # fmt: skip


def request_again(row: Mapping[str, Any]) -> tuple[Request, Call]:
    """What was asked, as far as the ledger can tell.

    Raises:
        InvalidRequest: it had inputs or secrets that are not kept; only a call with its key can go on.
    """
    fields, options = dict(row["request"]), row["options"]
    try:
        request = Request(**fields)
        models = tuple(
            one if isinstance(one, str) else Choice(one["model"], **one["overrides"])
            for one in options.get("models", ())
        )
        again = {name: options[name] for name in _AGAIN if options.get(name) is not None}
        if options.get("select") in SELECTORS:
            again["select"] = options["select"]
        call = Call(models=models, max_cost=row["max_cost"], scope=row["scope"], key=row["key"], output=row["output"],
                    tags=row["tags"] or {}, overwrite=True, **again)  # fmt: skip
        same = asked_hash(request, call) == row["request_hash"]
    except (InvalidRequest, TypeError, KeyError):
        same = False
    if not same:
        raise InvalidRequest(
            f"The run {row['id']} had inputs (media or secrets) that are kept nowhere, so it cannot go on by itself.",
            hint="Make the same call again with its key." if row["key"] else "Make the call again; nothing was sent for it.",
            field="run_id", value=row["id"], allowed="a run of text alone",
        )  # fmt: skip
    return request, replace(call, overwrite=bool(options.get("overwrite")))


_AGAIN = (
    "spread", "retries", "refill", "retry_refused", "on_unknown", "fallback_on_refusal", "timeout", "allow_unpriced",
)  # fmt: skip
