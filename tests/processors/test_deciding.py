"""The flow of one step, with replies given by hand: it always ends with a decision that explains itself."""

from datetime import timedelta

import orjson
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.processors import prompts
from nightdesk.processors.charter import CompiledCharter, compile_charter, parse_charter
from nightdesk.processors.deciding import AskModel, decide
from nightdesk.processors.model import ModelReply, ModelUnavailable
from nightdesk.processors.prices import worst_ask_price_microusd
from nightdesk.schemas.ids import decision_id
from nightdesk.schemas.records import Case, Decision, Fallback, Spent
from tests.processors.examples import CHARTER as CHARTER_TEXT
from tests.processors.examples import FILES, NOW, answer, case, compiled, event, reply

CHARTER = compiled()
RULES_ONLY = compiled(("provider: [anthropic, rules]", "provider: rules"))
AWAY = ModelUnavailable(
    reasons=(Fallback(provider="anthropic", reason="overloaded", detail="529", called=True),),
    unanswered_cost_microusd=70,
)
GOOD = answer("respond", 0.9, "I know", text="tomorrow")


def converse(
    charter: CompiledCharter, case_: Case, *replies: ModelReply | ModelUnavailable
) -> tuple[Decision, list[AskModel]]:
    """The decision, and the questions. Every given reply has to be used, and none may be missing."""
    asked: list[AskModel] = []
    left = list(replies)
    flow = decide(case_, charter, NOW)
    try:
        question = next(flow)
        while True:
            asked.append(question)
            question = flow.send(left.pop(0))
    except StopIteration as end:
        assert not left
        decision: Decision = end.value
        return decision, asked


def test_a_model_decides() -> None:
    decision, asked = converse(CHARTER, case(CHARTER), reply(GOOD))
    assert [question.attempt for question in asked] == [0]
    assert asked[0].providers == ("anthropic",)
    assert (decision.action, decision.kind, decision.confidence) == ("respond", "respond", 0.9)
    assert orjson.loads(decision.parameters) == {"text": "tomorrow"}
    assert (decision.provider, decision.model, decision.reasoning) == ("anthropic", "claude-sonnet-5-5", "I know")
    assert decision.disposition == "execute"
    assert decision.decision_id == decision_id(decision.case.case_id, 0)
    assert decision.prompt_sha256 == asked[0].request.digest()
    assert (decision.cost_microusd, decision.input_tokens, decision.output_tokens) == (1000, 110, 5)
    assert decision.decided_at == NOW + timedelta(milliseconds=500)
    assert decision.case.spent == Spent(model_calls=1, cost_microusd=1000)
    assert decision.fallbacks == ()


def test_rules_alone_ask_nobody() -> None:
    decision, asked = converse(RULES_ONLY, case(RULES_ONLY))
    assert asked == []
    assert (decision.action, decision.provider, decision.model) == ("respond", "rules", None)
    assert decision.reasoning == "asks for t-1"
    assert orjson.loads(decision.parameters) == {"text": "About where is it?: tomorrow."}
    assert (decision.cost_microusd, decision.prompt_sha256, decision.decided_at) == (0, None, NOW)


def test_an_answer_that_cannot_be_used_is_asked_for_once_more() -> None:
    decision, asked = converse(CHARTER, case(CHARTER), reply("nonsense"), reply(GOOD))
    assert [question.attempt for question in asked] == [0, 1]
    assert "could not be used" in asked[1].request.prompt
    assert (decision.action, decision.cost_microusd, decision.latency_ms) == ("respond", 2000, 1000)
    assert [(each.provider, each.reason) for each in decision.fallbacks] == [("anthropic", "malformed")]
    assert decision.case.spent.model_calls == 2


def test_after_two_such_answers_the_rules_decide() -> None:
    decision, _ = converse(CHARTER, case(CHARTER), reply("nonsense"), reply(answer("destroy")))
    assert (decision.provider, decision.action) == ("rules", "respond")
    assert [each.reason for each in decision.fallbacks] == ["malformed", "malformed"]
    assert "destroy" in decision.fallbacks[1].detail
    assert (decision.cost_microusd, decision.model) == (2000, None)


def test_without_a_model_the_rules_decide_and_it_is_said_why() -> None:
    decision, _ = converse(CHARTER, case(CHARTER), AWAY)
    assert (decision.provider, decision.action) == ("rules", "respond")
    assert decision.fallbacks == AWAY.reasons
    assert decision.cost_microusd == 70


def test_without_a_model_and_a_matching_rule_a_person_decides() -> None:
    decision, _ = converse(CHARTER, case(CHARTER, event("hello")), AWAY)
    assert (decision.provider, decision.action, decision.confidence) == ("none", "escalate", 0.0)
    assert decision.disposition == "execute"
    assert "no rule matched" in decision.reasoning
    assert orjson.loads(decision.parameters) == {"reason": decision.reasoning}
    assert [each.reason for each in decision.fallbacks] == ["overloaded", "no_rule_matched"]


def test_a_charter_that_lets_no_rules_decide_goes_to_a_person() -> None:
    text = CHARTER_TEXT[: CHARTER_TEXT.index("fallback:")].replace("[anthropic, rules]", "anthropic")
    charter = compile_charter(parse_charter(text, FILES))
    decision, _ = converse(charter, case(charter), AWAY)
    assert (decision.provider, decision.action) == ("none", "escalate")


def test_a_rule_that_fails_is_named_and_passed_over() -> None:
    broken = event("refund, where is it?", amount=-1)
    decision, _ = converse(RULES_ONLY, case(RULES_ONLY, broken))
    assert decision.action == "respond"
    assert [(each.provider, each.reason) for each in decision.fallbacks] == [("rules", "rule_failed")]
    assert "parameters.amount" in decision.fallbacks[0].detail
    assert decision.fallbacks[0].detail.startswith("fallback[0]: ")


def test_a_rule_without_words_of_its_own_is_named_by_its_number_and_its_condition() -> None:
    decision, _ = converse(RULES_ONLY, case(RULES_ONLY, event("a refund, please", amount=9.5)))
    assert decision.reasoning == 'rule 1: event.data.text.mentions(["refund"]) && has(event.data.amount)'
    text = CHARTER_TEXT.replace("[anthropic, rules]", "rules") + "  - {action: escalate, parameters: {reason: look}}\n"
    last = compile_charter(parse_charter(text, FILES))
    decision, _ = converse(last, case(last, event("hello")))
    assert (decision.action, decision.reasoning) == ("escalate", "rule 3")


def test_a_case_that_may_ask_no_model_goes_to_a_person() -> None:
    decision, asked = converse(CHARTER, case(CHARTER, escalate_because="the day's budget is spent"))
    assert asked == []
    assert (decision.provider, decision.action, decision.reasoning) == ("none", "escalate", "the day's budget is spent")


def test_bounds_and_money_end_the_asking() -> None:
    used_up = case(CHARTER, spent=Spent(model_calls=6))
    decision, asked = converse(CHARTER, used_up)
    assert (asked, decision.fallbacks[0].reason) == ([], "bound")
    assert (decision.provider, decision.kind) == ("none", "escalate")
    last_call = case(CHARTER, spent=Spent(model_calls=5))
    decision, asked = converse(CHARTER, last_call, reply("nonsense"))
    assert [each.reason for each in decision.fallbacks] == ["malformed", "bound"]
    poor = case(CHARTER, spent=Spent(cost_microusd=499_000))
    decision, asked = converse(CHARTER, poor)
    assert (asked, decision.fallbacks[0].reason) == ([], "budget")
    assert decision.provider == "rules"
    nothing_held = case(CHARTER, reserved_microusd=0)
    decision, asked = converse(CHARTER, nothing_held)
    assert (asked, decision.fallbacks[0].reason) == ([], "budget")


def test_what_is_held_to_the_last_micro_dollar_may_be_spent() -> None:
    worst = worst_ask_price_microusd(CHARTER.charter.decide.asked, prompts.build(CHARTER, case(CHARTER)), NOW)
    enough = case(CHARTER, reserved_microusd=worst + 7, spent=Spent(cost_microusd=7))
    assert len(converse(CHARTER, enough, AWAY)[1]) == 1
    short = case(CHARTER, reserved_microusd=worst + 6, spent=Spent(cost_microusd=7))
    assert converse(CHARTER, short)[1] == []


def test_what_is_left_for_a_question_counts_all_that_was_or_may_have_been_paid() -> None:
    spent = case(CHARTER, spent=Spent(cost_microusd=500))
    malformed = reply("nonsense", cost_microusd=1_000).model_copy(update={"unanswered_cost_microusd": 70})
    _, [first, second] = converse(CHARTER, spent, malformed, AWAY)
    assert first.left_microusd == spent.reserved_microusd - 500
    assert second.left_microusd == first.left_microusd - 1_070


def test_what_calls_without_an_answer_cost_is_told_apart() -> None:
    malformed = reply("nonsense", cost_microusd=1_000).model_copy(update={"unanswered_cost_microusd": 70})
    decision, _ = converse(CHARTER, case(CHARTER), malformed, reply(GOOD))
    assert (decision.cost_microusd, decision.unanswered_microusd) == (2_070, 70)
    decision, _ = converse(CHARTER, case(CHARTER), AWAY)
    assert (decision.cost_microusd, decision.unanswered_microusd) == (70, 70)
    # The rules decide a step that was given back before.
    decision, _ = converse(RULES_ONLY, case(RULES_ONLY, returned_microusd=90))
    assert (decision.cost_microusd, decision.unanswered_microusd) == (90, 90)


def test_a_price_that_nobody_knows_is_never_paid() -> None:
    charter = compiled(("model: claude-sonnet-5-5", "model: model-of-tomorrow"))
    decision, asked = converse(charter, case(charter))
    assert (asked, decision.fallbacks[0].reason, decision.provider) == ([], "unknown_price", "rules")


def test_votes_agree() -> None:
    ballots = [reply(answer("refund", confidence, amount=amount)) for confidence, amount in ((0.99, 5), (0.93, 5))]
    decision, asked = converse(CHARTER, case(CHARTER), *ballots)
    assert len(asked) == 2
    assert (decision.action, decision.confidence, decision.cost_microusd) == ("refund", 0.93, 2000)
    votes = decision.verdicts[-1]
    assert (votes.rule, votes.passed, votes.reason) == ("votes", True, "2 of 2 for refund, 2 needed")


def test_votes_that_disagree_ask_a_person() -> None:
    charter = compiled(("approval: always", "approval: below_threshold"))
    ballots = [reply(answer("refund", 0.99, amount=amount)) for amount in (5, 6, 7)]
    decision, asked = converse(charter, case(charter), *ballots)
    assert len(asked) == 3
    assert decision.disposition == "needs_approval"
    assert "votes: 1 of 3 for refund" in decision.disposition_reason


def test_a_vote_that_loses_its_model_asks_a_person() -> None:
    charter = compiled(("approval: always", "approval: below_threshold"))
    decision, _ = converse(charter, case(charter), reply(answer("refund", 0.99, amount=5)), AWAY)
    assert (decision.action, decision.disposition) == ("refund", "needs_approval")
    assert decision.fallbacks == AWAY.reasons


def test_a_rule_may_hand_over_what_the_model_wanted() -> None:
    charter = compiled(("message: no refund over 100", "message: no refund over 100\n    otherwise: escalate"))
    ballots = [reply(answer("refund", 0.99, "give", amount=500)) for _ in range(2)]
    decision, _ = converse(charter, case(charter), *ballots)
    assert (decision.action, decision.kind, decision.disposition) == ("escalate", "escalate", "execute")
    assert decision.provider == "anthropic"
    assert "no refund over 100" in decision.reasoning
    assert "refund, because: give" in decision.reasoning
    assert [(verdict.rule, verdict.passed) for verdict in decision.verdicts] == [("refund-cap", False), ("votes", True)]


def test_a_rule_may_refuse() -> None:
    ballots = [reply(answer("refund", 0.99, amount=500)) for _ in range(2)]
    decision, _ = converse(CHARTER, case(CHARTER), *ballots)
    assert (decision.action, decision.disposition) == ("refund", "refused")


def test_the_next_step_goes_on_with_what_was_spent() -> None:
    before = Spent(actions=1, external_calls=1, model_calls=2, cost_microusd=50)
    decision, _ = converse(CHARTER, case(CHARTER, step=1, spent=before), reply(GOOD))
    assert decision.decision_id == decision_id(decision.case.case_id, 1)
    assert decision.case.spent == Spent(actions=1, external_calls=1, model_calls=3, cost_microusd=1050)


REPLIES = st.one_of(
    st.just(AWAY),
    st.text(max_size=20).map(reply),
    st.builds(
        lambda action, confidence, amount: reply(answer(action, confidence, amount=amount)),
        st.sampled_from([*CHARTER.actions, "destroy"]), st.floats(0, 2), st.integers(0, 500),
    ),
    st.just(reply(GOOD)),
)  # fmt: skip


@given(replies=st.lists(REPLIES, min_size=6, max_size=6))
def test_whatever_the_model_says_the_case_ends_within_its_bounds(replies: list[ModelReply | ModelUnavailable]) -> None:
    flow = decide(case(CHARTER), CHARTER, NOW)
    asked, paid = 0, 0
    try:
        next(flow)
        while True:
            given_ = replies[asked]
            asked += 1
            paid += given_.unanswered_cost_microusd if isinstance(given_, ModelUnavailable) else given_.total_microusd
            flow.send(given_)
    except StopIteration as end:
        decision: Decision = end.value
    assert asked <= CHARTER.charter.bounds.model_calls
    assert decision.cost_microusd == paid
    assert decision.case.spent.model_calls == asked
    if decision.disposition == "execute":
        assert decision.action in CHARTER.actions
        assert decision.action != "refund"


@given(replies=st.lists(REPLIES, min_size=6, max_size=6))
def test_the_same_replies_give_the_same_decision(replies: list[ModelReply | ModelUnavailable]) -> None:
    def run() -> Decision:
        flow, left = decide(case(CHARTER), CHARTER, NOW), iter(replies)
        try:
            next(flow)
            while True:
                flow.send(next(left))
        except StopIteration as end:
            decision: Decision = end.value
            return decision

    assert run() == run()
