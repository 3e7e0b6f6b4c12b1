"""No paid submit leaves from a test run that did not ask for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engine.scripted import Scripted, VirtualClock, catalog, offer
from vidorch import Client, live
from vidorch.errors import LiveCallInTest
from vidorch.testing import mock

PRICED = {"source": "a test", "row": [{"per_second": 1}]}


class Real(Scripted):
    """What reaches a vendor, as far as anybody can tell."""

    simulated = False


class TestPaidSubmitsInTests:
    def test_are_stopped_before_anything_is_written(self, tmp_path: Path) -> None:
        """The error names the offer and both ways out; nothing was sent or reserved."""
        provider = Real()
        with Client(
            home=tmp_path / "h", catalog=catalog(offer(price=PRICED)), providers={"test": provider}
        ) as client:
            with pytest.raises(LiveCallInTest, match=r"test/basic.*vidorch.testing.mock.*--vidorch-live"):
                client.generate("x", model="test/basic")
            assert [] == client.jobs()
        assert "submit" not in provider.calls

    def test_by_a_client_from_outside_a_mock(self, tmp_path: Path) -> None:
        """A client that was made before stands outside, and the error says so."""
        settings: dict[str, Any] = {"catalog": catalog(offer(price=PRICED)), "providers": {"test": Real()}}
        client = Client(home=tmp_path / "h", **settings)
        with mock(), pytest.raises(LiveCallInTest, match="made before the mock was entered"):
            client.generate("x", model="test/basic")
        client.close()

    def test_are_let_through_where_they_are_meant(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As `--vidorch-live` does it."""
        monkeypatch.setenv("VIDORCH_LIVE", "1")
        live.must_not_be_a_test("acme/model")

    @pytest.mark.parametrize(
        ("provider", "price"), [(Scripted(), PRICED), (Real(), {"rule": "free", "source": "a test"})]
    )
    def test_mocks_and_free_work_are_no_business_of_this(
        self, tmp_path: Path, provider: Scripted, price: dict[str, object]
    ) -> None:
        """Neither costs anything."""
        settings: dict[str, Any] = {"catalog": catalog(offer(price=price)), "providers": {"test": provider}}
        with Client(home=tmp_path / "h", clock=VirtualClock(), **settings) as client:
            assert client.generate("x", model="test/basic").clip.path is not None

    def test_unittest_is_a_test_run_too(self, tmp_path: Path) -> None:
        """And a plain program is none."""
        (tmp_path / "test_it.py").write_text(
            "import unittest\n"
            "from vidorch import live, errors\n"
            "class T(unittest.TestCase):\n"
            "    def test(self):\n"
            "        with self.assertRaises(errors.LiveCallInTest):\n"
            "            live.must_not_be_a_test('acme/model')\n"
        )
        environ = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        for arguments in (
            ["-m", "unittest", "test_it"],
            ["-c", "from vidorch import live; live.must_not_be_a_test('acme/model')"],
        ):
            done = subprocess.run(
                [sys.executable, *arguments],
                cwd=tmp_path,
                env=environ,
                capture_output=True,
                text=True,
                check=False,
            )
            assert 0 == done.returncode, done.stderr
