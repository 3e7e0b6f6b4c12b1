"""Kling's own platform."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from vidorch.errors import InvalidRequest, OverBudget, ProviderFailed, Refused, Unsupported
from vidorch.testing import ProviderConformance
from vidorch.testing.servers import Fate, ProtocolServer, serve
from vidorch.testing.servers.faults import Fault
from vidorch.testing.servers.kling import refusal


class TestKling(ProviderConformance):
    model = "kling/kling-3.0-standard"
    asks = {"prompt": "a red ball rolling left", "duration": 5}
    refusals = {
        "arrears": (refusal(1101), OverBudget),
        "empty pack": (refusal(1102), OverBudget),
        "account": (refusal(1100), OverBudget),
        "no right": (refusal(1103), Unsupported),
        "address": (refusal(1304), Unsupported),
        "parameters": (refusal(1201), InvalidRequest),
        "no model": (refusal(1203), Unsupported),
        "platform policy": (refusal(1300), Refused),
        "content policy": (refusal(1301), Refused),
    }
    endings = {
        "late refusal": (Fate(ending="failed", message="Failure to pass the risk control system"), Refused),
        "failed": (Fate(ending="failed", message="The engine stopped"), ProviderFailed),
    }

    def serve(self, clock: Callable[[], float]) -> ProtocolServer:
        return serve("kling", clock=clock, key=self.key)

    def test_a_task_of_another_is_not_taken_for_ours(self, tmp_path: Path) -> None:
        """Whatever a search lists: what names another id of a customer's was paid by somebody else."""
        foreign = {"code": 0, "data": [{"id": "77", "status": "processing", "external_id": "somebody-else"}]}

        def before(server: ProtocolServer) -> None:
            server.fail("submit", "reset-after")
            server.fail("poll", Fault("answer", body=json.dumps(foreign).encode()))

        outcome, server = self.call(tmp_path, before)
        assert outcome.error is None, outcome.error
        assert [job.remote_id for job in outcome.jobs] == [job.id for job in server.jobs]
