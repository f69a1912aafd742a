"""The due times of entries that wait in a stage's table, derived again after every assignment."""

import heapq


class DueTimes:
    """Due times (epoch seconds) of keys, by partition. Setting a key again replaces its time."""

    def __init__(self) -> None:
        self._due: dict[tuple[int, str], float] = {}
        self._heaps: dict[int, list[tuple[float, str]]] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._due.clear()
        self._heaps.clear()

    def set(self, partition: int, key: str, due: float) -> None:
        """Make `key` due at `due`, instead of any earlier time."""
        if self._due.get((partition, key)) != due:
            self._due[partition, key] = due
            heapq.heappush(self._heaps.setdefault(partition, []), (due, key))

    def pop(self, partition: int, now: float, at_most: int) -> list[str]:
        """Remove and return up to `at_most` keys that are due, the earliest first."""
        heap, found = self._heaps.get(partition, []), list[str]()
        while heap and heap[0][0] <= now and len(found) < at_most:
            due, key = heapq.heappop(heap)
            if self._due.get((partition, key)) == due:
                del self._due[partition, key]
                found.append(key)
        return found
