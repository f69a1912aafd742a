"""How long a decision waits, and when a system counts as away. Units are seconds."""

from nightdesk.processors import breaker

# Fewer than a handler's four attempts by default, so that no action fails because its system is away.
BREAKER = breaker.BreakerPolicy(failures_to_open=3)
# A decision that waits for a system that is away checks again at least this often: an index into `backoff.LONGEST_S`.
AWAY_BACKOFF_AT_MOST = 3
# A grant that was not used for this time, or for a whole period of its limit, is requested again.
GRANT_VALID_AT_LEAST_S = 60
