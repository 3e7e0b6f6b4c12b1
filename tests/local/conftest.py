"""Tiny models with random weights, made once for all tests, and clients that know them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.local import tiny
from tests.local.lone import Lone
from vidorch import Client
from vidorch.offer import Offer

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when huggingface_hub is loaded
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # or Ray writes one into the home folder


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """By kind, a folder with such a model; made at its first use. Not to be changed: copy it for that."""
    root = tmp_path_factory.mktemp("weights")

    def of(kind: str) -> Path:
        folder = root / kind
        if not folder.exists():
            tiny.BUILDERS[kind]().save_pretrained(folder)
        return folder

    return of


@pytest.fixture(scope="module")
def lone(weights: Callable[[str], Path]) -> Callable[..., Lone]:
    """By kind, one pipeline to make clips with, loaded once for a module of tests."""
    loaded: dict[str, Lone] = {}

    def of(kind: str, wanted: str = "WanPipeline") -> Lone:
        if kind not in loaded:
            loaded[kind] = Lone(kind, weights(kind), wanted)
        return loaded[kind]

    return of


@pytest.fixture
def offer(weights: Callable[[str], Path]) -> Callable[[str], Offer]:
    """By kind, the offer of such a model."""
    return lambda kind: tiny.offer_of(kind, weights(kind))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, weights: Callable[[str], Path]) -> Iterator[Client]:
    """One client that knows all of them, so that each is loaded once."""
    offers = [tiny.offer_of(kind, weights(kind)) for kind in tiny.BUILDERS]
    with Client(home=tmp_path_factory.mktemp("home"), catalog=tiny.catalog_of(*offers)) as client:
        yield client
