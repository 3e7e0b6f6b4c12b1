"""fal's wire, asked plainly."""

from __future__ import annotations

import base64
import hashlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.servers.plain import Reply, send
from vidorch.testing.servers import Fate, VendorError
from vidorch.testing.servers.fal import Fal
from vidorch.testing.servers.fal_models import MODELS, PRICES

T2V = "fal-ai/kling-video/v3/pro/text-to-video"
URL = "https://example.com/a.png"


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[Fal]:
    with Fal(clock=clock) as server:
        yield server


def ask(server: Fal, method: str, path: str, body: Any = None, **headers: str) -> Reply:
    url = path if path.startswith("http") else f"{server.url}/{path}"
    return send(method, url, body, key=f"Key {server.key}", headers=headers)


def submit(server: Fal, body: Any = None, endpoint: str = T2V, query: str = "") -> Any:
    reply = ask(server, "POST", f"{endpoint}{query}", {"prompt": "a red ball"} if body is None else body)
    assert 200 == reply.status, reply.body
    return reply.json()


def finish(server: Fal, said: Any) -> Any:
    """Poll until it is over; gives the last status."""
    for _ in range(5):
        status = ask(server, "GET", said["status_url"]).json()
        if status["status"] not in ("IN_QUEUE", "IN_PROGRESS"):
            return status
    raise AssertionError(status)


class TestTheQueue:
    def test_a_submit_says_where_to_ask(self, server: Fal) -> None:
        """Two segments of the endpoint are left in the URLs of a request."""
        said = submit(server)
        at = f"{server.url}/fal-ai/kling-video/requests/{said['request_id']}"
        expected = {
            "response_url": at,
            "status_url": f"{at}/status",
            "cancel_url": f"{at}/cancel",
            "queue_position": 0,
        }
        assert expected == {name: said[name] for name in expected}

    @pytest.mark.parametrize(
        ("endpoint", "app"),
        [("kling/v4/text-to-video", "kling/v4"), ("workflows/me/flow", "workflows/me/flow"), ("comfy/me/flow/run", "comfy/me/flow")],
    )  # fmt: skip
    def test_a_namespace_has_three_segments(self, server: Fal, endpoint: str, app: str) -> None:
        """Workflows and comfy belong to somebody."""
        said = submit(server, endpoint=endpoint)
        assert f"{server.url}/{app}/requests/{said['request_id']}" == said["response_url"]

    def test_the_whole_endpoint_is_no_place_for_a_request(self, server: Fal) -> None:
        """`.../v3/pro/text-to-video/requests/ID` is not found under."""
        said = submit(server)
        assert 405 == ask(server, "GET", f"{T2V}/requests/{said['request_id']}/status").status

    def test_three_words_tell_how_it_stands(self, server: Fal) -> None:
        """IN_QUEUE with a position, IN_PROGRESS with logs, COMPLETED with the time it took."""
        server.next(looks=2)
        url = submit(server)["status_url"]
        said = [ask(server, "GET", f"{url}?logs=1").json() for _ in range(3)]
        assert ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"] == [status["status"] for status in said]
        assert (0, "look 1", True) == (
            said[0]["queue_position"], said[1]["logs"][0]["message"], "inference_time" in said[2]["metrics"],
        )  # fmt: skip

    def test_logs_are_given_when_asked_for(self, server: Fal) -> None:
        """Without `?logs=1` there are none."""
        said = submit(server)
        ask(server, "GET", said["status_url"])
        assert None is ask(server, "GET", said["status_url"]).json()["logs"]

    def test_the_result_is_the_models_own(self, server: Fal) -> None:
        """A video with a URL that needs no key, and the units that are billed."""
        said = submit(server, {"prompt": "x", "duration": "7", "generate_audio": False})
        finish(server, said)
        reply = ask(server, "GET", said["response_url"])
        file = send("GET", reply.json()["video"]["url"])
        assert ("7", b"ftyp") == (reply.headers["x-fal-billable-units"], file.body[4:8])

    def test_a_result_before_its_time(self, server: Fal) -> None:
        """Is a request error, and moves nothing."""
        said = submit(server)
        reply = ask(server, "GET", said["response_url"])
        assert (400, "bad_request") == (reply.status, reply.json()["error_type"])

    def test_a_result_is_kept_for_an_hour(self, server: Fal, clock: Clock) -> None:
        """Then it is gone, by the server's clock."""
        said = submit(server)
        finish(server, said)
        clock.now += 3599
        kept = ask(server, "GET", said["response_url"]).status
        clock.now += 1
        assert (200, 404) == (kept, ask(server, "GET", said["response_url"]).status)

    def test_a_large_result_is_kept_for_six_minutes(self, server: Fal, clock: Clock) -> None:
        """From 10 KB on."""
        server.next(more={"output": {"text": "x" * 10_240}})
        said = submit(server, endpoint="some/model")
        finish(server, said)
        clock.now += 360
        assert 404 == ask(server, "GET", said["response_url"]).status

    @pytest.mark.parametrize(("units", "header"), [(3.008, "3.008"), ("7.5", "7.5"), (None, None)])
    def test_units_can_be_said(self, server: Fal, units: Any, header: str | None) -> None:
        """They are fractions where the file was longer than what was asked for; some models tell none."""
        server.next(more={"units": units})
        said = submit(server)
        finish(server, said)
        assert header == ask(server, "GET", said["response_url"]).headers.get("x-fal-billable-units")

    def test_of_several_shots_the_sum_is_billed(self, server: Fal) -> None:
        """Whatever `duration` says."""
        said = submit(
            server, {"multi_prompt": [{"prompt": "a", "duration": "3"}, {"prompt": "b"}], "duration": "15"}
        )
        finish(server, said)
        assert "8" == ask(server, "GET", said["response_url"]).headers["x-fal-billable-units"]

    def test_pictures_are_billed_by_megapixels(self, server: Fal) -> None:
        """Rounded up, each of them."""
        said = submit(
            server,
            {"prompt": "x", "num_images": 2, "image_size": {"width": 1280, "height": 800}},
            "fal-ai/flux/dev",
        )
        finish(server, said)
        reply = ask(server, "GET", said["response_url"])
        assert ("4", 2) == (reply.headers["x-fal-billable-units"], len(reply.json()["images"]))

    def test_a_withheld_picture_is_left_out(self, server: Fal) -> None:
        """And the others are given."""
        server.next(filtered=1)
        said = submit(server, {"prompt": "x", "num_images": 3}, "fal-ai/flux/schnell")
        finish(server, said)
        assert 2 == len(ask(server, "GET", said["response_url"]).json()["images"])

    def test_a_word_that_nobody_knows(self, server: Fal) -> None:
        """A fate can end in one."""
        server.next(ending="PAUSED")
        assert "PAUSED" == finish(server, submit(server))["status"]


class TestFailures:
    @pytest.mark.parametrize(
        ("fate", "status", "kind", "retryable"),
        [
            (Fate("refused"), 422, "content_policy_violation", "false"),
            (Fate("failed"), 500, "internal_server_error", "true"),
            (Fate("failed", code="downstream_service_error"), 400, "downstream_service_error", "true"),
            (Fate("failed", code="generation_timeout"), 504, "generation_timeout", "true"),
            (Fate("failed", code="image_too_small"), 422, "image_too_small", "false"),
            (Fate("done", filtered=1), 422, "no_media_generated", "false"),
        ],
    )  # fmt: skip
    def test_of_the_model(self, server: Fal, fate: Fate, status: int, kind: str, retryable: str) -> None:
        """COMPLETED with an error; the result has the model's status, a list of details and X-Fal-Retryable."""
        server.next(fate)
        said = submit(server)
        over = finish(server, said)
        reply = ask(server, "GET", said["response_url"])
        assert ("COMPLETED", kind) == (over["status"], over["error_type"])
        assert (status, kind, retryable) == (
            reply.status,
            reply.json()["detail"][0]["type"],
            reply.headers["x-fal-retryable"],
        )
        assert "x-fal-billable-units" not in reply.headers

    @pytest.mark.parametrize(
        ("code", "status"),
        [("startup_timeout", 504), ("runner_disconnected", 503), ("runner_server_error", 500)],
    )
    def test_of_the_infrastructure(self, server: Fal, code: str, status: int) -> None:
        """A sentence, `error_type`, and the same in a header."""
        server.next(ending="failed", code=code)
        said = submit(server)
        finish(server, said)
        reply = ask(server, "GET", said["response_url"])
        assert (status, code, code) == (
            reply.status,
            reply.json()["error_type"],
            reply.headers["x-fal-error-type"],
        )

    def test_a_wrong_key(self, server: Fal) -> None:
        """Is a 401, with and without a word before it."""
        for key in ("", "Key wrong", f"Bearer {server.key}"):
            reply = send("POST", f"{server.url}/{T2V}", {"prompt": "x"}, key=key)
            assert (401, "auth_error") == (reply.status, reply.json()["error_type"])

    def test_a_locked_balance_looks_like_a_missing_right(self, server: Fal) -> None:
        """403, and the reason in words."""
        server.locked = True
        reply = ask(server, "POST", T2V, {"prompt": "x"})
        assert (403, True) == (reply.status, "Exhausted balance" in reply.json()["detail"])
        assert not server.jobs

    def test_a_submit_can_be_refused_by_fate(self, server: Fal) -> None:
        """In the vendor's own words."""
        server.next(rejected=VendorError(503, "runner_scheduling_failure", "busy"))
        assert (503, []) == (ask(server, "POST", T2V, {"prompt": "x"}).status, server.jobs)

    def test_an_unknown_request(self, server: Fal) -> None:
        """Is not found."""
        assert 404 == ask(server, "GET", "fal-ai/kling-video/requests/none/status").status


class TestCancel:
    def test_in_the_queue(self, server: Fal) -> None:
        """It is taken out at once."""
        reply = ask(server, "PUT", submit(server)["cancel_url"])
        assert (200, "OK", "cancelled") == (reply.status, reply.json()["status"], server.jobs[0].state)

    def test_at_work(self, server: Fal) -> None:
        """The runner is told, and ends it."""
        server.next(looks=3)
        said = submit(server)
        for _ in range(2):
            ask(server, "GET", said["status_url"])
        reply = ask(server, "PUT", said["cancel_url"])
        over = ask(server, "GET", said["status_url"]).json()
        assert (202, "CANCELLATION_REQUESTED", "client_cancelled") == (
            reply.status,
            reply.json()["status"],
            over["error_type"],
        )

    def test_at_work_by_a_model_that_does_not_listen(self, server: Fal) -> None:
        """The work goes on, and is billed."""
        server.next(looks=1, more={"ignores_cancel": True})
        said = submit(server)
        ask(server, "GET", said["status_url"])
        ask(server, "PUT", said["cancel_url"])
        finish(server, said)
        assert 200 == ask(server, "GET", said["response_url"]).status

    def test_afterwards(self, server: Fal) -> None:
        """There is nothing left to cancel."""
        said = submit(server)
        finish(server, said)
        reply = ask(server, "PUT", said["cancel_url"])
        assert (400, "ALREADY_COMPLETED") == (reply.status, reply.json()["status"])

    def test_of_nothing(self, server: Fal) -> None:
        """NOT_FOUND."""
        reply = ask(server, "PUT", "fal-ai/kling-video/requests/none/cancel")
        assert (404, "NOT_FOUND") == (reply.status, reply.json()["status"])


RIGHT: dict[str, dict[str, Any]] = {
    T2V: {"prompt": "x", "duration": "15", "generate_audio": True, "cfg_scale": 0.5, "negative_prompt": None},
    "fal-ai/kling-video/v3/4k/image-to-video": {"prompt": "x", "start_image_url": URL, "end_image_url": URL},
    "fal-ai/kling-video/o3/standard/image-to-video": {"prompt": "x", "image_url": URL, "duration": "3"},
    "fal-ai/kling-video/o3/pro/reference-to-video": {"prompt": "x", "image_urls": [URL], "elements": [{"frontal_image_url": URL}]},
    "fal-ai/kling-video/o1/image-to-video": {"prompt": "x", "start_image_url": URL, "duration": "10"},
    "fal-ai/kling-video/v2.6/pro/image-to-video": {"prompt": "x", "start_image_url": URL, "duration": "10", "generate_audio": False},
    "fal-ai/kling-video/v2.5-turbo/pro/image-to-video": {"prompt": "x", "image_url": URL, "tail_image_url": URL},
    "fal-ai/kling-video/v2.1/master/text-to-video": {"prompt": "x", "aspect_ratio": "1:1"},
    "fal-ai/kling-video/v3/pro/motion-control": {"image_url": URL, "video_url": URL, "character_orientation": "video"},
    "fal-ai/kling-video/lipsync/audio-to-video": {"video_url": URL, "audio_url": "data:audio/mp3;base64,AA"},
    "fal-ai/kling-video/ai-avatar/v2/pro": {"image_url": URL, "audio_url": URL},
    "kling/v4/text-to-video": {"prompt": "x", "duration": "30", "resolution": "1080p", "aspect_ratio": "21:9"},
    "alibaba/wan-3.0/text-to-video": {"prompt": "x", "duration": 30, "audio": False, "aspect_ratio": "adaptive"},
    "fal-ai/wan/v2.7/image-to-video": {"prompt": "x", "image_url": URL, "duration": 15},
    "wan/v2.6/image-to-video/flash": {"prompt": "x", "image_url": URL, "duration": "15"},
    "fal-ai/wan-25-preview/text-to-video": {"prompt": "x", "resolution": "480p", "duration": "10"},
    "fal-ai/wan/v2.2-a14b/text-to-video/turbo": {"prompt": "x", "resolution": "580p", "seed": 7},
    "fal-ai/veo3.1": {"prompt": "x", "duration": "8s", "resolution": "4k", "safety_tolerance": "4"},
    "fal-ai/veo3.1/lite/first-last-frame-to-video": {"prompt": "x", "first_frame_url": URL, "last_frame_url": URL},
    "fal-ai/ltx-2.3/text-to-video/fast": {"prompt": "x", "duration": 20, "fps": 25, "resolution": "1080p"},
    "fal-ai/pika/v2.2/image-to-video": {"prompt": "x", "image_url": URL, "duration": "5"},
    "fal-ai/bytedance/seedance/v1.5/pro/text-to-video": {"prompt": "x", "duration": "12", "generate_audio": False},
    "fal-ai/minimax/hailuo-02/standard/image-to-video": {"prompt": "x", "image_url": URL, "resolution": "768P", "duration": "6"},
    "fal-ai/flux-2-pro": {"prompt": "x", "image_size": "square_hd", "safety_tolerance": "2"},
}  # fmt: skip
WRONG: list[tuple[str, dict[str, Any], list[Any], str]] = [
    (T2V, {"prompt": "x", "duration": 5}, ["body", "duration"], "string_type"),
    (T2V, {"prompt": "x", "duration": "5s"}, ["body", "duration"], "one_of"),
    (T2V, {"prompt": "x", "duration": "2"}, ["body", "duration"], "one_of"),
    (T2V, {"prompt": "x", "cfg_scale": 1.5}, ["body", "cfg_scale"], "less_than_equal"),
    (T2V, {"prompt": "x", "generate_audio": "true"}, ["body", "generate_audio"], "bool_type"),
    (T2V, {"prompt": "x", "resolution": "1080p"}, ["body", "resolution"], "extra_forbidden"),
    (T2V, {"prompt": "x", "image_url": URL}, ["body", "image_url"], "extra_forbidden"),
    (T2V, {}, ["body"], "value_error"),
    (T2V, {"prompt": "x", "multi_prompt": [{"prompt": "y"}]}, ["body"], "value_error"),
    (T2V, {"multi_prompt": [{"prompt": "y", "duration": 3}]}, ["body", "multi_prompt", 0, "duration"], "string_type"),
    ("fal-ai/kling-video/v3/pro/image-to-video", {"prompt": "x", "image_url": URL}, ["body", "start_image_url"], "missing"),
    ("fal-ai/kling-video/o3/pro/image-to-video", {"prompt": "x", "start_image_url": URL}, ["body", "image_url"], "missing"),
    ("fal-ai/kling-video/v2.5-turbo/pro/text-to-video", {"prompt": "x", "generate_audio": True}, ["body", "generate_audio"], "extra_forbidden"),
    ("fal-ai/kling-video/v2.6/pro/text-to-video", {"prompt": "x", "duration": "6"}, ["body", "duration"], "one_of"),
    ("fal-ai/kling-video/v3/turbo/pro/text-to-video", {"prompt": "x", "generate_audio": True}, ["body", "generate_audio"], "extra_forbidden"),
    ("fal-ai/kling-video/o3/pro/video-to-video/edit", {"prompt": "x", "video_url": "clip.mp4"}, ["body", "video_url"], "value_error"),
    ("kling/v4/text-to-video", {"prompt": "x", "generate_audio": True}, ["body", "generate_audio"], "extra_forbidden"),
    ("alibaba/wan-3.0/text-to-video", {"prompt": "x", "duration": "5"}, ["body", "duration"], "int_type"),
    ("alibaba/wan-3.0/text-to-video", {"prompt": "x", "duration": 31}, ["body", "duration"], "less_than_equal"),
    ("alibaba/wan-3.0/text-to-video", {"prompt": "x", "duration": True}, ["body", "duration"], "int_type"),
    ("fal-ai/wan/v2.7/image-to-video", {"prompt": "x", "image_url": URL, "video_url": URL}, ["body"], "value_error"),
    ("wan/v2.6/text-to-video", {"prompt": "x", "resolution": "480p"}, ["body", "resolution"], "one_of"),
    ("fal-ai/veo3.1", {"prompt": "x", "duration": "8"}, ["body", "duration"], "one_of"),
    ("fal-ai/veo3.1", {"prompt": "x", "duration": 8}, ["body", "duration"], "string_type"),
    ("fal-ai/veo3.1/lite", {"prompt": "x", "resolution": "4k"}, ["body", "resolution"], "one_of"),
    ("fal-ai/veo3.1/reference-to-video", {"prompt": "x"}, ["body", "image_urls"], "missing"),
    ("fal-ai/ltx-2.3/text-to-video", {"prompt": "x", "duration": "6"}, ["body", "duration"], "int_type"),
    ("fal-ai/ltx-2.3/text-to-video", {"prompt": "x", "duration": 12}, ["body", "duration"], "one_of"),
    ("fal-ai/ltx-2.3/text-to-video/fast", {"prompt": "x", "duration": 12, "fps": 50}, ["body", "duration"], "value_error"),
    ("fal-ai/pika/v2.2/text-to-video", {"prompt": "x", "duration": 5}, ["body", "duration"], "string_type"),
    ("fal-ai/minimax/hailuo-02/pro/text-to-video", {"prompt": "x", "duration": "6"}, ["body", "duration"], "extra_forbidden"),
    ("fal-ai/flux-2-pro", {"prompt": "x", "guidance_scale": 3}, ["body", "guidance_scale"], "extra_forbidden"),
    ("fal-ai/flux/dev", {"prompt": "x", "image_size": "huge"}, ["body", "image_size"], "value_error"),
    ("fal-ai/flux/dev", {"prompt": ""}, ["body", "prompt"], "string_too_short"),
]  # fmt: skip


class TestInputs:
    @pytest.mark.parametrize("endpoint", sorted(RIGHT))
    def test_what_the_page_shows_is_taken(self, server: Fal, endpoint: str) -> None:
        """By its own names and types."""
        submit(server, RIGHT[endpoint], endpoint)
        assert RIGHT[endpoint] == server.jobs[0].body

    @pytest.mark.parametrize(("endpoint", "body", "where", "kind"), WRONG)
    def test_what_is_wrong_is_a_422(
        self, server: Fal, endpoint: str, body: Any, where: list[Any], kind: str
    ) -> None:
        """With where, what and why, and nothing is made."""
        reply = ask(server, "POST", endpoint, body)
        detail = reply.json()["detail"][0]
        assert (422, where, kind, "false") == (
            reply.status,
            detail["loc"],
            detail["type"],
            reply.headers["x-fal-retryable"],
        )
        assert {"loc", "msg", "type", "ctx", "input", "url"} == set(detail)
        assert not server.jobs

    @pytest.mark.parametrize("body", [b"{", b"[]", b""])
    def test_what_is_no_object_is_a_422(self, server: Fal, body: bytes) -> None:
        """Of any endpoint."""
        assert 422 == ask(server, "POST", "some/model", body).status

    def test_an_endpoint_that_is_not_in_the_table_takes_anything(self, server: Fal) -> None:
        """As long as it is an object."""
        assert {"x": [1]} == (submit(server, {"x": [1]}, "some/model"), server.jobs[0].body)[1]

    def test_it_can_be_found_out_late(self) -> None:
        """Then the submit is taken, and the 422 is the result."""
        with Fal(late=True) as server:
            said = submit(server, {"prompt": "x", "duration": 5})
            over = finish(server, said)
            reply = ask(server, "GET", said["response_url"])
            assert ("string_type", 422) == (over["error_type"], reply.status)

    def test_every_price_is_of_an_endpoint_in_the_table(self) -> None:
        """So that units can be counted."""
        assert set() == set(PRICES) - set(MODELS)


class TestStorage:
    def token(self, server: Fal) -> str:
        said = ask(server, "POST", "storage/auth/token?storage_type=fal-cdn-v3", {}).json()
        assert server.url == said["base_url"]
        return f"{said['token_type']} {said['token']}"

    def test_a_file_is_uploaded_by_the_token(self, server: Fal) -> None:
        """And is public afterwards."""
        url = send(
            "POST", f"{server.url}/files/upload", b"png", key=self.token(server),
            headers={"Content-Type": "image/png", "X-Fal-File-Name": "a.png"},
        ).json()["access_url"]  # fmt: skip
        reply = send("GET", url)
        assert (b"png", "image/png", "a.png") == (
            reply.body, reply.headers["content-type"], next(iter(server.uploads.values())).filename,
        )  # fmt: skip

    def test_the_key_itself_uploads_nothing(self, server: Fal) -> None:
        """The CDN knows only its tokens."""
        assert 401 == ask(server, "POST", "files/upload", b"png").status

    def test_parts_are_put_together_by_number(self, server: Fal) -> None:
        """Whatever order they came in."""
        key = self.token(server)
        said = send(
            "POST", f"{server.url}/files/upload/multipart", key=key, headers={"Content-Type": "video/mp4"}
        ).json()
        url = f"{said['access_url']}/multipart/{said['uploadId']}"
        tags = {n: send("PUT", f"{url}/{n}", bytes([n]), key=key).headers["etag"] for n in (2, 1)}
        parts = [{"partNumber": n, "etag": tag} for n, tag in tags.items()]
        assert 200 == send("POST", f"{url}/complete", {"parts": parts}, key=key).status
        assert b"\x01\x02" == send("GET", said["access_url"]).body

    def test_a_part_that_is_not_named_is_missed(self, server: Fal) -> None:
        """The end names every part with its etag."""
        key = self.token(server)
        said = send("POST", f"{server.url}/files/upload/multipart", key=key).json()
        url = f"{said['access_url']}/multipart/{said['uploadId']}"
        send("PUT", f"{url}/1", b"x", key=key)
        assert 400 == send("POST", f"{url}/complete", {"parts": []}, key=key).status


class TestThePlatform:
    def test_prices(self, server: Fal) -> None:
        """One unit price an endpoint, names repeated or with commas."""
        said = ask(
            server, "GET", f"v1/models/pricing?endpoint_id={T2V}&endpoint_id=fal-ai/veo3.1,fal-ai/flux/dev"
        ).json()
        assert [(0.112, "seconds"), (0.2, "seconds"), (0.025, "megapixels")] == [
            (price["unit_price"], price["unit"]) for price in said["prices"]
        ]  # fmt: skip

    def test_prices_in_pages(self, server: Fal) -> None:
        """A page says where the next one begins."""
        server.prices_per_page = 1
        path = f"v1/models/pricing?endpoint_id={T2V}&endpoint_id=fal-ai/veo3.1"
        first = ask(server, "GET", path).json()
        last = ask(server, "GET", f"{path}&cursor={first['next_cursor']}").json()
        assert [True, False] == [first["has_more"], last["has_more"]]
        assert [T2V, "fal-ai/veo3.1"] == [
            one["endpoint_id"] for page in (first, last) for one in page["prices"]
        ]

    def test_a_price_that_nobody_knows(self, server: Fal) -> None:
        """Is not found."""
        assert 404 == ask(server, "GET", "v1/models/pricing?endpoint_id=some/model").status

    @pytest.mark.parametrize(
        ("kind", "amount", "cost"), [("unit_price", "unit_quantity", 1.12), ("historical_api_price", "call_quantity", 5.6)]
    )  # fmt: skip
    def test_estimates(self, server: Fal, kind: str, amount: str, cost: float) -> None:
        """Of units, and of calls."""
        body = {"estimate_type": kind, "endpoints": {T2V: {amount: 10}}}
        said = ask(server, "POST", "v1/models/pricing/estimate", body).json()
        assert {"estimate_type": kind, "total_cost": cost, "currency": "USD"} == said

    def test_requests_are_listed_by_endpoint(self, server: Fal, clock: Clock) -> None:
        """The one that ended last first, with what was asked for where it is wanted."""
        ids = []
        for number in range(3):
            said = submit(server, {"prompt": str(number)})
            ids.append(said["request_id"])
            clock.now += 1
            finish(server, said)
        submit(server, endpoint="fal-ai/veo3.1")
        path = f"v1/models/requests/by-endpoint?endpoint_id={T2V}&limit=2&expand=payloads"
        first = ask(server, "GET", path).json()
        rest = ask(server, "GET", f"{path}&cursor={first['next_cursor']}").json()
        assert ids[::-1] == [item["request_id"] for item in first["items"] + rest["items"]]
        assert ("2", 200, True, False) == (
            first["items"][0]["json_input"]["prompt"], first["items"][0]["status_code"], first["has_more"], rest["has_more"],
        )  # fmt: skip

    @pytest.mark.parametrize(("status", "expected"), [("success", 1), ("user_error", 1), ("error", 1)])
    def test_requests_are_told_apart_by_how_they_ended(self, server: Fal, status: str, expected: int) -> None:
        """Well, by the user's fault, or by fal's."""
        server.next(Fate(), Fate("refused"), Fate("failed"))
        for _ in range(3):
            finish(server, submit(server))
        path = f"v1/models/requests/by-endpoint?endpoint_id={T2V}&status={status}"
        assert expected == len(ask(server, "GET", path).json()["items"])

    @pytest.mark.parametrize("shown", [True, False])
    def test_open_requests(self, shown: bool) -> None:
        """Are listed or not: nobody knows which of the two fal does."""
        with Fal(lists_open=shown) as server:
            submit(server)
            said = ask(server, "GET", f"v1/models/requests/by-endpoint?endpoint_id={T2V}").json()
            assert [False] * shown == ["ended_at" in item for item in said["items"]]

    def test_a_day_is_what_is_listed(self, server: Fal, clock: Clock) -> None:
        """Unless `start` says more."""
        submit(server)
        start = server.stamp()
        clock.now += 100_000
        path = f"v1/models/requests/by-endpoint?endpoint_id={T2V}"
        counts = [len(ask(server, "GET", path + more).json()["items"]) for more in ("", f"&start={start}")]
        assert [0, 1] == counts


class TestWebhooks:
    def key(self, server: Fal) -> Ed25519PublicKey:
        keys = send("GET", f"{server.url}/.well-known/jwks.json").json()["keys"]
        return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(keys[0]["x"] + "="))

    def message(self, headers: dict[str, str], body: bytes) -> bytes:
        values = [headers[f"X-Fal-Webhook-{name}"] for name in ("Request-Id", "User-Id", "Timestamp")]
        return "\n".join((*values, hashlib.sha256(body).hexdigest())).encode()

    def test_a_delivery_is_signed_by_the_published_key(self, server: Fal) -> None:
        """Ed25519 over three headers and the body's hash."""
        submit(server, query="?fal_webhook=https://example.com/hook")
        headers, body = server.signed(server.jobs[0])
        self.key(server).verify(
            bytes.fromhex(headers["X-Fal-Webhook-Signature"]), self.message(headers, body)
        )

    def test_a_body_that_was_changed_does_not_fit(self, server: Fal) -> None:
        """Not by one byte."""
        submit(server)
        headers, body = server.signed(server.jobs[0])
        with pytest.raises(InvalidSignature):
            self.key(server).verify(
                bytes.fromhex(headers["X-Fal-Webhook-Signature"]), self.message(headers, body + b" ")
            )

    def test_its_time_can_be_said(self, server: Fal) -> None:
        """For deliveries that come too late."""
        submit(server)
        assert "12" == server.signed(server.jobs[0], at=12.9)[0]["X-Fal-Webhook-Timestamp"]

    def test_a_submit_with_a_webhook_names_the_gateway(self, server: Fal) -> None:
        """And so does the delivery, with what the model gave."""
        said = submit(server, query="?fal_webhook=https%3A%2F%2Fexample.com%2Fhook%3Fa%3D1")
        delivered = server._delivery(server.jobs[0])
        assert "https://example.com/hook?a=1" == server.jobs[0].more["webhook"]
        assert (said["request_id"], said["gateway_request_id"], "OK", True) == (
            delivered["request_id"], delivered["gateway_request_id"], delivered["status"], "video" in delivered["payload"],
        )  # fmt: skip

    def test_a_delivery_of_a_failure(self, server: Fal) -> None:
        """ERROR, with the model's own details as payload."""
        server.next(ending="refused")
        submit(server)
        delivered = server._delivery(server.jobs[0])
        assert ("ERROR", "content_policy_violation") == (
            delivered["status"],
            delivered["payload"]["detail"][0]["type"],
        )

    def test_it_is_delivered(self, server: Fal) -> None:
        """By POST, as it was signed."""
        got: list[tuple[str, bytes]] = []

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                got.append(
                    (
                        self.headers["X-Fal-Webhook-Request-Id"],
                        self.rfile.read(int(self.headers["Content-Length"])),
                    )
                )
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing on the terminal."""

        with HTTPServer(("127.0.0.1", 0), Receiver) as receiver:
            thread = threading.Thread(target=receiver.handle_request)
            thread.start()
            submit(server)
            status = server.deliver(server.jobs[0], f"http://127.0.0.1:{receiver.server_port}/hook")
            thread.join()
        assert (204, [(server.jobs[0].id, server.signed(server.jobs[0])[1])]) == (status, got)


class TestFaults:
    @pytest.mark.parametrize(("fault", "made"), [("reset-before", 0), ("reset-after", 1), ("cut", 1)])
    def test_a_lost_reply(self, server: Fal, fault: str, made: int) -> None:
        """What comes after the body was read leaves a job that nobody was told of."""
        server.fail("submit", fault)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            ask(server, "POST", T2V, {"prompt": "x"})
        assert made == len(server.jobs)

    def test_its_own_error(self, server: Fal) -> None:
        """Says its type in the body and in a header."""
        server.fail("submit", "error-503")
        reply = ask(server, "POST", T2V, {"prompt": "x"})
        assert (503, "runner_scheduling_failure") == (reply.status, reply.headers["x-fal-error-type"])

    def test_a_page_of_a_gateway(self, server: Fal) -> None:
        """Is not fal's: no id of the request."""
        server.fail("poll", "gateway-502")
        reply = ask(server, "GET", submit(server)["status_url"])
        assert (502, False) == (reply.status, "x-fal-request-id" in reply.headers)
