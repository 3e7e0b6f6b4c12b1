"""Open-weight models as a backend of the `local` provider: from a request to a job of the engine, from its frames to a file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from vidorch.contract import (
    Accepted,
    Admission,
    Cancelled,
    Context,
    Done,
    Endpoint,
    Failed,
    Health,
    Output,
    Polled,
    Prepared,
    Progress,
)
from vidorch.errors import Unsupported, VidorchError
from vidorch.offer import Offer, Weights
from vidorch.request import Request
from vidorch.weights import EXTRA, require, size_in_words
from vidorch_local.backend import PROVIDER, News, cancelled, gone
from vidorch_local.diffusion import asking, cards, folders, loras, placing, presets
from vidorch_local.diffusion.folders import Found
from vidorch_local.diffusion.jobs import Engine, Job, Made
from vidorch_local.diffusion.pool import connecting
from vidorch_local.diffusion.pool.engine import Pool
from vidorch_local.diffusion.pool.options import NAMES, ClusterOptions, split
from vidorch_local.diffusion.settings import of_endpoint, of_request
from vidorch_local.diffusion.worker import Worker

__all__ = ["Diffusion"]


@dataclass(frozen=True, slots=True)
class _Work:
    """A job and whoever makes it."""

    job: Job
    engine: Engine
    news: News


class Diffusion:
    """Runs models from folders of weights, by torch and diffusers, on the devices of this machine or of a Ray cluster.

    Args:
        engine: makes the engine of a device. pool: that of an endpoint with workers on Ray.
    """

    def __init__(
        self,
        engine: Callable[[str], Engine] = Worker,
        pool: Callable[[ClusterOptions, str, str | None], Engine] = Pool,
        free: cards.Free = cards.free_here,
    ) -> None:
        self._make_engine, self._make_pool, self._free = engine, pool, free
        self._engines: dict[Hashable, Engine] = {}
        self._works: dict[str, _Work] = {}

    def admit(self, request: Request, offer: Offer) -> Admission:
        """See that packages and weights are here and that the size can be made; nothing is loaded for that. On a cluster each
        node says itself what it lacks: here only Ray is looked for.

        Raises:
            MissingCredentials: packages, weights or LoRAs are not here. InvalidRequest: a wrong key in `extra`.
        """
        settings = of_request(request.extra)
        weights = cast("Weights", offer.weights)
        if weights.cluster:
            connecting.require(offer.name, ClusterOptions(weights.cluster))
        if weights.is_here:
            require(weights, offer.model)
            loras.located(loras.asked(weights, request, settings.lora_experts), offer.name)
        return Admission(asking.size_problem(request, offer))

    def outlook(self, endpoint: Endpoint, request: Request, offer: Offer) -> tuple[str, ...]:
        """Where the weights would lie by the memory that is free now, or that they would not fit; nothing once models are loaded,
        which make room for each other.
        """
        cluster, options = split(endpoint.options, endpoint.name)
        weights = cast("Weights", offer.weights)
        if cluster is not None or not weights.memory or self._engines:
            return ()
        settings = of_request(request.extra, of_endpoint(options, endpoint.name, NAMES))
        try:
            told = placing.foreseen(weights, endpoint.device, settings.placement, self._free())
        except VidorchError as error:
            told = error.message.partition(" Nothing was made")[0]
        return (f"{offer.name}: {told}",) if told else ()

    async def prepare(self, context: Context, request: Request, offer: Offer) -> Prepared:
        """Look at the weights, whether they are whole, and decode the inputs."""
        return Prepared(request, offer, await asyncio.to_thread(self._job, context, request, offer))

    def _job(self, context: Context, request: Request, offer: Offer) -> Job:
        weights, route = cast("Weights", offer.weights), context.route or asking.route_of(offer, request)
        if route is None:
            raise Unsupported(
                f"{offer.name} has no route for {request.task}. Nothing was made.", provider=PROVIDER
            )
        endpoint = context.endpoint
        cluster, options = split(endpoint.options, endpoint.name)
        settings = of_request(request.extra, of_endpoint(options, endpoint.name, NAMES))
        if cluster is None:
            found = folders.examine(require(weights, offer.model), offer.name)
            device = placing.device_of(endpoint.device)
            if settings.placement:
                placing.legal(settings.placement, device)
        else:
            connecting.require(offer.name, cluster)
            found, device = Found("", ""), ""  # a matter of the node that makes it
        weights = presets.laid(weights, settings.preset, here=cluster is None)
        laid = loras.asked(weights, request, settings.lora_experts)
        offer = replace(offer, weights=weights)
        asked = asking.ask(request, offer, route, settings)
        return Job(
            id=context.job_id,
            name=offer.name,
            found=found,
            weights=weights,
            pipeline=route.path,
            device=device,
            call=asked.call,
            given=asked.given,
            seed=request.seed if request.seed is not None else 0,
            fps=float(asking.fps_of(route)),
            frames=asked.frames,
            flow_shift=asking.shift_of(weights, settings, min(asked.call["width"], asked.call["height"])),
            loras=laid if cluster else loras.located(laid, offer.name),
            settings=settings,
            folder=str(context.folder),
        )

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        """Put the job into the queue of its device."""
        job: Job = prepared.body
        engine = self._engine_of(job, context.endpoint)
        news, remote_id = News(), f"local-{job.id}"
        self._works[remote_id] = _Work(job, engine, news)

        def tell() -> None:
            if not news.tell():
                engine.stop(job.id)

        engine.start(job, tell)
        return Accepted(remote_id)

    def _engine_of(self, job: Job, endpoint: Endpoint) -> Engine:
        cluster, _ = split(endpoint.options, endpoint.name)
        key = job.device if cluster is None else (cluster, endpoint.name, endpoint.device)
        if key not in self._engines:
            self._engines[key] = (
                self._make_engine(job.device)
                if cluster is None
                else self._make_pool(cluster, endpoint.name, endpoint.device)
            )
        return self._engines[key]

    def holds(self, remote_id: str) -> bool:
        """Whether that job is one of its own and not fetched yet."""
        return remote_id in self._works

    async def poll(self, remote_id: str) -> Polled:
        """How far it is, with what it is at in words."""
        work = self._works[remote_id]
        state = work.engine.state(work.job.id)
        if state is not None and state.ended is None:
            await work.news.wait()
            state = work.engine.state(work.job.id)
        if state is None:
            self._forget(remote_id)
            return gone()
        if isinstance(state.ended, Made):
            return Done(
                (Output(0, remote_id, seed=work.job.seed),),
                timings=state.ended.timings,
                notes=state.ended.notes,
            )
        if isinstance(state.ended, VidorchError):
            self._forget(remote_id)
            return cancelled() if state.stopped else Failed(state.ended)
        return Progress(
            "queued" if state.stage == "queued" else "running", state.fraction, state.eta, state.detail
        )

    async def fetch(self, output: Output, path: Path) -> None:
        """Write the frames as MP4, and let go of them once they are on disk."""
        work = self._works[output.ref]
        state = work.engine.state(work.job.id)
        if state is None or not isinstance(state.ended, Made):
            raise gone().error
        await asyncio.to_thread(_write, state.ended, work.job.fps, path)
        self._forget(output.ref)

    def cancel(self, remote_id: str) -> Cancelled:
        """Stop at the next step, at once while it waits."""
        work = self._works[remote_id]
        work.engine.stop(work.job.id)
        return Cancelled(stopped=True, charged=False)

    async def check(self, context: Context) -> Health:
        """See whether packages, options and device are there, and how much memory is free."""
        try:
            cluster, options = split(context.endpoint.options, context.endpoint.name)
            of_endpoint(options, context.endpoint.name, NAMES)
            if cluster is not None:
                return Health(True, await asyncio.to_thread(connecting.look, cluster, context.endpoint.name))
            if absent := [package for package in EXTRA if find_spec(package) is None]:
                return Health(False, f"{' and '.join(absent)} not installed: pip install 'vidorch[local]'")
            device = await asyncio.to_thread(placing.device_of, context.endpoint.device)
            free = await asyncio.to_thread(placing.free_memory, device)
        except VidorchError as error:
            return Health(False, str(error))
        return Health(True, f"{device}, {size_in_words(free)} free")

    async def aclose(self) -> None:
        """Stop everything at its next step and wait for that."""
        engines, self._engines = list(self._engines.values()), {}
        self._works.clear()
        for engine in engines:
            try:
                await asyncio.to_thread(engine.close)
            except RuntimeError:  # at the end of an interpreter no thread can be begun any more
                engine.close()

    def _forget(self, remote_id: str) -> None:
        work = self._works.pop(remote_id, None)
        if work is not None:
            work.engine.forget(work.job.id)


def _write(made: Made, fps: float, path: Path) -> None:
    from vidorch import media

    media.write_video(path, made.frames, fps=fps)
