"""Where vidorch keeps its files: `VIDORCH_HOME`, else the user's data folder of this system."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from vidorch.databases import DatabaseUrl
from vidorch.errors import InvalidRequest, shown
from vidorch.inputs import usable_path

__all__ = ["config_folder", "home_folder", "ledger_path", "run_folder"]


def home_folder(
    given: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None
) -> Path:
    """The home folder, absolute. It is not created here.

    Raises:
        InvalidRequest: no path, one that this system cannot have, or one where something lies that is no folder.
    """
    environ = os.environ if environ is None else environ
    if given is not None:
        return _folder(usable_path(given, "home").absolute(), "home")
    if named := environ.get("VIDORCH_HOME"):
        return _folder(usable_path(named, "VIDORCH_HOME").absolute(), "VIDORCH_HOME")
    import platformdirs

    return _folder(Path(platformdirs.user_data_dir("vidorch", appauthor=False)).absolute(), "home")


def config_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where the user's own files are looked for: configuration, catalog layer, credentials. `VIDORCH_HOME`, where it is set."""
    environ = os.environ if environ is None else environ
    if named := environ.get("VIDORCH_HOME"):
        return Path(named).expanduser().absolute()
    import platformdirs

    return platformdirs.user_config_path("vidorch", appauthor=False)


def _folder(path: Path, field: str) -> Path:
    """The path, unless it can never be a folder: looked at here, since a ledger that cannot be there would seem to be empty."""
    with contextlib.suppress(OSError):  # what may not be looked into may still be a folder
        there = next(place for place in (path, *path.parents) if place.exists() or place.is_symlink())
        if not there.is_dir():
            allowed = "a folder, or a path where one can be made"
            raise InvalidRequest(
                f"{field}={str(path)!r} cannot be used: {there} is not a folder. Allowed is {allowed}.",
                hint=f"Move {there} away, or set VIDORCH_HOME to a folder.", field=field, value=str(path), allowed=allowed,
            )  # fmt: skip
    return path


_MISTYPED = re.compile(r"(postgres(ql)?|sqlite)(:|//)")


def ledger_path(given: str | os.PathLike[str] | None, home: Path) -> Path | DatabaseUrl:
    """Where the ledger is: a file (a path or an `sqlite:///` URL) or a database, as given, else `ledger.db` in the home folder.

    Raises:
        Unsupported: a database that this version does not speak. InvalidRequest: no path at all, or no URL that can be read.
    """
    if given is None:
        return home / "ledger.db"
    text = os.fspath(given) if isinstance(given, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise InvalidRequest(
            f"ledger={shown(given)} cannot be used. Allowed is a path, an sqlite:/// URL or a postgresql:// URL.", field="ledger",
            value=given, allowed="a path, an sqlite:/// URL or a postgresql:// URL",
        )  # fmt: skip
    if text.startswith("sqlite:///"):
        text = text.removeprefix("sqlite:///")
    elif "://" in text:
        return DatabaseUrl.read(text)
    elif mistyped := _MISTYPED.match(
        text
    ):  # as a path it would be a ledger of this machine's alone, and nobody would see that
        raise InvalidRequest(
            f"ledger={mistyped[0]}... is neither a path nor a URL. Allowed is a path, an sqlite:/// URL or a "
            "postgresql:// URL. Nothing was sent.",
            field="ledger", allowed="a path, an sqlite:/// URL or a postgresql:// URL",
        )  # fmt: skip
    if not text:
        raise InvalidRequest(
            "ledger is empty. Allowed is a path.", field="ledger", value=given, allowed="a path"
        )
    return usable_path(text, "ledger").absolute()


def run_folder(home: Path, run_id: str, at: float) -> Path:
    """`runs/YYYY-MM/<run>` in the home folder: no prompt text, legal on every file system."""
    return _month_folder(home, int(at // 86_400)) / run_id


@lru_cache(maxsize=8)
def _month_folder(home: Path, day: int) -> Path:
    return home / "runs" / datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m")
