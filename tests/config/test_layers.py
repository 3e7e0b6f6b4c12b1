"""The configuration: its files, the environment, and which of them goes before which."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import pytest

from vidorch.config import Config, load_config, project_file, trust
from vidorch.errors import InvalidRequest


class Place:
    """A user's folder and a project's, and what they give together."""

    def __init__(self, root: Path) -> None:
        self.home, self.project = root / "user", root / "work" / "film"
        self.home.mkdir()
        self.project.mkdir(parents=True)
        self.environ = {"VIDORCH_HOME": str(self.home)}

    def user(self, text: str) -> Path:
        (self.home / "config.toml").write_text(text, "utf-8")
        return self.home / "config.toml"

    def of_project(self, text: str) -> Path:
        (self.project / "vidorch.toml").write_text(text, "utf-8")
        return self.project / "vidorch.toml"

    def load(self, **environ: str) -> Config:
        return load_config(environ=self.environ | environ, start=self.project)

    def trusted(self, text: str) -> Path:
        """The project's file, with its user's word for it."""
        path = self.of_project(text)
        trust(path, self.environ)
        return path

    def refused(self, **environ: str) -> str:
        with pytest.raises(InvalidRequest) as caught:
            self.load(**environ)
        return str(caught.value)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class TestLayers:
    def test_nothing_is_set(self, place: Place) -> None:
        """Without files and variables every setting is a default."""
        assert Config() == place.load()

    def test_weakest_to_strongest(self, place: Place) -> None:
        """The user's file, the project's, the environment."""
        place.user('model = "mine"\nmax_cost = "9"\nroute = "fastest"\n')
        place.of_project('model = ["theirs", "mine"]\nmax_cost = 2.50\n')
        found = place.load(VIDORCH_MAX_COST="1.00")
        assert (("theirs", "mine"), Decimal("1.00"), "fastest") == (found.models, found.max_cost, found.route)

    def test_each_value_knows_where_it_came_from(self, place: Place) -> None:
        """With file and line, or the variable's name; what nobody set is a default."""
        mine, theirs = place.user('\nroute = "fastest"\n'), place.of_project('[aliases]\nbest = "x"\n')
        found = place.load(VIDORCH_MODEL="a, b")
        assert f"user file {mine}, line 2" == found.origin("route")
        assert f"project file {theirs}, line 2" == found.origin("aliases.best")
        assert ("environment VIDORCH_MODEL", ("a", "b")) == (found.origin("model"), found.models)
        assert "default" == found.origin("max_cost")

    def test_tables_are_laid_by_entry(self, place: Place) -> None:
        """An alias, a field of an endpoint and a scope's key of one file leave the other file's beside them."""
        place.user(
            '[aliases]\na = "one"\nb = "two"\n[endpoints.gpu]\nprovider = "openai"\nconcurrency = 2\n[scopes.x]\nfal = "X_FAL"\n'
        )
        place.trusted(
            '[aliases]\nb = ["three"]\n[endpoints.gpu]\nper_minute = 5\n[scopes.x]\nkling = "X_KLING"\n'
        )
        found = place.load()
        assert {"a": ("one",), "b": ("three",)} == found.aliases
        gpu = found.endpoints["gpu"]
        assert ("openai", 2, 5) == (gpu.provider, gpu.concurrency, gpu.per_minute)
        assert {"fal": ("X_FAL",), "kling": ("X_KLING",)} == found.scopes["x"]

    def test_paths_are_relative_to_their_file(self, place: Place) -> None:
        """So a project works from every folder in it; an output is a folder; URLs stay."""
        place.trusted('ledger = "l.db"\noutput = "clips"\ncatalog = "/etc/c.toml"\n')
        found = place.load()
        assert str(place.project / "l.db") == found.ledger
        assert (f"{place.project / 'clips'}/", "/etc/c.toml") == (found.output, found.catalog)
        place.trusted('output = "s3://bucket/ads"\n')
        assert "s3://bucket/ads/" == place.load().output

    def test_without_files(self, place: Place) -> None:
        """`VIDORCH_CONFIG=none` reads neither; a path takes the place of the user's file, and has to be there."""
        place.user('model = "mine"\n')
        place.of_project('route = "cheapest"\n')
        assert Config() == place.load(VIDORCH_CONFIG="none")
        other = place.home / "other.toml"
        other.write_text('model = "other"\n', "utf-8")
        assert (("other",), "cheapest") == (
            (found := place.load(VIDORCH_CONFIG=str(other))).models,
            found.route,
        )
        assert "cannot be read" in place.refused(VIDORCH_CONFIG=str(place.home / "gone.toml"))


class TestProjectFile:
    def test_of_a_folder_above(self, place: Place) -> None:
        """The nearest one counts."""
        below = place.project / "a" / "b"
        below.mkdir(parents=True)
        assert place.of_project("") == project_file(below)
        (below / "vidorch.toml").touch()
        assert below / "vidorch.toml" == project_file(below)

    def test_not_above_a_repository(self, place: Place) -> None:
        """A repository is a project by itself."""
        inner = place.project / "inner"
        (inner / ".git").mkdir(parents=True)
        place.of_project("")
        assert project_file(inner) is None

    @pytest.mark.parametrize(
        "text",
        [
            'proxy = "http://x:1"', 'ca_bundle = "x.pem"', 'private_hosts = ["x"]', "input_urls = []", 'ledger = "l.db"',
            'catalog = "c.toml"', 'output = "s3://theirs/"', 'output = "/elsewhere"', 'output = "../up"', 'output = "~/x"',
            'max_cost = "5.01"', '[scopes.default]\nfal = "X"', '[endpoints.fal]\nbase_url = "https://evil.example"',
            '[endpoints.fal]\nkey = "GITHUB_TOKEN"', "[endpoints.fal]\nkey = []", '[endpoints.x]\nprovider = "fal"',
            '[endpoints.vertex]\noptions = { location = "evil.example#" }', '[endpoints.fal]\naccount = "x"',
            "[endpoints.local]\nusd_per_hour = 0", 'unheard = "of"',
        ],
    )  # fmt: skip
    def test_needs_its_users_word(self, place: Place, text: str) -> None:
        """It comes with code that others wrote: what could lead keys, traffic or clips elsewhere, or spend more, is refused."""
        place.of_project(text)
        assert "vidorch config --trust" in place.refused()
        assert "line" in place.refused()

    def test_says_by_itself_what_is_harmless(self, place: Place) -> None:
        """Which model, in which order, how long to wait, less money, a folder of the project, fewer jobs at once."""
        place.of_project(
            'model = "a"\nroute = "cheapest"\ntimeout = 60\nmax_cost = "4.99"\noutput = "clips"\n[aliases]\nb = "c"\n'
            "[endpoints.fal]\nconcurrency = 2\nper_minute = 3\n"
        )
        found = place.load()
        assert (("a",), Decimal("4.99"), 2) == (
            found.models,
            found.max_cost,
            found.endpoints["fal"].concurrency,
        )

    def test_is_trusted_as_it_is(self, place: Place) -> None:
        """The word holds for that content at that place; one letter more, and it is asked for again."""
        place.trusted('ledger = "a.db"\n')
        assert str(place.project / "a.db") == place.load().ledger
        place.of_project('ledger = "b.db"\n')
        assert "--trust" in place.refused()

    @pytest.mark.skipif(sys.platform == "win32", reason="has no such modes")
    def test_that_others_may_write(self, place: Place) -> None:
        """Is nobody's project."""
        place.of_project('model = "x"\n').chmod(0o666)
        assert Config() == place.load()

    def test_of_the_users_own_is_free(self, place: Place) -> None:
        """Also where `VIDORCH_CONFIG` names the project's file, as in a container."""
        path = place.of_project('[endpoints.gpu]\nprovider = "openai"\nbase_url = "http://gpu:8000"\n')
        assert "http://gpu:8000" == place.load(VIDORCH_CONFIG=str(path)).endpoints["gpu"].base_url


class TestFaults:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("model = 3\n", "line 1: model"),
            ('modell = "x"\n', "Did you mean 'model'?"),
            ('\n[endpoints.gpu]\nprovidr = "openai"\n', "line 3"),
            ('[endpoints.gpu]\nconcurrency = 0\n', "endpoints.gpu.concurrency"),
            ('[endpoints."G P U"]\nprovider = "openai"\n', "no name of an endpoint"),
            ('[endpoints.gpu]\nbase_url = "https://user:pw@x/"\n', "without user"),
            ('route = "fasttest"\n', "Did you mean 'fastest'?"),
            ("max_cost = -1\n", "max_cost"),
            ("timeout = 0\n", "timeout"),
            ("[aliases]\nx = []\n", "aliases.x"),
            ("model =\n", "not valid TOML"),
        ],
    )  # fmt: skip
    def test_say_file_line_and_field(self, place: Place, text: str, said: str) -> None:
        """A mistake in a file is told where it stands."""
        path = place.user(text)
        assert said in place.refused()
        assert str(path) in place.refused()

    @pytest.mark.parametrize("where", ["endpoints.fal]\nkey", "scopes.a]\nfal"])
    def test_a_key_itself_is_not_shown(self, place: Place, where: str) -> None:
        """Names of variables stand there; a key that was put there is refused and not said back."""
        place.user(f'[{where} = "sk-12345:abc"\n')
        assert "never the key itself" in place.refused()
        assert "12345" not in place.refused()

    @pytest.mark.parametrize(("name", "value"), [("MAX_COST", "lots"), ("TIMEOUT", "-3"), ("ROUTE", "best")])
    def test_of_variables(self, place: Place, name: str, value: str) -> None:
        """A variable that holds what cannot be used is named."""
        assert f"VIDORCH_{name}='{value}'" in place.refused(**{f"VIDORCH_{name}": value})

    def test_an_empty_variable_is_none(self, place: Place) -> None:
        """As everywhere in a shell."""
        assert Config() == place.load(VIDORCH_MODEL="", VIDORCH_MAX_COST=" ")


def test_the_example_of_the_page(place: Place) -> None:
    """What docs/configuration.md shows is a file that can be used."""
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text("utf-8")
    place.user(page.partition("```toml\n")[2].partition("```")[0])
    found = place.load()
    assert ("kling-3.0-pro", Decimal("2.50"), "FAL_EU_KEY") == (
        found.models[0], found.max_cost, found.endpoints["fal-eu"].key[0]
    )  # fmt: skip
