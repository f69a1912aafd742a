"""Reads the facts from outside, after every process has ended."""

from collections.abc import Iterator

from confluent_kafka import Message

from nightdesk.messaging.changelog import decode
from nightdesk.messaging.naming import group_id
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.messaging.topic_reader import read_topic
from nightdesk.operations.ledger_audit import read_ledger_audit
from nightdesk.processors.ledger import Fact
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.dead_letters import CONTEXT_HEADER
from nightdesk.schemas.records import AuditRecord, BudgetEntry, Case, DeadLetter, Decision
from nightdesk.schemas.topics import ACT, AUDIT, BUDGET, DECIDE, TOPICS
from nightdesk.streams.runtime.handling.repartitioning import ORIGIN_HEADER
from tests.chaos.facts import AuditedRecord, Cost, DeadLettered, Facts, InsertedRow, LedgerWrite, Name
from tests.chaos.world import World

COSTS = "SELECT agent, sum(decisions), sum(cost_microusd) FROM costs_by_day GROUP BY agent"


def gather(world: World) -> Facts:
    """Read everything that the checker needs."""
    kafka, codec = world.settings.kafka, world.codec
    return Facts(
        sent=tuple(world.sent),
        poison=tuple(record.value for record in world.poison),
        limits_microusd={charter.agent: charter.budget.per_day_microusd for charter in world.charters},
        kills=world.fleet.faults["killed"],
        observed=tuple(world.observed),
        audited=tuple(
            AuditedRecord(_partition(message), _offset(message), codec.decode(AuditRecord, _bytes(message)))
            for message in _read(kafka, AUDIT.name)
        ),
        decisions=tuple(codec.decode(Decision, _bytes(message)) for message in _read(kafka, ACT.name)),
        cases=tuple(codec.decode(Case, _bytes(message)) for message in _read(kafka, DECIDE.name)),
        entries=tuple(codec.decode(BudgetEntry, _bytes(message)) for message in _read(kafka, BUDGET.name)),
        ledger=tuple(_ledger(kafka)),
        dead_letters=tuple(_dead_letters(kafka, codec)),
        ends=tuple(_ends(world)),
        inserted=tuple(
            InsertedRow(*row) for row in world.rows("SELECT `partition`, `offset`, record_id FROM audit_records")
        ),
        records=tuple(str(row[0]) for row in world.rows("SELECT record_id FROM records")),
        costs={row[0]: Cost(row[1], row[2]) for row in world.rows(COSTS)},
        effects=tuple(world.outside.actions.seen),
        asked=tuple(world.outside.questions()),
        executed_twice=world.outside.actions.tally.executed_twice,
        drifts=tuple(str(drift) for drift in read_ledger_audit(world.settings).drifts()),
    )


def _read(kafka: KafkaSettings, name: str) -> Iterator[Message]:
    return read_topic(kafka, kafka.topic_prefix + name)


def _ledger(kafka: KafkaSettings) -> Iterator[LedgerWrite]:
    for message in read_topic(kafka, f"{group_id(kafka.topic_prefix, 'budget')}-ledger-changelog"):
        key, value = message.key(), message.value()
        assert isinstance(key, bytes)
        entry = decode(value, message.headers())
        fact = Fact.model_validate_json(entry.value) if entry.value is not None else None
        yield LedgerWrite(key, entry.term, fact)


def _dead_letters(kafka: KafkaSettings, codec: Codec) -> Iterator[DeadLettered]:
    for topic in TOPICS:
        for message in _read(kafka, topic.dlq) if topic.dead_letters else ():
            headers = dict(message.headers() or ())
            context, origin = headers.get(CONTEXT_HEADER), headers.get(ORIGIN_HEADER) or b""
            if isinstance(context, bytes):  # else it says what became of a letter
                letter = codec.decode(DeadLetter, context)
                yield DeadLettered(
                    letter, _bytes(message) or b"", origin.decode() if isinstance(origin, bytes) else origin
                )


def _ends(world: World) -> Iterator[tuple[Name, str]]:
    query = "SELECT event_source, event_id, status FROM ends WHERE state = 'ended' AND event_id != ''"
    for source, number, status in world.rows(query):
        if number.isdigit():
            yield (source, int(number)), status


def _bytes(message: Message) -> bytes | None:
    value = message.value()
    return value if isinstance(value, bytes) else None


def _partition(message: Message) -> int:
    partition = message.partition()
    assert partition is not None
    return partition


def _offset(message: Message) -> int:
    offset = message.offset()
    assert offset is not None
    return offset
