"""What models were asked for a case, and what they answered: the texts that `why --prompt` prints, as they are kept.

They may say more than the decision, so only a person who asks for them and has the role to answer approvals sees them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import Response

from nightdesk.console.frame import Visiting, page
from nightdesk.console.pages.story import ROLE_FOR_TEXTS, seen_by
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.cases import questions, trace
from nightdesk.sinks.model_calls import ModelCall

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions of one case, in order. Texts that are not kept any more are empty."""

    subject: str
    case_id: str
    calls: Sequence[ModelCall]


@page(router, "/cases/{case_id}/questions")
def show(visit: Visiting, case_id: str) -> Response:
    installation = visit.console.installation
    found = seen_by(visit.visitor, trace(installation, case_id))
    case = next((case for case in found.cases if case.case_id == case_id), None)
    if case is None:
        raise Failure(f"{case_id} is no case", "Open it from the page of its subject", FailureKind.NOT_FOUND)
    visit.visitor.check(ROLE_FOR_TEXTS, case.agent)
    calls = [call for call in questions(installation, found) if call.case_id == case_id]
    return visit.show("questions.html", Questions(found.subject, case_id, calls))
