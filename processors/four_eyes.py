"""Four eyes: how many persons have to approve a decision, and who may not. Pure.

The rule is read from the charter for each answer, so a charter that is promoted for what waits makes it stricter for a
decision that waits already. A person is known by name: what proves the name is not decided here.
"""

from collections.abc import Collection, Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict

from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.expressions import ExpressionFailed
from nightdesk.processors.scopes import DataInvalid, event_scope
from nightdesk.schemas.approval_details import ExcludedPerson
from nightdesk.schemas.persons import is_same_person
from nightdesk.schemas.records import Decision

PROMOTED = "this person put the charter's version in force (not_promoter)"
# More, or longer ones, are no list of those who asked for one thing.
REQUESTERS_AT_MOST = 50
NAME_AT_MOST = 200
REQUESTED = "this person asked for it (requested_by)"


class ApprovalRule(BaseModel):
    """Who has to approve one decision. `nobody_because`: who may not approve cannot be known, so nobody may."""

    model_config = ConfigDict(frozen=True)

    approvers: int = 1
    excluded: tuple[ExcludedPerson, ...] = ()
    nobody_because: str = ""

    @classmethod
    def of(cls, decision: Decision, compiled: CompiledCharter, put_in_force_by: Collection[str]) -> Self:
        """The rule of the decision's action; `put_in_force_by`: who applied or promoted the charter's version."""
        action = compiled.actions.get(decision.action)
        if action is None or action.policy.four_eyes is None:
            return cls()
        policy = action.policy.four_eyes
        promoters = sorted(put_in_force_by) if policy.not_promoter else ()
        try:
            scope = event_scope(decision.case.event)
            requesters = _bounded([name for one in action.requested_by for name in one.texts(scope)])
        except (DataInvalid, ExpressionFailed) as error:
            return cls(approvers=policy.approvers, nobody_because=f"who asked for it is not known: {error}")
        excluded = (
            *(ExcludedPerson(person=name, because=REQUESTED) for name in requesters),
            *(ExcludedPerson(person=name, because=PROMOTED) for name in promoters),
        )
        return cls(approvers=policy.approvers, excluded=excluded)

    def refusal(self, person: str, approved_by: Sequence[str]) -> str:
        """Why this person's approval does not count beside those of `approved_by`; empty if it does."""
        if self.nobody_because:
            return f"four eyes: nobody may approve it, because {self.nobody_because}"
        for one in self.excluded:
            if is_same_person(one.person, person):
                return f"four eyes: {person} may not approve it, because {one.because}"
        if any(is_same_person(other, person) for other in approved_by):
            return f"four eyes: {person} has approved it already, and another person has to"
        return ""

    def missing(self, approved_by: Sequence[str]) -> int:
        """How many further persons have to approve."""
        return max(0, self.approvers - len(approved_by))


def _bounded(names: Sequence[str]) -> Sequence[str]:
    """Each name once. Raises `ExpressionFailed` if these cannot be the names of those who asked."""
    found = tuple(dict.fromkeys(names))
    if len(found) > REQUESTERS_AT_MOST or any(len(name) > NAME_AT_MOST for name in found):
        raise ExpressionFailed(
            f"requested_by gives more than {REQUESTERS_AT_MOST} names, or one with more than {NAME_AT_MOST} characters"
        )
    return found
