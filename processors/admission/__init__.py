"""The admission queue: which step of an agent's cases may start next. Pure.

Every step passes here before it is decided. A step whose gates are open starts at once. Any other step waits, and the
waiting steps start in the order in which their cases came. Whatever opens a gate lets the next step go on, so no step
polls and none overtakes.

- `gates.py`: the table of gates that a step may wait for
- `steps.py`: a waiting step; `needs.py`: what its charter makes it need
- `queue.py`: the queue of one agent; `agent_queue.py`: the queue together with the agent's clock and the state of its
  models
- `availability.py`: whether models answer, and the slow start when they do again
- `stops.py`: orders to stop, and the clock that they stop
- `admit.py`: lets steps go on for as long as gates are open
"""

from nightdesk.processors.admission.admit import Ended, Started, admit
from nightdesk.processors.admission.agent_queue import AgentQueue
from nightdesk.processors.admission.availability import Availability, SlowStart
from nightdesk.processors.admission.gates import GATES, Gate, GateName, Shut
from nightdesk.processors.admission.needs import AGENT, MODEL, charter_resource, is_urgent, needs_of, rank_of
from nightdesk.processors.admission.queue import AdmissionQueue
from nightdesk.processors.admission.steps import Needs, QueuePlace, WaitingStep
from nightdesk.processors.admission.stops import AgentClock, shut_by

__all__ = [
    "AGENT",
    "GATES",
    "MODEL",
    "AdmissionQueue",
    "AgentClock",
    "AgentQueue",
    "Availability",
    "Ended",
    "Gate",
    "GateName",
    "Needs",
    "QueuePlace",
    "Shut",
    "SlowStart",
    "Started",
    "WaitingStep",
    "admit",
    "charter_resource",
    "is_urgent",
    "needs_of",
    "rank_of",
    "shut_by",
]
