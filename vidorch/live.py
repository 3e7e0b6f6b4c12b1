"""Whether something may leave from here: no paid submit from a test run that did not ask for it, and nothing from a mock."""

from __future__ import annotations

import os
import sys

from vidorch.errors import LiveCallInTest

__all__ = ["connect_only_to", "must_not_be_a_test", "must_not_be_mocked"]

VARIABLE = "VIDORCH_LIVE"
"""Set to anything, it allows paid submits in a test run; `pytest --vidorch-live` sets it."""

RUNNERS = frozenset({"unittest.__main__", "unittest"})
_only: frozenset[str] | None = None


def must_not_be_a_test(offer_name: str) -> None:
    """Stop a paid submit that a test run did not mean to make.

    Raises:
        LiveCallInTest: nothing was sent.
    """
    if _in_a_test() and not os.environ.get(VARIABLE):
        early = "This client was made before the mock was entered: make it inside it."
        raise LiveCallInTest(
            f"A test was about to pay for a clip of {offer_name}. Nothing was sent.",
            hint=early
            if _only is not None
            else "Use vidorch.testing.mock(), or run pytest with --vidorch-live.",
        )


def _in_a_test() -> bool:
    if "PYTEST_CURRENT_TEST" in os.environ:
        return True
    main = sys.modules.get("__main__")
    return getattr(getattr(main, "__spec__", None), "name", None) in RUNNERS


def must_not_be_mocked(host: str) -> None:
    """Stop a connection of vidorch's own under a mock that does not allow this host.

    Raises:
        LiveCallInTest: nothing was sent.
    """
    if _only is not None and host not in _only:
        raise LiveCallInTest(
            f"vidorch was about to connect to {host} under a mock. Nothing was sent.",
            hint="Under a mock hosted models are scripted. "
            f"For a server of the test's own: vidorch.testing.mock(allow=[{host!r}]).",
        )


def connect_only_to(hosts: frozenset[str] | None) -> frozenset[str] | None:
    """The hosts that vidorch may connect to from now on; None for any. Gives back what held before."""
    global _only
    before, _only = _only, hosts
    return before
