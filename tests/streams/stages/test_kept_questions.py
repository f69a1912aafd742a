"""Prompt and reply of each question are in the audit, redacted as the charter says, and nothing else counts them."""

from __future__ import annotations

from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.kept_questions import MAX_REPLY_CHARACTERS
from nightdesk.processors.model import ModelReply, ModelUnavailable, stopped
from nightdesk.schemas.audit_kinds import read
from nightdesk.schemas.question_detail import QuestionDetail
from nightdesk.schemas.records import AuditRecord, Decision, Fallback
from nightdesk.schemas.topics import ACT, DECIDE
from nightdesk.streams.stages.decide import Decide
from tests.processors.examples import answer, case, compiled, event, reply
from tests.streams.stages.stage_harness import Bench, Clock, Step, in_force, questioned, said
from tests.streams.stages.test_decide import Model

SECRET = "ann.bee@mail.example.com"


def _charter(redact: str) -> CompiledCharter:
    return compiled(("description: Answers tickets.", f"description: Answers tickets.\nredact: {redact}"))


def _bench(*answers: ModelReply | ModelUnavailable, redact: str = "[]") -> Bench:
    return Bench(Decide(in_force(_charter(redact)), Model(*answers), Clock()), Step())


def _detail(record: AuditRecord) -> QuestionDetail:
    detail = read(QuestionDetail, record.detail)
    assert detail is not None
    return detail


async def test_each_question_is_kept_with_its_reply() -> None:
    bench = _bench(reply("no JSON", cost_microusd=700), reply(answer("respond", text="tomorrow"), cost_microusd=1000))
    given = case(_charter("[]"))
    first, again = await bench.take(DECIDE, given), await bench.take(DECIDE, given)
    assert questioned(first) == questioned(again)
    unusable, used = (_detail(one) for one in questioned(first))
    [decision] = said(first, ACT, Decision)
    assert (unusable.reply, unusable.answered, unusable.attempt) == ("no JSON", True, 0)
    assert unusable.prompt_sha256 == decision.prompt_sha256
    assert unusable.prompt in used.prompt
    assert "could not be used" in used.prompt
    assert unusable.cost_microusd + used.cost_microusd == decision.cost_microusd
    # Tokens and cost of a case are the sum over its records: those of a question are those of its decision already.
    assert [(one.cost_microusd, one.input_tokens, one.output_tokens) for one in questioned(first)] == [(0, 0, 0)] * 2


async def test_what_the_charter_names_leaves_the_worker_in_no_record_of_the_question() -> None:
    secret, redact = event(f"write to {SECRET}", name="Ann Bee"), "[emails, data.name]"
    bench = _bench(reply(answer("respond", text=f"Ann Bee: {SECRET}")), redact=redact)
    [record] = questioned(await bench.take(DECIDE, case(_charter(redact), secret)))
    assert SECRET not in record.model_dump_json()
    assert "Ann Bee" not in record.model_dump_json()
    assert "[redacted: emails]" in _detail(record).reply


async def test_texts_are_bounded_and_what_nobody_answered_says_so() -> None:
    given = case(_charter("[]"))
    long = reply("x" * (2 * MAX_REPLY_CHARACTERS))
    [first, _] = questioned(await _bench(long, long).take(DECIDE, given))
    assert len(_detail(first).reply) < MAX_REPLY_CHARACTERS + 100
    away = ModelUnavailable(reasons=(Fallback(provider="anthropic", reason="overloaded", called=True),))
    [unanswered] = questioned(await _bench(away).take(DECIDE, given))
    assert (_detail(unanswered).answered, unanswered.provider) == (False, None)
    assert _detail(unanswered).fallbacks == away.reasons
    assert questioned(await _bench(stopped("anthropic", "paused")).take(DECIDE, given)) == []
