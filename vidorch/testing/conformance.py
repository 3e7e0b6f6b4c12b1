"""What every provider has to keep, as tests that anybody's provider can run on itself: over real sockets, with every fault.

    from vidorch.testing import ProviderConformance

    class TestAcme(ProviderConformance):
        model = "acme/one"
        catalog = {...}                                   # the layer that holds the offer, where it is not shipped
        providers = {"acme": Acme()}                      # where it is not installed

        def serve(self, clock):
            return AcmeServer(clock=clock)                # a `vidorch.testing.servers.ProtocolServer` that speaks your wire

pytest finds the tests in it. They hold for one job: whatever goes wrong, at most one is paid for; what was accepted is found
again where the vendor can search; nothing that was paid is called free; no key is written down or sent elsewhere.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from vidorch.client.aio import AsyncClient, AsyncRun
from vidorch.contract import Endpoint, Provider
from vidorch.errors import InvalidRequest, MissingCredentials, SubmissionUnknown, Unsupported, VidorchError
from vidorch.result import Job, Result
from vidorch.testing.clock import VirtualClock
from vidorch.testing.servers.base import Fate, ProtocolServer, VendorError
from vidorch.testing.servers.faults import FAULTS, Fault

__all__ = ["Outcome", "ProviderConformance"]

SUBMIT_FAULTS = tuple(name for name in FAULTS if name != "drip")
BRIEF = 1.0
"""Seconds that a submit is waited for which is never answered; no other test may depend on how busy this machine is."""
LOOK_FAULTS = ("error-500", "gateway-502", "error-503", "gateway-504", "error-429-after", "gateway-408", "reset-before",
               "reset-after", "cut", "not-json")  # fmt: skip
FETCH_FAULTS = (
    "gateway-500",
    "gateway-503",
    "reset-before",
    "reset-after",
    "cut",
    "not-json",
    "away",
    "private",
    "no-video",
)
_FETCHES: dict[str, str | Fault] = {
    "away": Fault("redirect", location="http://foreign.invalid/clip.mp4"),
    "private": Fault("redirect", location="http://169.254.169.254/latest/meta-data/"),
    "no-video": Fault("answer", body=b"this is no video", media_type="video/mp4"),
}


@dataclass(slots=True)
class Outcome:
    """What came of one call.

    Attributes:
        result: of a call that gave a clip; error: of one that did not. jobs: the ledger's rows, in the order they were made.
        written: every byte that vidorch wrote to its home folder, but for the clips.
    """

    result: Result | None
    error: VidorchError | None
    jobs: list[Job]
    written: bytes = field(repr=False, default=b"")


class ProviderConformance:
    """Subclass it in a test module, with `Test` at the beginning of its name.

    Attributes:
        model: `"endpoint/model"`, an offer of the provider. catalog, providers: as for `Client`, where needed.
        asks: the call's own arguments beside the model. key: a credential of the shape that the vendor's have.
        refusals: errors of the vendor's own at the submit, by a name for the test's id, each with the type that it has to
            become; whatever stands here proves that nothing was accepted. endings: fates of accepted jobs, likewise.
        options: of the endpoint.
    """

    model: ClassVar[str] = ""
    catalog: ClassVar[Any] = None
    providers: ClassVar[Mapping[str, Provider] | None] = None
    asks: ClassVar[Mapping[str, Any]] = {"prompt": "a red ball rolling left"}
    key: ClassVar[str] = "test-key-0123456789"
    refusals: ClassVar[Mapping[str, tuple[VendorError, type[VidorchError]]]] = {}
    endings: ClassVar[Mapping[str, tuple[Fate, type[VidorchError]]]] = {}
    options: ClassVar[Mapping[str, Any]] = {}

    def serve(self, clock: Callable[[], float]) -> ProtocolServer:
        """A server of the vendor's wire that lives by `clock`, not yet serving. Its credential is `self.key`."""
        raise NotImplementedError

    # -- how a call is made ---------------------------------------------------------------------------------------------

    @pytest.fixture(autouse=True)
    def _may_send(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VIDORCH_LIVE", "1")  # it sends to the loopback alone

    def client(
        self, server: ProtocolServer, home: Path, clock: VirtualClock, *, key: str | None = None
    ) -> AsyncClient:
        """A client whose endpoint is the server."""
        patience = BRIEF if server.keeps_silent("submit") else 60.0
        endpoints = {
            name: Endpoint(
                one.name, one.provider, base_url=one.base_url, options={**one.options, **self.options}
            )
            for name, one in server.endpoints(submit_timeout=patience).items()
        }
        return AsyncClient(
            home=home, catalog=self.catalog, providers=self.providers, endpoints=endpoints, clock=clock,
            credentials=lambda scope, endpoint: self.key if key is None else key, private_hosts=["127.0.0.1"],
        )  # fmt: skip

    def call(
        self, home: Path, before: Callable[[ProtocolServer], None] = lambda server: None, *, key: str | None = None, **asks: Any
    ) -> tuple[Outcome, ProtocolServer]:  # fmt: skip
        """Make one call, after `before` has told the server what to do."""
        clock = VirtualClock()
        server = self.serve(clock.now)

        async def go() -> Outcome:
            async with self.client(server, home, clock, key=key) as client:
                result, error = None, None
                try:
                    result = await client.generate(**{**self.asks, "model": self.model, **asks})
                except VidorchError as caught:
                    error = caught
                jobs = sorted(await client.jobs(), key=lambda job: job.attempt)
            return Outcome(result, error, jobs, _written(home))

        with server:
            before(server)
            return asyncio.run(go()), server

    def _holds(self, outcome: Outcome, server: ProtocolServer) -> None:
        """What is true however it went."""
        assert len(server.jobs) <= 1, f"{len(server.jobs)} jobs were paid for"
        assert not server.leaks, f"a credential went to {server.leaks[0].path}"
        assert self.key.encode() not in outcome.written, "the key is written down"
        assert self.key not in repr(outcome.error) + str(outcome.error), "the key is in the error"
        if outcome.error is not None and server.jobs:
            assert outcome.error.charged is not False, "what was accepted is called free"

    @property
    def finds(self) -> bool:
        """Whether the vendor can search for a submit whose reply was lost."""
        from vidorch.catalog import load
        from vidorch.registry import Registry

        offer = next(offer for offer in load(self.catalog).offers if offer.name == self.model)
        return Registry(self.providers).get(offer.provider).find_mode(offer) != "none"

    def _has(self, verb: str) -> bool:
        """Whether the provider has an optional call."""
        from vidorch.catalog import load
        from vidorch.registry import Registry

        offer = next(offer for offer in load(self.catalog).offers if offer.name == self.model)
        return getattr(type(Registry(self.providers).get(offer.provider)), verb) is not getattr(
            Provider, verb
        )

    # -- the tests --------------------------------------------------------------------------------------------------------

    def test_a_clip_is_made(self, tmp_path: Path) -> None:
        """One call, one job, one clip, and its cost."""
        outcome, server = self.call(tmp_path)
        assert outcome.error is None, outcome.error
        assert outcome.result is not None
        assert outcome.result.clip.path is not None
        assert outcome.result.clip.path.exists()
        assert len(server.jobs) == 1
        assert outcome.jobs[0].cost == outcome.result.cost
        self._holds(outcome, server)

    @pytest.mark.parametrize("fault", SUBMIT_FAULTS)
    def test_a_submit_that_goes_wrong_is_paid_at_most_once(self, tmp_path: Path, fault: str) -> None:
        """Sent once; found again where the vendor can search; else told as unknown, with its reservation held."""
        outcome, server = self.call(tmp_path, lambda server: server.fail("submit", fault))
        self._holds(outcome, server)
        taken = FAULTS[fault].works or (fault.startswith("error-429") and outcome.error is None)
        if not taken:
            assert isinstance(outcome.error, VidorchError) or server.jobs
        elif server.jobs and (self.finds or fault.startswith("error-")):
            assert outcome.error is None, outcome.error
        elif server.jobs:
            assert isinstance(outcome.error, SubmissionUnknown)
            assert outcome.jobs[-1].state == "unknown"
            assert outcome.error.charged is None

    @pytest.mark.parametrize("fault", LOOK_FAULTS)
    def test_a_look_that_is_lost_is_made_again(self, tmp_path: Path, fault: str) -> None:
        """A poll that fails says nothing about the job."""
        outcome, server = self.call(tmp_path, lambda server: server.fail("poll", fault))
        assert outcome.error is None, outcome.error
        self._holds(outcome, server)

    @pytest.mark.parametrize("fault", FETCH_FAULTS)
    def test_a_download_that_fails_is_made_again(self, tmp_path: Path, fault: str) -> None:
        """No credential goes along, no private address is asked, and what is no video is not taken for one."""
        where = "result" if self.serve(lambda: 0.0).fetches_from_itself else "download"
        outcome, server = self.call(tmp_path, lambda server: server.fail(where, _FETCHES.get(fault, fault)))
        assert outcome.error is None, outcome.error
        self._holds(outcome, server)

    def test_progress_may_go_backwards(self, tmp_path: Path) -> None:
        """What is shown only grows, and the clip comes."""
        outcome, server = self.call(
            tmp_path, lambda server: server.next(looks=4, progress=(0.5, 0.2, 0.9, 0.1))
        )
        assert outcome.error is None, outcome.error
        self._holds(outcome, server)

    def test_a_wrong_key_is_said(self, tmp_path: Path) -> None:
        """Nothing is sent twice with it, and nothing is paid."""
        outcome, server = self.call(tmp_path, key="another-key-9876543210")
        assert isinstance(outcome.error, MissingCredentials), outcome.error
        assert outcome.error.charged is False
        assert not server.jobs

    def test_the_vendors_refusals_have_their_types(self, tmp_path: Path) -> None:
        """Each of the vendor's own errors that proves a rejection becomes the right one of ours, and nothing was paid."""
        for name, (error, kind) in self.refusals.items():
            outcome, server = self.call(tmp_path / name, _meets(Fate(rejected=error)))
            assert isinstance(outcome.error, kind), f"{name}: {outcome.error!r}"
            assert outcome.error.charged is False, name
            assert not server.jobs, name
            self._holds(outcome, server)

    def test_the_vendors_failures_have_their_types(self, tmp_path: Path) -> None:
        """A job that was accepted and ended without a clip says why, in the vendor's words, and was not made again."""
        for name, (fate, kind) in self.endings.items():
            outcome, server = self.call(tmp_path / name, _meets(fate))

            assert isinstance(outcome.error, kind), f"{name}: {outcome.error!r}"
            assert len(server.jobs) == 1, name
            if fate.message:
                assert fate.message in str(outcome.error), name

    def test_another_process_finishes_it(self, tmp_path: Path) -> None:
        """Submitted here, let go of, and finished by a client that knows nothing but the ledger."""
        clock = VirtualClock()
        server = self.serve(clock.now)

        async def go() -> Result:
            async with self.client(server, tmp_path, clock) as client:
                run: AsyncRun = await client.submit(**{**self.asks, "model": self.model, "detach": True})
            async with self.client(server, tmp_path, clock) as other:
                return await (await other.run(run.id)).wait()

        with server:
            result = asyncio.run(go())
        assert result.clip.path is not None
        assert len(server.jobs) == 1

    def test_it_can_be_checked_at_no_cost(self, tmp_path: Path) -> None:
        """`client.check` takes the right key and not the wrong one, and buys nothing."""
        endpoint = self.model.partition("/")[0]
        clock = VirtualClock()
        server = self.serve(clock.now)

        async def ask(key: str) -> bool:
            async with self.client(server, tmp_path, clock, key=key) as client:
                return (await client.check(endpoint)).ok

        with server:
            assert asyncio.run(ask(self.key))
            assert not asyncio.run(ask("another-key-9876543210"))
        assert not server.jobs

    def test_the_vendor_s_own_list_is_told(self, tmp_path: Path) -> None:
        """Where it has one: our job beside ours, and what another ledger paid for beside none; else it says that it has none."""

        async def look(client: AsyncClient, server: ProtocolServer, clock: VirtualClock) -> None:
            endpoint = self.model.partition("/")[0]
            if not self._has("list_jobs"):
                with pytest.raises(Unsupported, match="does not list its jobs"):
                    await client.remote(endpoint)
                return
            ours = (await client.generate(**{**self.asks, "model": self.model})).clip.job_id
            async with self.client(server, tmp_path / "other", clock) as other:
                await other.generate(**{**self.asks, "model": self.model})
            told = {one.id: one for one in await client.remote(endpoint)}
            assert [ours, None] == [told[job.id].job_id for job in server.jobs]
            assert {"done"} == {one.state for one in told.values()}
            assert len(await client.remote(endpoint, limit=1)) == 1

        self._with_client(tmp_path, look)

    def test_a_job_is_deleted_at_the_vendor_when_it_has_ended(self, tmp_path: Path) -> None:
        """Not while it is open; once; harmless after that; the clip here stays. Else it says that it cannot."""

        async def look(client: AsyncClient, server: ProtocolServer, clock: VirtualClock) -> None:
            run = await client.submit(**{**self.asks, "model": self.model})
            (job,) = await client.jobs()
            with pytest.raises(InvalidRequest, match="deleting is not cancelling"):
                await client.delete_remote(job.id)
            with clock.wanted():
                clip = (await run.wait()).clip
            if not self._has("delete_job"):
                with pytest.raises(Unsupported, match="cannot delete a job"):
                    await client.delete_remote(job.id)
                return
            assert [await client.delete_remote(job.id), await client.delete_remote(job.id)] == [True, False]
            assert clip.path is not None
            assert clip.path.exists()
            events = [event for event in await run.events() if event.kind == "deleted"]
            assert [event.data["was_there"] for event in events] == [True, False]

        self._with_client(tmp_path, look, VirtualClock(free=False))  # it does not end meanwhile

    def _with_client(
        self,
        home: Path,
        look: Callable[[AsyncClient, ProtocolServer, VirtualClock], Awaitable[None]],
        clock: VirtualClock | None = None,
    ) -> None:
        clock = clock or VirtualClock()
        server = self.serve(clock.now)

        async def go() -> None:
            async with self.client(server, home, clock) as client:
                await look(client, server, clock)

        with server:
            asyncio.run(go())


def _meets(fate: Fate) -> Callable[[ProtocolServer], None]:
    return lambda server: server.next(fate)


def _written(home: Path) -> bytes:
    """Everything under the home folder that is no clip."""
    found = b""
    for folder, _, names in os.walk(home):
        for name in names:
            path = Path(folder, name)
            if path.suffix not in (".mp4", ".png", ".jpg"):
                found += path.read_bytes()
    return found
