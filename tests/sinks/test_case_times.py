"""A record whose writer knew only the case's id gets the time of its case, from the batch or from the table."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from clickhouse_connect.driver.binding import bind_query
from clickhouse_connect.driver.client import Client

from nightdesk.schemas.records import AuditRecord
from nightdesk.sinks.audit.case_times import with_case_times
from nightdesk.sinks.audit.table import AuditTable, InsertSlice
from tests.sinks.records import acted, at, dead_letter, land, of_case, record

# ClickHouse's `http_max_field_value_size`.
HTTP_FIELD_CHARACTERS = 131_072
RECEIVED = record("received", 0, **of_case())
STRAY = dead_letter(500, case_id=RECEIVED.case_id, case_at=None)


def times(client: Client, *records: AuditRecord) -> list[datetime | None]:
    given = InsertSlice("test.audit", 0, records, range(len(records)))
    (found,) = with_case_times(AuditTable(lambda: client), [given])
    assert found.offsets == given.offsets
    return [one.case_at for one in found.records]


def test_it_is_found_in_the_batch_and_in_the_table(client: Client) -> None:
    assert times(client, RECEIVED, STRAY) == [at(0), at(0)]
    land(client, RECEIVED)
    assert times(client, STRAY) == [at(0)]


def test_of_a_case_that_nobody_knows_and_without_a_case_it_stays_empty(client: Client) -> None:
    land(client, record("received", 0, **of_case("evt-2")))
    assert times(client, STRAY, record("control", 3, case_at=None)) == [None, None]


def test_the_first_record_that_opens_a_case_gives_its_own_time_in_the_batch(client: Client) -> None:
    """A backlog from before `case_at`: no record has one, and a redelivered record was written at another time."""
    received, again = (record("received", seconds, **{**of_case(), "case_at": None}) for seconds in (0, 60))
    finished = acted(8400, "completed", case_at=None)
    assert times(client, received, again, finished) == [at(0)] * 3
    given = [InsertSlice("test.audit", 0, [received, again, finished], range(3))]
    AuditTable(lambda: client).insert(with_case_times(AuditTable(lambda: client), given))
    assert client.query("SELECT count() FROM cases").result_rows == [(1,)]


def test_of_two_stored_copies_the_first_gives_the_time(client: Client) -> None:
    land(client, record("received", 60, **{**of_case(), "case_at": at(60)}), first=5)
    land(client, record("received", 0, **{**of_case(), "case_at": at(0)}), first=2)
    assert times(client, STRAY) == [at(0)]


class Measured:
    """The client, and how many characters each parameter of its queries has in a URL."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.characters: list[int] = []

    def query(self, text: str, parameters: dict[str, Any]) -> Any:
        _, bound = bind_query(text, parameters)
        self.characters += [len(value) for value in bound.values()]
        return self._client.query(text, parameters=parameters)


def test_no_query_has_more_ids_than_its_url_may_name(client: Client) -> None:
    """Their ids hold what an array and a URL have to escape. A server refuses what the local ClickHouse accepts."""
    cases = sorted((f"ticket '\\%é\n {number}", f"case '\\{number:060}") for number in range(6000))
    land(client, *(record("received", 0, subject=subject, case_id=case_id) for subject, case_id in cases))
    measured = Measured(client)
    found = AuditTable(lambda: cast("Client", measured)).case_times(cases)
    assert found == dict.fromkeys((case_id for _, case_id in cases), at(0))
    assert max(measured.characters) < HTTP_FIELD_CHARACTERS
