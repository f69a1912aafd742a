"""Rejects cases and decisions that no stage of ours can have produced. Any client with write access can produce to
these topics.

The act stage checks a decision before it stores it or acts on it. Ids are functions of their causes. So a forged
decision can replace one for each step that a case really reaches, and cannot have a second payload under a known id.

The decide stage checks a case before it spends the amount that the case claims as reserved. Only the ledger knows the
real reservation: each forged case can spend up to the cap of one case, and its cost is in the ledger.
"""

from collections.abc import Sequence
from hashlib import sha256

import orjson

from nightdesk.processors import routing
from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.schemas import ids
from nightdesk.schemas.money import money
from nightdesk.schemas.records import ApprovalReply, Case, Decision

SENT_TO_ACT = frozenset({"execute", "dry_run", "needs_approval"})


class Forged(ValueError):
    """No stage of ours produced this record: it becomes a dead letter, and nothing is executed."""


def check_origin(decision: Decision, compiled: CompiledCharter) -> None:
    """Raise `Forged` for a decision that does not match its own causes or the charter's triggers and actions."""
    case = decision.case
    _check_causes(case)
    if decision.decision_id != ids.decision_id(case.case_id, case.step):
        raise Forged(f"decision {decision.decision_id} is not the one of step {case.step} of its case")
    if decision.disposition not in SENT_TO_ACT:
        raise Forged(f"a decision that is {decision.disposition} is never sent to the act stage")
    action = compiled.charter.actions.get(decision.action)
    if action is not None and action.kind != decision.kind:
        raise Forged(f"action {decision.action} is of kind {action.kind}, not {decision.kind}")
    if routing.route(compiled, case.event) is None:
        raise Forged(f"the charter of {case.agent} accepts no such event: {case.event.type}")


def check_case(case: Case, compiled: CompiledCharter) -> None:
    """Raise `Forged` for a case that does not match its own causes, or claims a larger reservation than it may cost."""
    _check_causes(case)
    cap = compiled.reservable_microusd
    if case.reserved_microusd > cap:
        raise Forged(f"{money(case.reserved_microusd)} is reserved for a case that may cost {money(cap)}")


def _check_causes(case: Case) -> None:
    event = case.event
    if case.case_id != ids.case_id(case.agent, event.source, event.id, event.subject):
        raise Forged(f"case {case.case_id} is not {case.agent}'s case of event {event.id}")
    if case.step == 0 and (case.history or case.spent.actions or case.spent.external_calls):
        raise Forged("the first step of a case cannot have earlier steps")


def payload_sha256(decision: Decision) -> str:
    """The hash of what a person approves, and of what a known decision id identifies: the action, its parameters, the
    case.
    """
    case = decision.case
    shown = {
        "decision_id": decision.decision_id,
        "action": decision.action,
        "parameters": decision.parameters,
        "agent": case.agent,
        "charter_version": case.charter_version,
        "event": case.event.__dict__,
    }
    return _sha256(shown)


def card_sha256(decision: Decision, approved_others: Sequence[str]) -> str:
    """The hash of what a person is shown: the decision, and the ids of approved decisions for the same action and
    subject. Without any of those it is the hash of the decision.
    """
    payload = payload_sha256(decision)
    return payload if not approved_others else _sha256({"payload": payload, "approved": sorted(approved_others)})


def case_sha256(case: Case) -> str:
    """The hash of the start of the case's next step as the act stage emitted it, without what other stages fill in."""
    fixed = {"case_id", "agent", "charter_version", "event", "step", "history"}
    fields = case.model_dump(mode="json", include=fixed)
    return _sha256({**fields, "actions": case.spent.actions, "external_calls": case.spent.external_calls})


def _sha256(value: object) -> str:
    # Timestamps as pydantic writes them: people have approved these hashes.
    return sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)).hexdigest()


def signed_content(reply: ApprovalReply) -> bytes:
    """The bytes that a person's signature covers: the whole answer except its time, in one notation. Without a login
    they are those of a program that knows none.
    """
    left_out = {"signature", "time"} if reply.login else {"signature", "time", "login"}
    return orjson.dumps(reply.model_dump(mode="json", exclude=left_out), option=orjson.OPT_SORT_KEYS)
