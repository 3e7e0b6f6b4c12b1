"""The commands that only look: `estimate`, `models`, `jobs`, `doctor`, `--version` and `--help`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import vidorch
from tests.cli.conftest import Command, start
from tests.engine.scripted import Scripted
from vidorch.catalog import load
from vidorch.contract import Failed
from vidorch.errors import ProviderFailed
from vidorch.testing import Mock

BALL = "a red ball rolling left"


class TestEstimate:
    def test_of_the_built_in_model_is_free(self, command: Command, home: Path) -> None:
        """With no model named: local/mini, free, nothing written."""
        said = command("estimate", BALL)
        assert (0, False) == (said.code, home.exists())
        assert "local/mini" in said.out
        assert "free" in said.out

    def test_shows_each_named_model(self, command: Command) -> None:
        """-m may be repeated; each offer has its own line with what is bought, unit price and cost."""
        out = command("estimate", "a boat", "-m", "gen4.5", "-m", "veo-3.1-fast", "--duration", 8).out
        assert "runway/gen4.5" in out
        assert "vertex/veo-3.1-fast" in out
        assert "$0.96" in out  # 8 s at 0.12

    def test_as_json_is_one_document(self, command: Command) -> None:
        """Money is text, every line names its price's source and date."""
        document = command("estimate", "a boat", "-m", "gen4.5", "--duration", 5, "-n", 3, "--json").document
        (line,) = document["lines"]
        assert (3, "runway/gen4.5") == (document["candidates"], line["offer"])
        assert "1.80" == f"{float(document['cost']['expected']):.2f}"
        assert line["price_source"].startswith("http") or line["price_source"]

    def test_compares_every_model(self, command: Command) -> None:
        """--compare lists what can serve the request, cheapest first, and says why the others cannot."""
        document = command("estimate", "a boat", "--duration", 8, "--compare", "--json").document
        costs = [float(line["cost"]["expected"]) for line in document["lines"]]
        assert sorted(costs) == costs
        assert len(costs) >= 5
        assert "local/mini" in {one["offer"] for one in document["left_out"]}

    def test_compares_no_model_that_stands_for_others(self, command: Command) -> None:
        """What the catalog does not list has no price to compare."""
        document = command("estimate", "a boat", "--compare", "--json").document
        assert not [one for one in document["left_out"] if one["offer"].endswith("/any")]

    def test_of_an_unlisted_model(self, command: Command) -> None:
        """What is missing is said once: the price, and how a setting is passed on that nobody here knows the name of."""
        said = command("estimate", "a boat", "-m", "fal:acme/x", "--duration", 5)
        assert (
            "fal/acme/x: duration: not in the catalog, so its own name for that has to be passed in extra={'fal': {...}}"
            in said.err
        )
        assert "it is not in the catalog; pass max_cost" in said.err

    def test_of_an_unlisted_model_with_max_cost(self, command: Command) -> None:
        """Nobody is told to pass what was passed."""
        said = command("estimate", "a boat", "-m", "fal:acme/x", "--max-cost", "1.00")
        assert (0, False) == (said.code, "pass max_cost" in said.out)

    def test_of_an_unknown_model(self, command: Command) -> None:
        """Exit 2 and the nearest name."""
        said = command("estimate", "x", "-m", "veo-3.1-fats")
        assert (2, "") == (said.code, said.out)
        assert "veo-3.1-fast" in said.err

    def test_of_a_retired_model(self, command: Command) -> None:
        """Sora is switched off: exit 5, since when, and by whom it is said."""
        said = command("estimate", "a boat", "-m", "sora-2")
        assert (5, "") == (said.code, said.out)
        assert "openai/sora-2: switched off by its vendor on 2026-09-24" in said.err

    def test_over_max_cost(self, command: Command) -> None:
        """More than --max-cost: exit 4 with both amounts."""
        said = command("estimate", "a boat", "-m", "gen4.5", "--duration", 10, "--max-cost", "1")
        assert (4, True, True) == (said.code, "$1.20" in said.err, "$1.00" in said.err)

    def test_marks_what_is_not_here(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A provider that is not installed is said to be missing, beside its price."""
        layer = tmp_path / "layer.toml"
        layer.write_text(
            '[[offer]]\nlike = "runway/gen4.5"\nendpoint = "acme"\nprovider = "acme"\ntitle = "ACME"\nas_of = 2026-11-26\n'
            '[offer.price]\nsource = "x"\n[[offer.price.row]]\nper_second = 0.1\n'
        )
        monkeypatch.setenv("VIDORCH_CATALOG", str(layer))
        told = command("estimate", "a boat", "-m", "acme/gen4.5").out
        assert "its provider is not in this version" in told

    def test_cold_loads_neither_codecs_nor_database(self, home: Path) -> None:
        """`estimate` of a hosted model starts without PyAV, NumPy, SQLAlchemy or asyncio's client."""
        code = (
            "import sys; sys.argv = ['vidorch', 'estimate', 'a boat', '-m', 'gen4.5', '--json']\n"
            "from vidorch.cli import main\n"
            "try: main()\n"
            "except SystemExit as end: print(end.code or 0, *sorted({'av', 'numpy', 'sqlalchemy', 'httpx'} & set(sys.modules)), file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
        assert ("0\n", False) == (done.stderr, home.exists())


class TestModels:
    def test_lists_every_live_offer(self, command: Command) -> None:
        """One row an offer; retired ones are left out."""
        said = command("models")
        assert 0 == said.code
        assert "local/mini" in said.out
        assert "ready" in said.out
        assert "sora-2" not in said.out

    def test_all_lists_retired_ones_too(self, command: Command) -> None:
        """--all names what is gone, with its day."""
        assert "retired 2026-09-24" in command("models", "--all").out

    def test_one_in_full(self, command: Command) -> None:
        """A model's name shows tasks, life, each price with source and day, and what is billed without a clip."""
        out = command("models", "gen4.5").out
        for words in (
            "runway/gen4.5",
            "tasks: ",
            "life: live",
            "price: ",
            "(read 20",
            "billed when it gives no clip",
        ):
            assert words in out

    def test_says_how_what_is_not_listed_is_called(self, command: Command) -> None:
        """In a line of its own: what stands for the rest is no row."""
        out = command("models").out
        assert ("fal/any" in out, "fal:owner/name, replicate:owner/name" in " ".join(out.split())) == (
            False,
            True,
        )

    def test_one_that_is_not_listed(self, command: Command) -> None:
        """It may be called, and what is not known of it is said."""
        said = command("models", "fal:acme/x")
        assert (0, True) == (
            said.code,
            "fal:acme/x is not in the catalog. It can be called all the same" in said.out,
        )

    def test_as_json_names_what_is_not_listed(self, command: Command) -> None:
        """Beside the offers."""
        document = command("models", "--json").document
        assert ["fal:owner/name", "replicate:owner/name"] == document["unlisted"]

    def test_one_offer_of_several(self, command: Command) -> None:
        """endpoint/model shows that one alone."""
        out = command("models", "fal/kling-3.0-pro").out
        assert ("fal/kling-3.0-pro: " in out, "kling/kling-3.0-pro" in out) == (True, False)

    def test_by_task(self, command: Command) -> None:
        """--task keeps the offers that have a route for it."""
        named = {
            offer["name"]
            for offer in command("models", "--task", "image-to-video", "--json").document["offers"]
        }
        assert {
            offer.name
            for offer in load().offers
            if offer.model != "any"
            and "image-to-video" in offer.routes
            and offer.lifecycle.state != "retired"
        } == named

    def test_as_json_is_one_document(self, command: Command) -> None:
        """Each offer with its price rows, their source and day."""
        document = command("models", "--all", "--json").document
        assert sorted(offer.name for offer in load().offers if offer.model != "any") == sorted(
            offer["name"] for offer in document["offers"]
        )
        assert all(
            row["source"] and row["as_of"] for offer in document["offers"] for row in offer["price"]["rows"]
        )

    def test_says_which_key_is_missing(
        self, command: Command, scripted: Scripted, catalog_file: Path
    ) -> None:
        """An offer whose provider is here but whose key is not names the variable."""
        catalog_file.write_text(
            catalog_file.read_text().replace('path = "paid"', 'path = "paid"\nvariables = ["TEST_API_KEY"]')
        )
        assert "needs TEST_API_KEY" in command("models", "test/paid").out

    def test_a_broken_catalog_names_file_and_line(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`VIDORCH_CATALOG` that is no TOML: exit 2 with the place."""
        (tmp_path / "broken.toml").write_text('[[offer]]\nmodel = "x\n')
        monkeypatch.setenv("VIDORCH_CATALOG", str(tmp_path / "broken.toml"))
        said = command("models")
        assert (2, "") == (said.code, said.out)
        assert "broken.toml" in said.err
        assert "line 2" in said.err


class TestJobs:
    def test_list_of_an_empty_home_creates_nothing(self, command: Command, home: Path) -> None:
        """Looking is not making."""
        assert ((0, "No jobs yet.\n"), False) == (
            ((said := command("jobs", "list")).code, said.out),
            home.exists(),
        )

    def test_list_as_json_of_an_empty_home(self, command: Command, home: Path) -> None:
        """An empty list, and still nothing made."""
        assert ([], False) == (command("jobs", "list", "--json").document, home.exists())

    def test_list_is_newest_first(self, command: Command, scripted: Scripted) -> None:
        """Each job with its offer, state and cost; --limit keeps the newest."""
        made = [
            command("generate", "x", "-m", "test/basic", "--json").document["clip"]["job_id"]
            for _ in range(2)
        ]
        listed = command("jobs", "list", "--json").document
        assert made[::-1] == [job["id"] for job in listed]
        assert [made[1]] == [job["id"] for job in command("jobs", "list", "-n", 1, "--json").document]
        assert "test/basic" in command("jobs", "list").out

    def test_list_by_state(self, command: Command, scripted: Scripted) -> None:
        """--state keeps one state, and says so when there is none."""
        command("generate", "x", "-m", "test/basic")
        assert 1 == len(command("jobs", "list", "--state", "settled", "--json").document)
        assert "No job is failed.\n" == command("jobs", "list", "--state", "failed").out

    def test_show_tells_the_whole_story(self, command: Command, scripted: Scripted) -> None:
        """What was asked, the file, and every move."""
        clip = command("generate", "a quiet sea", "-m", "test/basic", "--json", "--seed", 5).document["clip"]
        out = command("jobs", "show", clip["run_id"]).out
        for words in (
            "a quiet sea",
            "seed 5",
            clip["path"],
            "-> reserved",
            "sending -> accepted",
            "downloading -> settled",
        ):
            assert words in out

    def test_show_takes_the_last_letters(self, command: Command, scripted: Scripted) -> None:
        """A suffix that is one run or job alone is enough."""
        clip = command("generate", "x", "-m", "test/basic", "--json").document["clip"]
        shown = command("jobs", "show", clip["job_id"][-6:], "--json").document
        assert [clip["job_id"]] == [job["id"] for job in shown["jobs"]]
        assert ["settled"] == [event["to"] for event in shown["events"]][-1:]

    def test_show_of_more_than_one_names_them(self, command: Command, scripted: Scripted) -> None:
        """An ambiguous word: exit 2 and what it could be."""
        document = command("generate", "x", "-m", "test/basic", "-n", 2, "--json").document
        said = command("jobs", "show", "job_")
        assert (2, "") == (said.code, said.out)
        for clip in document["candidates"]:
            assert clip["job_id"] in said.err

    def test_show_of_a_failed_job_has_its_words(self, command: Command, scripted: Scripted) -> None:
        """The error as the provider said it stands under the job."""
        scripted.polls = [Failed(ProviderFailed("out of memory", charged=False))]
        command("generate", "x", "-m", "test/basic")
        (job,) = command("jobs", "list", "--json").document
        assert "ProviderFailed: out of memory" in command("jobs", "show", job["id"]).out

    def test_prompts_are_never_read_as_markup(self, command: Command, scripted: Scripted) -> None:
        """Square brackets in a prompt or note come out as they went in."""
        run = command("generate", "[bold]x[/nope]", "-m", "test/basic", "--json").document["run_id"]
        assert "[bold]x[/nope]" in command("jobs", "show", run).out

    def test_a_file_that_is_no_ledger(self, command: Command, home: Path) -> None:
        """A damaged ledger: exit 9, and it is left as it was."""
        home.mkdir()
        (home / "ledger.db").write_text("not a database, but long enough to be looked at" * 50)
        said = command("jobs", "list")
        assert (9, "", True) == (said.code, said.out, "is not an SQLite database" in said.err)


class TestDoctor:
    def test_of_a_sound_installation(self, command: Command) -> None:
        """Everything that the built-in model needs is ok: exit 0."""
        said = command("doctor", "--json")
        states = {finding["what"]: finding["state"] for finding in said.document["findings"]}
        assert (0, True) == (said.code, said.document["ok"])
        assert ["ok"] * 5 == [
            states[what] for what in ("versions", "ledger", "video", "built-in model", "catalog")
        ]

    def test_of_an_endpoint_that_is_elsewhere(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever gets the key is named, and the variable that says so; whether a key is set or not."""
        monkeypatch.setenv("VIDORCH_FAL_BASE_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("FAL_KEY", "a-key-of-fal")
        monkeypatch.setenv("VIDORCH_KLING_BASE_URL", "http://127.0.0.1:9")
        findings = {one["what"]: one["detail"] for one in command("doctor", "--json").document["findings"]}
        for endpoint in ("fal", "kling"):
            variable = f"VIDORCH_{endpoint.upper()}_BASE_URL"
            assert (
                f"its calls and its key go to http://127.0.0.1:9, for {variable} is set" in findings[endpoint]
            )

    def test_of_an_endpoint_at_its_vendors(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        """A base URL that is the vendor's own is none to speak of."""
        monkeypatch.setenv("VIDORCH_FAL_BASE_URL", "https://queue.fal.run/")
        assert "VIDORCH_FAL_BASE_URL" not in command("doctor").out

    def test_of_googles_credentials(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Named in the order in which they are read, as `models` names them; a login that gcloud left is one, too."""
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
        findings = {one["what"]: one["detail"] for one in command("doctor", "--json").document["findings"]}
        named = "GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_API_KEY"
        assert f"no key ({named})" in findings["vertex"]
        models = {one["name"]: one["here"] for one in command("models", "--json").document["offers"]}
        assert f"needs {named}" == models["vertex/veo-3.1-fast"]
        (tmp_path / "gcloud").mkdir()
        (tmp_path / "gcloud" / "application_default_credentials.json").write_text("{}")
        models = {one["name"]: one["here"] for one in command("models", "--json").document["offers"]}
        assert "ready" == models["vertex/veo-3.1-fast"]

    def test_of_a_home_that_cannot_be_written(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Home and ledger are bad: exit 1, the path named."""
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("VIDORCH_HOME", str(tmp_path / "file" / "home"))
        said = command("doctor")
        assert (1, True, True) == (said.code, "bad  home: " in said.out, "bad  ledger: " in said.out)
        assert str(tmp_path / "file") in said.out

    def test_of_broken_weights(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        """Weights that cannot be used: exit 1, why, and nothing else is bad."""
        from vidorch_local.mini.model import Mini

        def broken(cls: object) -> None:
            raise ValueError("checksum differs")

        monkeypatch.setattr(Mini, "load", classmethod(broken))
        said = command("doctor", "--json")
        bad = {
            finding["what"]: finding["detail"]
            for finding in said.document["findings"]
            if finding["state"] == "bad"
        }
        assert (1, ["built-in model"]) == (said.code, list(bad))
        assert "checksum differs" in bad["built-in model"]

    def test_of_a_broken_catalog(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The file and line are named, and the rest of the report is there: exit 1."""
        (tmp_path / "broken.toml").write_text('[[offer]]\nmodel = "x\n')
        monkeypatch.setenv("VIDORCH_CATALOG", str(tmp_path / "broken.toml"))
        said = command("doctor", "--json")
        bad = {
            finding["what"]: finding["detail"]
            for finding in said.document["findings"]
            if finding["state"] == "bad"
        }
        assert (1, ["catalog"]) == (said.code, list(bad))
        assert "broken.toml" in bad["catalog"]
        assert "line 2" in bad["catalog"]

    def test_makes_nothing(self, command: Command, home: Path) -> None:
        """Looking is not making: no home folder, no ledger."""
        said = command("doctor")
        assert (0, True, False) == (said.code, "made at the first run" in said.out, home.exists())

    def test_says_what_is_open_and_what_is_left(self, command: Command, vidorch_mock: Mock) -> None:
        """Open and unknown jobs, runs that wait, and every budget."""
        vidorch_mock.on(model="test/blind").lose_reply()
        vidorch_mock.on(model="test/slow", call=1).throttle()
        command("budget", "set", "spring", "20", "--per", "month")
        for model in ("basic", "blind", "slow"):
            command("generate", "x", "-m", f"test/{model}", "--yes", "--detach")
        findings = {one["what"]: one for one in command("doctor", "--json").document["findings"]}
        assert "note" == findings["ledger"]["state"]
        for words in ("can be written", "3 jobs", "1 open", "1 unknown", "1 run waiting"):
            assert words in findings["ledger"]["detail"]
        assert "$1.00 held, $19.00 left" in findings["budget"]["detail"]

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
    def test_of_a_ledger_that_cannot_be_written(
        self, command: Command, scripted: Scripted, home: Path
    ) -> None:
        """It is bad, with the reason: nothing would be paid."""
        command("generate", "x", "-m", "test/basic")
        (home / "ledger.db").chmod(0o400)
        said = command("doctor")
        assert (1, True) == (said.code, "bad  ledger: " in said.out)

    @pytest.mark.parametrize("mock", ["1", "0", ""])
    def test_says_loudly_that_nothing_is_real(self, process: Command, mock: str) -> None:
        """Under VIDORCH_MOCK that is the first thing said, with how to end it; elsewhere nothing of it."""
        said = process("doctor", env={"VIDORCH_MOCK": mock})
        document = process("doctor", "--json", env={"VIDORCH_MOCK": mock}).document
        first = said.lines[0].startswith("note mock: NOTHING REAL IS REACHED. VIDORCH_MOCK=1 is set: ")
        assert [mock == "1"] * 3 == [first, "unset VIDORCH_MOCK" in said.out, document["mock"]]

    def test_never_shows_a_key(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whether a key is set is said, the key is not."""
        monkeypatch.setenv("FAL_KEY", "sk-very-secret")
        said = command("doctor")
        assert (True, False) == ("FAL_KEY is set" in said.out, "sk-very-secret" in said.out + said.err)


class TestAHomeThatIsAFile:
    @pytest.mark.parametrize(
        "words",
        [
            ("generate", BALL),
            ("estimate", BALL),
            ("models",),
            ("jobs", "list"),
            ("jobs", "show", "run_x"),
            ("jobs", "resume"),
            ("jobs", "proceed", "run_x"),
            ("jobs", "cancel", "run_x"),
            ("jobs", "adopt", "job_x", "id"),
            ("jobs", "settle", "job_x", "--not-charged"),
            ("jobs", "prune", "--before", "30", "--yes"),
            ("budget", "set", "spring", "20"),
            ("budget", "list"),
            ("budget", "remove", "spring"),
        ],
        ids=" ".join,
    )
    def test_is_an_error_of_every_command(self, command: Command, home: Path, words: tuple[str, ...]) -> None:
        """Exit 2 and what is in the way, never an empty list of jobs; the file stays as it is."""
        home.write_text("precious")
        said = command(*words)
        assert (2, "", "precious") == (said.code, said.out, home.read_text())
        assert f"VIDORCH_HOME={str(home)!r} cannot be used: {home} is not a folder." in said.err

    def test_is_what_the_doctor_finds(self, command: Command, home: Path) -> None:
        """The report goes on, and blames the home and the ledger alone."""
        home.write_text("precious")
        said = command("doctor", "--json")
        bad = {one["what"]: one["detail"] for one in said.document["findings"] if one["state"] == "bad"}
        assert (1, {"home", "ledger"}) == (said.code, set(bad))
        assert "is not a folder" in bad["home"]


class TestTheRoot:
    def test_version(self, command: Command) -> None:
        """--version is one line on stdout."""
        assert (0, f"vidorch {vidorch.__version__}\n") == ((said := command("--version")).code, said.out)

    @pytest.mark.parametrize(
        "words",
        [
            (),
            ("generate",),
            ("estimate",),
            ("models",),
            ("jobs",),
            ("jobs", "list"),
            ("jobs", "show"),
            ("jobs", "resume"),
            ("jobs", "proceed"),
            ("jobs", "cancel"),
            ("jobs", "adopt"),
            ("jobs", "settle"),
            ("jobs", "prune"),
            ("budget",),
            ("budget", "set"),
            ("budget", "list"),
            ("budget", "remove"),
            ("doctor",),
        ],
        ids=" ".join,
    )
    def test_help(self, command: Command, words: tuple[str, ...]) -> None:
        """Each command explains itself: exit 0, usage on stdout."""
        said = command(*words, "--help")
        assert (0, True, "") == (said.code, "Usage: vidorch" in said.out, said.err)


class TestStreams:
    @pytest.mark.parametrize(
        "words", [["jobs", "list"], ["jobs", "show", "RUN"], ["budget", "list"], ["doctor"]], ids=" ".join
    )
    @pytest.mark.parametrize("columns", [1, 20, 80])
    def test_a_narrow_terminal(
        self, command: Command, vidorch_mock: Mock, words: list[str], columns: int
    ) -> None:
        """However few columns there are, it is said, without a crash."""
        termios = pytest.importorskip("termios", reason="no terminals of this kind here")
        command("budget", "set", "spring", "20")
        run = command("generate", "x", "-m", "test/basic", "--yes", "--detach").out.strip()
        ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (24, columns))
        typed = [run if word == "RUN" else word for word in words]
        with start(*typed, stdout=theirs, stderr=theirs, env={"TERM": "xterm", "VIDORCH_MOCK": "1"}) as child:
            os.close(theirs)
            seen = _everything_of(ours)
            assert 0 == child.wait(timeout=60)
        assert b"Traceback" not in seen

    def test_a_terminal_without_a_size(self, command: Command) -> None:
        """Where a pseudo-terminal has no size, lines are as long as in one of 80 columns."""
        termios = pytest.importorskip("termios", reason="no terminals of this kind here")
        ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (0, 0))
        with start("jobs", "show", "nope", stdout=theirs, stderr=theirs, env={"TERM": "xterm"}) as child:
            os.close(theirs)
            seen = _everything_of(ours)
            assert 2 == child.wait(timeout=60)
        assert b"There is no run or job 'nope' in this ledger." in seen

    def test_nobody_reads_stderr(self, command: Command, vidorch_mock: Mock) -> None:
        """A closed stderr does not keep what is being done from its end: exit 0, the path on stdout."""
        reading, writing = os.pipe()
        os.close(reading)
        words = ("generate", "x", "-m", "test/basic", "--yes")
        with start(*words, stderr=writing, env={"VIDORCH_MOCK": "1"}) as child:
            os.close(writing)
            out, _ = child.communicate(timeout=60)
        assert (0, True) == (child.returncode, Path(out.strip()).is_file())

    def test_a_reader_that_leaves_is_no_error(self) -> None:
        """`vidorch models | head -1`: no traceback, whatever is still unwritten."""
        for words in (["models"], ["models", "--all", "--json"]):
            reading, writing = os.pipe()
            os.close(reading)
            with start(*words, stdout=writing) as child:
                os.close(writing)
                _, err = child.communicate(timeout=60)
            assert (1, "") == (child.returncode, err)

    def test_no_colour_when_not_wanted(self) -> None:
        """NO_COLOR holds on a terminal that could: no escape sequence for colours."""
        pty = pytest.importorskip("pty", reason="no terminals of this kind here")
        ours, theirs = pty.openpty()
        with start(
            "doctor", "--help", stdout=theirs, stderr=theirs, env={"NO_COLOR": "1", "TERM": "xterm-256color"}
        ) as child:
            os.close(theirs)
            seen = _everything_of(ours)
            assert 0 == child.wait(timeout=60)
        assert b"doctor" in seen
        assert not [
            part
            for part in seen.split(b"\x1b[")[1:]
            if part[:2] in (b"30", b"31", b"32", b"33", b"34", b"35", b"36", b"37")
        ]

    def test_a_ledger_that_cannot_be_written_is_a_warning_on_stderr(
        self, scripted: Scripted, tmp_path: Path, process: Command
    ) -> None:
        """Free work goes on without a record: the document stays whole, the warning stands beside it."""
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "ledger.db").mkdir()
        said = process("generate", BALL, "--steps", 2, "--json", env={"VIDORCH_HOME": str(tmp_path / "home")})
        assert (0, True) == (said.code, Path(json.loads(said.out)["clip"]["path"]).is_file())
        assert "Warning: " in said.err
        assert "Traceback" not in said.err


def _everything_of(terminal: int) -> bytes:
    """What is written to a terminal until its other end is closed."""
    seen = b""
    try:
        while part := os.read(terminal, 65536):
            seen += part
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    return seen
