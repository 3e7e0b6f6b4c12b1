"""`vidorch.testing.servers.postman`: webhooks come by themselves, over real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest

from tests.servers.plain import send
from vidorch.errors import InvalidRequest
from vidorch.testing.servers import ProtocolServer, serve
from vidorch.testing.servers.postman import Postman

FAL = "fal-ai/kling-video/v3/pro/text-to-video"
KLING = "text-to-video/kling-3.0"


class Receiver:
    """Somebody's web server: takes what is posted to it, and answers with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.came: list[tuple[str, dict[str, str], Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.came.append((self.path, {**self.headers}, json.loads(body)))
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    Thread(target=made.http.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture
def fal() -> Iterator[ProtocolServer]:
    pytest.importorskip("cryptography")
    with serve("fal") as server:
        yield server


def submit(server: ProtocolServer, hook: str) -> None:
    where = f"{server.url}/{FAL}?fal_webhook={quote(hook, safe='')}"
    reply = send("POST", where, {"prompt": "a red ball"}, key=f"Key {server.key}")
    assert reply.status == 200, reply.body


class TestPostman:
    """`due` is what its thread does, again and again."""

    def test_a_job_is_told_of_though_nobody_looks_at_it(
        self, fal: ProtocolServer, receiver: Receiver
    ) -> None:
        """With the vendor's own body and signature, once."""
        postman = Postman(fal)
        submit(fal, f"{receiver.url}/hook?token=abc")
        assert [1, 0] == [postman.due(), postman.due()]
        ((path, headers, body),) = receiver.came
        assert ("/hook?token=abc", fal.jobs[0].id, "OK") == (path, body["request_id"], body["status"])
        assert "X-Fal-Webhook-Signature" in headers

    def test_not_before_its_time(self, fal: ProtocolServer, receiver: Receiver) -> None:
        """By the server's clock."""
        fal.now = lambda: 1_000.0
        fal.next(seconds=60)
        submit(fal, receiver.url)
        before = Postman(fal).due()
        fal.now = lambda: 1_060.0
        assert (0, 1) == (before, Postman(fal).due())

    def test_a_failure_is_told_too(self, fal: ProtocolServer, receiver: Receiver) -> None:
        """As fal tells it."""
        fal.next(ending="failed", code="no_media_generated")
        submit(fal, receiver.url)
        Postman(fal).due()
        assert "ERROR" == receiver.came[0][2]["status"]

    def test_a_job_without_a_webhook_is_left_alone(self, fal: ProtocolServer) -> None:
        """It ends when it is looked at, as ever."""
        send("POST", f"{fal.url}/{FAL}", {"prompt": "a red ball"}, key=f"Key {fal.key}")
        assert (0, False) == (Postman(fal).due(), fal.jobs[0].over)

    def test_what_is_not_taken_comes_three_times(self, fal: ProtocolServer, receiver: Receiver) -> None:
        """And each time is told, without the token."""
        told: list[str] = []
        receiver.status = 500
        postman = Postman(fal, tell=told.append)
        submit(fal, f"{receiver.url}/hook?token=abc")
        assert [0] * 5 == [postman.due() for _ in range(5)]
        assert [f"webhook of {fal.jobs[0].id} to {receiver.url}/hook: 500"] * 3 == told

    def test_nobody_there_is_told(self, fal: ProtocolServer) -> None:
        """It is no error of the server's."""
        told: list[str] = []
        submit(fal, "http://127.0.0.1:9/hook")
        assert 0 == Postman(fal, tell=told.append).due()
        assert "to http://127.0.0.1:9/hook: " in told[0]

    def test_it_can_be_sent_here_instead(self, receiver: Receiver) -> None:
        """What goes to a public URL, as Replicate demands, reaches this machine, with the token of the job."""
        with serve("replicate") as server:
            where = f"{server.url}/v1/models/kwaivgi/kling-v3-video/predictions"
            body = {"input": {"prompt": "x"}, "webhook": "https://example.com/away?token=abc"}
            send("POST", where, body, key=f"Bearer {server.key}")
            assert 1 == Postman(server, forward_to=f"{receiver.url}/here").due()
        path, _, said = receiver.came[0]
        assert ("/here?token=abc", "succeeded") == (path, said["status"])

    def test_a_vendor_that_sends_none_is_refused(self) -> None:
        """Before anything is served."""
        with pytest.raises(InvalidRequest, match="runway sends no webhooks"):
            Postman(serve("runway"), forward_to="http://127.0.0.1:1")
