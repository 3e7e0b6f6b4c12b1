"""`vidorch mock-server`."""

from __future__ import annotations

import signal

import pytest

from tests.cli.conftest import working
from vidorch.cli.mockserver import mock_server
from vidorch.errors import InvalidRequest


class TestMockServer:
    """What it prints, and what it takes."""

    def test_a_fault_without_its_name_is_refused(self) -> None:
        """The message shows the form."""
        with pytest.raises(InvalidRequest, match="Allowed is OP=FAULT, such as submit=reset-after"):
            mock_server("fal", port=0, faults=["submit"], as_document=False)

    def test_it_says_whose_ledger_its_jobs_are_written_into(self) -> None:
        """What was bought there would count in the user's own budgets."""
        with working("mock-server", "--provider", "fal") as child:
            assert child.process.stdout is not None
            said = [next(child.process.stdout) for _ in range(5)]
            child.send(signal.SIGINT)
        assert "VIDORCH_HOME" in said[-1]
