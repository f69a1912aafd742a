"""The roll-ups: tables with whole hours, each counted by a view from the facts, and read by a view together with the
hours that are not counted yet (docs/decisions/0038-hourly-roll-ups.md).
"""

from __future__ import annotations

from dataclasses import dataclass

# In the comment of a view that counts, what follows these words is about counting.
COUNTED = "Counted from the facts"
# The list of open hours is read once for both parts, so that an hour that changes meanwhile is in exactly one of them.
READ = """-- {rows}
--
-- Closed hours are read from the roll-up and open ones from the facts, so the answer is that of all records stored.
CREATE OR REPLACE VIEW {view}
(
{columns}
)
AS WITH (SELECT groupArray(hour) FROM open_hours) AS still_open
SELECT {names}
FROM
(
    SELECT {names} FROM {table} FINAL WHERE hour NOT IN (SELECT arrayJoin(still_open))
    UNION ALL
    SELECT {names} FROM {recount} WHERE hour IN (SELECT arrayJoin(still_open))
)
"""


@dataclass(frozen=True, slots=True)
class RollUp:
    """A table, the view that counts its rows, and the view that people read. A row replaces an earlier one that is
    equal in the columns `keys`.
    """

    view: str
    table: str
    recount: str
    keys: tuple[str, ...]

    def reading(self, rows: str, columns: str, names: str) -> str:
        """The definition of the view that people read, from that of the view that counts: what a row is, its columns as
        they are defined, and their names.
        """
        kind_of_row = rows.partition(COUNTED)[0].strip()
        return READ.format(
            rows=kind_of_row, view=self.view, columns=columns, names=names, table=self.table, recount=self.recount
        )


ROLL_UPS = (
    RollUp("hourly", "hourly_counts", "hourly_recount", ("hour", "agent", "event_type")),
    RollUp(
        "hourly_decisions",
        "hourly_decision_counts",
        "hourly_decisions_recount",
        ("hour", "agent", "event_type", "action", "disposition", "provider", "model"),
    ),
    RollUp("hourly_steps", "hourly_step_counts", "hourly_steps_recount", ("hour", "agent", "handler", "status")),
)
