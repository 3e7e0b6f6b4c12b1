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
vidorch jobs resume
vidorch budget set spring 20.00 --per month
```

An id of a run or a job may be given by its last letters. Nothing is coloured, and no line is broken, where it is not a terminal.

This page is made by `python docs/make_cli.py`.
"""

EXITS = {
    Exit.OK: "done",
    Exit.FAILED: "it failed or was refused, and stderr says whether that was charged; `doctor`: something is broken; "
    "`models --check`: something needs a look",
    Exit.USAGE: "an option, the request or the catalog is wrong; nothing was spent",
    Exit.NOT_CONFIRMED: "it costs money or cannot be taken back, and nobody said yes; nothing was done",
    Exit.OVER_BUDGET: "more than `--max-cost`, a budget, or the default cap of 5 USD allows; nothing was sent",
    Exit.UNSUPPORTED: "no offer can do it, or the model is retired; nothing was spent",
    Exit.CREDENTIALS: "a key or an extra is missing",
    Exit.UNKNOWN: "a submit may or may not have been accepted; it is never sent again: see `vidorch jobs show`",
    Exit.TIMED_OUT: "waiting ended, and what is at a vendor goes on: `vidorch jobs resume` gets it back",
    Exit.LEDGER: "the ledger cannot be opened or written; nothing is paid without it",
    Exit.WAITING: "something was not sent, and cost nothing: `vidorch jobs proceed` sends it",
    Exit.BUG: "a mistake in vidorch; `VIDORCH_DEBUG=1` shows where",
    Exit.HUNG_UP: "the terminal was closed; what is at a vendor goes on",
    Exit.INTERRUPTED: "Ctrl-C; what is at a vendor goes on, unless it was pressed twice",
    Exit.TERMINATED: "SIGTERM; what is at a vendor goes on",
}

NOTES = {
    "vidorch models list": """
`list` may be left out: `vidorch models --audio --under 0.10`, `vidorch models gen4.5`. In `--json`, `compared` is the cheapest
way to buy a clip that passes, and what a second of it comes to (`rate`, in USD).
""",
    "vidorch generate": """
**Ctrl-C.** The first one ends the waiting alone: a job that is at a vendor goes on there, nothing is lost, and stderr
says how to get it back (`vidorch jobs resume RUN`). While a submit is on its way it waits until its id is on disk; what
was not sent is not sent any more. A second one within 3 seconds cancels at the vendor; what that costs is said before.
The built-in model works inside the command, and ends with the first one. `--timeout`, SIGTERM and a closed terminal let
go in the same way and cancel nothing that is hosted.

**Keys.** `--key order-1234` names the run. The same call with it, from any process and however often, joins that run
and pays for nothing twice; so a script that may be run again gives each of its clips a key. What was paid by the calls
before it is said to be `paid earlier`; in `--json`, `joined` is true and `paid_earlier` is that part of `cost`. With
another `-o` the clip is put there too; a file that is there already, or a clip that somebody took away, is an error (2).

**Batches.** `--batch prompts.jsonl` makes every line of a file as one call: an object with the library's options for that
line (`{"prompt": "a boat", "duration": 8, "key": "boat-1"}`), a prompt in quotes, or in a plain text file just a prompt.
The other options hold for every line that says nothing else; `-o` is a folder, where names begin with the number of the
line. All lines are checked, and their cost together is estimated and asked for, before the first is sent: one that cannot
be served is an error of the whole, with its number. The place of each clip is printed as it comes; `--jsonl` prints the
whole result instead, `--json` one document in the end. A line that fails does not stop the others, and the code is the
worst of all.

With `--key spring` the same command again joins what was made and sends only what provably was not; without a key it pays
for all lines anew. Ctrl-C begins no other line, lets go of those at vendors, and says how to go on.
""",
    "vidorch estimate": """
With `--batch` it is what all lines of a file cost together, by offer, and which of them cannot be served and why; if any
cannot, the code is 5.
""",
    "vidorch models update": """
What is written is `newer-prices.toml` in your configuration folder: single rows with their source and day, below your own
`catalog.toml` and above what ships. Only what the source can say is changed: one rate of a second, by resolution at most.
Rows that depend on sound, task, references or length, have a part for each clip, or were read after it, stay as they are and are
named. On a terminal it asks; elsewhere it needs `--yes`, else it shows the changes and ends with 3.
""",
    "vidorch jobs resume": """
It polls, fetches, checks and settles; it never submits. Taken up is what its process left: killed, interrupted, timed
out or detached. Several of them side by side are harmless. `--watch` makes it a worker: it stays, looks every second,
leaves alone for a minute what it could not bring home, and ends with code 0 on Ctrl-C or SIGTERM, letting go of what it
carries.

Otherwise its code is the worst of what it found: 7 where a submit stays unknown, 8 where a job is late, 6 where the key
of a job is not here, 1 where one failed, 10 where only something is left that was never sent. Where nothing is left to
do it is 0, also of a run that was cancelled.
""",
    "vidorch jobs cancel": """
A run with all that is open of it, or one job; the others of its run go on. On a terminal it asks, elsewhere it needs
`--yes`. What a vendor takes for a cancelled job is in `vidorch models NAME`. A run that waits is called off at no cost.
""",
    "vidorch jobs adopt": """
A wrong id is put right by the same command with the right one, or by `settle`, as long as nothing came of the wrong one.
What a vendor itself called a job stays.
""",
    "vidorch jobs settle": """
For what nobody else can know. An `unknown` job is one whose submit got no answer: look for it in the vendor's console
by its time and prompt. If it is there, `adopt` it with the id that it has there; if not, `settle` it with
`--not-charged`. A job that is `lost`, or whose cost was assumed, is settled with what the vendor's bill says. Until
then what it may cost stays reserved.

An unknown job that is closed as not charged counts as never sent: the next call with its key sends it again, and so does
`jobs proceed`. One that was charged is not bought again. `jobs show` and the call with its key say from then on that it was
closed by hand, when, and with what.
""",
    "vidorch budget set": """
It holds for every paid call on this ledger, from any process, and counts what is spent and what is held by open and
unknown jobs, from those on that are bought after it was set. Days and months are those of UTC. With a budget and no
`--max-cost` the default cap of 5 USD falls away. An amount of 0 stops all spending.
""",
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
    if name in NOTES:
        yield NOTES[name]


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
