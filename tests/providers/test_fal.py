"""fal's queue."""

from __future__ import annotations

from collections.abc import Callable

from vidorch.testing import ProviderConformance
from vidorch.testing.servers import ProtocolServer, serve


class TestFal(ProviderConformance):
    model = "fal/kling-3.0-standard"
    asks = {"prompt": "a red ball rolling left", "duration": 5}

    def serve(self, clock: Callable[[], float]) -> ProtocolServer:
        return serve("fal", clock=clock, key=self.key)
