"""The answers of people to decisions that wait for one."""

from datetime import datetime
from typing import Literal

from nightdesk.schemas.bounds import Name, Text
from nightdesk.schemas.records.base import Record


class ApprovalReply(Record):
    """A person's answer to an approval. `payload_sha256` binds it to what was shown; it has `parameters` only with
    `edit`. `expire` is no person's: it ends what nobody answered, and counts only when its time is over.

    `signature` is a compact JWS by the person's key over `processors.provenance.signed_content`; if it is empty, the
    name is only claimed. `login` is the login of whoever gave it in the console: issuer and subject, with a space
    between them.
    """

    decision_id: Name
    subject: Name
    verdict: Literal["approve", "reject", "edit", "expire"]
    payload_sha256: Name
    parameters: Text | None = None
    person: Text
    login: Text = ""
    reason: Text = ""
    time: datetime
    signature: Text = ""
