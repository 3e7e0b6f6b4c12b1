"""What a reply to a submit proves: by the vendor's own words alone, over real sockets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from tests.providers import test_fal, test_google, test_kling, test_openai, test_replicate, test_runway
from vidorch.errors import InvalidRequest, SubmissionUnknown, Unsupported
from vidorch.testing.conformance import Outcome, ProviderConformance
from vidorch.testing.servers import Fate, ProtocolServer, VendorError
from vidorch.testing.servers.base import Answer

SUITES: dict[str, type[ProviderConformance]] = {
    "openai": test_openai.TestVllm, "gemini": test_google.TestGemini, "vertex": test_google.TestVertex,
    "runway": test_runway.TestRunway, "kling": test_kling.TestKling, "fal": test_fal.TestFal,
    "replicate": test_replicate.TestReplicate,
}  # fmt: skip


@pytest.fixture(autouse=True)
def may_send(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the loopback alone."""
    monkeypatch.setenv("VIDORCH_LIVE", "1")


def answered(vendor: str, home: Path, status: int, body: Any) -> Outcome:
    """One call to a vendor whose reply to the submit is this."""

    def before(server: ProtocolServer) -> None:
        cast("Any", server).error = lambda *words, **more: Answer(status, json=body)
        server.next(Fate(rejected=VendorError(status, "", "")))

    return SUITES[vendor]().call(home, before)[0]


class TestAPageOfAGateways:
    """JSON of whoever stands in front of a vendor, or of a shape that is not the vendor's."""

    @pytest.mark.parametrize("status", [400, 403, 429])
    @pytest.mark.parametrize(
        ("vendor", "body"),
        [
            ("openai", {"error": "no healthy upstream"}),
            ("openai", {"message": "Forbidden"}),
            ("gemini", {"error": {"message": "Forbidden"}}),
            ("vertex", {"error": {"message": "Forbidden"}}),
            ("runway", {"message": "Forbidden"}),
            ("kling", {"message": "Forbidden"}),
            ("fal", {"message": "Forbidden"}),
            ("replicate", {"message": "Forbidden"}),
        ],
    )
    def test_proves_nothing(self, tmp_path: Path, vendor: str, body: Any, status: int) -> None:
        """Whatever the status is: it may have been accepted behind it."""
        assert isinstance(answered(vendor, tmp_path, status, body).error, SubmissionUnknown)


class TestAWordOfTheVendorsThatIsNotListed:
    """Its own error, with a code of tomorrow's."""

    @pytest.mark.parametrize(
        ("vendor", "body"),
        [
            ("gemini", {"error": {"code": 400, "message": "x", "status": "TOO_PURPLE"}}),
            ("gemini", {"error": {"code": "too_purple", "message": "x"}}),
            ("vertex", {"error": {"code": 400, "message": "x", "status": "TOO_PURPLE"}}),
            ("kling", {"code": 1999, "message": "x", "request_id": "r"}),
        ],
    )
    def test_proves_nothing_where_every_error_has_a_listed_one(
        self, tmp_path: Path, vendor: str, body: Any
    ) -> None:
        """Of Google's and Kling's codes each has its meaning, and this one's is not known."""
        assert isinstance(answered(vendor, tmp_path, 400, body).error, SubmissionUnknown)

    @pytest.mark.parametrize(
        ("vendor", "body"),
        [
            ("openai", {"error": {"message": "x", "type": "too_purple", "code": "too_purple"}}),
            ("openai", {"detail": "too purple"}),
            ("fal", {"detail": "too purple", "error_type": "too_purple"}),
            ("replicate", {"title": "Too purple", "detail": "x", "status": 400}),
            ("runway", {"error": "too purple"}),
        ],
    )
    def test_goes_by_the_status_where_the_table_says_what_that_means(
        self, tmp_path: Path, vendor: str, body: Any
    ) -> None:
        """Of those who give many errors without a code, or open ones, their page says what a 400 of theirs is."""
        outcome = answered(vendor, tmp_path, 400, body)
        assert isinstance(outcome.error, InvalidRequest)
        assert outcome.error.charged is False


class TestANumberInGooglesBody:
    """`{"error": {"code": 404}}`."""

    def test_is_googles_own_word(self, tmp_path: Path) -> None:
        """Also where no status in words stands beside it, and whatever the reply's own status is."""
        outcome = answered("gemini", tmp_path, 400, {"error": {"code": 404, "message": "no such model"}})
        assert isinstance(outcome.error, Unsupported)
