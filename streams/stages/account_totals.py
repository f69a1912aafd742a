"""Computes what each fact of the ledger adds to the totals that are kept on disk beside it, and derives the accounts
from these totals.

So a starting budget stage only reads the balances of each agent and day, and the times of the admissions. It decodes no
facts but those that the anomaly breaker still needs. `accounts.py` keeps the same numbers in memory while it runs.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from nightdesk.processors.ledger import Account, Fact
from nightdesk.processors.ledger.account import Amounts, amounts_of
from nightdesk.processors.rates import Admission
from nightdesk.streams.api.entries import Total
from nightdesk.streams.api.state_store import SLICE_ENTRIES, StateStore

# Names of totals begin with their kind. A balance goes on with agent, day and scope; an admission with its time and its
# agent; a recent fact with its time and its key.
BALANCE, ADMITTED, RECENT = b"b", b"a", b"r"
_TIME = struct.Struct(">d")
_ONE = (1,)


def added_by(key: bytes, fact: Fact) -> Iterator[Total]:
    """What a fact adds."""
    if fact.is_counted:
        amounts = amounts_of(fact)
        for task in fact.tasks():
            yield BALANCE + "\0".join((fact.agent, fact.day, task)).encode(), amounts
    if fact.admitted:
        yield ADMITTED + _TIME.pack(fact.at) + fact.agent.encode(), _ONE
    yield RECENT + _TIME.pack(max(fact.at, fact.settled_at, fact.ended_at)) + key, _ONE


def read(store: StateStore, partition: int, account: Callable[[str], Account]) -> Iterator[None] | None:
    """Add the totals of a partition to the accounts, in slices; None if the store keeps none."""
    balances = store.totals(partition, BALANCE, _after(BALANCE))
    admitted = store.totals(partition, ADMITTED, _after(ADMITTED))
    if balances is None or admitted is None:
        return None
    return _read(balances, admitted, account)


def _read(balances: Iterable[Total], admitted: Iterable[Total], account: Callable[[str], Account]) -> Iterator[None]:
    for some in _slices(balances):
        for name, total in some:
            agent, day, task = name[1:].decode().split("\0", 2)
            account(agent).add_balance(day, task, Amounts(*total))
        yield
    for some in _slices(admitted):
        for name, (count,) in some:
            at = _TIME.unpack_from(name, 1)[0]
            admissions = account(name[1 + _TIME.size :].decode()).admitted
            for _ in range(count):
                admissions.add(Admission(at))
        yield


def recent_keys(store: StateStore, partition: int, since: float) -> list[bytes]:
    """The keys of the facts that changed since a time (epoch seconds); all keys if the store keeps no totals."""
    found = store.totals(partition, RECENT + _TIME.pack(max(0.0, since)), _after(RECENT))
    if found is None:
        return [key for key, _ in store.items(partition)]
    return [name[1 + _TIME.size :] for name, _ in found]


def _after(kind: bytes) -> bytes:
    return bytes((kind[0] + 1,))


def _slices(totals: Iterable[Total]) -> Iterator[list[Total]]:
    rest = iter(totals)
    while some := list(islice(rest, SLICE_ENTRIES)):
        yield some
