"""Choosing among several clips: by the name of a selector, or by a function of one's own. See docs/selection.md.

    select_from("consistency", clips)           Selection(chosen=2, reports=..., notes=...)
    select_from(lambda clips: clips[-1], clips)
    names()                                     ("first", "consistency")

Nothing here loses a clip: it reads files and says which one to take.
"""

from __future__ import annotations

from vidorch.selection.choosing import names, select_from
from vidorch.selection.report import Report, Selection

__all__ = ["Report", "Selection", "names", "select_from"]
