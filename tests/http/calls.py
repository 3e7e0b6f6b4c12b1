"""What came of one call, for tests that look at that alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from vidorch.errors import VidorchError
from vidorch.http import Http, Reply

__all__ = ["outcome", "run", "with_http"]

T = TypeVar("T")


def with_http(http: Http, use: Callable[[Http], Awaitable[T]]) -> T:
    """What `use` gives, in a loop of its own."""

    async def go() -> T:
        try:
            return await use(http)
        finally:
            await http.aclose()
            if (given := http._exchange._client) is not None:
                await given.aclose()

    return asyncio.run(go())


def run(http: Http, url: str, **more: Any) -> Reply:
    """The reply to one submit."""
    more = {"json": {"prompt": "a ball"}, "timeout": 20.0} | more
    return with_http(http, lambda h: h.submit("POST", url, **more))


def outcome(http: Http, url: str, **more: Any) -> VidorchError | Reply:
    """The reply to one submit, or the error in its place."""
    try:
        return run(http, url, **more)
    except VidorchError as error:
        return error
