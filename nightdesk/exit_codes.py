"""The exit code of each kind of failure.

The contract with scripts: `nightdesk --help` and docs/reference/commands.md document it. Never renumber. 0 is success.
"""

from collections.abc import Mapping
from types import MappingProxyType

from nightdesk.messaging.failures import FailureKind

EXIT_CODES: Mapping[FailureKind, int] = MappingProxyType(
    {
        FailureKind.FAILED: 1,
        FailureKind.INVALID: 2,
        FailureKind.NOT_FOUND: 3,
        FailureKind.UNREACHABLE: 4,
        FailureKind.NOT_READY: 5,
        FailureKind.NOT_CONFIGURED: 6,
        FailureKind.LOST: 7,
        FailureKind.ACTED_AFTER_STOP: 8,
    }
)
