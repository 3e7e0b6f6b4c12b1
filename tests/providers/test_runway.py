"""Runway's API."""

from __future__ import annotations

from collections.abc import Callable

from vidorch.errors import InvalidRequest, OverBudget, ProviderFailed, Refused
from vidorch.testing import ProviderConformance
from vidorch.testing.servers import Fate, ProtocolServer, VendorError, serve


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
