"""Runway's API."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vidorch.errors import InvalidRequest, OverBudget, ProviderFailed, Refused
from vidorch.testing import ProviderConformance
from vidorch.testing.clips import still_bytes
from vidorch.testing.servers import Fate, Fault, ProtocolServer, VendorError, serve


class TestRunway(ProviderConformance):
    model = "runway/gen4.5"
    asks = {"prompt": "a red ball rolling left", "duration": 5}
    refusals = {
        "bad input": (VendorError(400, "", "Validation of body failed"), InvalidRequest),
        "no credits": (VendorError(400, "", "You do not have enough credits to run this task."), OverBudget),
    }
    endings = {
        "input": (Fate(ending="failed", code="SAFETY.INPUT.TEXT", message="moderated"), Refused),
        "output": (Fate(ending="failed", code="SAFETY.OUTPUT.VIDEO", message="moderated"), Refused),
        "quality": (Fate(ending="failed", code="INTERNAL.BAD_OUTPUT.CODE01"), ProviderFailed),
        "asset": (Fate(ending="failed", code="ASSET.INVALID"), InvalidRequest),
        "face": (Fate(ending="failed", code="NO_FACE_FOUND"), InvalidRequest),
    }

    def serve(self, clock: Callable[[], float]) -> ProtocolServer:
        server = serve("runway", clock=clock, key=self.key)
        server.size = (1280, 720)  # exactly what was bought is asked for
        return server

    @pytest.mark.parametrize("where", ["http://169.254.169.254", "https://10.0.0.1"])
    def test_an_input_goes_to_no_address_that_is_not_safe(self, tmp_path: Path, where: str) -> None:
        """A private file is not sent into a private network, whatever the reply names."""

        def before(server: ProtocolServer) -> None:
            fields = {"key": "x", "policy": "x"}
            body = json.dumps(
                {"uploadUrl": f"{where}/uploads", "fields": fields, "runwayUri": "runway://x"}
            ).encode()
            server.fail("upload", Fault("answer", body=body), times=20)

        outcome, server = self.call(tmp_path, before, image=still_bytes((1280, 720)))
        assert isinstance(outcome.error, ProviderFailed)
        assert (False, [], 0) == (outcome.error.charged, server.jobs, server.count("upload-file"))
        assert "not public" in str(outcome.error)
