"""The module-level calls: those of one `Client` per process, made at first use."""

from __future__ import annotations

import os
import threading
from typing import Unpack

from vidorch.call import EstimateOptions, Options
from vidorch.client import Client, Run
from vidorch.estimating import Estimate
from vidorch.planning import Plan
from vidorch.request import Request
from vidorch.result import Result

__all__ = ["estimate", "generate", "plan", "submit"]

_lock = threading.Lock()
_client: Client | None = None


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _default() -> Client:
    global _client
    with _lock:
        if _client is None:
            _client = Client()
        return _client


def generate(prompt: str | Request, **options: Unpack[Options]) -> Result:
    """Make a clip and wait for it. With no model named, the built-in one runs: no key, no GPU, no download, no cost.

    See `vidorch.AsyncClient.generate`, and `vidorch.Request` for every field.
    """
    return _default().generate(prompt, **options)


def submit(prompt: str | Request, **options: Unpack[Options]) -> Run:
    """Start a run and return its handle. See `vidorch.AsyncClient.submit`."""
    return _default().submit(prompt, **options)


def estimate(prompt: str | Request, **options: Unpack[EstimateOptions]) -> Estimate:
    """What a request would cost and how long it would take. Spends nothing, needs no key and no network."""
    return _default().estimate(prompt, **options)


def plan(prompt: str | Request, **options: Unpack[EstimateOptions]) -> Plan:
    """The offers that can serve a request, in order, and for each one left out the reason. Spends nothing."""
    return _default().plan(prompt, **options)
