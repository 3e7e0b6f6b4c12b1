"""`vidorch mock-server`: a vendor's wire on this machine, to develop against without a key, and without paying."""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidorch.cli.say import as_json
from vidorch.client.market import base_url_variable
from vidorch.errors import InvalidRequest, shown

if TYPE_CHECKING:
    from vidorch.testing.servers import Fate, ProtocolServer

__all__ = ["ENDINGS", "Behaviour", "mock_server", "prepared"]

ENDINGS = ("done", "failed", "refused", "cancelled", "slow", "rejected")
_DIALECTS = {"vllm-omni": "vllm", "sglang": "sglang"}
_FAULT = re.compile(r"(?:(?P<op>[^=]*)=)?(?P<name>.*?)(?:x(?P<times>[0-9]{1,4}))?")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a server was told to do.

    Attributes:
        ending: of every job: "done"; "failed"; "refused" (withheld after it was made); "cancelled"; "slow" (unfinished as long as
            the server runs); "rejected" (not taken: the submit is answered with the vendor's own refusal).
        after: seconds that every job takes, looked at or not. faults: `"submit=reset-after"`: what goes wrong with the first
            request for something, and so on; `"503"` is `"submit=error-503"`, and `"503x3"` the first three. seed: of what
            goes wrong by chance with everything else; nothing does without one.
        forward_to: where webhooks are posted to instead of to where submits say.
        server: whose dialect of `/v1/videos` is spoken, as an endpoint's option `server` names it; "" for OpenAI's own.
    """

    ending: str = "done"
    after: float = 0.0
    faults: tuple[str, ...] = ()
    seed: int | None = None
    forward_to: str | None = None
    server: str = ""


def mock_server(provider: str, behaviour: Behaviour, *, port: int, as_document: bool) -> None:
    """Serve until interrupted.

    Raises:
        InvalidRequest: there is no such provider, ending, request or fault, or the port is taken.
    """
    from vidorch.testing.servers.postman import Postman

    server, closing = prepared(provider, behaviour, port=port), threading.Event()
    postman = None
    if server.sends_webhooks or behaviour.forward_to:
        postman = Postman(
            server, forward_to=behaviour.forward_to, tell=lambda line: print(line, file=sys.stderr)
        )
    with contextlib.ExitStack() as serving:
        try:
            serving.enter_context(server)
        except OSError as error:
            raise InvalidRequest(
                f"Nothing can be served on port {port}: {error.strerror or error}.", field="port", value=port,
                allowed="a free port",
            ) from error  # fmt: skip
        address = {} if behaviour.server else {base_url_variable(provider): server.url}
        variables = {**address, **({} if behaviour.server == "sglang" else server.variables())}
        if layer := server.layer():
            variables["VIDORCH_CATALOG"] = str(serving.enter_context(_written(layer)))
        if as_document:
            as_json(
                {"provider": provider, "url": server.url, "files": server.files_url, "environment": variables}
            )
        else:
            print(
                f"{provider} is served at {server.url}, and its finished files at {server.files_url}. Ctrl-C ends it."
            )
            if behaviour.server:
                print(_endpoint(server, behaviour.server, next(iter(variables), "")))
            if variables:
                print("In another terminal:")
            for name, value in variables.items():
                print(f"  export {name}={value}")
            if layer:
                print(
                    f"Its model is {tomllib.loads(layer)['offer'][0]['model']}, which that catalog adds to yours."
                )
            print(
                "Jobs there cost nothing but are written down as paid: give them a VIDORCH_HOME of their own, or they count "
                "in your budgets."
            )
        if postman is None:
            closing.wait()
        else:
            postman.serve(closing)


def _endpoint(server: ProtocolServer, name: str, variable: str) -> str:
    """What a configuration says of a server of one's own."""
    lines = [
        "In your config.toml:", "  [endpoints.mock]", '  provider = "openai"', f'  base_url = "{server.url}/v1"',
        f'  options = {{ server = "{name}", serves = ["wan-2.2-ti2v-5b"] }}', *([f'  key = "{variable}"'] if variable else []),
    ]  # fmt: skip
    return "\n".join(lines)


@contextlib.contextmanager
def _written(layer: str) -> Iterator[Path]:
    """A catalog layer in a file that is there as long as the server is."""
    with tempfile.TemporaryDirectory(prefix="vidorch-mock-") as folder:
        path = Path(folder) / "mock.toml"
        path.write_text(layer, "utf-8")
        yield path


def prepared(provider: str, behaviour: Behaviour, *, port: int = 0) -> ProtocolServer:
    """The server, told what to do; it serves inside `with`.

    Raises:
        InvalidRequest: as for `mock_server`.
    """
    from vidorch.testing.servers import serve
    from vidorch.testing.servers.faults import by_chance

    server = serve(provider, port=port, **_dialect(provider, behaviour.server))
    server.default = _fate(provider, behaviour)
    if behaviour.seed is not None:
        server.weather = by_chance(behaviour.seed)
    for given in behaviour.faults:
        found = _FAULT.fullmatch(given)
        if found is None or not found["name"] or found["op"] == "":
            allowed = "[OP=]FAULT[xTIMES], such as 503, 503x3 or submit=reset-after"
            raise InvalidRequest(f"--fault {shown(given)} cannot be used. Allowed is {allowed}.", field="fault", value=given,
                                 allowed=allowed)  # fmt: skip
        name = f"error-{found['name']}" if found["name"].isdecimal() else found["name"]
        server.fail(found["op"] or "submit", name, times=int(found["times"] or 1))
    return server


def _dialect(provider: str, server: str) -> dict[str, str]:
    if not server:
        return {}
    if provider != "openai" or server not in _DIALECTS:
        allowed = f"{' or '.join(_DIALECTS)}, with --provider openai"
        raise InvalidRequest(
            f"--server {shown(server)} cannot be used. Allowed is {allowed}.",
            field="server",
            value=server,
            allowed=allowed,
        )
    return {"dialect": _DIALECTS[server]}


def _fate(provider: str, behaviour: Behaviour) -> Fate:
    from vidorch.testing.servers import Fate
    from vidorch.testing.servers.refusals import refusal_of

    if behaviour.ending not in ENDINGS:
        allowed = ", ".join(ENDINGS)
        raise InvalidRequest(
            f"--ending {shown(behaviour.ending)} is not known. Allowed is one of {allowed}.", field="ending",
            value=behaviour.ending, allowed=allowed,
        )  # fmt: skip
    if behaviour.ending == "rejected":
        return Fate(rejected=refusal_of(provider))
    if behaviour.ending == "slow":
        return Fate(seconds=float("inf"))
    return Fate(ending=behaviour.ending, seconds=behaviour.after)
