"""What a client takes from the configuration: its endpoints, where their keys are, and defaults of calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from vidorch.call import Call
from vidorch.catalog import Catalog
from vidorch.config import Config, EndpointSettings, load_config
from vidorch.contract import Endpoint
from vidorch.errors import InvalidRequest
from vidorch.request import nearest_name
from vidorch.surroundings import Surroundings
from vidorch.tiers import check_tier

__all__ = ["configuration", "configured_endpoints", "faults_of", "found_in", "with_defaults"]

_ALIKE = tuple(
    field.name for field in fields(Endpoint) if field.name not in ("name", "provider", "variables")
)


def configuration(world: Surroundings | None = None) -> Config:
    """What holds here. A mock goes by the project's file alone, and by nothing that would lead out of it.

    Raises:
        InvalidRequest: a file or a variable cannot be used: file, line, field.
    """
    config = load_config(own=world is None)
    if world is None:
        return config
    inside = {
        name: replace(one, base_url=None, device=None, key=None) for name, one in config.endpoints.items()
    }
    return replace(config, ledger=None, output=None, proxy=None, ca_bundle=None, endpoints=inside)


def configured_endpoints(
    config: Config, catalog: Catalog, known: Mapping[str, Endpoint]
) -> dict[str, Endpoint]:
    """The known endpoints with the configuration laid on them, and those that it adds.

    Raises:
        InvalidRequest: one is of a provider that no offer has.
    """
    providers = {offer.provider for offer in catalog.offers}
    laid = dict(known)
    for name, one in config.endpoints.items():
        provider = one.provider or (known[name].provider if name in known else name)
        if provider not in providers:
            where = config.origin(f"endpoints.{name}.provider")
            near = nearest_name(provider, sorted(providers))
            raise InvalidRequest(
                f"The endpoint {name!r} ({where}) needs provider=: {provider!r} is none."
                f"{f' Did you mean {near!r}?' if near else ''}",
                field="provider", value=provider, allowed=", ".join(sorted(providers)),
            )  # fmt: skip
        below = known.get(name) or Endpoint(name, provider)
        laid[name] = replace(below, provider=provider, **_given(one))
        if one.tier:
            check_tier(laid[name], config.origin(f"endpoints.{name}.tier"))
    return laid


def faults_of(config: Config, catalog: Catalog) -> list[str]:
    """What in the configuration names nothing that is there, each with its place: a call would only fail on it later."""
    providers = sorted({offer.provider for offer in catalog.offers})
    found = []
    for name, one in config.endpoints.items():
        provider = one.provider or name
        if provider not in providers:
            near = nearest_name(provider, providers)
            where = config.origin(f"endpoints.{name}.provider" if one.provider else f"endpoints.{name}")
            found.append(
                f"endpoint {name} ({where}): no provider {provider!r}{f', but {near!r}' if near else ''}"
            )
    ends = {*catalog.names(), *config.aliases}
    ends |= {f"{name}/{model}" for name in config.endpoints for model in catalog.models}
    named = [
        ("model", config.models),
        *((f"aliases.{alias}", models) for alias, models in config.aliases.items()),
    ]
    for place, models in named:
        for model in models:
            if model not in ends and ":" not in model:
                near = nearest_name(model, sorted(ends))
                found.append(
                    f"{place} ({config.origin(place)}): no model {model!r}{f', but {near!r}' if near else ''}"
                )
    return found


def with_defaults(call: Call, config: Config) -> Call:
    """The call, and where it says nothing what the configuration says."""
    changes: dict[str, Any] = {}
    if call.max_cost is None and config.max_cost is not None:
        changes["max_cost"] = config.max_cost
    if call.timeout is None and config.timeout is not None:
        changes["timeout"] = config.timeout
    if call.output is None and config.output is not None:
        changes["output"] = config.output
    return replace(call, **changes) if changes else call


def found_in(names: Sequence[str], stored: Callable[[], Mapping[str, str]]) -> str | None:
    """The first of these variables that is set in the environment, else in the user's file of keys, which `stored` reads."""
    found = next((value for name in names if (value := os.environ.get(name))), None)
    if found is not None or not names:
        return found
    kept = stored()
    return next((value for name in names if (value := kept.get(name))), None) if kept else None


def _given(one: EndpointSettings) -> dict[str, Any]:
    """What it says itself, as fields of an `Endpoint`."""
    said = {name: value for name in _ALIKE if (value := getattr(one, name)) is not None}
    return said if one.key is None else {**said, "variables": one.key}
