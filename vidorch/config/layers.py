"""Finding the files and laying them on each other.

A project's file comes with code that others wrote, so it may not lead this user's keys or traffic elsewhere: what could do that
(`proxy`, `ca_bundle`, `private_hosts`, `input_urls`, and a `key` beside a base URL that is one of a vendor's own variables)
stands in the user's own file, or in the environment. An endpoint that it gives a base URL gets no vendor's key.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vidorch.config.reading import FIELDS, OWN_FILE_ONLY, from_environment, read_tables
from vidorch.config.settings import Config, EndpointSettings
from vidorch.errors import InvalidRequest, VidorchError
from vidorch.home import config_folder
from vidorch.tables import Source, Table, parse

__all__ = ["load_config", "project_file", "user_file"]

VARIABLE = "VIDORCH_CONFIG"
"""Path of the user's file, which has to exist then; `none` reads neither file."""
NAME = "vidorch.toml"


def user_file(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's own file; it may be absent."""
    named = environ.get(VARIABLE)
    return Path(named).expanduser() if named else config_folder(environ) / "config.toml"


def project_file(start: str | os.PathLike[str] | None = None) -> Path | None:
    """The nearest `vidorch.toml`, of the folder or above it, no higher than the user's home and a repository's root."""
    try:
        folder = Path.cwd() if start is None else Path(start).absolute()
        home = Path.home()
    except (OSError, RuntimeError):  # the working folder is gone, or there is no home
        return None
    for place in (folder, *folder.parents):
        if place == home and place != folder:
            return None  # what lies there is nobody's project
        if (place / NAME).is_file():
            return place / NAME
        if place == home or (place / ".git").exists():
            return None
    return None


def load_config(
    *,
    environ: Mapping[str, str] = os.environ,
    start: str | os.PathLike[str] | None = None,
    own: bool = True,
    vendor_variables: Callable[[], Collection[str]] = tuple,
) -> Config:
    """What holds here.

    Args:
        environ: the environment. start: the folder to look for a project's file from; default the working folder.
        own: False leaves the user's own file out.
        vendor_variables: gives the names that hold a vendor's key, which a project's file may not send to another host.

    Raises:
        InvalidRequest: a file is unreadable or wrong, or a variable holds what cannot be used: file, line, field.
    """
    config = Config()
    if environ.get(VARIABLE, "").lower() != "none":
        mine = user_file(environ)
        if own and (environ.get(VARIABLE) or mine.is_file()):
            config = _laid(config, _read(mine), f"user file {mine}", mine.parent)
        project = project_file(start)
        if project is not None and not (own and _same(project, mine)):
            source, data = _read(project)
            _check_project(source, data, vendor_variables)
            config = _laid(config, (source, data), f"project file {project}", project.parent, own=False)
    values, origins = from_environment(environ)
    return replace(config, **values, origins={**config.origins, **origins})


def _same(one: Path, other: Path) -> bool:
    return one.absolute() == other.absolute()


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


def _check_project(
    source: Source, data: Mapping[str, Any], vendor_variables: Callable[[], Collection[str]]
) -> None:
    for name in OWN_FILE_ONLY & data.keys():
        raise source.error(
            "cannot stand in a project's file, which others write: put it into your own "
            f"({user_file()}), or pass it to Client.", (name,),
        )  # fmt: skip
    endpoints = data.get("endpoints")
    for name, one in endpoints.items() if isinstance(endpoints, Mapping) else ():
        key = one.get("key", ()) if isinstance(one, Mapping) and "base_url" in one else ()
        for variable in (key,) if isinstance(key, str) else key if isinstance(key, list) else ():
            if variable in vendor_variables():
                raise source.error(
                    f"would send {variable} to {one['base_url']}. A project's file cannot do that: put this endpoint into your "
                    f"own ({user_file()}), or give it a variable of its own.", ("endpoints", name, "key"),
                )  # fmt: skip


def _laid(
    base: Config, read: tuple[Source, Mapping[str, Any]], origin: str, folder: Path, *, own: bool = True
) -> Config:
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
        below = laid["endpoints"].get(name)
        if not own and "base_url" in given and "key" not in given:
            laid["endpoints"][name] = replace(_over(below, one, given), keyless=True, key=())
        else:
            laid["endpoints"][name] = _over(below, one, given)
    return replace(base, **laid, origins={**base.origins, **origins})


def _over(below: EndpointSettings | None, one: EndpointSettings, given: Collection[str]) -> EndpointSettings:
    """An endpoint laid on what a weaker file says of it, field by field."""
    return one if below is None else replace(below, **{field: getattr(one, field) for field in given})
