"""What an audit record of kind `asked` says beyond the fields that all of them have (`schemas/audit.py`)."""

from datetime import datetime

from pydantic import Field

from nightdesk.schemas.audit import Detail
from nightdesk.schemas.records import Fallback


class QuestionDetail(Detail):
    """A question to a model, and its reply. The texts are redacted as the charter says."""

    attempt: int = Field(description="number of the question in its step, from 0")
    prompt: str = Field(
        description="text of the question about the case, at most 40,000 characters; the instructions before it are"
        " those of the charter's version"
    )
    prompt_sha256: str = Field(description="SHA-256 digest of the whole question before it was redacted")
    answered: bool = Field(description="whether a model answered")
    reply: str = Field(default="", description="text of the reply, at most 20,000 characters")
    stop_reason: str = Field(default="", description="why the model stopped, as the provider says")
    request_id: str = Field(default="", description="name of the call at the provider")
    input_tokens: int = Field(default=0, description="number of tokens that the model read")
    output_tokens: int = Field(default=0, description="number of tokens that the model wrote")
    cost_microusd: int = Field(default=0, description="cost of the reply, in millionths of a US dollar")
    unanswered_microusd: int = Field(
        default=0,
        description="cost of calls without an answer before it, in millionths of a US dollar; the most that they may"
        " have cost if nobody knows",
    )
    latency_ms: int = Field(default=0, description="time that the call took, in milliseconds")
    asked_ms: int = Field(default=0, description="time until the answer, all providers together, in milliseconds")
    sent_at: datetime | None = Field(default=None, description="when the last provider was called; null if none was")
    fallbacks: tuple[Fallback, ...] = Field(default=(), description="providers that gave no answer")
