"""Rules from a file, and whole processes under the mock."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vidorch
from vidorch.errors import InvalidRequest
from vidorch.testing import Mock
from vidorch.testing.script import follow

SCRIPT = """
[[rule]]
model = "test/basic"
succeed = { cost = "0.60", latency = 12 }

[[rule]]
model = "test/basic"
call = 1
throttle = { retry_after = 30, times = 2 }

[[rule]]
pattern = "forbid+en"
refuse = true
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.toml"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python with these arguments as a process of its own, under `VIDORCH_MOCK`."""

    def one(*arguments: str, mock: str = "1") -> subprocess.CompletedProcess[str]:
        environ = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        return subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environ | {"VIDORCH_MOCK": mock, "FAL_KEY": "real-secret"},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    return one


class TestFile:
    def test_says_what_on_says(self, m: Mock, script: Path) -> None:
        """The same words, the same meaning."""
        follow(m, script)
        start = m.now
        result = vidorch.generate("a ball", model="test/basic", seed=1)
        assert ("0.60", "reported") == (str(result.cost), result.clip.cost_basis)
        assert [0, 30, 60][: len(m.requests)] == [one.at - start for one in m.requests][:3]
        with pytest.raises(vidorch.Refused):
            vidorch.generate("a forbidden ball", model="test/slow")

    def test_the_one_of_the_guide(self, m: Mock, tmp_path: Path) -> None:
        """docs/testing.md shows one that works."""
        page = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
        (path := tmp_path / "guide.toml").write_text(page.partition("```toml\n")[2].partition("```")[0])
        follow(m, path)
        assert "1.20" == str(vidorch.generate("a ball", model="veo-3.1-fast", seed=1).cost)

    def test_python(self, m: Mock, tmp_path: Path) -> None:
        """A file with a function `script(m)`, for what data cannot say."""
        path = tmp_path / "script.py"
        path.write_text("def script(m):\n    m.on(prompt=lambda p: len(p) > 20).refuse()\n")
        follow(m, path)
        with pytest.raises(vidorch.Refused):
            vidorch.generate("a very long prompt indeed", model="test/basic")

    @pytest.mark.parametrize(
        ("name", "content", "said"),
        [
            (
                "a.toml",
                "[[rule]]\nmodle = 'test/basic'",
                r"rule 1: There is no 'modle'\. Did you mean 'model'\?$",
            ),
            (
                "a.toml",
                "[[rule]]\nzzz = true",
                r"rule 1: There is no 'zzz'\. Allowed are: model, .*, hold\.$",
            ),
            (
                "a.toml",
                "[[rule]]\nfail = true\n[[rule]]\nfail = 5",
                "rule 2: fail is neither true nor a table",
            ),
            ("a.toml", "[[rule]]\nthrottle = { after = 5 }", r"rule 1: .*after"),
            ("a.toml", "[[rule]]\nfail = true\nbad_file = true", "rule 1: A rule cannot say"),
            ("a.toml", "[[rule]]\npattern = '('", "rule 1: pattern"),
            ("a.toml", "rules = 1", "nothing but"),
            ("a.toml", "rule = ", "is no TOML"),
            ("a.py", "x = 1", "has no function"),
            ("a.txt", "", "neither .toml nor .py"),
            ("missing.toml", None, "cannot be read"),
        ],
    )
    def test_mistakes_are_told_with_their_place(
        self, m: Mock, tmp_path: Path, name: str, content: str | None, said: str
    ) -> None:
        """File, rule, and what is wrong with it."""
        path = tmp_path / name
        if content is not None:
            path.write_text(content)
        with pytest.raises(InvalidRequest, match=said) as caught:
            follow(m, path)
        assert str(path) in str(caught.value)


class TestProcess:
    def test_command_line(
        self, run: Callable[..., subprocess.CompletedProcess[str]], home: Path, tmp_path: Path, script: Path
    ) -> None:
        """Everything that a user sees, and every command says that it was a mock."""
        clip = tmp_path / "clip.mp4"
        done = run(
            "-m", "vidorch", "generate", "a ball", "--model", "test/basic", "--yes", "--json", "-o", str(clip), mock=str(script)
        )  # fmt: skip
        assert 0 == done.returncode, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        assert clip.is_file()
        assert any(note.startswith("mock: ") for note in result["notes"])
        assert (home / "mock" / "ledger.db").is_file()
        assert not (home / "ledger.db").exists()
        shown = run("-m", "vidorch", "jobs", "show", result["run_id"])
        assert "mock: nothing of this was made or paid" in shown.stdout
        assert (
            json.loads(run("-m", "vidorch", "jobs", "show", result["run_id"], "--json").stdout)["run"]["mock"]
            is True
        )
        assert "test/basic" in run("-m", "vidorch", "models").stdout

    @pytest.mark.parametrize("cancels", [False, True])
    def test_a_job_of_another_process_can_be_adopted(
        self, run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, cancels: bool
    ) -> None:
        """What a vendor accepted without an answer reaching anybody is in its books for the next process, too."""
        (losing := tmp_path / "losing.toml").write_text("[[rule]]\nlose_reply = true\n")
        lost = run(
            "-m",
            "vidorch",
            "generate",
            "a ball",
            "--model",
            "test/blind",
            "--yes",
            "--json",
            mock=str(losing),
        )
        assert 7 == lost.returncode, lost.stderr
        job = json.loads(lost.stdout)["error"]["job_id"]
        adopted = run("-m", "vidorch", "jobs", "adopt", job, "mistyped")
        assert 0 == adopted.returncode, adopted.stderr
        assert 0 == run("-m", "vidorch", "jobs", "adopt", job, f"mock-{job}").returncode
        if cancels:
            assert 0 == run("-m", "vidorch", "jobs", "cancel", job, "--yes").returncode
        resumed = run("-m", "vidorch", "jobs", "resume")
        shown = json.loads(run("-m", "vidorch", "jobs", "show", job, "--json").stdout)
        assert (0, "cancelled" if cancels else "settled") == (
            resumed.returncode,
            shown["jobs"][0]["state"],
        ), resumed.stderr

    def test_a_job_of_another_process_can_be_found(
        self, run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
    ) -> None:
        """By a vendor's search, as the process that submitted it would have."""
        (losing := tmp_path / "losing.py").write_text(
            "import os\n"
            "from vidorch.testing.remote import Remote\n"
            "def die(*_): os._exit(9)\n"
            "def script(m):\n    m.on().lose_reply()\n    Remote.find = die\n"
        )
        lost = run("-m", "vidorch", "generate", "a ball", "--model", "test/basic", "--yes", mock=str(losing))
        assert 9 == lost.returncode, lost.stderr
        assert 0 == run("-m", "vidorch", "jobs", "resume").returncode

    def test_a_broken_script(self, run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
        """Nothing is done, and it is said why."""
        done = run("-m", "vidorch", "jobs", "list", mock="nowhere.toml")
        assert 0 != done.returncode
        assert "nowhere.toml cannot be read" in done.stderr
        assert "Traceback" not in done.stderr

    def test_library(self, run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
        """Clients of a program are under it, too; time goes on by itself, and real keys are hidden."""
        done = run(
            "-c",
            "import os, time, vidorch\n"
            "run = vidorch.submit('a ball', model='test/slow', seed=1)\n"
            "while run.state == 'open': time.sleep(0.01)\n"
            "print(run.state, run.result.clip.latency >= 180, os.environ['FAL_KEY'])\n",
        )
        assert "finished True mock-credential" == done.stdout.strip(), done.stderr

    def test_zero_is_off(self, run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
        """`VIDORCH_MOCK=0` means no mock."""
        done = run("-c", "from vidorch.surroundings import surroundings; print(surroundings())", mock="0")
        assert "None" == done.stdout.strip()

    @pytest.mark.skipif(os.name == "nt", reason="processes are killed in another way on Windows")
    def test_another_process_goes_on(self, run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
        """A process that was killed after its submit loses nothing: the next one polls and fetches what it paid for."""
        killed = run(
            "-c",
            "import os, signal, vidorch\n"
            "run = vidorch.submit('a ball', model='test/slow', seed=1)\n"
            "print(run.id, flush=True)\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n",
        )
        assert -signal.SIGKILL == killed.returncode, killed.stderr
        done = run(
            "-c",
            "import vidorch\n"
            "with vidorch.Client() as client:\n"
            "    client.resume()\n"
            f"    clip = client.run('{killed.stdout.strip()}').wait().clip\n"
            "    print(clip.path.is_file(), clip.cost, len(client.jobs()))\n",
        )
        assert "True 0.50 1" == done.stdout.strip(), done.stderr

    def test_processes_that_a_mocked_test_starts(self, m: Mock) -> None:
        """They stand in the same home, and no real vendor is reached from there."""
        vidorch.generate("a ball", model="test/basic", seed=1)
        done = subprocess.run(
            [sys.executable, "-m", "vidorch", "jobs", "list", "--json"],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert [m.jobs[0].id] == [job["id"] for job in json.loads(done.stdout)], done.stderr
