"""`client.newer_prices(source)`: from a URL, and from fal's own API of prices."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest

from vidorch import AsyncClient, Client
from vidorch.errors import CatalogError, InvalidRequest, MissingCredentials, ProviderFailed, Throttled
from vidorch.testing.servers.fal import Fal

ROW = {"litellm_provider": "runwayml", "mode": "video_generation", "output_cost_per_second": 0.13}


class Page(BaseHTTPRequestHandler):
    """Says what a test put down, whatever the path."""

    status: ClassVar[int] = 200
    body: ClassVar[bytes] = b""
    headers_sent: ClassVar[dict[str, str]] = {}

    def do_GET(self) -> None:
        self.send_response(self.status)
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def page() -> type[Page]:
    Page.status, Page.body, Page.headers_sent = 200, json.dumps({"runwayml/gen4.5": ROW}).encode(), {}
    return Page


@pytest.fixture
def url(page: type[Page]) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/map.json?token=secret"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client() -> Iterator[Client]:
    with Client() as client:
        yield client


@pytest.fixture
def fal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fal]:
    with Fal() as server:
        monkeypatch.setenv("VIDORCH_FAL_BASE_URL", server.url)
        monkeypatch.setenv("FAL_KEY", server.key)
        yield server


class TestOfAUrl:
    def test_is_of_today(self, client: Client, url: str) -> None:
        """What a URL says, it says today; its query is nobody's business."""
        found = client.newer_prices(url)
        assert (Decimal("0.13"), datetime.now(UTC).date()) == (found.changes[0].new, found.as_of)
        assert "secret" not in str(found.to_dict())

    def test_of_an_async_client(self, url: str) -> None:
        """The same."""

        async def look() -> str:
            async with AsyncClient() as client:
                return (await client.newer_prices(url)).changes[0].offer

        assert "runway/gen4.5" == asyncio.run(look())

    def test_nothing_is_written_by_looking(self, client: Client, url: str) -> None:
        """`save` writes."""
        found = client.newer_prices(url)
        assert not found.path.exists()
        assert found.save().exists()

    def test_too_large(self, client: Client, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """No more is read than a map of prices can have."""
        monkeypatch.setattr("vidorch.catalog.litellm.LARGEST", 50)
        with pytest.raises(ProviderFailed):
            client.newer_prices(url)

    @pytest.mark.parametrize("status", [404, 500])
    def test_that_fails(self, client: Client, url: str, page: type[Page], status: int) -> None:
        """The status is told; nothing was paid, and nothing changed."""
        page.status = status
        with pytest.raises(
            ProviderFailed, match=f"answered {status}, and no prices. Nothing was changed"
        ) as raised:
            client.newer_prices(url)
        assert (False, "secret" in str(raised.value)) == (raised.value.charged, False)

    def test_that_leads_elsewhere(self, client: Client, url: str, page: type[Page]) -> None:
        """It is not followed: where prices come from is for a person to say."""
        page.status, page.headers_sent = 302, {"location": "https://elsewhere.example/map.json"}
        with pytest.raises(ProviderFailed) as raised:
            client.newer_prices(url)
        assert "https://elsewhere.example/map.json" in raised.value.hint

    def test_that_is_no_map(self, client: Client, url: str, page: type[Page]) -> None:
        """A page for people is none."""
        page.body = b"<html>"
        with pytest.raises(CatalogError, match="no JSON"):
            client.newer_prices(url)

    @pytest.mark.parametrize(
        "source", ["http://example.com/map.json", "ftp://example.com/a", "https://", "file:///etc/passwd"]
    )
    def test_that_anybody_could_change(self, client: Client, source: str) -> None:
        """Prices come by https alone, except from this very machine."""
        with pytest.raises(InvalidRequest, match="https alone"):
            client.newer_prices(source)

    @pytest.mark.parametrize("source", [b"map.json", ""])
    def test_that_is_none(self, client: Client, source: Any) -> None:
        """A source is a path, a URL or an endpoint."""
        with pytest.raises(InvalidRequest, match="an https URL, or an endpoint"):
            client.newer_prices(source)


class TestOfFal:
    def test_asks_for_what_it_knows(self, client: Client, fal: Fal) -> None:
        """One name that fal does not know is a 404 for all that were asked with it; the others are found all the same."""
        known = {
            name: price for name, price in fal.prices.items() if name.startswith("fal-ai/kling-video/v3/4k/")
        }
        fal.prices = dict.fromkeys(known, (0.4, "seconds"))
        found = client.newer_prices("fal")
        assert {"fal/kling-3.0-4k": Decimal("0.4")} == {one.offer: one.new for one in found.changes}
        untold = {
            one.offer: one.reason for one in found.left_alone if "may not know it any more" in one.reason
        }
        assert "fal-ai/veo3.1" in untold["fal/veo-3.1"]
        assert "fal/kling-3.0-4k" not in untold

    def test_reads_every_page(self, client: Client, fal: Fal) -> None:
        """However few prices a page has."""
        whole = client.newer_prices("fal")
        fal.prices_per_page = 1
        assert whole == client.newer_prices("fal")

    def test_other_units(self, client: Client, fal: Fal) -> None:
        """What is not counted in seconds is no rate."""
        for name in [name for name in fal.prices if name.startswith("fal-ai/kling-video/v3/4k/")]:
            fal.prices[name] = (2, "videos")
        found = client.newer_prices("fal")
        assert "the source counts videos in USD, not seconds in USD" in {
            one.reason for one in found.left_alone
        }

    def test_tasks_that_differ(self, client: Client, fal: Fal) -> None:
        """One price here cannot be two there."""
        fal.prices["fal-ai/kling-video/v3/4k/text-to-video"] = (0.9, "seconds")
        found = client.newer_prices("fal")
        assert ("fal/kling-3.0-4k", "the source's prices differ by task, and here they do not") in {
            (one.offer, one.reason) for one in found.left_alone
        }

    def test_without_a_key(self, client: Client, fal: Fal, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody is asked."""
        monkeypatch.delenv("FAL_KEY")
        with pytest.raises(MissingCredentials, match="customers alone"):
            client.newer_prices("fal")

    def test_with_a_key_that_is_not_taken(
        self, client: Client, fal: Fal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """fal's own word, without the key."""
        monkeypatch.setenv("FAL_KEY", "wrong-key:wrong-secret")
        with pytest.raises(MissingCredentials) as raised:
            client.newer_prices("fal")
        assert "wrong" not in str(raised.value)

    def test_that_has_no_time(self, client: Client, fal: Fal) -> None:
        """Typed, as everywhere."""
        fal.fail("pricing", "error-429")
        with pytest.raises(Throttled):
            client.newer_prices("fal")

    @pytest.mark.parametrize("body", [b"[]", b'{"prices": [{"endpoint_id": "a"}]}', b'{"prices": 3}', b"no"])
    def test_that_answers_something_else(
        self, client: Client, page: type[Page], url: str, monkeypatch: pytest.MonkeyPatch, body: bytes
    ) -> None:
        """That is no price of anything."""
        page.body = body
        monkeypatch.setenv("VIDORCH_FAL_BASE_URL", url.partition("/map")[0])
        monkeypatch.setenv("FAL_KEY", "a:b")
        with pytest.raises(ProviderFailed):
            client.newer_prices("fal")
