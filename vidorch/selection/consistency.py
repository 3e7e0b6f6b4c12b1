"""The selector "consistency": clips that break lose. It finds flicker, cuts, stills and blank pictures; it judges no taste.

Each part is 1 where nothing is wrong and falls towards 0; the score is their product, so that one break cannot be made up for.

    visible       share of frames with a picture in them: not black, not of one colour
    moving        share of steps between frames that change anything; a frozen clip has 0, one that shows each frame twice 0.5
    whole         1 / (1 + 3 n) for n cuts or jumps: steps far larger than those around them, weaker ones counting in part
    steady        1 / (1 + f / 2 %) for brightness that goes to and fro by f of full white, as motion does not
    first_frame   likeness of the first frame to the image that was given; only where one was

The thresholds were set on made-up clips with known faults (see tests/selection), where brightness is in 0 to 1 and pictures are
64 wide, whatever the size of the clip: what is smaller than that is not seen.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidorch.errors import VidorchError
from vidorch.inputs import Media
from vidorch.result import Clip
from vidorch.selection.report import Report

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating[Any]]

__all__ = ["BLIND", "report_all"]

NAME = "consistency"
BLIND = "It sees flicker, cuts, stills and blank frames; not whether the clip fits the prompt, nor beauty, anatomy or physics."
WIDTH = 64
MOST_FRAMES = 360  # 15 s at 24 fps; longer clips are looked at evenly
AT_ONCE = 4

BLANK = 0.012  # standard deviation of a picture in which nothing can be made out
STILL = 0.0004  # a tenth of a grey level: encoders leave as much in a picture that stands still
STILL_SHARE = 0.1  # of the clip's own larger steps: a held frame in a moving clip
AROUND = 8  # steps on each side that a jump is measured against
JUMP_FLOOR = 0.004  # a step below this is nothing to compare with
JUMP_SEEN = 0.06  # the step at which a jump counts in full
TO_AND_FRO = 0.02


def report_all(clips: Sequence[Clip], image: Media | None = None) -> tuple[Report, ...]:
    """One report for each clip. What cannot be read has no score, and says why."""
    with ThreadPoolExecutor(min(AT_ONCE, len(clips)), thread_name_prefix="vidorch-select") as pool:
        return tuple(pool.map(lambda clip: _report(clip, image), clips))


def _report(clip: Clip, image: Media | None) -> Report:
    try:
        if clip.path is not None:
            return _look(clip, clip.path, image)
        from vidorch import storage

        with tempfile.TemporaryDirectory(prefix="vidorch-") as folder:
            storage.fetch(clip.uri, near := Path(folder) / "clip.mp4")
            return _look(clip, near, image)
    except (VidorchError, OSError) as error:
        said = (
            error.message
            if isinstance(error, VidorchError)
            else f"{error.strerror or error}: {error.filename}"
        )
        return Report(NAME, None, {}, (f"It could not be looked at: {said}",))


def _look(clip: Clip, path: Path, image: Media | None) -> Report:
    import numpy as np

    from vidorch import media

    size = (WIDTH, max(2, round(WIDTH * clip.height / max(clip.width, 1))))
    every = max(1, -(-(clip.frames or round(clip.duration * float(clip.fps or 24))) // MOST_FRAMES))
    shown = list(media.timed_frames(path, every=every, size=size))
    times = [float(seconds) for seconds, _ in shown]
    pictures = np.stack([picture for _, picture in shown]).astype(np.float32) / 255  # (T, H, W, 3)
    found: list[str] = []
    parts = {"visible": _visible(pictures, times, found)}
    if len(pictures) > 2:
        steps = np.abs(np.diff(pictures, axis=0)).mean(axis=(1, 2, 3))  # (T - 1,)
        parts["moving"] = _moving(steps, times, found)
        parts["whole"] = _whole(pictures, times, found)
        parts["steady"] = _steady(pictures, found)
    else:
        found.append(f"{len(pictures)} frames are too few to see how it moves.")
    if image is not None and (likeness := _likeness(pictures[0], image, found)) is not None:
        parts["first_frame"] = likeness
    return Report(NAME, float(np.prod(list(parts.values()))), parts, (*found, BLIND))


def _visible(pictures: Floats, times: Sequence[float], found: list[str]) -> float:
    blank = pictures.mean(axis=3).std(axis=(1, 2)) < BLANK
    if blank.any():
        found.append(
            f"{int(blank.sum())} of {len(blank)} frames are blank, the first at {times[int(blank.argmax())]:.1f} s."
        )
    return float(1 - blank.mean())


def _moving(steps: Floats, times: Sequence[float], found: list[str]) -> float:
    import numpy as np

    still = steps < max(STILL, STILL_SHARE * float(np.quantile(steps, 0.8)))
    if still.mean() > 0.85:  # a key frame in between changes a grey level or two
        found.append("It stands still all through.")
    elif still.any():
        found.append(
            f"{int(still.sum())} of {len(still)} steps change nothing, the first at {times[int(still.argmax())]:.1f} s."
        )
    return float(1 - still.mean())


def _whole(pictures: Floats, times: Sequence[float], found: list[str]) -> float:
    import numpy as np

    # Brightness is taken out: a flash is flicker, and no other picture.
    level = pictures.mean(axis=(1, 2, 3), keepdims=True)
    level = pictures * (float(np.median(level)) / np.maximum(level, 0.02))
    steps = np.abs(np.diff(level, axis=0)).mean(axis=(1, 2, 3))
    jumps = 0.0
    for index, step in enumerate(steps):
        near = np.concatenate([steps[max(0, index - AROUND) : index], steps[index + 1 : index + 1 + AROUND]])
        ratio = float(step) / (float(np.median(near)) + JUMP_FLOOR)
        # Twice its neighbours is nothing, sixteen times is a cut.
        jump = float(np.clip((np.log2(max(ratio, 1e-6)) - 1) / 3, 0, 1) * np.clip(step / JUMP_SEEN, 0, 1))
        if jump > 0.3:
            found.append(f"A {'cut' if jump > 0.6 else 'jump'} at {times[index + 1]:.1f} s.")
        jumps += jump if jump > 0.1 else 0.0
    return 1 / (1 + 3 * jumps)


def _steady(pictures: Floats, found: list[str]) -> float:
    """Brightness of 4 x 4 large blocks: motion carries it on in one direction, flicker takes it to and fro."""
    import numpy as np

    grey = pictures.mean(axis=3)
    height, width = grey.shape[1] // 4 * 4, grey.shape[2] // 4 * 4
    blocks = (
        grey[:, :height, :width].reshape(len(grey), 4, height // 4, 4, width // 4).mean(axis=(2, 4))
    )  # (T, 4, 4)
    first = np.diff(blocks, axis=0)
    # Both neighbouring steps, where they point opposite ways: the smaller one is how far it went and came back.
    back = np.where(first[1:] * first[:-1] < 0, np.minimum(np.abs(first[1:]), np.abs(first[:-1])), 0).mean(
        axis=(1, 2)
    )
    back = np.sort(back)[
        : max(1, round(0.9 * len(back)))
    ]  # a cut, which goes and comes back once, is not flicker
    flicker = float(back.mean())
    if flicker > TO_AND_FRO / 4:
        found.append(f"Its brightness flickers by {flicker:.1%}.")
    return 1 / (1 + flicker / TO_AND_FRO)


def _likeness(first: Floats, image: Media, found: list[str]) -> float | None:
    """Half correlation of brightness, half nearness of colours, after scaling to one size. None: the image cannot be read."""
    import numpy as np

    try:
        asked = _scaled(image, first.shape[1], first.shape[0])
    except VidorchError as error:
        found.append(f"The first frame was not compared: {error.message}")
        return None
    apart = float(np.abs(first - asked).mean())
    one, other = (grey - grey.mean() for grey in (first.mean(axis=2), asked.mean(axis=2)))
    length = float(np.sqrt((one**2).sum() * (other**2).sum()))
    alike = float((one * other).sum()) / length if length > 0 else 1.0
    value = float(np.clip(alike, 0, 1) / 2 + np.clip(1 - apart / 0.25, 0, 1) / 2)
    if value < 0.6:
        found.append("Its first frame is unlike the image that was given.")
    return value


def _scaled(image: Media, width: int, height: int) -> Any:
    """The picture in the shape of the clip's frames, cut at its longer side as vendors do, as floats in 0 to 1."""
    import numpy as np

    from vidorch import media

    picture = media.load_still(image.path if image.path is not None else image.read())
    tall, wide = picture.shape[:2]
    new_wide, new_tall = min(wide, round(tall * width / height)), min(tall, round(wide * height / width))
    top, left = (tall - new_tall) // 2, (wide - new_wide) // 2
    picture = picture[top : top + max(new_tall, 1), left : left + max(new_wide, 1)]
    # Mean over the pixels that fall into each cell; small pictures repeat theirs.
    sums = picture.astype(np.float32)
    for axis, cells in ((0, height), (1, width)):
        edges = np.linspace(0, sums.shape[axis], cells + 1)
        starts = np.minimum(edges[:-1].astype(int), sums.shape[axis] - 1)
        stops = np.maximum(np.ceil(edges[1:]).astype(int), starts + 1)
        total = np.concatenate(
            [np.zeros_like(np.take(sums, [0], axis)), np.cumsum(sums, axis=axis)], axis=axis
        )
        counts = (stops - starts).reshape([-1 if i == axis else 1 for i in range(3)])
        sums = (np.take(total, stops, axis) - np.take(total, starts, axis)) / counts
    return sums / 255
