"""Runway's wire, asked by plain HTTP: what is taken, what it costs, and what goes wrong."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any

import pytest

from tests.servers.plain import Reply, send, spoiled
from vidorch.testing.servers import Fault, serve
from vidorch.testing.servers.runway import FATES, Runway
from vidorch.testing.servers.runway_models import MODELS

HEADERS = {"Authorization": "Bearer test-key", "X-Runway-Version": "2024-11-06"}
IMAGE, VIDEO = "https://example.com/a.png", "https://example.com/a.mp4"
TEXT = {"model": "gen4.5", "promptText": "a red ball", "duration": 5, "ratio": "1280:720"}
SMALLEST = {
    "promptText": "x", "promptImage": IMAGE, "promptVideo": VIDEO, "videoUri": VIDEO, "targetFramerate": "60",
    "character": {"type": "image", "uri": IMAGE}, "reference": {"type": "video", "uri": VIDEO}, "referenceImages": [{"uri": IMAGE}],
    "duration": 5,
}  # fmt: skip


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[Runway]:
    with Runway(clock=clock) as server:
        yield server


@pytest.fixture(scope="module")
def lasting() -> Iterator[Runway]:
    with Runway(balance=10**9) as server:
        yield server


def ask(server: Runway, method: str, path: str, body: Any = None) -> Reply:
    return send(method, server.url + path, body, HEADERS)


def submit(server: Runway, body: Any = TEXT, endpoint: str = "text_to_video") -> str:
    reply = ask(server, "POST", f"/v1/{endpoint}", body)
    assert 200 == reply.status, reply.body
    return str(reply.json()["id"])


def task(server: Runway, task_id: str, *, looks: int = 1) -> Any:
    for _ in range(looks):
        found = ask(server, "GET", f"/v1/tasks/{task_id}").json()
    return found


def data_uri(media_type: str, size: int) -> str:
    return f"data:{media_type};base64,{base64.b64encode(bytes(size)).decode()}"


class TestDoor:
    def test_a_wrong_key_is_401(self, server: Runway) -> None:
        """Whatever else is right."""
        reply = send(
            "GET", f"{server.url}/v1/organization", headers=HEADERS | {"Authorization": "Bearer other"}
        )
        assert 401 == reply.status

    @pytest.mark.parametrize("version", ["", "2024-09-13"])
    def test_the_version_has_to_be_named(self, server: Runway, version: str) -> None:
        """No version, and one that is over, are 400."""
        reply = send("GET", f"{server.url}/v1/organization", headers=HEADERS | {"X-Runway-Version": version})
        assert 400 == reply.status

    def test_it_is_served_by_its_name(self) -> None:
        """`serve("runway")`."""
        assert isinstance(serve("runway"), Runway)


class TestValidation:
    @pytest.mark.parametrize(
        ("endpoint", "model"), [(endpoint, model) for endpoint, models in MODELS.items() for model in models]
    )
    def test_every_model_takes_the_smallest_request(self, lasting: Runway, endpoint: str, model: str) -> None:
        """What is required alone is enough, and is priced."""
        fields = MODELS[endpoint][model]
        body = {name: SMALLEST.get(name, check.choices[0] if check.choices else None)
                for name, check in fields.items() if check.required} | {"model": model}  # fmt: skip
        if model.startswith(("kling3.0", "klingO3")) or (model, endpoint) == ("seedance2_5", "text_to_video"):
            body["promptText"] = "x"
        reply = ask(lasting, "POST", f"/v1/{endpoint}", body)
        assert (200, True) == (reply.status, reply.json().get("estimatedCost", {}).get("credits", 0) > 0), (
            reply.body
        )

    @pytest.mark.parametrize(
        ("endpoint", "change", "where"),
        [
            ("text_to_video", {"n": 2}, "n"),
            ("text_to_video", {"negativePrompt": "x"}, "negativePrompt"),
            ("text_to_video", {"duration": "5"}, "duration"),
            ("text_to_video", {"duration": 5.5}, "duration"),
            ("text_to_video", {"duration": True}, "duration"),
            ("text_to_video", {"duration": 11}, "duration"),
            ("text_to_video", {"ratio": "960:960"}, "ratio"),
            ("text_to_video", {"promptText": ""}, "promptText"),
            ("text_to_video", {"promptText": "x" * 1001}, "promptText"),
            ("text_to_video", {"promptText": "🎈" * 501}, "promptText"),
            ("text_to_video", {"model": "gen3a_turbo"}, "model"),
            ("text_to_video", {"model": "gen4_turbo"}, "model"),
            ("text_to_video", {"proresProfile": "422"}, "proresProfile"),
            ("text_to_video", {"promptImage": IMAGE}, "promptImage"),
            ("image_to_video", {}, "promptImage"),
            ("image_to_video", {"promptImage": "http://example.com/a.png"}, "promptImage"),
            ("image_to_video", {"promptImage": "https://127.0.0.1/a.png"}, "promptImage"),
            ("image_to_video", {"promptImage": "https://example.com/" + "a" * 2048}, "promptImage"),
            ("image_to_video", {"promptImage": "runway://unknown"}, "promptImage"),
            ("image_to_video", {"promptImage": data_uri("image/gif", 8)}, "promptImage"),
            ("image_to_video", {"promptImage": data_uri("application/octet-stream", 8)}, "promptImage"),
            ("image_to_video", {"promptImage": data_uri("image/png", 4 * 1024 * 1024)}, "promptImage"),
            ("image_to_video", {"promptImage": "data:image/png;base64,!!"}, "promptImage"),
            ("image_to_video", {"promptImage": [{"uri": IMAGE, "position": "last"}]}, "promptImage"),
        ],
    )  # fmt: skip
    def test_what_gen45_does_not_take_is_400(
        self, server: Runway, endpoint: str, change: dict[str, Any], where: str
    ) -> None:
        """An issue names the field, and nothing is taken."""
        reply = ask(server, "POST", f"/v1/{endpoint}", TEXT | change)
        paths = [issue["path"][0] for issue in reply.json()["issues"]]
        assert (400, [where], []) == (reply.status, paths, server.jobs)

    @pytest.mark.parametrize(
        ("endpoint", "body"),
        [
            ("image_to_video", {"model": "veo3.1", "promptText": "x", "ratio": "1280:720",
                                "promptImage": [{"uri": IMAGE, "position": "last"}]}),
            ("text_to_video", {"model": "veo3.1", "promptText": "x", "ratio": "1280:720", "duration": 5}),
            ("text_to_video", {"model": "kling3.0_pro", "ratio": "1920:1080"}),
            ("text_to_video", {"model": "kling3.0_pro", "ratio": "1920:1080",
                               "providerSettings": {"multiPrompt": [{"prompt": "x", "duration": 2}]}}),
            ("text_to_video", {"model": "seedance2", "promptText": "x", "duration": 16}),
            ("text_to_video", {"model": "seedance2_5", "draftTaskId": "a", "promptText": "x"}),
            ("text_to_video", {"model": "seedance2_5", "draftTaskId": "a"}),
            ("text_to_video", {"model": "hailuo3", "promptText": "x", "ratio": "adaptive"}),
            ("image_to_video", {"model": "wan3", "promptText": "x", "promptImage": IMAGE, "ratio": "1280:720"}),
            ("image_to_video", {"model": "seedance2", "promptImage": [{"uri": IMAGE}, {"uri": IMAGE, "position": "first"}]}),
            ("video_to_video", {"model": "seedance2_5", "promptVideo": VIDEO, "promptText": "x", "mode": "edit", "duration": 5}),
            ("video_to_video", {"model": "aleph2", "videoUri": VIDEO, "keyframes": [{"uri": IMAGE, "at": 2}]}),
            ("character_performance", {"model": "act_two", "character": {"type": "image", "uri": IMAGE},
                                       "reference": {"type": "image", "uri": IMAGE}}),
        ],
    )  # fmt: skip
    def test_what_other_models_do_not_take_is_400(
        self, server: Runway, endpoint: str, body: dict[str, Any]
    ) -> None:
        """Each model has rules of its own."""
        reply = ask(server, "POST", f"/v1/{endpoint}", body)
        assert (400, []) == (reply.status, server.jobs)

    def test_a_thousand_units_are_taken(self, server: Runway) -> None:
        """The limit counts UTF-16, so 500 balloons are 1,000."""
        submit(server, TEXT | {"promptText": "🎈" * 500})
        assert 1 == len(server.jobs)

    @pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
    def test_what_is_no_object_is_400(self, server: Runway, body: bytes) -> None:
        """Never a 500."""
        assert 400 == ask(server, "POST", "/v1/text_to_video", body).status

    @pytest.mark.parametrize("seed", range(4))
    def test_no_body_makes_it_stumble(self, lasting: Runway, seed: int) -> None:
        """Whatever is wrong in it, the answer is 200 or 400."""
        shots = {"multiPrompt": [{"prompt": "x", "duration": 3}], "shotType": "customize"}
        whole = {
            "text_to_video": {"model": "kling3.0_pro", "ratio": "1920:1080", "promptText": "x", "providerSettings": shots},
            "image_to_video": {"model": "kling_4", "promptImage": [{"uri": IMAGE, "position": "first"}], "references": [{"uri": IMAGE}]},
            "video_to_video": {"model": "aleph2", "videoUri": VIDEO, "keyframes": [
                {"uri": IMAGE, "seconds": 1, "range": {"start_seconds": 0, "end_seconds": 2}}]},
            "character_performance": {"model": "act_two", "character": {"type": "image", "uri": IMAGE},
                                      "reference": {"type": "video", "uri": VIDEO}},
        }  # fmt: skip
        chance = random.Random(seed)
        for endpoint, body in whole.items():
            for _ in range(20):
                wrong = spoiled(body, chance)
                reply = ask(lasting, "POST", f"/v1/{endpoint}", wrong)
                assert reply.status in (200, 400), wrong


class TestMoney:
    @pytest.mark.parametrize(
        ("cost", "endpoint", "body"),
        [
            (60, "text_to_video", TEXT),
            (85, "text_to_video", TEXT | {"outputFormat": "prores"}),
            (160, "text_to_video", TEXT | {"outputFormat": "hdr10"}),
            (50, "image_to_video", {"model": "gen4_turbo", "promptImage": IMAGE, "ratio": "1280:720", "duration": 10}),
            (320, "text_to_video", {"model": "veo3.1", "promptText": "x", "ratio": "1280:720"}),
            (80, "text_to_video", {"model": "veo3.1", "promptText": "x", "ratio": "1280:720", "audio": False, "duration": 4}),
            (200, "text_to_video", {"model": "seedance2", "promptText": "x", "ratio": "1920:1080"}),
            (540, "text_to_video", {"model": "seedance2", "promptText": "x", "duration": "auto"}),
            (80, "text_to_video", {"model": "seedance2_mini", "promptText": "x"}),
            (64, "text_to_video", {"model": "seedance2_mini", "promptText": "x", "duration": 4}),
            (52, "text_to_video", {"model": "hailuo3", "promptText": "x", "references": [{"uri": IMAGE}]}),
            (75, "text_to_video", {"model": "hailuo3", "promptText": "x", "resolution": "2K"}),
            (140, "video_to_video", {"model": "aleph2", "videoUri": VIDEO}),
        ],
    )  # fmt: skip
    def test_the_reply_names_the_most_it_can_cost(
        self, server: Runway, cost: int, endpoint: str, body: Any
    ) -> None:
        """By the price guide."""
        assert cost == ask(server, "POST", f"/v1/{endpoint}", body).json()["estimatedCost"]["credits"]

    def test_a_length_the_model_chose_costs_what_it_became(self, server: Runway) -> None:
        """`auto` is billed at the most, and the rest comes back."""
        server.next(more={"seconds": 6})
        done = task(
            server, submit(server, {"model": "seedance2", "promptText": "x", "duration": "auto"}), looks=2
        )
        assert (216, 100_000 - 216) == (done["cost"]["credits"], server.balance)

    @pytest.mark.parametrize(
        ("name", "cost"),
        [("safety-input", 60), ("safety-output", 60), ("safety-partner", 0), ("bad-output", 0), ("asset-invalid", 0),
         ("no-face", 0), ("internal", 0), ("unexplained", 0)],
    )  # fmt: skip
    def test_what_is_moderated_is_billed_and_what_failed_is_not(
        self, server: Runway, name: str, cost: int
    ) -> None:
        """The task's own cost says so."""
        server.next(FATES[name])
        failed = task(server, submit(server), looks=2)
        expected = ("FAILED", FATES[name].code or None, cost)
        assert expected == (failed["status"], failed.get("failureCode"), failed["cost"]["credits"])

    def test_a_cancelled_task_comes_back_unless_it_runs(self, server: Runway) -> None:
        """PENDING is refunded, RUNNING is not."""
        early, late = submit(server), submit(server)
        task(server, late)
        for one in (early, late):
            assert 204 == ask(server, "DELETE", f"/v1/tasks/{one}").status
        found = [task(server, one) for one in (early, late)]
        assert [("CANCELLED", 0), ("CANCELLED", 60)] == [
            (one["status"], one["cost"]["credits"]) for one in found
        ]

    def test_too_few_credits_are_400(self) -> None:
        """Nothing is taken then."""
        with Runway(balance=59) as server:
            assert (400, []) == (ask(server, "POST", "/v1/text_to_video", TEXT).status, server.jobs)

    def test_the_organization_tells_balance_limits_and_use(self, server: Runway) -> None:
        """What one needs to know before sending."""
        submit(server)
        said = ask(server, "GET", "/v1/organization").json()
        limits, used = said["tier"]["models"]["gen4.5"], said["usage"]["models"]["gen4.5"]
        assert (99_940, 20, 1) == (
            said["creditBalance"],
            limits["maxConcurrentGenerations"],
            used["dailyGenerations"],
        )

    def test_the_usage_of_a_day_is_told_by_model(self, server: Runway, clock: Clock) -> None:
        """Refunds are taken off."""
        server.next(FATES["internal"], FATES["safety-output"])
        for one in [submit(server), submit(server)]:
            task(server, one, looks=2)
        clock.now += 24 * 3600
        said = ask(server, "POST", "/v1/organization/usage", {}).json()
        assert [{"date": "2027-01-15", "usedCredits": [{"model": "gen4.5", "amount": 60}]}] == said["results"]

    @pytest.mark.parametrize(
        "body", [{"startDate": "x"}, {"startDate": "2026-01-01", "beforeDate": "2026-06-01"}]
    )
    def test_usage_of_more_than_90_days_is_400(self, server: Runway, body: Any) -> None:
        """Nor is what is no date."""
        assert 400 == ask(server, "POST", "/v1/organization/usage", body).status


class TestTasks:
    def test_a_task_runs_and_succeeds(self, server: Runway) -> None:
        """PENDING has an estimate, RUNNING progress besides, SUCCEEDED output and cost."""
        server.next(looks=2, progress=(0.25, 0.5))
        one = submit(server)
        found = [task(server, one) for _ in range(3)]
        assert ["PENDING", "RUNNING", "SUCCEEDED"] == [one["status"] for one in found]
        assert [{"estimatedCost"}, {"estimatedCost", "progress"}, {"output", "cost"}] == [
            set(state) - {"id", "createdAt", "status"} for state in found
        ]

    def test_a_task_over_the_limit_is_throttled(self) -> None:
        """It waits for the one before it, and is no error."""
        with Runway(tier=1) as server:
            first, second = submit(server), submit(server)
            assert "THROTTLED" == task(server, second)["status"]
            task(server, first, looks=2)
            assert "RUNNING" == task(server, second)["status"]

    def test_a_task_can_be_told_to_wait(self, server: Runway) -> None:
        """Twice, and then it runs."""
        server.next(FATES["throttled"])
        one = submit(server)
        assert ["THROTTLED", "THROTTLED", "RUNNING"] == [task(server, one)["status"] for _ in range(3)]

    def test_the_days_limit_is_429(self, clock: Clock) -> None:
        """Tier 1 makes 50 a day, and a day later there is room."""
        with Runway(tier=1, clock=clock) as server:
            for _ in range(50):
                submit(server)
            assert 429 == ask(server, "POST", "/v1/text_to_video", TEXT).status
            clock.now += 24 * 3600
            submit(server)
            assert 51 == len(server.jobs)

    def test_links_die_and_are_made_anew(self, server: Runway, clock: Clock) -> None:
        """A new GET gives a new link to the same bytes."""
        one = submit(server)
        old = task(server, one, looks=2)["output"][0]
        before = send("GET", old)
        clock.now += 24 * 3600
        assert 403 == send("GET", old).status
        after = send("GET", task(server, one)["output"][0])
        assert (200, before.body) == (after.status, after.body)

    def test_a_deleted_task_is_404(self, server: Runway) -> None:
        """Deleting what is over forgets it, and gives nothing back."""
        one = submit(server)
        task(server, one, looks=2)
        ask(server, "DELETE", f"/v1/tasks/{one}")
        assert (404, 99_940) == (ask(server, "GET", f"/v1/tasks/{one}").status, server.balance)

    def test_a_cancelled_task_can_be_forgotten_at_once(self) -> None:
        """As the package's docstring has it."""
        with Runway(forgets=True) as server:
            one = submit(server)
            ask(server, "DELETE", f"/v1/tasks/{one}")
            assert 404 == ask(server, "GET", f"/v1/tasks/{one}").status

    def test_a_draft_becomes_a_whole_clip(self, server: Runway) -> None:
        """Only a draft, only when it is done, and only for 7 days."""
        draft = submit(server, {"model": "seedance2_5", "promptText": "x", "draft": True})
        finish = {"model": "seedance2_5", "draftTaskId": draft}
        assert 400 == ask(server, "POST", "/v1/text_to_video", finish).status
        task(server, draft, looks=2)
        assert 200 == ask(server, "POST", "/v1/text_to_video", finish).status

    def test_an_image_is_a_png(self, server: Runway) -> None:
        """text_to_image is the one endpoint that makes no video."""
        one = submit(
            server, {"model": "gen4_image", "promptText": "x", "ratio": "1920:1080"}, "text_to_image"
        )
        done = task(server, one, looks=2)
        assert (b"\x89PNG", 8) == (send("GET", done["output"][0]).body[:4], done["cost"]["credits"])


class TestUploads:
    def upload(
        self, server: Runway, *, name: str = "a.png", headers: dict[str, str] | None = None, **fields: str
    ) -> tuple[str, Reply]:
        slot = ask(server, "POST", "/v1/uploads", {"filename": name, "type": "ephemeral"}).json()
        parts = [
            f'--b\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in (slot["fields"] | fields).items()
        ]
        parts.append(
            f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\nabc\r\n--b--\r\n'
        )
        reply = send("POST", slot["uploadUrl"], "".join(parts).encode(),
                     {"Content-Type": "multipart/form-data; boundary=b", **(headers or {})})  # fmt: skip
        return slot["runwayUri"], reply

    def test_an_upload_is_an_input(self, server: Runway) -> None:
        """The form needs no key, and its URI works afterwards."""
        uri, reply = self.upload(server)
        submit(server, TEXT | {"promptImage": uri}, "image_to_video")
        assert (204, b"abc") == (reply.status, server.uploads[uri].value)

    def test_an_upload_lives_for_a_day(self, server: Runway, clock: Clock) -> None:
        """Then its URI is 400."""
        uri, _ = self.upload(server)
        clock.now += 24 * 3600
        assert 400 == ask(server, "POST", "/v1/image_to_video", TEXT | {"promptImage": uri}).status

    def test_a_video_is_no_image(self, server: Runway) -> None:
        """The type of an upload has to fit its use."""
        uri, _ = self.upload(server, name="a.mp4")
        assert 400 == ask(server, "POST", "/v1/image_to_video", TEXT | {"promptImage": uri}).status

    def test_a_form_with_a_wrong_signature_is_refused(self, server: Runway) -> None:
        """As S3 does it."""
        assert 403 == self.upload(server, **{"x-amz-signature": "other"})[1].status

    def test_a_form_with_the_key_is_a_leak(self, server: Runway) -> None:
        """Nobody but the API may see it."""
        _, reply = self.upload(server, headers={"Authorization": "Bearer test-key"})
        assert (400, 1) == (reply.status, len(server.leaks))

    def test_an_upload_that_never_came_is_no_input(self, server: Runway) -> None:
        """The slot alone is nothing."""
        uri = ask(server, "POST", "/v1/uploads", {"filename": "a.png", "type": "ephemeral"}).json()[
            "runwayUri"
        ]
        assert 400 == ask(server, "POST", "/v1/image_to_video", TEXT | {"promptImage": uri}).status


class TestFaults:
    @pytest.mark.parametrize(("fault", "jobs"), [("reset-before", 0), ("reset-after", 1), ("cut", 1)])
    def test_a_lost_reply_is_a_task_or_none(self, server: Runway, fault: str, jobs: int) -> None:
        """What somebody pays for without knowing."""
        server.fail("submit", fault)
        with pytest.raises((ConnectionError, HTTPException)):
            ask(server, "POST", "/v1/text_to_video", TEXT)
        assert jobs == len(server.jobs)

    def test_a_structured_error_has_the_vendors_shape(self, server: Runway) -> None:
        """`{error}`, with the status that was asked for."""
        server.fail("poll", Fault("error", 503, retry_after=2))
        reply = ask(server, "GET", "/v1/tasks/any")
        assert (503, {"error"}, "2") == (reply.status, set(reply.json()), reply.headers["retry-after"])
