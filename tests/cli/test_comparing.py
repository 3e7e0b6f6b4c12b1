"""`vidorch estimate --compare` and `--clips`: every model at one glance, on any terminal."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Command, Said
from vidorch.cli import comparing

CLIP = ("estimate", "a cat on a beach", "--duration", 5, "--resolution", "720p")
Sized = Callable[..., Said]


@pytest.fixture
def on_terminal(command: Command, monkeypatch: pytest.MonkeyPatch) -> Sized:
    """Types a command on a terminal of so many columns."""
    from rich.console import Console

    def type_in(columns: int, *words: object) -> Said:
        terminal = lambda: Console(  # noqa: E731
            width=columns,
            force_terminal=True,
            no_color=True,
            color_system=None,
            highlight=False,
            soft_wrap=True,
        )
        monkeypatch.setattr(comparing, "console", terminal)
        return command(*words)

    return type_in


def row(said: Said, offer: str) -> str:
    """The row of the table, its columns apart by two spaces."""
    return re.sub(" {2,}", "  ", next(line for line in said.lines if line.startswith(f" {offer} "))).strip()


class TestCompare:
    @pytest.mark.parametrize("columns", [80, 120, 200])
    def test_fits_the_terminal(self, on_terminal: Sized, columns: int) -> None:
        """No line is wider than the terminal, and no name or amount is broken."""
        said = on_terminal(columns, *CLIP, "--compare")
        assert max(map(len, said.lines)) <= columns
        assert "runway/gen4.5  5 s 720p  $0.60  -" in row(said, "runway/gen4.5")
        assert "kling/kling-2.5-turbo-standard  5 s 720p  $0.21  50-120 s" in row(
            said, "kling/kling-2.5-turbo-standard"
        )

    def test_wide_terminals_tell_more(self, on_terminal: Sized) -> None:
        """With room, the unit price, its day and the missing key stand in the row."""
        said = on_terminal(200, *CLIP, "--compare", "-m", "gen4.5")
        assert row(said, "runway/gen4.5").endswith(
            "12 credits ($0.12) per second  2026-09-25  RUNWAYML_API_SECRET"
        )

    def test_narrow_terminals_name_the_keys_below(self, on_terminal: Sized) -> None:
        """Without room, the keys are named once for each vendor."""
        assert (
            "Keys: runway RUNWAYML_API_SECRET." in on_terminal(80, *CLIP, "--compare", "-m", "gen4.5").lines
        )

    def test_what_is_longer_is_cut(self, command: Command) -> None:
        """Veo makes 4, 6 or 8 s: compared at 5 s is what 6 s cost, and it says so."""
        said = command(*CLIP, "--compare", "-m", "fal/veo-3.1-fast")
        assert row(said, "fal/veo-3.1-fast").startswith("fal/veo-3.1-fast  6 s 720p  $0.60  11-360 s")
        assert (
            "Those that cannot make 5 s make the next longer clip, which is paid whole and cut." in said.lines
        )

    def test_strict_is_strict(self, command: Command) -> None:
        """With --fit strict nothing longer is bought."""
        said = command(*CLIP, "--compare", "-m", "fal/veo-3.1-fast", "--fit", "strict")
        assert (5, True) == (said.code, "1 cannot do duration 5 s" in said.out)

    def test_an_unconfirmed_price_is_marked_and_explained(self, command: Command) -> None:
        """A question mark in the row, one line for what it means, whose word it is with --all."""
        said = command(*CLIP, "--compare", "-m", "fal/seedance-2.0", "--all")
        assert "$1.52 ?" in row(said, "fal/seedance-2.0")
        assert (
            "?: a price that nobody could confirm at its vendor (1 of 1); whose word it is: --all."
            in said.lines
        )
        assert "fal/seedance-2.0: price not confirmed: LiteLLM" in said.out

    def test_an_unknown_time_is_a_dash(self, command: Command) -> None:
        """Nothing is made up where nobody knows how long a model takes."""
        assert "How long these take nobody knows." in command(*CLIP, "--compare", "-m", "gen4.5").lines
        assert (
            "; -: nobody knows."
            in command(*CLIP, "--compare", "-m", "gen4.5", "-m", "kling-3.0-standard").out
        )

    def test_the_others_are_summed_up(self, command: Command) -> None:
        """Each kind of reason is one count; --all says each."""
        short, long = command(*CLIP, "--compare"), command(*CLIP, "--compare", "--all")
        assert "left out:" not in short.out
        assert re.search(r"Left out: \d+ cannot do resolution 720p; .*Each with its reason: --all", short.out)
        assert "left out: fal/kling-3.0-4k: resolution 720p: makes 4k" in long.lines

    def test_every_offer_is_accounted_for(self, command: Command) -> None:
        """What is compared, retired and counted as left out together is the catalog."""
        said, document = command(*CLIP, "--compare"), command(*CLIP, "--compare", "--json").document
        summed = sum(map(int, re.findall(r"(\d+) (?:cannot do|without a price|are refused)", said.out)))
        retired = sum("retired" in one["kinds"] for one in document["left_out"])
        assert len(document["left_out"]) == summed + retired

    def test_sora_is_history(self, command: Command) -> None:
        """What is switched off is no offer: its day and its last price are told."""
        said = command(*CLIP, "--compare")
        assert not [line for line in said.lines if line.startswith(" openai/sora-2 ")]
        (told,) = (line for line in said.lines if line.startswith("openai/sora-2:"))
        assert "switched off by its vendor on 2026-09-24" in told
        assert told.endswith("Its last price: $0.10 per second.")

    def test_of_families(self, command: Command) -> None:
        """--family compares the offers of that family, wherever they are sold."""
        document = command(*CLIP, "--compare", "--family", "veo", "--family", "sora", "--json").document
        offers = {one["offer"] for one in document["lines"] + document["left_out"]}
        assert {"veo", "sora"} == {offer.partition("/")[2].partition("-")[0] for offer in offers}
        assert "runway/veo-3.1" in offers

    def test_of_an_unknown_family(self, command: Command) -> None:
        """Exit 2 and the nearest name."""
        said = command(*CLIP, "--compare", "--family", "vea")
        assert (2, True) == (said.code, "Did you mean 'veo'?" in said.err)

    @pytest.mark.parametrize(
        "words", [("--family", "veo"), ("--all",), ("--compare", "--family", "veo", "-m", "gen4.5")]
    )
    def test_contradictions_are_refused(self, command: Command, words: tuple[str, ...]) -> None:
        """What says twice what to compare, or belongs to a comparison that is not asked for, is a mistake."""
        assert 2 == command(*CLIP, *words).code

    def test_own_hardware(self, command: Command) -> None:
        """Nothing is made up for self-hosted models; how to add one's own is said where everything is compared."""
        assert "A server of your own is compared" in command(*CLIP, "--compare").out
        assert "A server of your own is compared" in command(*CLIP, "--compare", "--family", "wan").out
        assert "Self-hosted" not in command(*CLIP, "--compare", "-m", "gen4.5").out


class TestFilm:
    def test_cost_of_all_time_of_one(self, command: Command) -> None:
        """Twelve clips with three candidates each are 36 bought clips; the time stays that of one."""
        said = command(*CLIP, "--compare", "-m", "kling/kling-3.0-standard", "--clips", 12, "-n", 3)
        assert row(said, "kling/kling-3.0-standard").startswith(
            "kling/kling-3.0-standard  5 s 720p  $15.12  50-284 s"
        )
        assert "a film of 12 clips, 3 candidates of each: cost of all 36, time of one clip" in said.out
        assert "as long as one if all are made at once, 12 times as long one after another." in said.out

    def test_without_comparing(self, command: Command) -> None:
        """--clips holds for a plain estimate, too."""
        document = command(*CLIP, "-m", "gen4.5", "--clips", 12, "--json").document
        assert (12, 1, "7.20") == (
            document["clips"],
            document["candidates"],
            document["cost"]["expected"],
        )

    def test_max_cost_is_for_the_whole_film(self, command: Command) -> None:
        """A film that costs more than --max-cost ends with code 4, though one clip of it would fit."""
        said = command(*CLIP, "-m", "gen4.5", "--clips", 12, "--max-cost", 5)
        assert (4, True) == (said.code, "up to $7.20 and max_cost is $5.00" in said.err)
        assert 0 == command(*CLIP, "-m", "gen4.5", "--clips", 12, "--max-cost", "7.20").code

    def test_a_configured_max_cost_is_for_the_whole_film_too(self, command: Command, home: Path) -> None:
        """As one that is typed, which goes before it."""
        home.mkdir()
        (home / "config.toml").write_text('max_cost = "5"\n', "utf-8")
        said = command(*CLIP, "-m", "gen4.5", "--clips", 12)
        assert (4, True) == (said.code, "up to $7.20 and max_cost is $5.00" in said.err)
        assert 0 == command(*CLIP, "-m", "gen4.5", "--clips", 2).code

    def test_a_batch_is_no_film(self, command: Command, tmp_path: Path) -> None:
        """A file of requests says itself how many clips it is: neither --clips nor --compare goes with it."""
        (tmp_path / "lines.jsonl").write_text('{"prompt": "a red ball rolling left"}\n', "utf-8")
        for words in (("--clips", 12), ("--compare",)):
            said = command("estimate", "--batch", tmp_path / "lines.jsonl", *words)
            assert (2, True) == (said.code, f"{words[0]} goes with one PROMPT" in said.err)


class TestOwnHardware:
    """What one's own machines take, beside what vendors ask."""

    @pytest.fixture
    def configured(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A card in this machine at 3.60 an hour, and a server elsewhere that is billed."""
        place = tmp_path / "machines.toml"
        place.write_text(
            '[endpoints.local]\ndevice = "cuda:0"\nusd_per_hour = "3.60"\n[endpoints.h100]\nprovider = "openai"\n'
            'base_url = "http://127.0.0.1:9"\nusd_per_hour = "7.20"\nbilled = true\n'
            'options = { server = "vllm-omni", serves = ["wan-2.2-ti2v-5b"] }\n',
            "utf-8",
        )
        monkeypatch.setenv("VIDORCH_CONFIG", str(place))

    @pytest.mark.usefixtures("configured")
    def test_compared(self, on_terminal: Sized) -> None:
        """In brackets where it is imputed: 91 to 540 s of the 5B model, 170 as a rule, at a tenth of a cent and at two a second."""
        said = on_terminal(200, *CLIP, "--compare", "--family", "wan")
        own = row(said, "local/wan-2.2-ti2v-5b")
        assert "($0.17-0.54)  91-540 s  $3.60 per hour" in own
        assert "$0.34-1.08  91-540 s  $7.20 per hour" in row(said, "h100/wan-2.2-ti2v-5b")
        assert "(...): imputed: what hours of your own hardware come to" in said.out.replace("\n", " ")

    @pytest.mark.usefixtures("configured")
    def test_estimated(self, command: Command) -> None:
        """As a table and as a document: what is imputed beside a cost of nothing."""
        said = command(*CLIP, "-m", "local/wan-2.2-ti2v-5b")
        assert "imputed $0.17 to $0.54" in said.out
        found = command(*CLIP, "-m", "local/wan-2.2-ti2v-5b", "--json").document
        assert ("0", {"low": "0.091", "expected": "0.17", "high": "0.54"}, "hours") == (
            *(found["cost"]["high"], found["imputed"]),
            found["lines"][0]["rule"],
        )

    @pytest.mark.usefixtures("configured")
    def test_billed(self, command: Command) -> None:
        """What is spent is a cost, and counts against --max-cost."""
        found = command(*CLIP, "-m", "h100/wan-2.2-ti2v-5b", "--json").document
        assert ("0.34", None) == (found["cost"]["expected"], found["imputed"])
        assert 0 != command(*CLIP, "-m", "h100/wan-2.2-ti2v-5b", "--max-cost", "1.00").code
        assert 0 == command(*CLIP, "-m", "local/wan-2.2-ti2v-5b", "--max-cost", "0.01").code

    @pytest.mark.usefixtures("configured")
    def test_the_cheapest(self, command: Command) -> None:
        """It goes by all that it takes, whoever pays for it."""
        found = command(*CLIP, "--route", "cheapest", "-m", "fal/wan-2.2-a14b", "-m", "local/wan-2.2-ti2v-5b",
                        "-m", "h100/wan-2.2-ti2v-5b", "--json").document  # fmt: skip
        assert ["local/wan-2.2-ti2v-5b", "h100/wan-2.2-ti2v-5b", "fal/wan-2.2-a14b"] == [
            line["offer"] for line in found["lines"]
        ]
