"""The settings themselves: plain data, each with its origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

__all__ = ["DEFAULT", "Config", "Credential", "EndpointSettings"]

DEFAULT = "default"
"""The origin of what nobody has set."""

Credential = tuple[str, ...]
"""Names of environment variables (or of entries in the credentials file), the first one that is set counts."""


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """One `[endpoints.NAME]` table; None where nothing is said, which is not the same as saying what is the default anyway.

    Attributes:
        provider: the code that speaks to it; None for the provider of the same name.
        base_url: overrides the vendor's own. device: for local ones, such as `"cuda:0"`.
        account: endpoints that name the same one share limits; default: the endpoint's own name.
        concurrency: jobs at once. per_minute: submits within any minute. tier: the account's at its vendor, for its limits.
        usd_per_hour: price of one's own hardware. billed: whether that counts as spending.
        key: where its credential is, if not in the provider's own variables.
        options: whatever its provider takes beside that.
    """

    provider: str | None = None
    base_url: str | None = None
    device: str | None = None
    account: str | None = None
    concurrency: int | None = None
    per_minute: int | None = None
    usd_per_hour: Decimal | None = None
    billed: bool | None = None
    key: Credential | None = None
    options: Mapping[str, Any] | None = None
    tier: str | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """What holds where a call and its client say nothing.

    Attributes:
        models: default of `model=`; empty means the built-in model alone. route, max_cost, timeout: defaults of these, in USD
            and seconds. output: default of `output=`, a folder or a URL of one.
        ledger, catalog: a path or URL. proxy, ca_bundle, private_hosts, input_urls: as `Client` takes them.
        aliases: other names of models: one name, or several in order of preference.
        endpoints: by name. scopes: by scope, then endpoint: where that tenant's credential is.
        origins: by dotted name, where a value came from; what is not in here is a default.
    """

    models: tuple[str, ...] = ()
    route: Literal["cheapest", "fastest"] | None = None
    max_cost: Decimal | None = None
    timeout: float | None = None
    output: str | None = None
    ledger: str | None = field(default=None, repr=False)  # it may hold a password
    catalog: str | None = None
    proxy: str | None = None
    ca_bundle: str | None = None
    private_hosts: tuple[str, ...] = ()
    input_urls: tuple[str, ...] | None = None
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    endpoints: Mapping[str, EndpointSettings] = field(default_factory=dict)
    scopes: Mapping[str, Mapping[str, Credential]] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)

    def origin(self, name: str) -> str:
        """Where a value came from, by its dotted name, such as `"endpoints.h100.base_url"`."""
        return self.origins.get(name, DEFAULT)
