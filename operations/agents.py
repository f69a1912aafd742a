"""The agents of an installation, with every version of their charters that is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import unified_diff

import yaml

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.topic_reader import read_topic
from nightdesk.operations.installation import Installation
from nightdesk.processors.charter import Charter
from nightdesk.schemas.codec import Codec, Undecodable
from nightdesk.schemas.records import ControlCommand
from nightdesk.schemas.topics import CONTROL
from nightdesk.streams.control import Control
from nightdesk.streams.control_records import apply_record


@dataclass(frozen=True, slots=True)
class CharterVersion:
    """One version of a charter: its content as JSON text, and who applied it when."""

    version: str
    content: str
    issued_by: str
    applied_at: datetime


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent: the charter in force, all versions in the order in which they came, and the orders that stop it.

    `promoted` is empty before the first promotion and after the agent was retired. `charter` is None, too, if this
    program cannot read it.
    """

    name: str
    promoted: str
    charter: Charter | None
    versions: Sequence[CharterVersion]
    halts: Sequence[ControlCommand]


def read_agents(installation: Installation) -> list[Agent]:
    """Every agent that has a charter, by name. Raises `Failure`."""
    control, versions = Control(), dict[str, dict[str, CharterVersion]]()
    with registered_codec(installation, ControlCommand) as codec:
        for message in read_topic(installation.kafka, installation.kafka.topic_prefix + CONTROL.name):
            apply_record(control, codec, message.value())
            command = _charter_in(codec, message.value())
            if command is not None:
                # If a version was applied again, its last record counts, because compaction keeps only that one.
                versions.setdefault(command.agent, {})[command.charter_version or ""] = _version(command)
    return [_agent(control, name, [*versions[name].values()]) for name in sorted(versions)]


def read_agent(installation: Installation, name: str) -> Agent:
    """One agent. Raises `Failure`, also if no agent has this name."""
    for agent in read_agents(installation):
        if agent.name == name:
            return agent
    raise Failure(f"there is no agent {name!r}", "Apply a charter: nightdesk charter apply", FailureKind.NOT_FOUND)


def changes(before: str, after: str) -> list[str]:
    """What changed between two contents of a charter, line by line as YAML."""
    old, new = as_yaml(before).splitlines(), as_yaml(after).splitlines()
    return list(unified_diff(old, new, n=2, lineterm=""))[2:]


def as_yaml(content: str) -> str:
    """A charter's JSON as people write it."""
    return yaml.safe_dump(json.loads(content), sort_keys=False, allow_unicode=True, width=100)


def _charter_in(codec: Codec, value: bytes | None) -> ControlCommand | None:
    try:
        command = None if value is None else codec.decode(ControlCommand, value)
    except Undecodable:  # the stages skip a record that they cannot read, too
        return None
    return command if command is not None and command.kind == "charter" and command.charter else None


def _version(command: ControlCommand) -> CharterVersion:
    return CharterVersion(command.charter_version or "", command.charter or "", command.issued_by, command.time)


def _agent(control: Control, name: str, versions: Sequence[CharterVersion]) -> Agent:
    promotion, used = control.promotion(name), control.promoted(name)
    in_order = sorted(versions, key=lambda one: one.applied_at)
    return Agent(
        name,
        promotion.version,
        used.charter if used is not None and used.version == promotion.version else None,
        in_order,
        control.halts(name),
    )
