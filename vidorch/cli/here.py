"""What commands that make no client go by: the configuration, the catalog and the ledger's place of this process."""

from __future__ import annotations

from pathlib import Path

from vidorch.catalog import Catalog, load
from vidorch.client.configured import configuration, found_in
from vidorch.config import Config
from vidorch.config.keys import stored_keys
from vidorch.home import home_folder, ledger_path
from vidorch.surroundings import surroundings

__all__ = ["catalog_here", "config_here", "key_here", "ledger_here"]


def config_here() -> Config:
    """The configuration, as a client of this process has it."""
    return configuration(surroundings())


def catalog_here() -> Catalog:
    """The catalog with its layers, as a client of this process has it."""
    world, configured = surroundings(), config_here().catalog
    if world is None:
        return load(configured=configured)
    inside: Catalog = world.catalog(configured)
    return inside


def ledger_here() -> Path:
    """Where the ledger is, or will be."""
    return ledger_path(config_here().ledger, home_folder())


def key_here(*variables: str) -> str | None:
    """Which of these variables holds a key, in the environment or in the user's file of keys; None where none does."""
    kept = stored_keys() if surroundings() is None else {}
    return next((name for name in variables if found_in((name,), kept)), None)
