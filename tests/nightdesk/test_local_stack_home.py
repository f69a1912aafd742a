"""Where the local stack may store its data."""

from pathlib import Path

import pytest

from nightdesk.local.stack import LocalStack, check_home
from nightdesk.messaging.failures import Failure, FailureKind


@pytest.mark.parametrize(
    "name",
    [
        "a+b",
        "a&b",
        "100%",
        "a?b",
        "a,b",
        "a;b",
        "a:b",
        "a\\b",
        "a\nb",
        "a\tb",
        b"a\xffb".decode(errors="surrogateescape"),
    ],
)
def test_a_home_that_a_program_would_read_as_another_is_refused_before_anything_is_made(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(Failure) as caught, LocalStack.on_free_ports(tmp_path / name):
        pass
    assert (caught.value.kind, "NIGHTDESK_HOME" in caught.value.remedy) == (FailureKind.INVALID, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["Jürgens Büro #1", "我的", "a b", "a'b", "a(b)", "a=b", "a@b", "$a", "émoji 👩"])
def test_others_may_be_called_as_people_like(tmp_path: Path, name: str) -> None:
    check_home(tmp_path / name)
