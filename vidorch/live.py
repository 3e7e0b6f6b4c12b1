"""Whether a paid submit may leave from here: never from inside a test run that did not ask for it."""

from __future__ import annotations

import os

from vidorch.errors import LiveCallInTest

__all__ = ["must_not_be_a_test"]


def must_not_be_a_test(offer_name: str) -> None:
    """Stop a paid submit that a test run did not mean to make.

    Raises:
        LiveCallInTest: nothing was sent.
    """
    if "PYTEST_CURRENT_TEST" in os.environ and not os.environ.get("VIDORCH_LIVE"):
        raise LiveCallInTest(
            f"A test was about to pay for a clip of {offer_name}. Nothing was sent.",
            hint="Use vidorch.testing.mock(), or run pytest with --vidorch-live.",
        )
