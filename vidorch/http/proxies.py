"""Which way a request goes: straight, or through a proxy, by the client's option or the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from vidorch.errors import InvalidRequest
from vidorch.http.urls import Target, target_of
from vidorch.inputs import without_query

__all__ = ["Proxies", "checked_proxy"]


def checked_proxy(given: str | None) -> str | None:
    """The option as it may be used. `""` means none at all.

    Raises:
        InvalidRequest: not the URL of a proxy that vidorch can speak to.
    """
    if given is None or given == "":
        return given
    try:
        return _usable(given)
    except InvalidRequest as error:
        raise InvalidRequest(error.message, field="proxy", value=error.value, allowed=error.allowed) from None


def _usable(url: str) -> str:
    scheme = urlsplit(url).scheme if isinstance(url, str) and "://" in url else ""
    if scheme.startswith("socks"):
        raise InvalidRequest(
            f"The proxy {without_query(url)} speaks SOCKS, which vidorch's own sockets do not.",
            hint="Pass http=httpx.AsyncClient(proxy=...) with httpx[socks] installed.",
            field="proxy", value=without_query(url), allowed="an http or https proxy",
        )  # fmt: skip
    return target_of(url if scheme or not isinstance(url, str) else f"http://{url}", "proxy").url


@dataclass(frozen=True, slots=True, repr=False)
class Proxies:
    """Proxies by scheme, and the hosts that go without.

    Attributes:
        by_scheme: `http`, `https`, `all` to the proxy's URL, credentials included: never shown. no: as in NO_PROXY.
    """

    by_scheme: dict[str, str] = field(default_factory=dict)
    no: str = ""

    @classmethod
    def of(cls, given: str | None) -> Proxies:
        """Those of the option, else those of the environment. NO_PROXY holds for both."""
        from urllib.request import getproxies_environment

        around = getproxies_environment()
        if given is not None:
            around = {"all": given, "no": around.get("no", "")}
        return cls({scheme: url for scheme, url in around.items() if scheme != "no"}, around.get("no", ""))

    def of_target(self, target: Target) -> str | None:
        """The proxy to go through; None for the straight way.

        Raises:
            InvalidRequest: there is one, and vidorch cannot speak to it.
        """
        proxy = self.by_scheme.get(target.scheme) or self.by_scheme.get("all")
        if not proxy or self._goes_without(target):
            return None
        return _usable(proxy)

    def _goes_without(self, target: Target) -> bool:
        if not self.no:
            return False
        from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

        return any(
            proxy_bypass_environment(host, {"no": self.no})
            for host in (target.host, f"{target.host}:{target.port}")
        )
