"""Rows as the engine writes them, with everything that may not be empty filled in."""

from __future__ import annotations

from typing import Any

from vidorch.ledger.ledger import Ledger
from vidorch.result import Job

NOW = 1_800_000_000.0


def run_row(name: str = "run_1", **more: Any) -> dict[str, Any]:
    """A run that was just begun."""
    return {
        "id": name, "kind": "generate", "scope": "default", "key": None, "state": "open", "version": 0,
        "request": '{"prompt": "a cat"}', "request_hash": "h", "plan": "{}", "estimate": "{}", "options": "{}", "tags": "{}",
        "notes": "[]", "candidates": 1, "cost": 0, "imputed": 0, "mock": 0, "created_at": NOW, "updated_at": NOW,
    } | more  # fmt: skip


def job_row(name: str = "job_1", run: str = "run_1", **more: Any) -> dict[str, Any]:
    """A job that was just reserved, at 2 USD with a high of 3."""
    return {
        "id": name, "run_id": run, "candidate": 0, "attempt": 0, "scope": "default", "endpoint": "fal", "account": "",
        "provider": "fal", "model": "kling", "task": "text-to-video", "route": "/kling", "state": "reserved", "version": 0,
        "settings": "{}", "settings_hash": "h", "samples": 1, "token": f"t-{name}", "outlives_caller": 1, "find": "none",
        "host": "here", "process": 1, "polls": 0, "estimate_low": 1_000_000, "estimate": 2_000_000, "estimate_high": 3_000_000,
        "billed": 1, "created_at": NOW, "updated_at": NOW,
    } | more  # fmt: skip


def a_job(ledger: Ledger, number: int = 1, **more: Any) -> Job:
    """Write down a run of one job and return the job."""
    run, job = f"run_{number}", f"job_{number}"
    ledger.record(run_row(run), [job_row(job, run, **more)], at=NOW).result()
    return found(ledger, job)


def found(ledger: Ledger, job: str) -> Job:
    """The job as the ledger has it now."""
    row = ledger.job(job)
    assert row is not None
    return row
