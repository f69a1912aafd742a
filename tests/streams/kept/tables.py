"""The tables of an older version: `v<number>.json`, written once by `python -m tests.streams.kept`.

A version has only the stories that it changed. Their values are as they are on the changelog topic: envelope
(hexadecimal) and text.
"""

import json
from pathlib import Path
from typing import Any

from nightdesk.messaging.changelog import ENVELOPE
from tests.streams.stages.stage_harness import PARTITION, Bench

FOLDER = Path(__file__).parent
# Story -> table -> key -> envelope and text.
Tables = dict[str, dict[str, list[str]]]
StoryTables = dict[str, Tables]


def versions() -> list[int]:
    """The stored versions, oldest first."""
    return sorted(int(path.stem[1:]) for path in FOLDER.glob("v*.json"))


def kept(version: int) -> StoryTables:
    found: StoryTables = json.loads((FOLDER / f"v{version}.json").read_text())
    return found


def keep(version: int, stories: StoryTables) -> None:
    (FOLDER / f"v{version}.json").write_text(json.dumps(stories, indent=1) + "\n")


def left_by(bench: Bench) -> Tables:
    """What a worker leaves behind."""
    tables: Tables = {}
    for message in bench.changelog:
        name, key = message.topic.removesuffix("-changelog"), (message.key or b"").decode()
        if message.value is None:
            del tables[name][key]
        else:
            envelope, value = message.value[: ENVELOPE.size], message.value[ENVELOPE.size :]
            tables.setdefault(name, {})[key] = [envelope.hex(), value.decode()]
    return {name: entries for name, entries in tables.items() if entries}


def recover(bench: Bench, tables: Tables) -> Bench:
    """A worker of today reads what the older one left."""
    for name, facts in tables.items():
        for key, (envelope, text) in facts.items():
            bench.tables[name].recover(PARTITION, key.encode(), bytes.fromhex(envelope) + text.encode(), None)
    list(bench.handlers.recovered())
    return bench


def is_kept(story: str, today: Tables) -> bool:
    """Whether the newest version of a story has every field that its values have today."""
    newest = next((kept(version)[story] for version in reversed(versions()) if story in kept(version)), {})
    return shape(today) <= shape(newest)


def shape(tables: Tables) -> set[str]:
    """The fields of the values. A new field is a new version."""
    return {
        f"{name}{path}"
        for name, facts in tables.items()
        for _, text in facts.values()
        for path in _paths(json.loads(text) if text[0] in "{[" else text, "")
    }


def _paths(value: Any, path: str) -> set[str]:
    if isinstance(value, dict):
        return {deeper for key, part in value.items() for deeper in _paths(part, f"{path}.{key}")} or {path}
    if isinstance(value, list):
        return {deeper for part in value for deeper in _paths(part, f"{path}[]")} or {path}
    return {path}
