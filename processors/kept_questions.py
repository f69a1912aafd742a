"""What the audit keeps of a question to a model and of its reply: redacted as the charter says, and cut."""

from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.deciding import AskModel
from nightdesk.processors.model import ModelReply, ModelUnavailable
from nightdesk.processors.prompts import shortened
from nightdesk.processors.redaction import Redactor
from nightdesk.schemas.question_detail import QuestionDetail
from nightdesk.schemas.records import Case

MAX_PROMPT_CHARACTERS = 40_000
MAX_REPLY_CHARACTERS = 20_000


def kept_question(
    case: Case, compiled: CompiledCharter, question: AskModel, answer: ModelReply | ModelUnavailable
) -> QuestionDetail:
    """The detail of its audit record. It is redacted before it is cut, so no part of a value is left."""
    redacted = Redactor(compiled.charter.redact, case.event.data)
    asked = QuestionDetail(
        attempt=question.attempt,
        prompt=shortened(redacted(question.request.prompt), MAX_PROMPT_CHARACTERS),
        prompt_sha256=question.request.digest(),
        answered=isinstance(answer, ModelReply),
        unanswered_microusd=answer.unanswered_cost_microusd,
        asked_ms=answer.asked_ms,
        sent_at=answer.sent_at,
    )
    if isinstance(answer, ModelUnavailable):
        return asked.model_copy(update={"fallbacks": answer.reasons})
    usage = answer.usage
    return asked.model_copy(
        update={
            "reply": shortened(redacted(answer.text), MAX_REPLY_CHARACTERS),
            "stop_reason": answer.stop_reason,
            "request_id": answer.request_id or "",
            "input_tokens": usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens,
            "output_tokens": usage.output_tokens,
            "cost_microusd": answer.cost_microusd,
            "latency_ms": answer.latency_ms,
            "fallbacks": answer.fallbacks,
        }
    )
