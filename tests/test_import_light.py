"""What an import costs, guarded by the list of modules that it loads and never by time."""

from __future__ import annotations

import subprocess
import sys

import pytest

IMPORT_ALLOWED = {"__future__", "importlib", "typing", "vidorch", "warnings"}
"""What `import vidorch` may load beyond a bare interpreter, by top-level name, with what these pull in themselves."""

STDLIB_OF_TYPING = {
    "_abc", "_collections", "_collections_abc", "_functools", "_operator", "_sre", "_typing", "_weakref", "_weakrefset", "abc",
    "collections", "contextlib", "copyreg", "enum", "functools", "itertools", "keyword", "operator", "re", "reprlib", "types",
    "weakref", "_warnings", "_thread",
}  # fmt: skip

HEAVY = {
    "aiohttp", "anyio", "asyncio", "av", "click", "cv2", "httpx", "multiprocessing", "numpy", "onnxruntime", "opentelemetry", "PIL",
    "platformdirs", "pydantic", "requests", "rich", "sqlalchemy", "sqlite3", "ssl", "torch", "typer", "vidorch_local", "vidorch_providers",
}  # fmt: skip


def loaded_by(code: str) -> set[str]:
    """Top-level names of the modules that `code` loads in a fresh interpreter, beyond those of a bare one."""
    script = (
        "import sys\nbefore = set(sys.modules)\n"
        f"{code}\n"
        "print('\\n'.join(sorted({name.partition('.')[0] for name in set(sys.modules) - before})))"
    )
    # -S would hide the site's packages; -I keeps the caller's environment and working folder out of it.
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


class TestImportVidorch:
    def test_loads_next_to_nothing(self) -> None:
        """`import vidorch` loads itself and a handful of modules of the standard library."""
        assert set() == loaded_by("import vidorch") - IMPORT_ALLOWED - STDLIB_OF_TYPING

    def test_loads_one_module_of_its_own(self) -> None:
        """Of vidorch, only the package itself is loaded."""
        code = "import vidorch; extra = [n for n in sys.modules if n.startswith('vidorch') and n != 'vidorch']; assert not extra, extra"
        assert "vidorch" in loaded_by(code)

    def test_errors_can_be_caught_cheaply(self) -> None:
        """Naming an error class loads nothing heavy."""
        assert set() == loaded_by("import vidorch; vidorch.VidorchError") & HEAVY

    def test_a_request_is_cheap(self) -> None:
        """Making a request loads nothing heavy: the plain types are plain."""
        assert set() == loaded_by("import vidorch; vidorch.Request(prompt='a red ball')") & HEAVY

    @pytest.mark.parametrize(
        "module", ["contract", "errors", "inputs", "money", "offer", "request", "result"]
    )
    def test_plain_types(self, module: str) -> None:
        """Each module of plain types loads nothing heavy, so providers that build on them start fast."""
        assert set() == loaded_by(f"import vidorch.{module}") & HEAVY


class TestEstimate:
    def test_no_database_no_frames_no_display(self) -> None:
        """An estimate asks the offers' providers, and loads neither the database nor numpy, PyAV, rich or a network library."""
        code = "import vidorch; vidorch.estimate('a lighthouse', model='veo-3.1-fast', duration=8)"
        assert set() == loaded_by(code) & (
            HEAVY - {"asyncio", "platformdirs", "ssl", "vidorch_local", "vidorch_providers"}
        )

    def test_of_the_built_in_model(self) -> None:
        """An estimate of the built-in model asks its provider, and still loads no numpy."""
        code = "import vidorch; vidorch.estimate('a red ball rolling left')"
        assert set() == loaded_by(code) & {"av", "httpx", "numpy", "rich", "sqlalchemy", "torch", "typer"}
