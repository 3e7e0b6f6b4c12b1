"""Makes the weights of the built-in model from nothing: render, train, train the decoder, export.

    PYTHONPATH=local_backend python -m mini_training --out DIR [--minutes N] [--device cpu|cuda] [--resume]

Each stage leaves its checkpoint in DIR; with --resume a run goes on where it was, without it DIR must be new.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from pathlib import Path

import torch

from vidorch_local.mini.model import DEFAULT_STEPS

from .data import render_ahead
from .decoder import DecoderPlan, train_decoder
from .export import export
from .net import Base, Config
from .train import Plan, train


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="mini_training", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for shards, checkpoints and the weights file"
    )
    parser.add_argument(
        "--minutes", type=float, default=78.0, help="wall time of the base model's training (78)"
    )
    parser.add_argument(
        "--decoder-minutes", type=float, default=40.0, help="wall time of the decoder's training (40)"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch", type=int, default=Plan().batch)
    parser.add_argument("--compile", action="store_true", help="compile the network first; pays on a GPU")
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    if args.out.exists() and any(args.out.iterdir()) and not args.resume:
        parser.error(f"{args.out} is not empty: give --resume to go on in it, or another folder")
    args.out.mkdir(parents=True, exist_ok=True)
    if args.device == "cpu":
        torch.set_num_threads(1)  # the matrices are too small to share out

    plan = Plan(minutes=args.minutes, batch=args.batch, compile=args.compile)
    renderer = multiprocessing.get_context("spawn").Process(
        target=render_ahead, args=(args.out / "data", plan.shards), daemon=True
    )
    renderer.start()
    checkpoint = train(args.out, Config(), plan, args.device)
    renderer.terminate()

    config = Config()
    half = args.decoder_minutes / 2
    marks = [args.out / "decoder-1.done", args.out / "decoder-2.done"]
    if not marks[0].exists():
        train_decoder(args.out, config, DecoderPlan(minutes=half))
        marks[0].touch()
    if not marks[1].exists():
        base = Base(config).eval().requires_grad_(False)
        base.load_state_dict(torch.load(checkpoint, weights_only=False, map_location="cpu")["ema"])
        train_decoder(args.out, config, DecoderPlan(minutes=half, lr=1.5e-3, own=0.75, seed=1), base)
        marks[1].touch()
    command = "python -m mini_training " + " ".join(sys.argv[1:])
    print(export(args.out, args.out / "weights.npz", steps=DEFAULT_STEPS, guidance=1.5, command=command))


if __name__ == "__main__":
    main()
