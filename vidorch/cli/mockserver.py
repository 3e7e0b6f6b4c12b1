"""`vidorch mock-server`: a vendor's wire on this machine, to develop against without a key, and without paying."""

from __future__ import annotations

import contextlib
import threading

from vidorch.cli.say import as_json
from vidorch.client.market import base_url_variable
from vidorch.errors import InvalidRequest, shown

__all__ = ["mock_server"]


def mock_server(provider: str, *, port: int, faults: list[str], as_document: bool) -> None:
    """Serve until interrupted.

    Args:
        faults: `"submit=reset-after"`: what goes wrong with the first request for something, and so on.

    Raises:
        InvalidRequest: there is no such provider, request or fault, or the port is taken.
    """
    from vidorch.testing.servers import serve

    server = serve(provider, port=port)
    for given in faults:
        op, equals, name = given.partition("=")
        if not equals:
            allowed = "OP=FAULT, such as submit=reset-after"
            raise InvalidRequest(f"--fault {shown(given)} cannot be used. Allowed is {allowed}.", field="fault", value=given,
                                 allowed=allowed)  # fmt: skip
        server.fail(op, name)
    with contextlib.ExitStack() as serving:
        try:
            serving.enter_context(server)
        except OSError as error:
            raise InvalidRequest(
                f"Nothing can be served on port {port}: {error.strerror or error}.", field="port", value=port,
                allowed="a free port",
            ) from error  # fmt: skip
        variables = {base_url_variable(provider): server.url, **server.variables()}
        if as_document:
            as_json(
                {"provider": provider, "url": server.url, "files": server.files_url, "environment": variables}
            )
        else:
            print(
                f"{provider} is served at {server.url}, and its finished files at {server.files_url}. Ctrl-C ends it."
            )
            print("In another terminal:")
            for name, value in variables.items():
                print(f"  export {name}={value}")
            print(
                "Jobs there cost nothing but are written down as paid: give them a VIDORCH_HOME of their own, or they count "
                "in your budgets."
            )
        threading.Event().wait()
