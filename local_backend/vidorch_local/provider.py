"""The `local` provider: models that run on this machine.

An offer with weights (`offer.weights`) is a video model that torch and diffusers run, from a folder; one without is the model
inside the package, `local/mini`. Each clip is made on a thread and dies with the process; it costs nothing but electricity.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from vidorch.contract import (
    Accepted,
    Admission,
    Cancelled,
    Context,
    Endpoint,
    Health,
    Output,
    Polled,
    Prepared,
    Provider,
)
from vidorch.offer import Offer
from vidorch.request import Request
from vidorch_local.backend import PROVIDER, Backend, gone
from vidorch_local.built_in import BuiltIn
from vidorch_local.diffusion.backend import Diffusion

__all__ = ["Local"]


class Local(Provider):
    """Runs the built-in model on the CPU of this process, and open-weight models on its devices or on a Ray cluster.

    Args:
        diffusion: what runs open-weight models.
    """

    name: ClassVar[str] = PROVIDER

    def __init__(self, diffusion: Diffusion | None = None) -> None:
        self._built_in = BuiltIn()
        self._diffusion = diffusion or Diffusion()

    def admit(self, request: Request, offer: Offer) -> Admission:
        """Whether the model can do it, and whether what it needs is here."""
        return self._of(offer).admit(request, offer)

    def outlook(self, endpoint: Endpoint, request: Request, offer: Offer) -> tuple[str, ...]:
        """Where the weights of a model would lie."""
        return () if offer.weights is None else self._diffusion.outlook(endpoint, request, offer)

    async def prepare(self, context: Context, request: Request, offer: Offer) -> Prepared:
        """Decode the inputs and see to it that the weights can be used."""
        return await self._of(offer).prepare(context, request, offer)

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        """Hand the work to a thread."""
        return await self._of(prepared.offer).submit(context, prepared)

    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        """How far it is; waits up to a tenth of a second for news."""
        backend = self._with(accepted.remote_id)
        return gone() if backend is None else await backend.poll(accepted.remote_id)

    async def fetch(self, context: Context, output: Output, path: Path) -> None:
        """Write the frames as MP4."""
        backend = self._with(output.ref)
        if backend is None:
            raise gone().error
        await backend.fetch(output, path)

    async def cancel(self, context: Context, accepted: Accepted) -> Cancelled:
        """Stop at the next denoising step."""
        backend = self._with(accepted.remote_id)
        return (
            Cancelled(stopped=True, charged=False) if backend is None else backend.cancel(accepted.remote_id)
        )

    async def check(self, context: Context) -> Health:
        """See whether the models of an endpoint could run."""
        configured = context.endpoint.device is not None or context.endpoint.options
        return await (self._diffusion if configured else self._built_in).check(context)

    async def aclose(self) -> None:
        """Stop everything at its next step."""
        await self._built_in.aclose()
        await self._diffusion.aclose()

    def _of(self, offer: Offer) -> Backend:
        return self._built_in if offer.weights is None else self._diffusion

    def _with(self, remote_id: str) -> Backend | None:
        backends: tuple[Backend, ...] = (self._built_in, self._diffusion)
        return next((backend for backend in backends if backend.holds(remote_id)), None)
