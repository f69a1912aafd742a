"""The rooms, held by a test: imports go one way, `processors` is pure, nothing of ours happens at import.

The table is docs/architecture.md in code. A module that needs an exception is in the wrong room.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from nightdesk.processors.charter.handlers import DONE_BY_THE_PLAYBOOK, HANDLER_TYPES
from tests import layers

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
# A room may import itself and the rooms named here. They are the folders at the top of the repository; what is
# installed has all of them below `nightdesk`, through the links in that folder. Of the rooms that come, event sources
# may import schemas and messaging. Their line stands here when their folder does: a rule about a folder that
# is not there fails.
MAY_IMPORT = {
    "schemas": set(),
    "messaging": {"schemas"},
    "processors": {"schemas"},
    "effects": {"schemas", "processors"},
    "streams": {"schemas", "messaging", "processors"},
    "sinks": {"schemas", "messaging", "processors"},
    "operations": {"schemas", "messaging", "processors", "streams", "sinks"},
    "console": {"schemas", "messaging", "processors", "sinks", "operations"},
    "nightdesk": {"schemas", "messaging", "processors", "effects", "streams", "sinks", "operations", "console"},
}
# Parts of one room that know nothing of each other.
SIBLINGS = (("effects", "llm", "handlers"),)
# CONTRIBUTING.md says it too: a module is shorter than this.
LINES_OF_A_MODULE = 250
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
LOGGER = "logging.getLogger(__name__)"
IMPURE_CALLS = {"now", "utcnow", "today", "uuid1", "uuid4", "open", "print", "input", "getenv"}
# What only `messaging` may construct: each has one configuration there.
KAFKA_CLIENTS = ("Producer", "Consumer", "AdminClient", "SchemaRegistryClient")
# Commands that run processes. Every other one parses what a person typed, calls an operation and prints its result.
RUN_PROCESSES = {Path(f"nightdesk/commands/{name}.py") for name in ("up", "worker", "sink", "console")}
# What a command that only parses and prints has no use for: waiting, clients, and what asks with them.
NOT_IN_A_COMMAND = (
    "clickhouse_connect",
    "confluent_kafka",
    "httpx2",
    "nightdesk.effects",
    "nightdesk.messaging.blocking_producer",
    "nightdesk.messaging.clients",
    "nightdesk.messaging.producer",
    "nightdesk.messaging.registered_codec",
    "nightdesk.messaging.topic_reader",
    "nightdesk.operations.clickhouse",
    "nightdesk.streams",
    "pydantic",
    "socket",
    "subprocess",
    "threading",
    "time",
    "urllib",
)
# Run by a person from the command line, and the only ones that print.
COMMANDS = {Path("processors/charter/schema.py")}
# Each passes what it prints through `nightdesk.schemas.foreign_text`; `fail_stop` only flushes the streams.
PRINTERS = COMMANDS | {
    Path("nightdesk/output.py"),
    Path("nightdesk/logs.py"),
    Path("nightdesk/local/progress.py"),
    Path("nightdesk/progress.py"),
    Path("streams/runtime/process/fail_stop.py"),
}


def modules(room: str) -> Iterator[tuple[Path, ast.Module]]:
    """Those of a folder; links to other rooms are not followed. A rule about a folder that is not there fails."""
    assert (ROOT / room).is_dir(), f"a rule names {room}, and there is no such folder"
    for path in sorted((ROOT / room).rglob("*.py")):
        if not path.parent.resolve().is_relative_to(ROOT / room):
            continue
        yield path.relative_to(ROOT), _parsed(path)


@cache
def _parsed(path: Path) -> ast.Module:
    """Each rule reads every module, and parsing takes longer than any rule."""
    return ast.parse(path.read_text())


def room_of(name: str) -> str | None:
    """The room of an imported name: `nightdesk.streams.x` lies in `streams`, `nightdesk.settings` in `nightdesk`."""
    package, _, rest = name.partition(".")
    if package != "nightdesk":
        return None
    top = rest.partition(".")[0]
    return top if top in MAY_IMPORT else "nightdesk"


@cache
def imported(tree: ast.Module) -> tuple[str, ...]:
    return tuple(_imported(tree))


def _imported(tree: ast.Module) -> Iterator[str]:
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
        if (imports := room_of(name)) is not None and imports not in allowed
    ]
    assert not wrong


def test_the_page_about_the_architecture_has_the_same_table() -> None:
    """A newcomer places a line by that page, so each room has its sentence there, and the imports that it may have."""
    rows = re.findall(r"^\| `(\w+)/` \| (It .+\.) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    others = {"nothing of ours": "", "all": ", ".join(set(MAY_IMPORT) - {"nightdesk"})}
    told = {room: set(filter(None, others.get(imports, imports).split(", "))) for room, _, imports in rows}
    assert told == MAY_IMPORT


def test_every_room_with_code_is_in_the_table() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert rooms == set(MAY_IMPORT)


def test_every_room_is_installed_below_our_own_name() -> None:
    """A room at the top of somebody's environment would stand where a package of their own wants to."""
    links = {path.name: path.readlink() for path in (ROOT / "nightdesk").iterdir() if path.is_symlink()}
    assert links == {room: Path("..") / room for room in MAY_IMPORT if room != "nightdesk"}
    wrong = [
        f"{path} imports {name}"
        for room in (*MAY_IMPORT, "tests", "benchmarks")
        for path, tree in modules(room)
        for name in imported(tree)
        if name.partition(".")[0] in set(MAY_IMPORT) - {"nightdesk"}
    ]
    assert not wrong


@pytest.mark.parametrize(("room", "one", "other"), SIBLINGS)
def test_siblings_do_not_know_each_other(room: str, one: str, other: str) -> None:
    for part, stranger in ((one, other), (other, one)):
        wrong = [
            f"{path} imports {name}"
            for path, tree in modules(f"{room}/{part}")
            for name in imported(tree)
            if name.startswith(f"nightdesk.{room}.{stranger}")
        ]
        assert not wrong


@cache
def _graph(*rooms: str) -> dict[str, set[str]]:
    return layers.imports_of({path: tree for room in rooms for path, tree in modules(room)})


def test_there_is_no_ring_of_imports() -> None:
    assert layers.ring_in(_graph(*MAY_IMPORT)) == []


def test_a_ring_is_found() -> None:
    assert set(layers.ring_in({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}


@pytest.mark.parametrize("package", layers.LAYERS)
def test_imports_go_to_the_layers_above(package: str) -> None:
    assert layers.upwards(package, _graph(package.partition(".")[0])) == []


def test_an_import_from_the_layer_below_is_found() -> None:
    low, high = "nightdesk.streams.api.state_store", "nightdesk.streams.api.stage"
    assert layers.upwards("streams.api", {low: {high}, high: {low}}) == [f"{low} imports {high}"]


@pytest.mark.parametrize("package", layers.LAYERS)
def test_every_module_has_its_layer_and_every_layer_its_modules(package: str) -> None:
    names = {layers.name_of(path) for path, _ in modules(package.replace(".", "/"))}
    parents = {f"nightdesk.{package}.{part.rpartition('.')[0]}" for part in layers.places_of(package)}
    found = {layers.part_of(name, package) for name in names - parents - {f"nightdesk.{package}"}}
    assert found == set(layers.places_of(package))


def test_a_stage_needs_no_runtime() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, imported in _graph("streams").items()
        if module.startswith("nightdesk.streams.stages.")
        for name in imported
        if name.removeprefix("nightdesk.streams.").partition(".")[0] not in layers.A_STAGE_MAY_IMPORT
    ]
    assert not wrong


def test_the_map_of_the_runtime_names_everything_in_it() -> None:
    runtime = ROOT / "streams" / "runtime"
    packages = {f"{path.parent.name}/" for path in runtime.glob("*/*.py")}
    children = packages | {path.name for path in runtime.glob("*.py")} - {"__init__.py"}
    docstring = ast.get_docstring(ast.parse((runtime / "__init__.py").read_text())) or ""
    assert {child for child in children if f"\n    {child}" not in docstring} == set()


def test_whoever_makes_calls_knows_no_type_of_handler() -> None:
    """A type says what it needs by `call_rules` and `outside`, so that a new one needs no change there."""
    types = {part.__name__ for name, part in HANDLER_TYPES.items() if name not in DONE_BY_THE_PLAYBOOK}
    rooms = ("streams", "processors/execution", "processors/playbook")
    known = {
        f"{path.relative_to(ROOT)}: {node.id}"
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(_parsed(path))
        if isinstance(node, ast.Name) and node.id in types
    }
    assert known == set()


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


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_foreign_text_is_printed_in_one_place(room: str) -> None:
    wrong = [
        f"{path} uses {name}" for path, tree in modules(room) if path not in PRINTERS for name in _ways_to_print(tree)
    ]
    assert not wrong


def _ways_to_print(tree: ast.Module) -> Iterator[str]:
    yield from (name for name in imported(tree) if name.partition(".")[0] == "rich")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) in ("print", "pprint", "echo", "secho"):
            yield f"{_called(node)}()"
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout", "sys.stderr", "sys.__stdout__"):
            yield ast.unparse(node)


def test_commands_only_parse_and_print() -> None:
    """A web console calls the same operations, so what a command does beyond that, the console would do again."""
    wrong = [
        f"{path} imports {name}"
        for path, tree in modules("nightdesk/commands")
        if path not in RUN_PROCESSES
        for name in imported(tree)
        if f"{name}.".startswith(tuple(f"{each}." for each in NOT_IN_A_COMMAND))
    ]
    assert not wrong


def test_the_console_does_nothing_that_is_no_operation() -> None:
    """Of what operations give and raise it knows the types; whatever reads or changes something is an operation."""
    wrong = [
        f"{path} imports {name}"
        for path, tree in modules("console")
        for name in imported(tree)
        if ((room := room_of(name)) in ("messaging", "sinks") and not _is_type_or_pure(name, room))
        or name.partition(".")[0] in ("clickhouse_connect", "confluent_kafka", "httpx2", "subprocess", "urllib3")
    ]
    assert not wrong


def _is_type_or_pure(name: str, room: str) -> bool:
    """A class; or a function of `messaging.settings` or `sinks.story`, which only reads the value that it is given."""
    last = name.rpartition(".")[2]
    return last[0].isupper() or f".{room}.settings." in name or name == "nightdesk.sinks.story.parsed"


def test_operations_know_no_command_line() -> None:
    """They give values and raise `Failure`; what is printed, and with which exit code, is not theirs."""
    wrong = [
        f"{path} imports {name}"
        for path, tree in modules("operations")
        for name in imported(tree)
        if name.partition(".")[0] in ("typer", "rich", "click")
    ]
    assert not wrong


@pytest.mark.parametrize("room", sorted(set(MAY_IMPORT) - {"messaging"}))
def test_messaging_constructs_every_kafka_client(room: str) -> None:
    """Elsewhere a client would have settings of its own: a producer without our partitioner puts a subject's records
    where nobody looks for them.
    """
    wrong = [f"{path} constructs {name}" for path, tree in modules(room) for name in _clients_constructed(tree)]
    assert not wrong


def _clients_constructed(tree: ast.Module) -> list[str]:
    """The classes of confluent-kafka's clients that a module calls, however it imports them."""
    stands_for: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            stands_for |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        if isinstance(node, ast.Import):
            stands_for |= {alias.asname or alias.name.partition(".")[0]: alias.name for alias in node.names}
    called = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    full = [f"{stands_for.get(name.partition('.')[0], '')}.{name.rpartition('.')[2]}" for name in called]
    return [
        name
        for name, known in zip(called, full, strict=True)
        if known.startswith("confluent_kafka") and known.split(".")[-1 if "." in name else -2] in KAFKA_CLIENTS
    ]


@pytest.mark.parametrize(
    ("program", "is_one"),
    [
        ("from confluent_kafka import Producer\nProducer({})", True),
        ("from confluent_kafka import Consumer as C\nC({})", True),
        ("import confluent_kafka\nconfluent_kafka.Producer({})", True),
        ("import confluent_kafka.admin\nconfluent_kafka.admin.AdminClient({})", True),
        ("import confluent_kafka as ck\nck.admin.AdminClient({})", True),
        ("from confluent_kafka import admin\nadmin.AdminClient({})", True),
        ("from confluent_kafka import TopicPartition\nTopicPartition('t', 0)", False),
        ("from nightdesk.messaging.producer import Producer\nProducer({}, 1)", False),
    ],
)
def test_the_rule_knows_a_client_by_every_name(program: str, is_one: bool) -> None:
    assert bool(_clients_constructed(ast.parse(program))) is is_one


def test_the_guard_holds_the_only_broad_except() -> None:
    """The codec's is about hostile bytes and says so, and RocksDB's binding raises nothing more precise. Everything
    else names what it expects.
    """
    allowed = {
        Path("streams/runtime/handling/guard.py"),
        Path("schemas/codec.py"),
        Path("streams/runtime/state/database.py"),
    }
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


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_there_is_one_way_to_log(room: str) -> None:
    """`log = logging.getLogger(__name__)`; structlog only formats what comes of it, in one module."""
    wrong = []
    for path, tree in modules(room):
        loggers = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _called(node) == "getLogger"]
        if path == Path("nightdesk/logs.py"):
            continue
        wrong += [f"{path} imports {name}" for name in imported(tree) if name.partition(".")[0] == "structlog"]
        wrong += [f"{path}:{call.lineno} {ast.unparse(call)}" for call in loggers if ast.unparse(call) != LOGGER]
    assert not wrong


def test_importing_the_rooms_connects_nowhere_and_says_nothing() -> None:
    """Every module of the pure and outer rooms imports with the network closed and nothing printed."""
    names = [
        ".".join(("nightdesk", *path.with_suffix("").parts)).removesuffix(".__init__")
        for room in ("schemas", "messaging", "processors", "effects", "sinks")
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


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_modules_are_short(room: str) -> None:
    """A longer one holds two things, and a reader who looks for the second does not find it by its name."""
    lengths = {path: len((ROOT / path).read_text().splitlines()) for path, _ in modules(room)}
    too_long = [f"{path} has {lines} lines" for path, lines in lengths.items() if lines >= LINES_OF_A_MODULE]
    assert not too_long, "cut each where two names say more than one"
