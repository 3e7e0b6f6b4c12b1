"""The user's file of keys: what `vidorch setup` keeps, for no eyes but theirs. The environment is stronger."""

from __future__ import annotations

import os
import re
import stat
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

from vidorch.errors import InvalidRequest, MissingCredentials
from vidorch.home import config_folder

__all__ = ["keep_key", "keys_file", "stored_keys"]

NAME = "credentials.toml"
_HEAD = "# Kept by `vidorch setup`. Nobody else may read this file. A variable of the environment goes before its line.\n"
_cached: tuple[tuple[str, int, int, int], Mapping[str, str]] | None = None


def keys_file(environ: Mapping[str, str] | None = None) -> Path:
    """Where it is; it may be absent."""
    return config_folder(environ) / NAME


def stored_keys() -> Mapping[str, str]:
    """What the file holds, by variable; empty where there is none. Read again when it has changed.

    Raises:
        MissingCredentials: others may read it, or it cannot be read.
    """
    global _cached
    path = keys_file()
    try:
        seen = path.stat()
    except OSError:
        return {}
    if sys.platform != "win32" and seen.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise MissingCredentials(
            f"{path} holds keys, and others on this machine may read it. It was not used. Nothing was sent.",
            hint=f"chmod 600 {path}",
        )
    mark = (str(path), seen.st_mtime_ns, seen.st_size, seen.st_ino)
    if _cached is None or _cached[0] != mark:
        _cached = (mark, _read(path))
    return _cached[1]


def keep_key(variable: str, secret: str) -> Path:
    """Write one key down, beside those that are there; the file is only for its owner from its first byte on.

    Raises:
        InvalidRequest: a variable or a key that cannot be one. MissingCredentials: the file that is there cannot be used.
        OSError: the file cannot be written.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable):
        raise InvalidRequest(
            f"{variable!r} is no name of a variable.",
            field="variable",
            value=variable,
            allowed="letters, digits, _",
        )
    if not secret or not secret.isprintable() or any(one.isspace() for one in secret):
        raise InvalidRequest(
            "That cannot be a key: it is empty, or has spaces in it. It was not kept.", field=variable
        )
    path = keys_file()
    keys = {**stored_keys(), variable: secret}
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(
        prefix=".credentials-", dir=path.parent
    )  # for its owner alone, as mkstemp makes it
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(
                _HEAD + "".join(f"{name} = {_quoted(value)}\n" for name, value in sorted(keys.items()))
            )
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _read(path: Path) -> Mapping[str, str]:
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not valid TOML"
        raise MissingCredentials(
            f"The keys in {path} cannot be read: {why}. Nothing was sent.",
            hint="Mend or remove it, then: vidorch setup",
        ) from None
    if not all(isinstance(value, str) for value in data.values()):
        raise MissingCredentials(
            f'{path} has to hold lines like FAL_KEY = "...", and nothing else. Nothing was sent.',
            hint="vidorch setup",
        )
    return data


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
