"""The list of all queries that commands and dashboards send to the audit.

The benchmark times each of them, and a test fails if one reads more of a large table than it needs. Add the query of a
new command here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from nightdesk.sinks import (
    approval_answers,
    approvals,
    attention,
    case_search,
    cases,
    costs,
    data_set,
    decided_and_acted,
    follow_ups,
    halts,
    late_calls,
    model_calls,
    night,
    pauses,
    queries,
    similar_approvals,
    untaken,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The values for the parameters: the time of the last record, the ids of one decision, and its hour."""

    now: datetime
    agent: str
    subject: str
    event_id: str
    case_id: str
    decision_id: str
    hour: datetime


@dataclass(frozen=True, slots=True)
class Question:
    """One query and its parameters. `asker` names the command, or is `dashboard`."""

    name: str
    asker: str
    sql: str
    parameters: Callable[[Asked], Mapping[str, Any]]


# Every question of a dashboard about many cases reads roll-ups. Their hour is the one in which a case was opened.
ENDS_OF_THE_NIGHT = """
SELECT sum(completed), sum(escalated), sum(failed), sum(refused), sum(needs_approval), sum(waiting), sum(deferred),
    sum(running), sum(cost_microusd) / 1e6 AS usd
FROM hourly WHERE hour >= toStartOfHour({since:DateTime('UTC')})
"""
TREND = """
SELECT hour, sum(completed) AS completed, sum(escalated) AS escalated, sum(cases) AS cases
FROM hourly WHERE hour >= toStartOfHour({since:DateTime('UTC')}) GROUP BY hour ORDER BY hour
"""
COST_BY_DAY = """
SELECT toDate(hour) AS day, agent, event_type, sum(cost_microusd) / 1e6 AS usd, sum(decisions) AS decisions,
    sum(completed_cost_microusd) / 1e6 / sum(completed) AS usd_per_completed
FROM hourly WHERE hour >= toStartOfHour({since:DateTime('UTC')})
GROUP BY day, agent, event_type ORDER BY day, agent, event_type
"""
ANSWERED_APPROVALS = """
SELECT agent, sum(asked), sum(approved), sum(edited), sum(rejected), sum(expired), sum(reconsidered)
FROM hourly WHERE hour >= toStartOfHour({since:DateTime('UTC')}) GROUP BY agent ORDER BY agent
"""
CASE_TIMES = """
SELECT toDate(hour) AS day, quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(case_ms) AS ms
FROM hourly WHERE hour >= toStartOfHour({since:DateTime('UTC')}) GROUP BY day ORDER BY day
"""
CONFIDENCE = """
SELECT disposition, sumMap(confidence) AS decisions_by_percent
FROM hourly_decisions WHERE hour >= toStartOfHour({since:DateTime('UTC')}) GROUP BY disposition ORDER BY disposition
"""
MODELS = """
SELECT provider, model, sum(decisions) AS decisions, sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens, sum(cost_microusd) / 1e6 AS usd,
    quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(latency_ms) AS ms
FROM hourly_decisions WHERE hour >= toStartOfHour({since:DateTime('UTC')})
GROUP BY provider, model ORDER BY provider, model
"""
HANDLERS = """
SELECT handler, status, sum(steps) AS steps, quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(latency_ms) AS ms
FROM hourly_steps WHERE hour >= toStartOfHour({since:DateTime('UTC')})
GROUP BY handler, status ORDER BY handler, status
"""
OPEN_LETTERS = "SELECT * FROM dead_letters WHERE state = 'open' ORDER BY time"


def _since(**back: float) -> Callable[[Asked], Mapping[str, Any]]:
    return lambda asked: {"since": asked.now - timedelta(**back)}


def _statuses(**back: float) -> Callable[[Asked], Mapping[str, Any]]:
    more = {"statuses": ["failed", "rejected"], "agent": "", "limit": 50}
    return lambda asked: {"since": asked.now - timedelta(**back), **more}


def _untaken(asked: Asked) -> Mapping[str, Any]:
    since = asked.now - timedelta(days=1)
    return {"since": since, "statuses": ["rejected"], "agent": "", "event_type": ""}


def _late(asked: Asked) -> Mapping[str, Any]:
    return {"after": asked.now - timedelta(hours=1), "agent": "*", "escalations": True, "at_most": 1000}


def _export_hours(asked: Asked) -> Mapping[str, Any]:
    return {"since": asked.now - timedelta(days=1), "until": asked.now}


def _export(asked: Asked) -> Mapping[str, Any]:
    hour = asked.now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    return {"hour": hour, "agent": "", "reviewed": False}


def _beside(asked: Asked) -> Mapping[str, Any]:
    return {"subjects": [asked.subject]}


def _similar(asked: Asked) -> Mapping[str, Any]:
    of = {"agent": asked.agent, "action": "refund", "decision": asked.decision_id, "limit": similar_approvals.COUNTED}
    return {"since": asked.now - similar_approvals.LOOKED_BACK, **of}


def _ended(asked: Asked) -> Mapping[str, Any]:
    return {"hours": [asked.hour], "cases": [asked.case_id]}


def _night(begins: timedelta, lasts: timedelta) -> Callable[[Asked], Mapping[str, Any]]:
    return lambda asked: night.parameters(asked.now - begins, asked.now - begins + lasts)


def _tried(asked: Asked) -> Mapping[str, Any]:
    return decided_and_acted.parameters(asked.agent, asked.now - timedelta(days=1))


def _to_come(asked: Asked) -> Mapping[str, Any]:
    return {"now": asked.now, "timer": ""}


def _by_id(id_: Callable[[Asked], str]) -> Callable[[Asked], Mapping[str, Any]]:
    return lambda asked: {"id": id_(asked), "agents": [], "limit": 101}


def _found(text: str = "", **back: float) -> Callable[[Asked], Mapping[str, Any]]:
    filters = {"statuses": [], "agent": "", "action": "", "agents": [], "text": text, "limit": 101}
    return lambda asked: {"since": asked.now - timedelta(**back), "until": asked.now + timedelta(minutes=1), **filters}


def _tally(bucket_s: int, **back: float) -> Callable[[Asked], Mapping[str, Any]]:
    until = timedelta(minutes=1)
    return lambda asked: {
        "since": asked.now - timedelta(**back),
        "until": asked.now + until,
        "agents": [],
        "bucket_s": bucket_s,
    }


QUESTIONS = (
    Question("subject by its id", "why", queries.RESOLVE, lambda asked: {"id": asked.subject}),
    Question("subject of an event", "why", queries.RESOLVE, lambda asked: {"id": asked.event_id}),
    Question("subject of a case", "why", queries.RESOLVE, lambda asked: {"id": asked.case_id}),
    Question("subject of a decision", "why", queries.RESOLVE, lambda asked: {"id": asked.decision_id}),
    Question("records of a subject", "why", queries.RECORDS, lambda asked: {"subject": asked.subject}),
    Question("cases of a subject", "why", queries.CASES, lambda asked: {"subject": asked.subject}),
    Question("questions to models about a subject", "why", model_calls.CALLS, lambda asked: {"subject": asked.subject}),
    Question("events of a subject", "why", queries.ends_query(), _beside),
    Question("orders in force", "status, why", halts.HALTS, lambda asked: {"agents": [asked.agent, "*"]}),
    Question("failed in the last day", "status", cases.COUNTED, _statuses(days=1)),
    Question("failed cases", "cases list", cases.LISTED, _statuses(days=1)),
    Question("decisions that were answered", "approvals list", approvals.ANSWERED, lambda asked: {}),
    Question("decisions that were asked for", "approvals list", approvals.ASKED, lambda asked: {"decision": ""}),
    Question(
        "pauses of the agents of approvals", "approvals list", pauses.ORDERS, lambda asked: {"agents": [asked.agent]}
    ),
    Question("open cases beside an approval", "approvals show", approvals.OPEN_CASES, _beside),
    Question("events beside an approval", "approvals show", approvals.events_query(), _beside),
    Question(
        "answers to a decision", "console", approval_answers.ANSWERS, lambda asked: {"decision": asked.decision_id}
    ),
    Question("similar approvals", "console", similar_approvals.SIMILAR, _similar),
    Question("how similar cases ended", "console", similar_approvals.ENDED, _ended),
    Question("cases of a subject's id", "console", case_search.BY_ID, _by_id(lambda asked: asked.subject)),
    Question("case of a decision's id", "console", case_search.BY_ID, _by_id(lambda asked: asked.decision_id)),
    Question("cases of a day", "console", case_search.BY_FILTER, _found(days=1)),
    Question("cases with a text", "console", case_search.BY_FILTER, _found("refund", days=1)),
    Question("how cases of a day divide", "console", case_search.FACETS, _found(days=1)),
    Question("cases by half an hour", "console", case_search.TALLY, _tally(1800, days=1)),
    Question("cases of a week by time", "console", case_search.TALLY, _tally(12_600, days=7)),
    Question("open dead letters by agent", "console", attention.OPEN_LETTERS, lambda asked: {}),
    Question("orders in force for all", "console", halts.HALTS, lambda asked: {"agents": []}),
    Question("follow-ups to come", "follow-ups list", follow_ups.TO_COME, _to_come),
    Question("last night", "night", night.LINES, _night(timedelta(hours=14), timedelta(hours=14))),
    Question("two hours of a month ago", "night", night.LINES, _night(timedelta(days=30), timedelta(hours=2))),
    Question("decisions to try bounds on", "anomalies try", decided_and_acted.LINES, _tried),
    Question("costs of cases", "budget verify", costs.COSTS, _since(days=1)),
    Question("calls after an order", "stop verify", late_calls.LATE_STEPS, _late),
    Question("questions after an order", "stop verify", late_calls.LATE_QUESTIONS, _late),
    Question("hours with decisions", "export", data_set.HOURS, _export_hours),
    Question("decisions of an hour", "export", data_set.OF_AN_HOUR, _export),
    Question("events without a case", "events reoffer", untaken.UNTAKEN, _untaken),
    Question("ends of the night", "dashboard", ENDS_OF_THE_NIGHT, _since(hours=12)),
    Question("trend of a day", "dashboard", TREND, _since(days=1)),
    Question("cost by day", "dashboard", COST_BY_DAY, _since(days=30)),
    Question("answers of approvals", "dashboard", ANSWERED_APPROVALS, _since(days=30)),
    Question("times of cases", "dashboard", CASE_TIMES, _since(days=30)),
    Question("confidence", "dashboard", CONFIDENCE, _since(days=30)),
    Question("models", "dashboard", MODELS, _since(days=30)),
    Question("handlers", "dashboard", HANDLERS, _since(days=30)),
    Question("open dead letters", "dashboard", OPEN_LETTERS, lambda asked: {}),
)
