"""JSON from outside keeps its numbers and its keys, or is refused with the reason."""

from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.processors.json_text import LARGEST, SMALLEST, DataInvalid, parse_exact, parse_json


def _is_written_exactly(number: float) -> bool:
    """Of floats in the range of 64-bit integers only those are accepted that are whole numbers."""
    return not 2**53 <= abs(number) <= LARGEST or Decimal(repr(number)) == Decimal(number)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(SMALLEST, LARGEST)
    | st.floats(allow_nan=False, allow_infinity=False).filter(_is_written_exactly)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_other_parsers_write_is_read_exactly(value: object) -> None:
    try:
        text = orjson.dumps(value).decode()
    except TypeError:
        return  # a lone surrogate, which is no text
    assert parse_exact(text, "it") == value


@given(st.integers(), st.sampled_from(["{}", "[{}]", '{{"a": [1, {{"b": {}}}]}}', '{{"a": {}, "c": "x"}}']))
def test_a_whole_number_is_itself_or_refused(number: int, around: str) -> None:
    text = around.format(number)
    if SMALLEST <= number <= LARGEST:
        assert str(number) in str(parse_exact(text, "it"))
    else:
        with pytest.raises(DataInvalid, match="more than 64 bits"):
            parse_exact(text, "it")


@given(st.integers(), st.sampled_from(["{}.0", "{}e0", "{}.000E+00", "{}0e-1", "[{}.0]"]))
def test_a_whole_number_with_a_point_or_an_exponent_is_itself_or_refused(number: int, written: str) -> None:
    text = written.format(number)
    try:
        found = parse_exact(text, "it")
    except DataInvalid:
        assert abs(number) > 2**53
    else:
        assert Decimal(orjson.dumps(found).decode().strip("[]")) == number


@pytest.mark.parametrize(
    "text",
    [
        "123456789012345678901234567890.0",
        "9007199254740993.0",
        "-9007199254740993.0",
        "9007199254740993e0",
        "9007199254740993.5",
        "12345678901234567.89",
        "12345678901234567e1",
        "1234567890123456789012345E5",
        "1844674407370955161600000000000000001e-20",
        "1e-400",
        '{"a": [1, {"b": 9007199254740993.0}]}',
    ],
)
def test_a_number_that_a_float_does_not_hold_is_refused(text: str) -> None:
    with pytest.raises(DataInvalid, match="changes when it is read"):
        parse_exact(text, "it")


@pytest.mark.parametrize(
    "text", ["0.1", "-0.0", "0e5", "0.000", "9007199254740992.0", "9007199254740994.0", "1e18", "1e29", "5e-324"]
)
def test_a_number_that_stays_itself_is_read(text: str) -> None:
    assert Decimal(orjson.dumps(parse_exact(text, "it")).decode()) == Decimal(text)


@pytest.mark.parametrize("number", [SMALLEST, -(2**53) - 1, 2**53 + 1, 2**63, LARGEST])
def test_the_edges_stay_exact(number: int) -> None:
    assert parse_exact(str(number), "it") == number


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (str(SMALLEST - 1), "more than 64 bits"),
        (str(LARGEST + 1), "more than 64 bits"),
        ("9" * 5000, "infinity"),
        ("-" + "9" * 200, "more than 64 bits"),
        ('{"a": 1, "a": 1}', "has the key 'a' twice"),
        ('[{"b": {"a": 1, "\\u0061": 2}}]', "has the key 'a' twice"),
        ("NaN", "not JSON"),
        ("-Infinity", "not JSON"),
        ("1e400", "not JSON"),
        ("[" * 1000 + "]" * 1000, "nests deeper"),
    ],
)
def test_what_would_change_on_the_way_is_refused(text: str, says: str) -> None:
    with pytest.raises(DataInvalid, match=says):
        parse_exact(text, "it")


def test_numbers_in_texts_and_floats_are_left_alone() -> None:
    assert parse_exact('{"a": "123456789012345678901234567890", "b": 1e29}', "it") == {
        "a": "123456789012345678901234567890",
        "b": 1e29,
    }


def test_keys_may_repeat_where_it_is_said() -> None:
    assert (
        parse_exact('{"a": 1, "a": 2}', "it", keys_may_repeat=True) == parse_json('{"a": 1, "a": 2}', "it") == {"a": 2}
    )
    with pytest.raises(DataInvalid):
        parse_exact(f'{{"a": {LARGEST + 1}}}', "it", keys_may_repeat=True)
