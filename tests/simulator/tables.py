"""Tables without Faust: rebuilt from their changelog, as `FactTable` is. Held by each process."""

from streams.runtime.changes import Put


class MemoryTable:
    """As `FactTable`, rebuilt from its changelog."""

    def __init__(self, name: str, changelog: list[Put]) -> None:
        self.name = name
        self._facts: dict[int, dict[bytes, bytes]] = {}
        self._expires_at: dict[tuple[int, bytes], float] = {}
        for put in changelog:
            self.write(put)

    def read(self, partition: int, key: str) -> bytes | None:
        return self._facts.get(partition, {}).get(key.encode())

    def facts(self, partition: int) -> dict[bytes, bytes]:
        return self._facts.get(partition, {})

    def partitions_held(self) -> list[int]:
        return list(self._facts)

    def expired(self, partition: int, now: float) -> list[bytes]:
        over = [key for (of, key), until in self._expires_at.items() if of == partition and until <= now]
        for key in over:
            del self._expires_at[partition, key]
        return over

    def write(self, put: Put) -> None:
        facts = self._facts.setdefault(put.partition, {})
        if put.value is None:
            facts.pop(put.key, None)
        else:
            facts[put.key] = put.value
        if put.value is not None and put.expires_at:
            self._expires_at[put.partition, put.key] = put.expires_at
        else:
            self._expires_at.pop((put.partition, put.key), None)
