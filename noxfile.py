"""Every habit, by name: `nox` runs the quick ones, `nox -s NAME` one of them, `nox -l` lists them.

Each session has an environment of its own; `nox -R` uses them again as they are. With `--no-venv` they run in the
environment that is active, which is what `pip install -e ".[dev]"` made.
"""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "types", "imports", "test"]
nox.options.reuse_existing_virtualenvs = True
nox.needs_version = ">=2024.10"


def _install(session: nox.Session, *more: str) -> None:
    if session.virtualenv.is_sandboxed:
        session.install("-e", ".[dev]", *more)


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting and lint; `nox -s lint -- --fix` mends what can be mended."""
    _install(session)
    fix = "--fix" in session.posargs
    session.run("ruff", "format", *([] if fix else ["--check"]), ".")
    session.run("ruff", "check", *(["--fix"] if fix else []), ".")


@nox.session
def types(session: nox.Session) -> None:
    """Strict types of everything that is shipped."""
    _install(session)
    session.run("mypy")


@nox.session
def imports(session: nox.Session) -> None:
    """The arrows between the rooms."""
    _install(session)
    session.run("lint-imports")


@nox.session
def test(session: nox.Session) -> None:
    """The quick suite: what `pytest` runs."""
    _install(session)
    session.run("pytest", "-n", "2", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """Tests that take more than a few seconds each."""
    _install(session)
    session.run("pytest", "-n", "2", "-m", "slow and not torch", *session.posargs)


@nox.session
def torch(session: nox.Session) -> None:
    """The built-in model against torch, its training code, and models that torch and diffusers run."""
    _install(session, "-e", ".[local,ray]", "-c", "constraints.txt")
    session.run("pytest", "-m", "torch", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel and check its size and what is in it."""
    _install(session)
    folder = session.create_tmp()
    session.run("pip", "wheel", "--no-deps", "--wheel-dir", folder, ".", external=True)
    session.run("python", ".ci/check_wheel.py", folder)


@nox.session
def extras(session: nox.Session) -> None:
    """Each extra alone in a fresh environment, doing what it opens; `nox -s extras -- fal storage` takes these only."""
    _install(session, "uv")
    folder = session.create_tmp()
    session.run("pip", "wheel", "--no-deps", "--wheel-dir", folder, ".", external=True)
    session.run("python", ".ci/check_extras.py", folder, *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Every example of README and docs, executed."""
    _install(session)
    session.run("pytest", "tests/docs", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """What importing and a cold start cost. Figures go to standard output as Markdown."""
    _install(session)
    session.run("python", "benchmarks/import_cost.py", *session.posargs)
    session.run("python", "benchmarks/cold_start.py", *session.posargs)
