"""fal's queue."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from tests.providers.hosted import HostedConformance, Signed
from vidorch.errors import InvalidRequest, OverBudget, ProviderFailed, Refused, Unsupported
from vidorch.testing.clips import clip_bytes, still_bytes
from vidorch.testing.servers import Fate, ProtocolServer, VendorError, serve
from vidorch.testing.servers.base import RemoteJob
from vidorch.testing.servers.faults import Fault
from vidorch_providers import fal


def detail(kind: str, message: str) -> VendorError:
    """A model's own 422."""
    return VendorError(
        422, "", "", detail=[{"loc": ["body", "prompt"], "msg": message, "type": kind, "input": "x"}]
    )


class TestFal(HostedConformance):
    model = "fal/kling-3.0-standard"
    asks = {"prompt": "a red ball rolling left", "duration": 5}
    image_model, image_field = "fal/kling-3.0-standard", "start_image_url"
    video_model, video_field = "fal/kling-3.0-omni-pro", "video_url"
    refusals = {
        "policy": (detail("content_policy_violation", "The content was flagged."), Refused),
        "missing": (detail("missing", "Field required"), InvalidRequest),
        "enum": (detail("one_of", "duration has to be one of 5, 10"), InvalidRequest),
        "feature": (detail("feature_not_supported", "No audio here"), InvalidRequest),
        "a word of tomorrow's": (detail("too_purple", "Less purple, please"), InvalidRequest),
        "request": (VendorError(400, "bad_request", "The body is no JSON"), InvalidRequest),
        "balance": (VendorError(403, "", "User is locked. Reason: Exhausted balance."), OverBudget),
        "right": (VendorError(403, "", "You may not use this endpoint"), Unsupported),
        "no endpoint": (VendorError(404, "not_found", "Application not found"), Unsupported),
    }
    endings = {
        "policy": (Fate(ending="refused", message="The content was flagged by a checker."), Refused),
        "nothing made": (
            Fate(ending="failed", code="no_media_generated", message="No media was made."),
            Refused,
        ),
        "an input": (
            Fate(ending="failed", code="image_too_small", message="The image is too small."),
            InvalidRequest,
        ),
        "internal": (
            Fate(ending="failed", code="internal_server_error", message="It broke."),
            ProviderFailed,
        ),
        "too long": (
            Fate(ending="failed", code="generation_timeout", message="It took too long."),
            ProviderFailed,
        ),
        "another's 400": (
            Fate(ending="failed", code="downstream_service_error", message="Kling is gone."),
            ProviderFailed,
        ),
        "no start": (
            Fate(ending="failed", code="startup_timeout", message="It did not start."),
            ProviderFailed,
        ),
        "runner": (
            Fate(ending="failed", code="runner_disconnected", message="The runner left."),
            ProviderFailed,
        ),
        "cancelled": (Fate(ending="cancelled"), ProviderFailed),
        "late policy": (Fate(filtered=1), Refused),
    }

    def serve(self, clock: Callable[[], float]) -> ProtocolServer:
        return serve("fal", clock=clock, key=self.key)

    keys_op = "jwks"

    def change_key(self, server: ProtocolServer) -> None:
        cast("Any", server).signing = b"another key"

    def sign(self, server: ProtocolServer, job: RemoteJob, *, at: float | None = None) -> Signed:
        return cast("Signed", cast("Any", server).signed(job, at=at))

    def test_a_large_input_goes_up_in_parts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is more than ten parts long is sent part by part, and put together there."""
        picture = still_bytes((256, 144))
        monkeypatch.setattr(fal, "_PART", len(picture) // 12)
        outcome, server = self.call(tmp_path, model=self.image_model, image=picture)
        assert outcome.error is None, outcome.error
        assert server.count("part") > 10
        assert picture == self.uploaded(server, server.jobs[0].body[self.image_field])

    def test_a_submit_without_a_prompt_is_found_again(self, tmp_path: Path) -> None:
        """A motion may be asked for without words, which the list then has not either."""
        outcome, server = self.call(
            tmp_path, lambda server: server.fail("submit", "reset-after"), model="fal/kling-3.0-standard", task="motion",
            prompt="", duration=None, image=still_bytes((64, 36)), video=clip_bytes((64, 36), 5),
        )  # fmt: skip
        assert outcome.error is None, outcome.error
        assert len(server.jobs) == 1

    @pytest.mark.parametrize(
        ("units", "cost"), [(4, "1.2136"), (5.1, "1.54734"), (0.0864, "1.2136"), (0, "0"), (None, "1.2136")]
    )
    def test_units_that_are_something_else_are_not_believed(
        self, tmp_path: Path, units: float | None, cost: str
    ) -> None:
        """Seconds are turned into money as fal counted them; what can only be millions of tokens is left to the catalog's price."""
        outcome, _ = self.call(
            tmp_path, lambda server: server.next(more={"units": units}), model="fal/seedance-2.0", duration=4, resolution="720p"
        )  # fmt: skip
        assert outcome.result is not None
        assert Decimal(cost) == outcome.result.cost

    @pytest.mark.parametrize(("units", "cost"), [(5, "0.63"), (7.5, "0.63"), (6, "0.756"), (None, "0.63")])
    def test_sound_is_not_paid_for_twice(self, tmp_path: Path, units: float | None, cost: str) -> None:
        """5 s with sound at 0.126 instead of 0.084: fal may count 5 s, or 7.5 of the plain ones. Either way it is computed."""
        outcome, _ = self.call(tmp_path, lambda server: server.next(more={"units": units}), audio=True)
        assert outcome.result is not None
        assert (Decimal(cost), "computed") == (outcome.result.cost, outcome.result.clip.cost_basis)

    def test_an_extension_may_come_with_its_source(self, tmp_path: Path) -> None:
        """What is paid for is 7 s more; the file may hold what went before, too."""
        whole = clip_bytes((64, 36), 12)
        outcome, _ = self.call(
            tmp_path, lambda server: server.next(content=whole), model="fal/veo-3.1", task="extend", duration=None,
            video=clip_bytes((64, 36), 5),
        )  # fmt: skip
        assert outcome.error is None, outcome.error
        assert outcome.result is not None
        assert (12, "1.40") == (outcome.result.clip.duration, f"{outcome.result.cost:.2f}")

    def test_a_still_is_fetched(self, tmp_path: Path) -> None:
        """An image of the size that was bought, for what its megapixels cost."""
        outcome, server = self.call(
            tmp_path,
            model="fal/flux-schnell",
            task="image",
            duration=None,
            resolution="1080p",
            aspect_ratio="16:9",
        )
        assert outcome.error is None, outcome.error
        assert outcome.result is not None
        assert outcome.result.clip.path is not None
        assert outcome.result.clip.path.suffix == ".png"
        assert {"width": 1920, "height": 1088} == server.jobs[0].body["image_size"]
        assert str(outcome.result.cost) == "0.009"  # 3 megapixels of 0.003, as fal's own header has it

    def test_a_wrong_input_may_be_found_out_by_the_runner(self, tmp_path: Path) -> None:
        """Then it is a failure of the job, and whether it is billed is not said."""

        def later(server: ProtocolServer) -> None:
            cast("Any", server).late = True

        outcome, server = self.call(tmp_path, later, extra={"fal": {"shot_type": "wild"}})
        assert isinstance(outcome.error, InvalidRequest)
        assert "shot_type" in str(outcome.error)
        self._holds(outcome, server)

    @pytest.mark.parametrize(
        ("status", "code"), [(400, "bad_request"), (403, "auth_error"), (404, "not_found"), (409, "")]
    )
    def test_a_lost_look_at_the_result_is_no_end(self, tmp_path: Path, status: int, code: str) -> None:
        """The queue's own 4xx is about the look: the clip is paid for, and asked for again."""
        fault = Fault("error", status, code)
        outcome, server = self.call(tmp_path, lambda server: server.fail("result", fault))
        assert outcome.error is None, outcome.error
        assert (1, 2) == (len(server.jobs), server.count("result"))

    @pytest.mark.parametrize("named", [False, True])
    def test_a_clip_under_another_name_is_found(self, tmp_path: Path, *, named: bool) -> None:
        """An endpoint that the catalog does not list may call its output as it likes: what is paid for is fetched."""

        def elsewhere(server: ProtocolServer) -> None:
            def output(job: RemoteJob) -> Any:
                file = {"url": job.outputs[0], "content_type": "video/mp4"}
                return {
                    "poster": f"{server.url}/x.png",
                    "result": {"clips": [file if named else file["url"]]},
                }

            cast("Any", server)._output = output

        outcome, _ = self.call(tmp_path, elsewhere)
        assert outcome.error is None, outcome.error
        assert outcome.result is not None
        assert outcome.result.clip.path is not None

    def test_what_is_not_in_the_catalog_shares_max_cost_among_candidates(self, tmp_path: Path) -> None:
        """A dollar for three clips is not divided evenly, and what is held for them still fits into it."""
        asks = {"model": "fal:acme/strict", "duration": None, "max_cost": "1.00", "candidates": 3}
        outcome, server = self.call(tmp_path, **asks)
        assert (None, 3) == (outcome.error, len(server.jobs))

    def test_what_is_not_in_the_catalog_gets_no_seed_unasked(self, tmp_path: Path) -> None:
        """A strict endpoint that knows no seed refuses one, and the caller could not leave it out."""
        asks = {"model": "fal:acme/strict", "duration": None, "max_cost": "1.00"}
        _, server = self.call(tmp_path, **asks)
        assert ["prompt"] == list(server.jobs[0].body)

    def test_what_is_not_in_the_catalog_gets_the_seed_that_was_asked_for(self, tmp_path: Path) -> None:
        """It is the caller's word that it takes one."""
        asks = {"model": "fal:acme/strict", "duration": None, "max_cost": "1.00", "seed": 7}
        _, server = self.call(tmp_path, **asks)
        assert {"seed": 7} == {
            name: server.jobs[0].body[name] for name in server.jobs[0].body if name != "prompt"
        }


class TestWhatTheCatalogDoesNotList:
    """`fal:owner/name`."""

    def test_another_process_finishes_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The ledger has its name, and the catalog whose key it needs."""
        monkeypatch.setenv("VIDORCH_LIVE", "1")
        suite = TestFal()
        suite.model = "fal:acme/strict"  # type: ignore[misc]
        suite.asks = {"prompt": "a red ball rolling left", "max_cost": "1.00"}
        suite.test_another_process_finishes_it(tmp_path)
