"""Install the wheel with each extra alone, with `all` and with none, each time into a fresh environment; see to it that all
requirements agree, and do there what the extra opens (extras_smoke.py). Usage: check_extras.py FOLDER [EXTRA]...

Prints one line for each. uv installs where this interpreter has it, else pip; two environments are made at a time.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from email.parser import Parser
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOT_HERE = {"dev"}  # what contributors need: the environment of this interpreter
FIRST = ("local", "all", "vertex", "ray")  # the longest
AT_ONCE = 2
MOST_SECONDS = 600  # for one command
KEPT = ("HOME", "LANG", "PATH", "SSL_CERT_FILE", "TMPDIR", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY",
        "NO_PROXY", "VIDORCH_TEST_POSTGRES")  # fmt: skip


def extras_of(wheel: Path) -> list[str]:
    """The names that the wheel offers, and "" for none of them; the longest first."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        offered = Parser().parsestr(archive.read(name).decode()).get_all("Provides-Extra") or []
    rest = sorted(set(offered) - NOT_HERE - set(FIRST))
    return [*(one for one in FIRST if one in offered), "", *rest]


def check(wheel: Path, extra: str, work: Path) -> tuple[bool, str]:
    """Whether all is well with one extra, and what to say of it."""
    began = time.monotonic()
    folder = work / (extra or "none")
    python = folder / "environment" / "bin" / "python"
    try:
        _install(python, f"{wheel}[{extra}]" if extra else str(wheel))
        installed = time.monotonic()
        said = _run(
            [python, "-W", "ignore::DeprecationWarning", HERE / "extras_smoke.py", extra],
            _world(folder),
            folder,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        told = f"{error.stdout or ''}{error.stderr or ''}"
        return False, f"{extra or 'no extra'}: {shlex.join(map(str, error.cmd))} failed\n{told[-6000:]}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # with torch it takes more than a gigabyte
    seconds = f"{installed - began:.0f} + {time.monotonic() - installed:.0f} s"
    return True, f"{extra or 'no extra':<10} {seconds:>11}  {said}"


def _database() -> str:
    """The URL of an empty database, on a server of the tests that ends with us."""
    sys.path.insert(0, str(HERE.parent))
    from tests.postgres import new_database, url_of

    return url_of(new_database())


def _install(python: Path, wanted: str) -> None:
    """A new environment with `wanted` in it; its requirements have to agree."""
    environment = python.parents[1]
    environment.parent.mkdir()
    held = ["--constraint", HERE.parent / "constraints.txt"]
    if importlib.util.find_spec("uv"):
        uv = [sys.executable, "-m", "uv"]
        of = ["--quiet", "--python", python]
        world = {**os.environ, **_settings_of_pip()}
        _run([*uv, "venv", "--quiet", "--python", sys.executable, environment], world)
        _run([*uv, "pip", "install", *of, *held, wanted], world)
        _run([*uv, "pip", "check", *of], world)
    else:
        _run([sys.executable, "-m", "venv", environment], None)
        pip = [python, "-m", "pip", "--disable-pip-version-check"]
        _run([*pip, "install", "--quiet", "--no-compile", *held, wanted], None)
        _run([*pip, "check"], None)


def _settings_of_pip() -> dict[str, str]:
    """Where pip was told to look for packages, uv looks, too."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    found = dict(re.findall(r"^\S+?\.(find-links|index-url)='(.*)'$", listed, re.MULTILINE))
    names = {"find-links": "UV_FIND_LINKS", "index-url": "UV_DEFAULT_INDEX"}
    return {names[name]: value for name, value in found.items() if names[name] not in os.environ}


def _world(folder: Path) -> dict[str, str]:
    """An environment without anybody's keys, and with a home of its own."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "HOME": str(folder), "VIDORCH_HOME": str(folder / "vidorch"), "NO_COLOR": "1"}


def _run(command: list[str | Path], world: dict[str, str] | None, folder: Path | None = None) -> str:
    return subprocess.run(
        list(map(str, command)),
        env=world,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=MOST_SECONDS,
    ).stdout.strip()


def main() -> int:
    """Exit code 1 when there is not exactly one wheel in the folder, or something is wrong with an extra."""
    wheels = sorted(Path(sys.argv[1]).resolve().glob("*.whl"))
    if len(wheels) != 1:
        print(f"One wheel was expected in {sys.argv[1]}, not {len(wheels)}.")
        return 1
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="vidorch-extras-") as work,
        ThreadPoolExecutor(AT_ONCE) as threads,
    ):
        wanted = sys.argv[2:] or extras_of(wheels[0])
        if "postgres" in wanted and not os.environ.get("VIDORCH_TEST_POSTGRES"):
            os.environ["VIDORCH_TEST_POSTGRES"] = _database()
        good = True
        for well, said in threads.map(lambda extra: check(wheels[0], extra, Path(work)), wanted):
            good &= well
            print(said, flush=True)
    print(f"{len(wanted)} environments in {time.monotonic() - began:.0f} s (installing + doing)")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
