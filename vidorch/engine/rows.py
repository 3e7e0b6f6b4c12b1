"""What is written down of a run and its jobs before anything is sent."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from vidorch.call import Call
from vidorch.choice import Choice
from vidorch.engine.hosts import LEASE
from vidorch.engine.paying import is_spending
from vidorch.engine.purchase import Purchase
from vidorch.engine.services import Services
from vidorch.engine.targets import Target
from vidorch.engine.telemetry import RunSpan
from vidorch.estimating import Estimate
from vidorch.ledger.moves import State
from vidorch.money import to_micros
from vidorch.planning import Plan
from vidorch.request import Request

__all__ = ["as_json", "asked_hash", "batch_row", "job_row", "models_of", "run_row"]


_encode = json.JSONEncoder(default=str, sort_keys=True, ensure_ascii=False).encode


def as_json(value: Any) -> str:
    """How plain values are written into a column."""
    return _encode(value)


def models_of(call: Call) -> list[Any]:
    """The caller's models, JSON-ready."""
    return [model.describe() if isinstance(model, Choice) else model for model in call.models]


def asked_hash(request: Request, call: Call, described: Mapping[str, Any] | None = None) -> str:
    """SHA-256 of what was asked, before defaults: what a key is compared by."""
    words = [request.fingerprint(described), models_of(call), call.spread]
    return hashlib.sha256(as_json(words).encode()).hexdigest()


def run_row(
    run_id: str, request: Request, call: Call, plan: Plan, estimate: Estimate, target: Target, notes: Sequence[str],
    services: Services, *, parent: str | None, position: int | None, trace: str | None, now: float,
) -> dict[str, Any]:  # fmt: skip
    """The row of a run that begins."""
    described, told = request.describe(), estimate.to_dict()
    options = {
        "output": call.output, "overwrite": call.overwrite, "timeout": call.timeout, "models": models_of(call),
        "select": call.select if isinstance(call.select, str) or call.select is None else "a function of the caller",
        "spread": call.spread, "retries": call.retries, "refill": call.refill, "retry_refused": call.retry_refused,
        "on_unknown": call.on_unknown, "fallback_on_refusal": call.fallback_on_refusal,
        "allow_unpriced": call.allow_unpriced,
    }  # fmt: skip
    if services.ledger.shared:
        options["host"] = socket.gethostname()  # a folder of that name is another one elsewhere
    return {
        "id": run_id, "kind": "generate", "parent_id": parent, "position": position, "scope": call.scope, "key": call.key,
        "state": "open", "version": 0, "request": as_json(described), "request_hash": asked_hash(request, call, described),
        "plan": as_json(plan.describe(told, described)), "estimate": as_json(told), "options": as_json(options),
        "tags": as_json(dict(call.tags)), "notes": as_json(list(notes)), "candidates": request.candidates,
        "max_cost": None if call.max_cost is None else to_micros(call.max_cost), "cost": 0, "imputed": 0,
        "chosen_output": None, "output": target.written(call.output), "home": str(services.home), "owner": services.host.owner,
        "lease_until": now + LEASE, "trace": trace, "error": None, "mock": int(services.mock), "created_at": now,
        "updated_at": now, "ended_at": None,
    }  # fmt: skip


def batch_row(run_id: str, call: Call, lines: int, services: Services, now: float) -> dict[str, Any]:
    """The row over the runs of a batch: it has no jobs of its own, and one cap holds for all of them."""
    return {
        "id": run_id, "kind": "batch", "parent_id": None, "position": None, "scope": call.scope, "key": call.key,
        "state": "open", "version": 0, "request": as_json({"lines": lines}), "request_hash": "batch",
        "plan": "{}", "estimate": "{}", "options": "{}", "tags": as_json(dict(call.tags)), "notes": "[]",
        "candidates": lines, "max_cost": None if call.max_cost is None else to_micros(call.max_cost), "cost": 0, "imputed": 0,
        "chosen_output": None, "output": None, "home": str(services.home), "owner": services.host.owner,
        "lease_until": now + LEASE, "trace": services.telemetry.here(), "error": None, "mock": int(services.mock),
        "created_at": now, "updated_at": now, "ended_at": None,
    }  # fmt: skip


def job_row(
    run_id: str, candidate: int, attempt: int, purchase: Purchase, scope: str, services: Services, now: float, spans: RunSpan
) -> dict[str, Any]:  # fmt: skip
    """The row of one submission that is about to be made. `spans`: of its run, which are told of it."""
    offer, request = purchase.offer, purchase.request
    assert request is not None
    assert purchase.route is not None
    endpoint, host = services.endpoint(offer.endpoint, offer.provider), services.host
    row = {
        "id": services.ids.new("job"), "run_id": run_id, "candidate": candidate, "attempt": attempt, "scope": scope,
        "endpoint": offer.endpoint, "account": endpoint.account, "provider": offer.provider, "model": offer.model,
        "task": purchase.route.task, "route": purchase.route.path, "state": State.RESERVED.value, "version": 0,
        "settings": as_json(purchase.settings), "settings_hash": purchase.fingerprint, "samples": purchase.samples,
        "seed": request.seed, "token": services.ids.token(), "outlives_caller": int(offer.outlives_caller),
        "find": offer.find, "owner": host.owner, "lease_until": now + LEASE, "host": host.name, "process": host.process,
        "polls": 0, "estimate_low": to_micros(purchase.low, up=True), "estimate": to_micros(purchase.expected, up=True),
        "estimate_high": to_micros(purchase.high, up=True), "billed": int(is_spending(purchase, services)),
        "price_as_of": str(offer.price.as_of or ""), "created_at": now, "updated_at": now,
    }  # fmt: skip
    return {**row, "trace": spans.job(row)}
