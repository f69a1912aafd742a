"""What an action stands for: its steps in order, and the way back when one fails. Pure.

The act stage drives `run`: it performs each `RunStep`, records what came of it and sends the outcome back in.
`lifecycle` says what can become of a step, `ending` what comes after the last one.
"""

from processors.playbook.conversation import run
from processors.playbook.lifecycle import IllegalOutcome
from processors.playbook.words import Ending, Progress, RunStep, Timer

__all__ = ["Ending", "IllegalOutcome", "Progress", "RunStep", "Timer", "run"]
