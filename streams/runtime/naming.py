"""What a stage is called on the broker: its consumer group, and the prefix of its changelog topics."""

# The table of a stage whose records may have to wait behind a dead letter.
PARKED = "parked"


def group_id(topic_prefix: str, stage: str) -> str:
    """`nightdesk.` and `ingest` make `nightdesk-ingest`."""
    return topic_prefix.replace(".", "-") + stage
