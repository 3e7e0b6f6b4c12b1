"""The public door: what `import vidorch` promises, and nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import vidorch
from vidorch import errors

PROMISED = {
    # calls
    "estimate", "generate", "plan", "submit",
    # faces and handles
    "AsyncClient", "AsyncRun", "Client", "Run",
    # what is asked and given
    "Budget", "Choice", "Clip", "Endpoint", "Estimate", "Event", "Job", "Plan", "Progress", "Request", "Result", "Timings",
    # errors
    "BadMedia", "CatalogError", "GenerationFailed", "InvalidRequest", "KeyConflict", "LedgerUnavailable", "LiveCallInTest", "MissingCredentials",
    "OverBudget", "ProviderFailed", "Refused", "Retired", "SubmissionUnknown", "Throttled", "TimedOut", "Unsupported",
    "VidorchError",
    "__version__",
}  # fmt: skip


def _seen_by_type_checkers() -> dict[str, str]:
    """Name to module, as the `if TYPE_CHECKING` block of the package imports it."""
    tree = ast.parse(Path(vidorch.__file__).read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    return {
        alias.name: str(n.module) for n in block.body if isinstance(n, ast.ImportFrom) for alias in n.names
    }


class TestTheDoor:
    def test_exact(self) -> None:
        """`__all__` is what was promised, no more and no less."""
        assert set(vidorch.__all__) == PROMISED

    def test_sorted_and_without_doubles(self) -> None:
        """Each name stands there once, in order."""
        assert sorted(set(vidorch.__all__)) == vidorch.__all__

    @pytest.mark.parametrize("name", sorted(PROMISED))
    def test_importable(self, name: str) -> None:
        """Every name can be had, and keeps its identity."""
        assert getattr(vidorch, name) is getattr(vidorch, name)

    def test_type_checkers_see_the_same(self) -> None:
        """The lazy table and the block that type checkers read say the same, module by module."""
        assert _seen_by_type_checkers() == vidorch._HOMES

    def test_everything_lazy_is_public(self) -> None:
        """The lazy table holds the public names, `__version__` apart."""
        assert PROMISED - {"__version__"} == set(vidorch._HOMES)

    def test_every_error_is_public(self) -> None:
        """All of `vidorch.errors` can be caught by way of `vidorch`."""
        assert set(errors.__all__) <= set(vidorch.__all__)

    def test_dir_lists_them(self) -> None:
        """`dir(vidorch)` shows the public names before any was used."""
        assert sorted([*vidorch.__all__, "contract", "errors", "media"]) == dir(vidorch)

    def test_an_unknown_name(self) -> None:
        """A name that is not there is an AttributeError that names it."""
        with pytest.raises(AttributeError, match="'vidorch' has no attribute 'genrate'"):
            vidorch.genrate  # noqa: B018

    def test_star_import(self) -> None:
        """`from vidorch import *` gives the public names."""
        space: dict[str, object] = {}
        exec("from vidorch import *", space)
        assert set(space) - {"__builtins__"} == PROMISED

    def test_version_is_that_of_the_distribution(self) -> None:
        """`vidorch.__version__` and the installed metadata agree."""
        from importlib.metadata import version

        assert version("vidorch") == vidorch.__version__


def test_no_public_name_is_a_module_too() -> None:
    """Importing a submodule binds its name on the package: `vidorch.estimate` must stay a function whatever was imported."""
    import pkgutil

    modules = {module.name for module in pkgutil.iter_modules(vidorch.__path__)}
    assert set() == modules & set(vidorch.__all__)
