"""`vidorch generate`: what it makes, prints and ends with."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import threading
from pathlib import Path

import pytest

from tests.cli.conftest import Command, start, wait_for_a_job_in
from tests.engine.scripted import Scripted, video
from vidorch import media
from vidorch.cli import consent
from vidorch.cli import generate as generate_command
from vidorch.cli.display import Display
from vidorch.contract import Accepted, Context, Done, Failed, Output, Polled, Progress
from vidorch.errors import ProviderFailed, Refused

BALL = "a red ball rolling left"


class TestTheBuiltInModel:
    def test_makes_a_file_and_says_where(self, process: Command, tmp_path: Path) -> None:
        """A cold process, no key: the path alone on stdout, everything else on stderr, exit 0."""
        said = process("generate", BALL, "-o", tmp_path / "ball.mp4", "--seed", 3)
        assert (0, f"{tmp_path / 'ball.mp4'}\n") == (said.code, said.out)
        assert "local/mini · 2.0 s, 256x256, 12 fps · seed 3 · free" in said.err
        assert (256, 256, 24) == (
            (info := media.probe(tmp_path / "ball.mp4")).width,
            info.height,
            info.frames,
        )

    def test_of_the_same_seed_is_the_same(self, command: Command, tmp_path: Path) -> None:
        """--seed makes a clip again, frame by frame."""
        for name in ("a.mp4", "b.mp4"):
            assert 0 == command("generate", BALL, "--seed", 5, "--steps", 2, "-o", tmp_path / name).code
        first, second = (
            [frame.tobytes() for frame in media.frames(tmp_path / name)] for name in ("a.mp4", "b.mp4")
        )
        assert first == second

    def test_out_of_its_world_is_said_and_nothing_is_written(self, command: Command, home: Path) -> None:
        """A prompt that it does not understand: exit 5, what is missing, what it draws, and no ledger."""
        said = command("generate", "a dragon over Berlin")
        assert (5, "", False) == (said.code, said.out, home.exists())
        assert "It found no object that it can draw. It found no motion that it can draw." in said.err
        assert "coloured" in said.err or "ball, square or triangle" in said.err


class TestOutput:
    def test_lies_in_the_home_folder_unless_told(
        self, command: Command, scripted: Scripted, home: Path
    ) -> None:
        """Without --output the clip lies below VIDORCH_HOME, and its path is the one line on stdout."""
        said = command("generate", "x", "-m", "test/basic")
        (line,) = said.lines
        assert Path(line).is_file()
        assert Path(line).is_relative_to(home / "runs")

    def test_is_said_relative_to_where_one_stands(
        self, command: Command, scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file below the current folder is named the short way."""
        monkeypatch.chdir(tmp_path)
        assert "clips/a.mp4\n" == command("generate", "x", "-m", "test/basic", "-o", "clips/a.mp4").out

    def test_to_a_folder(self, command: Command, scripted: Scripted, tmp_path: Path) -> None:
        """A folder takes the clip under a name of its own."""
        assert [str(tmp_path / "1-test-basic.mp4")] == command(
            "generate", "x", "-m", "test/basic", "-o", tmp_path
        ).lines

    def test_is_never_overwritten_unasked(self, command: Command, scripted: Scripted, tmp_path: Path) -> None:
        """A file that is there stays as it is: exit 2, and the option that would allow it."""
        (tmp_path / "a.mp4").write_text("precious")
        said = command("generate", "x", "-m", "test/basic", "-o", tmp_path / "a.mp4")
        assert (2, "precious", []) == (said.code, (tmp_path / "a.mp4").read_text(), scripted.calls)
        assert "exists already" in said.err
        assert "--overwrite" in said.err

    def test_is_overwritten_when_asked(self, command: Command, scripted: Scripted, tmp_path: Path) -> None:
        """--overwrite replaces it."""
        (tmp_path / "a.mp4").write_text("old")
        assert 0 == command("generate", "x", "-m", "test/basic", "-o", tmp_path / "a.mp4", "--overwrite").code
        assert 8 == media.probe(tmp_path / "a.mp4").frames

    def test_of_several_candidates(self, command: Command, scripted: Scripted) -> None:
        """-n 2 prints two paths, one a line."""
        lines = command("generate", "x", "-m", "test/basic", "-n", 2).lines
        assert ["1-test-basic.mp4", "2-test-basic.mp4"] == [Path(line).name for line in lines]


class TestJson:
    def test_is_one_document(self, command: Command, scripted: Scripted, tmp_path: Path) -> None:
        """Clip, candidates, cost, estimate and notes, and nothing else on stdout."""
        document = command(
            "generate", "x", "-m", "test/basic", "-n", 2, "--seed", 7, "--json", "-o", tmp_path / "best.mp4"
        ).document
        assert ["0", "USD", [7, 8], []] == [
            document["cost"].rstrip(".0") or "0", document["currency"], [c["seed"] for c in document["candidates"]], document["failures"],
        ]  # fmt: skip
        assert {"clip", "candidates", "cost", "estimate", "notes", "run_id"} <= document.keys()
        assert Path(document["clip"]["path"]).is_file()

    def test_names_what_was_ignored(self, command: Command, scripted: Scripted) -> None:
        """Notes of the provider reach the document."""
        from vidorch.contract import Admission

        scripted.admission = Admission(notes=("ignored: dragon",))
        assert "ignored: dragon" in command("generate", "x", "-m", "test/basic", "--json").document["notes"]

    def test_of_a_failure_is_a_document_too(self, command: Command, scripted: Scripted) -> None:
        """An error has its type, words, run and whether it was charged."""
        scripted.polls = [Failed(Refused("a face", stage="output", charged=False))]
        said = command("generate", "x", "-m", "test/basic", "--json")
        error = said.document["error"]
        assert (1, "Refused", "output", False) == (said.code, error["type"], error["stage"], error["charged"])
        assert error["run_id"].startswith("run_")

    @pytest.mark.parametrize(
        ("words", "kind", "code"),
        [
            (["--duration", "nan"], "InvalidRequest", 2),
            (["--model", "nope"], "InvalidRequest", 2),
            (["--model", "kling-3.0-pro"], "MissingCredentials", 6),
            (["--model", "sora-2"], "Retired", 5),
        ],
    )
    def test_of_a_request_that_cannot_be(
        self, command: Command, words: list[str], kind: str, code: int
    ) -> None:
        """Whatever is wrong with a request is one document as well."""
        said = command("generate", BALL, "--json", *words)
        assert (kind, code) == (said.document["error"]["type"], said.code)


BAD = [
    pytest.param(["generate", ""], "prompt", id="an empty prompt"),
    pytest.param(["generate", "x" * 100_001], "prompt", id="a prompt without end"),
    pytest.param(["generate", "x", "--duration", "0"], "duration=0", id="no duration"),
    pytest.param(["generate", "x", "--duration", "-3"], "duration=-3", id="a negative duration"),
    pytest.param(["generate", "x", "--duration", "nan"], "duration=nan", id="a duration that is no number"),
    pytest.param(["generate", "x", "--duration", "soon"], "--duration", id="a duration in words"),
    pytest.param(["generate", "x", "--size", "big"], "size='big'", id="a size in words"),
    pytest.param(
        ["generate", "x", "--size", "1280x720", "--resolution", "1080p"], "size", id="a size and a resolution"
    ),
    pytest.param(["generate", "x", "--resolution", "721q"], "resolution='721q'", id="an unknown resolution"),
    pytest.param(["generate", "x", "--aspect-ratio", "wide"], "aspect_ratio='wide'", id="a ratio in words"),
    pytest.param(["generate", "x", "--image", "nope.png"], "There is no such file", id="a missing image"),
    pytest.param(["generate", "x", "--image", __file__], "image=", id="an image that is Python"),
    pytest.param(["generate", "x", "--image", "."], "image=", id="an image that is a folder"),
    pytest.param(["generate", "x", "--seed", "-1"], "seed=-1", id="a negative seed"),
    pytest.param(["generate", "x", "-n", "0"], "candidates=0", id="no candidates"),
    pytest.param(["generate", "x", "--fit", "loose"], "fit='loose'", id="an unknown fit"),
    pytest.param(["generate", "x", "--task", "extnd"], "Did you mean 'extend'", id="a task misspelt"),
    pytest.param(["generate", "x", "--timeout", "0"], "timeout=0", id="no time"),
    pytest.param(["generate", "x", "--max-cost", "much"], "max_cost='much'", id="a cost in words"),
    pytest.param(
        ["generate", "x", "-m", "klng-3.0-pro"], "Did you mean 'kling-3.0-pro'", id="a model misspelt"
    ),
    pytest.param(["generate", "x", "-m", "fal/klng-3.0-pro"], "kling-3.0-pro", id="a pinned model misspelt"),
    pytest.param(["generate", BALL, "-o", "clip.avi"], "ending in .mp4", id="an output of another kind"),
    pytest.param(["generate", BALL, "-o", "clip.mov"], "Call it clip.mp4.", id="an output called QuickTime"),
    pytest.param(["generate", "x", "--duratoin", "5"], "--duration", id="an option misspelt"),
    pytest.param(["generate"], "PROMPT", id="nothing at all"),
    pytest.param(["generat", "x"], "generate", id="a command misspelt"),
    pytest.param(["models", "klng-3.0-pro"], "kling-3.0-pro", id="models: misspelt"),
    pytest.param(["models", "--task", "edt"], "Did you mean edit", id="models: a task misspelt"),
    pytest.param(["jobs", "list", "--state", "settld"], "Did you mean settled", id="jobs: a state misspelt"),
    pytest.param(["jobs", "show", "nope"], "no run or job 'nope'", id="jobs: an unknown id"),
    pytest.param(
        ["estimate", "x", "--image", "nope.png"], "There is no such file", id="estimate: a missing image"
    ),
]


class TestBadInput:
    @pytest.mark.parametrize(("words", "expected"), BAD)
    def test_is_one_readable_error(
        self, command: Command, home: Path, words: list[str], expected: str
    ) -> None:
        """Exit 2, the field or option and what is allowed on stderr; no traceback, nothing on stdout, nothing written."""
        said = command(*words)
        assert (2, "", False) == (said.code, said.out, home.exists())
        assert expected in said.err
        assert "Traceback" not in said.err

    def test_a_mistake_of_ours_is_a_sentence_too(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An unforeseen exception ends with code 70 and how to see more, not with a traceback."""
        monkeypatch.setattr(generate_command.AsyncClient, "parse", lambda *_: 1 / 0)
        said = command("generate", BALL)
        assert (70, True, True) == (said.code, "ZeroDivisionError" in said.err, "VIDORCH_DEBUG=1" in said.err)


class TestFailures:
    def test_end_with_one(self, command: Command, scripted: Scripted) -> None:
        """A job that failed: exit 1, its words, its run; no path on stdout."""
        scripted.polls = [Failed(ProviderFailed("out of memory", charged=False))]
        said = command("generate", "x", "-m", "test/basic")
        assert (1, "") == (said.code, said.out)
        assert "Error: out of memory" in said.err
        assert "Run: run_" in said.err

    def test_of_all_candidates_are_listed(self, command: Command, scripted: Scripted) -> None:
        """When none comes each cause is said."""
        scripted.polls = [Failed(ProviderFailed("out of memory", charged=False))]
        said = command("generate", "x", "-m", "test/basic", "-n", 2)
        assert (1, 2) == (said.code, said.err.count("- out of memory"))

    def test_of_one_candidate_leave_the_others(self, command: Command, scripted: Scripted) -> None:
        """Partial success is success, with the failure beside it."""
        scripted.script_of = lambda number: (
            [Done((Output(0, "r"),))] if number else [Failed(ProviderFailed("boom", charged=False))]
        )
        said = command("generate", "x", "-m", "test/basic", "-n", 2)
        assert (0, 1, True) == (said.code, len(said.lines), "A candidate failed: boom" in said.err)

    def test_a_timeout_ends_the_run_with_the_process(self, command: Command, scripted: Scripted) -> None:
        """Work inside the process ends with it: exit 8, said as it is, and cancelled in the ledger."""
        scripted.polls = [Progress("running", 0.1)]
        said = command("generate", "x", "-m", "test/basic", "--timeout", "0.05")
        assert (8, True, False) == (said.code, "was cancelled" in said.err, "goes on" in said.err)
        assert ["cancelled"] == [job["state"] for job in command("jobs", "list", "--json").document]


class TestMoney:
    PAID = ("generate", BALL, "-m", "local/mini-paid")

    def test_off_a_terminal_nobody_said_yes(self, command: Command, scripted: Scripted, home: Path) -> None:
        """A paid model without --yes or --max-cost: the estimate on stdout, exit 3, nothing written."""
        said = command("generate", "x", "-m", "test/paid")
        assert (3, [], False) == (said.code, scripted.calls, home.exists())
        assert "$0.10" in said.out
        assert "Pass --yes, or --max-cost" in said.err

    def test_off_a_terminal_as_json(self, command: Command, scripted: Scripted) -> None:
        """With --json the estimate is the document."""
        said = command("generate", "x", "-m", "test/paid", "--json")
        assert (3, ["test/paid"]) == (said.code, [line["offer"] for line in said.document["lines"]])

    @pytest.mark.parametrize("consent", [["--yes"], ["--max-cost", "1"]])
    def test_with_consent_it_is_bought_once(
        self, command: Command, scripted: Scripted, consent: list[str]
    ) -> None:
        """Whoever says yes gets the clip, for one submit."""
        said = command("generate", "x", "-m", "test/paid", *consent)
        assert (0, 1) == (said.code, scripted.calls.count("submit"))

    def test_over_max_cost(self, command: Command, scripted: Scripted) -> None:
        """More than --max-cost allows: exit 4 with both amounts."""
        said = command("generate", "x", "-m", "test/paid", "--max-cost", "0.05")
        assert (4, True, True) == (said.code, "$0.10" in said.err, "$0.05" in said.err)

    def test_hosted_models_need_a_key(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without one it is exit 6, and the variable is named; nothing is sent."""
        for name in ("FAL_KEY", "KLINGAI_API_KEY", "REPLICATE_API_TOKEN", "RUNWAYML_API_SECRET"):
            monkeypatch.delenv(name, raising=False)
        said = command("generate", BALL, "-m", "fal/kling-3.0-pro", "--yes")
        assert (6, True, True) == (said.code, "FAL_KEY" in said.err, "Nothing was sent" in said.err)

    @pytest.mark.parametrize(("answer", "code"), [(True, 0), (False, 3)])
    def test_on_a_terminal_it_asks(
        self, command: Command, scripted: Scripted, monkeypatch: pytest.MonkeyPatch, answer: bool, code: int
    ) -> None:
        """The estimate stands on stderr, then the question; no means exit 3."""
        monkeypatch.setattr(consent, "is_terminal", lambda: True)
        asked: list[str] = []
        monkeypatch.setattr(consent.typer, "confirm", lambda text, **_: asked.append(text) or answer)
        said = command("generate", "x", "-m", "test/paid")
        assert (code, ["Spend up to $0.10?"]) == (said.code, asked)
        assert answer is bool(said.out)

    def test_asks_on_a_real_terminal_and_no_is_no(self, catalog_file: Path, home: Path) -> None:
        """On a pty the question appears; Ctrl-D answers no: exit 3 and nothing written."""
        pty = pytest.importorskip("pty", reason="no terminals of this kind here")
        ours, theirs = pty.openpty()
        with start(*self.PAID, stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs) as child:
            os.close(theirs)
            seen = ""
            while "Spend up to $0.20?" not in seen:
                seen += os.read(ours, 4096).decode()
            os.write(ours, b"\x04")
            assert 3 == child.wait(timeout=60)
        os.close(ours)
        assert not home.exists()


@pytest.mark.skipif(os.name == "nt", reason="signals are another matter on Windows")
class TestCtrlC:
    def test_cancels_the_run_and_leaves_nothing_behind(self, home: Path, tmp_path: Path) -> None:
        """Exit 130, the run cancelled in the ledger, no file left."""
        with start("generate", BALL, "--steps", 64, "-n", 8, "-o", f"{tmp_path}/out/") as child:
            wait_for_a_job_in(home / "ledger.db", "accepted", "running")
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=60)
        assert (130, "") == (child.returncode, out)
        assert "was cancelled" in err
        with sqlite3.connect(home / "ledger.db") as ledger:
            assert [("cancelled",)] == ledger.execute("SELECT state FROM runs").fetchall()
            assert {"cancelled", "abandoned"} >= {
                state for (state,) in ledger.execute("SELECT state FROM jobs")
            }
        ledger.close()
        assert [] == [path for path in tmp_path.rglob("*") if path.suffix in (".part", ".mp4")]

    @pytest.mark.parametrize("as_document", [False, True])
    def test_at_the_last_moment_keeps_what_is_nearly_done(
        self,
        command: Command,
        scripted: Scripted,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        as_document: bool,
    ) -> None:
        """A clip that is only being checked and published is finished: exit 130, but the path (--json: the result) is said."""
        told = threading.Event()
        show = Display.show
        monkeypatch.setattr(Display, "show", lambda self, progress: (show(self, progress), told.set()))
        scripted.polls = [Progress("running", 0.5)]
        poll = scripted.poll

        async def poll_until_told(context: Context, accepted: Accepted) -> Polled:
            return Done((Output(0, "r"),)) if told.is_set() else await poll(context, accepted)

        def write(path: Path) -> None:
            video(path)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        monkeypatch.setattr(scripted, "poll", poll_until_told)
        scripted.write = write
        more = ["--json"] if as_document else []
        said = command("generate", "x", "-m", "test/basic", "-o", tmp_path / "a.mp4", *more)
        path = said.document["clip"]["path"] if as_document else said.out.rstrip("\n")
        assert (130, str(tmp_path / "a.mp4")) == (said.code, path)
        assert "Interrupted, but it was nearly done:" in said.err
        assert ["settled"] == [job["state"] for job in command("jobs", "list", "--json").document]


def test_every_exit_code_has_its_own_number() -> None:
    """Scripts can tell the ends apart."""
    from vidorch.cli.exits import Exit

    codes = [code.value for code in Exit]
    assert len(codes) == len(set(codes))


def test_a_terminal_that_cannot_spell_it(process: Command, tmp_path: Path) -> None:
    """What the terminal cannot spell is escaped, in the document and beside it; the clip is made and said."""
    settings = {"env": {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}, "encoding": "cp1252"}
    prompt, path = f"{BALL} 🎈", tmp_path / "ž🎈.mp4"
    said = process("generate", prompt, "--steps", 2, "--json", "-o", path, **settings)
    assert (0, str(path)) == (said.code, said.document["clip"]["path"]), said.err
    again = process("generate", prompt, "--steps", 2, "-o", path, "--overwrite", **settings)
    assert (0, True) == (again.code, again.out.endswith(".mp4\n")), again.err
    refused = process("generate", "🎈", "-o", path, "--overwrite", **settings)
    assert (5, False) == (refused.code, "Traceback" in refused.err), refused.err


def test_json_survives_a_strange_prompt(command: Command, scripted: Scripted) -> None:
    """Quotes, line ends, emoji and half a surrogate pair in a prompt never break the document."""
    said = command("generate", 'a "red"\nball 🎈', "-m", "test/basic", "--json")
    assert 0 == said.code
    shown = command("jobs", "show", said.document["run_id"], "--json").document
    assert 'a "red"\nball 🎈' == shown["run"]["request"]["prompt"]
    json.dumps(shown)
