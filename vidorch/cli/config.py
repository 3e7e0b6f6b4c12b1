"""`vidorch config`: each setting that holds here, and where it came from. `vidorch setup`: a key, asked for, tried, kept."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from dataclasses import fields
from decimal import Decimal
from typing import Any

import typer

from vidorch.cli.exits import Exit
from vidorch.cli.here import PATIENCE, catalog_here, config_here, elsewhere, faults_here
from vidorch.cli.say import as_json, aside, console, is_terminal, table_of
from vidorch.config import Config, project_file, trust, user_file
from vidorch.config.keys import keep_key, keys_file, stored_keys
from vidorch.databases import without_password
from vidorch.errors import InvalidRequest, VidorchError
from vidorch.home import home_folder
from vidorch.money import show_usd
from vidorch.registry import Registry
from vidorch.request import nearest_name
from vidorch.surroundings import surroundings

__all__ = ["config", "setup"]

_PLAIN = (
    "models",
    "route",
    "max_cost",
    "timeout",
    "output",
    "ledger",
    "catalog",
    "proxy",
    "ca_bundle",
    "private_hosts",
    "input_urls",
)
_UNSET = {
    "models": "local/mini (the built-in model)",
    "max_cost": "$5.00 for the outermost call",
    "timeout": "no end",
}


def config(*, trusts: bool, as_document: bool) -> None:
    """Print every setting with its origin."""
    if trusts:
        project = project_file()
        if project is None:
            raise InvalidRequest(
                "There is no vidorch.toml here that could be trusted.", hint="It has to be yours, and for nobody else to write.",
                field="trust",
            )  # fmt: skip
        trust(project)
        aside(f"{project} is trusted, as it is now.")
    found = config_here()
    rows, faults = list(_rows(found)), faults_here(found)
    project = project_file()
    files = {"user file": user_file(), "project file": project, "keys": keys_file()}
    if as_document:
        as_json({
            "settings": {name: {"value": value, "origin": origin} for name, value, origin in rows},
            "files": {name: path and {"path": str(path), "exists": path.is_file()} for name, path in files.items()},
            "warnings": faults,
            "keys": {variable: str(keys_file()) for variable in sorted(stored_keys())},
        })  # fmt: skip
        return
    out = console()
    out.print(
        table_of(
            "",
            ["!setting", "value", "from"],
            [[name, _in_words(name, value), origin] for name, value, origin in rows],
        )
    )
    for name, path in files.items():
        there = "" if path is None or path.is_file() else " (not there)"
        out.print(f"{name}: {path or 'none here'}{there}", markup=False)
    for fault in faults:
        out.print(f"Warning: {fault}", markup=False)
    if kept := sorted(stored_keys()):
        out.print(f"keys kept: {', '.join(kept)}", markup=False)


def setup(provider: str, *, variable: str | None) -> None:
    """Ask for a key, try it where trying costs nothing, and keep it."""
    home_folder()
    offers = [offer for offer in catalog_here().offers if offer.variables]
    endpoints = {offer.endpoint: offer.variables for offer in offers}
    if provider not in endpoints:
        near = nearest_name(provider, endpoints)
        raise InvalidRequest(
            f"There is no hosted endpoint {provider!r} that needs a key.{f' Did you mean {near}?' if near else ''}",
            field="provider", value=provider, allowed=", ".join(sorted(endpoints)),
        )  # fmt: skip
    names = endpoints[provider]
    name = variable or names[0]
    if name not in names:
        raise InvalidRequest(
            f"{provider} does not read {name}, but {' or '.join(names)}.",
            field="variable",
            value=name,
            allowed=" or ".join(names),
        )
    secret = _asked_for(provider, name)
    speaks = next(offer.provider for offer in offers if offer.endpoint == provider)
    _tried(provider, secret, elsewhere(provider, speaks, Registry()))
    where = keep_key(name, secret)
    print(f"{name} is kept in {where}, which only you can read.")
    if os.environ.get(name):
        aside(f"{name} is set in the environment, too, and that one goes first.")


def _asked_for(provider: str, variable: str) -> str:
    if is_terminal():
        secret = str(typer.prompt(f"{variable} for {provider} (it is not shown)", hide_input=True, err=True))
    else:
        secret = sys.stdin.readline()
    secret = secret.strip()
    if not secret:
        raise InvalidRequest(
            "No key was given. Nothing was kept.",
            hint=f"Type it, or: vidorch setup {provider} < file",
            field=variable,
        )
    return secret


def _tried(provider: str, secret: str, aside_from_it: str) -> None:
    """Ask the vendor whether it takes the key; one that cannot be asked is kept all the same, and said so.

    Args:
        aside_from_it: that the key went somewhere else than to the vendor, in a sentence; empty where it did not.

    Raises:
        typer.Exit: the vendor does not take it.
    """
    from vidorch.client.aio import AsyncClient

    async def ask() -> tuple[bool, str]:
        async with AsyncClient(credentials=lambda scope, endpoint: secret) as client:
            async with asyncio.timeout(PATIENCE):
                health = await client.check(provider)
            return health.ok, health.detail

    if surroundings() is not None:
        aside("Under a mock no key is tried.")
        return
    try:
        fine, detail = asyncio.run(ask())
    except TimeoutError:
        aside(f"{provider} did not answer within {PATIENCE:.0f} s: the key was not tried.")
        return
    except VidorchError as error:
        aside(f"The key could not be tried: {error.message}")
        return
    words = detail.rstrip(".")
    if aside_from_it:
        aside(f"It was not {provider} itself that was asked: {aside_from_it}.")
    if not fine:
        aside(
            f"{provider} does not take this key: {words or 'it was refused'}. It was not kept. Nothing was paid."
        )
        raise typer.Exit(Exit.FAILED)
    aside(f"{provider} takes it{f': {words}' if words else ''}. Nothing was paid.")


def _rows(found: Config) -> Iterator[tuple[str, Any, str]]:
    """(dotted name, JSON-ready value, origin) of each setting."""
    for name in _PLAIN:
        shown_as = "model" if name == "models" else name
        value = getattr(found, name)
        yield shown_as, without_password(value) if name == "ledger" else _plain(value), found.origin(shown_as)
    for alias, models in found.aliases.items():
        yield f"aliases.{alias}", list(models), found.origin(f"aliases.{alias}")
    for endpoint, one in found.endpoints.items():
        for field in fields(one):
            value = getattr(one, field.name)
            if value is not None:
                yield (
                    f"endpoints.{endpoint}.{field.name}",
                    _plain(value),
                    found.origin(f"endpoints.{endpoint}.{field.name}"),
                )
    for scope, keys in found.scopes.items():
        for endpoint, variables in keys.items():
            yield f"scopes.{scope}.{endpoint}", list(variables), found.origin(f"scopes.{scope}.{endpoint}")


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return list(value) if isinstance(value, tuple) else value


def _in_words(name: str, value: Any) -> str:
    if value is None or value == []:
        return _UNSET.get("models" if name == "model" else name, "not set")
    if name == "max_cost":
        return show_usd(Decimal(value))
    return ", ".join(value) if isinstance(value, list) else str(value)
