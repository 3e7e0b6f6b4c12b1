"""The Gemini server takes what Google takes, and says no as Google does."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers.plain import Reply, send
from vidorch.testing.servers import Fate, VendorError
from vidorch.testing.servers.gemini import KEPT, Gemini
from vidorch.testing.servers.google_models import RETIRED_VEO

PNG = {"type": "image", "data": base64.b64encode(b"png").decode(), "mime_type": "image/png"}
MP4 = {"type": "video", "data": base64.b64encode(b"mp4").decode(), "mime_type": "video/mp4"}
TEXT = {"type": "text", "text": "a red ball"}
BODY = {"model": "gemini-omni-1.1-flash", "input": "a red ball", "background": True}


class Clock:
    """Seconds, as a test sets them."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[Gemini]:
    with Gemini(clock=clock, file_looks=1) as server:
        server.default = Fate(content=b"clip", looks=0)
        yield server


def call(server: Gemini, method: str, path: str, body: Any = None, **headers: str) -> Reply:
    return send(method, f"{server.url}/{path}", body, {"x-goog-api-key": server.key} | headers)


def create(server: Gemini, **body: Any) -> Reply:
    return call(server, "POST", "v1/interactions", BODY | body)


def get(server: Gemini, interaction: str) -> Any:
    return call(server, "GET", f"v1/interactions/{interaction}").json()


def made(server: Gemini, **body: Any) -> Any:
    return get(server, create(server, **body).json()["id"])


def task(name: str) -> dict[str, Any]:
    return {"video_config": {"task": name}}


def upload(server: Gemini, content: bytes, media_type: str) -> Any:
    """A file as the package uploads it, in two parts; gives what became of it."""
    start = call(
        server, "POST", "upload/v1beta/files", {"file": {"display_name": "mine"}}, **{
            "X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(len(content)), "X-Goog-Upload-Header-Content-Type": media_type,
        },
    )  # fmt: skip
    address = start.headers["x-goog-upload-url"]
    first = send(
        "POST", address, content[:2], {"X-Goog-Upload-Command": "upload", "X-Goog-Upload-Offset": "0"}
    )
    assert "active" == first.headers["x-goog-upload-status"]
    last = send(
        "POST",
        address,
        content[2:],
        {"X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": "2"},
    )
    assert "final" == last.headers["x-goog-upload-status"]
    return last.json()["file"]


class TestInteractions:
    """POST, GET, cancel and DELETE."""

    @pytest.mark.parametrize("version", ["v1", "v1beta"])
    def test_one_in_the_background_is_polled(self, server: Gemini, version: str) -> None:
        """in_progress, then completed with a clip."""
        server.next(looks=1, content=b"clip")
        first = call(server, "POST", f"{version}/interactions", BODY).json()
        polls = [call(server, "GET", f"{version}/interactions/{first['id']}").json() for _ in range(2)]
        assert ["in_progress", "in_progress", "completed"] == [
            first["status"],
            *(poll["status"] for poll in polls),
        ]
        assert b"clip" == base64.b64decode(polls[-1]["steps"][-1]["content"][0]["data"])

    def test_one_that_waits_may_be_queued(self, server: Gemini) -> None:
        """Where its fate says so."""
        server.next(looks=1, more={"waiting": "queued"})
        assert "queued" == create(server).json()["status"]

    def test_one_in_the_foreground_is_over_when_it_is_answered(self, server: Gemini) -> None:
        """The reply is the whole interaction."""
        assert "completed" == create(server, background=False).json()["status"]

    @pytest.mark.parametrize(
        ("wanted", "tokens"), [({}, 57_920), ({"duration": "3s"}, 17_376), ({"duration": "4.5s"}, 26_064)]
    )
    def test_it_tells_its_tokens_by_modality(
        self, server: Gemini, wanted: dict[str, str], tokens: int
    ) -> None:
        """5,792 of video for each second at 720p, and 10 s unless it was said."""
        usage = made(server, response_format={"type": "video"} | wanted)["usage"]
        assert [{"modality": "video", "tokens": tokens}] == usage["output_tokens_by_modality"]
        assert [{"modality": "text", "tokens": 3}] == usage["input_tokens_by_modality"]
        assert tokens + 3 == usage["total_tokens"]

    def test_a_withheld_clip_is_completed_without_one(self, server: Gemini) -> None:
        """Text in its place, and no token of video."""
        server.next(ending="refused", looks=0)
        said = made(server)
        assert ("completed", ["text"], ["text"]) == (
            said["status"],
            [block["type"] for block in said["steps"][-1]["content"]],
            [row["modality"] for row in said["usage"]["output_tokens_by_modality"]],
        )

    def test_one_that_failed_has_errors(self, server: Gemini) -> None:
        """A code and a message each."""
        server.next(ending="failed", code="internal", message="why", looks=0)
        said = made(server)
        assert ("failed", [{"code": "internal", "message": "why"}]) == (said["status"], said["errors"])

    @pytest.mark.parametrize(
        "status", ["requires_action", "incomplete", "budget_exceeded", "requires_continuation"]
    )
    def test_it_may_end_in_any_other_status(self, server: Gemini, status: str) -> None:
        """Without a clip."""
        server.next(ending=status, looks=0)
        said = made(server)
        assert (status, False) == (said["status"], "steps" in said)

    def test_one_that_runs_can_be_cancelled(self, server: Gemini) -> None:
        """Once."""
        server.next(looks=9)
        path = f"v1/interactions/{create(server).json()['id']}/cancel"
        assert "cancelled" == call(server, "POST", path).json()["status"]
        assert (400, "invalid_request") == (
            call(server, "POST", path).status,
            call(server, "POST", path).json()["error"]["code"],
        )

    def test_one_that_is_deleted_is_gone(self, server: Gemini) -> None:
        """404."""
        path = f"v1/interactions/{create(server).json()['id']}"
        assert [200, 404] == [call(server, "DELETE", path).status, call(server, "GET", path).status]

    def test_one_that_is_not_stored_cannot_be_asked_for(self, server: Gemini) -> None:
        """Nor followed."""
        before = create(server, background=False, store=False).json()["id"]
        assert [404, 404] == [
            call(server, "GET", f"v1/interactions/{before}").status,
            create(server, previous_interaction_id=before).status,
        ]

    def test_an_id_that_is_none_is_not_looked_for(self, server: Gemini) -> None:
        """400 rather than 404."""
        reply = call(server, "GET", "v1/interactions/gone")
        assert (400, "Invalid interaction name: interactions/gone") == (
            reply.status,
            reply.json()["error"]["message"],
        )

    def test_the_input_comes_back_when_it_is_asked_for(self, server: Gemini) -> None:
        """As a step before the model's."""
        path = f"v1/interactions/{create(server).json()['id']}?include_input=true"
        assert {"type": "user_input", "content": [TEXT]} == call(server, "GET", path).json()["steps"][0]

    def test_webhooks_are_taken(self, server: Gemini) -> None:
        """And not called: how Google signs them is not known."""
        hook = {"uris": ["https://example.com/hook"], "user_metadata": {"job": 1}}
        assert 200 == create(server, webhook_config=hook).status

    @pytest.mark.parametrize(
        "body",
        [
            {"input": [PNG, TEXT], "generation_config": task("image_to_video")},
            {"input": [{"type": "user_input", "content": [PNG, PNG, TEXT]}], "generation_config": task("image_to_video")},
            {"input": [PNG, PNG, PNG, MP4, TEXT], "generation_config": task("reference_to_video")},
            {"input": [MP4, TEXT], "generation_config": task("edit")},
            {"input": [MP4, TEXT], "generation_config": task("extend")},
            {"input": TEXT, "generation_config": task("text_to_video")},
            {"response_format": [{"type": "video", "aspect_ratio": "9:16", "resolution": "4k", "duration": "10s"}]},
            {"model": "gemini-omni-1.2-flash", "labels": {"team": "a"}, "service_tier": "standard"},
            {"response_modalities": ["video"]},
            {"input": [PNG | {"data": "_-8"}, TEXT]},
        ],
    )  # fmt: skip
    def test_what_goes_together_is_taken(self, server: Gemini, body: dict[str, Any]) -> None:
        """By every task, and in each form of an input."""
        assert 200 == create(server, **body).status

    @pytest.mark.parametrize(
        "body",
        [
            {"input": []}, {"input": ""}, {"input": 5}, {"input": [{"type": "audio", "data": "eA==", "mime_type": "audio/wav"}]},
            {"input": [PNG | {"mime_type": "image/tiff"}]}, {"input": [PNG | {"uri": "https://x"}]}, {"input": [PNG | {"data": "#"}]},
            {"input": [PNG | {"data": "\u00e9"}]}, {"input": [{"type": "image", "mime_type": "image/png"}]}, {"input": [{"type": "text"}]},
            {"input": [{"type": "image", "uri": "https://example.com/a.png", "mime_type": "image/png"}]},
            {"input": [PNG, TEXT], "generation_config": task("text_to_video")},
            {"input": [PNG, PNG, PNG], "generation_config": task("image_to_video")},
            {"input": [PNG] * 4, "generation_config": task("reference_to_video")}, {"input": [PNG] * 11},
            {"generation_config": task("reference_to_video")}, {"generation_config": task("extend")},
            {"generation_config": task("dance")}, {"generation_config": {"seed": 1}}, {"seed": 1}, {"negative_prompt": "x"},
            {"response_format": {"type": "image"}}, {"response_format": {"type": "video", "fps": 24}},
            {"response_format": {"type": "video", "resolution": "480p"}}, {"response_format": {"type": "video", "aspect_ratio": "1:1"}},
            {"response_format": {"type": "video", "duration": 5}}, {"response_format": {"type": "video", "duration": "5"}},
            {"response_format": {"type": "video", "duration": "2.9s"}}, {"response_format": {"type": "video", "duration": "11s"}},
            {"response_format": {"type": "video", "delivery": "uri", "gcs_uri": "gs://a/b"}}, {"response_format": []},
            {"store": False}, {"stream": True}, {"background": "true"}, {"labels": {"1": "a"}}, {"webhook_config": {"url": "x"}},
        ],
    )  # fmt: skip
    def test_what_does_not_is_refused(self, server: Gemini, body: dict[str, Any]) -> None:
        """`invalid_request`, and nothing is made."""
        reply = create(server, **body)
        assert (400, "invalid_request", []) == (reply.status, reply.json()["error"]["code"], server.jobs)

    @pytest.mark.parametrize("body", [b"{", b"[]", b"{}"])
    def test_a_body_that_is_none_is_refused(self, server: Gemini, body: bytes) -> None:
        """With the same error."""
        assert 400 == call(server, "POST", "v1/interactions", body).status

    @pytest.mark.parametrize(
        "model", ["gemini-omni-flash-preview", "gemini-omni-9", "gemini-omni-1.1-flash-preview"]
    )
    def test_a_model_that_is_not_there_is_not_found(self, server: Gemini, model: str) -> None:
        """Retired, unknown, or the other surface's."""
        reply = create(server, model=model)
        assert (404, "not_found", []) == (reply.status, reply.json()["error"]["code"], server.jobs)

    def test_an_input_may_be_refused_at_once(self, server: Gemini) -> None:
        """As its fate says."""
        server.next(rejected=VendorError(400, "invalid_request", "Prompt blocked for safety reasons"))
        assert (400, []) == (create(server).status, server.jobs)

    @pytest.mark.parametrize(
        ("fault", "word"), [("error-429", "rate_limit_exceeded"), ("error-500", "internal")]
    )
    def test_a_request_fails_with_a_word(self, server: Gemini, fault: str, word: str) -> None:
        """The code of an interaction's error is no number."""
        server.fail("submit", fault)
        assert word == create(server).json()["error"]["code"]

    def test_a_lost_reply_leaves_an_interaction(self, server: Gemini) -> None:
        """Somebody pays for it, and nobody knows its id."""
        server.fail("submit", "reset-after")
        with pytest.raises(OSError):
            create(server)
        assert 1 == len(server.jobs)


class TestKeys:
    """One key, in one place."""

    @pytest.mark.parametrize(
        ("query", "headers", "status"),
        [
            ("", {"x-goog-api-key": "test-key"}, 200),
            ("?key=test-key", {}, 200),
            ("", {}, 403),
            ("", {"x-goog-api-key": "other"}, 400),
            ("", {"Authorization": "Bearer test-key"}, 400),
            ("?key=test-key", {"x-goog-api-key": "test-key"}, 400),
        ],
    )
    def test_it_comes_in_the_header_or_in_the_query(
        self, server: Gemini, query: str, headers: dict[str, str], status: int
    ) -> None:
        """Not in both, and not as a bearer."""
        assert status == send("POST", f"{server.url}/v1/interactions{query}", BODY, headers).status

    def test_a_wrong_one_says_why(self, server: Gemini) -> None:
        """400 with a reason of its own, not 401."""
        error = call(server, "POST", "v1/interactions", BODY, **{"x-goog-api-key": "other"}).json()["error"]
        assert ("INVALID_ARGUMENT", "API_KEY_INVALID") == (error["status"], error["details"][0]["reason"])


class TestOtherRequests:
    """What Omni is not made by."""

    @pytest.mark.parametrize("model", RETIRED_VEO)
    def test_veo_is_no_longer_available(self, server: Gemini, model: str) -> None:
        """404 in the words of the day it was shut."""
        reply = call(
            server, "POST", f"v1beta/models/{model}:predictLongRunning", {"instances": [{"prompt": "x"}]}
        )
        assert 404 == reply.status
        assert "is no longer available" in reply.json()["error"]["message"]

    def test_omni_has_no_generate_content(self, server: Gemini) -> None:
        """400, where other models answer."""
        reply = call(server, "POST", "v1beta/models/gemini-omni-1.1-flash:generateContent", {})
        assert (400, "This model only supports Interactions API.") == (
            reply.status,
            reply.json()["error"]["message"],
        )

    def test_another_path_is_not_there(self, server: Gemini) -> None:
        """404."""
        assert 404 == call(server, "GET", "v1/nothing").status


class TestFiles:
    """The Files API."""

    def test_a_clip_by_uri_is_downloaded_with_the_key(self, server: Gemini) -> None:
        """And not without it."""
        uri = made(server, response_format={"type": "video", "delivery": "uri"})["steps"][-1]["content"][0][
            "uri"
        ]
        assert b"clip" == send("GET", uri, headers={"x-goog-api-key": server.key}).body
        assert 403 == send("GET", uri).status

    def test_it_is_kept_for_two_days(self, server: Gemini, clock: Clock) -> None:
        """Then it is nobody's."""
        uri = made(server, response_format={"type": "video", "delivery": "uri"})["steps"][-1]["content"][0][
            "uri"
        ]
        clock.now += KEPT
        reply = send("GET", uri, headers={"x-goog-api-key": server.key})
        assert (403, "PERMISSION_DENIED") == (reply.status, reply.json()["error"]["status"])

    def test_a_test_can_let_it_be_over(self, server: Gemini) -> None:
        """By its URL."""
        uri = made(server, response_format={"type": "video", "delivery": "uri"})["steps"][-1]["content"][0][
            "uri"
        ]
        server.expire(uri)
        assert 403 == send("GET", uri, headers={"x-goog-api-key": server.key}).status

    def test_an_upload_can_be_used(self, server: Gemini) -> None:
        """By its URI."""
        file = upload(server, b"a png", "image/png")
        block = {"type": "image", "uri": file["uri"], "mime_type": "image/png"}
        assert ("5", "image/png", "ACTIVE", "mine") == (
            file["sizeBytes"], file["mimeType"], file["state"], file["displayName"],
        )  # fmt: skip
        assert 200 == create(server, input=[block, TEXT]).status

    def test_a_video_is_looked_at_first(self, server: Gemini) -> None:
        """It cannot be used until it is ACTIVE."""
        file = upload(server, b"an mp4", "video/mp4")
        block = {"type": "video", "uri": file["uri"], "mime_type": "video/mp4"}
        early = create(server, input=[block, TEXT])
        states = [call(server, "GET", f"v1beta/{file['name']}").json()["state"] for _ in range(2)]
        assert (400, ["PROCESSING", "ACTIVE"]) == (early.status, states)
        assert 200 == create(server, input=[block, TEXT]).status

    def test_an_upload_is_never_given_back(self, server: Gemini) -> None:
        """Only what was generated is."""
        file = upload(server, b"a png", "image/png")
        assert 400 == call(server, "GET", f"v1beta/{file['name']}:download?alt=media").status

    def test_a_deleted_file_is_gone(self, server: Gemini) -> None:
        """403, as for any that is not one's own."""
        name = upload(server, b"a png", "image/png")["name"]
        assert [200, 403] == [
            call(server, "DELETE", f"v1beta/{name}").status,
            call(server, "GET", f"v1beta/{name}").status,
        ]

    def test_an_upload_that_was_not_started_is_refused(self, server: Gemini) -> None:
        """So is a start without its headers."""
        parts = {"X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": "0"}
        assert [400, 400] == [
            call(server, "POST", "upload/v1beta/files?upload_id=none", b"x", **parts).status,
            call(server, "POST", "upload/v1beta/files", {}, **{"X-Goog-Upload-Command": "start"}).status,
        ]
