"""A provider that speaks a small protocol through `context.http`, run by the engine, down to a real MP4 and a settled job."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from tests.engine.scripted import VirtualClock, catalog, paid
from tests.http.server import Asked, Line, Server
from tests.remote.provider import clip_bytes
from vidorch import Client, InvalidRequest, Result, SubmissionUnknown, VidorchError
from vidorch.client.aio import AsyncClient
from vidorch.contract import (
    Accepted,
    Context,
    Done,
    ErrorRow,
    Health,
    Output,
    Polled,
    Prepared,
    Progress,
    Provider,
    Rejected,
)
from vidorch.errors import ProviderFailed, Throttled
from vidorch.live import VARIABLE

KEY = "sk-very-secret-key"


class Tiny(Provider):
    """POST /jobs, GET /jobs/ID, and a result at /files/ID.mp4."""

    name: ClassVar[str] = "test"
    errors = (ErrorRow("busy", "Throttled", True, False, True, "tests/http/test_provider.py"),)

    def __init__(self, base: str, bases: dict[str, str] | None = None) -> None:
        self.base = base
        self.bases = bases or {}

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        base = self.bases.get(prepared.offer.model, self.base)
        reply = await context.http.submit(
            "POST", f"{base}/jobs?token={KEY}", headers=self._key, json={"prompt": prepared.request.prompt}
        )
        said = reply.json()
        if reply.status == 429 and said["code"] == "busy":
            raise Rejected(Throttled("Busy.", code="busy"), retry_after=reply.retry_after)
        if not reply.ok:
            raise ProviderFailed(f"The vendor answered {reply.status}.", charged=None)
        return Accepted(said["id"])

    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        reply = await context.http.request("GET", f"{self.base}/jobs/{accepted.remote_id}", headers=self._key)
        said = reply.json()
        return Done((Output(0, said["url"]),)) if said["done"] else Progress("running", 0.5)

    async def fetch(self, context: Context, output: Output, path: Path) -> None:
        await context.http.download(output.ref, path, secret=self._key, own=[self.base])

    async def check(self, context: Context) -> Health:
        reply = await context.http.request("GET", f"{self.base}/jobs", headers=self._key)
        return Health(reply.ok)

    @property
    def _key(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {KEY}"}


class Vendor:
    """The other side: a job is done at its second look."""

    def __init__(self, server: Server) -> None:
        self.server = server
        server.app = self
        self.looks = 0
        self.at_submit: list[Callable[[Line], object]] = []
        """What becomes of the first submits, in order; the others are accepted."""

    @property
    def submits(self) -> list[Asked]:
        return [asked for asked in self.server.requests if asked.method == "POST"]

    def __call__(self, line: Line, asked: Asked) -> None:
        if asked.method == "POST":
            number = len(self.submits)
            if number <= len(self.at_submit):
                self.at_submit[number - 1](line)
            else:
                line.reply(200, json.dumps({"id": f"remote-{number}"}).encode())
        elif asked.target.startswith("/files/"):
            line.reply(200, clip_bytes("one"), content_type="video/mp4")
        else:
            self.looks += 1
            url = self.server.url("/files/1.mp4?signature=abc")
            line.reply(200, json.dumps({"done": self.looks > 1, "url": url}).encode())


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with Server() as server:
        yield Vendor(server)


class Owner(AsyncClient):
    """Closes the httpx client that it was given, in its own loop."""

    given: httpx.AsyncClient | None = None

    async def aclose(self) -> None:
        await super().aclose()
        if self.given is not None:
            await self.given.aclose()


@pytest.fixture
def client_of(
    tmp_path: Path, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, backend: str
) -> Callable[..., AsyncClient]:
    """A client of that vendor, that may really send: on either back end."""
    monkeypatch.setenv(VARIABLE, "1")

    def make(provider: Provider | None = None) -> AsyncClient:
        given = httpx.AsyncClient(trust_env=False) if backend == "httpx" else None
        client = Owner(
            home=tmp_path / "home", catalog=catalog(paid("basic"), paid("better")), clock=VirtualClock(),
            providers={"test": provider or Tiny(vendor.server.url("").rstrip("/"))}, http=given,
        )  # fmt: skip
        client.given = given
        return client

    return make


def generate(client: AsyncClient, model: Any = "test/basic", **more: Any) -> Result | VidorchError:
    """The result, or the error in its place."""

    async def go() -> Result | VidorchError:
        async with client:
            try:
                return await client.generate("a ball", model=model, **more)
            except VidorchError as error:
                return error

    return asyncio.run(go())


def states(client_of: Callable[..., AsyncClient]) -> list[str]:
    async def go() -> list[str]:
        async with client_of() as client:
            return [job.state for job in reversed(await client.jobs())]

    return asyncio.run(go())


class TestAJob:
    def test_is_settled(self, client_of: Callable[..., AsyncClient], vendor: Vendor) -> None:
        """Sent, looked at twice, fetched, checked: a clip that plays."""
        result = generate(client_of())
        assert isinstance(result, Result)
        assert (1, 8, ["settled"]) == (len(vendor.submits), result.clip.frames, states(client_of))

    def test_refused_connection_is_made_again(
        self, client_of: Callable[..., AsyncClient], vendor: Vendor
    ) -> None:
        """Nobody listens at first: the job is rejected, and a new one goes out two seconds later."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            nobody = f"http://127.0.0.1:{listener.getsockname()[1]}"
        provider = Tiny(vendor.server.url("").rstrip("/"))

        class Back(Tiny):
            async def submit(self, context: Context, prepared: Prepared) -> Accepted:
                self.bases = {"basic": nobody} if not tried else {}
                tried.append(context.job_id)
                return await super().submit(context, prepared)

        tried: list[str] = []
        result = generate(client_of(Back(provider.base)))
        assert isinstance(result, Result)
        assert (["rejected", "settled"], 1) == (states(client_of), len(vendor.submits))

    def test_refused_connection_falls_back(
        self, client_of: Callable[..., AsyncClient], vendor: Vendor
    ) -> None:
        """Where nobody ever listens, the next model of the list is asked, and paid once."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            nobody = f"http://127.0.0.1:{listener.getsockname()[1]}"
        provider = Tiny(vendor.server.url("").rstrip("/"), {"basic": nobody})
        result = generate(client_of(provider), model=["test/basic", "test/better"])
        assert isinstance(result, Result)
        assert ("better", 6, 1) == (
            result.clip.model,
            states(client_of).count("rejected"),
            len(vendor.submits),
        )

    @pytest.mark.parametrize("end", [Line.reset, Line.close], ids=["reset", "closed"])
    def test_a_lost_reply_is_unknown(
        self, client_of: Callable[..., AsyncClient], vendor: Vendor, end: Callable[[Line], None]
    ) -> None:
        """The vendor read it all and went away: the job is unknown, and nothing is sent again, nor to the next model."""
        vendor.at_submit = [end]
        error = generate(client_of(), model=["test/basic", "test/better"], retries=3)
        assert isinstance(error, SubmissionUnknown) and error.charged is None
        assert (1, ["unknown"]) == (len(vendor.submits), states(client_of))

    def test_a_gateway_page_is_unknown(self, client_of: Callable[..., AsyncClient], vendor: Vendor) -> None:
        """A 502 that is not the vendor's own word proves nothing."""
        vendor.at_submit = [
            lambda line: line.reply(502, b"<html>Bad gateway</html>", content_type="text/html")
        ]
        error = generate(client_of())
        assert isinstance(error, SubmissionUnknown)
        assert (1, ["unknown"]) == (len(vendor.submits), states(client_of))

    def test_the_vendors_own_word_is_believed(
        self, client_of: Callable[..., AsyncClient], vendor: Vendor
    ) -> None:
        """Its structured error and the delay that it names: a new job, once that is over."""
        vendor.at_submit = [lambda line: line.reply(429, b'{"code": "busy"}', retry_after="7")]
        result = generate(client_of())
        assert isinstance(result, Result)
        assert (2, ["rejected", "settled"]) == (len(vendor.submits), states(client_of))

    def test_keys_go_nowhere(
        self, client_of: Callable[..., AsyncClient], vendor: Vendor, tmp_path: Path
    ) -> None:
        """Neither the error of a lost submit nor the ledger has the key, or the query that it was in."""
        vendor.at_submit = [Line.reset]
        error = generate(client_of())
        kept = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
        assert (False, False) == (KEY in f"{error!r} {error}", KEY.encode() in kept)

    def test_check(self, client_of: Callable[..., AsyncClient], vendor: Vendor) -> None:
        """`check` has sockets as well."""

        async def go() -> Health:
            async with client_of() as client:
                return await client.check("test")

        assert asyncio.run(go()).ok


class TestTheBlockingFace:
    @pytest.mark.parametrize("injected", [False, True], ids=["own", "injected"])
    def test_generates(
        self, tmp_path: Path, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, injected: bool
    ) -> None:
        """The same through `Client`, on its own loop."""
        monkeypatch.setenv(VARIABLE, "1")
        with Client(
            home=tmp_path / "home", catalog=catalog(paid("basic")), clock=VirtualClock(),
            providers={"test": Tiny(vendor.server.url("").rstrip("/"))},
            http=httpx.AsyncClient(trust_env=False) if injected else None,
        ) as client:  # fmt: skip
            assert 8 == client.generate("a ball", model="test/basic").clip.frames

    def test_closes_what_it_was_given(self, tmp_path: Path) -> None:
        """An injected client belongs to that loop, and is closed with it."""
        given = httpx.AsyncClient()
        with Client(home=tmp_path / "home", http=given) as client:
            client.jobs()
        assert given.is_closed

    def test_async_leaves_it_open(self, tmp_path: Path) -> None:
        """`AsyncClient` leaves it to its owner."""

        async def go() -> bool:
            async with httpx.AsyncClient() as given:
                async with AsyncClient(home=tmp_path / "home", http=given) as client:
                    await client.jobs()
                return given.is_closed

        assert not asyncio.run(go())


class TestOptions:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("http", object()), ("http", "http://proxy"), ("proxy", "socks5://127.0.0.1:1"), ("proxy", "no proxy"),
            ("ca_bundle", "/nowhere/ca.pem"), ("private_hosts", ["http://minio/"]), ("private_hosts", ["127.1"]),
            ("private_hosts", [7]), ("local_inputs", "no"), ("input_urls", ["cdn"]),
            ("input_urls", ["https://a@b/"]), ("input_urls", [7]),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("face", [AsyncClient, Client])
    def test_that_cannot_be_used(self, face: Any, name: str, value: Any, tmp_path: Path) -> None:
        """Each is looked at when the client is made, and named."""
        with pytest.raises(InvalidRequest) as caught:
            face(home=tmp_path, **{name: value})
        assert name == caught.value.field

    @pytest.mark.parametrize("name", ["proxy", "ca_bundle"])
    def test_beside_an_injected_client(self, name: str, tmp_path: Path) -> None:
        """An httpx client has its own proxies and certificates."""
        with pytest.raises(InvalidRequest, match="has its own"):
            AsyncClient(home=tmp_path, http=httpx.AsyncClient(), **{name: "http://127.0.0.1:1"})

    def test_a_blocking_httpx_client(self, tmp_path: Path) -> None:
        """`httpx.Client` is not asynchronous, and is not taken."""
        with httpx.Client() as given, pytest.raises(InvalidRequest, match=r"httpx\.AsyncClient"):
            AsyncClient(home=tmp_path, http=given)  # type: ignore[arg-type]
