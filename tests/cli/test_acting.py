"""`vidorch jobs resume, proceed, cancel, adopt, settle, prune`, and what `list` and `show` say of open work, under a mock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from vidorch import Client
from vidorch.cli import consent
from vidorch.testing import Mock

BUY = ("generate", "a boat", "--yes", "-m")


@pytest.fixture
def detached(command: Command, vidorch_mock: Mock) -> str:
    """A run of two jobs that were sent and let go of."""
    return command(*BUY, "test/basic", "-n", 2, "--seed", 1, "--detach").out.strip()


@pytest.fixture
def lost(command: Command, vidorch_mock: Mock) -> dict[str, Any]:
    """A job whose submit got no answer, at a vendor that cannot be searched."""
    vidorch_mock.on(model="test/blind").lose_reply()
    assert 7 == command(*BUY, "test/blind").code
    job: dict[str, Any] = command("jobs", "list", "--json").document[0]
    return job


def states(command: Command) -> list[str]:
    return [job["state"] for job in command("jobs", "list", "--json").document]


class TestResume:
    def test_brings_home_what_nobody_carries(self, command: Command, detached: str) -> None:
        """Places of the clips on stdout, the rest on stderr: exit 0, and nothing is submitted again."""
        said = command("jobs", "resume")
        assert (0, 2) == (said.code, len(said.lines))
        assert all(Path(line).is_file() for line in said.lines)
        assert f"{detached} finished" in said.err
        assert ["settled", "settled"] == states(command)

    def test_one_by_the_last_letters_of_a_job(self, command: Command, detached: str) -> None:
        """A job's id leads to its run."""
        job = command("jobs", "list", "--json").document[0]["id"]
        document = command("jobs", "resume", job[-7:], "--json").document
        assert [(detached, "finished", 2)] == [
            (run["run_id"], run["state"], len(run["result"]["candidates"])) for run in document["runs"]
        ]

    def test_of_a_finished_run_shows_it_again(self, command: Command, detached: str) -> None:
        """A run that is done is shown as it is: exit 0."""
        first = command("jobs", "resume")
        assert (0, first.lines) == ((again := command("jobs", "resume", detached)).code, again.lines)

    def test_of_nothing(self, command: Command, home: Path) -> None:
        """Without a ledger: exit 0, one line, nothing made."""
        said = command("jobs", "resume")
        assert (0, "", False) == (said.code, said.out, home.exists())

    def test_of_nothing_as_json(self, command: Command, home: Path) -> None:
        """The document is there all the same."""
        assert {"runs": [], "waiting": []} == command("jobs", "resume", "--json").document

    def test_of_a_cancelled_run(self, command: Command, detached: str) -> None:
        """Nothing is left to do: exit 0, and that it was cancelled; by its id, and among all."""
        command("jobs", "cancel", detached, "--yes")
        said = command("jobs", "resume", detached)
        assert (0, True) == (said.code, f"{detached} cancelled" in said.err)
        assert 0 == command("jobs", "resume").code

    def test_that_ends_as_cancelled(
        self, command: Command, detached: str, vidorch_mock: Mock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was called off and had not been seen to end: exit 0."""
        monkeypatch.setattr("vidorch.cli.cancelling.SECONDS_TO_STOP", 0.0)
        command("jobs", "cancel", detached, "--yes")
        assert 0 == command("jobs", "resume", detached).code
        assert {"cancelled"} == set(states(command))

    def test_what_stays_unknown(self, command: Command, lost: dict[str, Any]) -> None:
        """Exit 7, and every way out of it on stderr."""
        said = command("jobs", "resume")
        assert 7 == said.code
        for words in (
            f"jobs adopt {lost['id']}",
            f"jobs settle {lost['id']} --not-charged",
            "never sent again",
        ):
            assert words in said.err

    def test_what_waits_is_named_and_not_sent(
        self, command: Command, waiting: str, vidorch_mock: Mock
    ) -> None:
        """Exit 10, with the command that sends it."""
        said = command("jobs", "resume")
        assert (10, True) == (said.code, f"vidorch jobs proceed {waiting}" in said.err)
        assert ["throttled"] == [one.answer for one in vidorch_mock.requests]

    def test_what_failed(self, command: Command, vidorch_mock: Mock) -> None:
        """Exit 1, the vendor's words."""
        vidorch_mock.on(model="test/basic").fail()
        command(*BUY, "test/basic", "--detach")
        said = command("jobs", "resume")
        assert (1, True) == (said.code, "The job failed (mock)." in said.err)

    def test_leaves_what_it_has_no_key_for(
        self, command: Command, vidorch_mock: Mock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without the credential the job stays as it is, with the variable's name: exit 6."""
        command(*BUY, "vertex/veo-3.1-fast", "--detach")
        for name in (
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GOOGLE_API_KEY",
            "GEMINI_API_KEY",
            "GOOGLE_CLOUD_PROJECT",
        ):
            monkeypatch.delenv(name, raising=False)
        said = command("jobs", "resume")
        assert (6, True) == (said.code, "its credential is not here" in said.err)
        assert ["accepted"] == states(command)


@pytest.fixture
def waiting(command: Command, vidorch_mock: Mock) -> str:
    """A run that was let go of before its vendor would take it."""
    vidorch_mock.on(model="test/basic", call=1).throttle(retry_after=30)
    said = command(*BUY, "test/basic", "--seed", 1, "--detach")
    assert 10 == said.code
    return said.out.strip()


class TestProceed:
    def test_sends_what_was_not_sent(self, command: Command, waiting: str, vidorch_mock: Mock) -> None:
        """With --yes: the clip, for one accepted submit."""
        said = command("jobs", "proceed", waiting[-7:], "--yes")
        assert (0, True) == (said.code, Path(said.lines[0]).is_file())
        assert ["throttled", "accepted"] == [one.answer for one in vidorch_mock.requests]

    def test_spends_nothing_unasked(self, command: Command, waiting: str, vidorch_mock: Mock) -> None:
        """Off a terminal without --yes or --max-cost: the estimate, exit 3, nothing sent."""
        said = command("jobs", "proceed", waiting)
        assert (3, True, 1) == (said.code, "$0.50" in said.out, len(vidorch_mock.requests))

    def test_asks_on_a_terminal(
        self, command: Command, waiting: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It asks anew, and no is no."""
        asked = _answers(monkeypatch, False)
        assert (3, ["Spend up to $0.50?"]) == (command("jobs", "proceed", waiting).code, asked)

    def test_over_max_cost(self, command: Command, waiting: str) -> None:
        """More than --max-cost allows the whole run: exit 4, nothing sent, and it still waits."""
        assert 4 == command("jobs", "proceed", waiting, "--max-cost", "0.20").code
        assert 0 == command("jobs", "proceed", waiting, "--max-cost", "0.50").code

    def test_over_a_budget(self, command: Command, waiting: str) -> None:
        """The same with a budget that came since."""
        command("budget", "set", "tiny", "0.10")
        said = command("jobs", "proceed", waiting, "--yes")
        assert (4, True) == (said.code, "'tiny'" in said.err)
        assert "waiting" == command("jobs", "show", waiting, "--json").document["run"]["state"]

    def test_of_a_run_that_does_not_wait(self, command: Command, detached: str) -> None:
        """Exit 2, and what it is instead."""
        said = command("jobs", "proceed", detached, "--yes")
        assert (2, True) == (said.code, "not waiting" in said.err)


class TestCancel:
    def test_a_run(self, command: Command, detached: str) -> None:
        """Every open job of it; what that costs is said before, what it came to after."""
        said = command("jobs", "cancel", detached, "--yes")
        assert (0, ["cancelled", "cancelled"]) == (said.code, states(command))
        assert "test/basic bills a cancelled job in full: $1.00." in said.err

    def test_one_job_of_several(self, command: Command, detached: str) -> None:
        """The others go on, and the run finishes with what comes."""
        one = command("jobs", "list", "--json").document[0]["id"]
        assert 0 == command("jobs", "cancel", one, "--yes").code
        assert 0 == command("jobs", "resume").code
        after = {job["id"]: job["state"] for job in command("jobs", "list", "--json").document}
        assert ("cancelled", ["cancelled", "settled"]) == (after[one], sorted(after.values()))

    def test_off_a_terminal_needs_yes(self, command: Command, detached: str) -> None:
        """Exit 3, what it would cost, and nothing changed."""
        said = command("jobs", "cancel", detached)
        assert (3, ["accepted", "accepted"]) == (said.code, states(command))
        assert "in full: $1.00" in said.err

    def test_off_a_terminal_as_json(self, command: Command, detached: str) -> None:
        """The document names what is open and what it would cost."""
        said = command("jobs", "cancel", detached, "--json")
        assert (3, detached, 2) == (said.code, said.document["id"], len(said.document["open"]))

    def test_as_json(self, command: Command, detached: str) -> None:
        """One document with the jobs as they are then."""
        document = command("jobs", "cancel", detached, "--yes", "--json").document
        assert [("cancelled", "0.50")] * 2 == [(job["state"], job["cost"]) for job in document["jobs"]]

    def test_asks_on_a_terminal(
        self, command: Command, detached: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No is no."""
        asked = _answers(monkeypatch, False)
        assert (3, ["Cancel?"]) == (command("jobs", "cancel", detached).code, asked)

    def test_what_waits_is_called_off_at_no_cost(self, command: Command, waiting: str) -> None:
        """Nothing of it was sent: it ends as cancelled, and cannot be sent any more."""
        said = command("jobs", "cancel", waiting, "--yes")
        assert (0, True) == (said.code, "cancelling costs nothing" in said.err)
        assert "cancelled" == command("jobs", "show", waiting, "--json").document["run"]["state"]

    def test_what_is_over_cannot_be_cancelled(self, command: Command, detached: str) -> None:
        """Exit 2, and what it is."""
        command("jobs", "resume")
        said = command("jobs", "cancel", detached, "--yes")
        assert (2, True) == (said.code, "it is finished" in said.err)
        assert ("Nothing was paid by this." in said.err, "not charged" in said.err) == (True, False)

    @pytest.mark.parametrize("yes", [(), ("--yes",)], ids=["unasked", "yes"])
    def test_what_is_unknown_cannot_be_cancelled(
        self, command: Command, lost: dict[str, Any], yes: tuple[str, ...]
    ) -> None:
        """Nobody knows its id at the vendor: exit 2, nothing changed, and nobody is asked to say yes to that."""
        said = command("jobs", "cancel", lost["id"], *yes)
        assert (2, ["unknown"]) == (said.code, states(command))
        assert "vidorch jobs adopt" in said.err


class TestByHand:
    def test_adopt_then_resume_brings_it_home(
        self, command: Command, lost: dict[str, Any], vidorch_mock: Mock
    ) -> None:
        """A person names the job at the vendor, and its clip comes for the one submit."""
        adopted = command("jobs", "adopt", lost["id"][-7:], f"mock-{lost['id']}")
        assert (0, True) == (adopted.code, f"vidorch jobs resume {lost['run_id']}" in adopted.err)
        assert (0, ["settled"]) == (command("jobs", "resume").code, states(command))
        vidorch_mock.assert_never_paid_twice()

    def test_adopt_again_puts_a_wrong_id_right(
        self, command: Command, lost: dict[str, Any], vidorch_mock: Mock
    ) -> None:
        """Both ids are named, and lie in the history; the clip comes for the one submit."""
        command("jobs", "adopt", lost["id"], "mistyped")
        said = command("jobs", "adopt", lost["id"], f"mock-{lost['id']}")
        assert (0, True) == (said.code, f"is mock-{lost['id']} at test, and not mistyped." in said.err)
        shown = command("jobs", "show", lost["id"])
        assert "unknown (by hand), mistyped taken back" in shown.out
        assert f"accepted (by hand), now mock-{lost['id']}" in shown.out
        assert (0, ["settled"]) == (command("jobs", "resume").code, states(command))
        vidorch_mock.assert_never_paid_twice()

    def test_adopt_what_is_not_unknown(self, command: Command, detached: str) -> None:
        """Exit 2, nothing changed, and no word that it was not charged: nobody knows that yet."""
        job = command("jobs", "list", "--json").document[0]["id"]
        said = command("jobs", "adopt", job, "x")
        assert (2, False, True) == (
            said.code, "not charged" in said.err, "Whether it was charged is not known." in said.err,
        )  # fmt: skip
        assert [f"mock-{job}"] == [
            one["remote_id"] for one in command("jobs", "list", "--json").document if one["id"] == job
        ]
        assert command("jobs", "adopt", job, "x", "--json").document["error"]["charged"] is None

    @pytest.mark.parametrize(
        ("words", "state"), [(["--not-charged"], "rejected"), (["--charged", "0.50"], "settled")]
    )
    def test_settle_what_was_adopted(
        self, command: Command, lost: dict[str, Any], words: list[str], state: str
    ) -> None:
        """As if it had not been: the wrong id is free again."""
        command("jobs", "adopt", lost["id"], "mistyped")
        document = command("jobs", "settle", lost["id"], *words, "--json").document
        assert (state, None) == (document["state"], document["remote_id"])

    def test_a_run_of_several_jobs_is_no_job(self, command: Command, detached: str) -> None:
        """Exit 2, and the ids of its jobs."""
        said = command("jobs", "adopt", detached, "x")
        assert (2, True) == (said.code, command("jobs", "list", "--json").document[0]["id"] in said.err)

    @pytest.mark.parametrize(
        ("words", "state", "cost"),
        [(["--not-charged"], "rejected", None), (["--charged", "0.50"], "settled", "0.50")],
        ids=["not charged", "charged"],
    )
    def test_settle(
        self, command: Command, lost: dict[str, Any], words: list[str], state: str, cost: str | None
    ) -> None:
        """A person says what an unknown job cost, and its reservation is gone."""
        document = command("jobs", "settle", lost["id"], *words, "--json").document
        assert (state, cost) == (document["state"], document["cost"])
        spent = command("jobs", "show", lost["id"], "--json").document["run"]["spent"]
        assert "0.00" == spent["unknown"]

    @pytest.mark.parametrize(
        ("words", "what"),
        [(["--not-charged"], "not charged"), (["--charged", "0.50"], "charged $0.50")],
        ids=["not charged", "charged"],
    )
    def test_settle_is_what_is_said_of_it_afterwards(
        self, command: Command, lost: dict[str, Any], words: list[str], what: str
    ) -> None:
        """That a person closed it, when, and with what; no word of the old error."""
        said = command("jobs", "settle", lost["id"], *words)
        assert f"closed by hand: {what}." in said.err
        shown = command("jobs", "show", lost["id"]).out
        assert f"Closed by hand on 2026-11-22: {what}." in shown
        assert lost["error_text"] not in shown
        assert lost["error_text"] in str(command("jobs", "show", lost["id"], "--json").document["events"])

    def test_settle_with_a_cost_ends_the_call_with_its_key(
        self, command: Command, vidorch_mock: Mock
    ) -> None:
        """Exit 1, what a person said, that it was charged, and nothing sent."""
        vidorch_mock.on(model="test/blind").lose_reply()
        words = (*BUY, "test/blind", "--key", "k")
        command(*words)
        command("jobs", "settle", vidorch_mock.jobs[0].id, "--charged", "0.40")
        said = command(*words)
        assert (1, 1) == (said.code, len(vidorch_mock.requests))
        assert "Error: Closed by hand on 2026-11-22: charged $0.40.\n" in said.err
        assert "It was charged." in said.err
        assert "closed_by_hand" == command(*words, "--json").document["error"]["code"]

    def test_settle_as_not_charged_says_what_may_be_sent_again(
        self, command: Command, vidorch_mock: Mock
    ) -> None:
        """By the call with its key, which then does so; with a cost nothing may be."""
        vidorch_mock.on(model="test/blind", call=1).lose_reply()
        words = (*BUY, "test/blind", "--key", "order 7")
        command(*words)
        said = command("jobs", "settle", vidorch_mock.jobs[0].id, "--not-charged")
        assert "the next call with the key 'order 7' does so" in said.err
        assert (0, 2) == (command(*words).code, len(vidorch_mock.requests))

    def test_settle_as_not_charged_without_a_key(
        self, command: Command, lost: dict[str, Any], vidorch_mock: Mock
    ) -> None:
        """The commands that are named send it again."""
        said = command("jobs", "settle", lost["id"], "--not-charged")
        assert f"vidorch jobs resume {lost['run_id']}, then vidorch jobs proceed {lost['run_id']}" in said.err
        vidorch_mock.on(model="test/blind").succeed()
        assert 10 == command("jobs", "resume", lost["run_id"]).code
        assert 0 == command("jobs", "proceed", lost["run_id"], "--yes").code

    @pytest.mark.parametrize(
        "words", [[], ["--charged", "1", "--not-charged"], ["--charged", "much"]], ids=" ".join
    )
    def test_settle_needs_one_clear_word(
        self, command: Command, lost: dict[str, Any], words: list[str]
    ) -> None:
        """Neither, both, or no amount: exit 2, nothing changed."""
        assert (2, ["unknown"]) == (command("jobs", "settle", lost["id"], *words).code, states(command))


class TestPrune:
    def test_forgets_what_is_over(self, command: Command, vidorch_mock: Mock) -> None:
        """Jobs go, clips and what was spent stay."""
        command("budget", "set", "all", "20")
        clips = command(*BUY, "test/basic", "-n", 2).lines
        vidorch_mock.advance(1)
        said = command("jobs", "prune", "--before", 0, "--yes")
        assert (0, "1 run and 2 jobs forgotten.\n", []) == (said.code, said.out, states(command))
        assert all(Path(clip).is_file() for clip in clips)
        assert ["1.00"] == [one["spent"] for one in command("budget", "list", "--json").document]

    def test_keeps_what_is_open(self, command: Command, detached: str) -> None:
        """Open work is never forgotten."""
        document = command("jobs", "prune", "--before", 0, "--yes", "--json").document
        assert (0, ["accepted", "accepted"]) == (document["pruned"]["runs"], states(command))

    def test_keeps_what_is_younger(self, command: Command, detached: str) -> None:
        """Only what ended before the day goes."""
        command("jobs", "resume")
        for day in ("2026-11-22", "1"):
            command("jobs", "prune", "--before", day, "--yes")
        assert ["settled", "settled"] == states(command)

    def test_off_a_terminal_needs_yes(self, command: Command, detached: str) -> None:
        """Exit 3, nothing forgotten."""
        command("jobs", "resume")
        assert (3, 2) == (command("jobs", "prune", "--before", 0).code, len(states(command)))

    @pytest.mark.parametrize("day", ["soon", "2026-13-01", "-1", "9" * 30])
    def test_of_no_day(self, command: Command, home: Path, day: str) -> None:
        """Exit 2, and what is allowed."""
        said = command("jobs", "prune", "--before", day, "--yes")
        assert (2, True) == (said.code, "a number of days" in said.err)


class TestList:
    def test_of_one_run_or_scope(self, command: Command, detached: str) -> None:
        """--run and --scope keep their jobs alone."""
        command(*BUY, "test/basic", "--scope", "team")
        assert 2 == len(command("jobs", "list", "--run", detached[-7:], "--json").document)
        assert ["team"] == [
            job["scope"] for job in command("jobs", "list", "--scope", "team", "--json").document
        ]
        assert "No such jobs.\n" == command("jobs", "list", "--scope", "nobody").out

    def test_shows_what_is_reserved_while_nobody_knows(self, command: Command, detached: str) -> None:
        """An open job has its reservation in brackets."""
        assert 2 == command("jobs", "list").out.count("($0.50)")

    def test_names_the_way_out(self, command: Command, lost: dict[str, Any]) -> None:
        """An unknown job is followed by the command that says what to do."""
        assert f"vidorch jobs show {lost['id']}" in command("jobs", "list").err

    def test_names_what_waits(self, command: Command, waiting: str) -> None:
        """A run that waits is named with the command that sends it."""
        assert f"vidorch jobs proceed {waiting}" in command("jobs", "list").err


class TestShow:
    def test_an_unknown_job(self, command: Command, lost: dict[str, Any]) -> None:
        """What is held for it, why nobody knows, and every way out."""
        said = command("jobs", "show", lost["id"])
        for words in ("unknown", "$0.50 in doubt", "$0.50 held for the call", "The connection broke off"):
            assert words in said.out
        assert "vidorch jobs settle" in said.err

    def test_possible_ids(self, command: Command, vidorch_mock: Mock, tmp_path: Path) -> None:
        """Where somebody else's equal job cannot be told apart from it, both ids are shown."""
        vidorch_mock.on(model="test/listed", call=1).lose_reply()
        command(*BUY, "test/listed", "--seed", 1, "--detach")
        with Client(home=tmp_path / "elsewhere") as other:
            other.submit("a boat", model="test/listed", seed=1, detach=True)
        assert 7 == command("jobs", "resume").code
        (job,) = command("jobs", "list", "--json").document
        assert 2 == len(job["possible_ids"])
        assert f"It may be one of: {', '.join(job['possible_ids'])}" in command("jobs", "show", job["id"]).err

    def test_attempts(self, command: Command, vidorch_mock: Mock) -> None:
        """Each job of a candidate says which attempt it was."""
        vidorch_mock.on(model="test/basic", call=1).fail()
        run = command(*BUY, "test/basic", "--retries", 1, "--json").document["run_id"]
        assert "attempt 2" in command("jobs", "show", run).out

    def test_budgets(self, command: Command, vidorch_mock: Mock) -> None:
        """What a job holds in each budget is shown, and in the document."""
        command("budget", "set", "spring", "20")
        run = command(*BUY, "test/basic", "--detach").out.strip()
        assert "$0.50 held in the budget spring" in command("jobs", "show", run).out
        document = command("jobs", "show", run, "--json").document
        assert [(None, "held"), ("spring", "held")] == sorted(
            ((one["budget"], one["state"]) for one in document["reservations"]), key=lambda one: one[0] or ""
        )


def _answers(monkeypatch: pytest.MonkeyPatch, answer: bool) -> list[str]:
    """A person at a terminal who says the same to every question; gives the questions."""
    asked: list[str] = []
    monkeypatch.setattr(consent, "is_terminal", lambda: True)
    monkeypatch.setattr(consent.typer, "confirm", lambda text, **_: asked.append(text) or answer)
    return asked
