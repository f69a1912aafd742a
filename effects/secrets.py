"""Removes our credentials from responses and errors, which are recorded, shown to people and sent to models.

Some servers, and every debugging proxy, answer with the headers that they received.
"""

from typing import AnyStr

HIDDEN = "[secret]"


def redact(secret: str | None, text: AnyStr) -> AnyStr:
    """The text with the secret replaced wherever it occurs."""
    if not secret:
        return text
    if isinstance(text, str):
        return text.replace(secret, HIDDEN)
    return text.replace(secret.encode(), HIDDEN.encode())
