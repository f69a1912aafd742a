"""What a reader may set, by name and by value."""

import pytest

from nightdesk.sinks.clickhouse.statements import READER_LIMITS, why_not_a_read, why_not_set


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_execution_time", "600"),
        ("max_execution_time", "0.001"),
        ("max_memory_usage", "8000000000"),
        ("max_threads", "1"),
        ("max_rows_to_read", "0"),  # has no limit to lift
        ("session_timezone", "Europe/Berlin"),
        ("output_format_json_quote_64bit_integers", "0"),
        ("output_format_csv_delimiter", ""),
    ],
)
def test_what_shapes_an_answer_or_lowers_a_limit_may_be_set(name: str, value: str) -> None:
    assert why_not_set(name, value) is None


@pytest.mark.parametrize("name", ["additional_result_filter", "format_schema", "readonly", "max_query_size", "Limit"])
def test_everything_else_may_not(name: str) -> None:
    assert why_not_set(name, "1") == f"may not set {name}"


@pytest.mark.parametrize("name", READER_LIMITS)
@pytest.mark.parametrize("value", ["0", "-1", "0.0", "1e10", "inf", "nan", "DEFAULT", "", "''", "{p:UInt64}"])
def test_a_limit_is_a_number_above_0_and_within_its_bound(name: str, value: str) -> None:
    assert why_not_set(name, value) == f"may set {name} to a number above 0, up to {READER_LIMITS[name]:.0f}"


def test_narrower_limits_count_instead() -> None:
    assert why_not_set("max_execution_time", "20", {"max_execution_time": 20}) is None
    assert why_not_set("max_execution_time", "21", {"max_execution_time": 20}) is not None
    assert why_not_set("max_result_rows", "0", {"max_result_rows": 9}) is not None


@pytest.mark.parametrize(
    ("tree", "wrong"),
    [
        (["SelectWithUnionQuery", " TableExpression", "  Function numbers"], None),
        (["SelectWithUnionQuery", " TableExpression", "  Function url"], "the table function url reads or writes"),
        (["SelectWithUnionQuery", " ExpressionList", "  Function upper"], None),
        (["SelectWithUnionQuery", " TableExpression", "  Identifier url"], None),
        (["Explain", " Function url"], "the table function url reads or writes"),
        (["SelectWithUnionQuery", " ExpressionList", "  Identifier file"], "the function file reads"),
        (["Explain", " InsertQuery"], "InsertQuery may not stand in a read"),
        (["InsertQuery"], "InsertQuery is no read"),
    ],
)
def test_a_tree_tells_what_is_no_read(tree: list[str], wrong: str | None) -> None:
    found = why_not_a_read("…", lambda question: tree if question.startswith("EXPLAIN AST") else ["SELECT 1"])
    assert (found or "").startswith(wrong or "")
    assert (found is None) is (wrong is None)
