"""Finding the files and laying them on each other.

A project's file comes with code that others wrote. What it says by itself may choose among models and be more careful with money;
whatever could lead keys, traffic or clips elsewhere, or spend more, counts only once its user has said `vidorch config --trust`,
which holds for that very content.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from vidorch.config.reading import FIELDS, from_environment, read_tables
from vidorch.config.settings import Config, EndpointSettings
from vidorch.errors import InvalidRequest, VidorchError
from vidorch.home import config_folder
from vidorch.tables import Source, Table, parse

__all__ = ["is_trusted", "load_config", "project_file", "trust", "user_file"]

VARIABLE = "VIDORCH_CONFIG"
"""Path of the user's file, which has to exist then; `none` reads neither file."""
NAME = "vidorch.toml"
TRUSTED = "trusted.json"
FREE = frozenset({"model", "route", "timeout", "aliases"})
"""What a project's file may say by itself."""
LIMITS = frozenset({"concurrency", "per_minute"})
"""Likewise, of an endpoint."""
MOST = Decimal(5)
"""USD: the `max_cost` that a project's file may set by itself; nobody's default is more."""


def user_file(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's own file; it may be absent."""
    named = environ.get(VARIABLE)
    return Path(named).expanduser() if named else config_folder(environ) / "config.toml"


def project_file(start: str | os.PathLike[str] | None = None) -> Path | None:
    """The nearest `vidorch.toml`, of the folder or above it, no higher than the user's home and a repository's root.

    One that belongs to somebody else, or that others may write, is nobody's project.
    """
    try:
        folder = Path.cwd() if start is None else Path(start).absolute()
        home = Path.home()
    except (OSError, RuntimeError):  # the working folder is gone, or there is no home
        return None
    for place in (folder, *folder.parents):
        if place == home and place != folder:
            return None  # what lies there is nobody's project
        if (place / NAME).is_file():
            return place / NAME if _is_ours(place / NAME) else None
        if place == home or (place / ".git").exists():
            return None
    return None


def load_config(
    *, environ: Mapping[str, str] = os.environ, start: str | os.PathLike[str] | None = None, own: bool = True
) -> Config:
    """What holds here.

    Args:
        environ: the environment. start: the folder to look for a project's file from; default the working folder.
        own: False leaves the user's own file out, and takes a project's file as it is: for mocks, which lead nowhere.

    Raises:
        InvalidRequest: a file is unreadable or wrong, or says what it is not trusted with, or a variable holds what cannot be
            used: file, line, field.
    """
    config = Config()
    if environ.get(VARIABLE, "").lower() != "none":
        mine = user_file(environ)
        if own and (environ.get(VARIABLE) or mine.is_file()):
            config = _laid(config, _read(mine), f"user file {mine}", mine.parent)
        project = project_file(start)
        if project is not None and not (own and project.absolute() == mine.absolute()):
            source, data = _read(project)
            if own and (beyond := _beyond(data)) and not is_trusted(project, environ):
                raise source.error(
                    "comes with the project, and this could lead keys, traffic or clips elsewhere, or spend more. Look at the "
                    f"file; then `vidorch config --trust` says that it may, as it is now. Or put this into your own, {mine}.",
                    beyond,
                )  # fmt: skip
            config = _laid(config, (source, data), f"project file {project}", project.parent)
    values, origins = from_environment(environ)
    return replace(config, **values, origins={**config.origins, **origins})


def trust(path: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Let a project's file say anything, as long as its content is what it is now.

    Raises:
        InvalidRequest: it cannot be read. OSError: the user's folder cannot be written.
    """
    _read(path)
    folder = config_folder(environ)
    folder.mkdir(parents=True, exist_ok=True)
    kept = _trusted(environ) | {str(path.absolute()): _digest(path)}
    temporary = folder / f".{TRUSTED}-{os.getpid()}"
    temporary.write_text(json.dumps(kept, indent=1), "utf-8")
    temporary.replace(folder / TRUSTED)


def is_trusted(path: Path, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether its user has said so of this very content."""
    try:
        return _trusted(environ).get(str(path.absolute())) == _digest(path)
    except OSError:
        return False


def _trusted(environ: Mapping[str, str]) -> dict[str, str]:
    try:
        kept = json.loads((config_folder(environ) / TRUSTED).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_ours(path: Path) -> bool:
    if sys.platform == "win32":
        return True
    try:
        seen = path.stat()
    except OSError:
        return False
    return seen.st_uid in (0, os.getuid()) and not seen.st_mode & 0o002


def _beyond(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The first setting that a project's file is not free to make, as the path to it; empty where there is none."""
    for name, value in data.items():
        if (
            name in FREE
            or (name == "max_cost" and _is_little(value))
            or (name == "output" and _is_inside(value))
        ):
            continue
        if name != "endpoints" or not isinstance(value, Mapping):
            return (name, *([next(iter(value))] if isinstance(value, Mapping) and value else []))
        for endpoint, one in value.items():
            for field in one if isinstance(one, Mapping) else ():
                if field not in LIMITS:
                    return (name, endpoint, field)
    return ()


def _is_little(value: Any) -> bool:
    try:
        return bool(Decimal(str(value)) <= MOST)
    except ArithmeticError:
        return True  # wrong, and told so when it is read


def _is_inside(value: Any) -> bool:
    """Whether a folder is one of the project's own."""
    if not isinstance(value, str) or "://" in value or value.startswith("~"):
        return False
    return not Path(value).is_absolute() and ".." not in Path(value).parts


def _fault(message: str, file: str, line: int | None, field: str) -> VidorchError:
    return InvalidRequest(message, hint=f"Mend {file}, or set {VARIABLE}=none to do without.", field=field)


def _read(path: Path) -> tuple[Source, Mapping[str, Any]]:
    try:
        source = Source(str(path), path.read_text("utf-8"), rooted=True, fault=_fault)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InvalidRequest(
            f"{path}: the configuration cannot be read: {why}.",
            hint=f"Set {VARIABLE} to a file that can be read, or to `none`.", field=VARIABLE, value=str(path),
        ) from None  # fmt: skip
    return source, parse(source)


def _laid(base: Config, read: tuple[Source, Mapping[str, Any]], origin: str, folder: Path) -> Config:
    """A file laid on what is below it: tables by entry, endpoints by field, everything else whole."""
    source, data = read
    values, places = read_tables(Table(source, data), folder)
    origins = {name: f"{origin}, line {line}" if line else origin for name, line in places.items()}
    laid: dict[str, Any] = {name: values[name] for name in FIELDS & values.keys()}
    laid["aliases"] = {**base.aliases, **values["aliases"]}
    laid["scopes"] = {**base.scopes}
    for scope, keys in values["scopes"].items():
        laid["scopes"][scope] = {**laid["scopes"].get(scope, {}), **keys}
    laid["endpoints"] = {**base.endpoints}
    for name, (one, given) in values["endpoints"].items():
        laid["endpoints"][name] = _over(laid["endpoints"].get(name), one, given)
    return replace(base, **laid, origins={**base.origins, **origins})


def _over(below: EndpointSettings | None, one: EndpointSettings, given: Collection[str]) -> EndpointSettings:
    """An endpoint laid on what a weaker file says of it, field by field."""
    return one if below is None else replace(below, **{field: getattr(one, field) for field in given})
