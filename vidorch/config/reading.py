"""One file's tables, and the variables of the environment, checked value by value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vidorch.bounds import MAX_WAIT, ROUTES
from vidorch.config.settings import Credential, EndpointSettings
from vidorch.errors import InvalidRequest, VidorchError, shown
from vidorch.money import usd
from vidorch.tables import Table

__all__ = ["FIELDS", "from_environment", "read_tables", "usable_base_url"]

FIELDS = frozenset(
    {"models", "route", "max_cost", "timeout", "output", "ledger", "catalog", "proxy", "ca_bundle", "private_hosts", "input_urls"}
)  # fmt: skip
"""Fields of a `Config` that a file's value replaces whole."""
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_ENDPOINT = re.compile(r"[a-z0-9][a-z0-9._-]*")
_SHOWN_AS = {"models": "model"}
_FROM_ENVIRONMENT = {
    "VIDORCH_MODEL": "models", "VIDORCH_ROUTE": "route", "VIDORCH_MAX_COST": "max_cost", "VIDORCH_TIMEOUT": "timeout",
    "VIDORCH_OUTPUT": "output", "VIDORCH_LEDGER": "ledger",
}  # fmt: skip


def read_tables(top: Table, folder: Path) -> tuple[dict[str, Any], dict[str, int | None]]:
    """The values of one file, and the line of each by its dotted name. Relative paths are relative to `folder`.

    Raises:
        VidorchError: the source's own error, with file, line and field.
    """
    found: dict[str, Any] = {}
    places: dict[str, int | None] = {}

    def noted(*path: str) -> None:
        places[".".join(path)] = top.source.line_of(path, None) if top.source.text else None

    def take(name: str, value: Any) -> None:
        shown_as = _SHOWN_AS.get(name, name)
        if shown_as in top.data:
            found[name] = value
            noted(shown_as)

    take("models", _names(top, "model"))
    take("route", top.one_of("route", ROUTES, None))
    take("max_cost", top.number("max_cost", 0, above=True) if "max_cost" in top.data else None)
    take("timeout", _timeout(top))
    take("output", _folder(_path(top.text("output", ""), folder)))
    take("ledger", _path(top.text("ledger", ""), folder))
    take("catalog", _path(top.text("catalog", ""), folder))
    take("proxy", top.text("proxy", "", pattern=r"(https?|socks5h?)://\S+|", wanted="a URL, or '' for none"))
    take("ca_bundle", _path(top.text("ca_bundle", ""), folder))
    take("private_hosts", top.texts("private_hosts"))
    take("input_urls", top.texts("input_urls"))

    aliases = top.table("aliases")
    found["aliases"] = {}
    for alias in aliases.data:
        if not re.fullmatch(r"[^\s/:]+(/[^\s/:]+)?", alias):
            raise aliases.error(alias, "is no name that a model could have.")
        found["aliases"][alias] = _names(aliases, alias)
        noted("aliases", alias)
    aliases.done()

    endpoints = top.table("endpoints")
    found["endpoints"] = {}
    for name in endpoints.data:
        if not _ENDPOINT.fullmatch(name):
            raise endpoints.error(
                name, "is no name of an endpoint: lower-case letters, digits, '.', '_' and '-'."
            )
        table = endpoints.table(name)
        found["endpoints"][name] = (_endpoint(table), tuple(table.data))
        for field in table.data:
            noted("endpoints", name, field)
    endpoints.done()

    scopes = top.table("scopes")
    found["scopes"] = {}
    for scope in scopes.data:
        table = scopes.table(scope)
        found["scopes"][scope] = {}
        for endpoint in table.data:
            found["scopes"][scope][endpoint] = _variables(table, endpoint)
            noted("scopes", scope, endpoint)
        table.done()
    scopes.done()
    top.done(("max_cost", "timeout"))
    return found, places


def from_environment(environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings that variables hold, and where each came from. Empty ones count as not set.

    Raises:
        InvalidRequest: one holds what cannot be used.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for variable, name in _FROM_ENVIRONMENT.items():
        text = environ.get(variable, "").strip()
        if not text:
            continue
        values[name] = _from_text(variable, name, text)
        origins[_SHOWN_AS.get(name, name)] = f"environment {variable}"
    return values, origins


def usable_base_url(url: str) -> bool:
    """Whether it can be one: http or https, a host, no user, password, query or fragment."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    extra = parts.query or parts.fragment or parts.username
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not extra


def _from_text(variable: str, name: str, text: str) -> Any:
    if name == "models":
        return tuple(one.strip() for one in text.split(",") if one.strip())
    if name == "max_cost":
        try:
            return usd(text, variable)
        except VidorchError:
            raise _bad(variable, text, "an amount in USD, such as 5.00") from None
    if name == "timeout":
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 < seconds <= MAX_WAIT:
            raise _bad(variable, text, f"seconds, over 0 and at most {MAX_WAIT:,.0f}")
        return seconds
    if name == "output":
        return _folder(text)
    if name == "route" and text not in ROUTES:
        raise _bad(variable, text, " or ".join(ROUTES))
    return text


def _bad(variable: str, value: str, allowed: str) -> InvalidRequest:
    return InvalidRequest(
        f"{variable}={shown(value)} cannot be used. Allowed is {allowed}.",
        field=variable,
        value=value,
        allowed=allowed,
    )


def _names(table: Table, key: str) -> tuple[str, ...]:
    """One model's name or several."""
    wanted = "a model's name, or a list of names in order of preference"

    def right(value: Any) -> bool:
        many = value if isinstance(value, list | tuple) else [value]
        return bool(many) and all(isinstance(one, str) and one.strip() for one in many)

    value = table.take(key, (), wanted, right)
    return (value.strip(),) if isinstance(value, str) else tuple(one.strip() for one in value)


def _variables(table: Table, key: str) -> Credential:
    """Names of variables. What looks like a key itself is refused without being shown."""
    wanted = "the name of an environment variable that holds the key (never the key itself), or a list of such names"
    table.take(key, (), wanted, lambda _: True)
    value = table.data.get(key, ())
    many = value if isinstance(value, list | tuple) else (value,)
    if (key in table.data and not many) or not all(
        isinstance(one, str) and re.fullmatch(_VARIABLE, one) for one in many
    ):
        raise table.error(key, f"what stands here cannot be used, and is not shown. It has to be {wanted}.")
    return tuple(many)


def _timeout(top: Table) -> float | None:
    if "timeout" not in top.data:
        return None
    seconds = top.real("timeout")
    if not 0 < seconds <= MAX_WAIT:
        raise top.error("timeout", f"has to be seconds, over 0 and at most {MAX_WAIT:,.0f}.")
    return seconds


def _path(text: str, folder: Path) -> str:
    if not text or "://" in text:
        return text
    return str(folder / Path(text).expanduser())


def _folder(path: str) -> str:
    """As `output=` takes a folder: with a slash at its end."""
    return path if not path or path.endswith("/") else f"{path}/"


def _endpoint(table: Table) -> EndpointSettings:
    money = table.number("usd_per_hour") if "usd_per_hour" in table.data else None
    url = table.text("base_url", "") or None
    if url is not None and not usable_base_url(url):
        raise table.error(
            "base_url", "cannot be used. It has to be an http or https URL without user, password and query."
        )
    one = EndpointSettings(
        provider=table.text("provider", "") or None,
        base_url=url,
        device=table.text("device", "") or None,
        account=table.text("account", "") if "account" in table.data else None,
        concurrency=table.whole("concurrency", None, least=1),
        per_minute=table.whole("per_minute", None, least=1),
        usd_per_hour=None if money is None else Decimal(money),
        billed=table.flag("billed", False) if "billed" in table.data else None,
        key=_variables(table, "key") if "key" in table.data else None,
        options=dict(table.table("options").data) if "options" in table.data else None,
        tier=table.text("tier") if "tier" in table.data else None,
    )
    table.done(("usd_per_hour",))
    return one
