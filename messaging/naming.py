"""The names of a stage on the broker: its consumer group with its members, and the prefix of its changelog topics."""

# The table of a stage whose records may be parked behind a dead letter.
PARKED = "parked"


def group_id(topic_prefix: str, stage: str) -> str:
    """For `nightdesk.` and `ingest` it is `nightdesk-ingest`."""
    return topic_prefix.replace(".", "-") + stage


def member_id(group: str, instance_id: str) -> str:
    """The name under which a worker is a static member of its stage's group."""
    return f"{group}-{instance_id}"
