"""Where vidorch keeps its files: `VIDORCH_HOME`, else the user's data folder of this system."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from vidorch.errors import InvalidRequest, Unsupported, shown
from vidorch.inputs import usable_path

__all__ = ["home_folder", "ledger_path", "run_folder"]


def home_folder(
    given: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None
) -> Path:
    """The home folder, absolute. It is not created here.

    Raises:
        InvalidRequest: no path, or one that this system cannot have.
    """
    environ = os.environ if environ is None else environ
    if given is not None:
        return usable_path(given, "home").absolute()
    if named := environ.get("VIDORCH_HOME"):
        return usable_path(named, "VIDORCH_HOME").absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("vidorch", appauthor=False)).absolute()


def ledger_path(given: str | os.PathLike[str] | None, home: Path) -> Path:
    """The ledger's file: as given (a path or an `sqlite:///` URL), else `ledger.db` in the home folder.

    Raises:
        Unsupported: a database that this version does not speak. InvalidRequest: no path at all.
    """
    if given is None:
        return home / "ledger.db"
    text = os.fspath(given) if isinstance(given, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise InvalidRequest(
            f"ledger={shown(given)} cannot be used. Allowed is a path or an sqlite:/// URL.", field="ledger", value=given,
            allowed="a path or an sqlite:/// URL",
        )  # fmt: skip
    if text.startswith("sqlite:///"):
        text = text.removeprefix("sqlite:///")
    elif "://" in text:
        scheme = text.partition("://")[0]
        raise Unsupported(
            f"A ledger at {scheme}:// is not open in this version; SQLite is.", hint="Pass a path."
        )
    if not text:
        raise InvalidRequest(
            "ledger is empty. Allowed is a path.", field="ledger", value=given, allowed="a path"
        )
    return usable_path(text, "ledger").absolute()


def run_folder(home: Path, run_id: str, at: float) -> Path:
    """`runs/YYYY-MM/<run>` in the home folder: no prompt text, legal on every file system."""
    return home / "runs" / datetime.fromtimestamp(at, UTC).strftime("%Y-%m") / run_id
