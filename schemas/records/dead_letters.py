"""Dead letters, and how people resolve them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from nightdesk.schemas.bounds import Name, Text
from nightdesk.schemas.records.base import Count, Record


class DeadLetter(Record):
    """Why a record could not be processed; sent in a header with the original bytes on `<topic>.dlq`.

    `attempts` counts this attempt and every replay before it, `replay_of` is the replayed letter. The first
    `original_headers` headers of the message are those of the original record. `parks`: later records of its subject
    are parked behind it.

    `truncated`: the record was too large, so the message has only its beginning; `size_bytes` is the size of the whole
    value and `sha256` the digest of the whole record (`schemas/truncation.py`). `records` is the number of offsets,
    starting with `offset`, that the letter represents: more than one if a batch could not be unpacked. `origin` is what
    is known of the producer.

    `kind`: `lost` represents records that were deleted before they were read, `quarantined` a record at which the stage
    exited repeatedly.
    """

    dead_letter_id: Name = Field(description="id of the dead letter")
    stage: Name = Field(description="stage that failed")
    topic: Name = Field(description="topic of the record, without the prefix")
    partition: int = Field(description="partition of the record")
    offset: int = Field(description="offset of the record")
    timestamp_ms: int = Field(
        description="timestamp of the record on its topic, in milliseconds since 1970; 0 if unknown"
    )
    error: Name = Field(description="class of the error")
    message: Text = Field(description="message of the error")
    traceback: Text = Field(description="end of the error's traceback")
    attempts: int = Field(
        default=1, description="number of times that the record was tried: this one and every replay before it"
    )
    subject: Name | None = Field(default=None, description="subject of the record, from its key")
    case_id: Name | None = Field(default=None, description="case that the record belongs to")
    program_version: Name = Field(description="version of Nightdesk that failed")
    time: datetime = Field(description="when the record failed")
    attempted: Name = Field(default="", description="what the stage was doing")
    replay_of: Name | None = Field(
        default=None, description="id of the dead letter that was replayed and failed again as this one"
    )
    original_headers: int | None = Field(
        default=None, description="number of headers that the record came with: the first of the message's headers"
    )
    parks: bool = Field(default=False, description="true if later records of the subject wait behind this one")
    truncated: bool = Field(
        default=False, description="true if the record was too large, so the message holds only its beginning"
    )
    size_bytes: Count | None = Field(default=None, description="size of the whole value, in bytes")
    sha256: Name | None = Field(default=None, description="SHA-256 digest of the whole record")
    records: Annotated[int, Field(ge=1)] = Field(
        default=1, description="number of offsets, starting at `offset`, that the dead letter represents"
    )
    origin: Name = Field(default="", description="what is known of the record's producer")
    kind: Literal["failed", "quarantined", "lost"] = Field(
        default="failed",
        description="failed; quarantined if the record ended the stage repeatedly; lost if the log deleted it unread",
    )


class DeadLetterEnd(Record):
    """A person's resolution of a dead letter; sent in a header of an empty record, behind the letter on its topic."""

    dead_letter_id: Name = Field(description="id of the dead letter")
    verdict: Literal["replayed", "discarded"] = Field(description="what the person did")
    person: Text = Field(description="who did it, as the command was told")
    reason: Text = Field(default="", description="reason that the person gave")
    time: datetime = Field(description="when the person did it")
    filter_name: Text = Field(
        default="", description="name of the filter that selected the letter; empty if the person named letters"
    )
    login: Text = Field(
        default="", description="login of whoever did it in the console: issuer and subject, with a space between them"
    )
