"""An agent's money and pace: what is held, what is spent, and whether one more step may begin. Pure.

The budget stage keeps one `Fact` for each step of a case (the last that is known of its money) and derives one
`Account` for each agent from them. A fact replaces the step's earlier one, never adds to it, so a line applied twice
changes nothing and the balance can be recomputed from the facts, or from the topic, at any time. Money in
micro-dollars, times in epoch seconds, days in UTC.

    lines.py      the lines of the ledger, and who says which
    facts.py      what is known of one step's money, and for which tasks it counts
    lifecycle.py  what a line makes of a fact: a table
    account.py    the totals of an agent, by day and task
    reserving.py  whether there is room for one more step, and what it may cost
    judging.py    what becomes of a step that asks
"""

from processors.ledger.account import Account, Balance
from processors.ledger.facts import KEPT_S, Fact, FactState, day_of
from processors.ledger.lifecycle import after

__all__ = ["KEPT_S", "Account", "Balance", "Fact", "FactState", "after", "day_of"]
