"""What is kept of an error in the row of its job, and the error made again from it."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.engine.scripted import Scripted, catalog, paid
from vidorch.client.aio import AsyncClient
from vidorch.contract import Accepted, Rejected
from vidorch.errors import (
    BadMedia,
    InvalidRequest,
    MissingCredentials,
    ProviderFailed,
    Unsupported,
    VidorchError,
)

HINT = "Make one at vendor.example/keys."
ERRORS = [
    MissingCredentials("The key is not valid.", variable="TEST_KEY", extra="test", hint=HINT, charged=False),
    ProviderFailed("It broke.", hint=HINT, retryable=True, request_id="req-9", code="E7", charged=False),
    Unsupported("Not here.", reasons={"test/basic": "too long"}, offers=("test/other ($1.00)",), hint=HINT),
    InvalidRequest("seed is too large.", field="seed", allowed="up to 9", hint=HINT),
    BadMedia("It cannot be read.", path="a.png"),
]


def raised_by(home: Path, error: VidorchError, **options: Any) -> VidorchError:
    """What a call raises whose submit was rejected with `error`."""

    def reject(number: int) -> Accepted | None:
        raise Rejected(error)

    async def go() -> None:
        vendor = Scripted()
        vendor.on_submit = reject
        async with AsyncClient(home=home, catalog=catalog(paid()), providers={"test": vendor}) as client:
            await client.generate("x", model="basic", **options)

    with pytest.raises(VidorchError) as found:
        asyncio.run(go())
    return found.value


def read_again(home: Path) -> VidorchError:
    """What a later process is told of the only run of a ledger."""

    with sqlite3.connect(home / "ledger.db") as db:
        (run_id,) = db.execute("SELECT id FROM runs").fetchone()

    async def go() -> None:
        async with AsyncClient(home=home, catalog=catalog(paid()), providers={"test": Scripted()}) as client:
            await (await client.run(run_id)).wait()

    with pytest.raises(VidorchError) as found:
        asyncio.run(go())
    return found.value


PARTS = (
    "message", "hint", "retryable", "request_id", "code", "variable", "extra", "reasons", "offers", "field", "allowed", "path",
)  # fmt: skip


class TestErrorOf:
    @pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
    def test_is_what_the_vendor_was_said_to_mean(self, tmp_path: Path, error: VidorchError) -> None:
        """Its hint, and whatever else the class has, in the process that met it and in every later one."""
        wanted = {name: getattr(error, name) for name in PARTS if hasattr(error, name)}
        for found in (raised_by(tmp_path, error), read_again(tmp_path)):
            assert type(error) is type(found)
            assert wanted == {name: getattr(found, name) for name in wanted}

    def test_says_its_hint_once(self, tmp_path: Path) -> None:
        """In words it is as it was."""
        assert str(ERRORS[0]) == str(raised_by(tmp_path, ERRORS[0]))

    def test_without_what_the_caller_gave(self, tmp_path: Path) -> None:
        """The value of a field may be media or a secret: it goes nowhere near the ledger."""
        raised_by(tmp_path, InvalidRequest("Too long.", field="prompt", value="hush-hush", allowed="less"))
        with sqlite3.connect(tmp_path / "ledger.db") as db:
            (details,) = db.execute("SELECT details FROM jobs").fetchone()
        assert "prompt" in details
        assert "hush-hush" not in details

    def test_of_a_row_without_it(self, tmp_path: Path) -> None:
        """What was written before any of it was kept is read as it was: the words, and no more."""
        raised_by(tmp_path, ERRORS[0])
        with sqlite3.connect(tmp_path / "ledger.db") as db:
            db.execute("UPDATE jobs SET details = NULL")
        found = read_again(tmp_path)
        assert (str(ERRORS[0]), "") == (str(found), found.hint)
