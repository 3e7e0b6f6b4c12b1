"""How surely `select="consistency"` prefers a clip to a broken version of itself: `python -m benchmarks.selection [SCENES]`.

Made-up scenes with known faults, encoded with x264; the same as in tests/selection, more of them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean

from tests.selection.clips import KINDS, broken, clip_of, scene
from vidorch.selection import select_from


def main(scenes: int) -> None:
    scores: dict[str, list[float]] = {kind: [] for kind in KINDS}
    spent = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(100, 100 + scenes):
            frames = scene(seed)
            clips = [
                clip_of(Path(folder) / f"{seed}-{kind}.mp4", broken(frames, kind, seed)) for kind in KINDS
            ]
            began = time.process_time()
            reports = select_from("consistency", clips).reports
            spent += time.process_time() - began
            for kind, report in zip(KINDS, reports, strict=True):
                assert report is not None
                assert report.score is not None
                scores[kind].append(report.score)
    print("| fault | score, mean | lowest | highest | the whole clip wins |\n|---|---|---|---|---|")
    for kind, found in scores.items():
        wins = fmean(good > one for good, one in zip(scores["good"], found, strict=True))
        won = "" if kind == "good" else f"{wins:.0%}"
        print(f"| {kind} | {fmean(found):.2f} | {min(found):.2f} | {max(found):.2f} | {won} |")
    print(f"\n{1000 * spent / scenes / len(KINDS):.0f} ms of CPU a clip of 30 frames, 96 x 64")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
