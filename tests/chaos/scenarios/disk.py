"""What lies on the disk of a worker is damaged, truncated, deleted or of another time when it starts again. Each worker
is killed under load first, so in the midst of writes. Then the disk of one is full.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.chaos.events import ANSWER, APPEND, draw
from tests.chaos.scenario import SHORT, Scenario
from tests.chaos.world import World

NAME = "disk"
EVENTS = 80
TIMES_SHORT, TIMES_LONG = 1, 10
PAUSES_S = (0.5, 2.0)
ENDS_WITHIN_S, READY_WITHIN_S = 60.0, 120.0


def _delete(tables: Path, _chance: Random) -> None:
    shutil.rmtree(tables, ignore_errors=True)


def _truncate(tables: Path, chance: Random) -> None:
    """Half of the files lose their end."""
    for file in _files(tables, chance):
        content = file.read_bytes()
        file.write_bytes(content[: chance.randrange(len(content))])


def _overwrite(tables: Path, chance: Random) -> None:
    """Half of the files have other bytes somewhere."""
    for file in _files(tables, chance):
        content = bytearray(file.read_bytes())
        at = chance.randrange(len(content))
        content[at : at + 512] = chance.randbytes(len(content[at : at + 512]))
        file.write_bytes(content)


def _files(tables: Path, chance: Random) -> list[Path]:
    files = sorted(file for file in tables.rglob("*") if file.is_file() and file.stat().st_size)
    return chance.sample(files, (len(files) + 1) // 2)


DAMAGES: dict[str, Callable[[Path, Random], None]] = {
    "ingest-0": _overwrite,
    "decide-0": _delete,
    "act-0": _truncate,
}
# Its tables of now are replaced by those of its first kill.
OF_ANOTHER_TIME = "budget-0"
# Each event is a write of its own there; it was struck first, so it is back first.
FULL = "ingest-0"


def play(world: World, size: int, chance: Random) -> None:
    """Strike the stages by turns, and let the fleet start them again."""
    for number in range(TIMES_LONG if size > SHORT else TIMES_SHORT):
        world.send(draw(f"{NAME}-{number}", EVENTS, chance, (ANSWER, APPEND)), over_s=8.0)
        copy = world.settings.home / f"{NAME}-{number}"
        _strike(world, OF_ANOTHER_TIME, lambda tables, copy=copy: shutil.copytree(tables, copy))  # type: ignore[misc]  # mypy cannot infer it
        for name, damage in DAMAGES.items():
            world.pause(chance.uniform(*PAUSES_S))
            _strike(world, name, lambda tables, damage=damage: damage(tables, chance))  # type: ignore[misc]  # mypy cannot infer it
        _strike(world, OF_ANOTHER_TIME, lambda tables, copy=copy: _replace(tables, copy))  # type: ignore[misc]  # mypy cannot infer it
        world.until(lambda: world.fleet.is_ready(FULL), READY_WITHIN_S)
        ended = world.fleet.ended(FULL)
        world.fleet.fill_disk(FULL)
        world.send(draw(f"{NAME}-filled-{number}", EVENTS // 4, chance, (ANSWER, APPEND)))
        if not world.until(ended, ENDS_WITHIN_S):
            world.observed.append(f"{NAME}: {FULL} went on for {ENDS_WITHIN_S:.0f} s with its disk full")


def _strike(world: World, name: str, damage: Callable[[Path], object]) -> None:
    ended = world.fleet.ended(name)
    world.fleet.dismiss(name, kill=True)
    world.until(ended, ENDS_WITHIN_S)
    tables = world.fleet.tables(name)
    if tables.exists():
        damage(tables)
    world.fleet.take_back(name)


def _replace(tables: Path, copy: Path) -> None:
    if copy.exists():
        shutil.rmtree(tables)
        shutil.copytree(copy, tables)


SCENARIO = Scenario(NAME, play)
