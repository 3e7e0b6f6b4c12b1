"""Polls, cancels and lists: cheap, bounded, and never repeated here."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.http.calls import with_http
from tests.http.conftest import Certificates, HttpOf
from tests.http.server import Line, Server
from vidorch.errors import BadMedia, InvalidRequest, ProviderFailed, VidorchError
from vidorch.http import Http, Part, Reply
from vidorch.http.bodies import Body, body_of


def ask(http: Http, url: str, method: str = "GET", **more: Any) -> Reply | VidorchError:
    """The reply to one request, or the error in its place."""

    async def use(h: Http) -> Reply | VidorchError:
        try:
            return await h.request(method, url, **({"timeout": 20.0} | more))
        except VidorchError as error:
            return error

    return with_http(http, use)


class TestRequest:
    def test_uses_a_connection_again(self, http_of: HttpOf, tls: Any) -> None:
        """Ten polls in a row are one connection."""

        async def use(http: Http) -> None:
            for _ in range(10):
                await http.request("GET", server.url())

        with Server(tls=tls) as server:
            with_http(http_of(), use)
            assert (10, 1) == (len(server.requests), server.connections)

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
    def test_is_not_repeated(self, http_of: HttpOf, method: str) -> None:
        """Neither a look nor a cancel goes out twice: the engine decides on that."""

        def dies(line: Line) -> None:
            asked.append(line.ask())
            line.close()

        asked: list[Any] = []
        with Server(take=dies) as server:
            error = ask(http_of(), server.url(), method)
        assert isinstance(error, ProviderFailed) and (1, False, True) == (
            len(asked),
            error.charged,
            error.retryable,
        )

    def test_is_not_repeated_on_a_connection_that_was_kept(self, http_of: HttpOf) -> None:
        """Nor where the first of two on one connection was answered."""

        def once(line: Line) -> None:
            asked.append(line.ask())
            line.reply()
            asked.append(line.ask())
            line.close()

        async def use(http: Http) -> Any:
            await http.request("GET", server.url())
            return (await asyncio.gather(http.request("DELETE", server.url()), return_exceptions=True))[0]

        asked: list[Any] = []
        with Server(take=once) as server:
            error = with_http(http_of(), use)
        assert isinstance(error, ProviderFailed) and 2 == len(asked)

    def test_gives_redirects_back(self, http_of: HttpOf, server: Server) -> None:
        """Credentials do not travel by themselves."""
        server.app = lambda line, asked: line.reply(302, b"", location="/else")
        reply = ask(http_of(), server.url())
        assert isinstance(reply, Reply) and (302, 1) == (reply.status, len(server.requests))

    def test_a_reply_that_is_too_long(self, http_of: HttpOf, server: Server) -> None:
        """More than `most` bytes is an error, not memory."""
        server.app = lambda line, asked: line.reply(200, bytes(1001))
        error = ask(http_of(), server.url(), most=1000)
        assert isinstance(error, ProviderFailed) and "1,000" in error.message

    def test_a_reply_without_end(self, http_of: HttpOf) -> None:
        """Also where the server does not say how long it is."""

        def endless(line: Line) -> None:
            line.ask()
            line.send(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                line.send(bytes(65536))

        with Server(take=endless) as server:
            assert isinstance(ask(http_of(), server.url(), most=100_000), ProviderFailed)

    def test_a_reply_that_never_comes(self, http_of: HttpOf) -> None:
        """Is not waited for longer than `timeout`."""
        with Server(app=lambda line, asked: None) as server:
            error = ask(http_of(), server.url(), timeout=0.3)
        assert isinstance(error, ProviderFailed) and "in time" in error.message

    def test_many_at_once(self, http_of: HttpOf, server: Server) -> None:
        """A hundred at the same time all get their answer."""

        async def use(http: Http) -> list[int]:
            replies = await asyncio.gather(*(http.request("GET", server.url()) for _ in range(100)))
            return [reply.status for reply in replies]

        assert [200] * 100 == with_http(http_of(), use)

    @pytest.mark.parametrize("method", ["", "GET x", "GET\r\n", 7])
    def test_a_method_that_is_none(self, http_of: HttpOf, server: Server, method: Any) -> None:
        """Is said as a mistake in the call."""
        assert isinstance(ask(http_of(), server.url(), method), InvalidRequest)


class TestAForm:
    def test_arrives(self, http_of: HttpOf, server: Server, tmp_path: Path) -> None:
        """Text, bytes and a file, as `multipart/form-data` with its length."""
        from email.parser import BytesParser

        picture = tmp_path / 'pic"ture.png'
        picture.write_bytes(bytes(range(256)) * 2000)
        parts = [
            Part("prompt", "a bäll"), Part("seed", b"7", media_type="text/plain"), Part("image", picture, media_type="image/png"),
            Part("mask", b"mask", filename="m.png"),
        ]  # fmt: skip
        with_http(http_of(), lambda h: h.submit("POST", server.url(), parts=parts))
        (asked,) = server.requests
        head = f"content-type: {asked.headers['content-type']}\r\n\r\n".encode()
        message = BytesParser().parsebytes(head + asked.body)
        found = [
            (part.get_param("name", header="content-disposition"), part.get_filename(), part.get_payload(decode=True))
            for part in message.get_payload()  # type: ignore[union-attr]
        ]  # fmt: skip
        assert [
            ("prompt", None, "a bäll".encode()), ("seed", None, b"7"), ("image", "pic%22ture.png", picture.read_bytes()),
            ("mask", "m.png", b"mask"),
        ] == found  # fmt: skip

    def test_names_cannot_break_out(self) -> None:
        """A name with quotes and line ends stays one name."""
        body = body_of(parts=[Part('a"\r\nX: y', "v")]).whole
        assert body is not None and b'name="a%22%0D%0AX: y"' in body


class TestABody:
    def test_only_one(self) -> None:
        """Two bodies are none."""
        with pytest.raises(InvalidRequest, match="json and data"):
            body_of(json={}, data=b"")

    def test_a_file_that_grows(self, tmp_path: Path) -> None:
        """What was said to be 3 bytes long and is longer, or shorter, is not sent as if it were."""
        path = tmp_path / "x"
        path.write_bytes(b"abc")

        async def read(length: int) -> bytes:
            return b"".join([block async for block in Body((path,), length).blocks()])

        assert b"abc" == asyncio.run(read(3))
        for length in (2, 4):
            with pytest.raises(BadMedia, match="changed its size"):
                asyncio.run(read(length))

    def test_a_file_that_goes_away_while_it_is_sent(
        self, http_of: HttpOf, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The error is the file's, not the network's."""
        path = tmp_path / "x"
        path.write_bytes(b"abc")
        monkeypatch.setattr("vidorch.http.sockets.file_body", lambda source: Body((path,), 4))
        with pytest.raises(BadMedia, match="changed its size"):
            with_http(http_of(), lambda h: h.upload("PUT", server.url(), path, timeout=20.0))


class TestReply:
    def test_json(self) -> None:
        """The body, read."""
        assert {"a": [1, None]} == Reply(200, {}, json.dumps({"a": [1, None]}).encode()).json()

    @pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"{", b"[" * 200_000])
    def test_no_json(self, body: bytes) -> None:
        """A gateway's page after a submit: nobody can tell."""
        with pytest.raises(ProviderFailed, match="not JSON") as caught:
            Reply(502, {}, body, "https://api.test/v1").json()
        assert caught.value.charged is None

    def test_text(self) -> None:
        """Bytes that are no UTF-8 do not raise."""
        assert "a\ufffd" == Reply(200, {}, b"a\xff").text()

    @pytest.mark.parametrize(("status", "ok"), [(199, False), (200, True), (299, True), (300, False)])
    def test_ok(self, status: int, ok: bool) -> None:
        """200 to 299."""
        assert ok == Reply(status, {}, b"").ok

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({}, None), ({"retry-after": "7"}, 7.0), ({"retry-after": "1.5"}, 1.5), ({"retry-after": "-1"}, None),
            ({"retry-after": "nan"}, None), ({"retry-after": "soon"}, None), ({"retry-after": "inf"}, None),
            ({"retry-after": "Wed, 25 Nov 2026 12:01:00 GMT", "date": "Wed, 25 Nov 2026 12:00:00 GMT"}, 60.0),
            ({"retry-after": "Wed, 25 Nov 2026 11:00:00 GMT", "date": "Wed, 25 Nov 2026 12:00:00 GMT"}, 0.0),
            ({"retry-after": "Wed, 25 Nov 2026 11:00:00 GMT"}, None),
        ],
    )  # fmt: skip
    def test_retry_after(self, headers: dict[str, str], seconds: float | None) -> None:
        """Seconds, or a day by the server's own clock."""
        assert seconds == Reply(429, headers, b"").retry_after

    def test_date(self) -> None:
        """The vendor's own clock."""
        assert 1_795_608_000.0 == Reply(200, {"date": "Wed, 25 Nov 2026 12:00:00 GMT"}, b"").date

    def test_repr_shows_nothing(self) -> None:
        """Neither headers nor body."""
        assert "Reply(200, 6 bytes)" == repr(Reply(200, {"set-cookie": "s"}, b"secret"))


class TestOfAnAddressThatAReplyNamed:
    """`own=`: where an upload is to go, by a vendor's word."""

    @pytest.mark.parametrize(
        "url",
        ["https://127.0.0.1:1/x", "https://169.254.169.254/x", "https://[::1]:1/x", "https://2130706433/x"],
    )
    def test_it_does_not_lead_into_a_private_network(self, http_of: HttpOf, url: str) -> None:
        """Whoever can make the reply would otherwise write to whatever only this machine can reach."""
        error = ask(http_of(), url, "POST", data=b"x", own=["https://vendor.test"])
        assert isinstance(error, ProviderFailed) and "not public" in str(error)

    def test_a_name_that_leads_there_is_refused_too(self, http_of: HttpOf) -> None:
        """After it was looked up."""

        async def inside(host: str, port: int) -> list[str]:
            return ["10.0.0.1"]

        error = ask(
            http_of(lookup=inside), "https://bucket.test/x", "POST", data=b"x", own=["https://vendor.test"]
        )
        assert isinstance(error, ProviderFailed) and "not public" in str(error)

    def test_it_is_encrypted(self, http_of: HttpOf, server: Server) -> None:
        """What is private is shown to nobody on the way."""
        error = ask(
            http_of(private_hosts=["127.0.0.1"]), server.url(), "POST", data=b"x", own=["https://vendor.test"]
        )
        assert isinstance(error, ProviderFailed) and "not https" in str(error)
        assert [] == server.requests

    def test_it_may_be_allowed(self, http_of: HttpOf, certificates: Certificates) -> None:
        """As for results."""
        with Server(tls=certificates.good()) as server:
            reply = ask(
                http_of(private_hosts=["127.0.0.1"]),
                server.url(),
                "POST",
                data=b"x",
                own=["https://vendor.test"],
            )
        assert isinstance(reply, Reply) and reply.ok

    def test_the_endpoints_own_address_is_as_it_is(self, http_of: HttpOf, server: Server) -> None:
        """Also in a private network, and in plain."""
        assert isinstance(ask(http_of(), server.url(), "POST", data=b"x", own=[server.url()]), Reply)
