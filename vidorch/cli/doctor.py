"""`vidorch doctor`: is everything here that a clip needs? Costs nothing and sends nothing."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import typer

from vidorch.cli.exits import Exit
from vidorch.cli.say import as_json, console
from vidorch.errors import VidorchError
from vidorch.home import home_folder, ledger_path

__all__ = ["doctor"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    what: str
    state: Literal["ok", "note", "bad"]
    detail: str


def doctor(*, as_document: bool) -> None:
    """Look at each thing in turn; exit 1 when something that the built-in model needs is broken."""
    findings = [_look(what, check) for what, check in _CHECKS]
    findings += _keys()
    if as_document:
        as_json({"ok": all(f.state != "bad" for f in findings), "findings": [asdict(f) for f in findings]})
    else:
        out = console()
        mark = {"ok": "[green]ok  [/green]", "note": "[yellow]note[/yellow]", "bad": "[red]bad [/red]"}
        for finding in findings:
            out.print(f"{mark[finding.state]} {finding.what}: ", end="")
            out.print(finding.detail, markup=False)
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(Exit.FAILED)


def _look(what: str, check: Callable[[], tuple[Literal["ok", "note", "bad"], str]]) -> Finding:
    try:
        return Finding(what, *check())
    except VidorchError as error:
        return Finding(what, "bad", str(error))
    except Exception as error:
        return Finding(what, "bad", f"{type(error).__name__}: {error}")


def _versions() -> tuple[Literal["ok", "note", "bad"], str]:
    packages = ", ".join(f"{name} {version(name)}" for name in ("av", "numpy", "sqlalchemy"))
    return (
        "ok",
        f"vidorch {version('vidorch')} on Python {platform.python_version()}, {sys.platform}; {packages}",
    )


def _home() -> tuple[Literal["ok", "note", "bad"], str]:
    home = home_folder()
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=home):
        pass
    free = shutil.disk_usage(home).free / 2**30
    return ("note" if free < 1 else "ok"), f"{home}, {free:.1f} GiB free"


def _ledger() -> tuple[Literal["ok", "note", "bad"], str]:
    from vidorch.ledger.ledger import Ledger

    path = ledger_path(None, home_folder())
    ledger = Ledger(path)
    try:
        ledger.flush()
        count = len(ledger.jobs(limit=100_000))
    finally:
        ledger.close()
    return "ok", f"{path}, {count} job{'' if count == 1 else 's'}"


def _codecs() -> tuple[Literal["ok", "note", "bad"], str]:
    import numpy as np

    from vidorch import media

    with tempfile.TemporaryDirectory() as folder:
        frames = [np.full((64, 64, 3), level, np.uint8) for level in (40, 200)]
        info = media.write_video(Path(folder) / "test.mp4", frames, fps=12)
        media.verify(Path(folder) / "test.mp4")
    return "ok", f"H.264 is written and read back ({info.width}x{info.height})"


def _built_in() -> tuple[Literal["ok", "note", "bad"], str]:
    from vidorch.clock import RealClock
    from vidorch.contract import Context, Endpoint
    from vidorch.registry import Registry

    async def check() -> tuple[bool, str]:
        provider = Registry().get("local")
        context = Context(
            endpoint=Endpoint("local", "local"), clock=RealClock(), job_id="check", folder=home_folder()
        )
        try:
            health = await provider.check(context)
        finally:
            await provider.aclose()
        return health.ok, health.detail

    fine, detail = asyncio.run(check())
    return ("ok" if fine else "bad"), detail


def _catalog() -> tuple[Literal["ok", "note", "bad"], str]:
    from vidorch.catalog import load

    catalog = load()
    text = f"{len(catalog.offers)} offers, newest fact of {catalog.as_of}"
    return ("note", f"{text}; {'; '.join(catalog.warnings)}") if catalog.warnings else ("ok", text)


_CHECKS: tuple[tuple[str, Callable[[], tuple[Literal["ok", "note", "bad"], str]]], ...] = (
    ("versions", _versions),
    ("home", _home),
    ("ledger", _ledger),
    ("video", _codecs),
    ("built-in model", _built_in),
    ("catalog", _catalog),
)


def _keys() -> list[Finding]:
    """Which hosted providers could be used: their code, and whether a key is set (never the key)."""
    from vidorch.catalog import load
    from vidorch.registry import Registry

    try:
        offers = load().offers
    except VidorchError:
        return []
    installed = Registry().names()
    findings = []
    for provider in sorted({offer.provider for offer in offers if offer.variables}):
        variables = sorted(
            {name for offer in offers if offer.provider == provider for name in offer.variables}
        )
        found = [name for name in variables if os.environ.get(name)]
        key = f"{found[0]} is set" if found else f"no key ({' or '.join(variables)})"
        if provider not in installed:
            findings.append(Finding(provider, "note", f"its provider is not in this version; {key}"))
        else:
            findings.append(Finding(provider, "ok" if found else "note", key))
    return findings
