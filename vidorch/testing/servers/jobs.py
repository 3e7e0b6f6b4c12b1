"""What a protocol server knows: jobs and what becomes of them, files, and what it was told to do wrong. No socket is in it."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import policy
from email.parser import BytesParser
from typing import Any, TypeVar

from vidorch.errors import InvalidRequest, shown
from vidorch.testing.clips import clip_bytes, still_bytes
from vidorch.testing.servers.faults import Fault, fault_of

__all__ = ["Answer", "Ask", "Fate", "FormPart", "Jobs", "RemoteJob", "VendorError", "on"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class FormPart:
    """One field of a form, as it came."""

    name: str
    value: bytes
    filename: str | None = None
    media_type: str = ""

    @property
    def text(self) -> str:
        """The value as text."""
        return self.value.decode()


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, as it came.

    Attributes:
        op: what it asks for ("submit", "poll", ...). params: from the path. headers: names in lower case.
        host: scheme, host and port that it was sent to. pairs: the query as it came, names repeated where they were.
    """

    op: str
    method: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    host: str
    pairs: tuple[tuple[str, str], ...] = ()

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.body)

    @property
    def media_type(self) -> str:
        """Such as `"application/json"`."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def form(self) -> list[FormPart]:
        """The fields of a multipart form.

        Raises:
            ValueError: the body is none.
        """
        if self.media_type != "multipart/form-data":
            raise ValueError("not a form")
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        message = BytesParser(policy=policy.HTTP).parsebytes(head + self.body)
        parts = []
        for part in message.iter_parts():
            name = part.get_param("name", header="content-disposition")
            value = part.get_payload(decode=True)
            assert isinstance(value, bytes)
            has_type = part.get("content-type") is not None
            parts.append(
                FormPart(str(name), value, part.get_filename(), part.get_content_type() if has_type else "")
            )
        return parts


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply: `json` or `body`."""

    status: int = 200
    json: Any = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"

    def content(self) -> bytes:
        """The bytes of it."""
        if self.body is not None:
            return self.body
        return b"" if self.json is None else json.dumps(self.json, default=str).encode()


class VendorError(Exception):
    """Raised by a handler: answered in the vendor's own shape (`ProtocolServer.error`)."""

    def __init__(self, status: int, code: str = "", message: str = "", **more: Any) -> None:
        super().__init__(message or code or str(status))
        self.status = status
        self.code = code
        self.message = message
        self.more = more


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a job.

    Attributes:
        ending: "done", "failed", "refused" (withheld after it was made), "cancelled", or a word of the vendor's own.
        looks: polls that find it unfinished. seconds: real time that it takes besides.
        code, message: the vendor's own, of a failure. filtered: how many of its clips are withheld.
        content: bytes of the files instead of real clips. progress: what each unfinished poll tells, 0 to 1.
        rejected: the submit itself is answered with this error of the vendor's. more: what only one vendor's server knows.
    """

    ending: str = "done"
    looks: int = 1
    seconds: float = 0.0
    code: str = ""
    message: str = ""
    filtered: int = 0
    content: bytes | None = None
    progress: tuple[float, ...] = ()
    rejected: VendorError | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class RemoteJob:
    """One job that the server took. Somebody pays for it.

    Attributes:
        body: what was asked for, as the server understood it. path: where it was sent to. files: that came with it.
        looked: polls so far. state: "queued", "running", or how it ended. outputs: URLs of what was made.
    """

    id: str
    body: Any
    path: str
    fate: Fate
    created: float
    files: list[FormPart] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    looked: int = 0
    state: str = "queued"
    outputs: list[str] = field(default_factory=list)
    ended: float | None = None
    cancelled: bool = False
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether it ended."""
        return self.state not in ("queued", "running")

    @property
    def progress(self) -> float:
        """0 to 1."""
        if self.over:
            return 1.0
        if self.fate.progress:
            return self.fate.progress[min(max(self.looked, 1), len(self.fate.progress)) - 1]
        return self.looked / (self.fate.looks + 1)


def on(method: str, pattern: str, op: str) -> Callable[[F], F]:
    """Mark a method as the handler of a path: `{id}` is one segment, `{path+}` is one or more."""

    def mark(handler: F) -> F:
        routes = getattr(handler, "_routes", [])
        handler._routes = [*routes, (method, _compiled(pattern), op)]  # type: ignore[attr-defined]
        return handler

    return mark


def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)(\+?)\}", pattern)
    text = re.escape(parts[0])
    for name, many, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        text += f"(?P<{name}>{'.+?' if many else '[^/]+?'}){re.escape(literal)}"
    return re.compile(text)


class Jobs:
    """What a vendor does with what it is asked: it takes jobs, moves them on, and keeps their files.

    Args:
        key: the credential that is taken. clock: seconds since 1970.

    Attributes:
        jobs: every job that was taken, in order. requests: every request that came whole.
        default: what becomes of a job unless `next` says otherwise. weather: what goes wrong with a request for
            something (such as "submit") unless `fail` says so. leaks: requests for finished files that carried a
            credential.
    """

    size: tuple[int, int] = (128, 72)
    """Pixels of the clips, whatever was asked for: real ones would take long to make."""

    def __init__(self, key: str, clock: Callable[[], float] = time.time) -> None:
        self.key = key
        self.jobs: list[RemoteJob] = []
        self.requests: list[Ask] = []
        self.leaks: list[Ask] = []
        self.uploads: dict[str, FormPart] = {}
        self.default = Fate()
        self.now = clock
        self.lock = threading.RLock()
        self.weather: Callable[[str], Fault | None] = lambda op: None
        self._fates: deque[Fate] = deque()
        self._faults: dict[str, deque[Fault]] = {}
        self._files: dict[str, tuple[bytes, str, float | None]] = {}
        self._ids = itertools.count(1)
        self._handlers = [
            (method, pattern, op, getattr(self, name))
            for name in dir(type(self))
            for method, pattern, op in getattr(getattr(type(self), name), "_routes", ())
        ]
        self._handlers.sort(
            key=lambda handler: handler[1].pattern.count(">.+?)")
        )  # what takes any path comes last

    @property
    def files_url(self) -> str:
        """Base URL of finished files."""
        raise NotImplementedError

    # -- for tests --------------------------------------------------------------------------------------------------

    def next(self, *fates: Fate, **more: Any) -> None:
        """Say what becomes of the jobs that come next: `next(ending="failed", code="...")`, or several `Fate`s."""
        with self.lock:
            self._fates.extend(fates or (Fate(**more),))

    def fail(self, op: str, *faults: str | Fault, times: int = 1) -> None:
        """Let the next requests for `op` go wrong, in this order, each `times` times.

        Raises:
            InvalidRequest: no such fault, or nothing here is called so.
        """
        ops = {known for _, _, known, _ in self._handlers} | {"download"}
        if op not in ops:
            raise InvalidRequest(
                f"op={shown(op)} is not asked of {type(self).__name__}. Allowed is one of {', '.join(sorted(ops))}.",
                field="op", value=op, allowed=", ".join(sorted(ops)),
            )  # fmt: skip
        with self.lock:
            line = self._faults.setdefault(op, deque())
            line.extend(fault_of(fault) for fault in faults for _ in range(times))

    def pending(self, op: str) -> int:
        """How many faults of `op` have not happened yet."""
        with self.lock:
            return len(self._faults.get(op, ()))

    def keeps_silent(self, op: str) -> bool:
        """Whether one of the faults of `op` that have not happened yet leaves its caller without a whole reply."""
        with self.lock:
            return any(fault.kind in ("silent", "drip") for fault in self._faults.get(op, ()))

    def heal(self) -> None:
        """Forget all faults that have not happened yet."""
        with self.lock:
            self._faults.clear()

    def count(self, op: str) -> int:
        """How many requests for `op` came."""
        with self.lock:
            return sum(ask.op == op for ask in self.requests)

    # -- for the vendors' own servers ---------------------------------------------------------------------------------

    def authorized(self, ask: Ask) -> bool:
        """Whether a request carries the credential. Here: `Authorization: Bearer KEY`."""
        return ask.headers.get("authorization") == f"Bearer {self.key}"

    def error(self, status: int, code: str, message: str, **more: Any) -> Answer:
        """An error in the vendor's own shape."""
        raise NotImplementedError

    def usual_code(self, status: int) -> str:
        """The vendor's own code that goes with a status, for faults that name none."""
        return ""

    def new_id(self, prefix: str = "job") -> str:
        """An id that no other has; the same in every run."""
        return f"{prefix}-{next(self._ids):06d}"

    def take(
        self, ask: Ask, body: Any, *, job_id: str | None = None, files: list[FormPart] | None = None
    ) -> RemoteJob:
        """Take a job: from here on somebody pays for it.

        Raises:
            VendorError: its fate is to be rejected.
        """
        with self.lock:
            fate = self._fates.popleft() if self._fates else self.default
            if fate.rejected is not None:
                raise fate.rejected
            job = RemoteJob(
                job_id or self.new_id(),
                body,
                ask.path,
                fate,
                self.now(),
                list(files or ()),
                dict(ask.headers),
            )
            self.jobs.append(job)
            return job

    def find(self, job_id: str) -> RemoteJob | None:
        """The job of this id."""
        with self.lock:
            return next((job for job in self.jobs if job.id == job_id), None)

    def look(self, job: RemoteJob) -> RemoteJob:
        """Let a poll move the job on: queued, running, then its end."""
        with self.lock:
            if job.over:
                return job
            job.looked += 1
            if job.looked > job.fate.looks and self.now() - job.created >= job.fate.seconds:
                self.end(job, job.fate.ending)
            elif job.looked > 1 or job.fate.looks <= 1:
                job.state = "running"
            return job

    def end(self, job: RemoteJob, how: str) -> None:
        """End it; of a job that is done the files are made."""
        job.state = how
        job.ended = self.now()
        if how == "done":
            job.outputs = self.made(job)

    def made(self, job: RemoteJob) -> list[str]:
        """Make the files of a job that is done, and give their URLs."""
        count = self.samples(job) - job.fate.filtered
        return [self.put(self.clip(job, number), self.media_type(job)) for number in range(count)]

    def samples(self, job: RemoteJob) -> int:
        """How many clips a job makes."""
        return 1

    def seconds(self, job: RemoteJob) -> float:
        """How long its clips are."""
        return 5.0

    def sounds(self, job: RemoteJob) -> bool:
        """Whether its clips have sound."""
        return False

    def media_type(self, job: RemoteJob) -> str:
        """Of its files."""
        return "video/mp4"

    def clip(self, job: RemoteJob, number: int) -> bytes:
        """The bytes of one file of a job."""
        if job.fate.content is not None:
            return job.fate.content
        seed = self.jobs.index(job) + number
        if self.media_type(job).startswith("image/"):
            return still_bytes(self.size, seed=seed)
        return clip_bytes(
            self.size, self.seconds(job), seed=seed, sound=self.sounds(job), name=f"{job.id}/{number}"
        )

    def put(self, content: bytes, media_type: str = "video/mp4", *, expires_at: float | None = None) -> str:
        """Publish a file, and give its URL: with a signature in its query, as vendors do."""
        with self.lock:
            suffix = {"video/mp4": ".mp4", "image/png": ".png", "image/jpeg": ".jpg"}.get(media_type, "")
            name = f"{next(self._ids):06d}{suffix}"
            self._files[name] = (content, media_type, expires_at)
            return f"{self.files_url}/files/{name}?signature=test-signature"

    def expire(self, url: str) -> None:
        """Let a finished file's URL be over."""
        name = url.partition("?")[0].rpartition("/")[2]
        with self.lock:
            content, media_type, _ = self._files[name]
            self._files[name] = (content, media_type, 0.0)

    def stamp(self, at: float | None = None) -> str:
        """A time as vendors write it: `2026-11-26T01:02:03.456Z`."""
        moment = datetime.fromtimestamp(self.now() if at is None else at, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    # -- what is asked ------------------------------------------------------------------------------------------------

    def _asked(self, method: str, path: str) -> tuple[str, Callable[[Ask], Answer], dict[str, str]]:
        """What a request is for, who answers it, and what its path says."""
        known = False
        for verb, pattern, op, handler in self._handlers:
            if (match := pattern.fullmatch(path)) is not None:
                known = True
                if verb == method:
                    return op, handler, match.groupdict()
        return "", self._no_such_method if known else self._no_such_path, {}

    def _no_such_path(self, ask: Ask) -> Answer:
        return self.error(404, "", f"There is no {ask.path}.")

    def _no_such_method(self, ask: Ask) -> Answer:
        return self.error(405, "", f"{ask.path} is not asked for by {ask.method}.")

    def _answer(self, ask: Ask, handler: Callable[[Ask], Answer]) -> Answer:
        try:
            if ask.op == "download":
                return handler(ask)
            if ask.op and not self.public(ask) and not self.authorized(ask):
                return self.unauthorized(ask)
            return handler(ask)
        except VendorError as error:
            return self.error(error.status, error.code, error.message, **error.more)

    def public(self, ask: Ask) -> bool:
        """Whether a request needs no credential."""
        return False

    def unauthorized(self, ask: Ask) -> Answer:
        """What a wrong or missing credential is answered with."""
        return self.error(401, "", "The credential is missing or wrong.")

    def _file(self, ask: Ask) -> Answer:
        if any(name in ask.headers for name in ("authorization", "x-goog-api-key", "x-api-key")):
            with self.lock:
                self.leaks.append(ask)
        content, media_type, expires_at = self._files.get(ask.path.rpartition("/")[2], (None, "", None))
        if content is None:
            return Answer(404, body=b"<Error><Code>NoSuchKey</Code></Error>", media_type="application/xml")
        if expires_at is not None and self.now() >= expires_at:
            return Answer(403, body=b"<Error><Code>AccessDenied</Code></Error>", media_type="application/xml")
        return Answer(body=content, media_type=media_type)

    def _fault(self, op: str) -> Fault | None:
        with self.lock:
            line = self._faults.get(op)
            return line.popleft() if line else self.weather(op)
