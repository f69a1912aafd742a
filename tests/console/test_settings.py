"""Where the console listens, and that nobody unknown can reach it."""

from pathlib import Path

import pytest

from nightdesk.console.settings import ConsoleSettings
from nightdesk.messaging.failures import Failure, FailureKind


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_on_loopback_it_starts_without_a_configuration(host: str) -> None:
    ConsoleSettings(host=host).check()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "console.example.com", "127.0.0.1.example.com", ""])
def test_elsewhere_it_does_not_start_unless_a_file_says_who_may_come_in(host: str) -> None:
    with pytest.raises(Failure, match="token file") as refused:
        ConsoleSettings(host=host).check()
    assert refused.value.kind is FailureKind.NOT_CONFIGURED
    ConsoleSettings(host=host, token_file=Path("tokens.yaml")).check()


def test_it_answers_to_loopback_and_to_the_address_that_people_open_it_at() -> None:
    settings = ConsoleSettings(port=18080, url="https://nightdesk.example.com")
    assert {"127.0.0.1:18080", "localhost:18080", "nightdesk.example.com"} <= settings.hosts
    assert "evil.example.com" not in settings.hosts
    assert settings.is_encrypted
