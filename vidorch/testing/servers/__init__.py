"""Protocol servers: vendors' wires on the loopback, to test against as if they were the vendors.

    from vidorch.testing.servers import serve

    with serve("fal") as server:
        server.fail("submit", "reset-after")              # the next submit is taken, and its reply is lost
        server.next(ending="failed", code="...")          # what becomes of the next job
        client = vidorch.Client(endpoints=server.endpoints(), credentials=lambda scope, endpoint: server.key, ...)
        ...
        assert len(server.jobs) == 1                      # what somebody would pay for

Each is written from its vendor's facts and validates as strictly: an unknown field, a wrong type or a value that is not on
the list is answered with the vendor's own error. On the command line: `vidorch mock-server --provider fal`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidorch.testing.servers.base import Fate, ProtocolServer, VendorError
    from vidorch.testing.servers.faults import FAULTS, Fault

__all__ = ["FAULTS", "PROVIDERS", "Fate", "Fault", "ProtocolServer", "VendorError", "serve"]

_HOMES = {
    "FAULTS": "faults",
    "Fate": "base",
    "Fault": "faults",
    "ProtocolServer": "base",
    "VendorError": "base",
}
_SERVERS: dict[str, tuple[str, str]] = {
    "fal": ("fal", "Fal"),
    "gemini": ("gemini", "Gemini"),
    "kling": ("kling", "Kling"),
    "openai": ("openai", "Openai"),
    "replicate": ("replicate", "Replicate"),
    "runway": ("runway", "Runway"),
    "vertex": ("vertex", "Vertex"),
}
PROVIDERS = tuple(_SERVERS)
"""What can be served."""


def serve(provider: str, **options: Any) -> ProtocolServer:
    """The server of a provider's wire; it serves inside `with`.

    Args:
        options: see `ProtocolServer`.

    Raises:
        InvalidRequest: there is none for this provider.
    """
    from vidorch.errors import InvalidRequest, shown

    if provider not in _SERVERS:
        allowed = ", ".join(PROVIDERS)
        raise InvalidRequest(
            f"provider={shown(provider)} has no protocol server. Allowed is one of {allowed}.",
            field="provider", value=provider, allowed=allowed,
        )  # fmt: skip
    module, name = _SERVERS[provider]
    server: ProtocolServer = getattr(import_module(f"vidorch.testing.servers.{module}"), name)(**options)
    return server


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"vidorch.testing.servers.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
