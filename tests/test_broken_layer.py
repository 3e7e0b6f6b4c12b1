"""A layer of the catalog that is broken: nothing is estimated or paid by it, and what costs nothing and runs here still runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vidorch
from tests.cli.conftest import Command, process
from vidorch.call import parse
from vidorch.client import Client
from vidorch.errors import CatalogError
from vidorch.planning import Plan

__all__ = ["process"]

BALL = "a red ball rolling left"
WARNED = "made by the catalog that ships"


def own_layer(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    (home / "catalog.toml").write_text("[[offer]]\nmodel = 1\n")


def newer_prices(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    (home / "newer-prices.toml").write_text("format = 99\n")


def named_by_the_variable(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDORCH_CATALOG", str(home / "there is no such file"))


def named_by_the_configuration(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    (home / "config.toml").write_text('catalog = "no.toml"\n')


Break = Callable[[Path, pytest.MonkeyPatch], None]
EACH = pytest.mark.parametrize(
    "break_it", [own_layer, newer_prices, named_by_the_variable, named_by_the_configuration]
)


def to_run(client: Client, prompt: str = BALL, **options: Any) -> Plan:
    """The plan that a call of `generate` is made by."""
    return client.prepare(*parse(prompt, options))[0]


class TestFreeLocalWork:
    @EACH
    def test_is_planned_with_a_warning(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, break_it: Break
    ) -> None:
        """Whichever layer it is, the built-in model is there."""
        break_it(home, monkeypatch)
        with Client() as client, pytest.warns(UserWarning, match=WARNED):
            assert ["local/mini"] == [entry.offer.name for entry in to_run(client).entries]

    def test_runs(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A real clip comes of it, and its record is in the ledger."""
        own_layer(home, monkeypatch)
        with pytest.warns(UserWarning, match=r"catalog\.toml, line 1"):
            result = vidorch.generate(BALL, seed=1)
        assert (True, 0) == (result.clip.path is not None, result.cost)

    def test_runs_from_the_command_line(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, process: Command, tmp_path: Path
    ) -> None:
        """Exit 0, and the warning is said once."""
        own_layer(home, monkeypatch)
        said = process("generate", BALL, "--seed", 1, "-o", tmp_path / "ball.mp4")
        assert (0, 1, True) == (said.code, said.err.count(WARNED), (tmp_path / "ball.mp4").exists())

    def test_is_warned_of_once(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not with each clip."""
        own_layer(home, monkeypatch)
        with Client() as client, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            to_run(client)
            to_run(client, model="mini")
        assert 1 == len([one for one in caught if WARNED in str(one.message)])

    def test_with_an_endpoint_that_the_layer_would_tell_of(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A configured server whose provider stands in the broken file alone does not stop it either."""
        own_layer(home, monkeypatch)
        (home / "config.toml").write_text(
            '[endpoints.studio]\nprovider = "acme"\nbase_url = "https://studio.example/v1"\n'
        )
        with Client() as client, pytest.warns(UserWarning, match=WARNED):
            assert ["local/mini"] == [entry.offer.name for entry in to_run(client).entries]

    def test_mended_later(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A client that went on without the layer goes by it once it can be read."""
        own_layer(home, monkeypatch)
        with Client() as client:
            with pytest.warns(UserWarning, match=WARNED):
                to_run(client)
            (home / "catalog.toml").write_text("")
            assert "runway/gen4.5" == client.estimate("a boat", model="gen4.5").lines[0].offer


class TestEverythingElse:
    @EACH
    @pytest.mark.parametrize(
        "options",
        [{"model": "gen4.5"}, {"model": ["mini", "gen4.5"]}, {"route": "cheapest"}, {"prompt": "a parliament of owls"}, {"model": "studio/own"}],
    )  # fmt: skip
    def test_is_an_error(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, break_it: Break, options: dict[str, Any]
    ) -> None:
        """What might cost anything, and advice of what would, goes by no other prices than the user's."""
        break_it(home, monkeypatch)
        with Client() as client, pytest.raises(CatalogError):
            to_run(client, **options)

    def test_an_estimate_is_one(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of the built-in model, too: an estimate is what prices are read for."""
        own_layer(home, monkeypatch)
        with Client() as client, pytest.raises(CatalogError, match=r"catalog\.toml, line 1"):
            client.estimate(BALL)

    def test_an_argument_is_one(self, home: Path) -> None:
        """A layer that the call's own program brought is the program's mistake."""
        with Client(catalog={"offer": [{"model": 1}]}) as client, pytest.raises(CatalogError):
            to_run(client)

    def test_configured_models_count(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """With a hosted model as the default, a call that names none is no free one."""
        own_layer(home, monkeypatch)
        (home / "config.toml").write_text('model = "gen4.5"\n')
        with Client() as client, pytest.raises(CatalogError):
            to_run(client)
