"""Parses a model's text to a typed decision, or to the reason why it is not one.

Nothing is repaired: after an invalid reply the model is asked again.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr, ValidationError

from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.json_text import DataInvalid, parse_exact
from nightdesk.processors.model import ModelReply

MAX_ANSWER_CHARACTERS = 262_144
MAX_REASONING_CHARACTERS = 8_000


class AgentDecision(BaseModel):
    """The typed answer. `confidence` is in [0, 1]; `parameters` match the JSON Schema of the action."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: StrictStr
    confidence: Annotated[StrictFloat | StrictInt, Field(ge=0.0, le=1.0)]
    parameters: dict[str, Any]
    reasoning: StrictStr = Field(max_length=MAX_REASONING_CHARACTERS)


class Malformed(BaseModel):
    """Why a reply is not a decision, as a text for the model."""

    model_config = ConfigDict(frozen=True)

    reason: str


def parse(compiled: CompiledCharter, reply: ModelReply) -> AgentDecision | Malformed:
    """The decision in a reply, checked against the charter: known action, valid parameters, nothing else."""
    if len(reply.text) > MAX_ANSWER_CHARACTERS:
        return Malformed(reason=f"the answer has more than {MAX_ANSWER_CHARACTERS} characters")
    try:
        value = parse_exact(reply.text, "the answer")
    except DataInvalid as error:
        return Malformed(reason=f"the answer is not one JSON object and nothing else: {error}")
    try:
        decision = AgentDecision.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"][:1]) or "the answer"
        return Malformed(reason=f"{where}: {first['msg']}")
    reason = problem_with(compiled, decision)
    return Malformed(reason=reason) if reason else decision


def problem_with(compiled: CompiledCharter, decision: AgentDecision) -> str | None:
    """Why the charter does not allow such a decision: an unknown action, or parameters that do not match its JSON
    Schema.
    """
    action = compiled.actions.get(decision.action)
    if action is None:
        return f"action: there is no action {decision.action[:64]!r}; allowed are {', '.join(compiled.actions)}"
    return action.problem_with(decision.parameters)
