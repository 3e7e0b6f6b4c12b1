"""Trains the decoder by plain regression: first on spoilt real latents, then on the base model's own.

The base model's outputs are blurred and wobbly in a way of their own. Noising a real clip to the middle of the
schedule and letting the base model finish it gives such an output together with the sharp frames it should become.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from . import world
from .net import Base, Config, Decoder
from .sampling import noise, schedule, solve

INNER = 4  # consecutive frames decoded of each clip in a batch


@dataclass(frozen=True, slots=True)
class DecoderPlan:
    minutes: float = 12.0
    steps: int = 0
    clips: int = 16  # times INNER frames make a batch
    lr: float = 2e-3
    own: float = 0.0  # share of batches made of the base model's own latents
    bank: int = 1536  # clips of them
    seed: int = 0


def as_images(frames: world.Array) -> Tensor:
    """uint8 (..., H, W, 3) -> float (..., 3, H, W) in [-1, 1]."""
    return torch.from_numpy(frames).movedim(-1, -3).float() / 127.5 - 1


def spoilt(low: Tensor, generator: torch.Generator) -> Tensor:
    """Real latents (B, n, 3, 16, 16) made as bad as generated ones: blurred, grainy, blotchy, off in brightness."""
    B, n = low.shape[:2]

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]).div(16).expand(3, 1, 3, 3)
    blurred = F.conv2d(F.pad(low.flatten(0, 1), (1, 1, 1, 1), mode="replicate"), kernel, groups=3).view_as(
        low
    )
    amount = uniform(B, n, 1, 1, 1) * (uniform(B, 1, 1, 1, 1) < 0.7)
    out = low + amount * (blurred - low)
    busy = (
        (low - low.flatten(3).median(-1).values[..., None, None]).abs().amax(2, keepdim=True)
    )  # near objects
    busy = F.max_pool2d(busy.flatten(0, 1), 3, 1, 1).view(B, n, 1, 16, 16).clamp(0.05, 1)
    blotch = F.interpolate(normal(B * n, 4, 5, 5)[:, :3], size=(16, 16), mode="bilinear").view_as(low)
    out = out + busy * (
        normal(*low.shape) * 0.15 * uniform(B, 1, 1, 1, 1) + blotch * 0.15 * uniform(B, 1, 1, 1, 1)
    )
    return out * (1 + 0.01 * normal(B, 1, 1, 1, 1)) + 0.01 * normal(B, 1, 3, 1, 1)


@torch.no_grad()
def own_latents(base: Base, clips: world.Clips, generator: torch.Generator, guidance: float) -> world.Array:
    """float16 (B, 24, 16, 16, 3): real clips, noised to the middle of a schedule and finished by the base model."""
    out = []
    for start in range(0, len(clips), 16):
        part = clips.take(slice(start, start + 16))
        low = torch.cat(
            [torch.from_numpy(world.pool(world.render(part.take([i])))) for i in range(len(part))]
        )
        x0 = base.patchify(low.float() / 127.5 - 1)
        steps = int(torch.randint(4, 11, (1,), generator=generator))
        times = schedule(steps)
        # From t between .25 and .72: before that the place of the object is still open, and the frames would not match.
        first = [i for i, t in enumerate(times) if 0.25 <= t <= 0.72]
        skip = first[int(torch.randint(len(first), (1,), generator=generator))]
        x = torch.lerp(x0, noise(x0.shape, generator), times[skip])
        x = solve(base, x, torch.from_numpy(part.tokens), times[skip:], guidance=guidance)
        out.append(base.unpatchify(x).half().numpy())
    return np.concatenate(out)


def train_decoder(
    out: Path, config: Config, plan: DecoderPlan, base: Base | None = None, guidance: float = 1.5
) -> Path:
    """Trains or goes on training `decoder.pt`; with `plan.own` above zero also on what `base` makes."""
    path = out / "decoder.pt"
    torch.manual_seed(plan.seed)
    model = Decoder(config)
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=False)["model"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.lr, betas=(0.9, 0.98))
    rng = np.random.default_rng((3, plan.seed))
    generator = torch.Generator().manual_seed(plan.seed)
    began = time.monotonic()
    bank_clips, bank = None, None
    if plan.own and base is not None:
        bank_clips = world.sample(rng, plan.bank)
        bank = own_latents(base, bank_clips, generator, guidance)
        print(json.dumps({"bank": len(bank), "seconds": round(time.monotonic() - began)}), flush=True)
        began = time.monotonic()
    step, losses = 0, []
    while True:
        spent = time.monotonic() - began
        done = step / plan.steps if plan.steps else spent / (60 * plan.minutes)
        if done >= 1:
            break
        own = bank is not None and rng.random() < plan.own
        start = rng.integers(0, world.FRAMES - INNER + 1, plan.clips)
        index = np.clip(start[:, None] + np.arange(-1, INNER + 1), 0, world.FRAMES - 1)  # (B, INNER + 2)
        if own:
            assert bank is not None
            assert bank_clips is not None
            rows = rng.integers(len(bank), size=plan.clips)
            clips = bank_clips.take(rows)
            low = torch.from_numpy(bank[rows[:, None], index]).float().movedim(-1, -3)
        else:
            clips = world.sample(rng, plan.clips)
        frames = np.concatenate([world.render(clips.take([i]).at(index[[i]])) for i in range(plan.clips)])
        if not own:
            low = spoilt(as_images(world.pool(frames)), generator)
        sharp = as_images(frames[:, 1:-1]).flatten(0, 1)
        near = torch.cat([low[:, :-2], low[:, 1:-1], low[:, 2:]], 2).flatten(0, 1)  # (B * INNER, 9, 16, 16)
        tokens = torch.from_numpy(clips.tokens).repeat_interleave(INNER, 0)
        error = model(near, tokens) - sharp
        loss = error.abs().mean() + error.square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        for group in optimizer.param_groups:
            group["lr"] = plan.lr * min(1.0, (step + 1) / 50, (1 - done) / 0.5) + 1e-6
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        losses.append(loss.item())
        if step % 100 == 0:
            print(
                json.dumps(
                    {"decoder": step, "seconds": round(spent), "loss": round(float(np.mean(losses)), 5)}
                ),
                flush=True,
            )
            losses.clear()
            torch.save({"model": model.state_dict(), "step": step}, path)
    torch.save({"model": model.state_dict(), "step": step}, path)
    return path
