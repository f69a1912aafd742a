"""A process with a wall clock of its own, which a test sets while the process runs."""

from pathlib import Path

import libfaketime

LIBRARY = Path(libfaketime.__file__).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"


def set_clock(file: Path, ahead_s: int) -> None:
    """Within about a second, set the clock ahead of the machine's by so many seconds (behind, if negative)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    # Renamed, because the process may read the file at any moment.
    new = file.with_suffix(".new")
    new.write_text(f"{ahead_s:+d}")
    new.replace(file)


def clock_environment(file: Path) -> dict[str, str]:
    """The environment of a process whose clock `set_clock(file, ...)` sets. The clock is set once before the start."""
    return {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        # Only the wall clock steps; those that measure durations do not.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
