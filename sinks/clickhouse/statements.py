"""Tells whether a statement only reads tables, for `nightdesk sql` and the local ClickHouse.

ClickHouse parses it, and nothing is matched in the original text: `formatQuery` accepts exactly one statement and
returns it without comments, `EXPLAIN AST` names its kind and every function in it. On a server the grants of the
reader's user decide, and this check explains the refusal. The engine of the local stack lets the scalar function `file`
read any file, whatever the user's grants are, and executes `INTO OUTFILE` itself: there this check decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from nightdesk.sinks.clickhouse.quoting import literal

# Runs one of our own queries: a statement in, the rows of its only column out.
Ask = Callable[[str], list[str]]

READING_KINDS = (
    "SelectWithUnionQuery",
    "SelectIntersectExceptQuery",
    "Explain",
    "DescribeQuery",
    "DescribeCacheQuery",
    "Exists",
    "Show",
)
# Statements that an EXPLAIN may contain although they are no reads.
WRITING_NODES = ("InsertQuery", "CreateQuery", "AlterQuery", "DropQuery", "ColumnsApplyTransformer")
# These table functions make rows from their arguments or from tables that the user may read.
TABLE_FUNCTIONS = frozenset(
    {"numbers", "numbers_mt", "zeros", "zeros_mt", "values", "sqlstandardvalues", "generaterandom"}
    | {"generateseries", "generate_series", "view", "null", "format", "merge"}
)
# These ordinary functions read outside of the tables, or send what they read to another server. Their bare name is a
# function, too: `arrayMap(file, ...)`.
OUTWARD_FUNCTIONS = frozenset(
    {"file", "catboostevaluate", "hascolumnintable", "reversednsquery"}
    | {"aiclassify", "aiembed", "aiextract", "aifilter", "aigenerate", "airedact", "aisimilarity", "aitranslate"}
)
# What a reader may set, in a statement or beside it. Others hold expressions that are evaluated
# (`additional_result_filter`), name files that are read or written (`format_schema`), or lift a limit.
READER_SETTINGS = frozenset(
    {"date_time_input_format", "date_time_output_format", "session_timezone", "extremes", "final", "limit", "offset"}
    | {"join_algorithm", "join_use_nulls", "max_threads", "max_execution_time", "max_memory_usage", "max_block_size"}
    | {"max_rows_to_read", "max_bytes_to_read", "max_result_rows", "max_result_bytes"}
    | {"read_overflow_mode", "result_overflow_mode", "timeout_overflow_mode", "cast_string_to_dynamic_use_inference"}
)
# A reader may lower its limits, and raise them up to these. ClickHouse takes 0 as no limit at all.
READER_LIMITS: Mapping[str, float] = {
    "max_execution_time": 600,
    "max_memory_usage": 8_000_000_000,
    "max_threads": 64,
    "max_block_size": 65_536,
}
READER_SETTING_PREFIXES = ("output_format_json_", "output_format_csv_", "output_format_tsv_", "output_format_pretty_")

_NAMED = re.compile(r" *(Function|Identifier) (\w+)")
_SET = re.compile(r" *Set\b")
_INTO_OUTFILE = re.compile(r"^INTO OUTFILE ", re.MULTILINE)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_SETTINGS = re.compile(r"\bSETTINGS\b([^\n]*)")
_ASSIGNED = re.compile(r" *(\w+)(?: = (.*))?")


def why_not_a_read(text: str, ask: Ask, limits: Mapping[str, float] = READER_LIMITS) -> str | None:
    """Why a reader may not run `text`; None if it is one statement that reads, and lifts none of the `limits`.

    Raises what `ask` raises if ClickHouse cannot parse it, or finds more than one statement.
    """
    (formatted,) = ask(f"SELECT formatQuery({literal(text)}) AS statement")
    if _INTO_OUTFILE.search(formatted):  # in a formatted statement a line break is in no literal and in no name
        return "INTO OUTFILE writes a file"
    kind = formatted.partition("\n")[0]
    if kind.startswith(("INSERT", "CREATE", "SYSTEM", "KILL")):  # EXPLAIN does not accept all of them
        return f"{kind[:40]} is no read"
    tree = ask(f"EXPLAIN AST {formatted}")
    return _wrong_in(tree) or _wrong_setting(formatted, tree, limits)


def why_not_set(name: str, value: str, limits: Mapping[str, float] = READER_LIMITS) -> str | None:
    """Why a reader may not give a setting this value; None if it may."""
    if name not in READER_SETTINGS and not name.startswith(READER_SETTING_PREFIXES):
        return f"may not set {name}"
    if name in limits and not _is_within(value, limits[name]):
        return f"may set {name} to a number above 0, up to {limits[name]:.0f}"
    return None


def _is_within(value: str, most: float) -> bool:
    try:
        return 0 < float(value) <= most
    except ValueError:
        return False


def _wrong_in(tree: list[str]) -> str | None:
    """The first line of a syntax tree that no read has; a line's indentation is its depth."""
    if not tree[0].startswith(READING_KINDS):
        return f"{tree[0].split(' ')[0]} is no read"
    for above, line in zip(["", *tree], tree, strict=False):
        if line.strip().startswith(WRITING_NODES):
            return f"{line.split()[0]} may not stand in a read"
        named = _NAMED.match(line)
        if named is None:
            continue
        kind, name = named.groups()
        if name.lower() in OUTWARD_FUNCTIONS:
            return f"the function {name} reads outside of the tables"
        if (
            kind == "Function"
            and above.strip().startswith(("TableExpression", "Explain"))
            and name.lower() not in TABLE_FUNCTIONS
        ):
            return f"the table function {name} reads or writes outside of the tables"
    return None


def _wrong_setting(formatted: str, tree: list[str], limits: Mapping[str, float]) -> str | None:
    """A setting that a read may not have. The tree only says that there are settings, the formatted text says which."""
    clauses = _SETTINGS.findall(_QUOTED.sub("''", formatted))
    given = filter(str.strip, clauses)  # an alias may have this name
    for assigned in (part for clause in given for part in clause.split(",")):
        found = _ASSIGNED.fullmatch(assigned)
        if found is None:
            return "its settings cannot be told"
        wrong = why_not_set(found[1], "1" if found[2] is None else found[2], limits)  # a name alone is set to 1
        if wrong is not None:
            return f"a read {wrong}"
    sets = sum(_SET.match(line) is not None for line in tree[1:])
    of_explain = tree[0].startswith("Explain") and len(tree) > 1 and _SET.match(tree[1]) is not None
    return "its settings cannot be told" if sets - of_explain > len(clauses) else None
