"""Writes docs/cli.md from the command line itself: `python docs/make_cli.py`. A test holds the page to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from vidorch.cli.app import app
from vidorch.cli.exits import Exit

PAGE = Path(__file__).with_name("cli.md")

HEAD = """# The command line

The library's surface, spoken in a terminal. Results and JSON go to stdout, everything else to stderr. With `--json`, stdout is
one JSON document, whether it went well or not (only a misspelt option prints none). A paid command shows its estimate and asks;
off a terminal it needs `--yes` or `--max-cost`, else it prints the estimate and ends with code 3.

```
vidorch generate "a red ball rolling left" -o ball.mp4
vidorch estimate "a boat at dawn" --duration 8 --compare
vidorch jobs list
```

This page is made by `python docs/make_cli.py`.
"""

EXITS = {
    Exit.OK: "done",
    Exit.FAILED: "it was accepted and failed, or was refused; `doctor`: something is broken",
    Exit.USAGE: "an option, the request or the catalog is wrong; nothing was spent",
    Exit.NOT_CONFIRMED: "it costs money and nobody said yes; nothing was spent",
    Exit.OVER_BUDGET: "more than `--max-cost`, or than the default cap of 5 USD; nothing was spent",
    Exit.UNSUPPORTED: "no offer can do it, or the model is retired; nothing was spent",
    Exit.CREDENTIALS: "a key or an extra is missing",
    Exit.UNKNOWN: "a submit may or may not have been accepted: see `vidorch jobs show`",
    Exit.TIMED_OUT: "`--timeout` is over",
    Exit.LEDGER: "the ledger cannot be opened or written",
    Exit.BUG: "a mistake in vidorch; `VIDORCH_DEBUG=1` shows where",
    Exit.INTERRUPTED: "Ctrl-C",
}


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for name, command in _commands("vidorch", get_command(app)):
        parts += _section(name, command)
    parts.append("\n## Exit codes\n\n| code | means |\n|---|---|\n")
    parts += [f"| {code.value} | {EXITS[code]} |\n" for code in Exit]
    return "".join(parts)


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    for word, one in below.items():
        yield from _commands(f"{name} {word}", one)


def _section(name: str, command: Any) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and one.name != "help"]
    words = " ".join(one.metavar or one.name.upper() for one in arguments)
    yield f"\n## `{name}{' ' + words if words else ''}`\n\n{command.help}\n"
    if arguments or options:
        yield "\n| | |\n|---|---|\n"
    for one in arguments:
        yield f"| `{one.metavar or one.name.upper()}` | {one.help} |\n"
    for one in options:
        names = ", ".join(
            f"`{word}`" for word in (*sorted(one.opts, key=len, reverse=True), *one.secondary_opts)
        )
        value = f" `{one.metavar}`" if one.metavar and not one.is_flag else ""
        many = " (may be repeated)" if one.multiple and "repeat" not in one.help else ""
        yield f"| {names}{value} | {one.help}{many} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
