"""What a worker counts. Served with health by `health.py`; the names are a contract with the dashboards."""

from prometheus_client import Counter, Gauge

RECORDS = Counter("nightdesk_records_total", "Records read, those that came again with them", ["stage"])
DEAD_LETTERS = Counter(
    "nightdesk_dead_letters_total", "Records that ended as dead letters", ["stage", "topic", "error"]
)
IN_FLIGHT = Gauge("nightdesk_in_flight", "Records accepted and not yet durable", ["stage"])
REBALANCES = Counter("nightdesk_rebalances_total", "Times that partitions were revoked", ["stage"])
HOLES = Counter("nightdesk_log_holes_total", "Offsets that the log does not hold", ["stage", "topic"])
READY = Gauge("nightdesk_ready", "1 when partitions are assigned and tables recovered", ["stage"])
UNDOS_FAILED = Counter(
    "nightdesk_undos_failed_total", "Steps that were done and could not be taken back", ["agent", "handler"]
)
CIRCUIT_OPEN = Gauge("nightdesk_circuit_open", "1 while a system outside counts as away", ["stage", "outside"])
