"""The extras of the distribution: what `pip install 'vidorch[...]'` takes, and what is said where one is missing.

What each opens is done in environments of their own, by `.ci/check_extras.py`.
"""

from __future__ import annotations

import ast
import asyncio
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import vidorch
from vidorch import storage
from vidorch.testing import VirtualClock
from vidorch.testing.servers import serve

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]

PACKAGES = {
    "fal": "fal-client cryptography", "replicate": "replicate", "runway": "runwayml", "vertex": "google-cloud-aiplatform google-auth",
    "google": "google-genai google-auth", "ray": "ray pillow", "postgres": "psycopg",
    "local": "torch diffusers transformers accelerate ftfy huggingface_hub peft pillow psutil",
    "storage": "fsspec", "otel": "opentelemetry-api", "webhooks": "cryptography", "testing": "pytest",
}  # fmt: skip
HOSTED = {"fal", "replicate", "runway", "vertex", "google"}
LOADED = {
    ("vidorch.engine.spans", "opentelemetry", "otel"),
    *(("vidorch.ledger." + name, "psycopg", "postgres") for name in ("glance", "postgres", "postgres_troubles")),
    ("vidorch.pulling", "huggingface_hub", "local"),
    ("vidorch.signatures", "cryptography", "webhooks"), ("vidorch.storage", "fsspec", "storage"),
    ("vidorch.testing.conformance", "pytest", "testing"), ("vidorch.testing.plugin", "pytest", "testing"),
    ("vidorch.testing.servers.fal", "cryptography", "webhooks"), ("vidorch.testing.servers.google_storage", "cryptography", "webhooks"),
    *((f"vidorch_local.diffusion.{module}", package, "local") for module, package in (
        ("asking", "PIL"), ("loading", "diffusers"), ("loading", "torch"), ("loading", "transformers"), ("placing", "psutil"),
        ("placing", "torch"), ("running", "PIL"), ("running", "torch"), ("attention", "torch"), ("attention", "diffusers"),
        ("attention", "huggingface_hub"), ("scheduling", "diffusers"), ("tuning", "diffusers"), ("tuning", "torch"),
    )),
    *((f"vidorch_local.diffusion.pool.{module}", "ray", "ray") for module in ("connecting", "hiring", "talking")),
    ("vidorch_local.diffusion.asking", "PIL", "ray"),
    ("vidorch_providers.vertex", "google", "vertex"), ("vidorch_providers.vertex", "google", "google"),
}  # fmt: skip
"""Module, what it loads that is no base requirement, and an extra that brings it."""
BROUGHT_BY_THE_CALLER = {("vidorch.http.by_httpx", "httpx")}
"""Whoever gives `http=` has httpx."""
OF_AIOHTTP = "yarl"
"""Its own interface takes URLs of this kind."""


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[><=]", one)[0] for one in requirements}


@pytest.mark.parametrize("extra", sorted(PACKAGES))
def test_opens_what_it_is_named_for(extra: str) -> None:
    """Each extra brings the packages that it stands for, none older than what is known to do."""
    assert (set(PACKAGES[extra].split()), True) == (
        names(EXTRAS[extra]),
        all(">=" in one for one in EXTRAS[extra]),
    )


def test_every_extra_is_known_here() -> None:
    """And done by the smoke of its name in continuous integration, beside `all` and no extra."""
    smoke = (ROOT / ".ci" / "extras_smoke.py").read_text("utf-8")
    done = set(re.findall(r'"(\w*)": \w+', smoke[smoke.index("SMOKES") :]))
    assert (PACKAGES.keys() | {"all", "dev"}, PACKAGES.keys() | {"all", ""}) == (EXTRAS.keys(), done)


def test_all_is_every_hosted_service() -> None:
    """`all` names every hosted service by its own extra, and nothing that is not declared; torch is not among it."""
    (everything,) = EXTRAS["all"]
    named = set(everything.removeprefix("vidorch[").removesuffix("]").split(","))
    assert (True, True, False) == (named >= HOSTED, named <= EXTRAS.keys(), "local" in named)


def test_none_is_empty() -> None:
    """An extra that installs nothing would promise what is not there."""
    assert [] == [extra for extra, packages in EXTRAS.items() if not packages]


class TestWhatIsLoaded:
    """Every import of a package that the base install does not bring."""

    def test_comes_with_an_extra(self) -> None:
        """There are no others than those that are listed, so that none can be forgotten below."""
        found = {(module, package) for module, package, _ in imports()}
        assert {(module, package) for module, package, _ in LOADED} | BROUGHT_BY_THE_CALLER == found

    def test_is_declared_by_that_extra(self) -> None:
        """By its own name, not only through somebody else's requirements."""
        distribution = {"google": "google-auth", "opentelemetry": "opentelemetry-api", "PIL": "pillow"}
        lacking = [one for one in LOADED if distribution.get(one[1], one[1]) not in PACKAGES[one[2]].split()]
        assert [] == lacking

    def test_is_at_the_first_use(self) -> None:
        """Inside the function that needs it; modules that are made for a package alone are themselves loaded by it, or at first use."""
        early = {module for module, _, inside in imports() if not inside}
        assert {
            "vidorch.ledger.postgres", "vidorch.ledger.postgres_troubles", "vidorch.testing.conformance", "vidorch.testing.plugin",
        } == early  # fmt: skip


class TestMissing:
    """What is said where the package of an extra is not installed: which one, that nothing was sent, and what to type."""

    def test_webhooks_of_fal(self, without: Callable[[str], None], tmp_path: Path) -> None:
        """Before fal is asked for its keys; the job is polled all the same."""
        clock = VirtualClock()
        headers = {f"x-fal-webhook-{name}": "00" for name in ("request-id", "user-id", "signature")}
        headers["x-fal-webhook-timestamp"] = str(clock.now())

        async def go() -> None:
            async with vidorch.AsyncClient(
                home=tmp_path, endpoints=server.endpoints(), credentials=lambda scope, endpoint: server.key, clock=clock,
                private_hosts=["127.0.0.1"],
            ) as client:  # fmt: skip
                await client.handle_webhook("fal", headers, b"{}", "https://example.com/")

        without("cryptography")
        with (
            serve("fal") as server,
            pytest.raises(vidorch.MissingCredentials, match="Nothing was sent") as caught,
        ):
            asyncio.run(go())
        assert ("webhooks", "pip install 'vidorch[webhooks]'", False) == told(caught.value)
        assert [] == server.requests

    def test_a_credential_of_google(
        self, without: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A call ends before anything is sent, and costs nothing; what it raises says both ways to get the package."""
        robot = tmp_path / "robot.json"
        robot.write_text(json.dumps({"type": "service_account"}))
        monkeypatch.setenv("VIDORCH_LIVE", "1")  # what would be sent, would go to the loopback

        async def go() -> None:
            async with vidorch.AsyncClient(
                home=tmp_path / "home", endpoints=server.endpoints(project="test-project"), clock=VirtualClock(),
                credentials=lambda scope, endpoint: str(robot), private_hosts=["127.0.0.1"],
            ) as client:  # fmt: skip
                await client.generate("a red ball", model="vertex/veo-3.1-fast", duration=4)

        without("google")
        with (
            serve("vertex") as server,
            pytest.raises(vidorch.MissingCredentials, match="google-auth") as caught,
        ):
            asyncio.run(go())
        assert "pip install 'vidorch[vertex]' (or the lighter 'vidorch[google]')" in str(caught.value)
        assert (False, []) == (caught.value.charged, server.requests)

    def test_a_store(self, without: Callable[[str], None]) -> None:
        """A call that would publish there ends before it begins."""
        without("fsspec")
        with pytest.raises(vidorch.MissingCredentials, match="Nothing was sent") as caught:
            vidorch.generate("a red ball rolling left", output="s3://bucket/ads/")
        assert ("storage", "pip install 'vidorch[storage]'", False) == told(caught.value)

    def test_the_store_of_an_input(self, without: Callable[[str], None], tmp_path: Path) -> None:
        """Reading from one is the same."""
        without("fsspec")
        with pytest.raises(vidorch.MissingCredentials, match="fsspec") as caught:
            storage.fetch("s3://bucket/avatar.png", tmp_path / "avatar.png")
        assert ("storage", "pip install 'vidorch[storage]'", False) == told(caught.value)

    def test_the_conformance_suite(
        self, without: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is made of tests for pytest."""
        without("pytest")
        monkeypatch.delitem(sys.modules, "vidorch.testing.conformance", raising=False)
        with pytest.raises(vidorch.MissingCredentials, match="Nothing was sent") as caught:
            _ = vidorch.testing.ProviderConformance
        assert ("testing", "pip install 'vidorch[testing]'", False) == told(caught.value)

    @pytest.mark.parametrize(("provider", "what"), [("fal", "public_key"), ("vertex", "service_account")])
    def test_keys_of_the_protocol_servers(
        self, without: Callable[[str], None], provider: str, what: str
    ) -> None:
        """They sign as the vendors do."""
        without("cryptography")
        with pytest.raises(vidorch.MissingCredentials, match="cryptography") as caught:
            _ = getattr(serve(provider), what)()
        assert ("webhooks", "pip install 'vidorch[webhooks]'", False) == told(caught.value)

    def test_another_module_is_not_blamed_on_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What vidorch itself lacks stays the error that it is."""
        monkeypatch.setattr("vidorch.testing._HOMES", {"Mock": "not_there"})
        with pytest.raises(ModuleNotFoundError, match="not_there"):
            _ = vidorch.testing.Mock


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets a package be one that is not installed, until the test ends."""

    def hide(package: str) -> None:
        for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
            monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setitem(sys.modules, package, None)

    return hide


def told(error: vidorch.MissingCredentials) -> tuple[str, str, bool | None]:
    return error.extra, error.hint, error.charged


def imports() -> Iterator[tuple[str, str, bool]]:
    """Module, package, and whether it is inside a function: all that run, and neither the base install nor Python brings."""
    ours = {"vidorch", "vidorch_local", "vidorch_providers"}
    known = sys.stdlib_module_names | names(PROJECT["dependencies"]) | ours | {OF_AIOHTTP}
    for root in (ROOT, ROOT / "providers", ROOT / "local_backend"):
        for package in sorted(ours):
            for file in sorted((root / package).rglob("*.py")):
                module = ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
                for name, inside in _imported(ast.parse(file.read_text("utf-8")), inside=False):
                    if name not in known:
                        yield module, name, inside


def _imported(tree: ast.AST, *, inside: bool) -> Iterator[tuple[str, bool]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((one.name.partition(".")[0], inside) for one in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0], inside
        elif not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            yield from _imported(
                node, inside=inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            )
