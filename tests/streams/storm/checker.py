"""The truth against what is there, seen from outside."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from schemas.records import AuditRecord, Event
from streams.runtime.tables import ENVELOPE
from tests.streams.storm.broker import Broker
from tests.streams.storm.conversation import Content, local_codec


@dataclass(frozen=True)
class Findings:
    """What is wrong. All empty or 0 when the layer held.

    `lost`: events that nothing was said about. `contradicted`: more than one answer was said or acted upon.
    `drift`: sum of the remembered amounts less the true one. `forgotten`: events without a remembered answer, or with
    another than was said. `overtaken`: first said before an earlier event of the same subject. `uncommitted`:
    partitions whose committed offset is not their end.
    """

    lost: tuple[str, ...]
    contradicted: tuple[str, ...]
    drift: int
    forgotten: tuple[str, ...]
    overtaken: tuple[str, ...]
    uncommitted: tuple[int, ...]
    said_again: int = 0

    @property
    def problems(self) -> list[str]:
        names = ("lost", "contradicted", "drift", "forgotten", "overtaken", "uncommitted")
        return [f"{name}: {getattr(self, name)}" for name in names if getattr(self, name)]


def check(broker: Broker, truth: list[Event], effects: Iterable[dict[str, object]]) -> Findings:
    """Read everything and compare. `effects` are the journals' lines of that kind."""
    said = _said(broker)
    facts = _facts(broker)
    acted: dict[str, set[object]] = defaultdict(set)
    for effect in effects:
        acted[str(effect["id"])].add(effect["answer"])
    answers = {event.id: {*said.get(event.id, ())} | acted[event.id] for event in truth}
    remembered = {identity: fact["answer"] for identity, fact in facts.items()}
    committed, ends = broker.committed(), broker.ends(broker.events)
    return Findings(
        lost=tuple(event.id for event in truth if event.id not in said or (_acts(event) and not acted[event.id])),
        contradicted=tuple(identity for identity, found in answers.items() if len(found) > 1),
        drift=sum(int(str(fact["amount"])) for fact in facts.values())
        - sum(Content.model_validate_json(event.data).amount for event in truth),
        forgotten=tuple(event.id for event in truth if remembered.get(event.id) not in said.get(event.id, ())),
        overtaken=_overtaken(truth, list(said)),
        uncommitted=tuple(number for number, end in ends.items() if committed.get(number) != end),
        said_again=sum(len(found) for found in said.values()) - len(said),
    )


def _acts(event: Event) -> bool:
    return Content.model_validate_json(event.data).in_steps


def _said(broker: Broker) -> dict[str, list[str]]:
    """The answers that were said about each event; events of one subject in the order in which they were first said."""
    codec, said = local_codec(), defaultdict[str, list[str]](list)
    for message in broker.read(broker.said):
        record = codec.decode(AuditRecord, message.value())
        said[record.event_id].append(record.reason)
    return said


def _facts(broker: Broker) -> dict[str, dict[str, object]]:
    """What the changelog comes to: for each key the last value of the newest term."""
    newest: dict[str, tuple[int, bytes]] = {}
    for message in broker.read(broker.changelog):
        key, value = (message.key() or b"").decode(), message.value() or b""
        term, _ = ENVELOPE.unpack_from(value)
        if term >= newest.get(key, (0, b""))[0]:
            newest[key] = (term, value[ENVELOPE.size :])
    return {key: orjson.loads(value) for key, (_, value) in newest.items()}


def _overtaken(truth: list[Event], first_said: list[str]) -> tuple[str, ...]:
    place = {identity: number for number, identity in enumerate(first_said)}
    last: dict[str, int] = {}
    overtaken = []
    for event in truth:
        mine = place.get(event.id, -1)
        if mine < last.get(event.subject, -1):
            overtaken.append(event.id)
        last[event.subject] = max(mine, last.get(event.subject, -1))
    return tuple(overtaken)
