"""What open-weight models take on this machine: stock diffusers beside each preset, and vidorch's layer over a bare call.

    python -m benchmarks.local [--model tiny|wan-1.3b|wan-5b|wan-14b] [--size 832x480] [--frames 81] [--steps 50]
                               [--presets quality balanced fast draft] [--no-text] [--device cuda:0] [--layer 5]

The first table is one pipeline in one process: a plain call as diffusers' pages have it, then each preset. Its models are the
real architectures of random numbers, built on the device; without a GPU the tiny one alone is quick enough. Encoding, denoising
and decoding are seconds; memory is the most that was allotted on a GPU, and of the process (VmHWM) on a CPU, where it only ever
grows. Deviation is from `quality`: of the latents the length of the difference over the length (L2), of the frames PSNR in dB.
Random weights tell what a preset leaves out and how far that is from leaving nothing out, not how a clip looks.

The second table (`--layer RUNS`) is a bare call of a pipeline in one process, and `generate()` on the same folder in another:
plan, ledger, queue, MP4, check and publishing. Asked are at most 0.3 s and 1 % of time over the bare call, and 50 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from benchmarks.local_models import SIZES, build

PROMPT = "a lighthouse on a cliff at dusk, waves breaking below it"
SEED = 7
LAYER: dict[str, Any] = {"seed": SEED, "steps": 10, "duration": 1, "aspect_ratio": "1:1"}
"""A second of 8 frames at 32x32: the layer costs the same for every size but for the MP4 and its check."""


@dataclass(slots=True)
class Run:
    """One clip: seconds by stage, the most memory in MB, blocks and passes that were computed, latents and frames."""

    name: str
    encode: float = 0.0
    denoise: float = 0.0
    decode: float = 0.0
    whole: float = 0.0
    memory: float = 0.0
    blocks: int = 0
    passes: int = 0
    latents: Any = None
    frames: Any = None
    notes: tuple[str, ...] = field(default_factory=tuple)


# Presets ------------------------------------------------------------------------------------------------------------


class Bench:
    """One pipeline, of which clips are made in different ways."""

    def __init__(
        self, model: str, device: str, size: tuple[int, int], frames: int, steps: int, *, text: bool
    ) -> None:
        from vidorch.offer import Weights
        from vidorch_local.diffusion.folders import Found

        self.device, self.steps, self.model = device, steps, model
        self.pipe = build(model, device, text=text)
        counts = {
            name: sum(one.numel() for one in part.parameters())
            for name, part in self.pipe.components.items()
            if hasattr(part, "parameters")
        }
        self.found = Found("", "WanPipeline", {}, counts)
        self.weights = Weights("", defaults={"steps": steps})
        self.call: dict[str, Any] = {
            "width": size[0], "height": size[1], "num_frames": frames, "guidance_scale": 5.0, "max_sequence_length": 512,
        }  # fmt: skip
        self.said = {"prompt": PROMPT}
        if not text:
            import torch

            read = torch.zeros(
                1,
                512,
                self.pipe.transformer.config.text_dim,
                dtype=self.pipe.transformer.dtype,
                device=device,
            )
            self.said = {"prompt_embeds": read, "negative_prompt_embeds": read}

    def stock(self) -> Run:
        """A plain call, as diffusers' pages have it."""
        import torch

        run, began = Run("stock diffusers"), self._now()
        marks: dict[str, float] = {}

        def after(_: Any, __: int, ___: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            marks["last"] = self._now()
            return tensors

        with self._counting(run, marks):
            made = self.pipe(
                **self.said, **self.call, num_inference_steps=self.steps, generator=torch.Generator("cpu").manual_seed(SEED),
                output_type="np", callback_on_step_end=after,
            )  # fmt: skip
        end = self._now()
        run.encode, run.denoise = marks["first"] - began, marks["last"] - marks["first"]
        run.decode, run.whole = end - marks["last"], end - began
        run.frames = (made.frames[0] * 255).round().clip(0, 255)
        return run

    def preset(self, name: str) -> Run:
        """A clip as the `local` provider makes it once its pipeline is loaded."""
        from vidorch_local.diffusion import presets, running, tuning
        from vidorch_local.diffusion.jobs import Job
        from vidorch_local.diffusion.settings import Settings

        steps = presets.laid(self.weights, name).defaults["steps"]
        job = Job(
            "bench", self.model, self.found, self.weights, "WanPipeline", self.device,
            {**self.said, **self.call, "num_inference_steps": steps}, SEED, 16.0, settings=Settings(preset=name),
        )  # fmt: skip
        run, began = Run(name), self._now()
        with self._counting(run, {}):
            run.notes = tuning.settle(self.pipe, job, "gpu" if self.device != "cpu" else "cpu")
            made = running.run(
                self.pipe, job, tell=lambda *_: None, should_stop=lambda: False, clock=self._now
            )
        run.whole, run.frames = self._now() - began, made.frames.astype(float)
        run.encode, run.denoise, run.decode = (made.timings[one] for one in ("encode", "denoise", "decode"))
        return run

    def _now(self) -> float:
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.synchronize()
        return time.perf_counter()

    @contextmanager
    def _counting(self, run: Run, marks: dict[str, float]) -> Iterator[None]:
        import torch
        from torch.nn.modules.module import register_module_forward_pre_hook

        calls: Counter[str] = Counter()

        def before(module: Any, _: Any) -> None:
            name = type(module).__name__
            calls[name] += 1
            if name == "WanTransformer3DModel" and "first" not in marks:
                marks["first"] = self._now()

        decode = type(self.pipe.vae).decode

        def kept(vae: Any, latents: Any, *args: Any, **named: Any) -> Any:
            run.latents = latents.float().cpu().numpy()
            return decode(vae, latents, *args, **named)

        if self.device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats()
        hook, type(self.pipe.vae).decode = register_module_forward_pre_hook(before), kept
        try:
            yield
        finally:
            hook.remove()
            type(self.pipe.vae).decode = decode
        run.blocks, run.passes = calls["WanAttention"] // 2, calls["WanTransformer3DModel"]
        run.memory = (
            torch.cuda.max_memory_allocated() / 1e6 if self.device.startswith("cuda") else most_of_process()
        )


def deviation(run: Run, best: Run) -> tuple[float, float]:
    """Of latents, the length of the difference over the length; of frames, PSNR in dB, infinite for the same."""
    import numpy as np

    apart = float(np.linalg.norm(run.latents - best.latents) / np.linalg.norm(best.latents))
    error = float(((run.frames - best.frames) ** 2).mean())
    return apart, float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def table(runs: list[Run]) -> str:
    """The first table."""
    best = next((run for run in runs if run.name == "quality"), runs[0])
    rows = [
        "| | encode s | denoise s | decode s | whole s | memory MB | passes | blocks | latents off | PSNR dB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        apart, psnr = deviation(run, best)
        times = " | ".join(f"{one:.2f}" for one in (run.encode, run.denoise, run.decode, run.whole))
        rows.append(
            f"| {run.name} | {times} | {run.memory:,.0f} | {run.passes} | {run.blocks} | {apart:.3f} | "
            f"{'same' if psnr == float('inf') else f'{psnr:.1f}'} |"
        )
    return "\n".join(rows)


# The layer ----------------------------------------------------------------------------------------------------------


def most_of_process() -> float:
    """The most memory that this process had so far, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1000
    return 0.0


def timed(runs: int, make: Callable[[], object]) -> None:
    """Print what calls take, after one that warms up: median seconds of wall and of CPU, and the most memory."""
    make()
    walls, cpus = [], []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        make()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    print(json.dumps([statistics.median(walls), statistics.median(cpus), most_of_process()]))


def bare(folder: str, runs: int) -> None:
    """The pipeline alone, as in a script of a few lines."""
    import torch
    from diffusers import DiffusionPipeline

    pipe = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    timed(
        runs,
        lambda: pipe(
            PROMPT, width=32, height=32, num_frames=9, num_inference_steps=LAYER["steps"], guidance_scale=5.0,
            max_sequence_length=16, generator=torch.Generator("cpu").manual_seed(SEED), output_type="np",
        ),
    )  # fmt: skip


def layered(folder: str, runs: int) -> None:
    """The same by `generate()`: an MP4 that is checked, in the ledger, and published."""
    from tests.local import tiny
    from vidorch import Client

    with (
        tempfile.TemporaryDirectory() as home,
        Client(home=home, catalog=tiny.catalog_of(tiny.offer_of("t2v", folder))) as client,
    ):
        timed(runs, lambda: client.generate(PROMPT, model="local/tiny-t2v", **LAYER))


def layer(runs: int) -> str:
    """The second table."""
    from tests.local import tiny

    with tempfile.TemporaryDirectory() as folder:
        import torch

        torch.manual_seed(1)
        tiny.t2v().save_pretrained(folder)
        found = {}
        for part in ("bare", "layered"):
            code = f"from benchmarks import local; local.{part}({folder!r}, {runs})"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stderr)
            found[part] = json.loads(done.stdout.splitlines()[-1])
    rows = ["| | wall s | CPU s | memory MB |", "|---|---|---|---|"]
    for name, (wall, cpu, memory) in (("a bare call", found["bare"]), ("generate()", found["layered"])):
        rows.append(f"| {name} | {wall:.3f} | {cpu:.3f} | {memory:,.0f} |")
    over = [b - a for a, b in zip(found["bare"], found["layered"], strict=True)]
    rows.append(f"| the layer | {over[0]:.3f} | {over[1]:.3f} | {over[2]:,.0f} |")
    return "\n".join(rows)


def main() -> None:
    import torch

    there = "cuda:0" if torch.cuda.is_available() else "cpu"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=tuple(SIZES), default="wan-1.3b" if there != "cpu" else "tiny")
    parser.add_argument("--size", default="", help="WIDTHxHEIGHT")
    parser.add_argument("--frames", type=int, default=0)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument(
        "--presets", nargs="*", default=["quality", "balanced", "fast", "draft"], metavar="NAME"
    )
    parser.add_argument("--no-text", action="store_true", help="without a text encoder")
    parser.add_argument("--device", default=there)
    parser.add_argument(
        "--layer", type=int, default=0, metavar="RUNS", help="measure the layer, too, so many times"
    )
    args = parser.parse_args()
    usual = SIZES[args.model]
    wide, high = map(int, args.size.split("x")) if args.size else usual.size
    frames, steps = args.frames or usual.frames, args.steps or usual.steps
    if args.presets:
        bench = Bench(args.model, args.device, (wide, high), frames, steps, text=not args.no_text)
        card = torch.cuda.get_device_name(args.device) if args.device.startswith("cuda") else "CPU"
        print(
            f"{args.model}, {wide}x{high}, {frames} frames, {steps} steps, {card}, torch {torch.__version__}\n"
        )
        bench.stock()  # what is built and allotted once
        print(table([bench.stock(), *(bench.preset(name) for name in args.presets)]), flush=True)
    if args.layer:
        print(f"\nOver a bare call, median of {args.layer}\n\n{layer(args.layer)}")


if __name__ == "__main__":
    main()
