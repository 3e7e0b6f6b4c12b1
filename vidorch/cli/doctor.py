"""`vidorch doctor`: is everything here that a clip needs, and does each vendor take its key? Costs nothing."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from vidorch.cli.books import is_there, now, reading
from vidorch.cli.budget import in_words
from vidorch.cli.exits import Exit
from vidorch.cli.here import (
    PATIENCE,
    catalog_here,
    config_here,
    elsewhere,
    faults_here,
    key_here,
    ledger_here,
    login_here,
)
from vidorch.cli.say import as_json, console
from vidorch.cli.words import many
from vidorch.contract import Endpoint
from vidorch.errors import InvalidRequest, VidorchError
from vidorch.home import home_folder
from vidorch.ledger.moves import State
from vidorch.money import show_usd
from vidorch.surroundings import VARIABLE, surroundings
from vidorch.weights import locate

if TYPE_CHECKING:
    from vidorch.contract import Health

__all__ = ["doctor"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    what: str
    state: Literal["ok", "note", "bad"]
    detail: str


def doctor(*, as_document: bool) -> None:
    """Look at each thing in turn; exit 1 when something is broken: what the built-in model needs, or a key that is not taken."""
    findings = [
        *_mock(),
        *(_look(what, check) for what, check in _CHECKS),
        *_budgets(),
        *_keys(),
        *_hardware(),
    ]
    if as_document:
        fine = all(finding.state != "bad" for finding in findings)
        as_json({"ok": fine, "mock": bool(_mock()), "findings": [asdict(finding) for finding in findings]})
    else:
        out = console()
        mark = {"ok": "[green]ok  [/green]", "note": "[yellow]note[/yellow]", "bad": "[red]bad [/red]"}
        for finding in findings:
            out.print(f"{mark[finding.state]} {finding.what}: ", end="")
            out.print(finding.detail, markup=False)
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(Exit.FAILED)


def _mock() -> list[Finding]:
    """First of all, since it puts everything below in another light."""
    if surroundings() is None:
        return []
    said = (
        f"NOTHING REAL IS REACHED. {VARIABLE}={os.environ.get(VARIABLE, '1')} is set: every hosted model is acted, no key is "
        f"tried, and nothing is paid. To end that: unset {VARIABLE}"
    )
    return [Finding("mock", "note", said)]


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
    there = _nearest(home)
    if home == there:
        with tempfile.NamedTemporaryFile(dir=home):
            pass
    elif not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return "bad", f"{home} cannot be made: {there} is not writable"
    free = shutil.disk_usage(there).free / 2**30
    made = "" if home == there else ", made when it is needed"
    return ("note" if free < 1 else "ok"), f"{home}{made}, {free:.1f} GiB free"


def _nearest(path: Path) -> Path:
    """The path itself, or the first above it that is there: looking makes none of them."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _ledger() -> tuple[Literal["ok", "note", "bad"], str]:
    place = ledger_here()
    if isinstance(place, Path) and (there := _nearest(place)) != place:
        if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            return "bad", f"{place} cannot be made, and nothing is paid for without it"
        return "ok", f"{place}, made at the first run"
    if not is_there(place):
        return "ok", f"{place}, its tables are made at the first run"
    with reading() as ledger:  # opening it finds out whether it can be written
        assert ledger is not None
        ledger.flush()
        count = ledger.count_jobs()
        open_jobs = ledger.open_jobs()
        waiting = [row["id"] for row in ledger.open_runs() if row["state"] == "waiting"]
    unknown = [job for job in open_jobs if job.state == State.UNKNOWN]
    at_work = len(open_jobs) - len(unknown)
    parts = [f"{place}, can be written", many(count, "job")]
    parts += [f"{at_work} open"] if at_work else []
    parts += [f"{len(unknown)} unknown: vidorch jobs list --state unknown"] if unknown else []
    parts += [f"{many(len(waiting), 'run')} waiting: vidorch jobs resume"] if waiting else []
    return ("note" if unknown or waiting else "ok"), "; ".join(parts)


def _budgets() -> list[Finding]:
    """What is left of each budget; a note where nothing is."""
    try:
        with reading() as ledger:
            states = [] if ledger is None else ledger.budgets(now(ledger))
    except VidorchError:  # said of the ledger already
        return []
    return [
        Finding("budget", "ok" if state.left or state.budget.per == "call" else "note", in_words(state)) for state in states
    ]  # fmt: skip


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
            endpoint=Endpoint("local", "local"),
            clock=RealClock(),
            job_id="check",
            folder=Path(tempfile.gettempdir()),
        )
        try:
            health = await provider.check(context)
        finally:
            await provider.aclose()
        return health.ok, health.detail

    fine, detail = asyncio.run(check())
    return ("ok" if fine else "bad"), detail


def _catalog() -> tuple[Literal["ok", "note", "bad"], str]:
    catalog = catalog_here()
    text = f"{len(catalog.offers)} offers, newest fact of {catalog.as_of}"
    return ("note", f"{text}; {'; '.join(catalog.warnings)}") if catalog.warnings else ("ok", text)


def _config() -> tuple[Literal["ok", "note", "bad"], str]:
    config = config_here()
    if faults := faults_here(config):
        return "bad", "; ".join(faults)
    origins = dict.fromkeys(origin.partition(", line")[0] for origin in config.origins.values())
    return "ok", "; ".join(origins) or "nothing is set"


_CHECKS: tuple[tuple[str, Callable[[], tuple[Literal["ok", "note", "bad"], str]]], ...] = (
    ("versions", _versions),
    ("configuration", _config),
    ("home", _home),
    ("ledger", _ledger),
    ("video", _codecs),
    ("built-in model", _built_in),
    ("catalog", _catalog),
)


def _keys() -> list[Finding]:
    """Which hosted endpoints could be used: their code, whether a key is set (never the key), and whether it is taken."""
    from vidorch.registry import Registry

    try:
        offers = [offer for offer in catalog_here().offers if offer.variables]
    except VidorchError:
        return []
    registry = Registry()
    installed = registry.names()
    findings, to_ask = {}, {}
    for endpoint in sorted({offer.endpoint for offer in offers}):
        there = [offer for offer in offers if offer.endpoint == endpoint]
        variables = list(dict.fromkeys(name for offer in there for name in offer.variables))
        found = key_here(*variables)
        login = not found and login_here(there, registry)
        key = (
            f"{found} is set"
            if found
            else "a login is there"
            if login
            else f"no key ({' or '.join(variables)})"
        )
        if aside := elsewhere(endpoint, there[0].provider, registry):
            key = f"{key}; {aside}"
        if there[0].provider not in installed:
            key = f"its provider is not in this version; {key}"
        elif found or login:
            to_ask[endpoint] = key
        findings[endpoint] = Finding(endpoint, "note", key)
    return list((findings | asyncio.run(_ask(to_ask))).values())


def _hardware() -> list[Finding]:
    """Whether the endpoints of one's own hardware could make clips: servers that the configuration names, endpoints that it gives
    a device or options, and `local` once the weights of a model are here.
    """
    try:
        named, offers = config_here().endpoints, catalog_here().offers
    except VidorchError:  # said of the configuration or the catalog already
        return []
    ours = [
        name
        for name, one in named.items()
        if (one.options or {}).get("server")
        or ((one.provider or name) == "local" and (one.device or one.options))
    ]
    asked = {
        name: "" for name in ours if not any(offer.endpoint == name and offer.variables for offer in offers)
    }
    found = list(asyncio.run(_ask(asked)).values())
    if "local" not in ours and any(
        offer.endpoint == "local" and offer.weights is not None and locate(offer.weights) is not None for offer in offers
    ):  # fmt: skip
        (of_default,) = asyncio.run(
            _ask({"local": ""}, {"local": Endpoint("local", "local", device="auto")})
        ).values()
        found.append(replace(of_default, state="note") if of_default.state == "bad" else of_default)
    return found


async def _ask(
    keys: Mapping[str, str], endpoints: Mapping[str, Endpoint] | None = None
) -> dict[str, Finding]:
    """Whether these endpoints take the keys that are set, all asked at once."""
    from vidorch.client.aio import AsyncClient

    async def ask(endpoint: str) -> Finding:
        try:
            async with asyncio.timeout(PATIENCE):
                health = await client.check(endpoint)
        except TimeoutError:
            return Finding(endpoint, "note", _joined(keys[endpoint], f"no answer within {PATIENCE:.0f} s"))
        except InvalidRequest as error:  # the configuration names what there is not
            return Finding(endpoint, "bad", str(error))
        except Exception as error:
            said = str(error) or type(error).__name__
            return Finding(endpoint, "note", _joined(keys[endpoint], f"it could not be asked: {said}"))
        said = _joined(keys[endpoint], health.detail, *_balance(health))
        return Finding(endpoint, "ok" if health.ok else "bad", said)

    if not keys:
        return {}
    try:
        async with AsyncClient(endpoints=endpoints) as client:
            return {one.what: one for one in await asyncio.gather(*map(ask, keys))}
    except VidorchError:  # said of the home folder already
        return {}


def _joined(*said: str) -> str:
    return "; ".join(one for one in said if one)


def _balance(health: Health) -> list[str]:
    return [] if health.balance is None else [f"{show_usd(health.balance)} left there"]
