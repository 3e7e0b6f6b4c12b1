"""Kling's wire, asked by plain HTTP: both lines, their codes, tokens, slots, money and callbacks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import threading
from collections.abc import Iterator
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.servers.plain import Reply, send, spoiled
from vidorch.testing.clips import still_bytes
from vidorch.testing.servers import Fault, serve
from vidorch.testing.servers.kling import Kling, refusal
from vidorch.testing.servers.kling_legacy import LEGACY, RETIRED
from vidorch.testing.servers.kling_models import CODES, MODELS

KEY = {"Authorization": "Bearer test-key"}
IMAGE, VIDEO = "https://example.com/a.png", "https://example.com/a.mp4"
TEXT = "/text-to-video/kling-3.0"
BALL = {"prompt": "a red ball"}
OLD_TEXT = {"model_name": "kling-v3", "prompt": "a red ball"}
PROMPT = {"type": "prompt", "text": "a red ball"}
FIRST, LAST = {"type": "first_frame", "url": IMAGE}, {"type": "last_frame", "url": IMAGE}
OLD = {
    "text2video": OLD_TEXT,
    "image2video": {"model_name": "kling-v2-6", "image": IMAGE},
    "omni-video": {"model_name": "kling-v3-omni", "prompt": "x", "aspect_ratio": "16:9"},
    "motion-control": {"image_url": IMAGE, "video_url": VIDEO, "mode": "std", "character_orientation": "video"},
    "lip-sync": {"input": {"video_url": VIDEO, "mode": "text2video", "text": "hi", "voice_id": "a", "voice_language": "en"}},
    "avatar/image2video": {"image": IMAGE, "audio_id": "a"},
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
def server(clock: Clock) -> Iterator[Kling]:
    with Kling(clock=clock) as server:
        yield server


@pytest.fixture(scope="module")
def lasting() -> Iterator[Kling]:
    with Kling(units=10**9, slots=10**6) as server:
        yield server


def ask(server: Kling, method: str, path: str, body: Any = None, headers: dict[str, str] = KEY) -> Reply:
    return send(method, server.url + path, body, headers)


def code(reply: Reply) -> tuple[int, int]:
    return reply.status, reply.json()["code"]


def submit(server: Kling, path: str = TEXT, body: Any = BALL) -> Any:
    reply = ask(server, "POST", path, body)
    assert (200, 0) == code(reply), reply.body
    return reply.json()["data"]


def task(server: Kling, task_id: str, *, looks: int = 1) -> Any:
    for _ in range(looks):
        (found,) = ask(server, "GET", f"/tasks?task_ids={task_id}").json()["data"]
    return found


def old_task(server: Kling, kind: str, task_id: str, *, looks: int = 1) -> Any:
    for _ in range(looks):
        found = ask(server, "GET", f"/v1/videos/{kind}/{task_id}").json()["data"]
    return found


def base64_image(width: int, height: int) -> str:
    return base64.b64encode(still_bytes((width, height))).decode()


class TestKey:
    @pytest.mark.parametrize(
        ("wrong", "header"),
        [(1001, None), (1002, "Bearer other"), (1002, "Basic test-key"), (1002, "test-key")],
    )
    def test_a_wrong_key_is_401_with_a_code(self, server: Kling, wrong: int, header: str | None) -> None:
        """1001 where there is none, 1002 where it is wrong."""
        assert (401, wrong) == code(
            ask(server, "POST", TEXT, BALL, {} if header is None else {"Authorization": header})
        )

    def test_the_static_key_opens_the_legacy_line_too(self, server: Kling) -> None:
        """Since July 2026."""
        assert (200, 0) == code(ask(server, "POST", "/v1/videos/text2video", OLD_TEXT))

    def test_it_is_served_by_its_name(self) -> None:
        """`serve("kling")`."""
        assert isinstance(serve("kling"), Kling)


class TestToken:
    def used(self, server: Kling, token: str, path: str = "/v1/videos/text2video") -> tuple[int, int]:
        return code(ask(server, "POST", path, OLD_TEXT, {"Authorization": f"Bearer {token}"}))

    def made(self, server: Kling, head: Any, claims: Any, secret: str = "test-secret") -> str:
        def part(data: bytes) -> str:
            return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

        body = f"{part(json.dumps(head).encode())}.{part(json.dumps(claims).encode())}"
        return f"{body}.{part(hmac.new(secret.encode(), body.encode(), hashlib.sha256).digest())}"

    def test_a_token_opens_the_legacy_line(self, server: Kling) -> None:
        """Signed with the secret key, and of now."""
        assert (200, 0) == self.used(server, server.token())

    def test_a_token_made_by_hand_is_the_same(self, server: Kling, clock: Clock) -> None:
        """As the documents make it."""
        claims = {"iss": "test-access", "exp": int(clock.now) + 1800, "nbf": int(clock.now) - 5}
        assert server.token() == self.made(server, {"alg": "HS256", "typ": "JWT"}, claims)

    def test_a_token_does_not_open_the_new_line(self, server: Kling) -> None:
        """That takes the static key alone."""
        assert (401, 1002) == self.used(server, server.token(), TEXT)

    @pytest.mark.parametrize(("wrong", "later"), [(0, 1799), (1004, 1800), (1003, -6)])
    def test_a_token_has_its_time(self, server: Kling, clock: Clock, wrong: int, later: int) -> None:
        """1004 once it has expired, 1003 where the client's clock is ahead by more than 5 seconds."""
        token = server.token()
        clock.now += later
        assert wrong == self.used(server, token)[1]

    @pytest.mark.parametrize(
        ("head", "issuer", "secret"),
        [
            ({"alg": "HS256"}, "test-access", "test-secret"),
            ({"alg": "none", "typ": "JWT"}, "test-access", "test-secret"),
            ({"alg": "HS256", "typ": "JWT"}, "other", "test-secret"),
            ({"alg": "HS256", "typ": "JWT"}, "test-access", "other"),
        ],
    )
    def test_a_token_that_is_not_right_is_1002(
        self, server: Kling, head: Any, issuer: str, secret: str
    ) -> None:
        """Without `typ`, of another algorithm, of another account, or signed by somebody else."""
        claims = {"iss": issuer, "exp": server.now() + 1800, "nbf": server.now() - 5}
        assert (401, 1002) == self.used(server, self.made(server, head, claims, secret))

    @pytest.mark.parametrize("token", ["a.b.c", "..", "a.b", "é.b.c"])
    def test_what_is_no_token_is_1002(self, server: Kling, token: str) -> None:
        """Never a 500."""
        assert (401, 1002) == self.used(server, token)


class TestNewLine:
    @pytest.mark.parametrize(
        ("endpoint", "model"), [(endpoint, name) for endpoint, models in MODELS.items() for name in models]
    )
    def test_every_model_takes_the_smallest_request(self, lasting: Kling, endpoint: str, model: str) -> None:
        """Each at each of its endpoints."""
        bodies: dict[str, Any] = {
            "text-to-video": BALL, "image-to-video": {"contents": [FIRST]}, "omni-video": {"contents": [PROMPT]},
            "motion-control": {"contents": [{"type": "image", "url": IMAGE}, {"type": "video", "url": VIDEO}],
                               "settings": {"character_orientation": "image"}},
        }  # fmt: skip
        made = submit(lasting, f"/{endpoint}/{model}", bodies[endpoint])
        assert {"id", "status", "create_time", "update_time", "external_id"} == set(made)

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            (TEXT, {}),
            (TEXT, BALL | {"negative_prompt": "x"}),
            (TEXT, BALL | {"settings": {"duration": "5"}}),
            (TEXT, BALL | {"settings": {"duration": 16}}),
            (TEXT, BALL | {"settings": {"duration": 2}}),
            (TEXT, BALL | {"settings": {"cfg_scale": 0.5}}),
            (TEXT, BALL | {"settings": {"seed": 1}}),
            (TEXT, BALL | {"settings": {"resolution": "480p"}}),
            (TEXT, BALL | {"settings": {"aspect_ratio": "21:9"}}),
            (TEXT, BALL | {"settings": {"audio": True}}),
            (TEXT, {"prompt": ""}),
            (TEXT, {"prompt": "x" * 3073}),
            (TEXT, BALL | {"contents": [PROMPT]}),
            (TEXT, {"contents": [PROMPT, FIRST]}),
            (TEXT, {"prompt": "shot 1, 3, a ball rolls; shot 2, 3, it stops;"}),
            (TEXT, {"prompt": "".join(f"shot {n}, 1, x;" for n in range(1, 8)), "settings": {"duration": 7}}),
            (TEXT, {"prompt": f"shot 1, 5, {'x' * 513};"}),
            (TEXT, BALL | {"options": {"callback_url": "ftp://example.com"}}),
            ("/text-to-video/kling-3.0-turbo", BALL | {"settings": {"resolution": "4k"}}),
            ("/text-to-video/kling-3.0-turbo", BALL | {"settings": {"audio": "off"}}),
            ("/text-to-video/kling-3.0-turbo", BALL | {"settings": {"multi_shot": True}}),
            ("/image-to-video/kling-3.0", BALL),
            ("/image-to-video/kling-3.0", {"contents": [PROMPT]}),
            ("/image-to-video/kling-3.0", {"contents": [PROMPT, LAST]}),
            ("/image-to-video/kling-3.0", {"contents": [FIRST, FIRST]}),
            ("/image-to-video/kling-3.0", {"contents": [FIRST], "settings": {"aspect_ratio": "16:9"}}),
            ("/image-to-video/kling-3.0", {"contents": [FIRST, {"type": "refer_image", "url": IMAGE}]}),
            ("/image-to-video/kling-3.0", {"contents": [{"type": "first_frame", "image": IMAGE}]}),
            ("/image-to-video/kling-3.0", {"contents": [{"type": "first_frame", "url": "data:image/png;base64,AAAA"}]}),
            ("/image-to-video/kling-3.0", {"contents": [{"type": "first_frame", "url": "no base64"}]}),
            ("/image-to-video/kling-3.0", {"contents": [{"type": "first_frame", "url": "AAAA"}]}),
            ("/image-to-video/kling-3.0", {"contents": [{"type": "first_frame", "url": base64_image(298, 400)}]}),
            ("/image-to-video/kling-3.0", {"contents": [{"type": "first_frame", "url": base64_image(300, 800)}]}),
            ("/image-to-video/kling-3.0-turbo", {"contents": [FIRST, LAST]}),
            ("/omni-video/kling-3.0-omni", {"contents": [PROMPT] + [{"type": "refer_image", "url": IMAGE}] * 8}),
            ("/omni-video/kling-3.0-omni", {"contents": [PROMPT, {"type": "base_video", "url": "AAAA"}]}),
            ("/omni-video/kling-3.0-omni",
             {"contents": [PROMPT, {"type": "base_video", "url": VIDEO}] + [{"type": "refer_image", "url": IMAGE}] * 5}),
            ("/omni-video/kling-3.0-omni", {"contents": [PROMPT], "settings": {"audio": "original"}}),
            ("/omni-video/kling-o1", {"contents": [PROMPT], "settings": {"duration": 11}}),
            ("/text-to-video/kling-4.0", BALL | {"settings": {"duration": 31}}),
            ("/text-to-video/kling-4.0", BALL | {"settings": {"resolution": "4k"}}),
            ("/text-to-video/kling-4.0", BALL | {"settings": {"audio": "native"}}),
            ("/text-to-video/kling-4.0", BALL | {"options": {"external_task_id": "a"}}),
            ("/text-to-video/kling-4.0", BALL | {"options": {"callback_url": "https://example.com"}}),
            ("/text-to-video/kling-4.0", {"prompt": "球" * 11_001}),
            ("/text-to-video/kling-4.0-flash", BALL | {"settings": {"resolution": "1080p"}}),
            ("/omni-video/kling-4.0", {"contents": [PROMPT] + [{"type": "refer_image", "url": IMAGE}] * 11}),
            ("/omni-video/kling-4.0", {"contents": [PROMPT, {"type": "voice", "voice_id": "a"}]}),
        ],
    )  # fmt: skip
    def test_what_it_does_not_take_is_1201(self, lasting: Kling, path: str, body: Any) -> None:
        """With words that name the field, and nothing is taken."""
        before = len(lasting.jobs)
        reply = ask(lasting, "POST", path, body)
        assert ((400, 1201), before) == (code(reply), len(lasting.jobs)), reply.body

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            (TEXT, {"prompt": "x" * 3072}),
            (TEXT, {"prompt": "shot 1, 3, a ball rolls; shot 2, 2, it stops;"}),
            (TEXT, {"prompt": "shot 1, 3, a ball; shot 2, 3, a box;", "settings": {"multi_shot": False}}),
            (TEXT, {"contents": [PROMPT]}),
            ("/image-to-video/kling-3.0", {"contents": [PROMPT, {"type": "first_frame", "url": base64_image(300, 750)}, LAST]}),
            ("/image-to-video/kling-3.0", {"contents": [FIRST, {"type": "element", "element_id": "9", "id": "hero"}]}),
            ("/omni-video/kling-3.0-omni",
             {"contents": [PROMPT, {"type": "feature_video", "url": VIDEO}], "settings": {"audio": "original"}}),
            ("/text-to-video/kling-4.0", {"prompt": "x" * 26_000, "settings": {"duration": 30, "aspect_ratio": "21:9"}}),
            ("/image-to-video/kling-4.0", {"contents": [FIRST, {"type": "middle_frame", "url": IMAGE}, LAST]}),
        ],
    )  # fmt: skip
    def test_what_it_takes_is_taken(self, lasting: Kling, path: str, body: Any) -> None:
        """At the edges of what is allowed."""
        assert "submitted" == submit(lasting, path, body)["status"]

    @pytest.mark.parametrize(
        "path", ["/text-to-video/kling-2.1", "/omni-video/kling-3.0", "/image-to-video/kling-3.0-omni"]
    )
    def test_a_model_that_is_not_there_is_1203(self, server: Kling, path: str) -> None:
        """Nor is one at an endpoint that is not its own."""
        assert (404, 1203) == code(ask(server, "POST", path, BALL))

    @pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
    def test_what_is_no_object_is_1200(self, server: Kling, body: bytes) -> None:
        """Never a 500."""
        assert (400, 1200) == code(ask(server, "POST", TEXT, body))

    @pytest.mark.parametrize("seed", range(4))
    def test_no_body_makes_it_stumble(self, lasting: Kling, seed: int) -> None:
        """Whatever is wrong in it, there is an answer with a code; in both lines and in the list."""
        omni = [
            PROMPT,
            FIRST,
            {"type": "element", "element_id": "1", "id": "a"},
            {"type": "base_video", "url": VIDEO},
        ]
        shots = [{"index": 1, "prompt": "a", "duration": "5"}]
        whole = {
            TEXT: {"prompt": "shot 1, 5, x;", "settings": {"duration": 5}, "options": {"watermark_info": {"enabled": True}}},
            "/omni-video/kling-3.0-omni": {"contents": omni, "settings": {"audio": "original"}},
            "/tasks": {"start_time": 0, "end_time": 1, "limit": 5, "cursor": "a", "filters": {"status": ["failed"], "product_type": []}},
            "/v1/videos/text2video": {"model_name": "kling-v3", "multi_shot": True, "shot_type": "customize", "multi_prompt": shots},
            "/v1/videos/omni-video": {
                "model_name": "kling-v3-omni", "prompt": "x", "image_list": [{"image_url": IMAGE, "type": "first_frame"}],
                "video_list": [{"video_url": VIDEO, "refer_type": "feature"}], "element_list": [{"element_id": 1}]},
            "/v1/videos/lip-sync": OLD["lip-sync"],
        }  # fmt: skip
        chance = random.Random(seed)
        for path, body in whole.items():
            for _ in range(20):
                wrong = spoiled(body, chance)
                assert code(ask(lasting, "POST", path, wrong)) in ((200, 0), (400, 1201), (404, 1203)), wrong


class TestTasks:
    def test_a_task_succeeds(self, server: Kling) -> None:
        """submitted, processing, succeeded: with outputs and what they cost."""
        server.next(looks=2)
        one = submit(server, body=BALL | {"options": {"watermark_info": {"enabled": True}}})["id"]
        found = [task(server, one) for _ in range(3)]
        (output,) = found[-1]["outputs"]
        assert ["submitted", "processing", "succeeded"] == [state["status"] for state in found]
        assert ("5", [200, 200]) == (
            output["duration"],
            [send("GET", output[name]).status for name in ("url", "watermark_url")],
        )

    def test_several_are_asked_for_at_once(self, server: Kling) -> None:
        """By ids with commas between them; an id that is not there is left out."""
        ids = [submit(server)["id"] for _ in range(2)]
        found = ask(server, "GET", f"/tasks?task_ids={','.join(ids)},1").json()["data"]
        assert ids == [one["id"] for one in found]

    def test_a_task_is_found_by_the_id_that_it_was_given(self, server: Kling) -> None:
        """So a lost reply is no lost task."""
        server.fail("submit", "reset-after")
        with pytest.raises((ConnectionError, HTTPException)):
            submit(server, body=BALL | {"options": {"external_task_id": "mine"}})
        (found,) = ask(server, "GET", "/tasks?external_task_ids=mine").json()["data"]
        assert (server.jobs[0].id, "mine") == (found["id"], found["external_id"])

    def test_a_given_id_is_used_once(self, server: Kling) -> None:
        """In both lines together."""
        submit(server, body=BALL | {"options": {"external_task_id": "mine"}})
        assert (400, 1201) == code(
            ask(server, "POST", "/v1/videos/text2video", OLD_TEXT | {"external_task_id": "mine"})
        )

    @pytest.mark.parametrize("query", ["", "?task_ids=1&external_task_ids=2"])
    def test_one_sort_of_id_is_asked_for(self, server: Kling, query: str) -> None:
        """Neither and both are 1201."""
        assert (400, 1201) == code(ask(server, "GET", f"/tasks{query}"))

    def test_tasks_are_listed_by_time_and_state(self, server: Kling, clock: Clock) -> None:
        """The newest first, page after page."""
        ids = []
        for _ in range(3):
            ids.append(submit(server)["id"])
            clock.now += 60
        start = {"start_time": int((clock.now - 150) * 1000), "limit": 1}
        page = ask(server, "POST", "/tasks", start).json()["data"]
        rest = ask(server, "POST", "/tasks", start | {"cursor": page["next_cursor"]}).json()["data"]
        assert [[ids[2]], [ids[1]]] == [[one["id"] for one in said["tasks"]] for said in (page, rest)]
        none = ask(server, "POST", "/tasks", {"filters": {"status": ["failed"]}}).json()["data"]
        assert ([], "") == (none["tasks"], rest["next_cursor"])

    def test_the_list_takes_at_most_500(self, server: Kling) -> None:
        """1201 beyond."""
        assert (400, 1201) == code(ask(server, "POST", "/tasks", {"limit": 501}))

    def test_results_are_cleared_after_30_days(self, server: Kling, clock: Clock) -> None:
        """The link is dead then."""
        url = task(server, submit(server)["id"], looks=2)["outputs"][0]["url"]
        clock.now += 30 * 24 * 3600 - 1
        before = send("GET", url).status
        clock.now += 1
        assert (200, 403) == (before, send("GET", url).status)

    def test_a_refusal_comes_late_and_in_words(self, server: Kling) -> None:
        """A failed task has no code, only a message, and costs nothing."""
        server.next(ending="refused")
        failed = task(server, submit(server)["id"], looks=2)
        assert ("failed", "Failure to pass the risk control system", []) == tuple(
            failed[name] for name in ("status", "message", "billing")
        )

    def test_there_is_no_cancelling(self, server: Kling) -> None:
        """No path takes a DELETE."""
        assert (404, 1202) == code(ask(server, "DELETE", f"/tasks?task_ids={submit(server)['id']}"))


class TestCodes:
    @pytest.mark.parametrize("number", list(CODES))
    def test_a_submit_can_be_refused_with_every_code(self, server: Kling, number: int) -> None:
        """With the HTTP status that goes with it, and nothing is taken."""
        server.next(rejected=refusal(number))
        assert ((CODES[number][0], number), []) == (code(ask(server, "POST", TEXT, BALL)), server.jobs)

    def test_seven_codes_are_429(self) -> None:
        """So the status alone never says "again later"."""
        assert [1100, 1101, 1102, 1302, 1303, 1304] == [
            number for number, (status, _) in CODES.items() if status == 429
        ]

    def test_a_full_account_is_1303(self) -> None:
        """A task holds its slot until it ends."""
        with Kling(slots=1) as server:
            one = submit(server)["id"]
            full = code(ask(server, "POST", TEXT, BALL))
            task(server, one, looks=2)
            assert ((429, 1303), (200, 0)) == (full, code(ask(server, "POST", TEXT, BALL)))

    def test_an_empty_pack_is_1102(self) -> None:
        """What is left may be overdrawn by one task, and then no more."""
        with Kling(units=1) as server:
            task(server, submit(server)["id"], looks=2)
            assert (429, 1102) == code(ask(server, "POST", TEXT, BALL))

    @pytest.mark.parametrize(
        ("fault", "status", "number"),
        [("error-429", 429, 1302), ("error-500", 500, 5000), ("error-503", 503, 5001), ("error-504", 504, 5002),
         (Fault("error", 429, code="1304"), 429, 1304)],
    )  # fmt: skip
    def test_a_fault_has_the_vendors_shape(
        self, server: Kling, fault: str | Fault, status: int, number: int
    ) -> None:
        """The usual code of its status, or the one that was named."""
        server.fail("poll", fault)
        assert (status, number) == code(ask(server, "GET", "/tasks?task_ids=1"))


class TestMoney:
    @pytest.mark.parametrize(
        ("units", "path", "body"),
        [
            ("3", TEXT, BALL),
            ("4.5", TEXT, BALL | {"settings": {"audio": "native"}}),
            ("4", TEXT, BALL | {"settings": {"resolution": "1080p"}}),
            ("30", TEXT, BALL | {"settings": {"resolution": "4k", "duration": 10}}),
            ("4", "/text-to-video/kling-3.0-turbo", BALL),
            ("1.5", "/text-to-video/kling-2.5-turbo", BALL),
            (
                "4.5",
                "/omni-video/kling-3.0-omni",
                {"contents": [PROMPT, {"type": "base_video", "url": VIDEO}]},
            ),
        ],
    )
    def test_a_task_costs_prepaid_units(self, server: Kling, units: str, path: str, body: Any) -> None:
        """Of 0.14 USD each, by the price table."""
        billing = task(server, submit(server, path, body)["id"], looks=2)["billing"]
        assert [{"charge_type": "unit", "amount": units, "package_type": "video"}] == billing
        assert 1000 - float(units) == server.units

    def test_a_task_costs_cash_without_a_pack(self) -> None:
        """In USD."""
        with Kling(units=None) as server:
            billing = task(server, submit(server)["id"], looks=2)["billing"]
        assert [{"charge_type": "cash", "amount": "0.42", "currency": "USD", "list_price": "0.42"}] == billing

    def test_the_account_tells_what_is_left(self, server: Kling) -> None:
        """Of packs that were bought between the two times."""
        task(server, submit(server)["id"], looks=2)
        said = ask(server, "GET", f"/account/costs?start_time=0&end_time={int(server.now() * 1000)}").json()[
            "data"
        ]
        (pack,) = said["resource_pack_subscribe_infos"]
        assert (1000, 997, "online") == (pack["total_quantity"], pack["remaining_quantity"], pack["status"])

    def test_the_account_wants_both_times(self, server: Kling) -> None:
        """1201 without."""
        assert (400, 1201) == code(ask(server, "GET", "/account/costs?start_time=0"))


class TestLegacy:
    @pytest.mark.parametrize("kind", list(OLD))
    def test_a_task_is_polled_at_the_path_that_made_it(self, server: Kling, kind: str) -> None:
        """It succeeds there, with videos and a deduction, and is unknown elsewhere."""
        one = submit(server, f"/v1/videos/{kind}", OLD[kind])["task_id"]
        done = old_task(server, kind, one, looks=2)
        video = done["task_result"]["videos"][0]
        elsewhere = next(other for other in LEGACY if other != kind)
        assert ("succeed", 200) == (done["task_status"], send("GET", video["url"]).status)
        assert (404, 1203) == code(ask(server, "GET", f"/v1/videos/{elsewhere}/{one}"))

    @pytest.mark.parametrize(
        ("kind", "change"),
        [
            ("text2video", {"duration": 5}),
            ("text2video", {"duration": "16"}),
            ("text2video", {"prompt": "x" * 2501}),
            ("text2video", {"seed": 1}),
            ("text2video", {"image": IMAGE}),
            ("text2video", {"aspect_ratio": "21:9"}),
            ("text2video", {"model_name": "kling-v2-6", "duration": "7"}),
            ("text2video", {"model_name": "kling-v2-6", "cfg_scale": 0.5}),
            ("text2video", {"model_name": "kling-v2-6", "sound": "on"}),
            ("text2video", {"model_name": "kling-v2-5-turbo", "mode": "4k"}),
            ("text2video", {"model_name": "kling-v2-6", "multi_shot": True}),
            ("text2video", {"multi_shot": True}),
            ("text2video", {"multi_shot": True, "shot_type": "customize",
                            "multi_prompt": [{"index": 1, "prompt": "x", "duration": "3"}]}),
            ("image2video", {"image": "data:image/png;base64,AAAA"}),
            ("image2video", {"image": base64_image(200, 200)}),
            ("image2video", {"camera_control": {"type": "simple"}}),
            ("image2video", {"dynamic_masks": []}),
            ("omni-video", {"image_list": [{"image_url": IMAGE, "type": "end_frame"}]}),
            ("omni-video", {"image_list": [{"image_url": IMAGE}] * 5, "video_list": [{"video_url": VIDEO, "refer_type": "feature"}]}),
            ("omni-video", {"video_list": [{"video_url": "AAAA", "refer_type": "feature"}]}),
            ("motion-control", {"character_orientation": "left"}),
            ("lip-sync", {"input": {"mode": "text2video", "text": "hi", "voice_id": "a"}}),
            ("lip-sync", {"input": {"video_url": VIDEO, "mode": "text2video", "text": "x" * 121, "voice_id": "a"}}),
            ("lip-sync", {"input": {"video_url": VIDEO, "mode": "audio2video", "audio_type": "url"}}),
            ("avatar/image2video", {"sound_file": "AAAA"}),
        ],
    )  # fmt: skip
    def test_what_it_does_not_take_is_1201(self, lasting: Kling, kind: str, change: Any) -> None:
        """Lengths are texts here, and motion brush and numeric cameras are gone."""
        before = len(lasting.jobs)
        reply = ask(lasting, "POST", f"/v1/videos/{kind}", OLD[kind] | change)
        assert ((400, 1201), before) == (code(reply), len(lasting.jobs)), reply.body

    @pytest.mark.parametrize("model", [*RETIRED, "kling-v9"])
    def test_a_retired_model_is_1203(self, server: Kling, model: str) -> None:
        """Since 2026-09-15."""
        assert (404, 1203) == code(
            ask(server, "POST", "/v1/videos/text2video", {"model_name": model, "prompt": "x"})
        )

    def test_shots_of_the_right_length_are_taken(self, server: Kling) -> None:
        """Instead of a prompt."""
        shots = [{"index": 1, "prompt": "a", "duration": "2"}, {"index": 2, "prompt": "b", "duration": "3"}]
        body = {"model_name": "kling-v3", "multi_shot": True, "shot_type": "customize", "multi_prompt": shots}
        assert "submitted" == submit(server, "/v1/videos/text2video", body)["task_status"]

    def test_a_video_is_made_longer(self, server: Kling, clock: Clock) -> None:
        """By 5 seconds, for 30 days after it was made."""
        one = submit(server, "/v1/videos/text2video", OLD_TEXT)["task_id"]
        video = old_task(server, "text2video", one, looks=2)["task_result"]["videos"][0]
        longer = submit(server, "/v1/videos/video-extend", {"video_id": video["id"]})["task_id"]
        done = old_task(server, "video-extend", longer, looks=2)
        clock.now += 30 * 24 * 3600
        late = code(ask(server, "POST", "/v1/videos/video-extend", {"video_id": video["id"]}))
        assert ("10", video["id"]) == (
            done["task_result"]["videos"][0]["duration"],
            done["task_info"]["parent_video"]["id"],
        )
        assert (400, 1201) == late

    def test_tasks_are_listed_page_by_page(self, server: Kling) -> None:
        """The newest first, of one endpoint."""
        ids = [submit(server, "/v1/videos/text2video", OLD_TEXT)["task_id"] for _ in range(3)]
        page = ask(server, "GET", "/v1/videos/text2video?pageNum=2&pageSize=2").json()["data"]
        assert [ids[0]] == [one["task_id"] for one in page]

    def test_a_page_has_at_most_500(self, server: Kling) -> None:
        """1201 beyond."""
        assert (400, 1201) == code(ask(server, "GET", "/v1/videos/text2video?pageSize=501"))

    def test_a_failed_task_says_why(self, server: Kling) -> None:
        """And deducts nothing."""
        server.next(ending="failed", message="The image is sensitive.")
        one = submit(server, "/v1/videos/text2video", OLD_TEXT)["task_id"]
        failed = old_task(server, "text2video", one, looks=2)
        assert ("failed", "The image is sensitive.", "0") == (
            failed["task_status"], failed["task_status_msg"], failed["final_unit_deduction"],
        )  # fmt: skip


class TestCallback:
    @pytest.fixture
    def heard(self) -> Iterator[tuple[str, list[tuple[Any, list[str]]]]]:
        told: list[tuple[Any, list[str]]] = []

        class Ear(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told.append((json.loads(body), [name.lower() for name in self.headers]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
                pass

        with HTTPServer(("127.0.0.1", 0), Ear) as ear:
            thread = threading.Thread(target=ear.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            yield f"http://127.0.0.1:{ear.server_port}/hook", told
            ear.shutdown()
            thread.join()

    def test_a_callback_is_the_task_and_nothing_signs_it(self, server: Kling, heard: Any) -> None:
        """The same body as a poll gives, to the URL that came with the task."""
        url, told = heard
        one = submit(server, "/v1/videos/text2video", OLD_TEXT | {"callback_url": url})["task_id"]
        done = old_task(server, "text2video", one, looks=2)
        status = server.deliver(server.jobs[0])
        assert (200, done) == (status, told[0][0])
        assert not {"authorization", "x-signature", "signature"} & set(told[0][1])

    def test_a_callback_can_go_elsewhere(self, server: Kling, heard: Any) -> None:
        """In the new line it is the new line's task."""
        url, told = heard
        submit(server)
        server.deliver(server.jobs[0], url)
        assert "submitted" == told[0][0]["status"]

    def test_a_task_without_a_url_has_no_callback(self, server: Kling) -> None:
        """Nobody to tell."""
        submit(server)
        with pytest.raises(ValueError, match="callback_url"):
            server.deliver(server.jobs[0])


class TestFaults:
    @pytest.mark.parametrize(("fault", "jobs"), [("reset-before", 0), ("reset-after", 1), ("cut", 1)])
    def test_a_lost_reply_is_a_task_or_none(self, server: Kling, fault: str, jobs: int) -> None:
        """What somebody pays for without knowing."""
        server.fail("submit", fault)
        with pytest.raises((ConnectionError, HTTPException)):
            ask(server, "POST", TEXT, BALL)
        assert jobs == len(server.jobs)
