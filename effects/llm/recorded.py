"""Answers from replies that were recorded before: replay asks the same questions and buys nothing.

Takes the place of a `ProviderChain` in a replay. The same question asked again (votes) gets its next recorded reply.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from processors.model import ModelReply, ModelRequest


class NotRecorded(LookupError):
    """There is no recorded reply: today's prompt is not the one that was asked, or it was asked less often."""


class RecordedReplies:
    """`replies`: by `ModelRequest.digest()`, in the order in which they came."""

    def __init__(self, replies: Mapping[str, Sequence[ModelReply]]) -> None:
        self._replies = replies
        self._asked: Counter[str] = Counter()

    async def ask(self, names: Sequence[str], request: ModelRequest) -> ModelReply:
        """The reply as it was recorded, whoever gave it. Raises `NotRecorded`."""
        digest = request.digest()
        recorded, asked = self._replies.get(digest, ()), self._asked[digest]
        if asked >= len(recorded):
            raise NotRecorded(
                f"request {digest} for model {request.model} was recorded {len(recorded)} times and asked"
                f" {asked + 1} times; replay it with the charter version that it was recorded with"
            )
        self._asked[digest] += 1
        return recorded[asked]

    async def aclose(self) -> None:
        """Nothing to close."""
