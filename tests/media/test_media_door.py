"""The door of the room: small, lazy, and the only way in."""

from __future__ import annotations

import subprocess
import sys

import pytest

import vidorch.media


def run(code: str) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout


class TestTheDoor:
    def test_importing_it_loads_nothing_heavy(self) -> None:
        """Neither PyAV nor numpy comes with `import vidorch.media`."""
        assert (
            run(
                "import sys, vidorch.media; print([m for m in ('av', 'numpy', 'PIL') if m in sys.modules], end='')"
            )
            == "[]"
        )

    def test_facts_and_publishing_load_nothing_heavy_either(self) -> None:
        """`MediaInfo`, `publish` and the clock are plain Python."""
        code = "import sys\nfrom vidorch.media import MediaInfo, publish, temporary_beside, exact_rate, time_of\n"
        assert run(code + "print([m for m in ('av', 'numpy') if m in sys.modules], end='')") == "[]"

    def test_every_name_resolves(self) -> None:
        """What `__all__` lists is there, listed by `dir`, and nothing is listed twice."""
        for name in vidorch.media.__all__:
            assert getattr(vidorch.media, name) is not None
        assert sorted(set(vidorch.media.__all__)) == sorted(vidorch.media.__all__)
        assert set(vidorch.media.__all__) <= set(dir(vidorch.media))

    def test_no_module_hides_a_function(self) -> None:
        """Importing a submodule must not put it in the place of a function of the same name."""
        out = run(
            "import importlib, pkgutil, vidorch.media as m\n"
            "for each in pkgutil.iter_modules(m.__path__): importlib.import_module('vidorch.media.' + each.name)\n"
            "print([n for n in m.__all__ if not callable(getattr(m, n))], end='')"
        )
        assert out == "[]"

    def test_pillow_is_never_needed(self) -> None:
        """Stills are read and written without it."""
        out = run(
            "import sys; sys.modules['PIL'] = None\n"
            "import numpy, tempfile, os\nfrom vidorch.media import save_still, load_still\n"
            "with tempfile.TemporaryDirectory() as d:\n"
            "    p = save_still(numpy.zeros((4, 6, 3), 'uint8'), os.path.join(d, 'a.png'))\n"
            "    print(load_still(p).shape, end='')"
        )
        assert out == "(4, 6, 3)"

    def test_a_wrong_name_is_an_attribute_error(self) -> None:
        """As for any module."""
        with pytest.raises(AttributeError, match="reed"):
            vidorch.media.reed  # type: ignore[attr-defined]  # noqa: B018
