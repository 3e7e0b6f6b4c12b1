"""The library's faces: `AsyncClient`, and `Client`, a thin blocking face over it."""

from __future__ import annotations

from vidorch.client.aio import AsyncClient, AsyncRun
from vidorch.client.blocking import Client, Run

__all__ = ["AsyncClient", "AsyncRun", "Client", "Run"]
