"""What passes is asked again, what does not is said at once."""

from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, KafkaException

from nightdesk.messaging.transient_errors import TRANSIENT_ERRORS, ask_until_answered

WITHIN_S = 30.0


def fails_before(answer: str, codes: list[int]) -> Callable[[], str]:
    """Raises one error of each code, then answers."""
    left = iter(codes)

    def ask() -> str:
        for code in left:
            raise KafkaException(KafkaError(code))
        return answer

    return ask


def test_what_passes_is_asked_again_until_there_is_an_answer() -> None:
    assert ask_until_answered(fails_before("known", list(TRANSIENT_ERRORS)), WITHIN_S) == "known"


@pytest.mark.parametrize("code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._ALL_BROKERS_DOWN])
def test_what_does_not_pass_is_said_at_once(code: int) -> None:
    ask = fails_before("known", [code])
    with pytest.raises(KafkaException) as caught:
        ask_until_answered(ask, WITHIN_S)
    assert caught.value.args[0].code() == code
    assert ask() == "known", "it was asked once"


def test_what_has_not_passed_in_time_is_said() -> None:
    ask = fails_before("known", [KafkaError.NOT_COORDINATOR])
    with pytest.raises(KafkaException):
        ask_until_answered(ask, -1.0)
    assert ask() == "known"
