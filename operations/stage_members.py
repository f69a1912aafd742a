"""Asks the group coordinator which workers are members of a stage's group.

A worker may act only while its session lasts: its lease ends before that (docs/decisions/0014-ownership.md). So a
worker that is no member does not act.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import ConsumerGroupState

from nightdesk.messaging.broker_answers import broker_answers
from nightdesk.messaging.clients import QUIET, new_admin
from nightdesk.messaging.naming import group_id, member_id
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.messaging.transient_errors import ask_until_answered

ANSWER_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class StageMembers:
    """The members of one group. If it `is_stable`, each partition of the stage is assigned to one of them."""

    group: str
    is_stable: bool
    names: frozenset[str]

    def has(self, instance_id: str) -> bool:
        """Whether the session of the worker with this instance id lasts."""
        return member_id(self.group, instance_id) in self.names

    def are_all_among(self, instance_ids: Iterable[str]) -> bool:
        """Whether the partitions belong to these workers, and to nobody else."""
        known = {member_id(self.group, instance_id) for instance_id in instance_ids}
        return self.is_stable and bool(self.names) and self.names <= known


def stage_members(kafka: KafkaSettings, stages: Iterable[str]) -> Mapping[str, StageMembers]:
    """Stage -> its members. Raises `Failure` if the broker does not answer."""
    wanted = list(stages)
    with broker_answers(kafka):
        return ask_until_answered(lambda: _ask(kafka, wanted), ANSWER_WITHIN_S)


def _ask(kafka: KafkaSettings, stages: Iterable[str]) -> Mapping[str, StageMembers]:
    admin = new_admin({**kafka.client_config(), **QUIET})
    groups = {group_id(kafka.topic_prefix, stage): stage for stage in stages}
    asked = admin.describe_consumer_groups(list(groups), request_timeout=ANSWER_WITHIN_S)
    found = {}
    for group, future in asked.items():
        told = future.result()
        # A member without a static name is no worker of ours: nobody can say what it does.
        names = frozenset(member.group_instance_id or member.member_id for member in told.members)
        found[groups[group]] = StageMembers(group, told.state is ConsumerGroupState.STABLE, names)
    return found
