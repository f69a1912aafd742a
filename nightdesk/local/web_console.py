"""The web console as a part of the local stack, for `nightdesk up`."""

from __future__ import annotations

from nightdesk.local.parts import LOOPBACK, Part, answers_http, python_module
from nightdesk.local.ports import claim_port
from nightdesk.local.secrets import LocalSecrets
from nightdesk.local.stack import LocalStack

CONSOLE_NICENESS = 5


def console_part(stack: LocalStack) -> Part:
    """The console on loopback. Whoever starts the stack comes in by the link, unless a token file says who may."""
    settings = stack.settings.console
    port = claim_port(settings.port, "NIGHTDESK_CONSOLE__PORT")
    token = LocalSecrets.of(stack.settings.home).console
    url = f"http://{LOOPBACK}:{port}"
    own = {"NIGHTDESK_CONSOLE__HOST": LOOPBACK, "NIGHTDESK_CONSOLE__PORT": str(port), "NIGHTDESK_CONSOLE__TOKEN": token}
    return Part(
        name="console",
        where=url if settings.token_file else f"{url}/login?token={token}",
        command=python_module("nightdesk", "console"),
        is_ready=answers_http(f"{url}/healthz"),
        is_alive=answers_http(f"{url}/healthz"),
        environment=stack.environment() | own,
        wave=1,
        niceness=CONSOLE_NICENESS,
    )
