"""`/v1/videos` with a clip as input: by the id of the job that made it, or as a file."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vidorch import Client
from vidorch.contract import Endpoint
from vidorch.errors import Unsupported
from vidorch.result import Clip
from vidorch.testing import VirtualClock
from vidorch.testing.clips import clip_bytes
from vidorch.testing.servers import ProtocolServer, serve

OFFER: dict[str, Any] = {
    "model": "sora-like", "endpoint": "studio", "provider": "openai", "title": "Sora in the studio", "vendor_model": "sora-2",
    "as_of": dt.date(2026, 11, 26), "variables": ["STUDIO_KEY"], "find": "list", "path": "/v1/videos", "min_poll": 1,
    "price": {"source": "our server", "row": [{"per_second": "0.10"}]},
    "capabilities": {"durations": {"choices": [4, 8, 12]}, "resolutions": ["720p"], "aspect_ratios": ["16:9"], "audio": "on"},
    "fields": {"prompt": {"to": "prompt"}, "duration": {"to": "seconds"}, "size": {"to": "size", "form": "{}x{}"}},
    "fixed": {"model": "sora-2"},
    "routes": {"text-to-video": {}},
}  # fmt: skip
LIKE_THE_SOURCE = {"durations": {}, "resolutions": [], "aspect_ratios": []}
REMIX = {"path": "/v1/videos/{video_id}/remix", "capabilities": LIKE_THE_SOURCE, "fixed": {"model": ""},
         "fields": {"video": {"to": "video_id", "type": "job"}}}  # fmt: skip
EDIT = {"path": "/v1/videos/edits", "capabilities": LIKE_THE_SOURCE, "fixed": {"model": ""},
        "fields": {"video": {"to": "video", "type": "job_or_video"}}}  # fmt: skip
EXTEND = {"path": "/v1/videos/extensions", "capabilities": {**LIKE_THE_SOURCE, "durations": {"choices": [4, 8, 12, 16, 20]}},
          "fixed": {"model": ""}, "fields": {"video": {"to": "video", "type": "job_or_video"}}}  # fmt: skip


def offer(**changes: Any) -> dict[str, Any]:
    made = copy.deepcopy(OFFER)
    routes = changes.pop("routes", {})
    return {**made, **changes, "routes": {**made["routes"], **routes}}


LAYER = {
    "family": "sora",
    "offer": [
        offer(routes={"edit": REMIX, "extend": EXTEND}),
        offer(model="editor", routes={"edit": EDIT}),
        offer(endpoint="elsewhere", variables=["ELSEWHERE_KEY"]),
    ],
}


@pytest.fixture(autouse=True)
def _may_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDORCH_LIVE", "1")  # it sends to the loopback alone


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def server(clock: VirtualClock) -> Iterator[ProtocolServer]:
    with serve("openai", clock=clock.now, key="studio-key") as server:
        yield server


Make = Callable[..., Client]


@pytest.fixture
def make(server: ProtocolServer, clock: VirtualClock, tmp_path: Path) -> Iterator[Make]:
    opened: list[Client] = []

    def make(**options: Any) -> Client:
        where = server.url
        endpoints = {
            name: Endpoint(name, "openai", base_url=where, options={"submit_timeout": 60.0, **options})
            for name in ("studio", "elsewhere")
        }
        client = Client(home=tmp_path / "home", catalog=LAYER, endpoints=endpoints, clock=clock,
                        credentials=lambda scope, endpoint: "studio-key")  # fmt: skip
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.close()


def made(client: Client, model: str = "studio/sora-like", **more: Any) -> Clip:
    return client.generate("a lighthouse", model=model, duration=4, **more).clip


class TestRemix:
    """`POST /v1/videos/{id}/remix`, which takes no file."""

    def test_names_the_earlier_job_and_sends_the_words_alone(
        self, make: Make, server: ProtocolServer
    ) -> None:
        """The clip of a result is enough: its job's id at the vendor comes from the ledger."""
        client = make()
        clip = made(client)
        client.generate("the same at night", model="studio/sora-like", task="edit", video=clip)
        first, second = server.jobs
        assert (first.id, "the same at night") == (
            second.more["remixed_from_video_id"],
            second.body["prompt"],
        )

    def test_costs_by_the_length_of_its_source(self, make: Make) -> None:
        """Four seconds at 0.10 a second, said before and booked after."""
        client = make()
        clip = made(client)
        asks: dict[str, Any] = {"model": "studio/sora-like", "task": "edit", "video": clip}
        estimate = client.estimate("the same at night", **asks)
        result = client.generate("the same at night", **asks)
        assert estimate.cost is not None
        assert ("0.40", estimate.cost.expected) == (f"{result.cost:.2f}", result.cost)

    @pytest.mark.parametrize("given", ["file", "elsewhere", "other", "bytes"])
    def test_of_anything_else_is_left_out_before_anything_is_spent(
        self, make: Make, server: ProtocolServer, given: str
    ) -> None:
        """A file and a clip of another endpoint have no id there; one of another model has another price."""
        client = make()
        clip = made(
            client,
            {"elsewhere": "elsewhere/sora-like", "other": "studio/editor"}.get(given, "studio/sora-like"),
        )
        video: Any = {"file": clip.path, "bytes": clip_bytes((64, 36), 4)}.get(given, clip)
        with pytest.raises(
            Unsupported, match="takes the id of a clip that was made by studio/sora-like, and no file"
        ):
            client.generate("at night", model="studio/sora-like", task="edit", video=video)
        assert len(server.jobs) == 1

    def test_of_a_clip_that_this_ledger_does_not_know_says_so(
        self, make: Make, server: ProtocolServer
    ) -> None:
        """Its id can be had from nowhere, and nothing is sent or written down."""
        client = make()
        clip = dataclasses.replace(made(client), job_id="job_of_another_ledger")
        with pytest.raises(Unsupported, match="this ledger has no id for job_of_another_ledger"):
            client.generate("at night", model="studio/sora-like", task="edit", video=clip)
        assert (1, 1) == (len(server.jobs), len(client.jobs()))

    def test_of_a_clip_of_another_scope_says_so(self, make: Make, server: ProtocolServer) -> None:
        """Another tenant's account has it, and not this one."""
        client = make()
        clip = made(client, scope="tenant-a")
        with pytest.raises(Unsupported, match="credential of scope 'tenant-a'"):
            client.generate("at night", model="studio/sora-like", task="edit", video=clip)
        assert len(server.jobs) == 1

    def test_of_a_clip_that_was_cut_here_says_so(self, make: Make, server: ProtocolServer) -> None:
        """The vendor would work on the longer one, and bill that."""
        client = make()
        clip = client.generate("a lighthouse", model="studio/sora-like", duration=5, fit="exact").clip
        with pytest.raises(Unsupported, match="was cut here"):
            client.generate("at night", model="studio/sora-like", task="edit", video=clip)
        assert len(server.jobs) == 1

    def test_of_a_clip_whose_file_was_changed_says_so(self, make: Make, server: ProtocolServer) -> None:
        """The vendor would work on another clip than the one that was given."""
        client = make()
        clip = made(client)
        assert clip.path is not None
        clip.path.write_bytes(clip_bytes((64, 36), 4))
        with pytest.raises(Unsupported, match="not the clip that job_.* made any more"):
            client.generate("at night", model="studio/sora-like", task="edit", video=clip)
        assert len(server.jobs) == 1

    def test_whose_source_was_deleted_there_is_rejected_and_free(
        self, make: Make, server: ProtocolServer
    ) -> None:
        """The vendor's 404 proves that nothing was taken."""
        client = make()
        clip = made(client)
        server._gone.add(server.jobs[0].id)  # type: ignore[attr-defined]
        with pytest.raises(Unsupported) as caught:
            client.generate("at night", model="studio/sora-like", task="edit", video=clip)
        assert (False, 1) == (caught.value.charged, len(server.jobs))

    def test_whose_reply_is_lost_is_found_by_its_source(self, make: Make, server: ProtocolServer) -> None:
        """A remix of another clip by the same words is not taken for it, and none is paid twice."""
        client = make()
        one, other = made(client), made(client)
        asks: dict[str, Any] = {"model": "studio/sora-like", "task": "edit"}
        server.fail("remix", "reset-after", times=2)
        results = [client.generate("at night", video=clip, **asks) for clip in (one, other)]
        jobs = [client.job(result.clip.job_id).remote_id for result in results]
        assert [job.id for job in server.jobs[2:]] == jobs

    def test_is_not_taken_for_a_clip_from_words_whose_reply_is_lost(
        self, make: Make, server: ProtocolServer
    ) -> None:
        """Equal words, length and size: only one of the two was made from a clip."""
        client = make()
        made(client)
        remix = f"{server.url}/v1/videos/{server.jobs[0].id}/remix"
        headers = {"Authorization": "Bearer studio-key", "Content-Type": "application/json"}
        asked = urllib.request.Request(remix, json.dumps({"prompt": "a lighthouse"}).encode(), headers)
        urllib.request.urlopen(asked).close()
        server.fail("submit", "reset-after")
        clip = made(client)
        assert (3, server.jobs[2].id) == (len(server.jobs), client.job(clip.job_id).remote_id)


class TestEdits:
    """`POST /v1/videos/edits`, which takes the id of a job or a file."""

    @pytest.mark.parametrize("body", ["form", "json"])
    def test_of_a_clip_made_there_go_by_its_id(self, make: Make, server: ProtocolServer, body: str) -> None:
        """In JSON, whatever else the endpoint is sent; nothing goes up."""
        client = make(**({"body": "json"} if body == "json" else {}))
        clip = made(client, "studio/editor")
        client.generate("at night", model="studio/editor", task="edit", video=clip)
        assert ({"id": server.jobs[0].id}, []) == (server.jobs[1].body["video"], server.jobs[1].files)

    @pytest.mark.parametrize("given", ["path", "elsewhere", "other"])
    def test_of_anything_else_go_up_as_a_file(self, make: Make, server: ProtocolServer, given: str) -> None:
        """The bytes arrive as they lie here."""
        client = make()
        clip = made(client, "studio/sora-like" if given == "other" else "elsewhere/sora-like")
        assert clip.path is not None
        client.generate(
            "at night", model="studio/editor", task="edit", video=clip.path if given == "path" else clip
        )
        assert [clip.path.read_bytes()] == [part.value for part in server.jobs[1].files]


class TestExtensions:
    """`POST /v1/videos/extensions`."""

    def test_say_how_long_and_name_the_job(self, make: Make, server: ProtocolServer) -> None:
        """Seconds are those asked for, the source is the earlier job."""
        client = make()
        clip = made(client)
        client.generate("it sails on", model="studio/sora-like", task="extend", video=clip, duration=8)
        body = server.jobs[1].body
        assert ("8", {"id": server.jobs[0].id}) == (body["seconds"], body["video"])

    def test_give_the_whole(self, make: Make) -> None:
        """What was there and what was added, of which only the latter was asked for and billed."""
        client = make()
        result = client.generate(
            "it sails on", model="studio/sora-like", task="extend", video=made(client), duration=8
        )
        assert (12.0, "0.80") == (round(result.clip.duration, 1), f"{result.cost:.2f}")

    def test_whose_reply_is_lost_are_found(self, make: Make, server: ProtocolServer) -> None:
        """Although the list tells the seconds of the whole."""
        client = make()
        clip = made(client)
        server.fail("extend", "reset-after")
        result = client.generate(
            "it sails on", model="studio/sora-like", task="extend", video=clip, duration=8
        )
        assert (2, server.jobs[1].id) == (len(server.jobs), client.job(result.clip.job_id).remote_id)

    def test_from_another_process_find_the_job_too(
        self, make: Make, server: ProtocolServer, tmp_path: Path
    ) -> None:
        """The clip of a run that a new client looks up is as good as the one that was just made."""
        first = make()
        run_id = first.generate("a lighthouse", model="studio/sora-like", duration=4).run_id
        first.close()
        second = make()
        second.generate(
            "it sails on", model="studio/sora-like", task="extend", video=second.run(run_id).wait().clip, duration=4
        )  # fmt: skip
        assert server.jobs[0].id == server.jobs[1].body["video"]["id"]
