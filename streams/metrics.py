"""The metrics of a worker. Names and labels are a contract with dashboards and alerts: docs/reference/metrics.md is
generated from this module and the sink's, and each label has its meaning there. No label has a subject or an id.
"""

from prometheus_client import Counter, Gauge, Histogram

RECORDS = Counter("nightdesk_records_total", "Records read, including redelivered ones", ["stage"])
DEAD_LETTERS = Counter("nightdesk_dead_letters_total", "Records that became dead letters", ["stage", "topic", "error"])
FORWARDED = Counter(
    "nightdesk_records_forwarded_total", "Records forwarded to the partition of their subject", ["stage", "topic"]
)
IN_FLIGHT = Gauge("nightdesk_in_flight", "Records accepted and not yet durable", ["stage"])
REBALANCES = Counter("nightdesk_rebalances_total", "Number of times that partitions were revoked", ["stage"])
OFFSET_GAPS = Counter("nightdesk_log_gaps_total", "Offsets that the log does not have", ["stage", "topic"])
QUARANTINED = Counter(
    "nightdesk_quarantined_total",
    "Records quarantined because the process ended while it processed them",
    ["stage", "topic"],
)
LOST = Counter("nightdesk_lost_records_total", "Records that were deleted before they were read", ["stage", "topic"])
OPEN_TRANSACTION = Gauge(
    "nightdesk_open_transaction_seconds",
    "How long an open transaction of another producer has blocked a partition",
    ["stage", "topic", "partition"],
)
PAUSED = Gauge("nightdesk_paused", "1 while the stage is paused because its handlers fail", ["stage"])
READY = Gauge("nightdesk_ready", "1 when partitions are assigned and tables recovered", ["stage"])
UNDOS_FAILED = Counter("nightdesk_undos_failed_total", "Completed steps that could not be undone", ["agent", "handler"])
COSTS_BEYOND_HELD = Counter(
    "nightdesk_costs_beyond_held_total", "Steps whose claimed cost exceeds their reservation", ["agent"]
)
STEPS_RETURNED = Counter(
    "nightdesk_steps_returned_total",
    "Steps that were given back to wait, because no model was available or the agent was paused",
    ["agent", "cause"],
)
CIRCUIT_OPEN = Gauge("nightdesk_circuit_open", "1 while the circuit of a system is open", ["stage", "outside"])
ROUTE_FAILING = Gauge(
    "nightdesk_route_failing_seconds",
    "How long a route of notifications has taken none of the messages that it was sent, 0 if it takes them",
    ["route"],
)
CALLS_WAITING_FOR_ORDERS = Gauge("nightdesk_calls_waiting_for_orders", "Calls that wait for confirmed orders")
# For every stage with a queue: `cause` says what a case waits for.
WAITING = Gauge(
    "nightdesk_waiting_cases", "Cases that wait in a queue, by what keeps them", ["stage", "agent", "cause"]
)
OLDEST_APPROVAL = Gauge(
    "nightdesk_oldest_approval_seconds", "Age of the oldest decision that waits for a person, 0 without one", ["agent"]
)
BUDGET_LEFT = Gauge("nightdesk_budget_left_usd", "What an agent may still reserve today, in US dollars", ["agent"])
CLOCK_OFFSET = Gauge(
    "nightdesk_clock_offset_seconds", "How far the broker's clock is ahead of this machine's", ["stage"]
)
ANOMALIES = Counter(
    "nightdesk_anomalies_total",
    "Number of times that an agent exceeded its charter's anomaly bounds",
    ["agent", "mode"],
)
LATENCY = Histogram(
    "nightdesk_record_seconds",
    "Time from when a stage takes a record until everything that it caused is durable, calls to others included",
    ["stage"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
LAG = Gauge("nightdesk_lag_records", "Offsets that a stage has not read yet, in its own partitions", ["stage", "topic"])
RECOVERY_LEFT = Gauge(
    "nightdesk_recovery_remaining_records", "Changelog records to read until the tables are recovered", ["stage"]
)
AGENT_STOPPED = Gauge("nightdesk_agent_stopped", "1 while an order stops the agent, * for every agent", ["agent"])
UNREADABLE_ORDERS = Counter(
    "nightdesk_unreadable_orders_total",
    "Orders and charters on the control topic that could not be read, counted by each process",
)
PROMOTED_UNREADABLE = Gauge(
    "nightdesk_promoted_charter_unreadable",
    "1 while a process cannot read the promoted charter of an agent and goes on with the last one that it can",
    ["agent"],
)

# From here on: audit records, counted when they are durable (`audit_metrics.py`). After a crash a record may be counted
# again.
EVENTS = Counter("nightdesk_events_total", "Events offered to an agent, by what came of the offer", ["agent", "result"])
CASE_DEAD_LETTERS = Counter(
    "nightdesk_case_dead_letters_total",
    "Records of cases that became dead letters, but for those whose action failed: they are in nightdesk_actions_total",
    ["agent", "stage"],
)
CASES_ENDED = Counter(
    "nightdesk_cases_ended_total",
    "Cases that ended, by their status. A case whose record is a dead letter is not counted",
    ["agent", "status"],
)
DECISIONS = Counter("nightdesk_decisions_total", "Decisions on steps of cases", ["agent", "action", "disposition"])
LOW_CONFIDENCE_EXECUTED = Counter(
    "nightdesk_low_confidence_executed_total",
    "Decisions that may be executed although their confidence is below what their action needs",
    ["agent", "action"],
)
ACTIONS = Counter(
    "nightdesk_actions_total", "Playbooks that ended, by the status of the case after it", ["agent", "action", "status"]
)
APPROVALS = Counter(
    "nightdesk_approvals_total", "Times that a person was asked, was reminded, or answered", ["agent", "verdict"]
)
FALLBACKS = Counter(
    "nightdesk_provider_fallbacks_total",
    "Times that a provider gave no answer for a decision, so that the next one was asked",
    ["agent", "provider", "reason"],
)
TOKENS = Counter(
    "nightdesk_model_tokens_total", "Tokens of the answers behind decisions", ["provider", "model", "direction"]
)
MODEL_COST = Counter(
    "nightdesk_model_cost_usd_total",
    "Cost of the questions behind decisions, in US dollars",
    ["agent", "provider", "model"],
)
MODEL_CALLS = Counter(
    "nightdesk_model_calls_total",
    "Questions to models, by what came of them; counted when they end and not when that is durable",
    ["agent", "provider", "model", "result"],
)
