"""The openai package finds in our server the service that it was written for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers.packages import run
from vidorch.testing.clips import clip_bytes
from vidorch.testing.servers import ProtocolServer, serve

pytestmark = pytest.mark.slow

PINS = pytest.mark.parametrize("pin", ["openai==2.54.0", "openai==3.54.0"])
CLIENT = """
import json, os
from openai import OpenAI
client = OpenAI(base_url=os.environ["URL"] + "/v1", api_key="test-key", max_retries=int(os.environ.get("RETRIES", "0")))
"""


@pytest.fixture
def server() -> Iterator[ProtocolServer]:
    with serve("openai") as server:
        yield server


def call(pin: str, server: ProtocolServer, code: str, **variables: str) -> Any:
    return run(pin, code=CLIENT + code, URL=server.url, **variables)


@PINS
def test_a_clip_is_made_and_downloaded(pin: str, server: ProtocolServer) -> None:
    """create_and_poll and download_content work, and give the bytes that the server made."""
    code = """
video = client.videos.create_and_poll(model="sora-2", prompt="a red ball", seconds="4", size="1280x720", poll_interval_ms=10)
content = client.videos.download_content(video.id).read()
print(json.dumps([video.status, video.progress, video.seconds, len(content), content[4:8].decode()]))
"""
    status, progress, seconds, size, box = call(pin, server, code)
    assert ("completed", 100, "4", "ftyp") == (status, progress, seconds, box)
    assert size == len(server.clip(server.jobs[0], 0))


@PINS
def test_an_image_is_sent_with_it(pin: str, server: ProtocolServer) -> None:
    """A file part arrives as a file. (Neither version can send the object that its own types describe.)"""
    code = """
video = client.videos.create(prompt="x", input_reference=("a.png", b"png", "image/png"))
print(json.dumps(video.status))
"""
    assert "queued" == call(pin, server, code)
    assert b"png" == server.jobs[0].files[0].value


@PINS
def test_jobs_are_listed_remixed_and_deleted(pin: str, server: ProtocolServer) -> None:
    """The newest comes first, page after page."""
    code = """
import time
ids = [client.videos.create(prompt=str(n)).id for n in range(3)]
for n in ids:
    for _ in range(3): client.videos.retrieve(n)
listed = [video.id for video in client.videos.list(limit=2)]
remix = client.videos.remix(ids[0], prompt="y")
print(json.dumps([sorted(listed) == sorted(ids), remix.remixed_from_video_id == ids[0], client.videos.delete(ids[0]).deleted]))
"""
    assert [True, True, True] == call(pin, server, code)


@PINS
def test_what_was_deleted_is_gone(pin: str, server: ProtocolServer) -> None:
    """From the list too; and what is at work is not deleted."""
    code = """
import openai
def error(call, *words):
    try: call(*words)
    except openai.APIStatusError as e: return type(e).__name__
video = client.videos.create(prompt="x")
early = error(client.videos.delete, video.id)
for _ in range(3): client.videos.retrieve(video.id)
client.videos.delete(video.id)
print(json.dumps([early, error(client.videos.retrieve, video.id), error(client.videos.delete, video.id),
                  [one.id for one in client.videos.list()]]))
"""
    assert ["ConflictError", "NotFoundError", "NotFoundError", []] == call(pin, server, code)


def test_a_file_is_edited_and_extended(server: ProtocolServer) -> None:
    """As a part of a form. (The package cannot send the id that its own types describe; that goes in JSON.)"""
    code = """
video = ("a.mp4", bytes.fromhex(os.environ["CLIP"]), "video/mp4")
edited = client.videos.edit(prompt="y", video=video)
longer = client.videos.extend(prompt="z", seconds="8", video=video)
print(json.dumps([edited.seconds, longer.seconds]))
"""
    clip = clip_bytes((64, 36), 4)
    assert ["4", "12"] == call("openai==3.54.0", server, code, CLIP=clip.hex())
    assert [clip, clip] == [job.files[0].value for job in server.jobs]


@PINS
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ('prompt="x", seconds=4, extra_body={"n": 2}', "BadRequestError"),
        ('prompt="x", seconds="5"', "BadRequestError"),
        ('prompt="x", size="1x1"', "BadRequestError"),
    ],
)
def test_what_the_service_refuses_is_refused(
    pin: str, server: ProtocolServer, arguments: str, error: str
) -> None:
    """An unknown field, a length or a size that is not on the list is a 400 that the package can read."""
    code = f"""
import openai
try:
    client.videos.create({arguments})
    print(json.dumps("taken"))
except openai.APIStatusError as e:
    print(json.dumps([type(e).__name__, e.code is not None]))
"""
    assert [error, True] == call(pin, server, code)
    assert not server.jobs


@PINS
def test_a_job_that_failed_says_why(pin: str, server: ProtocolServer) -> None:
    """A refusal after the submit is a failed job with a code."""
    server.next(ending="refused", message="Blocked by our moderation system.")
    code = """
video = client.videos.create_and_poll(prompt="x", poll_interval_ms=10)
print(json.dumps([video.status, video.error.code, video.error.message]))
"""
    assert ["failed", "moderation_blocked", "Blocked by our moderation system."] == call(pin, server, code)


@PINS
def test_the_package_itself_pays_three_times_for_one_lost_reply(pin: str, server: ProtocolServer) -> None:
    """Why vidorch sends its submits itself."""
    server.fail("submit", "reset-after", times=3)
    code = """
import openai
try:
    client.videos.create(prompt="x")
    print(json.dumps("taken"))
except openai.APIConnectionError:
    print(json.dumps("lost"))
"""
    assert "lost" == call(pin, server, code, RETRIES="2")
    assert 3 == len(server.jobs)
