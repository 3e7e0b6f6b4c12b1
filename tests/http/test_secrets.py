"""No secret in anything that is said: errors with all that is behind them, the log, and every repr."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.http.calls import with_http
from tests.http.conftest import HttpOf
from tests.http.server import Line, Server
from vidorch.errors import VidorchError
from vidorch.http import Http

SECRETS = ("s3cret-key", "s3cret-query", "s3cret-user", "s3cret-fragment", "s3cret-body", "s3cret-cookie")
HEADERS = {"Authorization": "Bearer s3cret-key", "Cookie": "a=s3cret-cookie"}
URL = "http://s3cret-user:s3cret-user@127.0.0.1:{port}/v1/jobs?token=s3cret-query#s3cret-fragment"


def refused(line: Line) -> None:
    line.reset()


def cut(line: Line) -> None:
    line.ask()
    line.send(b"HTTP/1.1 200 OK\r\nset-cookie: s3cret-cookie\r\ncontent-length: 100\r\n\r\ns3cret-body")
    line.close()


def nonsense(line: Line) -> None:
    line.ask()
    line.send(b"s3cret-body\r\n\r\n")
    line.close()


def not_found(line: Line) -> None:
    line.ask()
    line.reply(404, b"s3cret-body", location="http://x/?s3cret-query")
    line.close()


def astray(line: Line) -> None:
    line.ask()
    line.reply(302, b"", location="ftp://s3cret-user@x/?s3cret-query")
    line.close()


CALLS: dict[str, Callable[[Http, str, Path], Any]] = {
    "submit": lambda h, url, path: h.submit(
        "POST", url, json={"a": "s3cret-body"}, headers={"Cookie": "a=s3cret-cookie"}
    ),
    "request": lambda h, url, path: h.request("GET", url, headers={"Cookie": "a=s3cret-cookie"}),
    "upload": lambda h, url, path: h.upload("PUT", url, b"s3cret-body", headers={"X-Key": "s3cret-key"}),
    "download": lambda h, url, path: h.download(
        url, path, secret={"X-Key": "s3cret-key"}, own=[url.partition("?")[0]]
    ),
}


def shown(error: BaseException) -> str:
    """All that a program, a log or a person gets to see of an error."""
    return "".join([repr(error), str(error), repr(vars(error)), *traceback.format_exception(error)])


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("take", [refused, cut, nonsense, not_found, astray], ids=lambda one: one.__name__)
def test_failures_tell_none(
    http_of: HttpOf, caplog: pytest.LogCaptureFixture, tmp_path: Path, call: str, take: Callable[[Line], None]
) -> None:
    """Whatever call it is and however it ends, with logging at its loudest."""

    async def use(http: Http) -> str:
        try:
            return repr(await CALLS[call](http, URL.format(port=server.port), tmp_path / "clip")) + repr(http)
        except VidorchError as error:
            cause = getattr(error, "cause", None)
            return shown(error) + (shown(cause) if cause else "") + repr(http)

    with caplog.at_level(logging.DEBUG), Server(take=take) as server:
        said = with_http(http_of(), use) + caplog.text
    assert [] == [secret for secret in SECRETS if secret in said]


@pytest.mark.parametrize(
    "url", ["http://s3cret-user@/?s3cret-query", "nonsense?s3cret-query", "http://[s3cret-query"]
)
def test_urls_that_cannot_be_read_tell_none(http_of: HttpOf, tmp_path: Path, url: str) -> None:
    """Not even what is wrong with a URL shows what is secret in it."""
    for call in CALLS.values():
        with pytest.raises(VidorchError) as caught:
            with_http(http_of(), lambda h, call=call: call(h, url, tmp_path / "clip"))  # type: ignore[misc]
        assert "s3cret" not in shown(caught.value)


def test_a_bad_header_is_not_shown(http_of: HttpOf, server: Server) -> None:
    """Its name is, its value is not."""
    with pytest.raises(VidorchError, match="authorization") as caught:
        with_http(http_of(), lambda h: h.request("GET", server.url(), headers={"authorization": "s3cret\n"}))
    assert "s3cret" not in f"{caught.value!r}{caught.value}{vars(caught.value)}"


class TestTheLog:
    def test_says_what_happened(
        self, http_of: HttpOf, server: Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Method, URL without query, status, seconds and bytes."""
        clock = iter([10.0, 10.25])
        with caplog.at_level(logging.DEBUG, "vidorch.http"):
            with_http(
                http_of(monotonic=lambda: next(clock)), lambda h: h.request("GET", server.url("/a?b=c"))
            )
        assert [f"GET {server.url('/a')}: 200 in 0.250 s, 2 bytes"] == [
            record.getMessage() for record in caplog.records if record.name == "vidorch.http"
        ]

    def test_says_what_failed(self, http_of: HttpOf, caplog: pytest.LogCaptureFixture) -> None:
        """And after how long."""
        clock = iter([10.0, 11.0])
        with (
            Server(take=refused) as server,
            caplog.at_level(logging.DEBUG, "vidorch.http"),
            pytest.raises(VidorchError),
        ):
            with_http(
                http_of(monotonic=lambda: next(clock)), lambda h: h.request("GET", server.url("/a?b=c"))
            )
        (line,) = [record.getMessage() for record in caplog.records if record.name == "vidorch.http"]
        assert line.startswith(f"GET {server.url('/a')}: ") and line.endswith(" after 1.000 s")
