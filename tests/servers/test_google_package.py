"""The google-genai package finds in our servers the services that it was written for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers.packages import run
from vidorch.testing.servers.gemini import Gemini
from vidorch.testing.servers.google_models import AUDIO_TROUBLE, BLOCKED
from vidorch.testing.servers.vertex import Vertex, blocked

pytestmark = pytest.mark.slow

PINS = pytest.mark.parametrize("pin", ["google-genai==2.34.0", "google-genai==3.4.0"])
VERTEX = """
import json, os, time
from google import genai
from google.genai import errors, types
from google.auth.credentials import Credentials
time.sleep = lambda seconds: None  # what the package waits between its own retries
class Token(Credentials):
    def refresh(self, request): self.token = os.environ["TOKEN"]
client = genai.Client(
    vertexai=True, project="test-project", location=os.environ.get("LOCATION", "us-central1"), credentials=Token(),
    http_options={"base_url": os.environ["URL"]},
)
MODEL = "veo-3.1-generate-001"
def finished(operation):
    while not operation.done: operation = client.operations.get(operation)
    return operation
def create(prompt="a red ball", **config):
    source = types.GenerateVideosSource(prompt=prompt)
    return client.models.generate_videos(model=MODEL, source=source, config=types.GenerateVideosConfig(**config))
"""
GEMINI = """
import io, json, os, time
from google import genai
from google.genai import errors, types
time.sleep = lambda seconds: None
client = genai.Client(api_key=os.environ["TOKEN"], http_options={"base_url": os.environ["URL"]})
MODEL = "gemini-omni-1.1-flash"
def create(**more):
    return client.interactions.create(**({"model": MODEL, "input": "a red ball", "background": True} | more))
def finished(interaction):
    while interaction.status in ("in_progress", "queued"): interaction = client.interactions.get(interaction.id)
    return interaction
"""


@pytest.fixture
def vertex() -> Iterator[Vertex]:
    with Vertex() as server:
        yield server


@pytest.fixture
def gemini() -> Iterator[Gemini]:
    with Gemini() as server:
        yield server


def call(pin: str, server: Vertex | Gemini, code: str, **variables: str) -> Any:
    head = VERTEX if isinstance(server, Vertex) else GEMINI
    return run(pin, code=head + code, URL=server.url, TOKEN=server.key, **variables)


@PINS
class TestVeo:
    """`models.generate_videos` and `operations.get` on Vertex."""

    def test_a_clip_is_made_and_its_bytes_come(self, pin: str, vertex: Vertex) -> None:
        """`done` is None until it is True."""
        code = """
operation = create(duration_seconds=4, resolution="720p", aspect_ratio="16:9", number_of_videos=2, generate_audio=False, seed=7)
first = operation.done
clips = [one.video.video_bytes for one in finished(operation).response.generated_videos]
print(json.dumps([first, len(clips), len(clips[0]), clips[0][4:8].decode()]))
"""
        done, count, size, box = call(pin, vertex, code)
        assert (None, 2, "ftyp") == (done, count, box)
        assert size == len(vertex.clip(vertex.jobs[0], 0))
        assert (7, False) == (
            vertex.jobs[0].body["parameters"]["seed"], vertex.jobs[0].body["parameters"]["generateAudio"],
        )  # fmt: skip

    def test_it_is_polled_from_its_name_alone(self, pin: str, vertex: Vertex) -> None:
        """As somebody does who comes back later."""
        code = """
name = create(output_gcs_uri="gs://my-bucket/out").name
operation = finished(types.GenerateVideosOperation(name=name))
print(json.dumps(operation.response.generated_videos[0].video.uri))
"""
        uri = call(pin, vertex, code)
        assert ("my-bucket", uri.removeprefix("gs://my-bucket/")) in vertex.objects

    def test_every_kind_of_input_arrives(self, pin: str, vertex: Vertex) -> None:
        """First and last frame, references, and a video to extend."""
        code = """
image = types.Image(image_bytes=b"png", mime_type="image/png")
video = types.Video(video_bytes=b"mp4", mime_type="video/mp4")
reference = types.VideoGenerationReferenceImage(image=image, reference_type="asset")
def ask(config, **source):
    source = types.GenerateVideosSource(prompt="x", **source)
    client.models.generate_videos(model=MODEL, source=source, config=types.GenerateVideosConfig(**config))
ask({"last_frame": image, "resize_mode": "PAD"}, image=image)
ask({"reference_images": [reference] * 3, "duration_seconds": 8})
ask({"labels": {"team": "a"}}, video=video)
print(json.dumps("taken"))
"""
        assert "taken" == call(pin, vertex, code)
        keys = [sorted(job.body["instances"][0]) for job in vertex.jobs]
        assert [["image", "lastFrame", "prompt"], ["prompt", "referenceImages"], ["prompt", "video"]] == keys

    def test_what_is_withheld_is_counted(self, pin: str, vertex: Vertex) -> None:
        """All of two, then one of two; neither is an error."""
        vertex.next(ending="refused")
        vertex.next(filtered=1)
        code = """
def told():
    done = finished(create(number_of_videos=2))
    got = done.response
    return [done.error, len(got.generated_videos or ()), got.rai_media_filtered_count, got.rai_media_filtered_reasons]
print(json.dumps([told(), told()]))
"""
        assert [[None, 0, 2, [AUDIO_TROUBLE] * 2], [None, 1, 1, [AUDIO_TROUBLE]]] == call(pin, vertex, code)

    def test_an_operation_that_failed_raises_nothing(self, pin: str, vertex: Vertex) -> None:
        """Its error is a dict with google.rpc's number."""
        vertex.next(ending="failed", code="8", message="no capacity")
        code = """
done = finished(create())
print(json.dumps([done.error, done.response]))
"""
        assert [{"code": 8, "message": "no capacity"}, None] == call(pin, vertex, code)

    def test_refusals_are_client_errors(self, pin: str, vertex: Vertex) -> None:
        """With Google's number, status and message."""
        vertex.next(rejected=blocked())
        code = """
def told(**more):
    try:
        create(**more)
    except errors.ClientError as error:
        return [error.code, error.status, error.message]
bad = [told(), told(resolution="8k")[:2]]
MODEL = "veo-3.0-generate-001"
print(json.dumps([*bad, told()[:2]]))
"""
        assert [
            [400, "INVALID_ARGUMENT", BLOCKED.format(what="text", code="58061214")],
            [400, "INVALID_ARGUMENT"],
            [404, "NOT_FOUND"],
        ] == call(pin, vertex, code)

    def test_one_lost_reply_is_one_post(self, pin: str, vertex: Vertex) -> None:
        """The package does not send this one again by itself."""
        vertex.fail("submit", "reset-after", times=5)
        code = """
try:
    create()
except Exception as error:
    print(json.dumps(type(error).__name__))
"""
        assert call(pin, vertex, code) in ("ReadError", "RemoteProtocolError")
        assert 1 == len(vertex.jobs)


@PINS
class TestCredentials:
    """google-auth with a service account."""

    def test_a_service_account_is_let_in(self, pin: str, vertex: Vertex) -> None:
        """Its token comes from the server's own endpoint."""
        code = """
from google.oauth2 import service_account
account = service_account.Credentials.from_service_account_info(
    json.loads(os.environ["ACCOUNT"]), scopes=["https://www.googleapis.com/auth/cloud-platform"],
)
client = genai.Client(
    vertexai=True, project="test-project", location="us-central1", credentials=account, http_options={"base_url": os.environ["URL"]},
)
print(json.dumps(create().name))
"""
        name = call(pin, vertex, code, ACCOUNT=json.dumps(vertex.service_account()))
        assert (name, 1) == (vertex.jobs[0].id, vertex.count("token"))

    def test_a_clip_is_read_from_the_bucket(self, pin: str, vertex: Vertex) -> None:
        """By google-auth's own session and the JSON API."""
        code = """
from urllib.parse import quote
from google.auth.transport.requests import AuthorizedSession
uri = finished(create(output_gcs_uri="gs://my-bucket/out")).response.generated_videos[0].video.uri
bucket, _, name = uri.removeprefix("gs://").partition("/")
got = AuthorizedSession(Token()).get(f"{os.environ['URL']}/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media")
print(json.dumps([got.status_code, got.content[4:8].decode()]))
"""
        assert [200, "ftyp"] == call(pin, vertex, code)


@PINS
class TestOmni:
    """`interactions` on the Gemini API."""

    def test_a_clip_is_made_and_its_bytes_come(self, pin: str, gemini: Gemini) -> None:
        """Inline, with the tokens that it took."""
        code = """
import base64
first = create(
    response_format={"type": "video", "aspect_ratio": "9:16", "resolution": "720p", "duration": "5s"},
    generation_config={"video_config": {"task": "text_to_video"}},
)
done = finished(first)
clip = base64.b64decode(done.output_video.data)
tokens = [[row.modality, row.tokens] for row in done.usage.output_tokens_by_modality]
print(json.dumps([first.status, done.status, len(clip), clip[4:8].decode(), tokens]))
"""
        status, end, size, box, tokens = call(pin, gemini, code)
        assert ("in_progress", "completed", "ftyp") == (status, end, box)
        assert (len(gemini.clip(gemini.jobs[0], 0)), [["video", 5 * 5792]]) == (size, tokens)

    def test_one_that_runs_is_cancelled_and_deleted(self, pin: str, gemini: Gemini) -> None:
        """And is gone then."""
        gemini.next(looks=99)
        code = """
made = create()
status = client.interactions.cancel(made.id).status
client.interactions.delete(made.id)
try:
    client.interactions.get(made.id)
except Exception as error:
    print(json.dumps([status, type(error).__name__, error.status_code]))
"""
        assert ["cancelled", "NotFoundError", 404] == call(pin, gemini, code)

    def test_a_withheld_clip_is_completed_without_one(self, pin: str, gemini: Gemini) -> None:
        """No video, and text in its place."""
        gemini.next(ending="refused", message="no")
        code = """
done = finished(create())
print(json.dumps([done.status, done.output_video, done.output_text]))
"""
        assert ["completed", None, "no"] == call(pin, gemini, code)

    def test_one_that_failed_has_errors(self, pin: str, gemini: Gemini) -> None:
        """Nothing is raised."""
        gemini.next(ending="failed", code="internal", message="why")
        code = """
done = finished(create())
print(json.dumps([done.status, done.errors[0].code, done.errors[0].message]))
"""
        assert ["failed", "internal", "why"] == call(pin, gemini, code)

    def test_refusals_have_classes_of_their_own(self, pin: str, gemini: Gemini) -> None:
        """Not those that Veo's calls raise."""
        code = """
def told(**more):
    try:
        create(**more)
    except Exception as error:
        return [type(error).__name__, error.status_code, error.body["error"]["code"], isinstance(error, errors.APIError)]
print(json.dumps([
    told(response_format={"type": "video", "duration": "11s"}),
    told(model="gemini-omni-flash-preview"),
]))
"""
        assert [
            ["BadRequestError", 400, "invalid_request", False], ["NotFoundError", 404, "not_found", False],
        ] == call(pin, gemini, code)  # fmt: skip

    def test_one_lost_reply_is_one_post(self, pin: str, gemini: Gemini) -> None:
        """A connection that breaks is not tried again: the package means to, and wraps the error before it looks at it."""
        gemini.fail("submit", "reset-after", times=9)
        code = """
try:
    create()
except Exception as error:
    print(json.dumps(type(error).__name__))
"""
        assert "APIConnectionError" == call(pin, gemini, code)
        assert 1 == len(gemini.jobs)

    def test_a_gateways_page_is_paid_again_and_again(self, pin: str, gemini: Gemini) -> None:
        """Four times by 2.34, five by 3.4: why vidorch sends its submits itself."""
        gemini.fail("submit", "gateway-504-taken", times=9)
        code = """
try:
    create()
except Exception as error:
    print(json.dumps(type(error).__name__))
"""
        assert "InternalServerError" == call(pin, gemini, code)
        assert {"google-genai==2.34.0": 4, "google-genai==3.4.0": 5}[pin] == len(gemini.jobs)

    def test_the_older_one_cannot_be_told_to_stop_by_attempts(self, pin: str, gemini: Gemini) -> None:
        """2.34 makes 1 of 0 and counts it on top of the first; a list of statuses that never come stops it in both."""
        gemini.fail("submit", "gateway-504-taken", times=9)
        code = """
for name, options in {"0": {"attempts": 0}, "1": {"attempts": 1}, "list": {"attempts": 1, "http_status_codes": [499]}}.items():
    client = genai.Client(api_key=os.environ["TOKEN"], http_options={"base_url": os.environ["URL"], "retry_options": options})
    try:
        create(labels={"options": name})
    except Exception as error:
        print(json.dumps(type(error).__name__))
"""
        assert "InternalServerError" == call(pin, gemini, code)
        sent = [job.body["labels"]["options"] for job in gemini.jobs]
        older, newer = ["0", "0", "1", "1", "list"], ["0", "1", "list"]
        assert {"google-genai==2.34.0": older, "google-genai==3.4.0": newer}[pin] == sent


@PINS
class TestFiles:
    """`files` on the Gemini API."""

    def test_an_upload_is_used_and_a_clip_downloaded(self, pin: str, gemini: Gemini) -> None:
        """Both with the key."""
        code = """
file = client.files.upload(file=io.BytesIO(b"a png"), config={"mime_type": "image/png", "display_name": "mine"})
again = client.files.get(name=file.name)
done = finished(create(
    input=[{"type": "image", "uri": file.uri, "mime_type": file.mime_type}, {"type": "text", "text": "it rolls"}],
    response_format={"type": "video", "delivery": "uri", "duration": "3s"},
))
name = "files/" + done.output_video.uri.partition("files/")[2].partition(":")[0]
clip = client.files.download(file=name)
client.files.delete(name=file.name)
print(json.dumps([again.state, again.size_bytes, again.display_name, clip[4:8].decode(), len(clip)]))
"""
        state, size, name, box, length = call(pin, gemini, code)
        assert ("ACTIVE", 5, "mine", "ftyp") == (state, size, name, box)
        assert len(gemini.clip(gemini.jobs[0], 0)) == length
        assert 1 == len(gemini.held)

    def test_an_upload_of_several_parts_is_whole(self, pin: str, gemini: Gemini) -> None:
        """The package sends 8 MiB at a time."""
        code = """
file = client.files.upload(file=io.BytesIO(b"x" * (9 * 1024 * 1024)), config={"mime_type": "video/mp4"})
print(json.dumps(file.size_bytes))
"""
        assert 9 * 1024 * 1024 == call(pin, gemini, code)
        assert 3 == gemini.count("upload")


@pytest.mark.parametrize(
    ("pin", "error"), [("google-genai==2.34.0", "ClientError"), ("google-genai==3.4.0", "ValueError")]
)
def test_veo_on_an_api_key_is_over(pin: str, error: str, gemini: Gemini) -> None:
    """2.34 still asks and gets 404; 3.x does not even ask."""
    code = """
try:
    client.models.generate_videos(model="veo-3.1-generate-preview", source=types.GenerateVideosSource(prompt="x"))
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""
    name, message = call(pin, gemini, code)
    assert error == name
    assert ("is no longer available" if error == "ClientError" else "only supported in") in message


@PINS
def test_omni_on_vertex(pin: str, vertex: Vertex) -> None:
    """The same calls with a token, at the location global."""
    code = """
def finished(interaction):
    while interaction.status == "in_progress": interaction = client.interactions.get(interaction.id)
    return interaction
done = finished(client.interactions.create(
    model="gemini-omni-1.1-flash-preview", input="x", background=True,
    response_format={"type": "video", "delivery": "uri", "gcs_uri": "gs://my-bucket/out", "duration": "3s"},
))
running = client.interactions.create(model="gemini-omni-1.1-flash-preview", input="x", background=True)
print(json.dumps([done.output_video.uri, client.interactions.cancel(running.id).status]))
"""
    uri, status = call(pin, vertex, code, LOCATION="global")
    assert ("my-bucket", uri.removeprefix("gs://my-bucket/")) in vertex.objects
    assert "cancelled" == status
