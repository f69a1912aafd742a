"""The execution of a decision in the act stage, as a transition table: `advance(execution, event, now)`. Pure.

`state` is the stored state of a decision and `types` the value that the table transforms; `events` are its inputs and
`commands` its outputs; `transitions` is the table. The transitions of one step are in `calls`, those that finish with a
record in `leaving`. `limits` finds the rate limits of a call, `orders` the order that a decision waits for, and
`review` evaluates the charter again. docs/decisions/0026-one-transition-table.md says why it is a table.
"""

from nightdesk.processors.execution.leaving import IllegalEvent, current_step
from nightdesk.processors.execution.orders import OrderScope, order_against, scope_of
from nightdesk.processors.execution.policy import BREAKER
from nightdesk.processors.execution.state import ExecutionState, Outage, RateGrant
from nightdesk.processors.execution.transitions import TRANSITIONS, advance
from nightdesk.processors.execution.types import Execution, Phase, StepPolicy, StepRun, begin

__all__ = [
    "BREAKER",
    "TRANSITIONS",
    "Execution",
    "ExecutionState",
    "IllegalEvent",
    "OrderScope",
    "Outage",
    "Phase",
    "RateGrant",
    "StepPolicy",
    "StepRun",
    "advance",
    "begin",
    "current_step",
    "order_against",
    "scope_of",
]
