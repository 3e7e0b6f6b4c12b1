"""What is asked of every vendor whose inputs go up to its own storage and whose webhooks are signed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from vidorch.client.aio import AsyncClient
from vidorch.errors import InvalidRequest
from vidorch.testing import ProviderConformance, VirtualClock
from vidorch.testing.clips import clip_bytes, still_bytes
from vidorch.testing.servers import ProtocolServer
from vidorch.testing.servers.base import RemoteJob

__all__ = ["HostedConformance"]

URL = "https://example.com/hooks"
Signed = tuple[dict[str, str], bytes]


class HostedConformance(ProviderConformance):
    """The conformance suite, and then uploads and webhooks.

    Attributes:
        image_model: takes an image, in the field `image_field`. video_model: edits a video, in the field `video_field`.
        keys_op: the server's name for a look at the keys of its webhooks.
    """

    image_model: ClassVar[str]
    image_field: ClassVar[str]
    video_model: ClassVar[str]
    video_field: ClassVar[str]
    keys_op: ClassVar[str]

    def sign(self, server: ProtocolServer, job: RemoteJob, *, at: float | None = None) -> Signed:
        """Headers and body of the delivery that says that the job is over."""
        raise NotImplementedError

    def change_key(self, server: ProtocolServer) -> None:
        """From now on webhooks are signed with another key."""
        raise NotImplementedError

    def uploaded(self, server: ProtocolServer, url: str) -> bytes:
        """What lies where the job was told to look."""
        return server.uploads[url.rpartition("/")[2]].value

    @pytest.mark.parametrize("as_path", [True, False])
    def test_an_image_that_lies_here_goes_up(self, tmp_path: Path, *, as_path: bool) -> None:
        """By the vendor's own upload, before the submit names where it lies."""
        picture, path = still_bytes((64, 36)), tmp_path / "avatar.png"
        path.write_bytes(picture)
        outcome, server = self.call(
            tmp_path / "home", model=self.image_model, image=path if as_path else picture
        )
        assert outcome.error is None, outcome.error
        assert picture == self.uploaded(server, server.jobs[0].body[self.image_field])
        self._holds(outcome, server)

    def test_a_video_that_lies_here_goes_up(self, tmp_path: Path) -> None:
        """And its length is what is paid for."""
        clip, path = clip_bytes((64, 36), 5), tmp_path / "clip.mp4"
        path.write_bytes(clip)
        outcome, server = self.call(
            tmp_path / "home", model=self.video_model, task="edit", video=path, duration=None
        )
        assert outcome.error is None, outcome.error
        assert clip == self.uploaded(server, server.jobs[0].body[self.video_field])
        self._holds(outcome, server)

    def test_an_upload_that_fails_costs_nothing(self, tmp_path: Path) -> None:
        """The inputs go up before the submit."""
        outcome, server = self.call(
            tmp_path, lambda server: server.fail("upload", "error-500", times=20), model=self.image_model,
            image=still_bytes((64, 36)),
        )  # fmt: skip
        assert outcome.error is not None
        assert (outcome.error.charged, server.jobs) == (False, [])

    @pytest.mark.parametrize("other", [{"duration": 10}, {"aspect_ratio": "9:16"}, {"audio": True}])
    def test_a_job_of_other_settings_is_not_taken_for_ours(
        self, tmp_path: Path, other: dict[str, Any]
    ) -> None:
        """Somebody with the same key buys something else of the same words, while the reply to ours is lost."""
        clock = VirtualClock()
        server = self.serve(clock.now)

        async def go() -> tuple[str, str | None]:
            async with self.client(server, tmp_path / "theirs", clock) as client:
                await client.submit(**{**self.asks, "model": self.model, "detach": True, **other})
            server.fail("submit", "reset-after")
            async with self.client(server, tmp_path / "ours", clock) as client:
                await client.generate(**{**self.asks, "model": self.model})
                return server.jobs[-1].id, (await client.jobs())[0].remote_id

        with server:
            made, found = asyncio.run(go())
        assert made == found

    def test_a_webhook_ends_the_wait(self, tmp_path: Path) -> None:
        """What the vendor signed is believed, and the job is looked at in that moment: here no time passes at all."""

        async def deliver(client: AsyncClient, signed: Signed, url: str, run: Any) -> None:
            received = await client.handle_webhook(self.endpoint, *signed, url)
            assert (run.id, False) == (received.run_id, received.repeated)
            assert (await run.wait()).clip.path is not None

        self.called_back(tmp_path, deliver)

    @pytest.mark.parametrize("what", ["signature", "old", "early", "body", "unsigned"])
    def test_a_forged_webhook_is_refused(self, tmp_path: Path, what: str) -> None:
        """Another signature, a time that is not now, another body, or none of it: nobody looks at the job for it."""

        async def deliver(client: AsyncClient, signed: Signed, url: str, run: Any) -> None:
            with pytest.raises(InvalidRequest):
                await client.handle_webhook(self.endpoint, *_forged(signed, what), url)

        server = self.called_back(tmp_path, deliver, late={"old": -301.0, "early": 301.0}.get(what, 0.0))
        assert server.count("poll") == 0

    def test_a_key_that_was_changed_is_noticed(self, tmp_path: Path) -> None:
        """What does not fit the key that is kept is held against the vendor's of this moment; forgeries cause one look more."""
        clock = VirtualClock(free=False)
        server = self.serve(clock.now)

        async def go() -> int:
            async with self.client(server, tmp_path, clock) as client:
                await client.submit(**{**self.asks, "model": self.model, "webhook": URL})
                job = (await client.jobs())[0]
                remote = server.find(job.remote_id or "")
                assert remote is not None
                url = f"{URL}?token={job.token}"
                await client.handle_webhook(self.endpoint, *self.sign(server, remote), url)
                looks = server.count(self.keys_op)
                self.change_key(server)
                signed = self.sign(server, remote)
                await client.handle_webhook(self.endpoint, *signed, url)
                for _ in range(3):
                    with pytest.raises(InvalidRequest, match="signature"):
                        await client.handle_webhook(self.endpoint, *_forged(signed, "body"), url)
                return server.count(self.keys_op) - looks

        with server:
            assert 1 == asyncio.run(go())

    def called_back(
        self, home: Path, deliver: Callable[..., Awaitable[None]], *, late: float = 0.0
    ) -> ProtocolServer:
        """Submit with a webhook, and hand what the vendor sends (`late` seconds from now) to `deliver`. Time stands."""
        clock = VirtualClock(free=False)
        server = self.serve(clock.now)

        async def go() -> None:
            async with self.client(server, home, clock) as client:
                run = await client.submit(**{**self.asks, "model": self.model, "webhook": URL})
                job = (await client.jobs())[0]
                remote = server.find(job.remote_id or "")
                assert remote is not None
                url = f"{URL}?token={job.token}"
                assert remote.more["webhook"] == url
                await deliver(client, self.sign(server, remote, at=clock.now() + late), url, run)

        with server:
            asyncio.run(go())
        return server

    @property
    def endpoint(self) -> str:
        return self.model.partition("/")[0]


def _forged(signed: Signed, what: str) -> tuple[Mapping[str, str], bytes]:
    headers, body = signed
    if what == "signature":
        name = next(name for name in headers if name.lower().endswith("signature"))
        return {**headers, name: headers[name][:-8] + "deadbeef"}, body
    if what == "body":
        return headers, body.replace(b"}", b" }", 1)
    if what == "unsigned":
        return {
            name: value for name, value in headers.items() if not name.lower().endswith("signature")
        }, body
    return headers, body
