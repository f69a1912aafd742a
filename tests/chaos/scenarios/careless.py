"""Producers choose whatever partition, key, id or transaction they like. Each event is handled once all the same.

Most clients hash a key differently from Java and us (librdkafka's default is CRC32), some spread records at random,
some send a record twice, use one id for several subjects or write control characters, and some abort transactions.
Ingest and budget stages are killed meanwhile.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from random import Random

from confluent_kafka import Producer

from nightdesk.schemas.records import Event
from nightdesk.schemas.topics import INGEST
from tests.chaos.events import ANSWER, COUNTED, NOTE, Sent, draw
from tests.chaos.facts import Facts
from tests.chaos.scenario import Scenario
from tests.chaos.sender import DELIVERED_WITHIN_S, Raw
from tests.chaos.world import World

NAME = "careless"
SPREAD, LIMITED, TWINS = f"{NAME}-spread", f"{NAME}-limited", f"{NAME}-twins"
ABORTED, COMMITTED, CONTROLS = f"{NAME}-aborted", f"{NAME}-committed", f"{NAME}-controls"
EVENTS_A_KILL = 20
# What the charter `sparing` lets through of each subject, and how many events of a subject there are.
ADMITTED, OF_A_SUBJECT = 5, 16
SUBJECTS_AN_ID = 8
DISALLOWED = ("\x00", "\x1b", "\u009b", "\ufffe")

# Gives the partition for a record, -1 to let the client choose.
Spread = Callable[[], int]


def play(world: World, size: int, chance: Random) -> None:
    """Kill `size` times while five producers send."""
    count = max(2, size // 10)
    anywhere = _anywhere(world, chance)
    # Of one agent: the order of a subject is kept for each agent, and not between two that act at the same place.
    ordered = draw(NAME, size * EVENTS_A_KILL, chance, (ANSWER,), subjects=10)
    loose = [replace(one, kind=replace(one.kind, ordered=False)) for one in draw(SPREAD, 40, chance, (NOTE,))]
    limited = _limited(count)
    twins = _twins(count)
    world.expect([*ordered, *loose, *limited])
    with _Careless(world) as producer:
        for part, kills in zip(_parts(ordered, size), range(size), strict=True):
            producer.send([one.event() for one in part], lambda: -1)
            producer.send([one.event() for one in chance.sample(part, 2)], lambda: -1)
            if kills % 2 == 0:
                world.fleet.kill(chance.choice(("ingest-0", "ingest-1", "budget-0")))
            world.pause(chance.uniform(0.2, 1.0))
        producer.send([one.event() for one in (*loose, *loose, *limited)], anywhere)
        producer.send(twins, anywhere)
        _send_disallowed(world, producer, chance)
        world.fleet.kill(chance.choice(("ingest-0", "ingest-1")))
        _send_in_transactions(world, chance, anywhere)
    world.others[TWINS] += len(twins)


class _Careless:
    """A stock client: librdkafka's default partitioner, or the partition that it is given."""

    def __init__(self, world: World, **config: str) -> None:
        self._world = world
        self._topic = world.settings.kafka.topic_prefix + INGEST.name
        self.client = Producer(world.settings.kafka.client_config() | {"log_level": 0} | config)

    def __enter__(self) -> "_Careless":
        return self

    def __exit__(self, *_error: object) -> None:
        self.flush()

    def send(self, events: Sequence[Event], spread: Spread) -> list[bytes]:
        """Produce the events and return their bytes."""
        values = [self._world.codec.encode(event) for event in events]
        for event, value in zip(events, values, strict=True):
            self.client.produce(self._topic, value, event.subject.encode(), spread())
        return values

    def flush(self) -> None:
        assert not self.client.flush(DELIVERED_WITHIN_S), "events were not delivered"


def _anywhere(world: World, chance: Random) -> Spread:
    return lambda: chance.randrange(world.settings.kafka.partitions)


def _parts(events: Sequence[Sent], parts: int) -> Iterator[Sequence[Sent]]:
    size = len(events) // parts
    return (events[start : start + size] for start in range(0, size * parts, size))


def _limited(subjects: int) -> list[Sent]:
    return [
        Sent(LIMITED, number, f"{LIMITED}-{number % subjects}", COUNTED) for number in range(subjects * OF_A_SUBJECT)
    ]


def _twins(ids: int) -> list[Event]:
    """The same source and id under several subjects, each with different numbers in its data."""
    made = []
    for number in range(ids * SUBJECTS_AN_ID):
        event = Sent(TWINS, number, f"{TWINS}-{number % SUBJECTS_AN_ID}", NOTE).event()
        made.append(event.model_copy(update={"id": str(number // SUBJECTS_AN_ID)}))
    return made


def _send_disallowed(world: World, producer: _Careless, chance: Random) -> None:
    """Send events each of which must become a dead letter, byte for byte."""
    for number, character in enumerate(DISALLOWED):
        event = Sent(CONTROLS, number, f"{CONTROLS}-{number}", NOTE).event()
        name = chance.choice(("id", "source", "subject"))
        bad = event.model_copy(update={name: getattr(event, name) + character})
        [value] = producer.send([bad], _anywhere(world, chance))
        world.poison.append(Raw(bad.subject, value))


def _send_in_transactions(world: World, chance: Random, anywhere: Spread) -> None:
    """Alternate between a transaction that is committed and one that is aborted."""
    transactional = _Careless(world, **{"transactional.id": f"{world.settings.kafka.topic_prefix}{NAME}"})
    transactional.client.init_transactions(DELIVERED_WITHIN_S)
    committed = [replace(one, kind=replace(one.kind, ordered=False)) for one in draw(COMMITTED, 20, chance, (NOTE,))]
    world.expect(committed)
    for start in range(0, len(committed), 5):
        for source, ends in ((COMMITTED, transactional.client.commit_transaction), (ABORTED, _aborting(transactional))):
            events = [replace(one, source=source).event() for one in committed[start : start + 5]]
            transactional.client.begin_transaction()
            transactional.send(events, anywhere)
            transactional.flush()
            ends(DELIVERED_WITHIN_S)


def _aborting(transactional: _Careless) -> Callable[[float], None]:
    return transactional.client.abort_transaction


def limits_exact(facts: Facts) -> Iterator[str]:
    """As many events of each subject were admitted as its limit allows, whatever their partition."""
    done: Counter[str] = Counter(effect.subject for effect in facts.effects if effect.source == LIMITED)
    for subject in {sent.subject for sent in facts.sent if sent.source == LIMITED}:
        if done[subject] != ADMITTED:
            yield f"{subject}: {done[subject]} of {OF_A_SUBJECT} events were done, and {ADMITTED} may be"


def twins_all_done(facts: Facts) -> Iterator[str]:
    """Each subject's event of a shared id had a case of its own."""
    ends: dict[int, list[str]] = defaultdict(list)
    for (source, number), status in facts.ends:
        if source == TWINS:
            ends[number].append(status)
    for number, statuses in ends.items():
        if statuses != ["completed"] * SUBJECTS_AN_ID:
            yield f"{SUBJECTS_AN_ID} events {TWINS}/{number} ended as {statuses}"
    cases = {case.case_id for case in facts.cases if case.event.source == TWINS}
    if len(cases) != SUBJECTS_AN_ID * len(ends):
        yield f"{SUBJECTS_AN_ID * len(ends)} events of {TWINS} are {len(cases)} cases"


def aborted_never_seen(facts: Facts) -> Iterator[str]:
    """The audit and the outside have nothing of what a transaction aborted."""
    said = sum(said.record.event_source == ABORTED for said in facts.audited)
    done = sum(effect.source == ABORTED for effect in facts.effects)
    if said or done:
        yield f"of aborted transactions {done} events were done, and {said} lines are in the audit"


def only_duplicates_are(facts: Facts) -> Iterator[str]:
    """An event that was sent once is never called a duplicate, however often it was forwarded; one that was sent twice
    is, once.
    """
    duplicates = {
        (said.record.event_source, said.record.event_id, said.record.record_id)
        for said in facts.audited
        if said.record.kind == "ignored" and "came before" in said.record.reason
    }
    found = Counter(source for source, *_ in duplicates)
    if found[LIMITED] or found[COMMITTED] or found[TWINS]:
        yield f"events that came once are called duplicates: {dict(found)}"
    spread = sum(sent.source == SPREAD for sent in facts.sent)
    if found[SPREAD] != spread:
        yield f"{spread} events came twice, and {found[SPREAD]} are called duplicates"


SCENARIO = Scenario(NAME, play, (limits_exact, twins_all_done, aborted_never_seen, only_duplicates_are))
