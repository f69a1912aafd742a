"""Faults that change nothing that anybody can see. Each is listed with the reason, by the text of its line."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.places import ROOT, Place

LIST = Path(__file__).parent / "equivalent.toml"


@dataclass(frozen=True, slots=True)
class Equivalent:
    """A fault that changes nothing, and why. An empty `text` is every fault of this kind in the line."""

    module: str
    line: str
    kind: str
    reason: str
    text: str = ""

    def is_of(self, place: Place) -> bool:
        """Whether the fault is this one."""
        module, fault = place
        return (
            module == self.module
            and fault.kind == self.kind
            and self.text in ("", fault.text)
            and self.line == line_of(place)
        )


def line_of(place: Place) -> str:
    """The text of the line in which the fault begins."""
    module, fault = place
    return (ROOT / module).read_text().splitlines()[fault.line - 1].strip()


def equivalents() -> tuple[Equivalent, ...]:
    """All that are listed."""
    return tuple(Equivalent(**entry) for entry in tomllib.loads(LIST.read_text())["equivalent"])
