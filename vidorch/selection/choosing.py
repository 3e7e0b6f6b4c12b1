"""One entry for every way to choose: by name, or by a function of the caller's."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from vidorch.errors import InvalidRequest, shown
from vidorch.inputs import Media
from vidorch.result import Clip
from vidorch.selection.report import Report, Selection

__all__ = ["Select", "names", "select_from"]

Select: TypeAlias = "str | Callable[[tuple[Clip, ...]], Clip | int]"
TIE = 0.03  # scores this near are one and the same: encoding a clip again moves its score by as much


def names() -> tuple[str, ...]:
    """The selectors that have a name."""
    return ("first", "consistency")


def select_from(select: Select, clips: Sequence[Clip], *, image: Media | None = None) -> Selection:
    """Choose one of the clips. Decodes them where the selector looks at pictures: call it from a worker thread.

    Args:
        select: a selector's name, or a function that takes the tuple of clips and returns one of them, or its index.
        clips: at least one, in order of candidates.
        image: the first frame that was asked for, where one was.

    Raises:
        InvalidRequest: no clips, no such selector, or a function that raised or returned something else. The clips stay
            where they are, and the message says where.
    """
    clips = tuple(clips)
    if not clips:
        raise InvalidRequest(
            "There is no clip to choose from.", field="select", value=shown(select), allowed="clips"
        )
    if callable(select):
        return Selection(_called(select, clips), (None,) * len(clips))
    if select == "first":
        return Selection(0, (None,) * len(clips))
    if select == "consistency":
        from vidorch.selection.consistency import report_all

        return _best(report_all(clips, image))
    allowed = f"{', '.join(map(repr, names()))}, or a function that takes the clips"
    raise InvalidRequest(
        f"select={shown(select)} is no selection. Allowed is {allowed}.",
        field="select",
        value=select,
        allowed=allowed,
    )


def _best(reports: Sequence[Report]) -> Selection:
    """The earliest of those that are as good as the best."""
    scores = [-1.0 if report.score is None else report.score for report in reports]
    best = max(scores)
    if best < 0:
        return Selection(
            0, tuple(reports), ("None of the clips could be looked at; the first one was taken.",)
        )
    equals = [index for index, score in enumerate(scores) if score >= best - TIE]
    notes = []
    if len(equals) > 1:
        alike = ", ".join(str(index + 1) for index in equals)
        notes.append(f"The clips {alike} are as consistent as each other; the first of them was taken.")
    unread = [str(index + 1) for index, report in enumerate(reports) if report.score is None]
    if unread:
        notes.append(f"Not looked at, since it cannot be read: clip {', '.join(unread)}.")
    return Selection(equals[0], tuple(reports), tuple(notes))


def _called(select: Callable[[tuple[Clip, ...]], Any], clips: tuple[Clip, ...]) -> int:
    try:
        answer = select(clips)
    except Exception as error:
        why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise _failed(f"The function given as select= raised {why}.", select, clips) from error
    if inspect.iscoroutine(answer):
        answer.close()
        raise _failed("The function given as select= is async; a plain one is needed.", select, clips)
    for index, clip in enumerate(clips):
        if answer is clip:
            return index
    if isinstance(answer, Clip) and answer in clips:
        return clips.index(answer)
    number = _index(answer)
    if number is None or not 0 <= number < len(clips):
        raise _failed(
            f"The function given as select= returned {shown(answer)}, which is none of the {len(clips)} clips and no index "
            f"from 0 to {len(clips) - 1}.",
            select, clips,
        )  # fmt: skip
    return number


def _index(answer: Any) -> int | None:
    if isinstance(answer, bool):
        return None
    try:
        return operator.index(answer)
    except TypeError:
        return None


def _failed(why: str, select: Any, clips: Sequence[Clip]) -> InvalidRequest:
    where = ", ".join(clip.uri for clip in clips)
    return InvalidRequest(
        why, hint=f"The clips are safe: {where}", charged=None, field="select", value=select,
        allowed="a function that takes the clips and returns one of them, or its index",
    )  # fmt: skip
