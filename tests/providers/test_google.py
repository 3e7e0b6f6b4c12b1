"""Google's two surfaces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from vidorch.client.aio import AsyncClient
from vidorch.errors import (
    InvalidRequest,
    OverBudget,
    ProviderFailed,
    Refused,
    SubmissionUnknown,
    Throttled,
    Unsupported,
)
from vidorch.testing import ProviderConformance, VirtualClock
from vidorch.testing.servers import Fate, Fault, ProtocolServer, VendorError, serve
from vidorch.testing.servers.google_models import BLOCKED


class TestGemini(ProviderConformance):
    model = "gemini/gemini-omni-1.1-flash"
    asks = {"prompt": "a red ball rolling left", "duration": 5}
    refusals = {
        "policy": (VendorError(400, "INVALID_ARGUMENT", "The prompt violates our policy."), Refused),
        "bad": (VendorError(400, "INVALID_ARGUMENT", "duration is out of range"), InvalidRequest),
        "gone": (VendorError(404, "NOT_FOUND", "The model is no longer available."), Unsupported),
        "permission": (VendorError(403, "PERMISSION_DENIED", "Billing is not enabled."), Unsupported),
    }
    endings = {
        "failed": (Fate(ending="failed", message="internal trouble"), ProviderFailed),
        "withheld": (Fate(filtered=1), Refused),
        "budget": (Fate(ending="budget_exceeded"), OverBudget),
    }

    def serve(self, clock: Callable[[], float]) -> ProtocolServer:
        return serve("gemini", clock=clock, key=self.key)

    @pytest.mark.parametrize("status", ["incomplete", "budget_exceeded", "failed", "cancelled"])
    def test_a_clip_that_is_there_is_kept(self, tmp_path: Path, status: str) -> None:
        """Whatever the status says: it was made, so it is paid for, and a note tells how it came."""
        fate = Fate(ending=status, more={"with_clip": True})
        outcome, _ = self.call(tmp_path, lambda server: server.next(fate))
        assert outcome.error is None, outcome.error
        assert outcome.result is not None
        assert any(status in note for note in outcome.result.notes)

    def test_a_false_400_says_nothing_of_the_job(self, tmp_path: Path) -> None:
        """Newer keys get one now and then for an interaction that runs; the next look is answered."""
        outcome, _ = self.call(tmp_path, lambda server: server.fail("poll", Fault("error", 400), times=3))
        assert outcome.error is None, outcome.error


class TestVertex(ProviderConformance):
    model = "vertex/veo-3.1-fast"
    asks = {"prompt": "a red ball rolling left", "duration": 4}
    options = {"project": "test-project", "location": "us-central1"}
    refusals = {
        "policy": (
            VendorError(400, "INVALID_ARGUMENT", "Blocked by Responsible AI. Support codes: 58061214"),
            Refused,
        ),
        "bad": (VendorError(400, "INVALID_ARGUMENT", "durationSeconds is out of range"), InvalidRequest),
        "not on the list": (VendorError(400, "FAILED_PRECONDITION", "not allowlisted"), Unsupported),
        "gone": (VendorError(404, "NOT_FOUND", "Publisher model was not found."), Unsupported),
    }
    endings = {
        "filtered": (Fate(filtered=1), Refused),
        "capacity": (Fate(ending="failed", code="8", message="The model is overloaded"), Throttled),
        "internal": (Fate(ending="failed", code="13", message="Internal error"), ProviderFailed),
        "length": (
            Fate(ending="failed", code="3", message="Unsupported output video duration 5 seconds"),
            InvalidRequest,
        ),
        "late refusal": (
            Fate(ending="failed", code="3", message=BLOCKED.format(what="image", code="17301594")),
            Refused,
        ),
    }

    def serve(self, clock: Callable[[], float]) -> ProtocolServer:
        return serve("vertex", clock=clock, key=self.key)

    def test_of_two_samples_one_may_be_withheld(self, tmp_path: Path) -> None:
        """Two candidates are one job; where one is filtered the other is had, and nothing is paid for the withheld one."""
        outcome, server = self.call(
            tmp_path, lambda server: server.next(filtered=1), candidates=2, audio=True
        )
        assert outcome.result is not None
        assert (1, 2) == (len(server.jobs), server.samples(server.jobs[0]))
        assert (1, [Refused]) == (
            len(outcome.result.candidates),
            [type(one) for one in outcome.result.failures],
        )
        assert Decimal("0.40") == outcome.result.cost  # 4 s at 0.10

    def test_an_adopted_operation_is_asked_for_where_its_name_says(self, tmp_path: Path) -> None:
        """By somebody who knows only the name, from a machine that is set up for another location."""
        clock = VirtualClock()
        server = self.serve(clock.now)

        async def go() -> None:
            async with self.client(server, tmp_path, clock) as client:
                asks: dict[str, Any] = {**self.asks, "model": self.model}
                with pytest.raises(SubmissionUnknown):
                    await client.generate(**asks)
                job = (await client.jobs())[0]
            there = server.endpoints(project="another", location="europe-west4")
            async with AsyncClient(
                home=tmp_path, endpoints=there, clock=clock, credentials=lambda scope, endpoint: self.key,
                private_hosts=["127.0.0.1"],
            ) as client:  # fmt: skip
                await client.adopt(job.id, server.jobs[0].id)
                (run,) = await client.resume()
                assert (await run.wait()).clip.path is not None

        with server:
            server.fail("submit", "reset-after")
            asyncio.run(go())


class TestOmniOnVertex(ProviderConformance):
    model = "vertex/gemini-omni-1.2-flash"
    asks = {"prompt": "a red ball rolling left", "duration": 5}
    options = {"project": "test-project", "location": "us-central1"}
    endings = {
        "failed": (Fate(ending="failed", message="internal trouble"), ProviderFailed),
        "withheld": (Fate(filtered=1), Refused),
        "budget": (Fate(ending="budget_exceeded"), OverBudget),
    }

    def serve(self, clock: Callable[[], float]) -> ProtocolServer:
        return serve("vertex", clock=clock, key=self.key)

    @pytest.mark.parametrize("status", ["incomplete", "budget_exceeded", "failed", "cancelled"])
    def test_a_clip_that_is_there_is_kept(self, tmp_path: Path, status: str) -> None:
        """Whatever the status says: it was made, so it is paid for, and a note tells how it came."""
        fate = Fate(ending=status, more={"with_clip": True})
        outcome, _ = self.call(tmp_path, lambda server: server.next(fate))
        assert outcome.error is None, outcome.error
        assert outcome.result is not None
        assert any(status in note for note in outcome.result.notes)
