"""The replicate package finds in our server the service that it was written for."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.servers.packages import run
from vidorch.testing.servers.replicate import Replicate

pytestmark = pytest.mark.slow

PIN = "replicate==1.0.7"
MODEL = "kwaivgi/kling-v3-video"
CLIENT = """
import io, json, os, time
import replicate
from replicate.exceptions import ModelError, ReplicateError
MODEL = "kwaivgi/kling-v3-video"
GIVEN = {"prompt": "a red ball", "duration": 5}
"""


@pytest.fixture
def server() -> Iterator[Replicate]:
    with Replicate(page=2) as server:
        yield server


def call(server: Replicate, code: str, **variables: str) -> Any:
    return run(
        PIN, code=CLIENT + code, REPLICATE_BASE_URL=server.url, REPLICATE_API_TOKEN=server.key, REPLICATE_POLL_INTERVAL="0.01",
        **variables,
    )  # fmt: skip


def test_a_clip_is_made(server: Replicate) -> None:
    """create() and wait() go through to the end, with progress by the logs."""
    server.next(looks=2)
    code = """
p = replicate.predictions.create(model=MODEL, input=GIVEN)
seen = [p.status]
while p.status not in ("succeeded", "failed", "canceled"):
    p.reload()
    seen.append(p.status)
print(json.dumps([seen, p.output, p.progress.percentage, p.metrics["video_output_duration_seconds"], p.version]))
"""
    seen, output, progress, seconds, version = call(server, code)
    assert ["starting", "starting", "processing", "succeeded"] == seen
    assert (server.jobs[0].outputs, 1.0, 5.0, "hidden") == ([output], progress, seconds, version)


@pytest.mark.parametrize(
    ("way", "model"),
    [("version='a' * 64", ""), (f"version='{MODEL}'", MODEL), ("deployment='me/mine'", "")],
)
def test_there_are_other_ways(server: Replicate, way: str, model: str) -> None:
    """By a version, and by a deployment."""
    code = f"""
p = replicate.predictions.create({way}, input=GIVEN)
p.wait()
print(json.dumps([p.status, p.model]))
"""
    assert ["succeeded", model] == call(server, code)


def test_run_gives_the_output(server: Replicate) -> None:
    """By the model's name."""
    assert (
        call(server, "print(json.dumps(str(replicate.run(MODEL, input=GIVEN))))") == server.jobs[0].outputs[0]
    )


def test_waiting_is_a_header(server: Replicate) -> None:
    """By a version it is sent, and gives the finished prediction at once."""
    code = """
p = replicate.predictions.create(version="a" * 64, input=GIVEN, wait=5)
print(json.dumps(p.status))
"""
    assert "succeeded" == call(server, code)
    assert ("wait=5", 0) == (server.jobs[0].headers["prefer"], server.count("poll"))


def test_files_are_uploaded_on_the_way(server: Replicate) -> None:
    """An open file in the input becomes a URL."""
    code = """
file = io.BytesIO(b"png")
file.name = "a.png"
replicate.predictions.create(model=MODEL, input={**GIVEN, "start_image": file})
kept = replicate.files.list()[0]
print(json.dumps([kept.name, kept.size, replicate.files.get(kept.id).content_type, replicate.files.delete(kept.id)]))
"""
    assert ["a.png", 3, "image/png", True] == call(server, code)
    assert f"{server.url}/v1/files" == server.jobs[0].body["start_image"].rpartition("/")[0]


def test_predictions_are_cancelled_and_listed(server: Replicate) -> None:
    """Page after page, the newest first."""
    code = """
ids = [replicate.predictions.create(model=MODEL, input=GIVEN).id for n in range(3)]
replicate.predictions.cancel(ids[0])
first = replicate.predictions.list()
second = replicate.predictions.list(first.next)
print(json.dumps([[p.id for p in [*first.results, *second.results]] == ids[::-1], second.results[0].status, second.next]))
"""
    assert [True, "canceled", None] == call(server, code)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('replicate.predictions.create(model=MODEL, input={"prompt": "x", "duration": "5"})', [422, "Input validation failed"]),
        ('replicate.predictions.get("none")', [404, "Not found"]),
        ('replicate.Client(api_token="wrong").accounts.current()', [401, "Unauthenticated"]),
    ],
)  # fmt: skip
def test_errors_are_problems(server: Replicate, code: str, expected: list[Any]) -> None:
    """That the package can read."""
    code = f"""
try:
    {code}
    print(json.dumps("taken"))
except ReplicateError as e:
    print(json.dumps([e.status, e.title]))
"""
    assert expected == call(server, code)


def test_a_failed_model_is_an_error_of_run(server: Replicate) -> None:
    """With the model's own words."""
    server.next(ending="refused")
    code = """
try:
    replicate.run(MODEL, input=GIVEN)
    print(json.dumps("made"))
except ModelError as e:
    print(json.dumps(str(e)))
"""
    assert call(server, code).endswith("(E005)")


def test_the_secret_fits_what_is_delivered(server: Replicate) -> None:
    """The package's own check passes, and fails for another body."""
    call(server, 'replicate.predictions.create(model=MODEL, input=GIVEN); print("0")')
    headers, body = server.signed(server.jobs[0])
    code = """
from replicate.webhook import Webhooks, InvalidSignatureError
secret = replicate.webhooks.default.secret()
headers, body = json.loads(os.environ["HEADERS"]), os.environ["BODY"]
Webhooks.validate(headers=headers, body=body, secret=secret, tolerance=300)
try:
    Webhooks.validate(headers=headers, body=body + " ", secret=secret)
    print(json.dumps("taken"))
except InvalidSignatureError:
    print(json.dumps("refused"))
"""
    assert "refused" == call(server, code, HEADERS=json.dumps(headers), BODY=body.decode())


def test_the_package_itself_pays_once_for_one_lost_reply(server: Replicate) -> None:
    """It never sends a POST again."""
    server.fail("submit", "reset-after")
    code = """
try:
    replicate.predictions.create(model=MODEL, input=GIVEN)
    print(json.dumps("taken"))
except Exception:
    print(json.dumps("lost"))
"""
    assert "lost" == call(server, code)
    assert 1 == len(server.jobs)


def test_the_package_breaks_at_aborted(server: Replicate) -> None:
    """Why vidorch polls itself: a prediction that did not start in time cannot be read."""
    server.next(ending="aborted")
    code = """
p = replicate.predictions.create(model=MODEL, input=GIVEN)
try:
    p.wait()
    print(json.dumps(p.status))
except Exception as e:
    print(json.dumps(type(e).__name__))
"""
    assert "ValidationError" == call(server, code)


def test_the_package_sends_its_token_to_whoever_keeps_the_output(tmp_path: Path) -> None:
    """Why vidorch downloads itself."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    with Replicate(tls=context) as server:
        code = "print(json.dumps(len(replicate.run(MODEL, input=GIVEN).read()) > 0))"
        assert call(server, code, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
        assert 1 == len(server.leaks)
