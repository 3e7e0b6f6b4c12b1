"""fal-client finds in our server the service that it was written for."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from tests.servers.packages import run
from vidorch.testing.servers import Fate
from vidorch.testing.servers.fal import Fal

pytestmark = pytest.mark.slow

PIN = "fal-client==1.0.3"
CLIENT = """
import json, os, time
import fal_client.client as c
c.REST_URL = c.CDN_URL = os.environ["URL"]      # these two are no settings; the queue's host is
client = c.SyncClient(key=os.environ["KEY"])
APP = "fal-ai/kling-video/v3/pro/text-to-video"
GIVEN = {"prompt": "a red ball", "duration": "5", "generate_audio": False}
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's context, and the authority that vouches for it: the package speaks https only."""
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    return context, path


@pytest.fixture
def server(authority: tuple[ssl.SSLContext, Path]) -> Iterator[Fal]:
    with Fal(tls=authority[0]) as server:
        yield server


@pytest.fixture
def package(server: Fal, authority: tuple[ssl.SSLContext, Path]) -> Any:
    """Runs code with a client of the package at the server."""

    def call(code: str, **variables: str) -> Any:
        host = urlsplit(server.url).netloc
        return run(
            PIN, code=CLIENT + code, URL=server.url, KEY=server.key, FAL_RUN_HOST=host, FAL_QUEUE_RUN_HOST=host,
            SSL_CERT_FILE=str(authority[1]), **variables,
        )  # fmt: skip

    return call


def test_a_clip_is_made(server: Fal, package: Any) -> None:
    """subscribe() goes through all three words and gives the result."""
    server.next(looks=2)
    code = """
seen = []
result = client.subscribe(APP, GIVEN, with_logs=True, interval=0.01, on_queue_update=lambda s: seen.append(type(s).__name__))
content = c.httpx.get(result["video"]["url"]).content
print(json.dumps([seen, result["video"]["content_type"], len(content), content[4:8].decode()]))
"""
    seen, media_type, size, box = package(code)
    assert (["Queued", "InProgress", "Completed"], "video/mp4", "ftyp") == (seen, media_type, box)
    assert size == len(server.clip(server.jobs[0], 0))


def test_a_request_is_found_again_by_its_id(server: Fal, package: Any) -> None:
    """The package cuts the endpoint to two segments, and those are the server's."""
    code = """
handle = client.submit(APP, GIVEN, webhook_url="https://example.com/hook", priority="low", start_timeout=30)
again = client.get_handle(APP, handle.request_id)
print(json.dumps([again.status_url == handle.status_url, again.response_url == handle.response_url,
                  again.cancel_url == handle.cancel_url, client.status(APP, handle.request_id).__class__.__name__]))
"""
    assert [True, True, True, "InProgress"] == package(code)
    job = server.jobs[0]
    assert ("https://example.com/hook", "low", "30.0") == (
        job.more["webhook"], job.headers["x-fal-queue-priority"], job.headers["x-fal-request-timeout"],
    )  # fmt: skip


def test_a_request_is_cancelled(server: Fal, package: Any) -> None:
    """In the queue; a second time it is over."""
    code = """
handle = client.submit(APP, GIVEN)
handle.cancel()
status = handle.status()
try:
    handle.cancel()
    print(json.dumps("taken"))
except c.FalClientHTTPError as e:
    print(json.dumps([status.error_type, e.status_code]))
"""
    assert ["client_cancelled", 400] == package(code)


@pytest.mark.parametrize(
    ("given", "kind"), [('{"prompt": "x", "duration": 5}', "string_type"), ('{"prompt": "x", "size": "1x1"}', "extra_forbidden"), ("{}", "value_error")]
)  # fmt: skip
def test_a_wrong_input_is_refused(server: Fal, package: Any, given: str, kind: str) -> None:
    """A 422 whose message is a list."""
    code = f"""
try:
    client.submit(APP, {given})
    print(json.dumps("taken"))
except c.FalClientHTTPError as e:
    print(json.dumps([e.status_code, e.message[0]["type"]]))
"""
    assert [422, kind] == package(code)
    assert (0, 1) == (len(server.jobs), server.count("submit"))


@pytest.mark.parametrize(
    ("fate", "expected"),
    [
        (Fate("refused"), [422, "content_policy_violation", None, "false"]),
        (Fate("failed", code="startup_timeout"), [504, None, "startup_timeout", None]),
    ],
)
def test_a_failure_is_the_result(server: Fal, package: Any, fate: Fate, expected: list[Any]) -> None:
    """COMPLETED, and then the model's or the infrastructure's own error."""
    server.next(fate)
    code = """
handle = client.submit(APP, GIVEN)
try:
    handle.get(interval=0.01)
    print(json.dumps("made"))
except c.FalClientHTTPError as e:
    kind = e.message[0]["type"] if isinstance(e.message, list) else None
    print(json.dumps([e.status_code, kind, e.error_type, e.response_headers.get("x-fal-retryable")]))
"""
    assert expected == package(code)


def test_files_are_uploaded(server: Fal, package: Any) -> None:
    """By a token, to a public URL; and the older way, by a signed one."""
    code = """
first = client.upload(b"one", "image/png", "a.png")
second = client.upload(b"two", "image/png", "b.png", repository="fal")
print(json.dumps([c.httpx.get(url).text for url in (first, second)]))
"""
    assert ["one", "two"] == package(code)
    assert ["a.png", "b.png"] == [part.filename for part in server.uploads.values()]


def test_an_upload_that_fails_goes_the_older_way(server: Fal, package: Any) -> None:
    """The package falls back by itself."""
    server.fail("upload", "error-500")
    code = """
url = client.upload(b"one", "image/png", "a.png")
print(json.dumps(c.httpx.get(url).text))
"""
    assert "one" == package(code)
    assert (1, 1) == (server.count("upload"), server.count("initiate"))


def test_large_files_come_in_parts(server: Fal, package: Any) -> None:
    """Here from one byte above 20 on, in parts of 10."""
    code = """
c.MULTIPART_THRESHOLD, c.MULTIPART_CHUNK_SIZE = 20, 10
url = client.upload(bytes(range(25)), "video/mp4", "a.mp4")
print(json.dumps(list(c.httpx.get(url).content) == list(range(25))))
"""
    assert package(code)
    assert (3, 1) == (server.count("part"), server.count("complete"))


@pytest.mark.parametrize("fault", ["reset-after", "gateway-502-taken"])
def test_the_package_itself_pays_ten_times_for_one_lost_reply(server: Fal, package: Any, fault: str) -> None:
    """Why vidorch sends its submits itself."""
    server.fail("submit", fault, times=10)
    code = """
time.sleep = lambda seconds: None
try:
    client.submit(APP, GIVEN)
    print(json.dumps("taken"))
except Exception:
    print(json.dumps("lost"))
"""
    assert "lost" == package(code)
    assert 10 == len(server.jobs)


def test_its_own_errors_are_not_sent_again(server: Fal, package: Any) -> None:
    """A 503 with an id of the request is fal's own."""
    server.fail("submit", "error-503")
    code = """
try:
    client.submit(APP, GIVEN)
    print(json.dumps("taken"))
except c.FalClientHTTPError as e:
    print(json.dumps([e.status_code, e.error_type]))
"""
    assert [503, "runner_scheduling_failure"] == package(code)
    assert 1 == server.count("submit")


def test_a_locked_balance(server: Fal, package: Any) -> None:
    """Looks like a missing right."""
    server.locked = True
    code = """
try:
    client.submit(APP, GIVEN)
    print(json.dumps("taken"))
except c.FalClientHTTPError as e:
    print(json.dumps([e.status_code, "balance" in e.message]))
"""
    assert [403, True] == package(code)


def test_the_async_client(server: Fal, package: Any) -> None:
    """Speaks the same."""
    code = """
import asyncio
async def main():
    other = c.AsyncClient(key=os.environ["KEY"])
    image = await other.upload(b"png", "image/png")
    result = await other.subscribe("fal-ai/kling-video/v3/pro/image-to-video", {"prompt": "x", "start_image_url": image}, interval=0.01)
    return sorted(result)
print(json.dumps(asyncio.run(main())))
"""
    assert ["video"] == package(code)
