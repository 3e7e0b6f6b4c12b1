"""`vidorch mock-server`."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import working
from tests.providers.test_storms import CASES
from tests.servers.plain import send
from vidorch.cli.mockserver import Behaviour, _endpoint, mock_server, prepared
from vidorch.client.aio import AsyncClient
from vidorch.errors import InvalidRequest, ProviderFailed, Refused, TimedOut, VidorchError
from vidorch.testing import VirtualClock
from vidorch.testing.servers import ProtocolServer

WIRES = sorted(set(CASES) - {"openai"})
"""Whose offers are what the server serves by default; openai's in the tests is a server of vLLM's."""
FAL = "fal-ai/kling-video/v3/pro/text-to-video"


def called(
    server: ProtocolServer, home: Path, monkeypatch: pytest.MonkeyPatch, **asks: Any
) -> VidorchError | None:
    """What a call over the wire ends with; None for a clip."""
    monkeypatch.setenv("VIDORCH_LIVE", "1")
    case = CASES[server.provider]()
    if server.provider == "runway":
        server.size = (1280, 720)  # exactly what is asked for is asked of the file there

    async def go() -> VidorchError | None:
        async with case.client(server, home, VirtualClock(), key=server.key) as client:
            try:
                await client.generate(**{**case.asks, "model": case.model, **asks})
            except VidorchError as error:
                return error
            return None

    with server:
        return asyncio.run(go())


class TestEndings:
    """`--ending` holds for every job."""

    @pytest.mark.parametrize("provider", WIRES)
    @pytest.mark.parametrize(
        ("ending", "error"), [("done", type(None)), ("failed", ProviderFailed), ("refused", Refused)]
    )
    def test_a_job_ends_so(
        self, provider: str, ending: str, error: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In the vendor's own words, which vidorch understands."""
        server = prepared(provider, Behaviour(ending))
        assert error is type(called(server, tmp_path, monkeypatch))
        assert 1 == len(server.jobs)

    @pytest.mark.parametrize("provider", WIRES)
    def test_a_rejected_submit_costs_nothing(
        self, provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is the vendor's own refusal: nothing is made, and vidorch says so."""
        server = prepared(provider, Behaviour("rejected"))
        error = called(server, tmp_path, monkeypatch)
        assert isinstance(error, Refused | InvalidRequest), error
        assert (False, []) == (error.charged, server.jobs)

    def test_a_slow_one_never_ends(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever waits gets the time out that is theirs."""
        server = prepared("fal", Behaviour("slow"))
        assert isinstance(called(server, tmp_path, monkeypatch, timeout=60), TimedOut)

    def test_a_job_takes_its_time(self) -> None:
        """`--after`, by the server's clock, however often it is looked at."""
        server = prepared("fal", Behaviour(after=30))
        server.now = lambda: 1_000.0
        with server:
            said = send("POST", f"{server.url}/{FAL}", {"prompt": "x"}, key=f"Key {server.key}").json()
            look = lambda: send("GET", said["status_url"], key=f"Key {server.key}").json()["status"]  # noqa: E731
            early = [look() for _ in range(5)][-1]
            server.now = lambda: 1_030.0
            assert ("IN_PROGRESS", "COMPLETED") == (early, look())

    def test_another_word_is_refused(self) -> None:
        """The message lists what there is."""
        with pytest.raises(InvalidRequest, match="Allowed is one of done, failed, refused"):
            prepared("fal", Behaviour("lost"))


class TestFaults:
    """`--fault` and `--seed`."""

    def statuses(self, server: ProtocolServer, count: int) -> list[int]:
        with server:
            where, key = f"{server.url}/{FAL}", f"Key {server.key}"
            return [send("POST", where, {"prompt": "x"}, key=key).status for _ in range(count)]

    def test_a_bare_status_is_an_error_of_the_vendors_at_the_submit(self) -> None:
        """So many times, and then all is well."""
        assert [503, 503, 200] == self.statuses(prepared("fal", Behaviour(faults=("503x2",))), 3)

    def test_faults_happen_in_the_order_they_are_given(self) -> None:
        """Each once, unless it says more."""
        server = prepared("fal", Behaviour(faults=("submit=gateway-502", "500")))
        assert [502, 500, 200] == self.statuses(server, 3)

    @pytest.mark.parametrize("fault", ["", "=503", "submit=", "x3"])
    def test_what_names_no_fault_is_refused(self, fault: str) -> None:
        """The message shows the form."""
        with pytest.raises(InvalidRequest, match=r"Allowed is \[OP=\]FAULT\[xTIMES\], such as 503"):
            mock_server("fal", Behaviour(faults=(fault,)), port=0, as_document=False)

    def test_chance_is_the_same_for_the_same_seed(self) -> None:
        """A quarter of the requests, more or less, each in a way of its kind."""
        weathers = [prepared("fal", Behaviour(seed=seed)).weather for seed in (7, 7, 8)]
        one, again, other = ([weather("poll") for _ in range(200)] for weather in weathers)
        assert (one, True) == (again, one != other)
        assert 25 < sum(fault is not None for fault in one) < 75

    def test_without_a_seed_nothing_goes_wrong_by_chance(self) -> None:
        """As ever."""
        assert [200] * 8 == self.statuses(prepared("fal", Behaviour()), 8)


class TestTheCommand:
    """What it prints, and what it takes."""

    def test_it_says_whose_ledger_its_jobs_are_written_into(self) -> None:
        """What was bought there would count in the user's own budgets."""
        with working("mock-server", "--provider", "fal") as child:
            assert child.process.stdout is not None
            said = [next(child.process.stdout) for _ in range(5)]
            child.send(signal.SIGINT)
        assert "VIDORCH_HOME" in said[-1]

    def test_a_newcomer_makes_a_clip_at_openais(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With nothing but the variables that it prints: the model that it names is in the catalog that it wrote."""
        monkeypatch.setenv("VIDORCH_LIVE", "1")

        async def go() -> str:
            async with AsyncClient(home=tmp_path, clock=VirtualClock()) as client:
                return (await client.generate("a red ball", model="mock-sora", duration=4)).clip.endpoint

        with working("mock-server", "--provider", "openai") as child:
            assert child.process.stdout is not None
            said = [next(child.process.stdout) for _ in range(7)]
            exported = [line.split()[1].partition("=") for line in said if "export" in line]
            for name, _, value in exported:
                monkeypatch.setenv(name, value)
            assert "openai" == asyncio.run(go())
            child.send(signal.SIGINT)
            child.process.wait(timeout=60)
        assert "mock-sora" in said[-2]
        assert not Path({name: value for name, _, value in exported}["VIDORCH_CATALOG"]).exists()

    @pytest.mark.parametrize("name", ["vllm-omni", "sglang"])
    def test_a_server_of_ones_own_is_named_by_what_it_prints(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its lines of configuration and its variables lead to a clip of Wan's."""
        monkeypatch.setenv("VIDORCH_LIVE", "1")

        async def go() -> str:
            async with AsyncClient(home=tmp_path, clock=VirtualClock()) as client:
                asked = {"model": "mock/wan-2.2-ti2v-5b", "duration": 1, "steps": 2}
                return (await client.generate("a red ball", **asked)).clip.endpoint

        server = prepared("openai", Behaviour(server=name))
        server.size, server.fps = (1280, 704), 24
        with server:
            variable = "" if name == "sglang" else "OPENAI_API_KEY"
            config = tmp_path / "mine.toml"
            config.write_text("\n".join(_endpoint(server, name, variable).splitlines()[1:]), "utf-8")
            monkeypatch.setenv("VIDORCH_CONFIG", str(config))
            monkeypatch.setenv("OPENAI_API_KEY", server.key)
            assert "mock" == asyncio.run(go())

    @pytest.mark.parametrize(("provider", "name"), [("openai", "sglan"), ("fal", "sglang")])
    def test_another_server_is_refused(self, provider: str, name: str) -> None:
        """With those that there are."""
        with pytest.raises(InvalidRequest, match="vllm-omni or sglang, with --provider openai"):
            prepared(provider, Behaviour(server=name))

    def test_a_job_that_is_done_at_once_is_soon_seen(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not after the minutes that its vendor takes: a server on this machine is none."""
        monkeypatch.setenv("VIDORCH_LIVE", "1")
        clock = VirtualClock()

        async def go() -> float:
            async with AsyncClient(home=tmp_path, clock=clock, credentials={"fal": "key"}) as client:
                return (
                    await client.generate("a red ball", model="fal/kling-3.0-pro", duration=5)
                ).clip.latency

        with prepared("fal", Behaviour()) as server:
            monkeypatch.setenv("VIDORCH_FAL_BASE_URL", server.url)
            monkeypatch.setattr(server, "key", "key")
            assert 10 > asyncio.run(go())

    def test_a_webhook_comes_by_itself(self) -> None:
        """From a process that serves Kling's wire, to a socket here."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.settimeout(60)
            hook = f"http://127.0.0.1:{listening.getsockname()[1]}/hook"
            words = (
                "mock-server",
                "--provider",
                "kling",
                "--json",
                "--ending",
                "failed",
                "--forward-to",
                hook,
            )
            with working(*words) as child:
                assert child.process.stdout is not None
                lines = iter(child.process.stdout)
                text = ""
                while not text.endswith("}\n") or text.count("{") != text.count("}"):
                    text += next(lines)
                document = json.loads(text)
                sent = threading.Thread(target=self.submit, args=(document,))
                sent.start()
                connection, _ = listening.accept()
                with connection, connection.makefile("rb") as reading:
                    assert b"POST /hook?token=abc HTTP/1.1\r\n" == reading.readline()
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                sent.join()
                child.send(signal.SIGINT)

    def submit(self, document: dict[str, Any]) -> None:
        body = {"prompt": "a red ball", "options": {"callback_url": "https://example.com/away?token=abc"}}
        key = document["environment"]["KLINGAI_API_KEY"]
        reply = send("POST", f"{document['url']}/text-to-video/kling-3.0", body, key=f"Bearer {key}")
        assert reply.status == 200, reply.body

    def test_no_key_of_the_mock_is_read_for_another_vendor(self) -> None:
        """What is set for one of them makes no offer of another ready, whose real host it would be sent to."""
        from vidorch.catalog import shipped
        from vidorch.testing.servers import PROVIDERS, serve

        read = {(name, offer.endpoint) for offer in shipped().offers for name in offer.variables}
        for provider in PROVIDERS:
            for variable in serve(provider).variables():
                assert {provider} >= {endpoint for name, endpoint in read if name == variable}, variable
