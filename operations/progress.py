"""The callbacks by which a long operation reports its progress to a user interface."""

from __future__ import annotations

from collections.abc import Callable

# Is called with the number of units that were done since the last call.
Advance = Callable[[int], None]
# Is called before each part of the work, with the name and the number of its units. It returns what is called as they
# are done.
Begin = Callable[[str, int], Advance]
