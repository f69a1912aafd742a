"""Two charters that would act on one event are found, and no others."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.processors.charter import parse_charter
from nightdesk.processors.charter.model import Charter, Trigger
from nightdesk.processors.charter.overlaps import _may_overlap, overlaps
from nightdesk.processors.charter.warnings import warnings_for
from tests.processors.examples import FILES, changed

RENAMED = ("agent: desk", "agent: other")
TRIGGER = "type: ticket.created\n"


def _charter(*changes: tuple[str, str]) -> Charter:
    return parse_charter(changed(*changes), FILES)


@pytest.mark.parametrize(
    ("other", "found"),
    [
        (_charter(RENAMED), 1),
        (_charter(), 0),  # the same agent: another version
        (_charter(RENAMED, ("ticket.created", "parcel.lost")), 0),
        (_charter(RENAMED, ("mode: live", "mode: dry_run")), 0),
        (_charter(("agent: desk", "agent: other\nexclusive: true")), 1),
        (_charter(RENAMED, (TRIGGER, f'{TRIGGER}    subject: "t-*"\n')), 1),
    ],
)
def test_whom_another_charter_disturbs(other: Charter, found: int) -> None:
    assert len(list(overlaps(_charter(), other))) == found
    assert len(list(overlaps(other, _charter()))) == found


def test_of_two_exclusive_charters_only_one_takes_an_event() -> None:
    one, other = (_charter(("agent: desk", f"agent: {name}\nexclusive: true")) for name in ("one", "other"))
    assert list(overlaps(one, other)) == []


def test_the_warning_has_its_line() -> None:
    [warning] = [
        found for found in warnings_for(_charter(), changed(), (_charter(RENAMED),)) if "other" in found.reason
    ]
    assert (warning.line, warning.path) == (4, "on[0]")
    assert warning.reason.startswith("other may accept the same ticket.created, and both have actions of kind respond")


GLOBS = st.text(alphabet="ab*?", min_size=1, max_size=5)


@given(GLOBS, GLOBS, st.text(alphabet="ab", max_size=6))
def test_no_overlap_of_globs_is_missed(one: str, other: str, subject: str) -> None:
    if fnmatchcase(subject, one) and fnmatchcase(subject, other):
        assert _may_overlap(Trigger(type="x", subject=one), Trigger(type="x", subject=other))


@pytest.mark.parametrize(("one", "other"), [("a/*", "b/*"), ("a", "b"), ("a/1", "b/*")])
def test_globs_that_never_match_one_subject(one: str, other: str) -> None:
    assert not _may_overlap(Trigger(type="x", subject=one), Trigger(type="x", subject=other))
