"""The tombstone of a subject whose records are to be kept no longer."""

from datetime import datetime

from nightdesk.schemas.bounds import Name, Text
from nightdesk.schemas.records.base import Record


class ForgottenSubject(Record):
    """The sink stores no record of the subject whose case was opened by `time`.

    The subject is not in it: `digest` is its keyed digest, and `key_check` tells which key that was. When its rows are
    deleted the record comes again, with the number of places that they had on the audit topic and the digest of these
    places: only rows whose place is among them are missing because the subject is forgotten.
    """

    digest: Name
    key_check: Name
    time: datetime
    issued_by: Name
    reason: Text = ""
    places: int = 0
    places_sha256: Name = ""
