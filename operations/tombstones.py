"""The tombstones of forgotten subjects, as the topic `forgotten` has them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.settings import plain
from nightdesk.messaging.topic_reader import read_topic
from nightdesk.operations.installation import Installation
from nightdesk.schemas.codec import Codec, Undecodable
from nightdesk.schemas.records import ForgottenSubject
from nightdesk.schemas.topics import FORGOTTEN
from nightdesk.sinks.audit.forgotten import FORGET_KEY_REMEDY, ForgottenSubjects, KeyNotFit


def read_tombstones(installation: Installation, codec: Codec) -> list[ForgottenSubject]:
    """Every tombstone, in order. What is none is passed over, as the sink does. Raises `Failure`."""
    kafka, found = installation.kafka, []
    for message in read_topic(kafka, kafka.topic_prefix + FORGOTTEN.name):
        with suppress(Undecodable):
            found.append(codec.decode(ForgottenSubject, message.value()))
    return found


def forgotten_subjects(installation: Installation, tombstones: Iterable[ForgottenSubject]) -> ForgottenSubjects:
    """The subjects that these tombstones cover. Raises `Failure` if a subject is forgotten and the settings have
    another key or none.
    """
    subjects = ForgottenSubjects(plain(installation.clickhouse.forget_key))
    try:
        for one in tombstones:
            subjects.add(one)
    except KeyNotFit as error:
        raise Failure(str(error), FORGET_KEY_REMEDY, FailureKind.NOT_CONFIGURED) from error
    return subjects
