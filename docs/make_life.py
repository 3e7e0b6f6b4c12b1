"""Writes docs/life.md from the table of moves: `python docs/make_life.py`. A test holds the page to the table."""

from __future__ import annotations

from pathlib import Path

from vidorch.ledger.moves import ENDS, MOVES, State

PAGE = Path(__file__).with_name("life.md")

BY_HAND = """\
## By hand

`vidorch jobs adopt ID REMOTE_ID` says which job at the vendor an `unknown` one is. The ledger checks that no other job has
that id. A wrong id is put right by adopting again, which goes by `unknown` and leaves both ids in the history, as long as the
job is `accepted` or `running` and nothing came of it. An id that the vendor gave itself cannot be taken back.

`vidorch jobs settle ID --charged USD` closes a job that is `unknown` or `lost` as `settled`, with that cost; it is not bought
again. `--not-charged` closes an `unknown` one as `rejected`: nothing was accepted, so it counts as never sent, and **the next
call with its key, or `jobs proceed`, sends it again and pays for it**. Say so only when the vendor has nothing of it. Either
is what the job, its run and the call with its key tell from then on: "Closed by hand on 2026-11-26: charged $0.40."
"""


def page() -> str:
    """The page, as Markdown."""
    arrows = "\n".join(
        f"    {move.source.value if move.source else '[*]'} --> {move.target.value}" for move in MOVES
    )
    ends = "\n".join(f"    {state.value} --> [*]" for state in State if state in ENDS)
    rows = "\n".join(
        f"| {move.source.value if move.source else '(new)'} | {move.target.value} | {move.why} | {_remarks(move)} |"
        for move in MOVES
    )
    return f"""# The life of a job

Written by `python docs/make_life.py` from the table in `vidorch/ledger/moves.py`; the ledger refuses every step that is
not in it. Each step is a compare-and-swap on state and version, with a line of history. Steps marked *waits* are on disk
before the engine goes on.

```mermaid
stateDiagram-v2
{arrows}
{ends}
```

| from | to | why | |
|---|---|---|---|
{rows}

{BY_HAND}"""


def _remarks(move: object) -> str:
    words = []
    if getattr(move, "waits", False):
        words.append("waits")
    if getattr(move, "in_process_only", False):
        words.append("only for work inside the calling process")
    if getattr(move, "by_hand", False):
        words.append("by hand")
    return ", ".join(words)


if __name__ == "__main__":
    PAGE.write_text(page())
