"""Says what may be missing in ClickHouse without a fault: rows, texts and places that retention has deleted, and the
rows of forgotten subjects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from nightdesk.schemas.records import ForgottenSubject
from nightdesk.schemas.topics import AUDIT, DAY_MS
from nightdesk.sinks.audit.forgotten import ForgottenSubjects
from nightdesk.sinks.clickhouse.forgetting import Places, places_of
from nightdesk.sinks.clickhouse.retention import Retention

NOW = "SELECT now('UTC')"
# A row that will be deleted within a day counts as gone, because ClickHouse may delete it during the comparison.
KEPT = "{time} + toIntervalMonth({{{months}:UInt16}}) > {{now:DateTime('UTC')}} + toIntervalDay(1)"
# A link may be stored again when the topic is read again, and its places are not.
LINK_DAYS = AUDIT.retention_ms // DAY_MS + 1


def _nobody() -> ForgottenSubjects:
    return ForgottenSubjects()


@dataclass(frozen=True, slots=True)
class Absence:
    """`confirmed` are the digests of those forgotten subjects whose noted places are equal to those of the
    tombstone.
    """

    now: datetime
    retention: Retention
    subjects: ForgottenSubjects = field(default_factory=_nobody)
    confirmed: frozenset[str] = frozenset()

    @property
    def parameters(self) -> dict[str, Any]:
        """Of queries with `KEPT`: rows are compared as long as they and their places are kept."""
        rows = min(self.retention.of("audit_records"), self.retention.of("audit_places"))
        return {
            "now": self.now,
            "rows": rows,
            "texts": (texts := min(rows, self.retention.texts or rows)),
            "prompts": min(texts, self.retention.prompts or texts),
            "places": self.retention.of("audit_places"),
        }

    def parameters_of(self, table: str) -> dict[str, Any]:
        """Of queries that compare a table of facts with the rows: as long as all of both is kept."""
        given = self.parameters
        return given | {"prompts": min(self.retention.of(table), given["rows"], given["prompts"])}


def absence(
    client: Client, retention: Retention, subjects: ForgottenSubjects, tombstones: Iterable[ForgottenSubject]
) -> Absence:
    """What may be missing now. Raises `connection.ANY_FAILURE`."""
    noted = places_of(client)
    confirmed = {one.digest for one in tombstones if noted.get(one.digest) == Places(one.places, one.places_sha256)}
    (now,) = client.query(NOW).result_rows[0]
    return Absence(now, retention, subjects, frozenset(confirmed))
