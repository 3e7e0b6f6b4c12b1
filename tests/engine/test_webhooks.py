"""Word from vendors: verified, written down once, and heard by whoever waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.engine.scripted import Scripted, paid
from vidorch import offloop
from vidorch.client.aio import AsyncClient
from vidorch.contract import Context, Delivery, Done, Output, Progress
from vidorch.errors import InvalidRequest, ProviderFailed, SubmissionUnknown
from vidorch.signatures import unproven
from vidorch.testing import VirtualClock

pytestmark = pytest.mark.databases

Make = Callable[..., AsyncClient]
URL = "https://example.com/hooks"


class Calling(Scripted):
    """Delivers what a test says; signed with a word."""

    webhooks: list[str | None]

    async def submit(self, context: Context, prepared: Any) -> Any:
        self.webhooks = [*getattr(self, "webhooks", []), context.webhook]
        return await super().submit(context, prepared)

    async def parse_webhook(
        self, context: Context, headers: Mapping[str, str], body: bytes, url: str | None = None
    ) -> Delivery:
        if headers.get("signature") != "good":
            raise unproven("its signature is not that of its content", "test")
        said = json.loads(body)
        return Delivery(said["id"], said.get("remote"), (url or "").partition("token=")[2] or None)


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    """Several wait here at once, so time stands while anything is done, and goes to whoever sleeps shortest."""
    clock = VirtualClock()
    before = offloop.watch(clock)
    yield clock
    offloop.watch(before)


@pytest.fixture
def provider() -> Calling:
    return Calling()


def delivery(remote: str | None = None, number: int = 1) -> bytes:
    return json.dumps({"id": f"delivery-{number}", "remote": remote}).encode()


GOOD = {"Signature": "good"}


class TestAWebhook:
    def test_has_a_token_of_the_job(self, client_of: Make, provider: Calling) -> None:
        """Each job's URL is its own, and nobody can guess it."""

        async def go() -> list[str | None]:
            async with client_of(paid()) as client:
                for _ in range(2):
                    await client.generate("x", model="test/basic", webhook=URL)
            return provider.webhooks

        first, second = asyncio.run(go())
        assert first is not None
        assert first.startswith(f"{URL}?token=")
        assert first != second
        assert len(first) > len(URL) + 20

    @pytest.mark.parametrize(
        "url", ["http://example.com/x", "ftp://x/y", "https://u:p@x/y", "https://x/y?token=1", 3, ""]
    )
    def test_is_an_https_url(self, client_of: Make, url: Any) -> None:
        """Anything else is said before anything is sent."""

        async def go() -> None:
            async with client_of(paid()) as client:
                await client.generate("x", model="test/basic", webhook=url)

        with pytest.raises(InvalidRequest, match="webhook"):
            asyncio.run(go())

    def test_wakes_whoever_waits(self, client_of: Make, provider: Calling, clock: VirtualClock) -> None:
        """The job is looked at in that moment, however long the next look is away."""
        provider.polls = [Done((Output(0, "x"),))]

        async def go() -> float:
            async with client_of(
                paid(latency={"expected": 500, "high": 900, "source": "x"}, min_poll=400)
            ) as client:
                run = await client.submit("x", model="test/basic", webhook=URL)
                began = clock.now()
                job = (await client.jobs())[0]
                received = await client.handle_webhook(
                    "test", GOOD, delivery(job.remote_id), f"{URL}?token={job.token}"
                )
                assert (job.id, run.id, False) == (received.job_id, received.run_id, received.repeated)
                await run.wait()
                return clock.now() - began

        assert asyncio.run(go()) < 1

    def test_is_heard_in_another_process(
        self, client_of: Make, provider: Calling, clock: VirtualClock, tmp_path: Path
    ) -> None:
        """A web server of the same ledger receives it, and the worker that waits looks within two seconds."""
        provider.polls = [Done((Output(0, "x"),))]
        offer = paid(latency={"expected": 500, "high": 900, "source": "x"}, min_poll=400)

        async def go() -> float:
            async with client_of(offer) as worker, client_of(offer) as server:
                run = await worker.submit("x", model="test/basic", webhook=URL)
                job = (await server.jobs())[0]
                began = clock.now()
                await server.handle_webhook("test", GOOD, delivery(job.remote_id), f"{URL}?token={job.token}")
                await run.wait()
                return clock.now() - began

        assert asyncio.run(go()) <= 2

    def test_is_heard_each_time_in_another_process(
        self, client_of: Make, provider: Calling, clock: VirtualClock
    ) -> None:
        """A vendor may call at every step of a job: the last call is as good as the first."""
        provider.polls = [Progress("running"), Done((Output(0, "x"),))]
        offer = paid(latency={"expected": 500, "high": 900, "source": "x"}, min_poll=400)

        async def go() -> float:
            async with client_of(offer) as worker, client_of(offer) as server:
                run = await worker.submit("x", model="test/basic", webhook=URL)
                job = (await server.jobs())[0]
                url = f"{URL}?token={job.token}"
                await server.handle_webhook("test", GOOD, delivery(job.remote_id, 1), url)
                while "poll" not in provider.calls:
                    await clock.sleep(0.5)
                began = clock.now()
                await server.handle_webhook("test", GOOD, delivery(job.remote_id, 2), url)
                await run.wait()
                return clock.now() - began

        assert asyncio.run(go()) <= 2

    def test_says_no_key_when_it_fails(
        self, client_of: Make, provider: Calling, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A vendor that was asked for its signing key may have said ours back."""

        async def fail(*_: object) -> Delivery:
            raise ProviderFailed("no such key: secret-word")

        monkeypatch.setattr(provider, "parse_webhook", fail)

        async def go() -> None:
            credentials = {"credentials": lambda scope, endpoint: "secret-word"}
            async with client_of(paid(variables=["X"]), **credentials) as client:
                await client.handle_webhook("test", GOOD, delivery())

        with pytest.raises(ProviderFailed) as caught:
            asyncio.run(go())
        assert "secret-word" not in str(caught.value)

    def test_gives_a_job_its_id_whose_reply_was_lost(self, client_of: Make, provider: Calling) -> None:
        """The vendor took it and calls: what was paid is found although nothing can be searched."""

        def lose(number: int) -> None:
            raise ConnectionResetError("lost")

        provider.on_submit = lose
        provider._left["remote-9"] = [Done((Output(0, "x"),))]

        async def go() -> str:
            async with client_of(paid(find="none")) as client:
                with pytest.raises(SubmissionUnknown):
                    await client.generate("x", model="test/basic", webhook=URL, key="k")
                job = (await client.jobs())[0]
                await client.handle_webhook("test", GOOD, delivery("remote-9"), f"{URL}?token={job.token}")
                result = await client.generate("x", model="test/basic", webhook=URL, key="k")
                assert result.clip.path is not None
                return (await client.jobs())[0].remote_id or ""

        assert "remote-9" == asyncio.run(go())

    def test_that_is_repeated_changes_nothing(self, client_of: Make, provider: Calling) -> None:
        """Vendors deliver again until they are answered."""

        async def go() -> list[bool]:
            async with client_of(paid()) as client:
                await client.generate("x", model="test/basic", webhook=URL)
                job = (await client.jobs())[0]
                told = [
                    await client.handle_webhook(
                        "test", GOOD, delivery(job.remote_id), f"{URL}?token={job.token}"
                    )
                    for _ in range(2)
                ]
                assert "settled" == (await client.jobs())[0].state
                return [one.repeated for one in told]

        assert [False, True] == asyncio.run(go())

    @pytest.mark.parametrize("scope", ["default", "another"])
    def test_of_nobodys_job_is_only_written_down(
        self, client_of: Make, provider: Calling, scope: str
    ) -> None:
        """A wrong token, or another tenant's, names no job."""

        async def go() -> Any:
            async with client_of(paid(), credentials=lambda scope, endpoint: "secret-word") as client:
                await client.generate("x", model="test/basic", webhook=URL)
                job = (await client.jobs())[0]
                token = "wrong" if scope == "default" else job.token
                return await client.handle_webhook(
                    "test", GOOD, delivery(), f"{URL}?token={token}", scope=scope
                )

        assert asyncio.run(go()).job_id is None

    def test_that_is_not_signed_is_not_believed(self, client_of: Make) -> None:
        """And nothing is written down."""

        async def go() -> None:
            async with client_of(paid()) as client:
                await client.handle_webhook("test", {}, delivery("remote-1"))

        with pytest.raises(InvalidRequest, match="not believed") as caught:
            asyncio.run(go())
        assert "signature" == caught.value.field

    def test_needs_the_raw_body(self, client_of: Make) -> None:
        """A parsed one cannot be verified."""

        async def go() -> None:
            async with client_of(paid()) as client:
                await client.handle_webhook("test", GOOD, {"id": 1})  # type: ignore[arg-type]

        with pytest.raises(InvalidRequest, match="raw bytes"):
            asyncio.run(go())


class Mute(Scripted):
    """A vendor that calls nobody."""


class TestAVendorThatCallsNobody:
    def test_is_noted(self, tmp_path: Path) -> None:
        """In the plan and in the result: the URL waits for nothing there."""

        async def go() -> tuple[tuple[str, ...], tuple[str, ...]]:
            settings = {"home": tmp_path, "clock": VirtualClock(), "providers": {"test": Mute()}}
            async with AsyncClient(catalog={"offer": [paid()]}, **settings) as client:  # type: ignore[arg-type]
                plan = await client.plan("x", model="test/basic", webhook=URL)
                return plan.entries[0].notes, (
                    await client.generate("x", model="test/basic", webhook=URL)
                ).notes

        for notes in asyncio.run(go()):
            assert ["test/basic takes no webhook: nobody calls, and its job is polled as ever"] == list(notes)

    def test_is_not_said_of_one_that_does(self, client_of: Make, provider: Calling) -> None:
        """Nor where nobody asked for it."""

        async def go() -> tuple[str, ...]:
            async with client_of() as client:
                return (await client.generate("x", model="test/basic", webhook=URL)).notes

        assert () == asyncio.run(go())

    def test_is_a_matter_of_the_route_at_kling(self) -> None:
        """Kling 4.0 takes none, and every other model of Kling's own does."""
        from vidorch.catalog import shipped
        from vidorch.registry import Registry

        kling = Registry().get("kling")
        without = {
            offer.model
            for offer in shipped().offers
            for route in offer.routes.values()
            if offer.provider == "kling" and not kling.takes_webhook(route)
        }
        assert without
        assert all("4.0" in model for model in without), without
