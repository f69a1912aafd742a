"""One running pipeline under attack: hostile answers through decide and act, and forged records to act."""

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

from confluent_kafka import Producer

from nightdesk.local.stack import LocalStack
from nightdesk.local.stages import stage_parts
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.topic_reader import read_topic
from nightdesk.operations.charters import load_charter
from nightdesk.operations.orders import charter_orders, give_orders
from nightdesk.operations.schemas import register_schemas
from nightdesk.operations.stage_status import stage_status
from nightdesk.operations.topics import apply_topics
from nightdesk.processors.charter import compile_charter
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.records import AuditRecord, Decision
from nightdesk.schemas.topics import ACT, APPROVALS, AUDIT, INGEST
from nightdesk.settings import Settings
from tests import secret_leaks
from tests.adversarial.forgeries import Forger, Forgery, Said
from tests.adversarial.tickets import Ticket
from tests.chaos.fleet import Fleet
from tests.chaos.outside import Outside
from tests.fakes.action_server import ActionServer
from tests.fakes.model_server import ModelServer

CHARTERS = Path(__file__).parent / "charters"
TOKEN = secret_leaks.ENVIRONMENT["NIGHTDESK_CONNECTIONS__ACTIONS__TOKEN"]
CALM_WITHIN_S = 240
LOOK_S = 0.5
_ATTACK = re.compile(r'"attack": "([^"]+)"')
ENDS = {"completed", "escalated", "waiting", "refused", "failed", "needs_approval"}


class HostileOutside(Outside):
    """A model that answers what the attacker wants, and an action server that does whatever it is asked."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        super().__init__()
        self.model = ModelServer(lambda prompt: answers[_ATTACK.findall(prompt)[0]], keep_requests=100_000)  # type: ignore[assignment]  # chaos counts
        self.actions: ActionServer = ActionServer()  # type: ignore[assignment]  # here the log is enough


@dataclass
class Attack:
    """A running pipeline."""

    settings: Settings
    codec: Codec
    forger: Forger
    outside: HostileOutside
    fleet: Fleet
    producer: Producer
    tickets: list[Ticket] = field(default_factory=list)

    def send(self, tickets: Iterable[Ticket]) -> None:
        """Send tickets as the world does."""
        for one in tickets:
            self.tickets.append(one)
            self._produce(INGEST.name, one.subject, self.codec.encode(one.event()))

    def forge(self, given: Sequence[Forgery], *, then: bool = False) -> None:
        """Send the first or the second half of each forgery."""
        for one in given:
            if not then:
                self.tickets.append(one.ticket)
            for said in one.then if then else one.first:
                for partition in range(self.settings.kafka.partitions) if one.everywhere else (-1,):
                    self._say(one.ticket.subject, said, partition)

    def calm(self) -> None:
        """Wait until no stage has lag."""
        self.producer.flush(60)
        waited = 0.0
        while behind := {name: found for name, found in stage_status(self.settings.kafka).items() if found.lag}:
            behind.pop("sink", None)
            if not behind:
                return
            assert waited < CALM_WITHIN_S, f"not calm: {behind}, ended: {self.fleet.exits}"
            self.fleet.keep()
            asyncio.run(asyncio.sleep(LOOK_S))
            waited += LOOK_S

    def audited(self) -> list[AuditRecord]:
        """Everything that the stages reported."""
        name = self.settings.kafka.topic_prefix + AUDIT.name
        values = (message.value() for message in read_topic(self.settings.kafka, name))
        return [self.codec.decode(AuditRecord, value) for value in values if isinstance(value, bytes)]

    def _say(self, subject: str, said: Said, partition: int) -> None:
        if isinstance(said, bytes):
            self._produce(ACT.name, subject, said, partition)
            return
        topic = ACT if isinstance(said, Decision) else APPROVALS
        self._produce(topic.name, subject, self.codec.encode(said), partition)

    def _produce(self, topic: str, key: str, value: bytes, partition: int = -1) -> None:
        self.producer.produce(self.settings.kafka.topic_prefix + topic, value, key.encode(), partition)
        self.producer.poll(0)


@contextmanager
def running_attack(stack: LocalStack, outside: HostileOutside, logs: Path) -> Iterator[Attack]:
    """Start a pipeline without a sink; its processes are ended afterwards."""
    prefix = f"enemy-{uuid4().hex[:8]}."
    kafka = stack.settings.kafka.model_copy(update={"topic_prefix": prefix})
    settings = stack.settings.model_copy(update={"kafka": kafka})
    charters = [load_charter(CHARTERS / name) for name in ("till", "shadow")]
    apply_topics(kafka)
    register_schemas(settings)
    give_orders(settings, charter_orders(charters))
    environment = {
        "NIGHTDESK_KAFKA__TOPIC_PREFIX": prefix,
        "NIGHTDESK_CONNECTIONS__ACTIONS__BASE_URL": outside.actions.url,
        "NIGHTDESK_CONNECTIONS__ACTIONS__ALLOW_PRIVATE": "true",
        **secret_leaks.environment("OPENAI", "ACTIONS"),
        "NIGHTDESK_OPENAI__BASE_URL": outside.model.openai_url,
        "NIGHTDESK_LOG__LEVEL": "warning",
        # So many forgeries would stop the stage, and here it is to meet them all.
        "NIGHTDESK_WORKER__DEAD_LETTER_RATIO": "1",
    }
    parts = [
        replace(part, environment={**part.environment, **environment})
        for part in stage_parts(stack)
        if part.name != "sink"
    ]
    config = {"partitioner": "murmur2_random", "message.max.bytes": 8_000_000, "enable.idempotence": True}
    fleet = Fleet(parts, logs)
    try:
        with registered_codec(settings) as codec:
            fleet.start()
            forger = Forger(*(compile_charter(charter) for charter in charters))
            yield Attack(settings, codec, forger, outside, fleet, Producer(kafka.client_config() | config))
    finally:
        fleet.stop()


def unended(tickets: Iterable[Ticket], audited: Iterable[AuditRecord]) -> dict[str, Counter[str]]:
    """What the audit says of each ticket that has no end."""
    said: dict[str, Counter[str]] = defaultdict(Counter)
    for record in audited:
        said[record.event_id][record.status] += 1
    return {one.event_id: said[one.event_id] for one in tickets if not ENDS & said[one.event_id].keys()}
