"""What was deleted before it was read is counted, and told, to the record."""

from typing import Any, cast

from faust.types import TP
from prometheus_client import REGISTRY

from nightdesk.schemas.dead_letters import CONTEXT_HEADER
from nightdesk.schemas.records import DeadLetter
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.runtime.consuming.losses import Loss, Losses
from nightdesk.streams.runtime.handling.guard import Guard
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.state.committer import Committer
from tests.processors.examples import NOW
from tests.streams.fault_injection.conversation import local_codec

CODEC = local_codec()


class Writing:
    """The guard's empty writes, and a committer that keeps what it is given."""

    def __init__(self) -> None:
        self.submitted: list[StagedWrites] = []

    def writes(self, partition: int) -> StagedWrites:
        return StagedWrites(CODEC, "t.", partition)

    def submit(self, writes: StagedWrites, done: Any) -> None:
        self.submitted.append(writes)


def _lost() -> float:
    return REGISTRY.get_sample_value("nightdesk_lost_records_total", {"stage": "decide", "topic": "decide"}) or 0.0


def test_each_lost_record_is_counted_and_the_letter_names_the_first_and_their_number() -> None:
    writing, before = Writing(), _lost()
    policy = WorkerPolicy({}, "t.", 4, "w0", clock=lambda: NOW)
    losses = Losses("decide", cast(Guard, writing), cast(Committer, writing), policy)
    losses.report(Loss(TP("t.decide", 2), 40, 47), lambda: None)
    assert _lost() - before == 7
    [writes] = writing.submitted
    [letter] = [message for message in writes.messages if message.topic == "t.decide.dlq"]
    about = CODEC.decode(DeadLetter, dict(letter.headers)[CONTEXT_HEADER])
    assert (about.topic, about.partition, about.offset, about.records, about.kind) == ("decide", 2, 40, 7, "lost")
    assert (letter.partition, letter.value) == (2, None)
