"""`client.remote`, `client.delete_remote`, `vidorch jobs remote` and `vidorch jobs delete`, over real sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.cli.conftest import command as command
from vidorch import Client
from vidorch.errors import InvalidRequest, ProviderFailed, SubmissionUnknown, TimedOut, Unsupported
from vidorch.result import Clip
from vidorch.testing import VirtualClock
from vidorch.testing.servers import Fate, ProtocolServer, serve

MODELS = {"replicate": "replicate/kling-3.0-standard", "runway": "runway/gen4.5"}
KEYS = {"replicate": "REPLICATE_API_TOKEN", "runway": "RUNWAYML_API_SECRET"}
Make = Callable[..., Client]


@pytest.fixture(params=["replicate"])
def server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, clock: VirtualClock
) -> Iterator[ProtocolServer]:
    """The vendor, as the environment names it."""
    name = request.param
    with serve(name, clock=clock.now, key="test-key-0123456789") as server:
        monkeypatch.setenv(f"VIDORCH_{name.upper()}_BASE_URL", server.endpoints()[name].base_url or "")
        monkeypatch.setenv(KEYS[name], "test-key-0123456789")
        monkeypatch.setenv("VIDORCH_LIVE", "1")  # it sends to the loopback alone
        yield server


runway = pytest.mark.parametrize("server", ["runway"], indirect=True)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def make(home: Path, clock: VirtualClock) -> Iterator[Make]:
    opened: list[Client] = []

    def make(folder: Path = home) -> Client:
        opened.append(Client(home=folder, clock=clock, private_hosts=["127.0.0.1"]))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


def bought(client: Client, server: ProtocolServer, prompt: str = "a red ball") -> Clip:
    return client.generate(prompt, model=MODELS[server.provider], duration=5).clip


class TestRemote:
    def test_tells_each_job_as_the_vendor_has_it(self, make: Make, server: ProtocolServer) -> None:
        """Its id, state, time, model and words; ours beside it."""
        client = make()
        clip = bought(client, server)
        (job,) = client.remote("replicate")
        told = (job.id, job.state, job.prompt, job.job_id, job.created_at)
        assert (server.jobs[0].id, "done", "a red ball", clip.job_id, server.jobs[0].created) == told

    def test_does_not_know_what_another_ledger_paid_for(
        self, make: Make, server: ProtocolServer, tmp_path: Path
    ) -> None:
        """The newest first; `job_id` is None there."""
        client = make()
        clip = bought(client, server)
        bought(make(tmp_path / "other"), server)
        assert [None, clip.job_id] == [job.job_id for job in client.remote("replicate")]

    def test_reads_page_after_page_up_to_a_limit(self, make: Make, server: ProtocolServer) -> None:
        """Here a page holds two."""
        server.page = 2  # type: ignore[attr-defined]
        client = make()
        for number in range(4):
            bought(client, server, f"ball {number}")
        assert ["ball 3", "ball 2", "ball 1"] == [job.prompt for job in client.remote("replicate", limit=3)]

    @pytest.mark.parametrize("limit", [0, 2_001, True, "5"])
    def test_of_a_limit_that_cannot_be_says_so(self, make: Make, limit: Any) -> None:
        """1 to 2,000."""
        with pytest.raises(InvalidRequest, match=r"Allowed is 1 to 2,000"):
            make().remote("replicate", limit=limit)

    def test_of_a_vendor_without_a_list_names_those_that_have_one(self, make: Make) -> None:
        """And asks nobody."""
        with pytest.raises(Unsupported, match="runway does not list its jobs") as caught:
            make().remote("runway")
        assert "These do: openai, replicate." == caught.value.hint

    def test_says_no_key_in_an_error(self, make: Make, server: ProtocolServer) -> None:
        """A vendor may say it back."""
        server.fail("find", "error-500", times=10)
        with pytest.raises(ProviderFailed) as caught:
            make().remote("replicate")
        assert (False, False) == (caught.value.charged, "test-key" in str(caught.value))


class TestDeleteRemote:
    @runway
    def test_removes_the_vendor_s_copy_and_keeps_the_clip(self, make: Make, server: ProtocolServer) -> None:
        """The second time there is nothing to remove, and that is no error."""
        client = make()
        clip = bought(client, server)
        assert clip.path is not None
        assert [True, False, True] == [
            client.delete_remote(clip.job_id), client.delete_remote(clip.job_id), clip.path.is_file()
        ]  # fmt: skip

    @runway
    def test_is_written_down(self, make: Make, server: ProtocolServer) -> None:
        """With the vendor's id, and whether it was there."""
        client = make()
        clip = bought(client, server)
        client.delete_remote(clip.job_id)
        assert [{"remote_id": server.jobs[0].id, "was_there": True}] == [
            dict(event.data) for event in client.run(clip.run_id).events() if event.kind == "deleted"
        ]

    @runway
    def test_asks_nobody_while_the_job_is_open(self, make: Make, server: ProtocolServer) -> None:
        """Deleting is not cancelling; the hint says what is."""
        client = make()
        run = client.submit("a red ball", model="runway/gen4.5", duration=5)
        (job,) = run.jobs
        with pytest.raises(InvalidRequest, match="deleting is not cancelling") as caught:
            client.delete_remote(job.id)
        assert (0, f"To end it: vidorch jobs cancel {job.id}") == (server.count("cancel"), caught.value.hint)

    @runway
    def test_deletes_nothing_that_is_still_at_work_there(self, make: Make, server: ProtocolServer) -> None:
        """At Runway the same call would cancel it, and be charged."""
        client = make()
        clip = bought(client, server)
        server.jobs[0].state, server.jobs[0].looked = "running", 0
        with pytest.raises(InvalidRequest, match="is still at work on"):
            client.delete_remote(clip.job_id)
        assert 0 == server.count("cancel")

    @runway
    def test_leaves_a_job_alone_that_is_lost(
        self, make: Make, server: ProtocolServer, clock: VirtualClock
    ) -> None:
        """What the vendor has of it may be the only copy of what was paid for; once a person has closed it, it may go."""
        server.next(looks=1_000_000)
        client = make()
        run = client.submit("a red ball", model="runway/gen4.5", duration=5)
        with pytest.raises(TimedOut):
            run.wait()
        clock.advance(40 * 86_400)
        with pytest.raises(ProviderFailed, match="is booked at"):
            run.wait()
        (job,) = run.jobs
        with pytest.raises(
            InvalidRequest, match="it is lost, and what the vendor has of it may be the only copy"
        ):
            client.delete_remote(job.id)
        client.settle(job.id, "0.25")
        server.end(server.jobs[0], "done")
        with pytest.raises(InvalidRequest, match="Nothing of the job .* was ever brought here"):
            client.delete_remote(job.id)
        assert client.delete_remote(job.id, only_copy=True)

    def test_of_a_job_that_nobody_knows_says_so(self, make: Make, server: ProtocolServer) -> None:
        """There is none of that id here."""
        with pytest.raises(InvalidRequest, match="There is no job 'job_x' in this ledger"):
            make().delete_remote("job_x")

    def test_of_a_vendor_that_cannot_names_those_that_can(self, make: Make, server: ProtocolServer) -> None:
        """And asks nobody."""
        client = make()
        clip = bought(client, server)
        with pytest.raises(Unsupported, match="replicate cannot delete a job") as caught:
            client.delete_remote(clip.job_id)
        assert "These do: gemini, openai, runway." == caught.value.hint


class TestJobsRemote:
    def test_is_a_table_for_people(
        self, make: Make, server: ProtocolServer, command: Command, tmp_path: Path
    ) -> None:
        """What this ledger knows has its job; of the other it says what that means."""
        clip = bought(make(), server)
        bought(make(tmp_path / "other"), server, "an owl")
        said = command("jobs", "remote", "replicate")
        owl, ball = (line.split() for line in said.lines if "kwaivgi" in line)
        assert (0, "-", clip.job_id) == (said.code, owl[-3], ball[-4])
        assert "this ledger does not know it" in said.err

    def test_is_one_document(self, make: Make, server: ProtocolServer, command: Command) -> None:
        """With `--json`: a list of what `RemoteJob` has."""
        clip = bought(make(), server)
        (job,) = command("jobs", "remote", "replicate", "--json").document
        assert (server.jobs[0].id, clip.job_id, "done") == (job["id"], job["job_id"], job["state"])

    def test_names_the_job_that_one_of_them_may_be(
        self, make: Make, server: ProtocolServer, command: Command
    ) -> None:
        """A submit whose reply was lost, and which could not be told from another: `jobs adopt` closes it."""
        client = make()
        server.fail("find", "error-500", times=10_000)
        server.fail("submit", "reset-after")
        with pytest.raises(SubmissionUnknown):
            bought(client, server)
        server.heal()
        (job,) = client.jobs(state="unknown")
        assert f"vidorch jobs adopt {job.id} ID" in command("jobs", "remote", "replicate").err

    def test_of_nothing(self, server: ProtocolServer, command: Command) -> None:
        """One line."""
        assert ["replicate has no jobs of this account."] == command("jobs", "remote", "replicate").lines

    def test_of_a_vendor_without_a_list(self, command: Command) -> None:
        """An error that names those that have one."""
        said = command("jobs", "remote", "runway", "--json")
        assert ("Unsupported", "These do: openai, replicate.") == (
            said.document["error"]["type"],
            said.document["error"]["hint"],
        )


@runway
class TestJobsDelete:
    def test_says_what_is_left_and_deletes(
        self, make: Make, server: ProtocolServer, command: Command
    ) -> None:
        """The clip here stays, and nothing is refunded."""
        clip = bought(make(), server)
        said = command("jobs", "delete", clip.job_id, "--yes")
        assert (0, True, True) == (
            said.code,
            f"Its clip stays at {clip.path}" in said.err,
            "is deleted." in said.err,
        )

    def test_warns_when_the_clip_is_not_here_any_more(
        self, make: Make, server: ProtocolServer, command: Command
    ) -> None:
        """The vendor's copy may be the last one."""
        clip = bought(make(), server)
        assert clip.path is not None
        clip.path.unlink()
        assert "the vendor's copy may be the last" in command("jobs", "delete", clip.job_id, "--yes").err

    def test_asks_first(self, make: Make, server: ProtocolServer, command: Command) -> None:
        """Off a terminal that means: not without --yes."""
        clip = bought(make(), server)
        said = command("jobs", "delete", clip.job_id)
        assert (3, 0) == (said.code, server.count("cancel"))

    def test_is_one_document(self, make: Make, server: ProtocolServer, command: Command) -> None:
        """Which says whether it was there."""
        clip = bought(make(), server)
        found = [
            command("jobs", "delete", clip.job_id, "--yes", "--json").document["deleted"] for _ in range(2)
        ]
        assert [True, False] == found

    def test_is_in_the_history(self, make: Make, server: ProtocolServer, command: Command) -> None:
        """`jobs show` tells it."""
        clip = bought(make(), server)
        command("jobs", "delete", clip.job_id, "--yes")
        assert f"deleted at the vendor: {server.jobs[0].id}" in command("jobs", "show", clip.job_id).out


class TestVideoByItsId:
    """`--video run_...` or `job_...`: a clip of the ledger, which its vendor may know by an id."""

    LAYER = """
family = "sora"
[[offer]]
model = "sora-like"
endpoint = "studio"
provider = "openai"
title = "Sora in the studio"
as_of = 2026-11-26
variables = ["STUDIO_KEY"]
find = "list"
path = "/v1/videos"
min_poll = 0.01
price = { source = "our server", row = [{ per_second = 0.10 }] }
capabilities = { durations = { choices = [4] }, resolutions = ["720p"], aspect_ratios = ["16:9"], audio = "on" }
fields = { prompt = { to = "prompt" }, duration = { to = "seconds" }, size = { to = "size", form = "{}x{}" } }
[offer.routes.text-to-video]
fixed = { model = "sora-2" }
[offer.routes.edit]
path = "/v1/videos/{video_id}/remix"
capabilities = { durations = {}, resolutions = [], aspect_ratios = [] }
fields.video = { to = "video_id", type = "job" }
"""

    @pytest.fixture
    def studio(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProtocolServer]:
        file = tmp_path / "studio.toml"
        file.write_text(self.LAYER, "utf-8")
        with serve("openai", key="test-key-0123456789") as server:
            monkeypatch.setenv("VIDORCH_CATALOG", str(file))
            monkeypatch.setenv("VIDORCH_STUDIO_BASE_URL", server.url)
            monkeypatch.setenv("STUDIO_KEY", "test-key-0123456789")
            monkeypatch.setenv("VIDORCH_LIVE", "1")  # it sends to the loopback alone
            yield server

    @pytest.fixture
    def first(self, studio: ProtocolServer, command: Command) -> dict[str, Any]:
        """A clip of the studio."""
        studio.default = Fate(looks=0)
        words = ("generate", "a lighthouse", "-m", "studio/sora-like", "--duration", "4", "--yes", "--json")
        clip: dict[str, Any] = command(*words).document["clip"]
        return clip

    @pytest.mark.parametrize("kind", ["run_id", "job_id"])
    def test_is_edited_there(
        self, studio: ProtocolServer, first: dict[str, Any], command: Command, kind: str
    ) -> None:
        """The vendor is told the id of the earlier job."""
        words = ("-m", "studio/sora-like", "--task", "edit", "--video", first[kind], "--yes")
        said = command("generate", "the same at night", *words)
        assert (0, studio.jobs[0].id) == (said.code, studio.jobs[1].more["remixed_from_video_id"]), said.err

    def test_is_estimated_too(self, first: dict[str, Any], command: Command) -> None:
        """By its length."""
        words = ("-m", "studio/sora-like", "--task", "edit", "--video", first["run_id"], "--json")
        assert "0.40" == command("estimate", "the same at night", *words).document["cost"]["expected"]

    def test_of_a_run_that_is_not_here_says_so(self, studio: ProtocolServer, command: Command) -> None:
        """And nothing is sent."""
        words = ("-m", "studio/sora-like", "--task", "edit", "--video", "run_of0another0ledger", "--yes")
        said = command("generate", "the same at night", *words)
        assert (2, []) == (said.code, studio.jobs)
        assert "There is no run or job" in said.err
