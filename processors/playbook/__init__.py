"""Runs the playbook of an action: its steps in order, and their undos if one fails. Pure.

The act stage drives `run`: it performs each `RunStep`, records the outcome and sends it back. `lifecycle` has the
possible states of a step, `ending` computes what follows the last one.
"""

from nightdesk.processors.playbook.ending import escalated, reconsidered, unapproved
from nightdesk.processors.playbook.flow import run
from nightdesk.processors.playbook.lifecycle import IllegalOutcome
from nightdesk.processors.playbook.types import Ending, Progress, RunStep, StepResult, TimerRequest

__all__ = [
    "Ending",
    "IllegalOutcome",
    "Progress",
    "RunStep",
    "StepResult",
    "TimerRequest",
    "escalated",
    "reconsidered",
    "run",
    "unapproved",
]
