"""Keeps the tables of a stage on disk: places partitions that are assigned, and stores what the broker acknowledged.

A partition's entries are of use only if they belong to this cluster, to this changelog and to a program of this format,
if the changelog still has everything after them, and if none of it was compacted away. Otherwise they are thrown away,
with one line in the log, and read again from the beginning.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from nightdesk.messaging.producer import Message, Span
from nightdesk.streams.api.state_store import StateStore
from nightdesk.streams.runtime.state.disk_entries import DiskEntries
from nightdesk.streams.runtime.state.state_folder import StateFolder
from nightdesk.streams.runtime.state.stored_form import Identity, Progress

log = logging.getLogger(__name__)

# Raise it if a program cannot read what an older one stored locally; the entries are then read again.
PROGRAM_FORMAT = 2
# Kafka removes a deletion from a compacted topic after a day (delete.retention.ms). Whoever reads on later never learns
# of it.
BEHIND_AT_MOST_S = 12 * 3600


class ChangelogEnd(NamedTuple):
    """What a partition of a changelog is now: whose it is, and the offset of its next record."""

    identity: Identity
    end: int


class Changelogs(Protocol):
    """Asks the broker. Blocks, and ends the process if there is no answer."""

    def look(self, topic: str, partitions: Sequence[int]) -> Mapping[int, ChangelogEnd]: ...


class LocalState:
    """The tables of one stage in one folder."""

    def __init__(self, folder: StateFolder, changelogs: Changelogs) -> None:
        self._folder = folder
        self._changelogs = changelogs
        self._stores: dict[str, StateStore] = {}
        self._entries: dict[tuple[str, int], DiskEntries] = {}

    async def prepare(self, store: StateStore, partitions: Iterable[int]) -> None:
        """Place the partitions of a table that are ours now, before their changelogs are read."""
        await asyncio.to_thread(self._prepare, store, sorted(partitions))

    def _prepare(self, store: StateStore, partitions: Sequence[int]) -> None:
        self._stores[store.name] = store
        found = self._changelogs.look(store.changelog_topic, partitions)
        for partition in partitions:
            now = found[partition]
            entries = DiskEntries(self._folder.database(partition), store.name, now.identity, store.adds)
            reason = _useless_because(entries.progress, now, time.time())
            if reason:
                place = f"{store.changelog_topic}/{partition}"
                log.warning("the local state of %s %s: it is thrown away and read again", place, reason)
                entries.throw_away()
                entries.begin(now.identity)
            self._entries[store.changelog_topic, partition] = entries
            store.keep_in(partition, entries)

    def offset(self, topic: str, partition: int) -> int | None:
        """From where on the changelog has to be read; None for its beginning."""
        entries = self._entries.get((topic, partition))
        return None if entries is None or not entries.progress.offset else entries.progress.offset

    def acknowledged(self, facts: Iterable[tuple[StateStore, Message]], spans: Mapping[tuple[str, int], Span]) -> None:
        """Store what the broker has acknowledged."""
        written: defaultdict[tuple[str, int], list[Message]] = defaultdict(list)
        stores: dict[str, StateStore] = {}
        for store, message in facts:
            written[message.topic, message.partition].append(message)
            stores[message.topic] = store
        for place, messages in written.items():
            stores[place[0]].acknowledged(place[1], messages, spans[place])


def _useless_because(progress: Progress, now: ChangelogEnd, at: float) -> str:
    """Why the entries cannot be used; empty if they can, or if there are none."""
    if not progress.written_at:
        return ""
    theirs, ours = progress.identity, now.identity
    if theirs.cluster_id != ours.cluster_id:
        return f"is of another cluster ({theirs.cluster_id})"
    if theirs.topic_id != ours.topic_id:
        return "is of an earlier topic of this name"
    if theirs.program_format != ours.program_format:
        return f"was written in format {theirs.program_format}, and this program has {ours.program_format}"
    if progress.offset > now.end:
        return f"is ahead of its changelog ({progress.offset} of {now.end})"
    if progress.offset < now.end and at - progress.written_at > BEHIND_AT_MOST_S:
        hours = (at - progress.written_at) / 3600
        return f"was written {hours:.0f} hours ago, and deletions since then may be compacted away"
    return ""
