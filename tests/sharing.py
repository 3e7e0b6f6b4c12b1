"""Workers of several machines on one ledger: `python -m tests.sharing DO`. Where each is stands in its environment.

VIDORCH_LEDGER, VIDORCH_HOME   as for everybody
TEST_VENDOR                    base URL of the vendor's server
TEST_MACHINE, TEST_WRONG_BY    the name of its machine, and the seconds by which that one's clock is wrong
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import time
from types import SimpleNamespace
from typing import Any

if __name__ == "__main__":
    wrong_by, really = float(os.environ["TEST_WRONG_BY"]), time.time
    time.time = lambda: really() + wrong_by  # before anybody asks

from vidorch import Client, VidorchError
from vidorch.contract import Endpoint
from vidorch.engine import hosts

STUDIO: dict[str, Any] = {
    "family": "wan",
    "offer": [
        {
            "model": "wan-2.2", "endpoint": "openai", "provider": "openai", "title": "Wan 2.2", "vendor_model": "wan-2.2",
            "as_of": dt.date(2026, 11, 26), "path": "/v1/videos", "find": "list", "variables": ["OPENAI_API_KEY"], "min_poll": 0.01,
            "price": {"source": "our own hardware", "row": [{"per_second": "0.01"}]},
            "capabilities": {"durations": {"choices": [4]}, "resolutions": ["720p"], "aspect_ratios": ["16:9"]},
            "fields": {
                "prompt": {"to": "prompt"}, "size": {"to": "size", "form": "{}x{}"},
                "duration": {"to": "seconds", "type": "integer"},
            },
            "fixed": {"model": "wan-2.2"}, "routes": {"text-to-video": {}},
        }
    ],
}  # fmt: skip
ASKED: dict[str, Any] = {"prompt": "a red ball", "model": "openai/wan-2.2", "duration": 4, "max_cost": 1}


def client() -> Client:
    """A client as each of them makes it."""
    where = Endpoint("openai", "openai", base_url=os.environ["TEST_VENDOR"])
    return Client(catalog=STUDIO, endpoints={"openai": where}, private_hosts=["127.0.0.1"])


def say(word: object) -> None:
    """Tell the test."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def submit() -> None:
    """Submits, says which run it is, and stays until it is told to go, or killed."""
    here = client()
    say(here.submit(**ASKED, output="clips/").id)
    sys.stdin.readline()
    here.close()


def resume() -> None:
    """Takes up what nobody carries; says how many, and where their clips are."""
    here = client()
    taken = here.resume()
    say(len(taken))
    for run in taken:
        say(run.wait().clip.path)
    here.close()


def join() -> None:
    """Makes the call of an order, whoever else makes it; says what it paid."""
    here = client()
    try:
        result = here.generate(**ASKED, key="order-1")
        say(result.cost - result.paid_earlier)
    except VidorchError as error:
        say(type(error).__name__)
    here.close()


if __name__ == "__main__":
    hosts.socket = SimpleNamespace(gethostname=lambda: os.environ["TEST_MACHINE"])  # type: ignore[assignment]
    globals()[sys.argv[1]]()
