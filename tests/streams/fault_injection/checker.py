"""Compares the input with the result, seen from outside."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from nightdesk.messaging.changelog import Entry, decode
from nightdesk.schemas.records import AuditRecord, Event
from tests.streams.fault_injection.broker import Broker
from tests.streams.fault_injection.conversation import Content, local_codec


@dataclass(frozen=True)
class Findings:
    """The violations. All are empty or 0 if the layer held.

    `lost`: events without an emitted answer. `contradicted`: events with more than one answer emitted or acted on.
    `drift`: the sum of the stored amounts minus the true one. `forgotten`: events whose stored answer is missing or
    differs from the emitted one. `overtaken`: answered before an earlier event of the same subject. `uncommitted`:
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
    """The emitted answers of each event; events of one subject in the order of their first answers."""
    codec, said = local_codec(), defaultdict[str, list[str]](list)
    for message in broker.read(broker.said):
        record = codec.decode(AuditRecord, message.value())
        said[record.event_id].append(record.reason)
    return said


def _facts(broker: Broker) -> dict[str, dict[str, object]]:
    """The state of the changelog: for each key the last value of the newest term."""
    newest: dict[str, Entry] = {}
    for message in broker.read(broker.changelog):
        key, entry = (message.key() or b"").decode(), decode(message.value(), message.headers())
        if key not in newest or entry.term >= newest[key].term:
            newest[key] = entry
    return {key: orjson.loads(entry.value) for key, entry in newest.items() if entry.value is not None}


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
