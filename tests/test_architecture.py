"""The rooms, held by a test: imports go one way, `processors` is pure, nothing of ours happens at import.

The table is docs/architecture.md in code. A module that needs an exception is in the wrong room.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# A room may import itself and the rooms named here.
MAY_IMPORT = {
    "schemas": set(),
    "processors": {"schemas"},
    "effects": {"schemas", "processors"},
    "streams": {"schemas", "processors"},
    "sources": {"schemas", "processors"},
    "sinks": {"schemas", "processors"},
    "console": {"schemas", "processors"},
    "nightdesk": {"schemas", "processors", "effects", "streams", "sources", "sinks", "console"},
}
# Parts of one room that know nothing of each other.
SIBLINGS = (("effects", "llm", "actions"), ("sinks", "audit", "clickhouse_migrations"))
# What a pure module has no use for: clocks, chance, the outside.
IMPURE_MODULES = frozenset(
    [
        "asyncio",
        "aiohttp",
        "aiokafka",
        "anthropic",
        "clickhouse_connect",
        "confluent_kafka",
        "faust",
        "httpx2",
        "io",
        "os",
        "pathlib",
        "random",
        "requests",
        "secrets",
        "socket",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "urllib",
    ]
)
IMPURE_CALLS = {"now", "utcnow", "today", "uuid1", "uuid4", "open", "print", "input", "getenv"}
# Run by a person from the command line, and the only ones that print.
COMMANDS = {Path("processors/charter/schema.py")}


def modules(room: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / room).rglob("*.py")):
        yield path.relative_to(ROOT), ast.parse(path.read_text())


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_go_one_way(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room}
    wrong = [
        f"{path} imports {name}"
        for path, tree in modules(room)
        for name in imported(tree)
        if (top := name.partition(".")[0]) in MAY_IMPORT and top not in allowed
    ]
    assert not wrong


def test_every_room_with_code_is_in_the_table() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert rooms <= set(MAY_IMPORT)
    assert {"schemas", "processors", "streams", "effects", "sinks", "nightdesk"} <= rooms


@pytest.mark.parametrize(("room", "one", "other"), SIBLINGS)
def test_siblings_do_not_know_each_other(room: str, one: str, other: str) -> None:
    for part, stranger in ((one, other), (other, one)):
        wrong = [
            f"{path} imports {name}"
            for path, tree in modules(f"{room}/{part}")
            for name in imported(tree)
            if name.startswith(f"{room}.{stranger}")
        ]
        assert not wrong


def test_processors_are_pure() -> None:
    wrong = []
    for path, tree in modules("processors"):
        if path in COMMANDS:
            continue
        wrong += [f"{path} imports {name}" for name in imported(tree) if name.partition(".")[0] in IMPURE_MODULES]
        for node in ast.walk(tree):
            if isinstance(node, ast.Await | ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith):
                wrong.append(f"{path}:{node.lineno} is asynchronous")
            if isinstance(node, ast.Call) and _called(node) in IMPURE_CALLS:
                wrong.append(f"{path}:{node.lineno} calls {_called(node)}()")
    assert not wrong


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def test_the_guard_holds_the_only_broad_except() -> None:
    """The codec's is about hostile bytes and says so; everything else names what it expects."""
    allowed = {Path("streams/runtime/guard.py"), Path("schemas/codec.py")}
    wrong = [
        f"{path}:{node.lineno}"
        for room in MAY_IMPORT
        for path, tree in modules(room)
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and path not in allowed and _is_broad(node)
    ]
    assert not wrong


def _is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    is_broad = isinstance(handler.type, ast.Name) and handler.type.id in ("Exception", "BaseException")
    reraises = any(isinstance(node, ast.Raise) and node.exc is None for node in ast.walk(handler))
    return is_broad and not reraises


def test_importing_the_rooms_connects_nowhere_and_says_nothing() -> None:
    """Every module of the pure and outer rooms imports with the network closed and nothing printed."""
    names = [
        ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        for room in ("schemas", "processors", "effects", "sinks")
        for path, _ in modules(room)
    ]
    program = (
        "import socket, importlib, threading\n"
        "def refuse(*a, **k): raise AssertionError('connected at import')\n"
        "socket.socket.connect = refuse\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
