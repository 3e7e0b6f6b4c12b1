"""How long a write to the ledger takes until it is on disk, by one process and by eight, and what a hundred thousand jobs change.

    python -m benchmarks.ledger [commit] [processes] [shared] [size] [--moves 1000] [--jobs 100000] [--latency 0.5]

A write is timed from handing a move to its future being done, on a file with `synchronous=FULL`. Beside it stands what SQLite
alone takes on the same disk at that moment for one row: nothing that is on disk can be faster than that. `shared` sets PostgreSQL
beside it: a server of its own on the same disk, with its durable defaults, reached over the loopback as it is, and with so many
milliseconds more for each way there and back.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import socket
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from tests.ledger.rows import NOW, job_row, run_row
from tests.postgres import Server, programs
from vidorch.budget import Budget
from vidorch.databases import DatabaseUrl
from vidorch.errors import LedgerUnavailable
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.moves import State
from vidorch.result import Job

BUDGET = Budget(1_000_000, "spring", "day")
WAY = (State.UPLOADING, State.SENDING, State.ACCEPTED, State.DOWNLOADING, State.SETTLED)
AGAIN = 15
DURABLE = ("listen_addresses=127.0.0.1", "shared_buffers=128MB")
"""A server as it comes: what is committed is on disk."""


def part(values: list[float], share: float) -> float:
    """The value that `share` of them do not pass."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def row(name: str, values: list[float]) -> str:
    """Milliseconds, as a line of a table."""
    return (
        f"| {name} | {part(values, 0.5):.2f} | {part(values, 0.99):.2f} | {max(values):.1f} | {len(values)} |"
    )


class Bare:
    """SQLite alone: one row changed and committed, in WAL mode with `synchronous=FULL`."""

    def __init__(self, path: Path, busy: float = 30.0) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=busy)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("CREATE TABLE IF NOT EXISTS one (id INTEGER PRIMARY KEY, text TEXT)")
        self._connection.execute("INSERT OR IGNORE INTO one VALUES (1, '')")
        self._turn = os.getpid() * 1_000

    def commit(self) -> float:
        """Milliseconds for one."""
        self._turn += 1  # a row that does not change is not written
        began = time.perf_counter()
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("UPDATE one SET text = ? WHERE id = 1", (f"{self._turn:09}" * 20,))
        self._connection.execute("COMMIT")
        return (time.perf_counter() - began) * 1e3


def a_job(ledger: Ledger, name: str) -> Job:
    """A reserved job under a budget."""
    run = run_row(f"run-{name}")
    rows = [job_row(f"job-{name}", f"run-{name}", created_at=NOW)]
    return ledger.record(run, rows, budgets=[BUDGET], at=NOW).result()[0]


def commits(moves: int) -> None:
    """One process, one write at a time, taking turns with SQLite alone."""
    with tempfile.TemporaryDirectory() as folder:
        ledger, bare = Ledger(Path(folder) / "ledger.db"), Bare(Path(folder) / "bare.db")
        seen: list[float] = []
        alone: list[float] = []
        _one(ledger, "warm", [], lambda: None)
        for number in range(moves // 4):
            _one(ledger, f"{number}", seen, lambda: alone.append(bare.commit()))
        ledger.close()
    print("## One process\n\n| ms | p50 | p99 | longest | n |\n|---|---|---|---|---|")
    print(row("a step of a job, until it is on disk", seen))
    print(row("SQLite alone, one row, taking turns with it", alone))


def _one(ledger: Ledger, name: str, seen: list[float], between: Callable[[], None]) -> None:
    """One job's life as the engine lives it; the milliseconds of each step that is waited for go to `seen`."""
    between()
    began = time.perf_counter()
    job = a_job(ledger, name)
    seen.append((time.perf_counter() - began) * 1e3)
    for target in WAY:
        changes = {"remote_id": f"r-{name}"} if target is State.ACCEPTED else {}
        cost = Decimal("1.5") if target is State.SETTLED else None
        rides = target in (State.UPLOADING, State.DOWNLOADING)
        if not rides:
            between()
        began = time.perf_counter()
        future = ledger.move(job, target, NOW, changes=changes, cost=cost)
        if rides:
            job = _after(job, target)
            continue
        job = future.result()
        seen.append((time.perf_counter() - began) * 1e3)


def _after(job: Job, target: State) -> Job:
    from vidorch.frozen import changed

    return changed(job, state=target.value, version=job.version + 1)


# -- many processes -----------------------------------------------------------------------------------------------------------


def _writer(path: Path | DatabaseUrl, number: int | str, lives: int, ready: Any, results: Any) -> None:
    ledger = Ledger(path)
    seen: list[float] = []
    troubles: list[str] = []
    ready.wait()
    began = time.process_time()
    for life in range(lives):
        try:
            _one(ledger, f"{number}-{life}", seen, lambda: None)
        except LedgerUnavailable as error:
            troubles.append(str(error))
    ledger.close()
    results.put((seen, troubles, time.process_time() - began))


def _bare_writer(path: Path, number: int, commits: int, ready: Any, results: Any) -> None:
    bare = Bare(path)
    ready.wait()
    seen: list[float] = []
    troubles: list[str] = []
    for _ in range(commits):
        try:
            seen.append(bare.commit())
        except sqlite3.OperationalError as error:
            troubles.append(str(error))
    results.put((seen, troubles, 0.0))


def processes(moves: int, count: int) -> None:
    """Several of them, each writing as fast as it can."""
    print(f"\n## {count} processes at once\n\n| ms | p50 | p99 | longest | n |\n|---|---|---|---|---|")
    for name, writer, turns in (
        ("a step of a job, until it is on disk", _writer, moves // 4),
        ("SQLite alone, one row, with its own waiting", _bare_writer, moves),
    ):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ledger.db"
            if writer is _writer:
                Ledger(path).close()
            else:
                Bare(path)
            context = multiprocessing.get_context("spawn")
            ready, results = context.Barrier(count), context.Queue()
            workers = [
                context.Process(target=writer, args=(path, number, turns, ready, results))
                for number in range(count)
            ]
            for worker in workers:
                worker.start()
            told = [results.get() for _ in workers]
            for worker in workers:
                worker.join()
        print(row(name, [one for seen, _, _ in told for one in seen]))
        troubles = [trouble for _, found, _ in told for trouble in found]
        print(
            f"| errors ({troubles[0] if troubles else 'none: never `database is locked`'}) | | | | {len(troubles)} |"
        )


# -- several machines' ---------------------------------------------------------------------------------------------------------


class FarAway:
    """A server that is further off: each answer of it comes so many milliseconds later."""

    def __init__(self, place: DatabaseUrl, milliseconds: float) -> None:
        self._behind = place.settings["host"], int(place.settings["port"])
        self._seconds = milliseconds / 1e3
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.place = DatabaseUrl({**place.settings, "port": str(self._listener.getsockname()[1])})
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._behind)
                for end in (near, far):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for source, sink, later in ((near, far, 0.0), (far, near, self._seconds)):
                    threading.Thread(target=self._pass_on, args=(source, sink, later), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, later: float) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if later:
                    time.sleep(later)
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let nobody through any more."""
        self._listener.close()


class BareServer:
    """PostgreSQL alone: one row changed and committed."""

    def __init__(self, place: DatabaseUrl) -> None:
        self._connection = psycopg.connect(**place.settings, autocommit=True)
        self._connection.execute("DROP TABLE IF EXISTS one")
        self._connection.execute("CREATE TABLE one (id INTEGER PRIMARY KEY, text TEXT)")
        self._connection.execute("INSERT INTO one VALUES (1, '')")
        self._turn = 0

    def commit(self) -> float:
        """Milliseconds for one, in one way there and back."""
        self._turn += 1
        began = time.perf_counter()
        self._connection.execute("UPDATE one SET text = %s WHERE id = 1", (f"{self._turn:09}" * 20,))
        return (time.perf_counter() - began) * 1e3

    def close(self) -> None:
        """Leave nothing behind."""
        self._connection.execute("DROP TABLE one")
        self._connection.close()


def shared(moves: int, count: int, latency: float) -> None:
    """The same on a file and on a server, by one process and by several."""
    there = programs()
    if there is None:
        print("\n## A shared ledger\n\nThere is no PostgreSQL here.")
        return
    server = Server(there, DURABLE)
    away = FarAway(server.at("postgres"), latency)
    try:
        with tempfile.TemporaryDirectory() as folder:
            places = {
                "SQLite": Path(folder) / "ledger.db", "PostgreSQL": server.at("postgres"),
                f"PostgreSQL, {latency:g} ms away": away.place,
            }  # fmt: skip
            bare = BareServer(server.at("postgres"))
            alone = [bare.commit() for _ in range(moves)]
            bare.close()
            print(f"\n## A shared ledger\n\n{server.version()}\n")
            print(
                "| a step of a job, until it is on disk | processes | jobs/s | steps/s | ms, p50 | p99 | longest | n | "
                "CPU ms of a job |"
            )
            print("|---|---|---|---|---|---|---|---|---|")
            for many in (1, count):
                for name, place in places.items():
                    seen, seconds, cpu, troubles = _side_by_side(place, many, moves // 4, f"{name}{many}")
                    jobs = many * (moves // 4)
                    print(
                        f"| {name} | {many} | {jobs / seconds:.0f} | {len(seen) / seconds:.0f} | {part(seen, 0.5):.2f} | "
                        f"{part(seen, 0.99):.2f} | {max(seen):.1f} | {len(seen)} | "
                        f"{cpu / jobs * 1e3:.1f} |{f' {troubles}' if troubles else ''}"
                    )
            print(
                f"| PostgreSQL alone, one row | 1 | | {1e3 / statistics.mean(alone):.0f} | {part(alone, 0.5):.2f} | "
                f"{part(alone, 0.99):.2f} | {max(alone):.1f} | {len(alone)} | |"
            )
    finally:
        away.close()
        server.close()


def _side_by_side(
    place: Path | DatabaseUrl, count: int, lives: int, name: str
) -> tuple[list[float], float, float, list[str]]:
    """Milliseconds of each step, seconds that all of it took, seconds of CPU, and what went wrong."""
    Ledger(place).close()
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(count + 1), context.Queue()
    workers = [
        context.Process(target=_writer, args=(place, f"{name}-{number}", lives, ready, results))
        for number in range(count)
    ]
    for worker in workers:
        worker.start()
    ready.wait()
    began = time.perf_counter()
    told = [results.get() for _ in workers]
    seconds = time.perf_counter() - began
    for worker in workers:
        worker.join()
    seen = [one for times, _, _ in told for one in times]
    return seen, seconds, sum(cpu for _, _, cpu in told), [one for _, found, _ in told for one in found]


# -- a large ledger -----------------------------------------------------------------------------------------------------------

_MANY = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {last})
"""


def fill(path: Path, jobs: int) -> None:
    """So many jobs that were settled in the last hundred days, each with a run, an output, six events and two reservations."""
    ledger = Ledger(path)
    ledger.set_budget(BUDGET, NOW).result()
    ledger.close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    budget = connection.execute("SELECT id FROM budgets").fetchone()[0]
    run, job = run_row(), job_row()
    many = _MANY.format(last=jobs - 1)
    at = f"({NOW} - {100 * 86_400.0} + i * {100 * 86_400.0} / {jobs})"
    ended = f"({at} + 60)"
    state = "CASE i % 20 WHEN 7 THEN 'failed' ELSE 'settled' END"
    changed = {
        "runs": (run, {"id": "'run_' || printf('%016x', i * 7919)", "state": "'finished'", "created_at": at, "updated_at": at,
                       "ended_at": ended, "cost": "1500000", "key": "CASE i % 3 WHEN 0 THEN 'key-' || i END"}),
        "jobs": (job, {"id": "'job_' || printf('%016x', i * 7919)", "run_id": "'run_' || printf('%016x', i * 7919)", "state": state,  # noqa: E501
                       "version": "6", "remote_id": "'r-' || i", "token": "'t-' || i", "model": "'model-' || (i % 5)",
                       "cost": "1500000", "created_at": at, "updated_at": ended, "sending_at": at, "accepted_at": at,
                       "downloading_at": f"({at} + 30 + i % 29)", "ended_at": ended}),
    }  # fmt: skip
    connection.execute("BEGIN")
    for table, (plain, columns) in changed.items():
        values = {**{name: _literal(value) for name, value in plain.items()}, **columns}
        names = ", ".join(f'"{name}"' for name in values)
        connection.execute(f"INSERT INTO {table} ({names}) {many} SELECT {', '.join(values.values())} FROM n")
    connection.execute(
        "INSERT INTO outputs (id, run_id, job_id, number, state, uri, created_at) "
        "SELECT 'out' || id, run_id, id, 0, 'published', '/clips/' || id, ended_at FROM jobs"
    )
    for source, target in zip((None, "reserved", *WAY), ("reserved", *WAY), strict=False):
        connection.execute(
            "INSERT INTO events (run_id, job_id, at, kind, source, target, version) SELECT run_id, id, created_at, 'move', ?, ?, 0 FROM jobs",  # noqa: E501
            (source and str(source), str(target)),
        )
    for account, name in ((None, "call"), (budget, budget)):
        connection.execute(
            "INSERT INTO reservations (id, run_id, root_id, job_id, budget_id, scope, state, amount, settled, basis, period, created_at, "  # noqa: E501
            "updated_at) SELECT id || ?, run_id, run_id, id, ?, scope, 'settled', 3000000, 1500000, 'computed', "
            "date(created_at, 'unixepoch'), created_at, ended_at FROM jobs",
            (f"/{name}", account),
        )
    connection.execute(
        "INSERT INTO balances SELECT COALESCE(budget_id, root_id), period, 0, SUM(settled) FROM reservations GROUP BY 1, 2"
    )
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    os.sync()  # what filling it has left to write is not the measurement's


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    return "'" + str(value).replace("'", "''") + "'" if isinstance(value, str) else str(value)


@contextmanager
def filled(jobs: int) -> Iterator[Ledger]:
    """A ledger of so many ended jobs and twenty that are open."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        fill(path, jobs)
        ledger = Ledger(path)
        for number in range(20):
            a_job(ledger, f"open-{number}")
        yield ledger
        ledger.close()


def asked(ledger: Ledger, jobs: int) -> dict[str, Callable[[int], object]]:
    """What is asked of a ledger, by its name in the table."""
    middle = jobs // 2 // 3 * 3
    name = f"{middle * 7919:016x}"
    job = ledger.job(f"job_{name}")
    assert job is not None

    def life(turn: int) -> None:
        _one(ledger, f"{jobs}-{turn}-{time.perf_counter_ns()}", [], lambda: None)

    return {
        "a job's whole life (4 waited writes)": life,
        "run by id": lambda _: ledger.run(f"run_{name}"),
        "run by key": lambda _: ledger.run_by_key("default", f"key-{middle}"),
        "the newest 100 runs": lambda _: ledger.runs(),
        "waiting runs": lambda _: ledger.runs(state="waiting"),
        "runs that are open": lambda _: ledger.open_runs(),
        "the newest 100 jobs": lambda _: ledger.jobs(limit=100),
        "100 failed jobs": lambda _: ledger.jobs(state="failed", limit=100),
        "jobs that are unknown": lambda _: ledger.jobs(state="unknown"),
        "jobs that are open": lambda _: ledger.open_jobs(),
        "jobs of a run": lambda _: ledger.jobs(run_id=f"run_{name}"),
        "events of a run": lambda _: ledger.events(f"run_{name}"),
        "outputs of a run": lambda _: ledger.outputs(f"run_{name}"),
        "an id by its beginning": lambda _: ledger.find(f"job_{name[:14]}"),
        "an id by its end": lambda _: ledger.find(name[-6:]),
        "latencies of an offer": lambda _: ledger.latencies("fal", "model-1", task="text-to-video"),
        "what a call has spent": lambda _: ledger.spent(f"run_{name}"),
        "budgets": lambda _: ledger.budgets(NOW),
        "unknown jobs like one": lambda _: ledger.unknown_like(job),
        "ids that are claimed": lambda _: ledger.claimed("fal", "", [f"r-{one}" for one in range(20)]),
        "renew the leases of an owner": lambda _: (ledger.renew("nobody", NOW), ledger.flush()),
        "forget 20 runs": lambda turn: ledger.prune(NOW - (100 - (turn + 1) * 2000 / jobs) * 86_400, NOW),
    }  # fmt: skip


def size(jobs: int) -> None:
    """The same questions to a small ledger and to a large one."""
    few = 1_000
    seen: dict[int, dict[str, float]] = {}
    for count in (few, jobs):
        with filled(count) as ledger:
            seen[count] = {}
            for name, ask in asked(ledger, count).items():
                times = []
                for turn in range(AGAIN):
                    began = time.perf_counter()
                    ask(turn)
                    times.append((time.perf_counter() - began) * 1e3)
                seen[count][name] = statistics.median(times)
    print(f"\n## Size\n\n| ms, median | {few:,} jobs | {jobs:,} jobs |\n|---|---|---|")
    for name in seen[few]:
        print(f"| {name} | {seen[few][name]:.2f} | {seen[jobs][name]:.2f} |")


def main() -> None:
    """Measure what was named, or everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=["commit", "processes", "shared", "size", []])
    parser.add_argument("--moves", type=int, default=1_000, help="waited writes of each process")
    parser.add_argument("--processes", type=int, default=8, help="that write at once")
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument(
        "--latency", type=float, default=0.5, help="milliseconds to a server elsewhere, there and back"
    )
    arguments = parser.parse_args()
    parts = arguments.parts or ["commit", "processes", "shared", "size"]
    if "commit" in parts:
        commits(arguments.moves)
    if "processes" in parts:
        processes(arguments.moves, arguments.processes)
    if "shared" in parts:
        shared(arguments.moves, arguments.processes, arguments.latency)
    if "size" in parts:
        size(arguments.jobs)


if __name__ == "__main__":
    main()
