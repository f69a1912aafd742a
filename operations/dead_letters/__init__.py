"""Lists, shows, replays and discards dead letters. User interfaces call `handling`.

`reading` finds letters, `choosing` selects some, `ending` replays or discards them. Their only store is `<topic>.dlq`,
which has the letters and, behind each, its resolution (docs/decisions/0009-ends-lie-behind-letters.md).
"""
