"""Formats dead letters for people and scripts. Pure: letters in, lines and JSON out."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any

from nightdesk.commands.why_text import clean
from nightdesk.operations.dead_letters.causes import CauseGroup
from nightdesk.operations.dead_letters.contents import Contents
from nightdesk.operations.dead_letters.reading import Letter
from nightdesk.output import without_silent
from nightdesk.schemas.persons import shown_person
from nightdesk.schemas.records import Record

MESSAGE_CHARACTERS = 80
BYTES_SHOWN = 400
# The usual values; a column is shown only if one letter differs.
USUAL = {"state": "open", "tries": 1, "waiting": ""}


def row(letter: Letter) -> dict[str, Any]:
    """A letter in `list --output json`: fields are added, never renamed."""
    about, end = letter.about, letter.end
    return {
        "dead_letter_id": about.dead_letter_id,
        "state": letter.state,
        "stage": about.stage,
        "topic": about.topic,
        "partition": about.partition,
        "offset": about.offset,
        "time": about.time.isoformat(),
        "subject": about.subject,
        "case_id": about.case_id,
        "attempted": about.attempted,
        "error": about.error,
        "message": about.message,
        "attempts": about.attempts,
        "kind": about.kind,
        "replay_of": about.replay_of,
        "waiting": letter.waiting,
        "size_bytes": letter.size_bytes,
        "records": about.records,
        "origin": about.origin,
        "end": None if end is None else end.model_dump(mode="json", exclude={"dead_letter_id"}),
    }


def cause_row(group: CauseGroup) -> dict[str, Any]:
    """The letters of one cause in `list --by-cause`."""
    return {
        "letters": len(group.letters),
        "stage": group.stage,
        "topic": group.topic,
        "error": group.error,
        "cause": group.cause,
        "first": group.first_at.isoformat(timespec="seconds"),
        "last": group.last_at.isoformat(timespec="seconds"),
    }


def lines(letters: Sequence[Letter]) -> list[dict[str, Any]]:
    """Letters as the rows of a table that fits 80 columns."""
    return without_silent([_line(letter) for letter in letters], USUAL)


def _line(letter: Letter) -> dict[str, Any]:
    about = letter.about
    return {
        "id": about.dead_letter_id[:13],
        "state": letter.state,
        "time": about.time.strftime("%m-%d %H:%M"),  # letters are kept for 30 days
        "stage": about.stage,
        "subject": about.subject or "",
        "tries": about.attempts,
        "waiting": letter.waiting or "",
        "why": f"{about.error}: {about.message[:MESSAGE_CHARACTERS]}",
    }


def document(letter: Letter, contents: Contents, record: Record | None) -> dict[str, Any]:
    """A letter in `show --output json`. Bytes are base64; `record` is null if this version cannot decode it.

    `truncated`: the letter has the beginning of the record. `whole`: the complete record was found elsewhere, and is
    shown.
    """
    about, original = letter.about, contents.shown
    return {
        **row(letter),
        "truncated": about.truncated,
        "whole": bool(contents.whole),
        "sha256": about.sha256,
        "traceback": about.traceback,
        "program_version": about.program_version,
        "timestamp_ms": about.timestamp_ms,
        "key_base64": _base64(original.key),
        "value_base64": _base64(original.value),
        "headers": [{"name": name, "value_base64": _base64(value)} for name, value in original.headers],
        "record": None if record is None else record.model_dump(mode="json"),
    }


def render(letter: Letter, contents: Contents, record: Record | None) -> Iterator[str]:
    """A letter for people, line by line."""
    about, end, original = letter.about, letter.end, contents.shown
    tries = "" if about.attempts == 1 else f", try {about.attempts}, a replay of {about.replay_of}"
    yield f"dead letter {about.dead_letter_id}: {letter.state}" + (
        ""
        if end is None
        else f" by {clean(shown_person(end.person, login=end.login))}, {end.time:%Y-%m-%d %H:%M:%S UTC}"
        + _because(end.reason)
    )
    yield f"  record      {about.topic}, partition {about.partition}, offset {about.offset}: {letter.size_bytes} bytes"
    yield f"  subject     {clean(about.subject or '')}" + (f", case {about.case_id}" if about.case_id else "")
    yield f"  attempted   {about.attempted or '?'} by {about.stage} {about.program_version}{tries}"
    yield f"  failed      {about.time:%Y-%m-%d %H:%M:%S UTC}, {about.error}: {clean(about.message)}"
    if about.truncated:
        yield f"  truncated   {_where(contents, about.records)}"
    if letter.waiting:
        yield f"  waiting     {letter.waiting} later records of this subject are parked behind it"
    for name, value in original.headers:
        yield f"  header      {clean(name)}: {_shown(value)}"
    yield f"  key         {_shown(original.key)}"
    if record is None:
        yield f"  bytes       {_shown(original.value)}"
    else:
        yield f"  says        {clean(json.dumps(record.model_dump(mode='json'), ensure_ascii=False))}"
    for text in about.traceback.rstrip().split("\n"):
        yield f"    {clean(text)}"


def _where(contents: Contents, records: int) -> str:
    if len(contents.whole) > 1:
        return f"it represents {records} records, which are still in their topic: `replay` sends each again"
    if contents.whole:
        return "the record was too large for its dead letter; the complete record was found and is shown here"
    return "the record was too large for its dead letter, and is gone: this is its beginning. `discard` it"


def _because(reason: str) -> str:
    return f" ({clean(reason)})" if reason else ""


def _shown(value: bytes | None) -> str:
    """Bytes on one line, with unprintable ones escaped."""
    if value is None:
        return "none"
    rest = f"… ({len(value)} bytes: --raw FILE writes all of them)" if len(value) > BYTES_SHOWN else ""
    return repr(value[:BYTES_SHOWN])[2:-1] + rest


def _base64(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()
