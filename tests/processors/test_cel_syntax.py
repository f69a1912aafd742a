"""What the parser of expressions takes, at its bounds."""

import pytest

from nightdesk.processors.cel_syntax import MAX_DEPTH, SyntaxNotSupported, parse


@pytest.mark.parametrize("sign", ["!", "-", "!-", "-!"])
def test_any_signs_before_an_operand_are_read_up_to_a_bound(sign: str) -> None:
    most = sign * (MAX_DEPTH // len(sign))
    assert parse(f"{most}event.data.open") == parse("event.data.open")
    with pytest.raises(SyntaxNotSupported, match=f"more than {MAX_DEPTH} signs"):
        parse(f"{most}{sign[0]}event.data.open")


def test_parentheses_nest_up_to_a_bound() -> None:
    def nested(depth: int) -> str:
        return "(" * depth + "event.data.open" + ")" * depth

    deepest = max(depth for depth in range(2 * MAX_DEPTH) if _is_read(nested(depth)))
    assert deepest < MAX_DEPTH
    assert all(_is_read(nested(depth)) for depth in range(deepest))


def _is_read(text: str) -> bool:
    try:
        parse(text)
    except SyntaxNotSupported:
        return False
    return True
