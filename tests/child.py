"""What some tests run as a process of its own: `python -m tests.child NAME ARGUMENT...`, on the scripted provider."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

from tests import remote
from tests.engine.scripted import Scripted, catalog, offer, video
from vidorch import Client
from vidorch.contract import Accepted, Context, Done, Output, Polled, Prepared, Progress
from vidorch.offer import Offer
from vidorch.request import Request

ENDLESS: list[Any] = [Progress("running", 0.1)]


def client_of(provider: Scripted) -> Client:
    """A client on the scripted provider, in the home folder of the environment."""
    return Client(catalog=catalog(offer(min_poll=0.01)), providers={"test": provider})


def say(word: str) -> None:
    """Tell the test where we are."""
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def fork() -> None:
    """Makes a clip, forks with the loop and ledger open, makes one in the child and another in the parent."""
    client = client_of(Scripted())
    before = client.submit("before", model="test/basic")
    before.wait()
    ours = {thread.name for thread in threading.enumerate()}
    child = os.fork()
    if child == 0:
        made = client.generate("in the child", model="test/basic")
        say(f"child made {made.clip.path is not None and made.clip.path.is_file()}")
        say(f"child sees {before.state} {before.wait().run_id == before.id}")
        client.close()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    say(f"child ended {os.waitstatus_to_exitcode(status)}")
    say(f"parent goes on {client.generate('after', model='test/basic').clip.path is not None}")
    say(
        f"parent sees {len(client.jobs())} jobs, threads kept {ours <= {thread.name for thread in threading.enumerate()}}"
    )
    client.close()


def leave() -> None:
    """Ends while a job is at work, without a word to the client."""
    client = client_of(Scripted(ENDLESS))
    client.submit("endless", model="test/basic")
    say("submitted")


class StopsAt(Scripted):
    """Says when a job has come to a state, and stays there for ever."""

    def __init__(self, state: str) -> None:
        super().__init__(ENDLESS if state == "running" else [Done((Output(0, "r"),))])
        self.state = state
        self.looks = 0

    async def prepare(self, context: Context, request: Request, offer: Offer) -> Prepared:
        if self.state == "uploading":
            await self._stay()
        return await super().prepare(context, request, offer)

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        if self.state == "sending":
            await self._stay()
        return await super().submit(context, prepared)

    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        self.looks += 1
        if self.state == "accepted" or (self.state == "running" and self.looks > 1):
            await self._stay()
        return await super().poll(context, accepted)

    async def fetch(self, context: Context, output: Output, path: Path) -> None:
        video(path)
        if self.state == "downloading":
            await self._stay()

    async def _stay(self) -> None:
        import asyncio

        say(self.state)
        await asyncio.Event().wait()


def stay(state: str, output: str) -> None:
    """Starts a job, brings it to `state`, says so, and waits to be killed."""
    client_of(StopsAt(state)).generate("x", model="test/basic", output=output)


def hosted(home: str, latency: str = "0.2") -> Client:
    """A client on the vendor that remembers, whose books and whose ledger lie in `home`."""
    vendor = remote.Remote(
        remote.Books(Path(home) / "vendor.db"), lambda *_: remote.Fate(latency=float(latency))
    )
    return Client(home=home, catalog=remote.catalog(min_poll=0.01), providers={"remote": vendor})


def leave_hosted(home: str) -> None:
    """Ends while a job is at work at its vendor, without a word to the client."""
    say(hosted(home, "0.5").submit("a ball", model="north/exact", seed=1).id)


def leave_while_waiting(home: str) -> None:
    """Waits for a clip on a worker thread, and ends meanwhile."""
    client = hosted(home, "3600")
    begun = threading.Event()
    threading.Thread(
        target=lambda: client.generate("a ball", model="north/exact", on_progress=lambda _: begun.set()), daemon=True
    ).start()  # fmt: skip
    begun.wait(30)
    say("waiting")


def order(home: str) -> None:
    """What a worker process does: asks for the clip of an order."""
    say(str(hosted(home).generate("a ball", model="north/exact", key="order-1").cost))


def spawn(home: str) -> None:
    """Has a client at work itself, and starts two workers that ask for the same, each with clients of their own."""
    import multiprocessing

    with hosted(home) as client:
        run = client.submit("a ball", model="north/exact", key="order-1")
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=order, args=(home,)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        say(f"{run.wait().cost} {[worker.exitcode for worker in workers]}")


def interrupt(home: str) -> None:
    """Is interrupted (by the signal of Ctrl-C) while it waits for a clip."""
    import signal

    client = hosted(home, "3600")
    at_work = threading.Event()
    threading.Thread(
        target=lambda: (at_work.wait(30), os.kill(os.getpid(), signal.SIGINT)), daemon=True
    ).start()  # fmt: skip
    try:
        client.generate(
            "a ball",
            model="north/exact",
            on_progress=lambda one: at_work.set() if one.stage == "running" else None,
        )
    except KeyboardInterrupt as error:
        say(" ".join(error.__notes__))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
