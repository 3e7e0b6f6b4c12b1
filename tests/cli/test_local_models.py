"""`vidorch models` for one's own hardware: pull, add, remove, and how they are listed; aliases and named endpoints, too."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.conftest import Command
from tests.servers.hub import Hub, Model, pipeline
from tests.weights.conftest import lay_cache, lay_folder
from vidorch.cli.mockserver import Behaviour, prepared

CATALOG = """
[[offer]]
like = "local/wan-2.1-t2v-1.3b"
model = "tiny"
title = "Tiny"
as_of = 2026-11-26
price = { rule = "hours", source = "a test" }
weights = { source = "acme/tiny", download_bytes = 12_000 }

[[offer]]
like = "local/tiny"
model = "gated"
title = "Gated"
as_of = 2026-11-26
price = { rule = "hours", source = "a test" }
weights = { source = "acme/gated" }
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's, and a catalog with models of acme's."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    if find_spec("huggingface_hub"):  # it read that when it was loaded
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    (tmp_path / "acme.toml").write_text(CATALOG)
    monkeypatch.setenv("VIDORCH_CATALOG", str(tmp_path / "acme.toml"))
    return tmp_path / "hf" / "hub"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub, with acme's models."""
    pytest.importorskip("huggingface_hub")
    with Hub({"acme/tiny": Model(pipeline()), "acme/gated": Model(pipeline(), gated=True)}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


class TestList:
    def test_not_pulled(self, command: Command) -> None:
        """With how much there is to fetch."""
        (row,) = [
            line for line in command("models", "--family", "wan").out.splitlines() if "local/tiny " in line
        ]
        assert "not pulled, 12 kB" in row

    def test_pulled(self, command: Command, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ready, where the packages are here as well."""
        lay_cache(cache)
        monkeypatch.setattr("vidorch.weights.EXTRA", ("json",))
        assert "local/tiny" in {
            one["name"] for one in command("models", "--ready", "--json").document["offers"]
        }

    def test_without_packages(self, command: Command, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What they come with is named."""
        lay_cache(cache)
        monkeypatch.setattr("vidorch.weights.EXTRA", ("no_such_package",))
        assert "needs the extra local" in command("models", "tiny").out

    @pytest.mark.parametrize("words", [("tiny",), ("show", "tiny"), ("local/tiny",)])
    def test_in_full(self, command: Command, words: tuple[str, ...]) -> None:
        """Licence, size, what is to be done, memory, and what it is asked with."""
        out = command("models", *words).out
        assert "licence: Apache-2.0" in out
        assert (
            "weights: acme/tiny, 12 kB: its weights are not on this machine: vidorch models pull tiny (12 kB)"
            in out
        )
        assert "memory: gpu 20 GB" in out
        assert "unless you say otherwise: steps 50, guidance 5" in out

    def test_loras(self, command: Command) -> None:
        """Each with the expert that it is for."""
        out = command("models", "wan-2.2-t2v-a14b-lightx2v").out
        assert "4step_1217.safetensors, on its high-noise expert" in out

    def test_document(self, command: Command, cache: Path) -> None:
        """Whether it is pulled, where, and what is missing."""
        (before,) = command("models", "tiny", "--json").document["offers"]
        folder = lay_cache(cache)
        (after,) = command("models", "tiny", "--json").document["offers"]
        assert (False, None, True) == (
            before["weights"]["pulled"],
            before["weights"]["folder"],
            "pull tiny" in before["weights"]["missing"],
        )
        assert (True, str(folder), "Apache-2.0") == (
            after["weights"]["pulled"],
            after["weights"]["folder"],
            after["licence"],
        )

    def test_hosted(self, command: Command) -> None:
        """Has no weights."""
        assert {None} == {
            one["weights"] for one in command("models", "kling-3.0-pro", "--json").document["offers"]
        }


class TestPlan:
    def test_is_left_out_with_the_reason(self, command: Command) -> None:
        """No call fetches anything or runs another model instead."""
        said = command("generate", "a red ball rolling left", "-m", "tiny", "--yes")
        assert 5 == said.code
        assert "its weights are not on this machine: vidorch models pull tiny (12 kB)" in said.err

    def test_is_estimated_all_the_same(self, command: Command) -> None:
        """With what it needs."""
        (line,) = command("estimate", "a boat", "-m", "tiny", "--json").document["lines"]
        assert ["vidorch models pull tiny (12 kB)"] == line["needs"]


class TestPull:
    def test_unconfirmed(self, command: Command, hub: Hub) -> None:
        """Off a terminal and without --yes: what it takes, exit 3, and nothing fetched but the index."""
        said = command("models", "pull", "tiny")
        assert (3, ["model_index.json"]) == (said.code, hub.fetched())
        assert "acme/tiny: 12 files" in said.out
        assert "free" in said.out
        assert "Pass --yes" in said.err

    def test_confirmed(self, command: Command, hub: Hub) -> None:
        """It is on this machine then, and the second time nothing is asked."""
        assert 0 == command("models", "pull", "tiny", "--yes").code
        hub.asked.clear()
        said = command("models", "pull", "tiny", "--yes")
        assert (0, [], True) == (said.code, hub.asked, "All of tiny is here" in said.out)

    @pytest.mark.parametrize("name", ["local/tiny", "acme/tiny"])
    def test_other_names(self, command: Command, hub: Hub, name: str) -> None:
        """The offer's, and the hub's own."""
        assert "tiny" == command("models", "pull", name, "--yes", "--json").document["model"]

    def test_document(self, command: Command, hub: Hub) -> None:
        """One JSON document: what there was to fetch, and whether it was."""
        said = command("models", "pull", "tiny", "--json")
        assert (3, False) == (said.code, said.document["pulled"])
        assert said.document["to_fetch_bytes"] > 0
        document = command("models", "pull", "tiny", "--json", "--yes").document
        assert (True, True) == (document["pulled"], Path(document["path"]).is_dir())

    def test_bar(self, command: Command, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        """On a terminal it is seen how far it is, up to all of it."""
        drawn = io.StringIO()
        monkeypatch.setattr(
            "vidorch.cli.pulling.console",
            lambda stderr=False: Console(file=drawn, force_terminal=True, width=100, color_system=None),
        )
        assert 0 == command("models", "pull", "tiny", "--yes").code
        assert re.search(r"(\d+\.\d)/\1 kB", drawn.getvalue())

    def test_gated(self, command: Command, hub: Hub) -> None:
        """Exit 6, with where to agree and the variable."""
        said = command("models", "pull", "gated", "--yes")
        assert (6, True, True) == (said.code, "huggingface.co/acme/gated" in said.err, "HF_TOKEN" in said.err)

    def test_no_network(self, command: Command) -> None:
        """Exit 1: it may be tried again."""
        pytest.importorskip("huggingface_hub")
        said = command("models", "pull", "tiny", "--yes")
        assert (1, True) == (said.code, "could not be fetched" in said.err)

    @pytest.mark.parametrize(
        ("name", "says"),
        [("mini", "no weights to fetch"), ("kling-3.0-pro", "no weights to fetch"), ("tinny", "tiny")],
    )
    def test_mistakes(self, command: Command, name: str, says: str) -> None:
        """Exit 2, with the nearest right name."""
        said = command("models", "pull", name)
        assert (2, True) == (said.code, says in said.err)

    def test_in_a_mock(self, command: Command) -> None:
        """A mock fetches nothing."""
        from vidorch.testing import mock

        with mock():
            said = command("models", "pull", "wan-2.1-t2v-1.3b", "--yes")
        assert (5, True) == (said.code, "A mock fetches nothing" in said.err)


class TestAdd:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A fine-tune."""
        return lay_folder(tmp_path / "tuned")

    def test_is_a_model_then(self, command: Command, folder: Path, home: Path) -> None:
        """Listed, planned and written beside the user's own files."""
        said = command("models", "add", folder, "--as", "my-wan", "--like", "wan-2.1-t2v-1.3b")
        assert (0, True) == (said.code, (home / "models.toml").is_file())
        assert str(folder) in command("models", "my-wan").out
        (line,) = command("estimate", "a boat", "-m", "my-wan", "--json").document["lines"]
        assert "local/my-wan" == line["offer"]

    def test_twice(self, command: Command, folder: Path) -> None:
        """Exit 2: the name is taken."""
        command("models", "add", folder, "--as", "my-wan", "--like", "wan-2.1-t2v-1.3b")
        said = command("models", "add", folder, "--as", "my-wan", "--like", "wan-2.1-t2v-1.3b")
        assert (2, True) == (said.code, "a name that nothing else has" in said.err)

    def test_alias(self, command: Command, folder: Path, home: Path) -> None:
        """An alias of the configuration is a name."""
        home.mkdir()
        (home / "config.toml").write_text('[aliases]\nquick = "mini"\n')
        assert 2 == command("models", "add", folder, "--as", "quick", "--like", "wan-2.1-t2v-1.3b").code

    def test_like_a_model_of_a_file_of_ones_own(self, command: Command, folder: Path) -> None:
        """Exit 2: that file may be another one tomorrow."""
        assert 2 == command("models", "add", folder, "--as", "mine", "--like", "tiny").code

    def test_like_one_that_was_added(self, command: Command, folder: Path) -> None:
        """Either can be removed, and the other stays."""
        command("models", "add", folder, "--as", "one", "--like", "wan-2.1-t2v-1.3b")
        assert 0 == command("models", "add", folder, "--as", "two", "--like", "one").code
        command("models", "remove", "one")
        assert (2, 0) == (command("models", "one").code, command("models", "two").code)

    def test_document(self, command: Command, folder: Path, home: Path) -> None:
        """Where it was written, and what is missing."""
        document = command(
            "models", "add", folder, "--as", "my-wan", "--like", "wan-2.1-t2v-1.3b", "--json"
        ).document
        assert ("local/my-wan", str(home / "models.toml")) == (document["offer"], document["file"])

    def test_another_kind(self, command: Command, folder: Path, home: Path) -> None:
        """Exit 5, and nothing is written."""
        said = command("models", "add", folder, "--as", "my-wan", "--like", "ltx-2")
        assert (5, False) == (said.code, (home / "models.toml").exists())

    def test_remove(self, command: Command, folder: Path) -> None:
        """It is no model any more; its weights stay."""
        for name in ("one", "two"):
            command("models", "add", folder, "--as", name, "--like", "wan-2.1-t2v-1.3b")
        assert 0 == command("models", "remove", "one").code
        assert (2, 0, True) == (command("models", "one").code, command("models", "two").code, folder.is_dir())

    def test_remove_what_is_none(self, command: Command, folder: Path) -> None:
        """Exit 2, with the nearest; a model that ships cannot be removed."""
        command("models", "add", folder, "--as", "my-wan", "--like", "wan-2.1-t2v-1.3b")
        assert "Did you mean 'my-wan'?" in command("models", "remove", "my-wam").err
        assert 2 == command("models", "remove", "mini").code

    def test_in_a_mock(self, command: Command, folder: Path) -> None:
        """A mock's catalog is frozen."""
        from vidorch.testing import mock

        with mock():
            said = command("models", "add", folder, "--as", "my-wan", "--like", "wan-2.1-t2v-1.3b")
        assert (5, True) == (said.code, "frozen" in said.err)


class TestConfigured:
    @pytest.fixture(autouse=True)
    def configured(self, home: Path) -> None:
        """An endpoint for one's own GPU and an alias for two models."""
        home.mkdir()
        (home / "config.toml").write_text(
            '[aliases]\ndraft = ["tiny", "mini"]\n[endpoints.h100]\nprovider = "local"\ndevice = "cuda:0"\n'
        )

    def test_endpoint(self, command: Command) -> None:
        """What its provider offers is offered there, too."""
        names = {one["name"] for one in command("models", "--endpoint", "h100", "--json").document["offers"]}
        assert {"h100/tiny", "h100/wan-2.2-ti2v-5b"} <= names
        assert "h100/tiny" in command("models", "h100/tiny").out

    def test_alias(self, command: Command) -> None:
        """Stands for its models."""
        said = command("models", "draft", "--json").document
        assert {"local/tiny", "h100/tiny", "local/mini", "h100/mini"} == {
            one["name"] for one in said["offers"]
        }
        assert {"draft": ["tiny", "mini"]} == said["aliases"]

    def test_table_tells_aliases(self, command: Command) -> None:
        """With what they stand for."""
        assert "draft stands for tiny, then mini" in command("models").out

    @pytest.mark.parametrize("name", ["draft", "h100/tiny"])
    def test_pull(self, command: Command, hub: Hub, name: str) -> None:
        """The first of an alias's models that has weights; and what an endpoint of one's own offers."""
        assert "tiny" == command("models", "pull", name, "--yes", "--json").document["model"]


class TestDoctor:
    def findings(self, command: Command) -> dict[str, str]:
        return {one["what"]: one["state"] for one in command("doctor", "--json").document["findings"]}

    def test_without_weights(self, command: Command) -> None:
        """Nothing is said of hardware on which nothing could run."""
        assert "local" not in self.findings(command)

    def test_with_weights(self, command: Command, cache: Path) -> None:
        """Where they would run is said without any configuration; packages that are missing are no fault of the installation."""
        lay_cache(cache, "acme/tiny")
        assert self.findings(command)["local"] in ("ok", "note")

    def test_server_of_ones_own(self, command: Command, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that the configuration names is asked, with a key or without."""
        monkeypatch.setenv("VIDORCH_LIVE", "1")
        home.mkdir()
        with prepared("openai", Behaviour(server="sglang")) as server:
            lines = f'[endpoints.gpu]\nprovider = "openai"\nbase_url = "{server.url}/v1"\n'
            (home / "config.toml").write_text(
                f'{lines}options = {{ server = "sglang", serves = ["wan-2.2-ti2v-5b"] }}\n'
            )
            there = self.findings(command)["gpu"]
        assert ("ok", "bad") == (there, self.findings(command)["gpu"])

    def test_server_that_there_is_not(
        self, command: Command, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Is a fault of the configuration, with the nearest name."""
        monkeypatch.setenv("VIDORCH_LIVE", "1")
        home.mkdir()
        (home / "config.toml").write_text(
            '[endpoints.gpu]\nprovider = "openai"\nbase_url = "http://127.0.0.1:9/v1"\n'
            'options = { server = "sgl", serves = ["wan-2.2-ti2v-5b"] }\n'
        )
        (found,) = [one for one in command("doctor", "--json").document["findings"] if one["what"] == "gpu"]
        assert ("bad", True) == (found["state"], "Did you mean 'sglang'?" in found["detail"])
