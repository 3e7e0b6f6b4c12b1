"""The door of the room: what it exports, what it loads, and that time in tests stands while a reply is waited for."""

from __future__ import annotations

import asyncio

import pytest

import vidorch.http
from tests.http.calls import with_http
from tests.http.conftest import HttpOf
from tests.http.server import Server
from tests.test_import_light import loaded_by
from vidorch import offloop
from vidorch.http import Http
from vidorch.testing.clock import VirtualClock


class TestTheDoor:
    def test_exact(self) -> None:
        """What providers may use, and no more."""
        assert ["Download", "Http", "Part", "Reply"] == vidorch.http.__all__

    @pytest.mark.parametrize("name", vidorch.http.__all__)
    def test_importable(self, name: str) -> None:
        """Every name can be had."""
        assert name == getattr(vidorch.http, name).__name__

    def test_an_unknown_name(self) -> None:
        """A name that is not there is an AttributeError that names it."""
        with pytest.raises(AttributeError, match="'get'"):
            vidorch.http.get  # noqa: B018

    @pytest.mark.parametrize(
        "code", ["import vidorch.http; vidorch.http.Http()", "import vidorch; vidorch.Client()"]
    )
    def test_loads_no_network_library(self, code: str) -> None:
        """Making one, or a client with one, loads neither aiohttp nor httpx: the first call does."""
        assert set() == loaded_by(code) & {"aiohttp", "certifi", "httpcore", "httpx", "yarl"}


def test_time_in_tests_stands(http_of: HttpOf, server: Server) -> None:
    """A clock that jumps when nothing is done does not jump while a reply is on its way."""
    clock = VirtualClock()

    async def use(http: Http) -> bool:
        await http.request("GET", server.url())
        sleeper = asyncio.ensure_future(clock.sleep(60))
        await asyncio.sleep(0)
        await http.request("GET", server.url())
        woke = sleeper.done()
        sleeper.cancel()
        return woke

    before = offloop.watch(clock)
    try:
        assert not with_http(http_of(), use)
    finally:
        offloop.watch(before)
