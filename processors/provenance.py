"""Whether a case or a decision in the log can be one that a stage made: the log is open to whoever may produce.

The act stage asks before it holds a decision or acts on one. Ids are functions of causes, so who invents a decision
gets one chance for each step that a case can really come to, and no second payload under an id that is known.

The decide stage asks before it spends what a case says is held for it. Only the ledger knows whether it is: who invents
cases spends up to the cap of one with each, and what was spent is in the books.
"""

from hashlib import sha256

import orjson

from processors import routing
from processors.charter.compiled import CompiledCharter
from schemas import ids
from schemas.records import Case, Decision

SAID_TO_ACT = frozenset({"execute", "dry_run", "needs_approval"})


class Forged(ValueError):
    """No stage of ours said this: a dead letter, and nothing is done."""


def check_origin(decision: Decision, compiled: CompiledCharter) -> None:
    """Raise `Forged` for a decision that does not fit its own causes or the charter's triggers and actions."""
    case = decision.case
    _check_causes(case)
    if decision.decision_id != ids.decision_id(case.case_id, case.step):
        raise Forged(f"decision {decision.decision_id} is not that of step {case.step} of its case")
    if decision.disposition not in SAID_TO_ACT:
        raise Forged(f"a decision that is {decision.disposition} is never said to the act stage")
    action = compiled.charter.actions.get(decision.action)
    if action is not None and action.kind != decision.kind:
        raise Forged(f"action {decision.action} is of kind {action.kind}, not {decision.kind}")
    if routing.route(compiled, case.event) is None:
        raise Forged(f"the charter of {case.agent} takes no such event: {case.event.type}")


def check_case(case: Case, compiled: CompiledCharter) -> None:
    """Raise `Forged` for a case that does not fit its own causes, or says that more is held for it than it may cost."""
    _check_causes(case)
    cap = compiled.charter.budget.per_case_microusd
    if case.reserved_microusd > cap:
        raise Forged(f"{case.reserved_microusd} micro-dollars are held for a case that may cost {cap}")


def _check_causes(case: Case) -> None:
    if case.case_id != ids.case_id(case.agent, case.event.source, case.event.id):
        raise Forged(f"case {case.case_id} is not {case.agent}'s case of event {case.event.id}")
    if case.step == 0 and (case.history or case.spent.actions or case.spent.external_calls):
        raise Forged("the first step of a case, with a past")


def payload_sha256(decision: Decision) -> str:
    """What a person agrees to, and what a decision's id stands for once it is known: this action, so, for this case."""
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


def case_sha256(case: Case) -> str:
    """What the act stage said the case's next step begins with. What other stages fill in on the way is not in it."""
    fixed = {"case_id", "agent", "charter_version", "event", "step", "history"}
    said = case.model_dump(mode="json", include=fixed)
    return _sha256({**said, "actions": case.spent.actions, "external_calls": case.spent.external_calls})


def _sha256(value: object) -> str:
    # Moments as pydantic writes them: people have agreed to what was hashed so.
    return sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)).hexdigest()
