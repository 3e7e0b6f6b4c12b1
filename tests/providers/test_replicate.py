"""Replicate's predictions."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from tests.providers.hosted import HostedConformance, Signed
from vidorch.client.aio import AsyncClient
from vidorch.errors import InvalidRequest, OverBudget, ProviderFailed, Refused, Unsupported
from vidorch.testing.servers import Fate, ProtocolServer, VendorError, serve
from vidorch.testing.servers.base import RemoteJob


class TestReplicate(HostedConformance):
    model = "replicate/kling-3.0-standard"
    secret: str | None = None
    asks = {"prompt": "a red ball rolling left", "duration": 5}
    image_model, image_field = "replicate/kling-3.0-standard", "start_image"
    video_model, video_field = "replicate/gen4-aleph", "video"
    refusals = {
        "input": (VendorError(422, "", "- input.duration: has to be at most 15"), InvalidRequest),
        "envelope": (VendorError(400, "", "The request body is not valid JSON"), InvalidRequest),
        "credit": (VendorError(402, "", "You have insufficient credit to run this model."), OverBudget),
        "right": (VendorError(403, "", "You may not run this model."), Unsupported),
        "no model": (VendorError(404, "", "The requested resource could not be found."), Unsupported),
    }
    endings = {
        "refused": (Fate(ending="refused", message="The input was flagged as sensitive. (E005)"), Refused),
        "flagged without a code": (
            Fate(ending="failed", message="Content flagged as sensitive by Kling"),
            Refused,
        ),
        "memory": (Fate(ending="failed", code="E1001", message="CUDA out of memory"), ProviderFailed),
        "unknown": (Fate(ending="failed", code="E1000", message="Unknown error"), ProviderFailed),
        "start": (Fate(ending="failed", code="E6716", message="Start timeout"), ProviderFailed),
        "a code of tomorrow's": (
            Fate(ending="failed", code="E9999", message="Something new"),
            ProviderFailed,
        ),
        "failed": (Fate(ending="failed", message="The worker died"), ProviderFailed),
        "cancelled": (Fate(ending="cancelled"), ProviderFailed),
        "aborted": (Fate(ending="aborted"), ProviderFailed),
    }

    def serve(self, clock: Callable[[], float]) -> ProtocolServer:
        return serve("replicate", clock=clock, key=self.key)

    keys_op = "secret"

    def change_key(self, server: ProtocolServer) -> None:
        cast("Any", server).secret = f"whsec_{base64.b64encode(b'another secret of webhooks').decode()}"

    def sign(self, server: ProtocolServer, job: RemoteJob, *, at: float | None = None) -> Signed:
        server.end(job, "done")
        if self.secret is not None:
            cast("Any", server).secret = self.secret
        return cast("Signed", cast("Any", server).signed(job, at=at))

    @pytest.mark.parametrize(
        ("metrics", "charged", "basis"),
        [
            ({"predict_time": 0}, False, "computed"),
            ({}, None, "assumed"),
            ({"video_output_count": 0}, False, "computed"),
        ],
    )
    def test_what_was_cancelled_before_it_ran_is_free(
        self, tmp_path: Path, metrics: dict[str, Any], charged: bool | None, basis: str
    ) -> None:
        """What ran is billed for that, at a price that a model by the second has not: it is not known, and held in full."""
        fate = Fate(ending="cancelled", more={"metrics": metrics})
        outcome, _ = self.call(tmp_path, lambda server: server.next(fate))
        assert outcome.error is not None
        assert (charged, charged, basis) == (
            outcome.error.charged,
            outcome.jobs[0].charged,
            outcome.jobs[0].cost_basis,
        )

    def test_the_list_is_read_page_by_page(self, tmp_path: Path) -> None:
        """A submit whose reply was lost is found behind those that came after it."""

        def before(server: ProtocolServer) -> None:
            cast("Any", server).page = 1
            server.fail("submit", "reset-after")

        outcome, server = self.call(tmp_path, before, candidates=3)
        assert outcome.error is None, outcome.error
        assert {job.id for job in server.jobs} == {job.remote_id for job in outcome.jobs}
        assert server.count("find") >= 3

    @pytest.mark.parametrize("secret", ["", "whsec_", "None", "whsec_QUJD"])
    def test_a_secret_that_anybody_knows_proves_nothing(self, tmp_path: Path, secret: str) -> None:
        """An account that has none yet: whoever signs with nothing is not believed."""

        async def deliver(client: AsyncClient, signed: Signed, url: str, run: Any) -> None:
            with pytest.raises(InvalidRequest, match="too short"):
                await client.handle_webhook(self.endpoint, *signed, url)

        self.secret = secret
        server = self.called_back(tmp_path, deliver)
        assert server.count("poll") == 0

    def test_a_clip_is_found_wherever_it_is_in_the_output(self, tmp_path: Path) -> None:
        """A model that the catalog does not list may put it into objects, and stills and data beside it."""

        def elsewhere(server: ProtocolServer) -> None:
            def output(job: RemoteJob) -> Any:
                if not job.outputs:
                    return None
                return {"poster": f"{server.url}/x.png", "clips": [{"file": job.outputs[0], "seed": 7}]}

            cast("Any", server)._output = output

        outcome, _ = self.call(tmp_path, elsewhere)
        assert outcome.error is None, outcome.error
        assert outcome.result is not None
        assert outcome.result.clip.path is not None
