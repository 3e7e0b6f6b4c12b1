"""Whether a key is taken: a check reaches the provider with what a submit would carry, through the door that anybody uses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.engine.scripted import Scripted, VirtualClock, catalog, paid
from vidorch import registry
from vidorch.client.aio import AsyncClient
from vidorch.contract import Accepted, Context, Health, Prepared, Provider
from vidorch.errors import ProviderFailed, Unsupported, VidorchError

KEY = "sk-acme-very-secret"
ACME = paid("reel", endpoint="acme", provider="acme", variables=["ACME_KEY", "ACME_TOKEN"])


class Acme(Scripted):
    """A vendor with one good key, as somebody else would write its provider."""

    name = "acme"
    seen: list[tuple[str, str | None]]
    says: Callable[[Context], Health] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.seen = []

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        self.seen.append((context.scope, context.secret))
        return await super().submit(context, prepared)

    async def check(self, context: Context) -> Health:
        self.seen.append((context.scope, context.secret))
        if self.says is not None:
            return self.says(context)
        return Health(True, "4 jobs at once") if context.secret == KEY else Health(False, "401: no such key")


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> Acme:
    """Installed: found by the entry points."""
    provider = Acme()

    class Door(Provider):
        def __new__(cls) -> Any:
            return provider

    class Point:
        value = "acme_video:Acme"

        def load(self) -> type[Provider]:
            return Door

    points = dict(registry._entry_points())
    monkeypatch.setattr(registry, "_entry_points", lambda: points | {"acme": Point()})
    return provider


def check(endpoint: str = "acme", *, scope: str = "default", **settings: Any) -> Health:
    async def go() -> Health:
        async with AsyncClient(catalog=catalog(ACME), clock=VirtualClock(), **settings) as client:
            return await client.check(endpoint, scope=scope)

    return asyncio.run(go())


class TestAsyncClientCheck:
    @pytest.mark.parametrize("variable", ["ACME_KEY", "ACME_TOKEN"])
    @pytest.mark.parametrize(("key", "ok"), [(KEY, True), ("sk-stale", False)])
    def test_tries_the_key_of_the_environment(
        self, acme: Acme, monkeypatch: pytest.MonkeyPatch, variable: str, key: str, ok: bool
    ) -> None:
        """The provider gets what is in the offer's variable, and says whether it is taken."""
        monkeypatch.setenv(variable, key)
        assert ok == check().ok

    def test_without_a_key(self, acme: Acme) -> None:
        """Where none is set the provider is asked without one, and nothing is made up."""
        assert (False, [("default", None)]) == (check().ok, acme.seen)

    def test_carries_what_a_submit_carries(self, acme: Acme) -> None:
        """Key and scope are those of a submit in that scope, asked of the same credentials."""
        asked: list[tuple[str, str]] = []

        def credentials(scope: str, endpoint: str) -> str:
            asked.append((scope, endpoint))
            return f"key of {scope} at {endpoint}"

        async def go() -> None:
            async with AsyncClient(
                catalog=catalog(ACME), clock=VirtualClock(), credentials=credentials
            ) as client:
                await client.generate("x", model="acme/reel", scope="tenant-a")
                await client.check("acme", scope="tenant-a")

        acme.simulated = True  # type: ignore[misc]
        asyncio.run(go())
        assert [("tenant-a", "key of tenant-a at acme")] * 2 == acme.seen
        assert {("tenant-a", "acme")} == set(asked)

    def test_of_another_scope_has_no_key_of_the_environment(
        self, acme: Acme, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The environment's keys are those of the scope "default" alone, as for a submit."""
        monkeypatch.setenv("ACME_KEY", KEY)
        check(scope="tenant-a")
        assert [("tenant-a", None)] == acme.seen

    @pytest.mark.parametrize("raised", [ValueError, ProviderFailed])
    def test_never_repeats_the_key(
        self, acme: Acme, monkeypatch: pytest.MonkeyPatch, raised: type[Exception]
    ) -> None:
        """Neither in what the provider says nor in what it raises."""
        monkeypatch.setenv("ACME_KEY", KEY)
        acme.says = lambda context: Health(False, f"{context.secret} is not known")
        assert "*** is not known" == check().detail

        def fail(context: Context) -> Health:
            raise raised(f"nobody knows {context.secret}")

        acme.says = fail
        with pytest.raises(VidorchError, match=r"nobody knows \*\*\*") as caught:
            check()
        assert (False, False) == (KEY in str(caught.value), caught.value.charged)

    def test_of_no_endpoint(self) -> None:
        """What nobody installed is said to be that."""
        with pytest.raises(Unsupported, match="nope"):
            check("nope")


class TestDoctor:
    @pytest.fixture(autouse=True)
    def _offers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, acme: Acme) -> None:
        path = tmp_path / "offers.toml"
        path.write_text(
            """
            [[offer]]
            like = "fal/kling-3.0-pro"
            model = "reel"
            endpoint = "acme"
            provider = "acme"
            variables = ["ACME_KEY"]
            title = "Reel"
            as_of = 2026-11-22
            price = { source = "a test", row = [{ per_second = 0.10, source = "a test", as_of = 2026-11-22 }] }
            """
        )
        monkeypatch.setenv("VIDORCH_CATALOG", str(path))

    def finding(self, command: Command) -> tuple[int | None, str, str]:
        said = command("doctor", "--json")
        (one,) = (one for one in said.document["findings"] if one["what"] == "acme")
        assert KEY not in said.out + said.err
        return said.code, one["state"], one["detail"]

    def test_of_a_key_that_is_taken(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is tried, and what the vendor says of it is told."""
        monkeypatch.setenv("ACME_KEY", KEY)
        assert (0, "ok", "ACME_KEY is set; 4 jobs at once") == self.finding(command)

    def test_of_a_key_that_is_not(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        """That is bad: exit 1."""
        monkeypatch.setenv("ACME_KEY", "sk-stale")
        assert (1, "bad", "ACME_KEY is set; 401: no such key") == self.finding(command)

    def test_of_a_vendor_that_cannot_be_asked(
        self,
        command: Command,
        acme: Acme,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Being offline breaks nothing here: a note."""
        monkeypatch.setenv("ACME_KEY", KEY)

        def fail(context: Context) -> Health:
            raise ProviderFailed(f"acme is not there for {context.secret}.")

        acme.says = fail
        assert (
            0,
            "note",
            "ACME_KEY is set; it could not be asked: acme is not there for ***.",
        ) == self.finding(command)

    def test_without_a_key(self, command: Command, acme: Acme) -> None:
        """Nobody is asked."""
        assert ((0, "note", "no key (ACME_KEY)"), []) == (self.finding(command), acme.seen)
