"""The `/v1/videos` protocol in all its dialects."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from vidorch import Client
from vidorch.errors import InvalidRequest, OverBudget, ProviderFailed, Refused, Unsupported
from vidorch.testing import ProviderConformance, VirtualClock
from vidorch.testing.servers import Fate, ProtocolServer, VendorError, serve
from vidorch.testing.servers.base import Answer
from vidorch.testing.servers.faults import Fault

LAYER: dict[str, Any] = {
    "family": "wan",
    "offer": [
        {
            "model": "wan-2.2", "endpoint": "openai", "provider": "openai", "title": "Wan 2.2 on our server",
            "vendor_model": "wan-2.2", "as_of": dt.date(2026, 11, 26), "variables": ["STUDIO_KEY"], "find": "list",
            "path": "/v1/videos", "min_poll": 1,
            "price": {"source": "our server", "row": [{"per_second": "0.05"}]},
            "capabilities": {
                "durations": {"choices": [4, 8]}, "resolutions": ["720p"], "aspect_ratios": ["16:9"], "seed": True,
                "negative_prompt": "native", "steps": [1, 200],
            },
            "fields": {
                "prompt": {"to": "prompt"}, "duration": {"to": "seconds", "type": "integer"}, "size": {"to": "size", "form": "{}x{}"},
                "seed": {"to": "seed", "type": "integer"}, "negative_prompt": {"to": "negative_prompt"},
                "steps": {"to": "num_inference_steps", "type": "integer"},
            },
            "fixed": {"model": "wan-2.2"},
            "routes": {
                "text-to-video": {},
                "image-to-video": {"fields": {"image": {"to": "input_reference", "type": "image"}}},
            },
        }
    ],
}  # fmt: skip
ASKS = {"prompt": "a red ball rolling left", "duration": 4, "seed": 7}


class OnVideos(ProviderConformance):
    model = "openai/wan-2.2"
    catalog = LAYER
    asks = ASKS


class TestVllm(OnVideos):
    endings = {
        "out of memory": (Fate(ending="failed", code="500", message="CUDA out of memory"), ProviderFailed),
    }

    def serve(self, clock: Callable[[], float]) -> ProtocolServer:
        return serve("openai", dialect="vllm", clock=clock, key=self.key)

    def test_a_finished_job_is_not_deleted_with_its_clip(self, tmp_path: Any) -> None:
        """Whoever cancels may not have seen that it is done, and paid for."""
        clock = VirtualClock(free=False)
        server = self.serve(clock.now)

        async def go() -> None:
            async with self.client(server, tmp_path, clock) as client:
                asks: dict[str, Any] = {**self.asks, "model": self.model}
                run = await client.submit(**asks)
                server.end(server.jobs[0], "done")
                await run.cancel()

        with server:
            asyncio.run(go())
        assert (1, 0) == (server.count("poll"), server.count("cancel"))

    def test_a_file_that_cannot_be_removed_does_not_cost_the_reply(
        self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was sent along is removed after the submit, whose reply has the id of what was paid for."""

        def globbed(folder: Path, pattern: str) -> list[Path]:
            return [tmp_path] if pattern.endswith("-in.*.part") else list(glob(folder, pattern))

        glob = Path.glob
        monkeypatch.setattr(Path, "glob", globbed)
        outcome, server = self.call(tmp_path)
        assert outcome.error is None, outcome.error
        assert (1, 0) == (len(server.jobs), server.count("find"))

    def test_an_error_with_an_id_and_a_status_of_its_own_is_no_end(self, tmp_path: Any) -> None:
        """It speaks of the look, not of the job."""

        def before(server: ProtocolServer) -> None:
            said = Answer(503, json={"id": "err-77", "status": "error", "message": "Try again."})
            cast("Any", server).error = lambda *words, **more: said
            server.fail("poll", "error-503")

        outcome, _ = self.call(tmp_path, before)
        assert outcome.error is None, outcome.error

    def test_one_replica_that_does_not_know_the_job_is_no_end(self, tmp_path: Any) -> None:
        """It is asked again, and the clip comes."""
        outcome, server = self.call(
            tmp_path, lambda server: server.fail("poll", Fault("error", 404, "not_found"), times=2)
        )
        assert outcome.error is None, outcome.error
        assert len(server.jobs) == 1

    def test_a_server_that_forgot_the_job_ends_it(self, tmp_path: Any) -> None:
        """After it has said so for a minute: such servers keep jobs in memory, and were restarted."""
        outcome, _ = self.call(
            tmp_path, lambda server: server.fail("poll", Fault("error", 404, "not_found"), times=500)
        )
        assert outcome.error is not None
        assert "restarted" in str(outcome.error)


@pytest.mark.slow
class TestSglang(OnVideos):
    endings = {"failed": (Fate(ending="failed", message="the worker died"), ProviderFailed)}

    def serve(self, clock: Callable[[], float]) -> ProtocolServer:
        return serve("openai", dialect="sglang", clock=clock, key=self.key)

    def test_a_wrong_key_is_said(self, tmp_path: Any) -> None:
        """These servers know no keys."""

    def test_it_can_be_checked_at_no_cost(self, tmp_path: Any) -> None:
        """These servers know no keys."""


@pytest.mark.slow
class TestSglangOfJson(TestSglang):
    options = {"body": "json"}


@pytest.mark.slow
class TestClipsInTheCloud(TestSglang):
    """The job names a link, and `/content` gives none."""

    def serve(self, clock: Callable[[], float]) -> ProtocolServer:
        return serve("openai", dialect="sglang", links=True, clock=clock, key=self.key)


@pytest.mark.slow
class TestRedirectedContent(TestVllm):
    """`/content` sends to another host, which gets no key."""

    def serve(self, clock: Callable[[], float]) -> ProtocolServer:
        return serve("openai", dialect="vllm", redirects=True, clock=clock, key=self.key)


@pytest.mark.slow
class TestDoneAtOnce(TestVllm):
    """The create reply is the finished job."""

    def serve(self, clock: Callable[[], float]) -> ProtocolServer:
        return serve("openai", dialect="vllm", instant=True, clock=clock, key=self.key)


SORA: dict[str, Any] = {
    "family": "sora",
    "offer": [
        {**LAYER["offer"][0], "model": "sora-like", "vendor_model": "sora-2", "fixed": {"model": "sora-2"},
         "capabilities": {"durations": {"choices": [4, 8, 12]}, "resolutions": ["720p"], "aspect_ratios": ["16:9"], "audio": "on",
                          "camera": "prompt", "negative_prompt": "prompt"},
         "fields": {"prompt": {"to": "prompt"}, "duration": {"to": "seconds"}, "size": {"to": "size", "form": "{}x{}"}}},
    ],
}  # fmt: skip


class TestAsOpenaiSpokeIt(OnVideos):
    model = "openai/sora-like"
    catalog = SORA
    refusals = {
        "moderation": (VendorError(400, "moderation_blocked", "Your request was blocked by our moderation system."), Refused),
        "bad input": (VendorError(400, "invalid_value", "Invalid size."), InvalidRequest),
        "no quota": (VendorError(429, "insufficient_quota", "You exceeded your current quota."), OverBudget),
        "no access": (VendorError(403, "permission_denied", "Your organization must be verified."), Unsupported),
        "no such model": (VendorError(404, "model_not_found", "The model does not exist."), Unsupported),
    }  # fmt: skip
    endings = {
        "moderated": (Fate(ending="refused", message="Blocked by our moderation system."), Refused),
        "failed": (
            Fate(ending="failed", code="server_error", message="The server had an error."),
            ProviderFailed,
        ),
    }

    def serve(self, clock: Callable[[], float]) -> ProtocolServer:
        return serve("openai", clock=clock, key=self.key)

    def test_a_prompt_with_more_at_its_end_is_found_again(self, tmp_path: Any) -> None:
        """What the route has no field for was sent in the prompt, and stands in the list like that."""
        outcome, server = self.call(
            tmp_path,
            lambda server: server.fail("submit", "reset-after"),
            camera="slow pan",
            negative_prompt="rain",
        )
        assert outcome.error is None, outcome.error
        assert [server.jobs[0].id] == [job.remote_id for job in outcome.jobs]

    @pytest.mark.parametrize("code", ["insufficient_quota", "moderation_blocked", "model_not_found"])
    def test_a_gateway_s_5xx_is_no_rejection_whatever_it_says(self, tmp_path: Any, code: str) -> None:
        """What broke behind a gateway may have been taken before, and is found again."""
        fault = Fault("error", 502, code, taken=True)
        outcome, server = self.call(tmp_path, lambda server: server.fail("submit", fault))
        assert outcome.error is None, outcome.error
        assert len(server.jobs) == 1


class TestServerOfOnesOwn:
    """An endpoint of another name than the provider's."""

    @staticmethod
    def client(tmp_path: Path) -> Client:
        layer = copy.deepcopy(LAYER)
        layer["offer"][0]["endpoint"] = "studio"
        return Client(home=tmp_path, catalog=layer, credentials=lambda scope, endpoint: "studio-key")

    def test_without_a_base_url_it_is_left_out(self, tmp_path: Path) -> None:
        """Its key is for one server, so nothing goes to the vendor whose name the protocol bears."""
        with (
            self.client(tmp_path) as client,
            pytest.raises(Unsupported, match="'studio' has no base URL: VIDORCH_STUDIO_BASE_URL"),
        ):
            client.generate("a boat", model="studio/wan-2.2", duration=4)

    def test_without_a_base_url_it_is_estimated_all_the_same(self, tmp_path: Path) -> None:
        """An estimate names what is missing."""
        with self.client(tmp_path) as client:
            line = client.estimate("a boat", model="studio/wan-2.2", duration=4).lines[0]
        assert "VIDORCH_STUDIO_BASE_URL" in line.needs

    def test_without_a_base_url_its_key_is_not_checked_elsewhere(self, tmp_path: Path) -> None:
        """A look at whether the key is taken does not go to another server either."""
        with self.client(tmp_path) as client:
            health = client.check("studio")
        assert "has no base URL" in health.detail

    def test_the_variable_says_where_it_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`VIDORCH_<ENDPOINT>_BASE_URL` is enough to plan with it."""
        monkeypatch.setenv("VIDORCH_STUDIO_BASE_URL", "http://gpu.example:8000")
        with self.client(tmp_path) as client:
            plan = client.plan("a boat", model="studio/wan-2.2", duration=4)
        assert [entry.offer.name for entry in plan.entries] == ["studio/wan-2.2"]
