"""How long work tells its interface how far it has come."""

from __future__ import annotations

from collections.abc import Callable

# How many more are done.
Advance = Callable[[int], None]
# What is done, and of how many.
Begin = Callable[[str, int], Advance]
