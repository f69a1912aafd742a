"""Reads the facts from outside. Called when nothing runs any more."""

from collections.abc import Iterator

from confluent_kafka import Message

from nightdesk.books import read_books
from nightdesk.reading import read_topic
from nightdesk.settings import KafkaSettings
from processors.ledger import Fact
from schemas.codec import Codec
from schemas.dead_letters import CONTEXT_HEADER
from schemas.records import AuditRecord, BudgetEntry, Case, DeadLetter, Decision
from schemas.topics import ACT, AUDIT, BUDGET, DECIDE, TOPICS
from streams.runtime.naming import group_id
from streams.runtime.tables import ENVELOPE
from tests.chaos.facts import Buried, Cost, Facts, Landed, LedgerWrite, Name, Said
from tests.chaos.world import World

COSTS = "SELECT agent, sum(decisions), sum(cost_microusd) FROM costs_by_day GROUP BY agent"


def gather(world: World) -> Facts:
    """Everything that the checker looks at."""
    kafka, codec = world.settings.kafka, world.codec
    return Facts(
        sent=tuple(world.sent),
        poison=tuple(world.poison),
        limits_microusd={charter.agent: charter.budget.per_day_microusd for charter in world.charters},
        observed=tuple(world.observed),
        said=tuple(
            Said(_partition(message), _offset(message), codec.decode(AuditRecord, _bytes(message)))
            for message in _read(kafka, AUDIT.name)
        ),
        decisions=tuple(codec.decode(Decision, _bytes(message)) for message in _read(kafka, ACT.name)),
        cases=tuple(codec.decode(Case, _bytes(message)) for message in _read(kafka, DECIDE.name)),
        entries=tuple(codec.decode(BudgetEntry, _bytes(message)) for message in _read(kafka, BUDGET.name)),
        ledger=tuple(_ledger(kafka)),
        buried=tuple(_buried(kafka, codec)),
        ends=tuple(_ends(world)),
        landed=tuple(Landed(*row) for row in world.rows("SELECT `partition`, `offset`, record_id FROM audit_records")),
        records=tuple(str(row[0]) for row in world.rows("SELECT record_id FROM records")),
        costs={row[0]: Cost(row[1], row[2]) for row in world.rows(COSTS)},
        effects=tuple(world.outside.actions.seen),
        asked=tuple(world.outside.questions()),
        executed_twice=world.outside.actions.tally.executed_twice,
        drifts=tuple(str(drift) for drift in read_books(world.settings).drifts()),
    )


def _read(kafka: KafkaSettings, name: str) -> Iterator[Message]:
    return read_topic(kafka, kafka.topic_prefix + name)


def _ledger(kafka: KafkaSettings) -> Iterator[LedgerWrite]:
    for message in read_topic(kafka, f"{group_id(kafka.topic_prefix, 'budget')}-ledger-changelog"):
        key, value = message.key(), message.value()
        assert isinstance(key, bytes)
        if not isinstance(value, bytes):
            yield LedgerWrite(key, 0, None)
            continue
        term, _ = ENVELOPE.unpack_from(value)
        yield LedgerWrite(key, term, Fact.model_validate_json(value[ENVELOPE.size :]))


def _buried(kafka: KafkaSettings, codec: Codec) -> Iterator[Buried]:
    for topic in TOPICS:
        for message in _read(kafka, topic.dlq) if topic.dead_letters else ():
            context = dict(message.headers() or ()).get(CONTEXT_HEADER)
            if isinstance(context, bytes):  # else it says what became of a letter
                yield Buried(codec.decode(DeadLetter, context), _bytes(message) or b"")


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
