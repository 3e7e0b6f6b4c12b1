"""`--batch`: a file of requests estimated and made as one call, and what is said of it."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command, wait_for_a_job_in, working
from vidorch.cli import batch as batch_command
from vidorch.cli import jobs as jobs_command
from vidorch.cli.display import BatchDisplay, CheckDisplay
from vidorch.cli.lines import read_lines
from vidorch.client import AsyncClient
from vidorch.errors import InvalidRequest
from vidorch.testing import Mock

BASIC = ("-m", "test/basic")
LINES = ['{"prompt": "a boat"}', '{"prompt": "a cat", "seed": 3}', '"a dog"']


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three lines, one of them a prompt in quotes."""
    (tmp_path / "prompts.jsonl").write_text("\n".join(LINES))
    return tmp_path / "prompts.jsonl"


def written(folder: Path, text: str, name: str = "b.jsonl") -> Path:
    (folder / name).write_text(text, "utf-8")
    return folder / name


class TestTheFile:
    def test_of_json_lines(self, file: Path) -> None:
        """Objects and prompts."""
        assert [{"prompt": "a boat"}, {"prompt": "a cat", "seed": 3}, "a dog"] == list(read_lines(str(file)))

    def test_of_plain_text(self, tmp_path: Path) -> None:
        """One prompt a line; empty ones are left out, and the others keep their numbers."""
        lines = read_lines(str(written(tmp_path, "a boat\n\n  a cat\r\n", "p.txt")))
        assert (["a boat", "a cat"], [1, 3]) == (list(lines), list(lines.numbers))

    @pytest.mark.parametrize(("name", "kind"), [("p", dict), ("p.jsonl", dict), ("p.txt", str)])
    def test_is_known_by_its_name_or_its_first_line(self, tmp_path: Path, name: str, kind: type) -> None:
        """What begins like an object is one, unless it is called .txt."""
        assert kind is type(read_lines(str(written(tmp_path, '{"prompt": "x"}', name)))[0])

    def test_may_have_the_rarer_ends_of_lines_in_a_prompt(self, tmp_path: Path) -> None:
        """JSON does not escape them."""
        assert 1 == len(read_lines(str(written(tmp_path, '{"prompt": "a\u2028b"}'))))

    @pytest.mark.parametrize("text", ["", "\n \n"])
    def test_that_has_no_lines(self, tmp_path: Path, text: str) -> None:
        """Is a mistake."""
        with pytest.raises(InvalidRequest, match="no lines"):
            read_lines(str(written(tmp_path, text)))

    def test_that_is_not_there(self, command: Command, home: Path) -> None:
        """Exit 2, and nothing was made."""
        said = command("generate", "--batch", "nowhere.jsonl")
        assert (2, True, False) == (said.code, "cannot be read" in said.err, home.exists())

    def test_that_is_no_text(self, tmp_path: Path) -> None:
        """It is said, without a traceback."""
        (tmp_path / "b.jsonl").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(InvalidRequest, match="UTF-8"):
            read_lines(str(tmp_path / "b.jsonl"))

    @pytest.mark.parametrize("line", ['{"prompt": ', "[1]", "3"])
    def test_with_a_line_that_is_none(
        self, command: Command, vidorch_mock: Mock, tmp_path: Path, line: str
    ) -> None:
        """Exit 2, and its number in the file, empty lines counted; nothing was sent."""
        path = written(tmp_path, f'{{"prompt": "x"}}\n\n{line}\n')
        said = command("generate", "--batch", path, *BASIC, "--yes")
        assert (2, True, 0) == (said.code, "Line 3: it is" in said.err, len(vidorch_mock.requests))

    def test_may_be_stdin(
        self, command: Command, vidorch_mock: Mock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By the name of a dash."""
        monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(LINES[:2])))
        assert 2 == len(command("generate", "--batch", "-", *BASIC, "--yes").lines)

    @pytest.mark.parametrize("words", [(), ("a boat", "--batch", "x.txt")])
    @pytest.mark.parametrize("verb", ["generate", "estimate"])
    def test_stands_instead_of_a_prompt(self, command: Command, verb: str, words: tuple[str, ...]) -> None:
        """One of both: exit 2."""
        said = command(verb, *words)
        assert (2, True) == (said.code, "PROMPT" in said.err)

    @pytest.mark.parametrize("words", [("--at-once", 3), ("--jsonl",)])
    def test_goes_with_its_options(self, command: Command, words: tuple[Any, ...]) -> None:
        """They say nothing about one clip."""
        said = command("generate", "a red ball rolling left", *words)
        assert (2, True) == (said.code, "--batch" in said.err)


class TestEstimate:
    def test_is_a_table(self, command: Command, vidorch_mock: Mock, file: Path) -> None:
        """By offer, with low, expected and high, and the sum."""
        said = command("estimate", "--batch", file, *BASIC)
        assert (0, True, True) == (said.code, "test/basic" in said.out, "$1.50" in said.out)

    def test_as_json(self, command: Command, vidorch_mock: Mock, file: Path) -> None:
        """One document."""
        document = command("estimate", "--batch", file, *BASIC, "--json").document
        assert (3, "1.50", 0) == (document["lines"], document["cost"]["high"], document["unserved"])

    def test_says_which_lines_cannot_be_served(
        self, command: Command, vidorch_mock: Mock, tmp_path: Path
    ) -> None:
        """And why: exit 5."""
        path = written(tmp_path, '{"prompt": "x"}\n{"prompt": "y", "duration": 500}\n')
        said = command("estimate", "--batch", path, *BASIC)
        assert (5, True, True) == (
            said.code,
            "line 2: " in said.out,
            "1 line of 2 cannot be served" in said.err,
        )


class TestConsent:
    def test_is_asked_for_all_together(self, command: Command, vidorch_mock: Mock, file: Path) -> None:
        """Off a terminal without --yes: the estimate of all, exit 3, nothing sent."""
        said = command("generate", "--batch", file, *BASIC)
        assert (3, True, 0) == (said.code, "$1.50" in said.out, len(vidorch_mock.requests))
        assert "This costs money" in said.err

    def test_on_a_terminal_is_the_cap(
        self, command: Command, vidorch_mock: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever said yes to $6.00 is not stopped by the default cap of five."""
        asked: list[str] = []
        monkeypatch.setattr(batch_command, "is_terminal", lambda: True)
        monkeypatch.setattr(batch_command, "confirmed", lambda question: asked.append(question) or True)
        path = written(tmp_path, "a boat\n" * 12, "p.txt")
        assert (0, ["Spend up to $6.00?"]) == (command("generate", "--batch", path, *BASIC).code, asked)

    def test_is_not_given_twice(self, command: Command, vidorch_mock: Mock, file: Path) -> None:
        """What is paid already needs no word: the same clips come, for the same three submits."""
        words = ("generate", "--batch", file, *BASIC, "--key", "k")
        first, again = command(*words, "--yes"), command(*words)
        assert (0, sorted(first.lines), 3) == (again.code, sorted(again.lines), len(vidorch_mock.requests))
        assert "$1.50 paid earlier" in again.err

    def test_without_a_key_says_that_all_is_paid_again(
        self, command: Command, vidorch_mock: Mock, file: Path
    ) -> None:
        """At the start; with a key there is nothing to say."""
        words = ("generate", "--batch", file, *BASIC, "--yes")
        assert "Without --key" in command(*words).err
        assert "Without --key" not in command(*words, "--key", "k").err

    def test_over_max_cost_sends_nothing(self, command: Command, vidorch_mock: Mock, file: Path) -> None:
        """All lines together: exit 4."""
        said = command("generate", "--batch", file, *BASIC, "--max-cost", "1.00")
        assert (4, True, 0) == (said.code, "3 lines" in said.err, len(vidorch_mock.requests))


class TestGenerate:
    def test_puts_clips_into_a_folder(
        self, command: Command, vidorch_mock: Mock, file: Path, tmp_path: Path
    ) -> None:
        """A new one too, without a slash; their places are on stdout, the sum on stderr."""
        said = command("generate", "--batch", file, *BASIC, "--yes", "-o", tmp_path / "clips", "--at-once", 2)
        assert sorted(said.lines) == sorted(map(str, (tmp_path / "clips").iterdir()))
        assert (0, 3, True) == (said.code, len(said.lines), "3 of 3 lines done, $1.50." in said.err)

    def test_as_one_document(self, command: Command, vidorch_mock: Mock, file: Path) -> None:
        """The sums, and every result with its line, in order."""
        document = command("generate", "--batch", file, *BASIC, "--yes", "--json").document
        assert (3, 3, 0, "1.50") == (
            document["lines"],
            document["done"],
            document["failed"],
            document["cost"],
        )
        assert [1, 2, 3] == [one["line"] for one in document["results"]]
        assert all(Path(one["clip"]["path"]).is_file() for one in document["results"])

    def test_as_json_lines(self, command: Command, vidorch_mock: Mock, file: Path) -> None:
        """One for each result, as it comes."""
        said = command("generate", "--batch", file, *BASIC, "--yes", "--jsonl")
        assert [1, 2, 3] == sorted(json.loads(line)["line"] for line in said.lines)

    def test_as_both_is_a_mistake(self, command: Command, file: Path) -> None:
        """Exit 2."""
        assert 2 == command("generate", "--batch", file, "--json", "--jsonl").code

    def test_ends_with_the_worst_code(self, command: Command, vidorch_mock: Mock, tmp_path: Path) -> None:
        """A line that is unknown says more than one that failed; the others come all the same."""
        vidorch_mock.on(model="test/blind").lose_reply()
        vidorch_mock.on(model="test/basic", call=1).fail()
        path = written(tmp_path, '{"prompt": "x"}\n{"prompt": "y", "model": "test/blind"}\n{"prompt": "z"}\n')
        said = command("generate", "--batch", path, *BASIC, "--yes", "--at-once", 1)
        assert (7, 1) == (said.code, len(said.lines))
        assert all(
            word in said.err for word in ("Line 1: ", "Line 2: ", "1 of 3 lines done, 2 failed, $0.50.")
        )

    def test_of_the_built_in_model(self, command: Command, tmp_path: Path) -> None:
        """Costs nothing, and asks nothing."""
        path = written(tmp_path, "a red ball rolling left\na green triangle circling\n", "p.txt")
        said = command("generate", "--batch", path, "-o", tmp_path / "clips")
        assert (0, 2, True) == (said.code, len(said.lines), "2 of 2 lines done, free." in said.err)


class TestCtrlC:
    def test_begins_no_other_line_and_says_how_to_go_on(
        self, process: Command, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Exit 130; the same command again joins what is at the vendor, and sends only the rest."""
        (tmp_path / "held.toml").write_text('[[rule]]\nmodel = "test/basic"\nhold = true\n')
        monkeypatch.setenv("VIDORCH_MOCK", str(tmp_path / "held.toml"))
        words = ("generate", "--batch", file, *BASIC, "--yes", "--key", "k", "--at-once", 1)
        with working(*words) as child:
            wait_for_a_job_in(tmp_path / "vidorch-home" / "mock" / "ledger.db", "accepted", "running")
            child.send(signal.SIGINT)
            line = child.hear("Interrupted.")
            child.hear("press Ctrl-C again")
            child.send(signal.SIGTERM)  # do not wait for a second thought
            assert 130 == child.end().code
        assert "0 of 3 lines had ended, 1 were under way" in line and "vidorch jobs resume run_" in line
        resume = line.partition("with: vidorch ")[2].partition(",")[0].split()
        assert (0, 1) == ((back := process(*resume, env={"VIDORCH_MOCK": "1"})).code, len(back.lines))
        said = process(*words, env={"VIDORCH_MOCK": "1"})
        jobs = process("jobs", "list", "--json", env={"VIDORCH_MOCK": "1"}).document
        assert (0, 3, ["settled"] * 3) == (said.code, len(said.lines), [job["state"] for job in jobs])

    def test_or_a_kill_is_gone_on_from(
        self, process: Command, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The same command after a SIGKILL: three clips for three jobs, none of them a second one of its line."""
        (tmp_path / "held.toml").write_text('[[rule]]\nmodel = "test/basic"\nhold = true\n')
        monkeypatch.setenv("VIDORCH_MOCK", str(tmp_path / "held.toml"))
        words = ("generate", "--batch", file, *BASIC, "--yes", "--key", "k", "--at-once", 2)
        with working(*words) as child:
            wait_for_a_job_in(tmp_path / "vidorch-home" / "mock" / "ledger.db", "accepted", "running", jobs=2)
            child.process.kill()
        said = process(*words, env={"VIDORCH_MOCK": "1"})
        jobs = process("jobs", "list", "--json", env={"VIDORCH_MOCK": "1"}).document
        sent = [job["run_id"] for job in jobs if job["state"] != "abandoned"]
        assert (0, 3, 3, 3) == (said.code, len(said.lines), len(sent), len(set(sent)))

    def test_twice_cancels_at_the_vendor(
        self, process: Command, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After what that costs was said."""
        (tmp_path / "held.toml").write_text('[[rule]]\nmodel = "test/basic"\nhold = true\n')
        monkeypatch.setenv("VIDORCH_MOCK", str(tmp_path / "held.toml"))
        with working("generate", "--batch", file, *BASIC, "--yes", "--at-once", 1) as child:
            wait_for_a_job_in(tmp_path / "vidorch-home" / "mock" / "ledger.db", "accepted", "running")
            child.send(signal.SIGINT)
            assert "in full: $0.50." in child.hear("press Ctrl-C again")
            child.send(signal.SIGINT)
            assert 130 == child.end().code
        (job,) = process("jobs", "list", "--json").document
        assert ("cancelled", True) == (job["state"], "1 job cancelled, $0.50." in child.heard)


class TestShow:
    def test_sums_up_what_is_below(
        self, command: Command, vidorch_mock: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By state, with what they cost; the first few by themselves, and how to see all."""
        monkeypatch.setattr(jobs_command, "MOST_BELOW", 2)
        vidorch_mock.on(model="test/basic", call=1).fail()
        path = written(tmp_path, "a boat\n" * 4, "p.txt")
        made = command("generate", "--batch", path, *BASIC, "--yes", "--json").document
        said = command("jobs", "show", made["run_id"]).out
        assert all(
            word in said for word in ("1 failed", "3 finished  $1.50", "and 2 more: vidorch jobs show")
        )
        assert 2 == said.count("\n  run_")
        shown = command("jobs", "show", made["run_id"], "--json").document["run"]
        assert (4, {"runs": 3, "cost": "1.50"}) == (len(shown["runs"]), shown["runs_by_state"]["finished"])


class TestCheckDisplay:
    def test_shows_how_many_lines_are_checked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """On one line, which is gone when all are; what is checked in one go shows nothing."""
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stderr", stream)
        with CheckDisplay(enabled=True) as display:
            display.show(3, 3)
        assert "" == stream.getvalue()
        with CheckDisplay(enabled=True) as display:
            display.show(64, 5000)
        assert stream.getvalue().startswith("\r64 of 5,000 lines checked\r ")
        assert stream.getvalue().endswith(" \r")

    def test_is_told_of_every_part(self, vidorch_mock: Mock) -> None:
        """While a long batch is checked, and nothing is sent yet."""
        told: list[tuple[int, int]] = []

        async def go() -> None:
            async with AsyncClient() as client:
                await client.weigh_batch(
                    ["a boat"] * 130, model="test/basic", tell=lambda *how: told.append(how)
                )

        asyncio.run(go())
        assert ([(64, 130), (128, 130), (130, 130)], 0) == (told, len(vidorch_mock.requests))


class TestDisplay:
    def test_off_a_terminal_says_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        """But the lines that are for somebody."""
        with BatchDisplay(3, enabled=True) as display:
            display.show(done=1, failed=0, under_way=2, cost=batch_command.Decimal("0.50"))
            display.put("a.mp4")
            display.say("Line 2: no")
        assert ("a.mp4\n", "Line 2: no\n") == tuple(capsys.readouterr())

    def test_on_a_terminal_is_one_bar(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With how many are done, under way and failed, the cost and the time left."""
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "120")
        with BatchDisplay(4, enabled=True) as display:
            display.show(done=1, failed=1, under_way=2, cost=batch_command.Decimal("0.50"))
            display.say("Line 2: no")
        said = stream.getvalue()
        assert all(word in said for word in ("2/4", "2 running, 1 failed, $0.50, ", "s left", "Line 2: no"))
