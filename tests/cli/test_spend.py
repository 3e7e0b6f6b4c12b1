"""`vidorch spend`."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.conftest import Command
from tests.engine.scripted import Scripted


class TestSpend:
    def test_of_nothing(self, command: Command, home: Path) -> None:
        """Says so, and makes no ledger."""
        said = command("spend")
        assert (0, "Nothing was made yet.\n", False) == (said.code, said.out, home.exists())

    def test_as_table_json_and_csv(self, command: Command, scripted: Scripted) -> None:
        """The same numbers, for eyes, programs and spreadsheets."""
        command("generate", "a", "-m", "test/paid", "--yes")
        command("generate", "b", "-m", "test/basic")
        out = command("spend").out
        assert "$0.10" in out
        assert "paid" in out
        document = command("spend", "--by", "endpoint", "--json").document
        assert (["test"], 2) == ([line["name"] for line in document["lines"]], document["total"]["clips"])
        rows = list(csv.DictReader(io.StringIO(command("spend", "--csv").out)))
        assert [("paid", 0.1), ("basic", 0.0), ("total", 0.1)] == [
            (row["model"], float(row["cost"])) for row in rows
        ]
        assert float(rows[0]["latency_p50"]) >= float(rows[0]["run_p50"])

    def test_of_some_days(self, command: Command, scripted: Scripted) -> None:
        """--since and --until are days."""
        command("generate", "b", "-m", "test/basic")
        assert 1 == command("spend", "--since", "2020-01-01", "--json").document["total"]["jobs"]
        assert 0 == command("spend", "--until", "2020-01-01", "--json").document["total"]["jobs"]

    @pytest.mark.parametrize(
        ("words", "said"),
        [(["--by", "modle"], "Did you mean model?"), (["--since", "yesterday"], "2026-11-26")],
    )
    def test_of_what_cannot_be(self, command: Command, words: list[str], said: str) -> None:
        """Exit 2, and what would do."""
        found = command("spend", *words)
        assert (2, True) == (found.code, said in found.err)

    def test_on_a_narrow_terminal(
        self, command: Command, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What has no room side by side stands one below the other, and no figure is cut."""
        terminal = lambda: Console(width=80, force_terminal=True, color_system=None, soft_wrap=True)  # noqa: E731
        monkeypatch.setattr("vidorch.cli.spend.console", terminal)
        command("generate", "a", "-m", "test/paid", "--yes")
        monkeypatch.setattr("vidorch.cli.spend._took", lambda one: "1.234 / 12.34 / 123.4")
        said = command("spend")
        assert max(map(len, said.lines)) <= 80
        assert 2 == len(re.findall(r" (?:paid|total) +in all +1\.234 / 12\.34 / 123\.4", said.out))
        assert 2 == len(re.findall(r" download +1\.234 / 12\.34 / 123\.4", said.out))
