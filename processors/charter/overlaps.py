"""Finds charters that would act on the same event. Pure.

Two agents that answer one customer surprise the owner of both. A dry run changes nothing, and of two exclusive charters
only one takes an event, so these do not count.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from nightdesk.processors.charter.model import Charter, Trigger

# Kinds of actions that somebody outside notices.
VISIBLE_KINDS = ("respond", "escalate")


def overlaps(charter: Charter, other: Charter) -> Iterator[tuple[int, str]]:
    """The triggers of `charter`, by position, that accept events which `other` accepts too, and why that matters."""
    if (
        charter.agent == other.agent
        or "dry_run" in (charter.mode, other.mode)
        or (charter.exclusive and other.exclusive)
    ):
        return
    shared = [kind for kind in VISIBLE_KINDS if kind in _kinds(charter) and kind in _kinds(other)]
    if not shared:
        return
    for index, trigger in enumerate(charter.on):
        if any(_may_overlap(trigger, another) for another in other.on):
            yield (
                index,
                f"{other.agent} may accept the same {trigger.type}, and both have actions of kind"
                f" {' and '.join(shared)}: both may act on one event. Narrow a trigger (when, subject), or set"
                " exclusive: true in both",
            )


def _kinds(charter: Charter) -> set[str]:
    return {action.kind for action in charter.actions.values()}


def _may_overlap(one: Trigger, other: Trigger) -> bool:
    """Whether some event could match both. Conditions (`when`) are not compared: nobody can tell in general."""
    if one.type != other.type:
        return False
    if one.subject is None or other.subject is None:
        return True
    return _prefixes_agree(one.subject, other.subject)


def _prefixes_agree(one: str, other: str) -> bool:
    """Whether two globs may match one subject: what comes before the first wildcard of each is compared."""
    if not _has_wildcard(one):
        return fnmatchcase(one, other)
    if not _has_wildcard(other):
        return fnmatchcase(other, one)
    first, second = _literal_prefix(one), _literal_prefix(other)
    return first.startswith(second) or second.startswith(first)


def _has_wildcard(glob: str) -> bool:
    return _literal_prefix(glob) != glob


def _literal_prefix(glob: str) -> str:
    return glob[: min((glob.find(mark) for mark in "*?[" if mark in glob), default=len(glob))]
