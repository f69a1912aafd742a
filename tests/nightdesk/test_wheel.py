"""What is installed: one package with our own name, and nothing else at the top of the environment."""

from __future__ import annotations

import tarfile
from pathlib import Path
from zipfile import ZipFile

from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]


def wheel_of(source: Path, folder: Path) -> set[str]:
    """The names of the files in the wheel that is built from a source tree."""
    [wheel] = WheelBuilder(str(source)).build(directory=str(folder), versions=["standard"])
    with ZipFile(wheel) as files:
        return set(files.namelist())


def files_of(names: set[str]) -> set[str]:
    return {name for name in names if not name.partition("/")[0].endswith(".dist-info")}


def of_the_repository() -> set[str]:
    """Every file of the rooms, by its place below `nightdesk`."""
    rooms = [path for path in (ROOT / "nightdesk").iterdir() if path.is_symlink()]
    own = {path.relative_to(ROOT) for path in (ROOT / "nightdesk").rglob("*") if path.is_file()}
    linked = {
        Path("nightdesk", room.name, path.relative_to(room.resolve()))
        for room in rooms
        for path in room.resolve().rglob("*")
        if path.is_file()
    }
    return {path.as_posix() for path in own | linked if "__pycache__" not in path.parts}


def test_the_wheel_holds_every_room_below_one_package(tmp_path: Path) -> None:
    names = files_of(wheel_of(ROOT, tmp_path))
    assert {name.partition("/")[0] for name in names} == {"nightdesk"}
    assert names == of_the_repository()


def test_a_wheel_of_the_source_distribution_is_the_same(tmp_path: Path) -> None:
    """pip builds it if an index has only the source distribution, which cannot contain links."""
    [archive] = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(archive) as members:
        members.extractall(tmp_path)
    [unpacked] = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert files_of(wheel_of(unpacked, tmp_path)) == of_the_repository()


def test_an_editable_install_is_one_path(tmp_path: Path) -> None:
    [wheel] = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["editable"])
    with ZipFile(wheel) as files:
        [paths] = [files.read(name).decode() for name in files.namelist() if name.endswith(".pth")]
        assert files_of(set(files.namelist())) == {name for name in files.namelist() if name.endswith(".pth")}
    assert [Path(line).resolve() for line in paths.split()] == [ROOT]
