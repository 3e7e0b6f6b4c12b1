"""A project that others wrote is entered, and commands are typed there: no key goes anywhere but to its vendor, and no cap is raised."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.engine.scripted import Scripted

KEYS = {
    "FAL_KEY": "fal-secret",
    "RUNWAYML_API_SECRET": "runway-secret",
    "GITHUB_TOKEN": "github-secret",
    "OPENAI_API_KEY": "openai-secret",
}


class Evil:
    """A server of whoever wrote the project: what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                outer.heard.append(f"{self.path} {self.headers}")
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_GET = do_POST = answer  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def evil() -> Iterator[Evil]:
    made = Evil()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that was cloned, and a user who has keys."""
    folder = tmp_path / "cloned"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    # No vendor is reached from here: what is not sent to the server above goes nowhere.
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    return folder


FILES = {
    "its own address": '[endpoints.fal]\nbase_url = "{url}"\n',
    "with the key's name": '[endpoints.fal]\nbase_url = "{url}"\nkey = "FAL_KEY"\n',
    "with no name of a key": '[endpoints.fal]\nbase_url = "{url}"\nkey = []\n',
    "with any variable": '[endpoints.fal]\nbase_url = "{url}"\nkey = "GITHUB_TOKEN"\n',
    "with a tenant's key": '[endpoints.fal]\nbase_url = "{url}"\nkey = "X"\n[scopes.default]\nfal = "FAL_KEY"\n',
    "of another name": '[endpoints.mine]\nprovider = "fal"\nbase_url = "{url}"\n',
    "of another vendor": '[endpoints.runway]\nbase_url = "{url}"\n',
    "through a proxy": 'proxy = "{url}"\n',
    "by a layer of prices": 'catalog = "layer.toml"\n',
    "by a ledger": 'ledger = "theirs.db"\n',
    "by an option": '[endpoints.vertex]\noptions = {{ location = "127.0.0.1#" }}\n',
}


@pytest.mark.parametrize(
    "words",
    [("doctor",), ("generate", "a boat", "-m", "fal/kling-3.0-pro", "--yes"), ("jobs", "resume")],
    ids=" ".join,
)
@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_no_key_is_led_elsewhere(
    command: Command, project: Path, evil: Evil, file: str, words: tuple[str, ...]
) -> None:
    """Whatever the file says: nobody said that it may."""
    (project / "vidorch.toml").write_text(file.format(url=evil.url), "utf-8")
    (project / "layer.toml").write_text(
        '[[offer]]\nlike = "fal/kling-3.0-pro"\nas_of = 2030-01-01\npinned = true\nvariables = ["GITHUB_TOKEN"]\n'
        f'[offer.routes.text-to-video]\npath = "{evil.url}/steal"\n'
        '[offer.price]\nsource = "x"\n[[offer.price.row]]\nper_second = 0.001\n',
        "utf-8",
    )
    said = command(*words)
    assert [] == evil.heard
    assert 0 != said.code
    assert "vidorch config --trust" in said.out + said.err
    assert not any(key in said.out + said.err for key in KEYS.values())


def test_a_path_of_a_route_is_at_the_vendors_host(
    command: Command, project: Path, evil: Evil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one's own layer of prices sends a key to an address that stands in a path."""
    layer = project / "layer.toml"
    layer.write_text(
        f'[[offer]]\nlike = "fal/kling-3.0-pro"\nas_of = 2030-01-01\n[offer.routes.text-to-video]\npath = "{evil.url}/x"\n'
        '[offer.price]\nsource = "x"\n[[offer.price.row]]\nper_second = 0.001\n', "utf-8",
    )  # fmt: skip
    monkeypatch.setenv("VIDORCH_CATALOG", str(layer))
    said = command("generate", "a boat", "-m", "fal/kling-3.0-pro", "--yes")
    assert (2, []) == (said.code, evil.heard)
    assert "own host" in said.err


class TestCaps:
    def test_of_the_configuration_hold_on_the_command_line(
        self, command: Command, scripted: Scripted, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`max_cost` there is a cap, and no word of consent."""
        home.mkdir()
        (home / "config.toml").write_text('max_cost = "0.05"\n', "utf-8")
        assert 4 == command("generate", "a", "-m", "test/paid", "--yes").code
        (home / "config.toml").write_text('max_cost = "1.00"\n', "utf-8")
        assert 3 == command("generate", "a", "-m", "test/paid").code
        assert 0 == command("generate", "a", "-m", "test/paid", "--yes").code
        monkeypatch.setenv("VIDORCH_MAX_COST", "0.05")
        assert 4 == command("generate", "a", "-m", "test/paid", "--yes").code
        assert 0 == command("generate", "a", "-m", "test/paid", "--max-cost", "0.10").code

    def test_the_folder_of_the_configuration(self, command: Command, scripted: Scripted, home: Path) -> None:
        """Clips go where it says, unless -o says otherwise."""
        home.mkdir()
        (home / "config.toml").write_text('output = "ads"\n', "utf-8")
        assert str(home / "ads") in command("generate", "a", "-m", "test/basic").out

    def test_of_a_batch(self, command: Command, scripted: Scripted, home: Path, tmp_path: Path) -> None:
        """Likewise for all its lines together."""
        home.mkdir()
        (home / "config.toml").write_text('max_cost = "0.15"\n', "utf-8")
        (tmp_path / "prompts.txt").write_text("a\nb\n", "utf-8")
        assert 4 == command("generate", "--batch", tmp_path / "prompts.txt", "-m", "test/paid", "--yes").code
        (home / "config.toml").write_text('max_cost = "1.00"\n', "utf-8")
        assert 3 == command("generate", "--batch", tmp_path / "prompts.txt", "-m", "test/paid").code


class TestTrust:
    def test_is_given_by_a_command(self, command: Command, project: Path, home: Path) -> None:
        """And shown; without a file there is nothing to trust."""
        assert 2 == command("config", "--trust").code
        (project / "vidorch.toml").write_text('ledger = "here.db"\n', "utf-8")
        assert 2 == command("config").code
        said = command("config", "--trust")
        assert (0, True) == (said.code, "is trusted" in said.err)
        assert str(project / "here.db") in command("config").out
