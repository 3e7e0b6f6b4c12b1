"""What commands that make no client go by: the configuration, the catalog and the ledger's place of this process."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from vidorch.catalog import Catalog, load
from vidorch.client.configured import configuration, configured_endpoints, faults_of, found_in
from vidorch.client.market import base_url_variable
from vidorch.config import Config
from vidorch.config.keys import stored_keys
from vidorch.contract import Endpoint
from vidorch.databases import DatabaseUrl
from vidorch.errors import CatalogError, VidorchError
from vidorch.home import home_folder, ledger_path
from vidorch.inputs import without_query
from vidorch.naming import Aliases, offers_at
from vidorch.offer import Offer
from vidorch.registry import Registry
from vidorch.surroundings import surroundings

__all__ = [
    "PATIENCE",
    "catalog_here",
    "config_here",
    "elsewhere",
    "faults_here",
    "key_here",
    "ledger_here",
    "login_here",
    "meant_here",
    "offered_here",
]


PATIENCE = 15.0
"""Seconds that an endpoint may take to say whether it takes a key."""


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


def offered_here() -> Catalog:
    """The same with the offers at endpoints that the configuration names."""
    catalog = catalog_here()
    known = {offer.endpoint: Endpoint(offer.endpoint, offer.provider) for offer in catalog.offers}
    endpoints = configured_endpoints(config_here(), catalog, known)
    return Catalog(tuple(offers_at(catalog, endpoints)), catalog.warnings)


def meant_here(name: str) -> list[str]:
    """What a name stands for by the configuration's aliases; itself where it is none."""
    return Aliases(config_here().aliases)(name)


def faults_here(config: Config) -> list[str]:
    """What the configuration names that is not there; nothing where the catalog itself is broken, which is said of that."""
    try:
        return faults_of(config, catalog_here())
    except CatalogError:
        return []


def ledger_here() -> Path | DatabaseUrl:
    """Where the ledger is, or will be."""
    return ledger_path(config_here().ledger, home_folder())


def key_here(*variables: str) -> str | None:
    """Which of these variables holds a key, in the environment or in the user's file of keys; None where none does."""
    kept = stored_keys if surroundings() is None else dict
    return next((name for name in variables if found_in((name,), kept)), None)


def login_here(offers: Iterable[Offer], registry: Registry) -> bool:
    """Whether a credential for one of these offers is there that no variable holds, such as what `gcloud` left."""
    if surroundings() is not None:
        return False
    for offer in offers:
        try:
            if offer.provider in registry.names() and registry.get(offer.provider).finds_credentials(offer):
                return True
        except VidorchError:  # its package is missing, which is said elsewhere
            continue
    return False


def elsewhere(endpoint: str, provider: str, registry: Registry) -> str:
    """Where the environment has an endpoint's calls and key go and not to the vendor, in a sentence; empty otherwise."""
    variable = base_url_variable(endpoint)
    url = os.environ.get(variable)
    if not url:
        return ""
    try:
        own = getattr(registry.get(provider), "url", "") if provider in registry.names() else ""
        if own and urlsplit(url)[:2] == urlsplit(own)[:2]:
            return ""
    except (VidorchError, ValueError):
        pass
    return f"its calls and its key go to {without_query(url)}, for {variable} is set"
