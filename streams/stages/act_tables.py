"""The tables of the act stage, and what each remembers."""

from nightdesk.streams.stage_spec import TableSpec

ACT_TABLES = {
    "progress": TableSpec(
        "what was done of each decision",
        "30 days after it ended or should go on; without an end while an order holds it",
        "a copy of the decision on the topic would be executed again; the topic has no copy that is older",
    ),
    "approvals": TableSpec(
        "each decision that waits for a person; answered ones",
        "until it ends; 30 days after the answer",
        "an answer that comes again is not known any more, and neither is what it answered",
    ),
    "subject_decisions": TableSpec("the waiting and approved decisions about a subject", "60 days"),
    "newer_events": TableSpec(
        "the last 20 events of a subject that may take back a decision",
        "30 days",
        "they take back nothing",
    ),
    "halted": TableSpec("each decision that an order holds, compressed", "until the order is lifted"),
    "paused": TableSpec("how long each agent was stopped", "forever: two for each agent"),
    "circuits": TableSpec(
        "the state of each connection's circuit",
        "1 day after its last change",
        "it counts as closed",
    ),
    "answers": TableSpec(
        "responses that may be used again (`cache` of a handler), at most 1,000 for each partition",
        "the handler's `cache`",
        "the system is asked again",
    ),
}
