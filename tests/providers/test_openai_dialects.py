"""What servers of `/v1/videos` do differently, one by one, over real sockets: what is sent, what is read, what is paid."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.providers.test_openai import LAYER
from vidorch import Client
from vidorch.contract import Accepted, Context, Done, Endpoint
from vidorch.errors import InvalidRequest, ProviderFailed, SubmissionUnknown, Unsupported, VidorchError
from vidorch.result import Result
from vidorch.testing import VirtualClock
from vidorch.testing.servers import Fate, ProtocolServer, serve
from vidorch.testing.servers.faults import Fault
from vidorch_providers.openai import Openai

KEY = "studio-key-0123456789"
JSON = {"body": "json"}
Make = Callable[..., Client]


@pytest.fixture(autouse=True)
def _may_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDORCH_LIVE", "1")  # it sends to the loopback alone


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


class Studio:
    """A server of one's own in one dialect, and clients of it.

    Args:
        options: of the endpoint. text: whether the catalog's row sends seconds as a string.
    """

    def __init__(
        self, home: Path, clock: VirtualClock, options: dict[str, Any], *, text: bool, **dialect: Any
    ) -> None:
        self.server: ProtocolServer = serve("openai", clock=clock.now, key=KEY, **dialect)
        self._home, self._clock, self._options = home, clock, options
        self._layer = copy.deepcopy(LAYER)
        row = self._layer["offer"][0] | {"endpoint": "studio"}
        row["capabilities"] |= {"negative_prompt": "absent", "seed": False, "steps": None}
        row["capabilities"].pop("steps")
        row["fields"] = {name: row["fields"][name] for name in ("prompt", "duration", "size")}
        row["fields"]["duration"]["type"] = "string" if text else "integer"
        if dialect.get("dialect") == "dynamo":
            row["find"] = "none"
        if dialect.get("dialect", "openai") == "openai":
            row["fixed"] = {"model": "sora-2"}
            row["vendor_model"] = "sora-2"
        self._layer["offer"] = [row]
        self._opened: list[Client] = []

    def client(self) -> Client:
        """A client of its own on one ledger: as another process has it."""
        where = Endpoint(
            "studio", "openai", base_url=self.server.url, options={"submit_timeout": 60.0, **self._options}
        )
        self._opened.append(
            Client(home=self._home, catalog=self._layer, endpoints={"studio": where}, clock=self._clock,
                   credentials=lambda scope, endpoint: KEY)
        )  # fmt: skip
        return self._opened[-1]

    def make(self) -> Result:
        """One clip."""
        return self.client().generate("a boat", model="studio/wan-2.2", duration=4)

    def fail(self) -> VidorchError:
        """The error of a call that makes none."""
        with pytest.raises(VidorchError) as caught:
            self.make()
        return caught.value

    @property
    def body(self) -> Any:
        """What arrived."""
        return self.server.jobs[0].body

    def close(self) -> None:
        for client in self._opened:
            client.close()


Open = Callable[..., Studio]


@pytest.fixture
def studio(tmp_path: Path, clock: VirtualClock) -> Iterator[Open]:
    opened: list[Studio] = []

    def open_(options: dict[str, Any] | None = None, *, text: bool = False, **dialect: Any) -> Studio:
        made = Studio(tmp_path / "home", clock, options or {}, text=text, **dialect)
        made.server.__enter__()
        opened.append(made)
        return made

    yield open_
    for one in opened:
        one.close()
        one.server.__exit__(None, None, None)


class TestSeconds:
    """OpenAI answers 400 to an integer, SGLang 422 to a string; the row says which, and a form knows no difference."""

    @pytest.mark.parametrize(
        ("dialect", "options", "text", "arrived"),
        [
            ("openai", {}, False, "4"), ("openai", JSON, True, "4"), ("vllm", {}, False, "4"), ("sglang", {}, False, 4),
            ("sglang", {}, True, 4), ("sglang", JSON, False, 4),
        ],
    )  # fmt: skip
    def test_arrive_as_the_server_wants_them(
        self, studio: Open, dialect: str, options: dict[str, Any], text: bool, arrived: object
    ) -> None:
        """And the clip is made."""
        there = studio(options, text=text, dialect=dialect)
        there.make()
        assert arrived == there.body["seconds"]

    @pytest.mark.parametrize(("dialect", "text"), [("openai", False), ("sglang", True)])
    def test_of_the_wrong_type_in_json_cost_nothing(self, studio: Open, dialect: str, text: bool) -> None:
        """The server's own error proves that nothing was taken."""
        there = studio(JSON, text=text, dialect=dialect)
        error = there.fail()
        assert (InvalidRequest, False, []) == (type(error), error.charged, there.server.jobs)


class TestBody:
    """A multipart form unless the endpoint says JSON."""

    def test_is_a_form_that_vllm_takes(self, studio: Open) -> None:
        """It reads nothing else."""
        there = studio(dialect="vllm")
        there.make()
        assert there.server.jobs[0].headers["content-type"].startswith("multipart/form-data")

    def test_in_json_is_refused_by_vllm_at_no_cost(self, studio: Open) -> None:
        """422: the fields are missing."""
        error = studio(JSON, dialect="vllm").fail()
        assert (InvalidRequest, False) == (type(error), error.charged)

    def test_is_json_where_the_endpoint_says_so(self, studio: Open) -> None:
        """For gateways that read nothing else."""
        there = studio(JSON, dialect="sglang")
        there.make()
        assert there.server.jobs[0].headers["content-type"] == "application/json"

    def test_as_a_form_is_refused_by_such_a_gateway_with_what_to_do(self, studio: Open) -> None:
        """415 proves that nothing was read."""
        there = studio(dialect="sglang")
        there.server.fail("submit", Fault("error", 415, "unsupported_media_type"))
        error = there.fail()
        assert (Unsupported, False) == (type(error), error.charged)
        assert '{"body": "json"}' in str(error)


class TestFailedJobs:
    """vLLM-Omni answers for a failed job with its error's HTTP status; the others with 200."""

    @pytest.mark.parametrize("code", ["500", "400", "503"])
    def test_that_are_http_errors_are_ends(self, studio: Open, code: str) -> None:
        """Not a look that was lost: it is not asked again, and whether it was billed is not known."""
        there = studio(dialect="vllm")
        there.server.next(Fate(ending="failed", code=code, message="CUDA out of memory", looks=1))
        error = there.fail()
        assert (ProviderFailed, None, True) == (
            type(error),
            error.charged,
            "CUDA out of memory" in str(error),
        )
        assert len(there.server.jobs) == 1

    def test_without_a_code_are_ends_too(self, studio: Open) -> None:
        """SGLang's error has a message alone."""
        there = studio(dialect="sglang")
        there.server.next(Fate(ending="failed", message="the worker died"))
        assert "the worker died" in str(there.fail())

    def test_that_somebody_deleted_are_ends(self, studio: Open) -> None:
        """SGLang's word for that is a status of its own."""
        there = studio(dialect="sglang")
        there.server.next(looks=1_000_000, more={"progress": 50})
        client = there.client()
        run = client.submit("a boat", model="studio/wan-2.2", duration=4)
        there.server.jobs[0].more["status"] = "deleted"
        with pytest.raises(ProviderFailed):
            run.wait()
        assert ["cancelled"] == [job.state for job in run.jobs]


class TestFinishedAtOnce:
    """Some servers answer the submit with the finished job."""

    def test_with_an_id_is_looked_at_like_any_other(self, studio: Open) -> None:
        """One job, one look, one clip."""
        there = studio(dialect="vllm", instant=True)
        there.make()
        assert (1, 1) == (len(there.server.jobs), there.server.count("poll"))

    def test_without_an_id_is_taken_from_the_reply(self, studio: Open) -> None:
        """NVIDIA Dynamo: `data[].url`, and nobody to ask later."""
        there = studio(JSON, dialect="dynamo")
        clip = there.make().clip
        assert clip.path is not None
        assert (1, 0, True) == (len(there.server.jobs), there.server.count("poll"), clip.path.is_file())

    def test_without_an_id_is_brought_home_by_another_process(self, studio: Open) -> None:
        """Its link is on disk before it is followed."""
        there = studio(JSON, dialect="dynamo")
        run_id = there.client().submit("a boat", model="studio/wan-2.2", duration=4, detach=True).id
        assert there.client().run(run_id).wait().clip.path is not None

    @pytest.mark.parametrize(("cut", "notes"), [(True, 1), (False, 0)])
    def test_without_an_id_says_where_its_link_was_signed(self, cut: bool, notes: int) -> None:
        """What stands behind a question mark is in no ledger: another process may not be able to fetch it, and says why."""
        accepted = Accepted("at-once-job", details={"links": ["https://clips.example/c.mp4"], "cut": cut})
        found = asyncio.run(Openai().poll(cast("Context", None), accepted))
        assert isinstance(found, Done)
        assert (1, notes) == (len(found.outputs), len(found.notes))

    def test_without_an_id_is_fetched_by_its_signed_link_and_the_signature_is_kept_nowhere(
        self, studio: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In memory for the process that bought it; in no file of its home, nor in the result."""
        there = studio(JSON, dialect="dynamo")
        whole = there.server._whole  # type: ignore[attr-defined]

        def signed(job: Any) -> Any:
            answer = whole(job)
            for one in answer.json["data"]:
                one["url"] += "?signature=hush-hush"
            return answer

        monkeypatch.setattr(there.server, "_whole", signed)
        result = there.make()
        assert result.clip.path is not None and result.clip.path.is_file()
        kept = [one for one in tmp_path.rglob("*") if one.is_file()]
        assert "ledger.db" in {one.name for one in kept}
        assert not any(b"hush-hush" in one.read_bytes() for one in kept)
        assert "hush-hush" not in str(result.to_dict())

    def test_without_an_id_is_unknown_when_the_reply_is_lost(self, studio: Open) -> None:
        """Nobody can find it again, and it is not paid twice: why such a way is not taken where there is another."""
        there = studio(JSON, dialect="dynamo")
        there.server.fail("submit", "reset-after")
        error = there.fail()
        assert (SubmissionUnknown, None, 1) == (type(error), error.charged, len(there.server.jobs))


class TestWhereTheClipIs:
    """`/content`, or a link in the job, or a redirect."""

    @pytest.mark.parametrize(
        "dialect",
        [{"dialect": "vllm"}, {"dialect": "sglang", "links": True}, {"dialect": "vllm", "redirects": True}],
    )
    def test_is_read_from_the_job(self, studio: Open, dialect: dict[str, Any]) -> None:
        """The key goes to the server, and to no other host that it names."""
        there = studio(**dialect)
        clip = there.make().clip
        assert clip.path is not None
        assert (True, []) == (clip.path.stat().st_size > 0, there.server.leaks)


class TestCancel:
    """DELETE ends what runs at vLLM-Omni, forgets it at SGLang while the work goes on, and is refused by OpenAI."""

    @staticmethod
    def endless(studio: Open, options: dict[str, Any] | None = None, **dialect: Any) -> Studio:
        """Where no job ends by itself before it is cancelled."""
        there = studio(options, **dialect)
        there.server.next(looks=1_000_000)
        return there

    def test_is_a_delete_at_vllm(self, studio: Open) -> None:
        """Told by the shape of its ids."""
        there = self.endless(studio, dialect="vllm")
        run = there.client().submit("a boat", model="studio/wan-2.2", duration=4)
        run.cancel()
        with pytest.raises(VidorchError):
            run.wait()
        assert (1, ["cancelled"]) == (there.server.count("cancel"), [job.state for job in run.jobs])

    @pytest.mark.parametrize("dialect", ["openai", "sglang"])
    def test_is_not_asked_of_others(self, studio: Open, dialect: str) -> None:
        """It says that the job goes on."""
        there = self.endless(studio, dialect=dialect)
        run = there.client().submit("a boat", model="studio/wan-2.2", duration=4)
        with pytest.raises(Unsupported, match="will run to its end"):
            run.cancel()
        assert there.server.count("cancel") == 0

    def test_is_asked_where_the_endpoint_says_so(self, studio: Open) -> None:
        """`{"cancel": True}`."""
        there = self.endless(studio, {"cancel": True}, dialect="sglang")
        run = there.client().submit("a boat", model="studio/wan-2.2", duration=4)
        run.cancel()
        assert there.server.count("cancel") == 1

    def test_that_takes_longer_than_the_server_waits_is_no_error(self, studio: Open) -> None:
        """409, "cancellation in progress": how it ended is seen by looking."""
        there = self.endless(studio, dialect="vllm")
        there.server.fail("cancel", Fault("error", 409, "conflict"))
        run = there.client().submit("a boat", model="studio/wan-2.2", duration=4)
        run.cancel()
        there.server.end(there.server.jobs[0], "done")
        assert run.wait().clip.path is not None
