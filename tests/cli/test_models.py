"""`vidorch models`: its filters, `--check` and `update`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.cli.conftest import Command
from vidorch.catalog import load
from vidorch.testing.servers.fal import Fal


def offers(command: Command, *words: object) -> dict[str, Any]:
    """What `models WORDS --json` lists, by name."""
    said = command("models", *words, "--json")
    assert 0 == said.code
    return {one["name"]: one for one in said.document["offers"]}


class TestFilters:
    def test_hold_together(self, command: Command) -> None:
        """A model whose 1080p is silent is not listed for 1080p with sound."""
        assert "replicate/seedance-1.5-pro" in offers(command, "--no-audio", "--resolution", "1080p")
        assert "replicate/seedance-1.5-pro" not in offers(command, "--audio", "--resolution", "1080p")

    def test_document_has_the_rate_that_was_compared(self, command: Command) -> None:
        """With the task, resolution, sound and seconds that it is of."""
        found = offers(
            command, "--resolution", "720p", "--under", "0.12", "--endpoint", "fal", "--family", "veo"
        )
        rates = {name: one["compared"] for name, one in found.items()}
        assert {
            "task": "text-to-video",
            "resolution": "720p",
            "audio": False,
            "seconds": "6",
            "rate": "0.1",
        } == rates["fal/veo-3.1-fast"]
        assert all(float(one["rate"]) < 0.12 for one in rates.values())

    def test_table_shows_the_rate(self, command: Command) -> None:
        """Beside the range of all prices stands the one that was compared."""
        out = command("models", "--audio", "--resolution", "1080p", "--under", "0.13").out
        (row,) = [line for line in out.splitlines() if "vertex/veo-3.1-fast" in line]
        assert "$0.12/s" in row

    def test_live_on(self, command: Command) -> None:
        """Veo 3.1 on Vertex is said to end in November 2026."""
        assert "vertex/veo-3.1-fast" in offers(command, "--live-on", "2026-11-16")
        assert "vertex/veo-3.1-fast" not in offers(command, "--live-on", "2026-12-31")

    def test_ready(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        """What needs no key is ready, and with its key what needs one."""
        assert ["local/mini"] == list(offers(command, "--ready"))
        monkeypatch.setenv("RUNWAYML_API_SECRET", "a key")
        assert {"local", "runway"} == {one["endpoint"] for one in offers(command, "--ready").values()}

    def test_of_one_model(self, command: Command) -> None:
        """They hold for a model's offers, too."""
        assert ["replicate/kling-3.0-pro"] == list(
            offers(command, "kling-3.0-pro", "--endpoint", "replicate")
        )

    def test_nothing_passes(self, command: Command) -> None:
        """That is said, and is no failure."""
        said = command("models", "--resolution", "4k", "--under", "0.01")
        assert (0, True) == (said.code, "No model does all of that" in said.out)

    def test_mistakes(self, command: Command) -> None:
        """Exit 2, with the nearest right name."""
        said = command("models", "--family", "klin")
        assert (2, True) == (said.code, "Did you mean kling?" in said.err)

    def test_list_may_be_said(self, command: Command) -> None:
        """`models` is short for `models list`."""
        assert command("models", "list", "gen4.5").out == command("models", "gen4.5").out


class TestCheck:
    def test_what_needs_a_look(self, command: Command) -> None:
        """Exit 1, with kind, offer, day and source of each."""
        said = command("models", "--check", "--json")
        assert 1 == said.code
        assert said.document["findings"][0].keys() == {"kind", "offer", "when", "day", "confirmed", "source"}
        assert ("openai/sora-2", "ended", "2026-09-24") in {
            (one["offer"], one["kind"], one["day"]) for one in said.document["findings"]
        }

    def test_nothing_does(self, command: Command) -> None:
        """Exit 0."""
        said = command("models", "mini", "--check")
        assert (0, True) == (said.code, "nothing needs a look" in said.out)

    def test_as_a_table(self, command: Command) -> None:
        """One line for each, and how many there are of which kind."""
        out = command("models", "--check", "--family", "sora").out
        assert "openai/sora-2-pro" in out
        assert "2 ended" in out

    def test_of_what_passes(self, command: Command) -> None:
        """Filters hold here, too."""
        findings = command("models", "--check", "--endpoint", "vertex", "--json").document["findings"]
        assert {"vertex"} == {one["offer"].partition("/")[0] for one in findings}


@pytest.fixture
def price_map(tmp_path: Path) -> Path:
    """A map as LiteLLM has it: gen4.5 at 13 cents, and veo-3.1 at Runway, whose price depends on sound."""
    rows = {
        f"runwayml/{name}": {
            "litellm_provider": "runwayml",
            "mode": "video_generation",
            "output_cost_per_second": rate,
        }
        for name, rate in (("gen4.5", 0.13), ("veo3.1", 0.5))
    }
    path = tmp_path / "map.json"
    path.write_text(json.dumps(rows))
    return path


@pytest.fixture
def fal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fal]:
    """fal, on the loopback, with a key for it."""
    with Fal() as server:
        monkeypatch.setenv("VIDORCH_FAL_BASE_URL", server.url)
        monkeypatch.setenv("FAL_KEY", server.key)
        yield server


def price_of_gen45() -> str:
    offer = load().offer("runway/gen4.5")
    assert offer is not None
    return f"{offer.price.rows[0].per_second * offer.price.usd_per_unit:f}"


class TestUpdate:
    def test_unconfirmed(self, command: Command, price_map: Path, home: Path) -> None:
        """Off a terminal and without --yes: the changes, exit 3, and nothing written."""
        said = command("models", "update", price_map)
        assert (3, False) == (said.code, home.exists())
        (row,) = [line for line in said.out.splitlines() if "runway/gen4.5" in line]
        assert ("$0.12/s", "$0.13/s") == tuple(word for word in row.split() if word.endswith("/s"))
        assert "Pass --yes" in said.err

    def test_confirmed(self, command: Command, price_map: Path, home: Path) -> None:
        """What is estimated from then on goes by the new price, and says whose it is."""
        assert 0 == command("models", "update", price_map, "--yes").code
        assert [home / "newer-prices.toml"] == list(home.iterdir())
        line = command("estimate", "a boat", "-m", "gen4.5", "--duration", 5, "--json").document["lines"][0]
        assert ("0.65", False) == (line["cost"]["expected"], line["confirmed"])
        assert "LiteLLM" in line["price_source"]

    def test_document(self, command: Command, price_map: Path) -> None:
        """One JSON document: each change, each row that was left alone and why, and whether it was written."""
        said = command("models", "update", price_map, "--json")
        assert (3, False) == (said.code, said.document["written"])
        (change,) = said.document["changes"]
        assert ("runway/gen4.5", "0.12", "0.13") == (change["offer"], change["old"], change["new"])
        assert {"runway/veo-3.1"} == {one["offer"] for one in said.document["left_alone"]}
        assert command("models", "update", price_map, "--json", "--yes").document["written"]

    def test_twice(self, command: Command, price_map: Path) -> None:
        """The second time there is nothing to change."""
        command("models", "update", price_map, "--yes")
        said = command("models", "update", price_map)
        assert (0, True) == (said.code, "nothing to change" in said.err)

    def test_day_of_a_file(self, command: Command, price_map: Path) -> None:
        """A file that lay about for a year knows nothing newer; --as-of says otherwise, but no day to come."""
        os.utime(price_map, (1_700_000_000, 1_700_000_000))
        assert [] == command("models", "update", price_map, "--json").document["changes"]
        assert 3 == command("models", "update", price_map, "--as-of", "2026-11-25").code
        assert 2 == command("models", "update", price_map, "--as-of", "2999-01-01").code

    def test_layer_of_ones_own(self, command: Command, price_map: Path, home: Path) -> None:
        """Its prices are neither changed nor hidden."""
        home.mkdir()
        own = '[[offer]]\nlike = "runway/gen4.5"\nas_of = 2026-11-25\nprice = { source = "ours", row = [{ per_second = 0.07 }] }\n'
        (home / "catalog.toml").write_text(own)
        document = command("models", "update", price_map, "--yes", "--json").document
        assert [] == document["changes"]
        assert any("your own layer has it" in one["reason"] for one in document["left_alone"])
        assert ("0.07", own) == (price_of_gen45(), (home / "catalog.toml").read_text())

    @pytest.mark.parametrize("content", ["<html>", "{}", "[1]"])
    def test_that_is_none(self, command: Command, tmp_path: Path, content: str) -> None:
        """Exit 2, named, and nothing is changed."""
        (tmp_path / "map.json").write_text(content)
        said = command("models", "update", tmp_path / "map.json", "--yes")
        assert (2, True) == (said.code, "Nothing was changed" in said.err)

    def test_too_large(self, command: Command, price_map: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """No more is read than a map of prices can have."""
        monkeypatch.setattr("vidorch.catalog.litellm.LARGEST", 100)
        said = command("models", "update", price_map, "--yes")
        assert (2, True) == (said.code, "too many for a map of prices" in said.err)

    def test_that_is_not_there(self, command: Command, tmp_path: Path) -> None:
        """Exit 2, with what a source may be."""
        said = command("models", "update", tmp_path / "no.json")
        assert (2, True) == (said.code, "an https URL, or an endpoint such as fal" in said.err)

    def test_in_a_mock(self, command: Command, price_map: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A mock's prices are frozen."""
        from vidorch.testing import mock

        with mock():
            said = command("models", "update", price_map, "--yes")
        assert (2, True) == (said.code, "frozen" in said.err)

    def test_of_fal(self, command: Command, fal: Fal) -> None:
        """With one's own key: what an endpoint costs this account, confirmed, and nothing that one figure cannot say."""
        fal.prices["fal-ai/kling-video/v3/4k/text-to-video"] = (0.4, "seconds")
        fal.prices["fal-ai/kling-video/v3/4k/image-to-video"] = (0.4, "seconds")
        document = command("models", "update", "fal", "--yes", "--json").document
        (change,) = [one for one in document["changes"] if one["offer"] == "fal/kling-3.0-4k"]
        assert ("0.42", "0.4", True) == (change["old"], change["new"], change["confirmed"])
        assert {"fal/kling-3.0-pro", "fal/veo-3.1"} <= {one["offer"] for one in document["left_alone"]}
        assert not [
            one for one in document["changes"] if one["offer"] in ("fal/kling-3.0-pro", "fal/flux-2-pro")
        ]

    def test_of_fal_without_a_key(self, command: Command, fal: Fal, monkeypatch: pytest.MonkeyPatch) -> None:
        """Exit 6, and fal is not asked."""
        monkeypatch.delenv("FAL_KEY")
        said = command("models", "update", "fal")
        assert (6, [], True) == (said.code, fal.requests, "FAL_KEY" in said.err)

    def test_of_one_without_an_api_of_prices(self, command: Command) -> None:
        """Exit 5, naming who has one."""
        said = command("models", "update", "runway")
        assert (5, True) == (said.code, "These do: fal" in said.err)


class TestTable:
    @pytest.fixture
    def on_terminal(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
        """Makes the terminal that `models` writes to one of so many columns."""

        def of(columns: int) -> None:
            terminal = lambda: Console(width=columns, force_terminal=True, color_system=None, soft_wrap=True)  # noqa: E731
            monkeypatch.setattr("vidorch.cli.models.console", terminal)

        return of

    @pytest.mark.parametrize("words", [[], ["--task", "text-to-video"], ["kling-3.0-pro"], ["--all"]])
    def test_fits_a_narrow_terminal(
        self, command: Command, on_terminal: Callable[[int], None], words: list[str]
    ) -> None:
        """No row is wider than 80 columns."""
        on_terminal(80)
        said = command("models", *words)
        assert [] == [line for line in said.lines if len(line) > 80 and "://" not in line]

    def test_breaks_no_word_where_it_is_narrow(
        self, command: Command, on_terminal: Callable[[int], None]
    ) -> None:
        """Lengths, sizes and sound stay whole; what each endpoint still needs is said below."""
        on_terminal(80)
        said = command("models", "--family", "seedance")
        words = set(said.out.split())
        assert {"seconds", "size", "sound", "1080p"} <= words
        assert "fal: needs FAL_KEY" in said.lines

    def test_says_what_differs_within_an_endpoint(
        self, command: Command, on_terminal: Callable[[int], None]
    ) -> None:
        """Of one's own hardware: what is ready, and what is still to be fetched."""
        on_terminal(80)
        assert (
            "local: ready (mini); not pulled (the others)" in command("models", "--endpoint", "local").lines
        )

    def test_needs_stand_in_the_row_of_a_wide_terminal(
        self, command: Command, on_terminal: Callable[[int], None]
    ) -> None:
        """Where there is room for them."""
        on_terminal(160)
        said = command("models", "--endpoint", "fal")
        (row,) = [line for line in said.lines if line.startswith(" fal/kling-3.0-pro ")]
        assert row.rstrip().endswith("needs FAL_KEY")
