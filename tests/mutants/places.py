"""Where faults are put: the packages of the program, and the places that a seed draws."""

import random
from pathlib import Path

from tests.mutants.faults import Fault, faults

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "messaging", "processors", "effects", "streams", "sinks", "operations", "console", "nightdesk")
# What starts other programs: only tests with a broker run it.
LEFT_OUT = ("nightdesk/local", "nightdesk/__main__.py")

Place = tuple[str, Fault]


def drawn(packages: tuple[str, ...], count: int, seed: int) -> list[Place]:
    """Draw `count` faults from the packages' modules, each place with the same probability."""
    places = [(module, fault) for module in modules(packages) for fault in faults((ROOT / module).read_text())]
    return random.Random(seed).sample(places, min(count, len(places)))


def modules(packages: tuple[str, ...] = PACKAGES) -> list[str]:
    """All modules that may get a fault."""
    files = [file for package in packages for file in sorted((ROOT / package).rglob("*.py"))]
    return [name for file in files if not (name := str(file.relative_to(ROOT))).startswith(LEFT_OUT)]


def package_of(module: str) -> str:
    """The package that a module lies in."""
    return module.partition("/")[0]
