"""`vidorch models`: its filters, `--check` and `update`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import Command


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
