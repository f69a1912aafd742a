"""The money and the rate of an agent: what is reserved, what is spent, and whether one more step may start. Pure.

The budget stage keeps one `Fact` for each step of a case (the current state of its money) and derives one `Account` for
each agent from them. A fact replaces the step's earlier fact and is never added to it. So an entry that is applied
twice changes nothing, and the balance can be recomputed from the facts, or from the topic, at any time. Money is in
micro-dollars, times in epoch seconds, days in UTC.

- `entries.py`: the entries of the ledger, and which stage writes which
- `facts.py`: the money of one step, and the scopes that it counts in
- `lifecycle.py`: how an entry changes a fact: a table
- `account.py`: the totals of an agent, by day and scope
- `reserving.py`: whether there is money for one more step, and what it may cost
- `admission.py`: whether a step that asks is admitted
"""

from nightdesk.processors.ledger.account import Account, Balance
from nightdesk.processors.ledger.facts import KEPT_S, Fact, FactState, day_of
from nightdesk.processors.ledger.lifecycle import after

__all__ = ["KEPT_S", "Account", "Balance", "Fact", "FactState", "after", "day_of"]
