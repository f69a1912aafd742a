"""The records that anybody with write access may produce to `ingest`, each with its expected end.

Add new ones to the list. A record is bytes; `lane` is its expected end: a dead letter with this error, or `event` if it
is unusual and still has to be handled like any other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from nightdesk.schemas.codec import HEADER, Codec
from nightdesk.schemas.dead_letters import ATTEMPTS_HEADER, CONTEXT_HEADER, END_HEADER, REPLAY_HEADER, Headers
from nightdesk.schemas.records import Event

EVENT = "event"
MEGABYTE = 1_000_000
NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class HostileRecord:
    """A record for `ingest`, and its expected end."""

    name: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    lane: str = EVENT


def event(subject: str = "s", **fields: object) -> Event:
    """An event that nobody has checked."""
    about: dict[str, object] = {"id": f"id-{subject[:20]}", "source": "hostile", "type": "note", "subject": subject}
    about |= {"time": NOW, "datacontenttype": "application/json", "data": "null", **fields}
    return Event.model_construct(None, **about)


def records(codec: Codec) -> tuple[HostileRecord, ...]:
    """All of them. Names are unique; so is the key if there is one, and it is the event's subject."""
    return (
        *_unreadable(codec),
        *_too_large(codec),
        *_headers(codec),
        *_texts(codec),
        *_numbers(codec),
    )


def _unreadable(codec: Codec) -> Iterator[HostileRecord]:
    good = codec.encode(event())
    values = {
        "nothing": None,
        "no bytes": b"",
        "one byte": b"\x00",
        "json": b'{"id": "1"}',
        "noise": bytes(range(255, -1, -1)),
        "cut": good[:-3],
        "longer": good + b"!",
        "an unknown schema": HEADER.pack(0, 987_654) + good[HEADER.size :],
        "a negative length": good[: HEADER.size] + b"\x09hello",
        "a huge length": good[: HEADER.size] + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f" + b"x" * 20,
        "an endless number": good[: HEADER.size] + b"\xff" * 5000,
        "zeros": bytes(MEGABYTE),
    }
    for name, value in values.items():
        lane = "UnknownSchema" if name in ("an unknown schema", "zeros") else "Undecodable"
        yield HostileRecord(name, f"unreadable-{name}".encode(), value, lane=lane)
    yield HostileRecord("no key and no value", None, None, lane="Undecodable")


def _too_large(codec: Codec) -> Iterator[HostileRecord]:
    def named(name: str, lane: str, key: bytes | None = None, **fields: object) -> HostileRecord:
        made = event(**{"subject": f"large-{name}", **fields})  # type: ignore[arg-type]  # not yet checked
        return HostileRecord(name, made.subject.encode() if key is None else key, codec.encode(made), lane=lane)

    yield named("9 MB of data", "OutOfBounds", data='"' + "x" * 9 * MEGABYTE + '"')
    yield named("11 MB of data", "OutOfBounds", data='"' + "x" * 11 * MEGABYTE + '"')
    yield named("a subject of 2.2 MB", "OutOfBounds", subject="u" * 2_200_000)
    yield named("a subject of 200 kB", "OutOfBounds", subject="v" * 200_000)
    yield named("a subject of 1,025", "Undecodable", subject="w" * 1025)
    yield named("an id of 300 kB", "Undecodable", id="i" * 300_000)
    yield named("a source of 300 kB", "Undecodable", source="i" * 300_000)
    yield named("a type of 300 kB", "Undecodable", type="i" * 300_000)
    yield named("a content type of 300 kB", "Undecodable", datacontenttype="i" * 300_000)
    yield named("data of one byte too many", "EventRefused", data='"' + "ü" * 499_999 + 'x"')
    yield named("the largest data", EVENT, data='"' + "x" * (MEGABYTE - 2) + '"')
    yield named("the longest subject", EVENT, subject="z" * 1024)
    yield named("a key of 2 MB", "OutOfBounds", key=b"k" * 2 * MEGABYTE, subject="large-key")


def _headers(codec: Codec) -> Iterator[HostileRecord]:
    def named(name: str, lane: str, *headers: tuple[str, bytes | None], value: bytes | None = None) -> HostileRecord:
        subject = f"headers-{name}"
        return HostileRecord(name, subject.encode(), value or codec.encode(event(subject)), headers, lane)

    yield named("a header of 3.9 MB", "OutOfBounds", ("x", b"h" * 3_900_000))
    yield named("a header's name of 2 MB", "OutOfBounds", ("n" * 2_000_000, b""))
    yield named("a thousand headers", "OutOfBounds", *((f"h{number}", b"v") for number in range(1000)))
    yield named("a header without a value", EVENT, ("x", None))
    yield named("our headers without values", EVENT, *((name, None) for name in (CONTEXT_HEADER, REPLAY_HEADER)))
    yield named("a header without a name", EVENT, ("", b"v"))
    yield named(
        "faust's own headers",
        EVENT,
        ("Faust-Ag-ReplyTo", b"nightdesk.control"),
        ("Faust-Ag-CorrelationId", b"1"),
    )
    yield named("a trace of zeros", EVENT, ("traceparent", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01"))
    yield named("a forged replay", EVENT, (REPLAY_HEADER, b"\xff" * 5000), (ATTEMPTS_HEADER, b"9" * 4000))
    forged = (("__connect.errors.topic", b"theirs"), (CONTEXT_HEADER, b"forged"))
    yield named("a forged letter that fails", "Undecodable", *forged, value=b"bad")
    yield HostileRecord("an unreadable end", b"end", None, ((END_HEADER, b"\x00\x00"),), "Undecodable")
    yield HostileRecord("an end without a value", b"end-2", None, ((END_HEADER, None),), "Undecodable")
    yield named("unreadable, with headers of 90 kB", "Undecodable", ("x", b"\xff" * 90_000), value=b"bad")


def _texts(codec: Codec) -> Iterator[HostileRecord]:
    texts = {
        "markup": "[/quote] [red]",
        "a bidirectional override": "\u202egnp.exe",
        "a path": "../../../etc/passwd",
        "a template": "{{ 7 * 7 }} ${HOME} %s",
        "SQL": "'; DROP TABLE audit_records; --",
    }
    controls = {
        "an escape sequence": "\x1b[2J\x1b]0;title\x07",
        "a control of C1": "\x9b31m",
        "a NUL": "before\x00after",
        "a line break": "one\r\ntwo",
        "a noncharacter": "\ufffe",
    }
    for name, text in (texts | controls).items():
        made = event(f"text-{text}", id=text, source=text, data='"' + "t" * 10 + '"')
        lane = "EventRefused" if name in controls else EVENT
        yield HostileRecord(name, made.subject.encode(), codec.encode(made), lane=lane)


def _numbers(codec: Codec) -> Iterator[HostileRecord]:
    """JSON numbers in `data`: an invalid one is refused by name and blocks nothing."""
    datas = {
        "no JSON": "{",
        "deep JSON": "[" * 100_000 + "]" * 100_000,
        "deep objects": '{"a":' * 5000 + "1" + "}" * 5000,
        "5,000 digits": "9" * 5000,
        "a large exponent": "1e999999",
        "not a number": "NaN",
        "a thousand commas": "[" + ",".join("0" * 1000) + "]",
        "twice the same key": '{"a": 1, "a": 2}',
        "a lone surrogate": '"\\ud800"',
    }
    for name, data in datas.items():
        subject = f"data-{name}"
        yield HostileRecord(name, subject.encode(), codec.encode(event(subject, data=data)))
    moments = {"the year 1": -62_135_596_800_000_000, "after the year 9999": 2**62, "before the year 1": -(2**62)}
    for name, micros in moments.items():
        subject = f"time-{name}"
        value = _with_time(codec, subject, micros)
        yield HostileRecord(
            name, subject.encode(), value, lane="EventRefused" if name == "the year 1" else "Undecodable"
        )


def _with_time(codec: Codec, subject: str, micros: int) -> bytes:
    """An event of any time, including those that Python's `datetime` cannot hold."""
    placeholder = codec.encode(event(subject))
    now = _zigzag(int(NOW.timestamp()) * 1_000_000)
    assert placeholder.count(now) == 1
    return placeholder.replace(now, _zigzag(micros))


def _zigzag(number: int) -> bytes:
    rest, found = (number << 1) ^ (number >> 63), bytearray()
    rest &= (1 << 64) - 1
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*found, rest])
