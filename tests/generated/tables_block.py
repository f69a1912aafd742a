"""The table of docs/scaling.md: what each table of each stage remembers."""

from pathlib import Path

from nightdesk.messaging.naming import PARKED
from nightdesk.streams.catalog import STAGES
from nightdesk.streams.stage_spec import TableSpec

SCALING_DOC = Path("docs/scaling.md")
# Not a table of one stage, but of the safety layer.
PARKED_TABLE = TableSpec(
    "records that wait behind a dead letter, whole",
    "until the letter is resolved or its topic has deleted it",
    "they go on",
)


def tables_block() -> str:
    """The rows, in the order of the stages."""
    head = "| stage | table | what | for how long | and after that |\n|---|---|---|---|---|\n"
    rows = [_row([stage.name], name, table) for stage in STAGES for name, table in stage.tables.items()]
    parking = [stage.name for stage in STAGES if stage.parks]
    return "".join([head, *rows, _row(parking, PARKED, PARKED_TABLE)])


def _row(stages: list[str], name: str, table: TableSpec) -> str:
    cells = (", ".join(f"`{stage}`" for stage in stages), f"`{name}`")
    return f"| {' | '.join((*cells, table.remembers, table.for_how_long, table.afterwards))} |\n"
