"""Holds a starting process back until its clock agrees with the broker's.

What a worker stores has a time at which it expires. A clock that is days behind would make facts expire as many days
early, after the process has ended and the next one has a right clock: an event would be handled again, a call be made
again. A clock that is ahead has other effects of that kind. So nothing is read or written before the broker has
stamped a report and both clocks agree. The reports meanwhile show the offset in `status`. A time service often sets the
clock soon after a machine's start, so this waits for a while before it ends the process.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import NamedTuple

from confluent_kafka import KafkaError, Message

from nightdesk.schemas.codec import Codec
from nightdesk.streams.broker_clock import BrokerClock, compared
from nightdesk.streams.identity import Identity
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process.boottime import boottime_s
from nightdesk.streams.runtime.process.confirmed_clock import AGREES_WITHIN_S
from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop
from nightdesk.streams.worker_reports import DELIVERY_TIMEOUT_S, EVERY_S, reports_producer, send

log = logging.getLogger(__name__)

WAIT_S = 60.0


class Answer(NamedTuple):
    """What a report showed. `clock` is None if the broker stamps no reports; then ours is believed."""

    lead_s: float
    clock: BrokerClock | None


# Sends a report with the offset that is known, and returns what it showed; None if it was not delivered.
Ask = Callable[[BrokerClock | None], Answer | None]


def confirm_clock(me: Identity, policy: WorkerPolicy, codec: Codec) -> None:
    """Returns when the clocks agree. Exits the process if they do not in time (`CLOCK_WRONG`), or if the broker takes
    no report (`UNAVAILABLE`).
    """
    reporter = _Reporter(me, policy, codec)
    answer = wait_until_right(reporter.ask)
    if answer.clock is not None:
        policy.confirmed_clock.compared(answer.lead_s, answer.clock.ahead_ms / 1000)


def wait_until_right(
    ask: Ask, steady_s: Callable[[], float] = boottime_s, sleep: Callable[[float], None] = time.sleep
) -> Answer:
    """Ask until the clocks agree, for `WAIT_S` at most."""
    until, known, is_told = steady_s() + WAIT_S, None, False
    while True:
        answer = ask(known)
        if answer is not None:
            known = answer.clock
            if known is None or known.differs_ms <= AGREES_WITHIN_S * 1000:
                return answer
            if not is_told:
                log.error("%s: set it. Nothing is done before they agree", known.our_clock())
                is_told = True
        if steady_s() >= until:
            _give_up(known)
        sleep(EVERY_S)


def _give_up(known: BrokerClock | None) -> None:
    if known is None:
        fail_stop(
            ExitCode.UNAVAILABLE,
            f"the broker took no report for {WAIT_S:.0f} s, so this machine's clock cannot be compared with its clock",
        )
    fail_stop(ExitCode.CLOCK_WRONG, f"{known.our_clock()}, for {WAIT_S:.0f} s: set it, and start the worker again")


class _Reporter:
    """Sends reports of a process that is not ready, one at a time."""

    def __init__(self, me: Identity, policy: WorkerPolicy, codec: Codec) -> None:
        self._me = me
        self._policy = policy
        self._codec = codec
        self._producer = reports_producer(policy.client_config)
        self._answer: Answer | None = None

    def ask(self, known: BrokerClock | None) -> Answer | None:
        """`Ask` over the broker."""
        self._answer = None
        lead_s = self._policy.confirmed_clock.lead_s()
        report = self._me.report("not_ready", self._policy.clock())
        if known is not None:
            report = report.model_copy(update={"clock_offset_ms": round(known.ahead_ms)})
        delivered = partial(self._delivered, report.time, lead_s)
        send(self._producer, self._policy.topic_prefix, report.key, self._codec.encode(report), delivered)
        self._producer.flush(DELIVERY_TIMEOUT_S)
        return self._answer

    def _delivered(self, said_at: datetime, lead_s: float, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._answer = Answer(lead_s, compared(said_at, message))
        else:
            log.warning("the clock cannot be compared with the broker's yet: %s", error.str())
