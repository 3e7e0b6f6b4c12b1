"""`vidorch generate` where it costs: what each option does, what is asked and what the end says, under a mock."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from vidorch.cli import consent
from vidorch.testing import Mock, mock

UNPRICED = {
    "offer": [
        {"like": "test/basic", "model": "guess", "as_of": date(2026, 11, 22), "price": {"rule": "unpriced", "source": "a test"}}
    ]
}  # fmt: skip
GUESS = ("generate", "a boat", "-m", "test/guess", "--allow-unpriced")
BUY = ("generate", "a boat", "--yes")
BASIC = (*BUY, "-m", "test/basic")


def answers(m: Mock) -> list[str]:
    return [one.answer for one in m.requests]


class TestKey:
    def test_pays_once(self, command: Command, vidorch_mock: Mock) -> None:
        """The same call with its key gives the same clip, for one submit."""
        first, second = (command(*BASIC, "--key", "k", "--seed", 1) for _ in range(2))
        assert (0, 0, first.out, 1) == (first.code, second.code, second.out, len(vidorch_mock.requests))

    def test_asks_nothing_where_nothing_is_left_to_pay(self, command: Command, vidorch_mock: Mock) -> None:
        """Joining a run that is paid needs no --yes."""
        words = ("generate", "a boat", "-m", "test/basic", "--key", "k", "--seed", 1)
        command(*words, "--yes")
        assert 0 == command(*words).code

    def test_with_another_output(self, command: Command, vidorch_mock: Mock, tmp_path: Path) -> None:
        """The clip lies there too, and that place is on stdout."""
        words = (*BASIC, "--key", "k", "-o")
        command(*words, tmp_path / "a.mp4")
        said = command(*words, tmp_path / "b.mp4")
        assert (0, [str(tmp_path / "b.mp4")], 1) == (said.code, said.lines, len(vidorch_mock.requests))
        assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()

    def test_with_an_output_that_is_taken(self, command: Command, vidorch_mock: Mock, tmp_path: Path) -> None:
        """Exit 2, and that nothing was paid again; with --overwrite it is replaced."""
        words = (*BASIC, "--key", "k", "-o")
        command(*words, tmp_path / "a.mp4")
        (tmp_path / "b.mp4").write_text("precious")
        said = command(*words, tmp_path / "b.mp4")
        assert (2, True) == (said.code, "Nothing was paid again." in said.err)
        assert 0 == command(*words, tmp_path / "b.mp4", "--overwrite").code
        assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()

    def test_says_that_it_was_paid_earlier(self, command: Command, vidorch_mock: Mock) -> None:
        """On the line with the cost, with a note of when, and in the document."""
        words = (*BASIC, "--key", "k", "--seed", 1)
        assert "earlier" not in command(*words).err
        said = command(*words)
        assert "$0.50 (computed, paid earlier)" in said.err
        assert "under key 'k': nothing was paid by this call." in said.err
        document = command(*words, "--json").document
        assert (True, "0.50", "0.50") == (document["joined"], document["cost"], document["paid_earlier"])

    def test_says_what_of_it_was_paid_earlier(self, command: Command, vidorch_mock: Mock) -> None:
        """Where one candidate was left to be bought."""
        vidorch_mock.on(model="test/basic", call=1).reject()
        words = (*BASIC, "--key", "k", "-n", 2)
        command(*words)
        assert "$1.00 (computed, $0.50 of it paid earlier)" in command(*words).err

    def test_of_a_run_that_failed(self, command: Command, vidorch_mock: Mock) -> None:
        """The charge is that of the run, and a note says that this call paid nothing."""
        vidorch_mock.on(model="test/basic").fail(charged=True)
        words = (*BASIC, "--key", "k")
        command(*words)
        assert "Note: Joined run" in command(*words).err
        assert "nothing was paid by this call" in command(*words, "--json").document["error"]["notes"][0]

    def test_of_another_request(self, command: Command, vidorch_mock: Mock) -> None:
        """Exit 2, what differs, nothing sent."""
        command(*BASIC, "--key", "k", "--seed", 1)
        said = command(*BASIC, "--key", "k", "--seed", 2)
        assert (2, True, 1) == (said.code, "seed differ" in said.err, len(vidorch_mock.requests))


class TestDetach:
    def test_prints_the_run_and_lets_go(self, command: Command, vidorch_mock: Mock) -> None:
        """The id alone on stdout, how to get it back on stderr: exit 0."""
        said = command(*BASIC, "--detach")
        (run_id,) = said.lines
        assert (0, True) == (said.code, f"vidorch jobs resume {run_id}" in said.err)
        assert [None] == [job["owner"] for job in command("jobs", "list", "--json").document]

    def test_as_json(self, command: Command, vidorch_mock: Mock) -> None:
        """A document with the run, its open jobs and what comes next."""
        document = command(*BASIC, "--detach", "--json").document
        assert ("open", 1, [f"vidorch jobs resume {document['run_id']}"]) == (
            document["state"], len(document["open"]), document["next"],
        )  # fmt: skip

    def test_of_the_built_in_model(self, command: Command, home: Path) -> None:
        """Work inside this process cannot be let go of: exit 2, nothing made."""
        said = command("generate", "a red ball rolling left", "--detach")
        assert (2, True, False) == (said.code, "hosted" in said.err, home.exists())

    def test_whose_submit_is_lost(self, command: Command, vidorch_mock: Mock) -> None:
        """Exit 7: the run is there, and nobody knows."""
        vidorch_mock.on(model="test/blind").lose_reply()
        said = command(*BUY, "-m", "test/blind", "--detach")
        assert (7, True) == (said.code, said.out.startswith("run_"))

    def test_whose_submit_is_refused(self, command: Command, vidorch_mock: Mock) -> None:
        """Exit 1, and why."""
        vidorch_mock.on(model="test/basic").refuse()
        said = command(*BASIC, "--detach")
        assert (1, True) == (said.code, "refused by policy" in said.err)


class TestOptions:
    def test_models_are_an_order(self, command: Command, vidorch_mock: Mock) -> None:
        """What the first will not take goes to the second."""
        vidorch_mock.on(model="test/basic").reject()
        document = command(*BASIC, "-m", "test/slow", "--json").document
        assert ("slow", ["rejected", "accepted"]) == (document["clip"]["model"], answers(vidorch_mock))

    def test_spread(self, command: Command, vidorch_mock: Mock) -> None:
        """--spread starts each candidate on a model of its own."""
        document = command(*BASIC, "-m", "test/slow", "-n", 2, "--spread", "--json").document
        assert ["basic", "slow"] == [clip["model"] for clip in document["candidates"]]

    def test_select(self, command: Command, vidorch_mock: Mock) -> None:
        """--select has the clips looked at."""
        document = command(*BASIC, "-n", 2, "--select", "consistency", "--json").document
        assert all(clip["report"] for clip in document["candidates"])

    def test_select_of_an_unknown_name(self, command: Command, vidorch_mock: Mock) -> None:
        """Exit 2, with the nearest."""
        said = command(*BASIC, "-n", 2, "--select", "consistent")
        assert (2, True) == (said.code, "did you mean 'consistency'?" in said.err)

    @pytest.mark.parametrize("option", ["--retries", "--refill"])
    def test_another_job_after_one_that_failed(
        self, command: Command, vidorch_mock: Mock, option: str
    ) -> None:
        """--retries and --refill buy again, as often as they say."""
        vidorch_mock.on(model="test/basic", call=1).fail()
        assert (0, 2) == (command(*BASIC, option, 1).code, len(vidorch_mock.requests))

    def test_without_them_it_is_not_bought_again(self, command: Command, vidorch_mock: Mock) -> None:
        """A job that failed is an end: exit 1, one submit."""
        vidorch_mock.on(model="test/basic", call=1).fail()
        assert (1, 1) == (command(*BASIC).code, len(vidorch_mock.requests))

    def test_retry_refused(self, command: Command, vidorch_mock: Mock) -> None:
        """--retry-refused tries a refused candidate again."""
        vidorch_mock.on(model="test/basic", call=1).refuse()
        assert (0, 2) == (command(*BASIC, "--retry-refused", 1).code, len(vidorch_mock.requests))

    def test_fallback_on_refusal(self, command: Command, vidorch_mock: Mock) -> None:
        """--fallback-on-refusal goes on to the next model."""
        vidorch_mock.on(model="test/basic").refuse()
        assert 0 == command(*BASIC, "-m", "test/slow", "--fallback-on-refusal").code

    def test_on_unknown_next(self, command: Command, vidorch_mock: Mock) -> None:
        """--on-unknown next pays another model although the first may still bring its clip."""
        vidorch_mock.on(model="test/blind").lose_reply()
        words = (*BUY, "-m", "test/blind", "-m", "test/slow")
        assert (7, 0) == (command(*words).code, command(*words, "--on-unknown", "next").code)

    def test_tags_and_scope(self, command: Command, vidorch_mock: Mock) -> None:
        """--tag and --scope are kept with the run."""
        run = command(*BASIC, "--tag", "a=1", "--tag", "b=x=y", "--scope", "team", "--json").document[
            "run_id"
        ]
        shown = command("jobs", "show", run, "--json").document["run"]
        assert ({"a": "1", "b": "x=y"}, "team") == (shown["tags"], shown["scope"])

    @pytest.mark.parametrize("tags", [["x"], ["=1"], ["a=1", "a=2"]], ids=" ".join)
    def test_a_tag_that_is_none(self, command: Command, home: Path, tags: list[str]) -> None:
        """Exit 2, and how one is written."""
        words = [word for tag in tags for word in ("--tag", tag)]
        said = command(*BUY, *words)
        assert (2, True, False) == (said.code, "NAME=VALUE" in said.err, home.exists())


class TestConsent:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The questions that a person at a terminal was asked, and said no to."""
        questions: list[str] = []
        monkeypatch.setattr(consent, "is_terminal", lambda: True)
        monkeypatch.setattr(consent.typer, "confirm", lambda text, **_: bool(questions.append(text)))
        return questions

    @pytest.mark.parametrize(
        ("words", "amount"),
        [
            ((), "$0.50"),
            (("-n", 3), "$1.50"),
            (("--retries", 2), "$1.50"),
            (("--refill", 1, "-n", 2), "$1.50"),
            (("--retry-refused", 1, "-n", 2), "$2.00"),
            (("-m", "test-eu/basic"), "$0.60"),
            (("-m", "test-eu/basic", "-n", 2, "--spread"), "$1.20"),
            (("-m", "test-eu/basic", "--on-unknown", "next"), "$1.20"),
        ],
        ids=lambda value: value if isinstance(value, str) else " ".join(map(str, value)) or "plain",
    )
    def test_is_asked_for_all_that_was_allowed(
        self, command: Command, vidorch_mock: Mock, asked: list[str], words: tuple[object, ...], amount: str
    ) -> None:
        """The question names the most that it can come to with every repeat and model of the list; no means no."""
        assert 3 == command("generate", "a boat", "-m", "test/basic", *words).code
        assert ([f"Spend up to {amount}?"], []) == (asked, vidorch_mock.requests)

    def test_what_nobody_knows_is_asked_for_too(self, command: Command, asked: list[str]) -> None:
        """--allow-unpriced alone is no yes, and no cap is one either."""
        with mock(catalog=UNPRICED) as m:
            assert (3, 3) == (command(*GUESS).code, command(*GUESS, "--max-cost", "1").code)
            assert (["Spend what nobody knows?"] * 2, []) == (asked, m.requests)

    def test_off_a_terminal_what_nobody_knows_needs_yes(self, command: Command) -> None:
        """Exit 3 without it, whatever --max-cost says."""
        with mock(catalog=UNPRICED) as m:
            said = command(*GUESS, "--max-cost", "1")
            assert (3, True, []) == (said.code, "Nobody knows what this costs" in said.err, m.requests)
            assert (0, 1) == (command(*GUESS, "--yes").code, len(m.requests))


class TestWhatItCost:
    def test_is_said_of_a_failure_that_was_charged(self, command: Command, vidorch_mock: Mock) -> None:
        """Exit 1, and that money was taken."""
        vidorch_mock.on(model="test/basic").fail(charged=True)
        assert "It was charged." in command(*BASIC).err

    def test_is_said_of_a_failure_that_was_not(self, command: Command, vidorch_mock: Mock) -> None:
        """Exit 1, and that none was."""
        vidorch_mock.on(model="test/basic").fail(charged=False)
        assert "It was not charged." in command(*BASIC).err

    def test_is_said_when_nobody_knows(self, command: Command, vidorch_mock: Mock) -> None:
        """Exit 7, and that it stays reserved."""
        vidorch_mock.on(model="test/blind").lose_reply()
        said = command(*BUY, "-m", "test/blind")
        assert (7, True) == (said.code, "Whether it was charged is not known." in said.err)
        assert "stay reserved" in said.err


class TestBudget:
    def test_set_list_remove(self, command: Command, vidorch_mock: Mock) -> None:
        """Written down, listed with what is spent, held and left, and taken away."""
        command("budget", "set", "spring", "20.00", "--per", "day")
        command(*BASIC)
        command(*BASIC, "--detach")
        (state,) = command("budget", "list", "--json").document
        assert ("0.50", "0.50", "19.00", "2026-11-22") == (
            state["spent"], state["held"], state["left"], state["period"],
        )  # fmt: skip
        assert "$19.00" in command("budget", "list").out
        assert 0 == command("budget", "remove", "spring").code
        assert [] == command("budget", "list", "--json").document

    def test_holds_for_every_call(self, command: Command, vidorch_mock: Mock) -> None:
        """More than is left of it: exit 4, its name, nothing sent."""
        command("budget", "set", "small", "0.40")
        said = command(*BASIC)
        assert (4, True, []) == (said.code, "'small' is $0.40." in said.err, vidorch_mock.requests)

    def test_under_a_cent(self, command: Command, vidorch_mock: Mock) -> None:
        """Amounts below a cent are shown as they are, never as nothing."""
        said = command("budget", "set", "tiny", "0.0042")
        assert "tiny: $0.0042 in all; $0.00 spent, $0.0042 left" == said.out.strip()
        assert "$0.0042" in command("budget", "list").out
        assert "'tiny' is $0.0042." in command(*BASIC).err

    def test_less_than_can_be_counted(self, command: Command) -> None:
        """A part of a millionth would be kept as nothing, which stops all spending: exit 2."""
        said = command("budget", "set", "tiny", "0.0000004")
        assert (2, True) == (said.code, "in plain digits" in said.err)

    def test_of_a_scope_holds_for_that_one(self, command: Command, vidorch_mock: Mock) -> None:
        """Other scopes do not feel it."""
        command("budget", "set", "small", "0.40", "--scope", "team")
        assert (4, 0) == (command(*BASIC, "--scope", "team").code, command(*BASIC).code)

    def test_is_changed_by_its_name(self, command: Command, vidorch_mock: Mock) -> None:
        """The same name again is the same budget."""
        for amount in ("1", "2.50"):
            command("budget", "set", "b", amount)
        assert ["2.50"] == [one["amount"] for one in command("budget", "list", "--json").document]

    @pytest.mark.parametrize(
        "words", [("b", "much"), ("b", "nan"), ("b", "1", "--per", "week"), ("", "1")], ids=" ".join
    )
    def test_that_cannot_be(self, command: Command, home: Path, words: tuple[str, ...]) -> None:
        """Exit 2, what is allowed, nothing made."""
        said = command("budget", "set", *words)
        assert (2, True, False) == (said.code, "Allowed is" in said.err, home.exists())

    def test_money_is_never_a_float(self, command: Command, vidorch_mock: Mock) -> None:
        """Every digit that was typed is kept."""
        assert "0.100001" == command("budget", "set", "b", "0.100001", "--json").document["amount"]

    def test_list_of_none_creates_nothing(self, command: Command, home: Path) -> None:
        """Looking is not making."""
        assert (0, True, False) == (
            (said := command("budget", "list")).code,
            "No budgets." in said.out,
            home.exists(),
        )

    def test_remove_of_none(self, command: Command, vidorch_mock: Mock) -> None:
        """Exit 2, with the nearest name, or where the one of that name is."""
        command("budget", "set", "spring", "1", "--scope", "team")
        assert "Did you mean spring?" in command("budget", "remove", "sprin").err
        assert "--scope team" in command("budget", "remove", "spring").err
