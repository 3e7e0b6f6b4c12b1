"""`vidorch config` and `vidorch setup`."""

from __future__ import annotations

import io
import stat
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.test_check import KEY, Acme, acme  # noqa: F401  (a fixture)
from vidorch.config.keys import keys_file, stored_keys


@pytest.fixture
def acme_here(acme: Acme, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Acme:  # noqa: F811
    """A vendor with one good key, in the catalog."""
    layer = tmp_path / "acme.toml"
    layer.write_text(
        '[[offer]]\nlike = "runway/gen4.5"\nendpoint = "acme"\nprovider = "acme"\ntitle = "Acme"\nas_of = 2026-11-26\n'
        'variables = ["ACME_KEY", "ACME_TOKEN"]\n[offer.price]\nsource = "x"\n[[offer.price.row]]\nper_second = 0.1\n',
        "utf-8",
    )
    monkeypatch.setenv("VIDORCH_CATALOG", str(layer))
    return acme


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


class TestConfig:
    def test_shows_each_setting_with_its_origin(
        self, command: Command, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The value that holds, and the file and line, variable, or default that it is from."""
        home.mkdir()
        (home / "config.toml").write_text('max_cost = "2.50"\n[aliases]\nbest = ["a", "b"]\n', "utf-8")
        (tmp_path / "vidorch.toml").write_text("[endpoints.gpu]\nconcurrency = 3\n", "utf-8")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("VIDORCH_MODEL", "kling-3.0-pro")
        settings = command("config", "--json").document["settings"]
        assert {"value": "2.50", "origin": f"user file {home / 'config.toml'}, line 1"} == settings[
            "max_cost"
        ]
        assert {"value": ["kling-3.0-pro"], "origin": "environment VIDORCH_MODEL"} == settings["model"]
        assert (["a", "b"], 3) == (
            settings["aliases.best"]["value"],
            settings["endpoints.gpu.concurrency"]["value"],
        )
        assert "default" == settings["timeout"]["origin"]
        out = command("config").out
        assert "$2.50" in out
        assert str(tmp_path / "vidorch.toml") in out

    def test_of_a_broken_file(self, command: Command, home: Path) -> None:
        """Exit 2 with file, line and the nearest name."""
        home.mkdir()
        (home / "config.toml").write_text('\nmax_cots = "1"\n', "utf-8")
        said = command("config")
        assert (2, True, True) == (said.code, "line 2" in said.err, "'max_cost'" in said.err)

    def test_of_what_is_not_there(self, command: Command, home: Path) -> None:
        """A provider, a model or an alias's model that nobody knows is told with its place, and doctor calls it bad."""
        home.mkdir()
        (home / "config.toml").write_text(
            'model = "kling-3-pro"\n[aliases]\nbest = ["nonesuch", "fal-eu/kling-3.0-pro", "fal:own/id"]\nagain = "best"\n'
            '[endpoints.x]\nprovider = "fall"\n[endpoints.fal-eu]\nprovider = "fal"\n', "utf-8",
        )  # fmt: skip
        warnings = command("config", "--json").document["warnings"]
        assert 3 == len(warnings)
        assert "endpoint x" in warnings[0]
        assert "no provider 'fall', but 'fal'" in warnings[0]
        assert "line 1): no model 'kling-3-pro'" in warnings[1]
        assert "aliases.best" in warnings[2]
        assert "Warning: aliases.best" in command("config").out
        said = command("doctor")
        assert (1, True) == (said.code, "no model 'nonesuch'" in said.out)

    def test_writes_nothing(self, command: Command, home: Path) -> None:
        """Looking makes no file."""
        assert (0, False) == (command("config").code, home.exists())


@pytest.mark.usefixtures("acme_here")
class TestSetup:
    def test_keeps_a_key_that_is_taken(
        self, command: Command, acme_here: Acme, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Tried by a call that costs nothing, then kept where only its owner can read it, and used from then on."""
        type_in(monkeypatch, f"{KEY}\n")
        said = command("setup", "acme")
        assert (0, {"ACME_KEY": KEY}) == (said.code, dict(stored_keys()))
        assert 0o600 == stat.S_IMODE(keys_file().stat().st_mode)
        assert KEY not in said.out + said.err
        assert "ACME_KEY is set" in command("doctor").out
        assert {KEY} == {secret for _, secret in acme_here.seen}

    def test_does_not_keep_one_that_is_not(
        self, command: Command, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The vendor's words, exit 1, and nothing is written."""
        type_in(monkeypatch, "sk-wrong\n")
        said = command("setup", "acme")
        assert (1, {}) == (said.code, dict(stored_keys()))
        assert "does not take this key: 401: no such key" in said.err
        assert "sk-wrong" not in said.out + said.err

    def test_says_who_was_asked(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where a variable has its calls go to a server that is not the vendor's: that one took the key."""
        monkeypatch.setenv("VIDORCH_ACME_BASE_URL", "http://127.0.0.1:9/v1")
        type_in(monkeypatch, f"{KEY}\n")
        said = command("setup", "acme")
        assert "not acme itself that was asked" in said.err
        assert "http://127.0.0.1:9/v1, for VIDORCH_ACME_BASE_URL is set" in " ".join(said.err.split())

    def test_of_another_variable(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        """Any one that the endpoint reads; no other."""
        type_in(monkeypatch, f"{KEY}\n")
        assert 0 == command("setup", "acme", "--variable", "ACME_TOKEN").code
        assert ["ACME_TOKEN"] == list(stored_keys())
        said = command("setup", "acme", "--variable", "FAL_KEY")
        assert (2, True) == (said.code, "ACME_KEY or ACME_TOKEN" in said.err)

    def test_of_nobody(self, command: Command) -> None:
        """An unknown name is told with the nearest one, before a key is asked for."""
        said = command("setup", "acne")
        assert (2, True) == (said.code, "Did you mean acme?" in said.err)

    def test_without_a_key(self, command: Command, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is tried and nothing is kept."""
        type_in(monkeypatch, "\n")
        assert (2, False) == (command("setup", "acme").code, keys_file().exists())
