"""Replicate's wire, asked plainly."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers.plain import Reply, send
from vidorch.testing.servers import Fate
from vidorch.testing.servers.replicate import Replicate

KLING = "kwaivgi/kling-v3-video"
URL = "https://example.com/a.png"
FORM = {"Content-Type": "multipart/form-data; boundary=xx"}


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
def server(clock: Clock) -> Iterator[Replicate]:
    with Replicate(clock=clock, page=2) as server:
        yield server


def ask(server: Replicate, method: str, path: str, body: Any = None, **headers: str) -> Reply:
    url = path if path.startswith("http") else f"{server.url}/v1/{path}"
    return send(method, url, body, key=f"Bearer {server.key}", headers=headers)


def create(server: Replicate, given: Any = None, model: str = KLING, **headers: str) -> Any:
    body = {"input": {"prompt": "a red ball"} if given is None else given}
    reply = ask(server, "POST", f"models/{model}/predictions", body, **headers)
    assert reply.status in (201, 202), reply.body
    return reply.json()


def finish(server: Replicate, said: Any) -> Any:
    """Poll until it is over; gives the prediction."""
    for _ in range(5):
        said = ask(server, "GET", said["urls"]["get"]).json()
        if said["status"] not in ("starting", "processing"):
            return said
    raise AssertionError(said)


class TestPredictions:
    def test_it_starts(self, server: Replicate) -> None:
        """201 with an id, a hidden version and where to ask."""
        said = create(server)
        expected = {
            "model": KLING,
            "version": "hidden",
            "status": "starting",
            "output": None,
            "error": None,
            "data_removed": False,
        }
        assert expected == {name: said[name] for name in expected}
        assert f"{server.url}/v1/predictions/{said['id']}/cancel" == said["urls"]["cancel"]

    def test_it_works_and_is_done(self, server: Replicate) -> None:
        """starting, processing, succeeded; the output is one URL that needs no key."""
        server.next(looks=2)
        url = create(server)["urls"]["get"]
        said = [ask(server, "GET", url).json() for _ in range(3)]
        assert ["starting", "processing", "succeeded"] == [one["status"] for one in said]
        assert b"ftyp" == send("GET", said[2]["output"]).body[4:8]

    def test_metrics_are_what_is_billed(self, server: Replicate) -> None:
        """There is no money in them."""
        said = finish(
            server, create(server, {"prompt": "x", "duration": 7, "mode": "pro", "generate_audio": True})
        )
        expected = {
            "video_output_duration_seconds": 7.0,
            "video_output_count": 1,
            "with_audio": True,
            "resolution_target": "pro",
        }
        assert expected == {name: said["metrics"][name] for name in expected}

    @pytest.mark.parametrize(("metrics", "expected"), [(None, None), ({"with_audio": False}, False)])
    def test_metrics_can_be_said(self, server: Replicate, metrics: Any, expected: Any) -> None:
        """They can be missing altogether."""
        server.next(more={"metrics": metrics})
        said = finish(server, create(server))["metrics"]
        assert expected == (said if said is None else said["with_audio"])

    @pytest.mark.parametrize("many", [True, False])
    def test_the_output_is_a_url_or_a_list(self, server: Replicate, many: bool) -> None:
        """It differs by model."""
        server.next(more={"many": many})
        assert many == isinstance(finish(server, create(server))["output"], list)

    def test_pictures_are_a_list(self, server: Replicate) -> None:
        """Of as many as were asked for."""
        said = finish(server, create(server, {"prompt": "x", "num_outputs": 2}, "black-forest-labs/flux-dev"))
        assert 2 == len(said["output"])

    @pytest.mark.parametrize(
        ("fate", "status", "error"),
        [
            (Fate("failed", message="Out of memory", code="E1001"), "failed", "Out of memory (E1001)"),
            (Fate("failed"), "failed", "Prediction failed."),
            (Fate("refused"), "failed", "The input or output was flagged as sensitive. (E005)"),
            (Fate("cancelled"), "canceled", None),
            (Fate("aborted"), "aborted", None),
            (Fate("paused"), "paused", None),
        ],
    )
    def test_other_ends(self, server: Replicate, fate: Fate, status: str, error: str | None) -> None:
        """A refusal is a failure; only its words tell."""
        server.next(fate)
        said = finish(server, create(server))
        assert (status, error, None) == (said["status"], said["error"], said["output"])

    def test_what_did_not_start_in_time_is_aborted(self, server: Replicate, clock: Clock) -> None:
        """`Cancel-After`, by the server's clock."""
        said = create(server, **{"Cancel-After": "1m"})
        clock.now += 60
        over = ask(server, "GET", said["urls"]["get"]).json()
        assert ("aborted", None, {}) == (over["status"], over["started_at"], over["metrics"])

    def test_what_did_not_end_in_time_is_cancelled(self, server: Replicate, clock: Clock) -> None:
        """And is charged."""
        server.next(looks=9)
        said = create(server, **{"Cancel-After": "90s"})
        for _ in range(2):
            ask(server, "GET", said["urls"]["get"])
        clock.now += 90
        assert "canceled" == ask(server, "GET", said["urls"]["get"]).json()["status"]

    @pytest.mark.parametrize("header", [{"Cancel-After": "soon"}, {"Prefer": "wait=61"}])
    def test_a_header_that_says_nothing(self, server: Replicate, header: dict[str, str]) -> None:
        """Is a 400, and nothing is made."""
        reply = ask(server, "POST", f"models/{KLING}/predictions", {"input": {"prompt": "x"}}, **header)
        assert (400, []) == (reply.status, server.jobs)

    def test_waiting_for_it(self, server: Replicate) -> None:
        """`Prefer: wait` gives it done where it is quick."""
        reply = ask(server, "POST", f"models/{KLING}/predictions", {"input": {"prompt": "x"}}, Prefer="wait")
        assert (201, "succeeded") == (reply.status, reply.json()["status"])

    def test_waiting_in_vain(self, server: Replicate) -> None:
        """A 202 with what there is after `wait=N`."""
        server.next(seconds=100)
        reply = ask(
            server, "POST", f"models/{KLING}/predictions", {"input": {"prompt": "x"}}, Prefer="wait=5"
        )
        assert (202, "processing") == (reply.status, reply.json()["status"])

    def test_cancelling(self, server: Replicate) -> None:
        """Twice is as once."""
        said = create(server)
        replies = [ask(server, "POST", said["urls"]["cancel"]) for _ in range(2)]
        assert [(200, "canceled")] * 2 == [(reply.status, reply.json()["status"]) for reply in replies]

    def test_its_data_is_removed_after_an_hour(self, server: Replicate, clock: Clock) -> None:
        """Input, output, logs and the file; how it ended remains."""
        done = finish(server, create(server))
        clock.now += 3599
        kept = ask(server, "GET", done["urls"]["get"]).json()["output"]
        clock.now += 1
        said = ask(server, "GET", done["urls"]["get"]).json()
        assert done["output"] == kept
        assert (True, {}, None, "", "succeeded", 403) == (
            said["data_removed"], said["input"], said["output"], said["logs"], said["status"], send("GET", kept).status,
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("path", "version", "model"),
        [
            ("predictions", "a" * 64, ""),
            ("predictions", KLING, KLING),
            ("predictions", f"{KLING}:{'b' * 64}", KLING),
            ("deployments/me/mine/predictions", None, ""),
        ],
    )
    def test_other_ways_to_make_one(
        self, server: Replicate, path: str, version: str | None, model: str
    ) -> None:
        """By version, by name, and by a deployment."""
        body = {"input": {"prompt": "x"}, **({"version": version} if version else {})}
        reply = ask(server, "POST", path, body)
        assert (201, model, "me/mine" if version is None else None) == (
            reply.status, reply.json()["model"], reply.json().get("deployment"),
        )  # fmt: skip


class TestTheList:
    def test_the_newest_comes_first_page_after_page(self, server: Replicate) -> None:
        """By URLs, forwards and back."""
        ids = [create(server)["id"] for _ in range(3)]
        first = ask(server, "GET", "predictions").json()
        second = ask(server, "GET", first["next"]).json()
        assert ids[::-1] == [one["id"] for one in first["results"] + second["results"]]
        assert (None, None, first["results"]) == (
            first["previous"], second["next"], ask(server, "GET", second["previous"]).json()["results"],
        )  # fmt: skip

    def test_a_cursor_of_somebody_else(self, server: Replicate) -> None:
        """Is a 400."""
        assert 400 == ask(server, "GET", "predictions?cursor=!").status


RIGHT: list[tuple[str, dict[str, Any]]] = [
    (KLING, {"prompt": "x", "duration": 15, "mode": "4k", "start_image": URL, "end_image": URL}),
    (KLING, {"prompt": "x", "duration": 6, "multi_prompt": json.dumps([{"prompt": "a", "duration": 2}, {"prompt": "b", "duration": 4}])}),
    ("kwaivgi/kling-v2.5-turbo-pro", {"prompt": "x", "duration": 10, "aspect_ratio": "9:16"}),
    ("google/veo-3.1", {"prompt": "x", "duration": 8, "reference_images": [URL], "resolution": "1080p", "generate_audio": False}),
    ("alibaba/wan-3", {"prompt": "x", "duration": 30, "resolution": "480p"}),
    ("wan-video/wan-2.2-i2v-fast", {"prompt": "x", "image": URL, "resolution": "480p", "interpolate_output": True}),
    ("minimax/hailuo-2.3", {"prompt": "x", "first_frame_image": URL, "duration": 10, "resolution": "768p"}),
    ("bytedance/seedance-1.5-pro", {"prompt": "x", "duration": 12, "generate_audio": True}),
    ("runwayml/gen4-turbo", {"prompt": "x", "image": URL, "duration": 5, "aspect_ratio": "21:9"}),
    ("some/model", {"anything": [1]}),
]  # fmt: skip
WRONG: list[tuple[str, dict[str, Any], str]] = [
    (KLING, {"prompt": "x", "duration": "5"}, "input.duration"),
    (KLING, {"prompt": "x", "duration": 2}, "input.duration"),
    (KLING, {"prompt": "x", "duration": 5.0}, "input.duration"),
    (KLING, {"prompt": "x", "start_image_url": URL}, "input.start_image_url"),
    (KLING, {"prompt": "x", "end_image": URL}, "input.end_image"),
    (KLING, {"prompt": "x", "mode": "1080p"}, "input.mode"),
    (KLING, {"prompt": "x" * 2501}, "input.prompt"),
    (KLING, {"prompt": "x", "multi_prompt": json.dumps([{"prompt": "a", "duration": 2}])}, "input.multi_prompt"),
    (KLING, {"prompt": "x", "multi_prompt": "a, b"}, "input.multi_prompt"),
    (KLING, {}, "input.prompt"),
    ("google/veo-3.1", {"prompt": "x", "duration": 5}, "input.duration"),
    ("google/veo-3.1", {"prompt": "x", "duration": "8s"}, "input.duration"),
    ("google/veo-3.1", {"prompt": "x", "duration": 4, "reference_images": [URL]}, "input.reference_images"),
    ("google/veo-3.1-lite", {"prompt": "x", "duration": 4, "resolution": "1080p"}, "input.resolution"),
    ("kwaivgi/kling-v2.1", {"prompt": "x"}, "input.start_image"),
    ("minimax/hailuo-2.3", {"prompt": "x", "duration": 10, "resolution": "1080p"}, "input.duration"),
    ("runwayml/gen4-turbo", {"prompt": "x", "duration": 5}, "input.image"),
]  # fmt: skip


class TestInputs:
    @pytest.mark.parametrize(("model", "given"), RIGHT)
    def test_what_the_schema_says_is_taken(self, server: Replicate, model: str, given: Any) -> None:
        """And any object by models that are not in the table."""
        create(server, given, model)
        assert given == server.jobs[0].body

    @pytest.mark.parametrize(("model", "given", "field"), WRONG)
    def test_what_is_wrong_is_a_422(self, server: Replicate, model: str, given: Any, field: str) -> None:
        """That names the field, and nothing is made."""
        reply = ask(server, "POST", f"models/{model}/predictions", {"input": given})
        assert (422, 422, "Input validation failed", field) == (
            reply.status, reply.json()["status"], reply.json()["title"], reply.json()["invalid_fields"][0]["field"],
        )  # fmt: skip
        assert not server.jobs

    @pytest.mark.parametrize(
        "body", [{}, {"input": []}, {"input": {"prompt": "x"}, "webhook": "http://example.com"},
                 {"input": {"prompt": "x"}, "webhook_events_filter": ["done"]}, {"input": {"prompt": "x"}, "seed": 1}],
    )  # fmt: skip
    def test_what_is_around_the_input_counts_too(self, server: Replicate, body: Any) -> None:
        """A webhook has to be https, its events of four."""
        assert 422 == ask(server, "POST", f"models/{KLING}/predictions", body).status

    def test_what_is_no_json(self, server: Replicate) -> None:
        """Is a 400."""
        assert 400 == ask(server, "POST", "predictions", b"{").status

    def test_a_version_of_no_known_shape(self, server: Replicate) -> None:
        """Is a 422."""
        assert 422 == ask(server, "POST", "predictions", {"version": "latest", "input": {}}).status


class TestErrors:
    def test_a_wrong_token(self, server: Replicate) -> None:
        """Is a 401, as a problem."""
        reply = send("GET", f"{server.url}/v1/account", key="Bearer wrong")
        assert (401, "application/problem+json", "Unauthenticated") == (
            reply.status, reply.headers["content-type"], reply.json()["title"],
        )  # fmt: skip

    def test_no_credit(self) -> None:
        """Is a 402, and nothing is made."""
        with Replicate(credit=False) as server:
            reply = ask(server, "POST", f"models/{KLING}/predictions", {"input": {"prompt": "x"}})
            assert (402, []) == (reply.status, server.jobs)

    def test_an_unknown_prediction(self, server: Replicate) -> None:
        """Is a 404."""
        assert (404, 404) == (
            (reply := ask(server, "GET", "predictions/none")).status,
            reply.json()["status"],
        )

    def test_too_many_requests(self, server: Replicate) -> None:
        """Are told only in words."""
        server.fail("submit", "error-429-after")
        reply = ask(server, "POST", f"models/{KLING}/predictions", {"input": {"prompt": "x"}})
        assert ({"detail": "Request was throttled. Your rate limit resets in ~30s."}, "2") == (
            reply.json(), reply.headers["retry-after"],
        )  # fmt: skip

    @pytest.mark.parametrize(("fault", "made"), [("reset-before", 0), ("reset-after", 1)])
    def test_a_lost_reply(self, server: Replicate, fault: str, made: int) -> None:
        """What comes after the body was read leaves a job that nobody was told of."""
        server.fail("submit", fault)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            create(server)
        assert made == len(server.jobs)


class TestFiles:
    def upload(self, server: Replicate, content: str = "png") -> Reply:
        parts = (
            '--xx\r\nContent-Disposition: form-data; name="content"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
            f'{content}\r\n--xx\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{{"a": 1}}\r\n--xx--\r\n'
        )
        return ask(server, "POST", "files", parts.encode(), **FORM)

    def test_a_file_is_taken(self, server: Replicate) -> None:
        """With its name, its type and whatever else was told of it."""
        reply = self.upload(server)
        expected = {"name": "a.png", "content_type": "image/png", "size": 3, "metadata": {"a": 1},
                    "checksums": {"sha256": hashlib.sha256(b"png").hexdigest()}}  # fmt: skip
        assert (201, expected) == (reply.status, {name: reply.json()[name] for name in expected})
        assert b"png" == server.uploads[reply.json()["id"]].value

    def test_it_can_be_asked_for_and_deleted(self, server: Replicate) -> None:
        """And is not found afterwards."""
        url = self.upload(server).json()["urls"]["get"]
        assert [200, 204, 404] == [ask(server, method, url).status for method in ("GET", "DELETE", "GET")]

    def test_it_does_not_live_for_ever(self, server: Replicate, clock: Clock) -> None:
        """`expires_at` says how long."""
        url = self.upload(server).json()["urls"]["get"]
        clock.now += 86_400
        assert 404 == ask(server, "GET", url).status

    def test_a_body_without_content(self, server: Replicate) -> None:
        """Is a 400."""
        assert [400, 400] == [
            ask(server, "POST", "files", b"{}").status,
            ask(server, "POST", "files", b"--xx--", **FORM).status,
        ]


class TestWebhooks:
    def test_a_delivery_is_signed_as_standard_webhooks_are(self, server: Replicate) -> None:
        """HMAC-SHA256 over id, time and body, by the secret that the API tells."""
        create(server)
        headers, body = server.signed(server.jobs[0], at=12.0)
        secret = base64.b64decode(
            ask(server, "GET", "webhooks/default/secret").json()["key"].removeprefix("whsec_")
        )
        digest = hmac.new(secret, f"{headers['webhook-id']}.12.".encode() + body, hashlib.sha256).digest()
        assert f"v1,{base64.b64encode(digest).decode()}" == headers["webhook-signature"]

    def test_it_carries_the_prediction(self, server: Replicate) -> None:
        """As it stands."""
        said = finish(server, create(server))
        assert said == json.loads(server.signed(server.jobs[0])[1])

    def test_whose_key_it_is(self, server: Replicate) -> None:
        """Costs nothing to ask."""
        assert "user" == ask(server, "GET", "account").json()["type"]
