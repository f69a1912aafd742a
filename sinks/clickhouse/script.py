"""Divides an SQL script into its statements, because ClickHouse executes one at a time over HTTP.

A semicolon ends a statement unless it stands in a string, a quoted name, a heredoc or a comment. ClickHouse's own
parser cannot do this for us: `formatQuery` accepts exactly one statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# In the order in which ClickHouse's lexer looks for them. A string or comment that is not closed extends to the end of
# the text, so that ClickHouse gets all of it and reports the error.
_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<quoted> '(?:[^'\\]|\\.)*(?:'|\Z) | `(?:[^`\\]|\\.)*(?:`|\Z) | "(?:[^"\\]|\\.)*(?:"|\Z)
        | \$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z) )
    | (?P<end> ; )
    | (?P<code> [^-/'`"$;]+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)


def statements_of(script: str) -> list[str]:
    """The statements of a script in order, without comments and without the semicolons between them."""
    return [text for statement in _statements(script) if (text := statement.strip())]


def _statements(script: str) -> Iterator[str]:
    parts: list[str] = []
    for token in _TOKEN.finditer(script):
        if token.lastgroup == "end":
            yield "".join(parts)
            parts.clear()
        else:
            # A comment separates what stands before and behind it.
            parts.append(" " if token.lastgroup == "comment" else token.group())
    yield "".join(parts)
