"""Answers what the gates would say to another answer about a case, or to the same one under another charter. Pure.

It calls the code that decides (`verification.py`, `gate.py`), so it cannot come to another result than a real decision
would. What is not in the case is not asked: the day's money, rate limits, and what else waits for the subject.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nightdesk.processors import gate
from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.replies import AgentDecision
from nightdesk.processors.verification import verify
from nightdesk.schemas.records import Case, Disposition, Verdict


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What the gates say. `escalates`: a person would get the case instead."""

    disposition: Disposition
    reason: str
    escalates: bool
    verdicts: tuple[Verdict, ...]


def what_if(compiled: CompiledCharter, case: Case, answer: AgentDecision, recorded: Sequence[Verdict] = ()) -> WhatIf:
    """The gates' result for an answer. Of the `recorded` verdicts those that are not the charter's own rules are kept:
    nobody votes again.
    """
    rules = {rule.policy.name for rule in compiled.rules}
    votes = tuple(verdict for verdict in recorded if verdict.rule not in rules)
    verdicts = (*verify(compiled, case, answer), *votes)
    found = gate.evaluate(compiled, case, answer, verdicts)
    return WhatIf(found.disposition, found.reason, found.escalate, verdicts)
