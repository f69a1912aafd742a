"""Why a decision was stopped, and what the gates would say to another answer. The page changes nothing, so its form is
a GET.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from nightdesk.console.frame import Visiting, page
from nightdesk.operations.what_if import Proposal, Version, consider

router = APIRouter()


@page(router, "/what-if/{decision_id}")
def ask(
    visit: Visiting,
    decision_id: str,
    action: str = "",
    parameters: str = "",
    confidence: Annotated[float | None, Query(ge=0, le=1)] = None,
    version: Version = "then",
) -> Response:
    """The gates' answer beside the recorded one."""
    proposal = Proposal(action, parameters.strip(), confidence, version)
    considered = consider(visit.console.installation, decision_id, proposal, visit.visitor.sees)
    return visit.show("what_if.html", {"asked": proposal, "found": considered})
