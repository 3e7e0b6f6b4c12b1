"""Measures the built-in model: does it draw what its prompts say, and what does a clip cost?

    python benchmarks/mini.py [--n 400] [--steps 4 8 16] [--sheet sheet.png]

Prompts are seeded, hold one object unless a row says two, and are combinations of colour, shape and motion that the
model was never trained on unless a row says trained. The checker sees pixels only; the first rows are what it says of
rendered clips with their own prompts and with others'. Times are CPU seconds on one core.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy is loaded: the times are those of one core
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "local_backend"))

import numpy as np  # noqa: E402

from mini_training import checker, world  # noqa: E402
from vidorch_local.mini.model import DEFAULT_STEPS, FRAMES, Mini, upscale  # noqa: E402
from vidorch_local.mini.words import BACKGROUNDS, describe, understand  # noqa: E402

PARTS = ("colour", "motion", "shape", "count", "all")


class Clock:
    """CPU seconds of each stage, by the model's own progress reports."""

    def __init__(self) -> None:
        self.spent = {"encode": 0.0, "denoise": 0.0, "decode": 0.0}

    def __call__(self, stage: str, share: float) -> None:
        if share == 0:
            self.began = time.process_time()
        elif share == 1:
            self.spent[stage] += time.process_time() - self.began


def draw(
    model: Mini, clips: world.Clips, steps: int, seed: int, images: world.Array | None = None
) -> tuple[world.Array, Clock]:
    clock = Clock()
    videos = [
        model.generate(
            understand(describe(tokens)),
            seed=seed + i,
            steps=steps,
            on_progress=clock,
            image=None if images is None else images[i],
        )
        for i, tokens in enumerate(clips.tokens)
    ]
    return np.stack(videos), clock


def row(name: str, background: int, scores: dict[str, float], n: int, clock: Clock | None = None) -> str:
    cost = (
        ""
        if clock is None
        else f"{(clock.spent['encode'] + clock.spent['denoise']) / n:.2f} + {clock.spent['decode'] / n:.2f}"
    )
    cells = [
        name,
        BACKGROUNDS[background],
        str(n),
        *(f"{scores[p]:.3f}" for p in PARTS),
        f"{scores['flicker']:.3f}",
        cost,
    ]
    return "| " + " | ".join(cells) + " |"


def save_sheet(path: Path, videos: list[world.Array], captions: list[str]) -> None:
    """Every third frame of each clip, at twice its size, under its caption."""
    from PIL import Image, ImageDraw

    shown = range(0, FRAMES, 3)
    side, line = 128, 14
    sheet = Image.new("RGB", (len(shown) * (side + 2), len(videos) * (side + line)), (110, 110, 110))
    pen = ImageDraw.Draw(sheet)
    for y, (video, caption) in enumerate(zip(videos, captions, strict=True)):
        pen.text((3, y * (side + line) + 1), caption, fill=(255, 255, 255))
        for x, frame in enumerate(upscale(video[list(shown)], side)):
            sheet.paste(Image.fromarray(frame), (x * (side + 2), y * (side + line) + line))
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=400, help="clips in each row")
    parser.add_argument(
        "--n-beside", type=int, default=100, help="clips in the rows beside: trained, two objects, images"
    )
    parser.add_argument("--steps", type=int, nargs="+", default=sorted({4, DEFAULT_STEPS, 16}))
    parser.add_argument("--sheet", type=Path, help="where to put a contact sheet")
    parser.add_argument("--weights", type=Path, help="another weights file than the shipped one")
    parser.add_argument("--backgrounds", type=int, nargs="+", default=[0, 1], help="0 is dark, 1 is light")
    parser.add_argument(
        "--held-only", action="store_true", help="leave out the trained and the two-object rows"
    )
    args = parser.parse_args()
    model = Mini.load(args.weights)
    understand("a red ball falling")
    size, trained_on = model.meta["parameters"] / 1e6, model.meta["clips_seen"]
    print(f"{size:.2f} M parameters, {trained_on} clips seen, default {DEFAULT_STEPS} steps\n")
    print("| clips | background | n | " + " | ".join(PARTS) + " | flicker | CPU s: denoise + decode |")
    print("|" + " --- |" * (len(PARTS) + 5), flush=True)
    shown: list[world.Array] = []
    captions: list[str] = []
    for background in args.backgrounds:
        rng = np.random.default_rng((4, background))
        held = world.sample(rng, args.n, split="held", two=0, background=background)
        truth = np.concatenate([world.render(held.take(slice(i, i + 4))) for i in range(0, args.n, 4)])
        seen = [checker.look(video) for video in truth]
        print(row("rendered, own prompts", background, checker.compared(seen, held.words), args.n))
        # Every clip against five prompts of other clips: at one each, chance alone moves the last column by half.
        others = world.sample(rng, 5 * args.n, split="any", two=0, background=background)
        print(
            row(
                "rendered, others' prompts", background, checker.compared(seen * 5, others.words), 5 * args.n
            ),
            flush=True,
        )
        for steps in args.steps:
            videos, clock = draw(model, held, steps, seed=1000)
            print(
                row(
                    f"held out, {steps} steps", background, checker.scores(videos, held.words), args.n, clock
                ),
                flush=True,
            )
            if steps == DEFAULT_STEPS or len(args.steps) == 1:
                shown += list(videos[:12])
                captions += [describe(t) + " (never trained on)" for t in held.tokens[:12]]
        if not args.held_only:
            rows = (
                ("trained", "train", 0.0),
                ("two objects, trained or not", "any", 1.0),
                ("held out, from a first frame", "held", 0.0),
            )
            for name, split, two in rows:
                clips = world.sample(rng, args.n_beside, split=split, two=two, background=background)
                if two:
                    clips = clips.take(clips.words[:, 0] == 1)  # circling comes with one object only
                images = None
                if "first frame" in name:
                    images = world.render(clips.at(np.zeros((len(clips), 1), int)))[:, 0]
                videos, clock = draw(model, clips, DEFAULT_STEPS, 5000, images)
                print(
                    row(
                        f"{name}, {DEFAULT_STEPS} steps",
                        background,
                        checker.scores(videos, clips.words),
                        len(clips),
                        clock,
                    ),
                    flush=True,
                )
                shown += list(videos[:3])
                captions += [describe(t) for t in clips.tokens[:3]]
    if args.sheet:
        save_sheet(args.sheet, shown, captions)


if __name__ == "__main__":
    main()
