"""The runwayml package finds in our server the service that it was written for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers.packages import run
from vidorch.testing.servers.runway import FATES, Runway
from vidorch.testing.servers.runway_models import MODELS

pytestmark = pytest.mark.slow

PIN = "runwayml==5.24.0"
CLIENT = """
import json, os
import runwayml
client = runwayml.RunwayML(
    api_key=os.environ.get("KEY", "test-key"), base_url=os.environ["URL"], max_retries=int(os.environ.get("RETRIES", "0")))
ball = dict(model="gen4.5", prompt_text="a red ball", ratio="1280:720", duration=5)
from runwayml.lib import polling
polling.POLL_TIME, polling.POLL_JITTER = 0.01, 0  # six seconds a look otherwise
"""


@pytest.fixture
def server() -> Iterator[Runway]:
    with Runway() as server:
        yield server


def call(server: Runway, code: str, **variables: str) -> Any:
    return run(PIN, code=CLIENT + code, URL=server.url, **variables)


def test_a_clip_is_made_and_its_links_are_renewed(server: Runway) -> None:
    """create, wait_for_task_output and retrieve work, with the estimate and the cost."""
    code = """
created = client.text_to_video.create(**ball)
done = created.wait_for_task_output()
again = client.tasks.retrieve(created.id)
print(json.dumps([created.estimated_cost.credits, done.status, done.cost.credits, len(done.output), again.output != done.output]))
"""
    assert [60, "SUCCEEDED", 60, 1, True] == call(server, code)


def test_the_async_client_waits_too(server: Runway) -> None:
    """The same over AsyncRunwayML."""
    code = """
import asyncio
async def main():
    async with runwayml.AsyncRunwayML(api_key="test-key", base_url=os.environ["URL"]) as client:
        return (await (await client.text_to_video.create(**ball)).wait_for_task_output()).status
print(json.dumps(asyncio.run(main())))
"""
    assert "SUCCEEDED" == call(server, code)


def test_a_file_is_uploaded_and_used(server: Runway) -> None:
    """create_ephemeral sends its form to the files' host, and without the key."""
    code = """
file = client.uploads.create_ephemeral(file=("a.png", b"png"))
task = client.image_to_video.create(prompt_image=file.uri, **ball)
print(json.dumps([file.uri[:9], task.estimated_cost.credits]))
"""
    assert ["runway://", 60] == call(server, code)
    assert [b"png"] == [part.value for part in server.uploads.values()]
    assert not server.leaks


def test_every_kind_of_task_is_created(server: Runway) -> None:
    """What the package's own types let through is taken."""
    code = """
image, video = "https://example.com/a.png", "https://example.com/a.mp4"
tasks = [
    client.image_to_video.create(model="veo3.1", prompt_text="x", ratio="1280:720", prompt_image=[
        {"uri": image, "position": "first"}, {"uri": image, "position": "last"}]),
    client.image_to_video.create(model="kling_4", prompt_image=image, duration=10, ratio="auto_1080p"),
    client.text_to_video.create(model="klingO3_pro", ratio="1920:1080", provider_settings={
        "multi_prompt": [{"prompt": "a", "duration": 2}, {"prompt": "b", "duration": 3}], "shot_type": "customize"}),
    client.text_to_video.create(model="seedance2", prompt_text="x", duration="auto", reference_videos=[{"type": "video", "uri": video}]),
    client.video_to_video.create(model="aleph2", video_uri=video, prompt_text="x", keyframes=[
        {"seconds": 1.5, "uri": image, "range": {"start_seconds": 1, "end_seconds": 2}}]),
    client.character_performance.create(
        model="act_two", character={"type": "image", "uri": image}, reference={"type": "video", "uri": video}, body_control=True),
    client.video_upscale.create(model="magnific_video_upscaler_creative", video_uri=video, fps_boost=True, smart_grain=5),
    client.text_to_image.create(model="gen4_image", prompt_text="x", ratio="1920:1080", reference_images=[{"uri": image, "tag": "ball"}]),
]
print(json.dumps([task.estimated_cost.credits > 0 for task in tasks]))
"""
    assert [True] * 8 == call(server, code)


def test_a_task_is_cancelled_and_deleted(server: Runway) -> None:
    """delete cancels what is not over, and forgets what is."""
    code = """
created = client.text_to_video.create(**ball)
client.tasks.delete(created.id)
cancelled = client.tasks.retrieve(created.id)
client.tasks.delete(created.id)
try:
    client.tasks.retrieve(created.id)
    gone = False
except runwayml.NotFoundError:
    gone = True
print(json.dumps([cancelled.status, cancelled.cost.credits, gone]))
"""
    assert ["CANCELLED", 0, True] == call(server, code)


def test_the_waiting_client_does_not_see_that_a_task_was_cancelled(server: Runway) -> None:
    """The package's sync poller looks on until its time is over; the async one ends at once."""
    code = """
import asyncio
created = client.text_to_video.create(**ball)
client.tasks.delete(created.id)
try:
    created.wait_for_task_output(timeout=0.1)
except (polling.TaskTimeoutError, polling.TaskFailedError) as e:
    sync = type(e).__name__
async def main():
    async with runwayml.AsyncRunwayML(api_key="test-key", base_url=os.environ["URL"]) as client:
        created = await client.text_to_video.create(**ball)
        await client.tasks.delete(created.id)
        try:
            await created.wait_for_task_output(timeout=60)
        except (polling.TaskTimeoutError, polling.TaskFailedError) as e:
            return type(e).__name__
print(json.dumps([sync, asyncio.run(main())]))
"""
    assert ["TaskTimeoutError", "TaskFailedError"] == call(server, code)


def test_a_moderated_task_fails_and_is_billed(server: Runway) -> None:
    """TaskFailedError holds the code and the cost."""
    server.next(FATES["safety-input"])
    code = """
try:
    client.text_to_video.create(**ball).wait_for_task_output()
except runwayml.TaskFailedError as e:
    print(json.dumps([e.task_details.status, e.task_details.failure_code, e.task_details.cost.credits]))
"""
    assert ["FAILED", "SAFETY.INPUT.TEXT", 60] == call(server, code)


def test_a_throttled_task_is_waited_for(server: Runway) -> None:
    """The package knows the word."""
    server.next(FATES["throttled"])
    code = """
created = client.text_to_video.create(**ball)
print(json.dumps([client.tasks.retrieve(created.id).status, created.wait_for_task_output().status]))
"""
    assert ["THROTTLED", "SUCCEEDED"] == call(server, code)


@pytest.mark.parametrize(
    ("error", "arguments", "variables"),
    [
        ("BadRequestError", '**ball, extra_body={"n": 2}', {}),
        ("BadRequestError", '**ball | {"duration": 11}', {}),
        ("BadRequestError", '**ball, extra_headers={"X-Runway-Version": "2024-09-13"}', {}),
        ("AuthenticationError", "**ball", {"KEY": "other"}),
    ],
)
def test_what_the_service_refuses_is_refused(
    server: Runway, error: str, arguments: str, variables: dict[str, str]
) -> None:
    """Each becomes the package's own class, and nothing is taken."""
    code = f"""
try:
    client.text_to_video.create({arguments})
    print(json.dumps("taken"))
except runwayml.APIStatusError as e:
    print(json.dumps([type(e).__name__, "error" in e.body]))
"""
    assert [error, True] == call(server, code, **variables)
    assert not server.jobs


def test_the_days_limit_is_a_rate_limit() -> None:
    """429, told apart from throttling, which is none."""
    code = """
for _ in range(50): client.text_to_video.create(**ball)
try:
    client.text_to_video.create(**ball)
except runwayml.APIStatusError as e:
    print(json.dumps(type(e).__name__))
"""
    with Runway(tier=1) as server:
        assert "RateLimitError" == call(server, code)


def test_the_organization_is_read(server: Runway) -> None:
    """Balance, limits and usage fit the package's types."""
    code = """
import datetime
client.text_to_video.create(**ball)
said = client.organization.retrieve()
today = datetime.datetime.now(datetime.UTC).date()
usage = client.organization.retrieve_usage(start_date=today, before_date=today + datetime.timedelta(days=1))
print(json.dumps([said.credit_balance, said.tier.models["gen4.5"].max_concurrent_generations, said.usage.models["gen4.5"].daily_generations,
                  usage.models, usage.results[0].used_credits[0].amount]))
"""
    assert [99_940, 20, 1, ["gen4.5"], 60] == call(server, code)


def test_the_package_itself_pays_three_times_for_one_lost_reply(server: Runway) -> None:
    """Why vidorch sends its submits itself."""
    server.fail("submit", "reset-after", times=3)
    code = """
try:
    client.text_to_video.create(**ball)
    print(json.dumps("taken"))
except runwayml.APIConnectionError:
    print(json.dumps("lost"))
"""
    assert "lost" == call(server, code, RETRIES="2")
    assert 3 == len(server.jobs)


def test_the_package_pays_three_times_for_one_busy_gateway(server: Runway) -> None:
    """The page of a proxy says nothing about the task behind it."""
    server.fail("submit", "gateway-503-taken", times=3)
    code = """
try:
    client.text_to_video.create(**ball)
    print(json.dumps("taken"))
except runwayml.InternalServerError:
    print(json.dumps("lost"))
"""
    assert "lost" == call(server, code, RETRIES="2")
    assert 3 == len(server.jobs)


def test_the_tables_are_those_of_the_packages_types(server: Runway) -> None:
    """Endpoint by endpoint and model by model: the fields, which of them are required, and the words that they may hold."""
    code = """
import typing
def stripped(hint):
    while typing.get_origin(hint) in (typing.Annotated, typing.Required):
        hint = typing.get_args(hint)[0]
    return hint
def alias(name, hint):
    if typing.get_origin(hint) is typing.Required: hint = typing.get_args(hint)[0]
    return next((one.alias for one in getattr(hint, "__metadata__", ()) if getattr(one, "alias", None)), name)
def fields(variant):
    found = {}
    for name, hint in typing.get_type_hints(variant, include_extras=True).items():
        inner = stripped(hint)
        words = sorted(map(str, typing.get_args(inner))) if typing.get_origin(inner) is typing.Literal else None
        found[alias(name, hint)] = [typing.get_origin(hint) is typing.Required, words]
    return found
said = {}
for endpoint in json.loads(os.environ["ENDPOINTS"]):
    whole = "".join(part.title() for part in endpoint.split("_")) + "CreateParams"
    params = getattr(runwayml.types, whole)
    for variant in typing.get_args(params) or (params,):
        named = fields(variant)
        said.setdefault(endpoint, {})[named.pop("model")[1][0]] = named
print(json.dumps(said))
"""
    said = call(server, code, ENDPOINTS=json.dumps(list(MODELS)))
    ours = {
        endpoint: {
            model: {
                name: [check.required, sorted(map(str, check.choices)) or None]
                for name, check in fields.items()
            }
            for model, fields in models.items()
        }
        for endpoint, models in MODELS.items()
    }
    said["text_to_image"] = {name: said["text_to_image"][name] for name in ours["text_to_image"]}
    assert said == ours
