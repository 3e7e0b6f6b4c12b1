"""The vendors' own packages as clients of the protocol servers: each in an environment and a process of its own."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["run"]

FOLDER = Path(
    os.environ.get("VIDORCH_TEST_ENVIRONMENTS")
    or Path(tempfile.gettempdir()) / f"vidorch-packages-{os.getuid()}"
)
"""Where the environments are kept from one test run to the next."""


def _python(requirements: tuple[str, ...]) -> Path:
    """The interpreter of an environment that holds these, and nothing of ours; made at the first need."""
    name = hashlib.sha256("\n".join((sys.version, *requirements)).encode()).hexdigest()[:16]
    folder = FOLDER / name
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may want it at once
        if not (folder / "ready").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            command = [
                folder / "bin" / "python",
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                *requirements,
            ]
            subprocess.run(command, check=True)
            (folder / "ready").touch()
    return folder / "bin" / "python"


def run(*requirements: str, code: str, timeout: float = 120, **variables: str) -> Any:
    """Run `code` where only `requirements` are installed, and give what it printed last, read as JSON.

    Args:
        requirements: pinned, such as `"openai==3.54.0"`. variables: environment of the process, beside PATH and HOME.

    Raises:
        AssertionError: it failed; with what it said.
    """
    world = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    done = subprocess.run(
        [_python(requirements), "-W", "ignore", "-c", code], env=world | variables, capture_output=True, text=True,
        timeout=timeout, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().rsplit("\n", 1)[-1])
