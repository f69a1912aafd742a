"""Which systems do not answer, from what the workers of a stage have written about their circuits."""

from nightdesk.operations.away_systems import open_circuits
from nightdesk.streams.stages.circuits import WrittenCircuit


def _row(partition: int, name: str, at: float, open_until: float, cause: str = "") -> tuple[tuple[int, bytes], bytes]:
    written = WrittenCircuit(at=at, open_until=open_until, cause=cause)
    return (partition, name.encode()), written.model_dump_json().encode()


def test_what_was_written_last_counts_in_whatever_partition_it_is() -> None:
    rows = [
        _row(0, "helpdesk", 100.0, 130.0),
        _row(1, "helpdesk", 200.0, 0.0),
        _row(0, "crm", 100.0, 0.0),
        _row(1, "crm", 200.0, 260.0, "connection"),
    ]
    for order in (rows, rows[::-1]):
        [away] = open_circuits("act", order)
        assert (away.system, away.cause) == ("crm", "connection")
        assert str(away).startswith("crm does not answer (connection): a call of act failed at 1970-01-01 00:03:20 UTC")
        assert "calls again from 00:04:20 UTC on" in str(away)
