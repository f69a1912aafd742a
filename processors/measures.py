"""What a decision is measured by: the baseline and the budget of the charter that decided. Pure.

The audit record of the decision carries them. So they are those of the version in force at that time, whatever the
charter says later, and SQL adds them up without looking anything up (decision 41).
"""

from nightdesk.processors.charter.baselines import Baseline
from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.schemas.audit_records import Measures
from nightdesk.schemas.records import Decision


def measures(compiled: CompiledCharter, decision: Decision) -> Measures:
    """Only an action of kind `respond` ends a case for which a person would have worked."""
    found = _baseline(compiled, decision) if decision.kind == "respond" else None
    return Measures(
        baseline_s=found.seconds if found else 0,
        baseline_microusd=found.microusd if found else 0,
        day_budget_microusd=compiled.charter.budget.per_day_microusd,
    )


def _baseline(compiled: CompiledCharter, decision: Decision) -> Baseline | None:
    """That of the action; otherwise that of the first trigger for such events that has one."""
    event = decision.case.event
    of_triggers = (
        trigger.policy.baseline for trigger in compiled.triggers if trigger.listens_to(event.type, event.subject)
    )
    action = compiled.actions.get(decision.action)
    return (action.policy.baseline if action else None) or next(filter(None, of_triggers), None)
