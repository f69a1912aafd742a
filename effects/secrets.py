"""What we prove ourselves with never comes back in: answers and errors are recorded, shown to people and asked about.

Some servers, and every debugging proxy, answer with the headers that they were sent. `llm` and `actions` call it.
"""

from typing import AnyStr

HIDDEN = "[secret]"


def without(secret: str | None, said: AnyStr) -> AnyStr:
    """What was said, with the secret hidden wherever it stands."""
    if not secret:
        return said
    if isinstance(said, str):
        return said.replace(secret, HIDDEN)
    return said.replace(secret.encode(), HIDDEN.encode())
