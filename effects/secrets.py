"""Removes our credentials from responses and errors, which are recorded, shown to people and sent to models.

Some servers, and every debugging proxy, answer with the headers that they received.
"""

import re
from typing import AnyStr

HIDDEN = "[secret]"
_QUOTED_BYTES = re.compile(r"""(?:[:\s]|\\n)*(?:bytearray\()?\bb['"].*""", re.DOTALL)


def redact(secret: str | None, text: AnyStr) -> AnyStr:
    """The text with the secret replaced wherever it occurs."""
    if not secret:
        return text
    if isinstance(text, str):
        return text.replace(secret, HIDDEN)
    return text.replace(secret.encode(), HIDDEN.encode())


def explained(error: BaseException, secret: str | None = None) -> str:
    """The text of a client's error. aiohttp's errors quote the bytes of a response that is no HTTP: cut or escaped,
    they may have a part of a secret, which cannot be recognised, so they are left out.
    """
    text = getattr(error, "message", "") or str(error)
    return redact(secret, _QUOTED_BYTES.sub("", text)) or type(error).__name__
