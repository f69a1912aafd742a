"""Dead letters as a person handles them: `reading` finds them, `choosing` selects, `ending` replays or discards.

The truth is on `<topic>.dlq` alone: letters, and behind each its end (docs/decisions/0008-ends-lie-behind-letters.md).
"""
