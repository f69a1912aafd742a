"""Generates an audit in ClickHouse: cases of one decision each, spread evenly over a span of time.

Of a thousand cases fifty need an approval, which a person has given to all but those of the last three days, one has a
dead letter, one asks for a follow-up after a week, and ten events make no case. A model is asked once for each
decision (or, to save time, only for each so many), and one step of a playbook runs for each that needs nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from clickhouse_connect.driver.client import Client

from nightdesk.schemas import ids
from nightdesk.schemas.audit import DecisionDetail
from nightdesk.schemas.records import AuditRecord, Verdict
from nightdesk.sinks.questions import Asked

AGENT = "support-triage"
CASES_PER_INSERT = 100_000
# A ticket has two events, half of all cases apart.
CASES_PER_SUBJECT = 2

_INSERT = """
INSERT INTO audit_records (record_id, kind, time, subject, event_id, event_source, event_type, case_id, agent,
    charter_version, step, decision_id, action, confidence, disposition, status, provider, model, input_tokens,
    output_tokens, cost_microusd, latency_ms, traceparent, reason, detail, case_at, topic, `partition`, `offset`)
WITH
    {cases:UInt64} AS cases,
    toDateTime64({end:DateTime('UTC')}, 6, 'UTC') - toIntervalMicrosecond(
        intDiv({span_s:UInt64} * 1000000 * (cases - n), cases)) AS opened,
    (salt, what) -> toString(reinterpretAsUUID(MD5(concat(salt, toString(what))))) AS id,
    n % 20 = 0 AS asks,
    n % 1000 = 11 AS reminds,
    arrayFilter(one -> one.2, [
        ('received', true), ('asked', n % 100 != 3 AND n % {asked_every:UInt64} = 1 % {asked_every:UInt64}),
        ('decided', n % 100 != 3), ('approval', asks),
        ('answer', asks AND opened < {end:DateTime('UTC')} - INTERVAL 3 DAY), ('acted', NOT asks AND n % 100 != 3),
        ('dead_letter', n % 1000 = 7), ('ignored', n % 100 = 3),
        ('control', n % 100000 = 5)]) AS kinds,
    arrayJoin(kinds).1 AS line,
    if(line = 'answer', 'approval', line) AS written_kind,
    indexOf(['decided', 'approval', 'answer', 'acted', 'dead_letter'], line) AS place,
    line NOT IN ('ignored', 'control') AS of_case,
    line IN ('decided', 'acted', 'approval', 'answer') AS of_decision,
    id('text', n) AS word
SELECT
    id(line, n), written_kind, opened + toIntervalMillisecond(400 * place),
    if(line = 'control', {agent:String}, concat('ticket-', toString(n % intDiv(cases, 2)))),
    concat(if(of_case, 'evt-', 'other-'), toString(n)),
    'shop/helpdesk', if(n % 3 = 0, 'ticket.created', 'ticket.replied'), if(of_case, id('case', n), NULL),
    if(of_case, {agent:String}, NULL), if(of_case, 'cbe5d3a27f9b9a68', NULL), 0,
    if(of_decision, id('decision', n), NULL), if(of_decision, if(asks, 'refund', 'respond'), NULL),
    if(line = 'decided', (n % 100) / 100, NULL), if(of_decision, if(asks, 'needs_approval', 'execute'), NULL),
    multiIf(line = 'answer', 'running', line = 'acted', 'completed', line = 'dead_letter', 'failed',
        NOT of_case, 'ignored', asks AND of_decision, 'needs_approval', 'running'),
    if(line IN ('asked', 'decided'), 'anthropic', NULL), if(line IN ('asked', 'decided'), 'claude-sonnet-5-5', NULL),
    if(line = 'decided', 900 + n % 400, 0), if(line = 'decided', 80 + n % 60, 0),
    if(line = 'decided', 3000 + n % 4000, 0), if(line = 'decided', 700 + n % 900, 0),
    concat('00-', replaceAll(word, '-', ''), '-00f067aa0ba902b7-01'), if(asks, 'refund always needs approval', ''),
    multiIf(
        line IN ('received', 'ignored'), concat('{"data":"{\\\\"text\\\\":\\\\"Where is ', word,
            '? It should have come on Tuesday, and nobody answers.\\\\"}","time":"2026-11-20T08:00:00Z",',
            '"partition":null,"offset":null}'),
        line = 'asked', concat('{"attempt":0,"answered":true,"stop_reason":"end_turn","request_id":"', id('request', n),
            '","prompt_sha256":"', repeat('a1', 32), '","input_tokens":', toString(900 + n % 400), ',"output_tokens":',
            toString(80 + n % 60), ',"cost_microusd":',
            toString(3000 + n % 4000), ',"unanswered_microusd":0,"latency_ms":', toString(700 + n % 900),
            ',"sent_at":"', formatDateTime(opened, '%Y-%m-%dT%H:%i:%SZ'), '","fallbacks":[],',
            '"prompt":"Event ticket.created of ticket-', toString(n), '\\\\n{\\\\"text\\\\":\\\\"Where is ', word,
            '? It should have come on Tuesday, and nobody answers.\\\\"}",',
            '"reply":"{\\\\"action\\\\":\\\\"respond\\\\",\\\\"parameters\\\\":{\\\\"text\\\\":\\\\"Your parcel ', word,
            ' leaves tomorrow.\\\\"},\\\\"reasoning\\\\":\\\\"The customer asks where ', id('why', n),
            ' is, and the order says that it was sent.\\\\"}"}'),
        line = 'decided', concat('{"kind":"respond","parameters":"{\\\\"text\\\\":\\\\"Your parcel ', word,
            ' leaves tomorrow.\\\\"}","reasoning":"The customer asks where ', id('why', n),
            ' is, and the order says that it was sent.","verdicts":[{"rule":"refund-cap","passed":',
            if(n % 200 = 0, 'false', 'true'), ',"reason":""}],',
            '"fallbacks":[],"prompt_sha256":"', repeat('a1', 32), '","reserved_microusd":20000,',
            '"disposition_reason":"","model_calls":1,"low_confidence":false,"undecided":false,"unanswered_microusd":',
            toString(if(n % 500 = 0, 900, 0)), ',"baseline_s":360,"baseline_microusd":3500000,',
            '"day_budget_microusd":25000000}'),
        line = 'approval', concat('{"verdict":"asked","payload_sha256":"', word,
            '","expires_at":"2026-12-20T08:00:00Z","parameters":"{\\\\"amount\\\\":39.9}","reasoning":"',
            id('why', n), '","others":[],"changes":0}'),
        line = 'control', '{"order":"pause","issued_by":"ada","would":null,"applies_to":null}',
        line = 'answer', '{"verdict":"reject","person":"ada","counts":true,"reason":""}',
        line = 'acted', concat('{"outcomes":[{"step_id":"', id('step', n),
            '","position":0,"handler":"', if(reminds, 'remind', 'reply.send'), '","status":"',
            if(n % 50 = 1, 'failed', 'done'), '","result":"{\\\\"id\\\\":', toString(n), if(reminds, concat(
                ',\\\\"due_at\\\\":\\\\"', formatDateTime(opened + INTERVAL 7 DAY, '%Y-%m-%dT%H:%i:%SZ'),
                '\\\\",\\\\"timer_id\\\\":\\\\"', word, '\\\\",\\\\"type\\\\":\\\\"ticket.followup\\\\"'), ''),
            '}","error":null,"attempts":', if(reminds, '0', '1'), ',"started_at":"',
            formatDateTime(opened, '%Y-%m-%dT%H:%i:%SZ'), '","latency_ms":', toString(20 + n % 200),
            ',"from_cache":false}]}'),
        concat('{"dead_letter_id":"', word, '","stage":"act","topic":"act","partition":0,"offset":', toString(n),
            ',"timestamp_ms":1764485000000,"error":"TimeoutError","message":"the help desk did not answer",',
            '"traceback":"","program_version":"0.2.0","time":"2026-11-20T08:00:00Z","attempts":1}')),
    opened, 'nightdesk.audit', n % 6, n
FROM (SELECT number AS n FROM numbers({first:UInt64}, {count:UInt64}))
SETTINGS max_insert_block_size = 1000000, max_partitions_per_insert_block = 0
"""


def generate(
    client: Client,
    cases: int,
    end: datetime,
    span_s: int,
    tell: Callable[[str], None] = lambda line: None,
    asked_every: int = 1,
) -> None:
    """Insert the records of so many cases, the last of them opened at `end`."""
    for first in range(0, cases, CASES_PER_INSERT):
        tell(f"  {first:,} of {cases:,} cases")
        given = {"first": first, "count": min(CASES_PER_INSERT, cases - first), "cases": cases}
        given |= {"asked_every": asked_every}
        client.command(_INSERT, parameters={**given, "end": end, "span_s": span_s, "agent": AGENT})


def age_hours(client: Client) -> None:
    """As if an hour had passed since the last record came and the last hour was counted."""
    earlier = ", ".join(f"{name} = {name} - INTERVAL 1 HOUR" for name in ("touched_at", "counted_at"))
    client.command(f"ALTER TABLE hour_states UPDATE {earlier} WHERE true SETTINGS mutations_sync = 1")


def asked_of(client: Client, cases: int, end: datetime) -> Asked:
    """The parameters for a decision from the middle of the span."""
    (row,) = client.query(
        "SELECT subject, event_id, case_id, decision_id, hour FROM decisions WHERE event_id = {event:String}",
        parameters={"event": f"evt-{cases // 4 * 2 + 1}"},
    ).result_rows
    return Asked(end, AGENT, *row)


def audit_records(count: int, batch: int, at: datetime) -> list[AuditRecord]:
    """A batch of decisions as the sink decodes them, all of the same time; each batch has others."""
    return [_decided(f"{batch}-{number}", at) for number in range(count)]


def _decided(name: str, at: datetime) -> AuditRecord:
    case_id = ids.case_id(AGENT, "shop/helpdesk", name, name)
    detail = DecisionDetail(
        kind="respond",
        parameters=f'{{"text":"Your parcel {case_id} leaves tomorrow."}}',
        reasoning=f"The customer asks where {name} is, and the order says that it was sent.",
        verdicts=(Verdict(rule="refund-cap", passed=True),),
        fallbacks=(),
        prompt_sha256="a1" * 32,
        reserved_microusd=20_000,
    )
    return AuditRecord(
        record_id=ids.record_id("decided", case_id),
        kind="decided",
        time=at,
        subject=f"ticket-{name}",
        event_id=name,
        event_source="shop/helpdesk",
        event_type="ticket.created",
        case_id=case_id,
        agent=AGENT,
        charter_version="cbe5d3a27f9b9a68",
        decision_id=ids.decision_id(case_id, 0),
        action="respond",
        confidence=0.93,
        disposition="execute",
        status="running",
        provider="anthropic",
        model="claude-sonnet-5-5",
        input_tokens=1100,
        output_tokens=110,
        cost_microusd=4200,
        latency_ms=900,
        detail=detail.model_dump_json(),
        case_at=at,
    )
