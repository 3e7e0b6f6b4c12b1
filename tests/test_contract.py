"""The contract for providers, and the one door by which all of them come in."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import threading
from email.message import Message
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vidorch import registry
from vidorch.clock import Ids, RealClock
from vidorch.contract import (
    Accepted,
    Admission,
    Context,
    Done,
    Endpoint,
    LookFor,
    Output,
    Polled,
    Prepared,
    Progress,
    Provider,
    Rejected,
)
from vidorch.errors import MissingCredentials, Throttled, Unsupported
from vidorch.offer import Capabilities, Offer, Price, Route
from vidorch.registry import GROUP, Registry
from vidorch.request import Request


class Acme(Provider):
    """The smallest provider that works: three calls, everything else by default."""

    name = "acme"

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        return Accepted(f"remote-{context.job_id}")

    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        return Done((Output(0, f"{accepted.remote_id}.mp4"),))

    async def fetch(self, context: Context, output: Output, path: Path) -> None:
        path.write_bytes(output.ref.encode())  # noqa: ASYNC240  (some bytes of a test)


class Late(Acme):
    """Misses its package when it is made."""

    extra = "late-extra"

    def __init__(self) -> None:
        raise ModuleNotFoundError("No module named 'late_package'", name="late_package")


class Slow(Acme):
    """Takes its time to be made, so that another thread could begin as well."""

    def __init__(self) -> None:
        threading.Event().wait(0.02)


NOT_A_PROVIDER = object()
OFFER = Offer(
    "model",
    "acme",
    "acme",
    "family",
    routes={"text-to-video": Route("text-to-video", "/make", Capabilities())},
    price=Price("free"),
)
REQUEST = Request(prompt="a cat")


def context(folder: Path) -> Context:
    """What a call to the provider may use."""
    return Context(Endpoint("acme", "acme"), RealClock(), "job_1", folder, secret="sk-very-secret")


@pytest.fixture
def doors(monkeypatch: pytest.MonkeyPatch) -> dict[str, EntryPoint]:
    """Entry points of distributions that are not really installed, beside those that are."""
    more: dict[str, EntryPoint] = {}
    installed = registry._entry_points()
    monkeypatch.setattr(registry, "_entry_points", lambda: installed | more)
    return more


def door(name: str, value: str, owner: str | None = None, extras: tuple[str, ...] = ()) -> EntryPoint:
    """An entry point as a distribution declares it."""
    point = EntryPoint(name, value, GROUP)
    if owner is not None:
        metadata = Message()
        for extra in extras:
            metadata["Provides-Extra"] = extra
        vars(point).update(dist=SimpleNamespace(name=owner, metadata=metadata))
    return point


class TestTheSmallestProvider:
    def test_its_whole_life(self, tmp_path: Path) -> None:
        """Three methods are enough to prepare, submit, poll and fetch."""

        async def live() -> bytes:
            provider, where = Acme(), context(tmp_path)
            prepared = await provider.prepare(where, REQUEST, OFFER)
            accepted = await provider.submit(where, prepared)
            done = await provider.poll(where, accepted)
            assert isinstance(done, Done)
            await provider.fetch(where, done.outputs[0], tmp_path / "out")
            await provider.aclose()
            return (tmp_path / "out").read_bytes()

        assert b"remote-job_1.mp4" == asyncio.run(live())

    @pytest.mark.parametrize("missing", ["submit", "poll", "fetch"])
    def test_three_are_needed(self, missing: str) -> None:
        """Without one of these three it is no provider."""
        methods = {name: getattr(Acme, name) for name in ("submit", "poll", "fetch") if name != missing}
        half = type("Half", (Provider,), {"name": "half", **methods})
        with pytest.raises(TypeError, match=missing):
            half()

    def test_admits_by_default(self) -> None:
        """It takes every request that its offers allow."""
        assert Admission() == Acme().admit(REQUEST, OFFER)

    def test_finds_as_its_offer_says(self, tmp_path: Path) -> None:
        """Whether a lost submit can be found again is a fact of the offer; by default there is nothing to find."""
        looked = asyncio.run(Acme().find(context(tmp_path), LookFor("job_1", REQUEST, OFFER, 0.0)))
        assert ("none", []) == (Acme().find_mode(OFFER), looked)

    def test_costs_nothing_to_check(self, tmp_path: Path) -> None:
        """A check is there by default and finds no fault."""
        assert asyncio.run(Acme().check(context(tmp_path))).ok is True

    def test_polls_many_one_by_one(self, tmp_path: Path) -> None:
        """Without a call for many, each is looked at."""
        found = asyncio.run(Acme().poll_many(context(tmp_path), [Accepted("a"), Accepted("b")]))
        assert ["a.mp4", "b.mp4"] == [one.outputs[0].ref for one in found if isinstance(one, Done)]

    def test_cannot_cancel(self, tmp_path: Path) -> None:
        """A provider that cannot cancel says so by name."""
        with pytest.raises(Unsupported, match="acme cannot cancel") as caught:
            asyncio.run(Acme().cancel(context(tmp_path), Accepted("a")))
        assert "acme" == caught.value.provider

    def test_cannot_refresh(self, tmp_path: Path) -> None:
        """A provider whose links cannot be renewed says so."""
        with pytest.raises(Unsupported, match="acme cannot renew"):
            asyncio.run(Acme().refresh(context(tmp_path), Accepted("a"), Output(0, "a.mp4")))

    def test_lists_no_jobs(self, tmp_path: Path) -> None:
        """A provider without a list says so."""
        with pytest.raises(Unsupported, match="acme does not list its jobs"):
            asyncio.run(Acme().list_jobs(context(tmp_path), 10))

    def test_deletes_no_job(self, tmp_path: Path) -> None:
        """A provider that keeps what it made says so."""
        with pytest.raises(Unsupported, match="acme cannot delete a finished job"):
            asyncio.run(Acme().delete_job(context(tmp_path), Accepted("a")))

    def test_tells_no_prices(self, tmp_path: Path) -> None:
        """A provider whose vendor has no API of prices says so."""
        with pytest.raises(Unsupported, match="acme has no API of prices"):
            asyncio.run(Acme().unit_prices(context(tmp_path), ["a/b"]))

    def test_sends_no_webhooks(self, tmp_path: Path) -> None:
        """A provider without webhooks says so."""
        with pytest.raises(Unsupported, match="acme sends no webhooks"):
            asyncio.run(Acme().parse_webhook(context(tmp_path), {}, b""))


class TestTheContract:
    def test_its_calls(self) -> None:
        """The calls are promises to everybody who wrote a provider."""
        expected = (
            "aclose admit cancel check delete_job fetch find find_mode finds_credentials list_jobs outlook parse_webhook poll poll_many "
            "prepare refresh submit takes_webhook unit_prices"
        )
        assert expected.split() == sorted(
            name for name, _ in inspect.getmembers(Provider, inspect.isfunction) if name[0] != "_"
        )

    def test_which_wait(self) -> None:
        """What may touch the network is async; what must not is not."""
        waits = {name for name, method in inspect.getmembers(Provider, inspect.iscoroutinefunction)}
        assert {"admit", "find_mode", "finds_credentials", "outlook", "takes_webhook"} == {
            n for n, _ in inspect.getmembers(Provider, inspect.isfunction) if n[0] != "_"
        } - waits

    def test_what_a_context_holds(self) -> None:
        """Endpoint, secret at use, http, clock and our job id are there; more may come with defaults."""
        names = {item.name for item in dataclasses.fields(Context)}
        assert {
            "endpoint",
            "secret",
            "http",
            "clock",
            "job_id",
            "folder",
            "route",
            "samples",
            "webhook",
        } <= names

    @pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format])
    def test_a_context_hides_its_secret(self, show: Any, tmp_path: Path) -> None:
        """No text of a context shows the secret."""
        assert "very-secret" not in show(context(tmp_path))

    def test_rejected_is_not_charged(self) -> None:
        """A rejected submit was never charged, whatever its cause says, and keeps the cause."""
        cause = Throttled("Later.", charged=None, hint="Wait.", provider="acme")
        rejected = Rejected(cause, retry_after=2.0)
        assert (False, True, cause, 2.0, "acme") == (
            rejected.charged, rejected.retryable, rejected.cause, rejected.retry_after, rejected.provider,
        )  # fmt: skip

    @pytest.mark.parametrize(
        "made",
        [Accepted("a"), Progress("running"), Done(()), Output(0, "x"), Endpoint("a", "b")],
        ids=lambda m: type(m).__name__,
    )
    def test_immutable(self, made: Any) -> None:
        """What is passed between engine and provider cannot be changed."""
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, dataclasses.fields(made)[0].name, "x")


class TestTheDoor:
    def test_local_comes_in_by_it(self) -> None:
        """The built-in provider is found by the same entry point group as anybody's."""
        assert (
            "vidorch_local.provider:Local"
            == {point.name: point.value for point in entry_points(group=GROUP)}["local"]
        )

    def test_local(self) -> None:
        """And it is made like anybody's."""
        provider = Registry().get("local")
        assert ("local", True) == (provider.name, isinstance(provider, Provider))

    def test_a_third_party(self, doors: dict[str, EntryPoint]) -> None:
        """A class of another distribution comes in by its entry point."""
        doors["acme"] = door("acme", f"{__name__}:Acme")
        assert "acme" == Registry().get("acme").name

    def test_made_once(self, doors: dict[str, EntryPoint]) -> None:
        """A provider is made once per registry."""
        doors["acme"] = door("acme", f"{__name__}:Acme")
        providers = Registry()
        assert providers.get("acme") is providers.get("acme")

    def test_names_load_nothing(self, doors: dict[str, EntryPoint]) -> None:
        """Listing names loads no provider, not even a broken one."""
        doors["broken"] = door("broken", "no_such_package_anywhere:Nothing")
        assert {"broken", "local"} <= Registry().names()

    def test_given_before_installed(self) -> None:
        """A provider that was given goes before an installed one of the same name."""
        mine = Acme()
        assert mine is Registry({"local": mine}).get("local")

    def test_unknown(self) -> None:
        """A name that nobody has is unsupported, and the hint lists those that are there."""
        with pytest.raises(Unsupported, match="No provider 'nobody' is installed.*local"):
            Registry().get("nobody")

    def test_made_once_from_many_threads(self, doors: dict[str, EntryPoint]) -> None:
        """Also when many threads want it at the same time."""
        doors["slow"] = door("slow", f"{__name__}:Slow")
        providers, ready = Registry(), threading.Barrier(4)
        made: list[Provider] = []

        def want() -> None:
            ready.wait()
            made.append(providers.get("slow"))

        threads = [threading.Thread(target=want) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (4, 1) == (len(made), len(set(map(id, made))))

    @pytest.mark.parametrize(
        ("owner", "extras", "extra", "hint"),
        [
            ("vidorch", ("acme", "dev"), "acme", "pip install 'vidorch[acme]'"),
            ("vidorch", ("dev",), "", "Install what holds 'no_such_package_anywhere'."),
            ("acme-video", ("acme",), "", "acme-video"),
            (None, (), "", "Install what holds 'no_such_package_anywhere'."),
        ],
    )
    def test_a_missing_package(
        self, doors: dict[str, EntryPoint], owner: str | None, extras: tuple[str, ...], extra: str, hint: str
    ) -> None:
        """A provider whose package is not installed names the package, and an extra only where vidorch has it."""
        doors["acme"] = door("acme", "no_such_package_anywhere:Acme", owner, extras)
        with pytest.raises(
            MissingCredentials, match="needs the package 'no_such_package_anywhere'"
        ) as caught:
            Registry().get("acme")
        assert (True, extra) == (hint in caught.value.hint, caught.value.extra)

    def test_a_package_missing_late(self, doors: dict[str, EntryPoint]) -> None:
        """A provider that misses its package only when it is made tells the extra by its own word."""
        doors["acme"] = door("acme", f"{__name__}:Late", "vidorch", ("late-extra",))
        with pytest.raises(MissingCredentials, match=r"'vidorch\[late-extra\]'"):
            Registry().get("acme")

    def test_a_missing_class(self, doors: dict[str, EntryPoint]) -> None:
        """An entry point to a name that is not there is said to be broken, with its value."""
        doors["acme"] = door("acme", f"{__name__}:Nothing")
        with pytest.raises(Unsupported, match=f"{__name__}:Nothing"):
            Registry().get("acme")

    @pytest.mark.parametrize("name", ["NOT_A_PROVIDER", "door", "OFFER"])
    def test_no_provider(self, doors: dict[str, EntryPoint], name: str) -> None:
        """An entry point to something else is named as such."""
        doors["acme"] = door("acme", f"{__name__}:{name}")
        with pytest.raises(Unsupported, match=r"is not a vidorch\.contract\.Provider"):
            Registry().get("acme")

    def test_one_that_fails_to_load(
        self, doors: dict[str, EntryPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A module that fails on import is a typed error that tells the failure, never a foreign one."""
        (tmp_path / "acme_that_breaks.py").write_text("1 / 0\n")
        monkeypatch.syspath_prepend(tmp_path)
        doors["acme"] = door("acme", "acme_that_breaks:Acme")
        with pytest.raises(Unsupported, match="ZeroDivisionError"):
            Registry().get("acme")

    def test_one_that_cannot_be_made(self, doors: dict[str, EntryPoint]) -> None:
        """A class that cannot be made without arguments, or is not whole, is a typed error."""
        doors["acme"] = door("acme", "vidorch.contract:Provider")
        with pytest.raises(Unsupported, match="TypeError"):
            Registry().get("acme")

    def test_closed_with_the_registry(self) -> None:
        """Closing closes every provider that was made."""
        closed: list[str] = []

        class Closing(Acme):
            async def aclose(self) -> None:
                closed.append("acme")

        asyncio.run(Registry({"acme": Closing()}).aclose())
        assert ["acme"] == closed

    def test_closing_goes_on(self) -> None:
        """One provider that fails to close does not keep the others open."""
        closed: list[str] = []

        class Failing(Acme):
            async def aclose(self) -> None:
                raise OSError("stuck")

        class Closing(Acme):
            async def aclose(self) -> None:
                closed.append("acme")

        with pytest.raises(ExceptionGroup, match="could not be closed"):
            asyncio.run(Registry({"a": Failing(), "b": Closing()}).aclose())
        assert ["acme"] == closed


class TestIds:
    class Still(RealClock):
        def now(self) -> float:
            return 1_800_000_000.0

    def test_sort_by_time(self) -> None:
        """Ids made later sort later."""
        clock = self.Still()
        first = Ids(clock).new("run")
        clock.now = lambda: 1_800_000_000.001  # type: ignore[method-assign]
        assert first < Ids(clock).new("run")

    def test_look(self) -> None:
        """A kind, an underscore, and sixteen letters that cannot be misread."""
        kind, _, letters = Ids(RealClock()).new("job").partition("_")
        assert ("job", 16, set()) == (kind, len(letters), set(letters) & set("ilou"))

    def test_chance_comes_from_outside(self) -> None:
        """The same time and the same chance make the same id."""
        assert {Ids(self.Still(), lambda bits: 7).new("run") for _ in range(3)} == {
            Ids(self.Still(), lambda bits: 7).new("run")
        }

    def test_seed(self) -> None:
        """A seed fits what every vendor takes."""
        assert all(0 <= Ids(RealClock()).seed() < 2**31 for _ in range(100))
