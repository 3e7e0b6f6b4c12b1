"""Webhooks of the jobs of a protocol server, posted when their time has come, as the vendor would."""

from __future__ import annotations

import threading
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from vidorch.errors import InvalidRequest
from vidorch.testing.servers.base import ProtocolServer, RemoteJob

__all__ = ["Postman"]

PAUSE = 0.2
"""Seconds between two looks at the jobs."""
TRIES = 3
"""Deliveries of one job, if nobody takes it. Vendors try longer: fal ten times within two hours."""


class Postman:
    """Lets jobs that asked for a webhook end in their time, looked at or not, and posts it.

    Args:
        forward_to: a URL that everything is posted to instead, with the query of the one that was asked for: a server on this
            machine, where the submit names a public one. tell: is given a line for each delivery.

    Raises:
        InvalidRequest: the vendor sends none.
    """

    def __init__(
        self,
        server: ProtocolServer,
        *,
        forward_to: str | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        if not server.sends_webhooks:
            raise InvalidRequest(
                f"{server.provider} sends no webhooks that are known. Allowed is fal, kling or replicate.",
                field="forward_to", value=forward_to, allowed="fal, kling or replicate",
            )  # fmt: skip
        self._server = server
        self._forward_to = forward_to
        self._tell = tell
        self._tries: dict[str, int] = {}

    def due(self) -> int:
        """Post what is due now, and give how many were taken.

        A delivery that is answered with anything but a success is made again by the next calls, three times in all.
        """
        taken = 0
        for job in list(self._server.jobs):
            url = self._server.webhook_of(job)
            if url and self._tries.get(job.id, 0) < TRIES and self._ended(job):
                taken += self._deliver(job, url)
        return taken

    def serve(self, closing: threading.Event) -> None:
        """Go on with that until `closing` is set."""
        while not closing.wait(PAUSE):
            self.due()

    def _ended(self, job: RemoteJob) -> bool:
        server = self._server
        with server.lock:
            if not job.over and server.now() - job.created >= job.fate.seconds:
                server.end(job, job.fate.ending)
            return job.over

    def _deliver(self, job: RemoteJob, url: str) -> bool:
        self._tries[job.id] = self._tries.get(job.id, 0) + 1
        if self._forward_to:
            url = urlunsplit(urlsplit(self._forward_to)._replace(query=urlsplit(url).query))
        where = url.partition("?")[0]  # the query holds the job's token
        try:
            status = self._server.deliver(job, url)
        except (OSError, ValueError, ImportError) as error:
            self._tell(f"webhook of {job.id} to {where}: {error}")
            return False
        self._tell(f"webhook of {job.id} to {where}: {status}")
        if not 200 <= status < 300:
            return False
        self._tries[job.id] = TRIES
        return True
