"""What the commands print: results and JSON on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import textwrap
from typing import TYPE_CHECKING, Any, TextIO

from vidorch.errors import InvalidRequest, KeyConflict, Retired, Unsupported, VidorchError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "as_json",
    "aside",
    "console",
    "error_document",
    "is_terminal",
    "mute",
    "print_anything",
    "show_error",
    "table_of",
]


def console(*, stderr: bool = False) -> Console:
    """A rich console; no colours where they are not wanted (NO_COLOR, pipes)."""
    from rich.console import Console

    # In a pipe there is no edge to wrap at: whoever reads the text wants one line per row.
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else 200
    return Console(stderr=stderr, highlight=False, soft_wrap=True, width=width)


def aside(text: str) -> None:
    """A line for people, on stderr. Where nobody reads it any more (a closed terminal), what is being done still goes on."""
    try:
        print(_fitted(text), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        mute(sys.stderr)


def _fitted(text: str) -> str:
    """Broken between words where a terminal would break within one; whole for everything that is no terminal."""
    if not sys.stderr.isatty():
        return text
    try:
        # A pseudo-terminal whose maker gave it no size (expect, some CI) has 0 columns; 80 is what rich takes there, too.
        width = max(os.get_terminal_size(sys.stderr.fileno()).columns or 80, 20)
    except OSError:
        return text
    lines = []
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip(" ")))
        lines += textwrap.wrap(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        ) or [""]  # fmt: skip
    return "\n".join(lines)


def mute(stream: TextIO) -> None:
    """Let what is still written to a stream that nobody reads go nowhere, instead of failing again and again."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def as_json(document: Any) -> None:
    """The one JSON document of a `--json` command, escaped where the terminal does not speak UTF-8."""
    encoding = (sys.stdout.encoding or "").lower().replace("-", "").replace("_", "")
    print(json.dumps(document, indent=2, ensure_ascii=encoding != "utf8", default=str))


def print_anything() -> None:
    """Let stdout and stderr escape what they cannot spell: a note with an emoji must not fail a clip that was made."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_terminal() -> bool:
    """Whether a person is there to be asked: both ends are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def error_document(error: VidorchError) -> dict[str, Any]:
    """An error as JSON."""
    document: dict[str, Any] = {"type": type(error).__name__, "message": error.message, "hint": error.hint}
    document |= {
        name: getattr(error, name)
        for name in ("charged", "retryable", "provider", "run_id", "job_id", "remote_id", "code")
    }
    for name in (
        "field",
        "allowed",
        "stage",
        "reasons",
        "offers",
        "needed",
        "available",
        "variable",
        "possible_ids",
    ):
        if (value := getattr(error, name, None)) not in (None, "", (), {}):
            document[name] = value
    if notes := getattr(error, "__notes__", ()):
        document["notes"] = list(notes)
    return {"error": document}


def show_error(error: VidorchError) -> None:
    """An error for people: what happened, why, whether it cost anything, what to do."""
    aside(f"Error: {error.message}")
    if isinstance(error, Unsupported):
        for offer, reason in error.reasons.items():
            if reason not in error.message:
                aside(f"  {offer}: {reason}")
        if error.offers and not any(offer in error.hint for offer in error.offers):
            aside(
                "Offers that could do it:"
                if not isinstance(error, Retired)
                else "Live offers for this request:"
            )
            for offer in error.offers:
                aside(f"  {offer}")
    for cause in getattr(error, "exceptions", ()):
        aside(f"  - {cause}")
    if error.hint:
        aside(error.hint)
    for note in getattr(error, "__notes__", ()):
        aside(f"Note: {note}")
    if error.charged is None:
        aside("Whether it was charged is not known.")
    elif error.charged:
        aside("It was charged.")
    elif isinstance(error, (InvalidRequest, KeyConflict)):  # says nothing of the run or job that it names
        if error.run_id or error.job_id:
            aside("Nothing was paid by this.")
    elif error.run_id or error.job_id:  # before there is a run nothing can have been paid
        aside("It was not charged.")
    if error.run_id:
        aside(f"Run: {error.run_id}")


def table_of(title: str, columns: list[str], rows: list[list[str]], *, whole_words: bool = False) -> Any:
    """A plain rich table; columns that start with '>' are right-aligned, and with '!' or '>' never broken.

    Args:
        whole_words: the other columns are broken between words alone, and all stand closer together. For words that are short:
            a table of long ones is wider than the terminal.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        title=title or None, box=SIMPLE_HEAD, title_justify="left", pad_edge=False, show_edge=not whole_words,
        padding=(0, 1, 0, 0 if whole_words else 1),
    )  # fmt: skip
    for number, column in enumerate(columns):
        name = column.lstrip(">!")
        longest = max(
            len(word) for text in (name, *(row[number] for row in rows)) for word in text.split() or [""]
        )
        table.add_column(
            name,
            justify="right" if column.startswith(">") else "left",
            overflow="fold",
            no_wrap=column.startswith((">", "!")),  # what people copy, and amounts, stay on one line
            min_width=longest if whole_words else None,
        )
    for row in rows:
        table.add_row(*row)
    return table
