"""The extras of the distribution: what `pip install 'vidorch[...]'` takes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

EXTRAS: dict[str, list[str]] = tomllib.loads(
    (Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8")
)["project"]["optional-dependencies"]

PACKAGES = {
    "fal": "fal-client", "replicate": "replicate", "runway": "runwayml", "vertex": "google-cloud-aiplatform",
    "google": "google-genai", "local": "torch diffusers transformers accelerate", "ray": "ray", "postgres": "psycopg",
    "storage": "fsspec", "otel": "opentelemetry-api", "webhooks": "cryptography", "testing": "pytest",
}  # fmt: skip
HOSTED = {"fal", "replicate", "runway", "vertex", "google"}


@pytest.mark.parametrize("extra", sorted(PACKAGES))
def test_opens_what_it_is_named_for(extra: str) -> None:
    """Each extra brings the packages that it stands for, none older than what is known to do."""
    found = {re.split(r"[\[><=]", one)[0]: one for one in EXTRAS[extra]}
    assert (set(PACKAGES[extra].split()), True) == (set(found), all(">=" in one for one in found.values()))


def test_all_is_every_hosted_service() -> None:
    """`all` names every hosted service by its own extra, and nothing that is not declared; torch is not among it."""
    (everything,) = EXTRAS["all"]
    named = set(everything.removeprefix("vidorch[").removesuffix("]").split(","))
    assert (True, True, False) == (named >= HOSTED, named <= EXTRAS.keys(), "local" in named)


def test_none_is_empty() -> None:
    """An extra that installs nothing would promise what is not there."""
    assert [] == [extra for extra, packages in EXTRAS.items() if not packages]
