"""What the program imports is declared, and what is declared is imported.

A package that comes only with another one may leave with the other's next version; one that nothing imports is weight
and risk for nothing.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import files, packages_distributions
from pathlib import Path

from nightdesk.streams.runtime.faust_app import FAUST_VERSION

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {"nightdesk", "tests", "benchmarks"}
PRODUCT = ("schemas", "messaging", "processors", "effects", "streams", "sinks", "operations", "console", "nightdesk")
# Named in the code and imported by whoever reads the name: mode loads the event loop that `bootstrap` asks for.
USED_BY_NAME = {"uvloop": Path("nightdesk/bootstrap.py")}
# FastAPI imports it as soon as an endpoint has a form.
LOADED_BY_OTHERS = {"python-multipart"}
# Run, or loaded by pytest and mypy; no line of ours imports them.
TOOLS = {
    "mypy", "pytest-asyncio", "pytest-timeout", "pytest-xdist", "ruff", "types-protobuf", "types-pyyaml",
    "types-psutil", "uv",
}  # fmt: skip


def normalized(name: str) -> str:
    """The name as the package index compares it, without its extras and its version."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", name, maxsplit=1)[0]).lower()


def declared(group: str = "") -> set[str]:
    lines = PROJECT["optional-dependencies"][group] if group else PROJECT["dependencies"]
    return {normalized(line) for line in lines} - {"nightdesk"}


def imported(*rooms: str) -> Iterator[tuple[str, Path]]:
    """Modules that are neither ours nor Python's own, each with a file that imports it."""
    for room in rooms:
        assert (ROOT / room).is_dir()
        for path in sorted((ROOT / room).rglob("*.py")):
            if not path.parent.resolve().is_relative_to(ROOT / room):
                continue
            yield from ((name, path) for name in _foreign(path))


@cache
def _foreign(path: Path) -> tuple[str, ...]:
    """The modules that a file imports and that are neither ours nor Python's own."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return tuple(name for name in names if name.partition(".")[0] not in OURS | sys.stdlib_module_names)


def distributions(*rooms: str) -> dict[str, Path]:
    """The packages that carry what these rooms import."""
    known = packages_distributions()
    return {normalized(carrier): path for module, path in imported(*rooms) for carrier in carriers(module, known)}


def carriers(module: str, known: Mapping[str, list[str]]) -> Sequence[str]:
    """The packages that carry a module. Several of them may share the first name, as OpenTelemetry's do."""
    top = module.partition(".")[0]
    sharing = known.get(top, [top])
    if len(set(sharing)) == 1:
        return sharing
    places = {f"{module.replace('.', '/')}{end}" for end in (".py", "/__init__.py")}
    return [name for name in sharing if any(file.as_posix() in places for file in files(name) or ())] or sharing


def test_every_package_that_the_program_imports_is_declared() -> None:
    used = distributions(*PRODUCT)
    allowed = declared() | declared("local") | {"chdb-core"}  # what chdb, an extra of clickhouse-connect, consists of
    missing = {name: str(path.relative_to(ROOT)) for name, path in used.items() if name not in allowed | {"chdb"}}
    assert not missing, f"declare them in pyproject.toml and run `make lock`: {missing}"


def test_every_package_that_the_tests_import_is_declared() -> None:
    used = distributions("tests", "benchmarks")
    allowed = declared() | declared("local") | declared("dev") | {"chdb", "chdb-core"}
    missing = {name: str(path.relative_to(ROOT)) for name, path in used.items() if name not in allowed}
    assert not missing, f"declare them in pyproject.toml, group dev, and run `make lock`: {missing}"


def test_every_declared_package_is_imported() -> None:
    for name, path in USED_BY_NAME.items():
        assert f'"{name}"' in (ROOT / path).read_text()
    in_product = set(distributions(*PRODUCT)) | set(USED_BY_NAME) | LOADED_BY_OTHERS
    assert declared() - in_product == set(), "nothing imports them: remove them and run `make lock`"
    everywhere = in_product | set(distributions("tests", "benchmarks"))
    assert (declared("local") | declared("dev")) - everywhere - TOOLS == set()


def test_the_locks_hold_what_is_declared() -> None:
    for lock, groups in (("core", ("",)), ("local", ("", "local")), ("dev", ("", "local", "dev"))):
        locked = {
            normalized(line)
            for line in (ROOT / f"requirements/{lock}.txt").read_text().splitlines()
            if re.match(r"[A-Za-z]", line)
        }
        wanted = set().union(*map(declared, groups))
        assert wanted - locked == set(), f"requirements/{lock}.txt is behind pyproject.toml: run `make lock`"


def test_a_worker_checks_the_version_of_faust_that_is_pinned() -> None:
    assert f"faust-streaming=={FAUST_VERSION}" in PROJECT["dependencies"]
