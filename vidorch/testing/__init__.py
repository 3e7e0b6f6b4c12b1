"""The test kit: everything is real but the wire, and time costs nothing.

    from vidorch.testing import mock

    with mock() as m:
        m.on(model="test/basic", call=1).throttle(retry_after=30)
        result = vidorch.generate("a red ball", model="test/basic")
        m.assert_never_paid_twice()

With pytest, `vidorch_mock` is the same as a fixture. See docs/testing.md.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidorch.testing.clock import VirtualClock
    from vidorch.testing.conformance import ProviderConformance
    from vidorch.testing.costs import assert_cost
    from vidorch.testing.kit import Mock, mock
    from vidorch.testing.rules import Rule, Submission

__all__ = ["Mock", "ProviderConformance", "Rule", "Submission", "VirtualClock", "assert_cost", "mock"]

_HOMES = {
    "Mock": "kit", "ProviderConformance": "conformance", "Rule": "rules", "Submission": "rules", "VirtualClock": "clock",
    "assert_cost": "costs", "mock": "kit",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    # pytest loads this package at its start, in projects that never use it too.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vidorch.testing.missing import needing

    with needing("pytest", f"vidorch.testing.{name}", "testing"):
        return getattr(import_module(f"vidorch.testing.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
