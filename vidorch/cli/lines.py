"""The lines of a batch as they are typed: a file of JSON lines, or of one prompt a line; `-` is stdin."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

from vidorch.cli.clips import with_clip
from vidorch.client.batch import Line
from vidorch.errors import InvalidRequest

__all__ = ["Lines", "read_lines"]

ALLOWED = 'a JSON object with the options of the line, such as {"prompt": "a boat"}, or a prompt in quotes'


class Lines(Sequence[Line]):
    """What a file has, kept as its text: each line becomes an object when it is asked for, and is forgotten then.

    Attributes:
        numbers: of the lines in the file, whose empty ones are left out.
    """

    def __init__(self, texts: Sequence[str], numbers: Sequence[int], *, as_json: bool) -> None:
        self._texts = texts
        self.numbers = numbers
        self._as_json = as_json

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, place: int) -> Line: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Line]: ...
    def __getitem__(self, place: int | slice) -> Line | Sequence[Line]:
        if isinstance(place, slice):
            return [self[one] for one in range(len(self))[place]]
        text = self._texts[place]
        return _object(text) if self._as_json else text


def read_lines(name: str) -> Lines:
    """The lines of a file.

    It is one of JSON lines when its name ends in .jsonl or .ndjson; otherwise, and not .txt, when its first line begins like an
    object.

    Raises:
        InvalidRequest: it cannot be read, or has no lines.
    """
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8-sig")
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is no text in UTF-8"
        raise _wrong(name, f"cannot be read: {why}.") from error
    # Not `splitlines`: a prompt may have one of the rarer line ends in it, which JSON does not escape.
    there = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1)]
    there = [(number, line) for number, line in there if line]
    if not there:
        raise _wrong(name, "has no lines.")
    suffix = Path(name).suffix.lower()
    as_json = suffix in (".jsonl", ".ndjson") or (suffix != ".txt" and there[0][1].startswith("{"))
    return Lines([line for _, line in there], [number for number, _ in there], as_json=as_json)


def _wrong(name: str, why: str) -> InvalidRequest:
    return InvalidRequest(
        f"--batch {name} {why} Nothing was sent.", field="batch", value=name,
        allowed="a file of JSON lines, or with one prompt a line; - for stdin",
    )  # fmt: skip


def _object(text: str) -> Line:
    try:
        found: Any = json.loads(text)
    except ValueError as error:
        raise InvalidRequest(
            f"it is no JSON ({error}). Allowed is {ALLOWED}.", field="batch", value=text, allowed=ALLOWED
        ) from error
    if isinstance(found, str):
        return found
    if not isinstance(found, dict):
        raise InvalidRequest(
            f"it is JSON of another kind. Allowed is {ALLOWED}.", field="batch", value=text, allowed=ALLOWED
        )
    return with_clip(found)
