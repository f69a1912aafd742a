-- One row for each hour, agent and type of event: how the cases of the hour ended, what they cost, and how
-- approvals ended.
--
-- Closed hours are read from the roll-up and open ones from the facts, so the answer is that of all records stored.
-- Which hours are open is asked once for both parts: an hour that changes meanwhile is in exactly one of them.
CREATE OR REPLACE VIEW hourly
(
    `hour`                    DateTime('UTC')        COMMENT 'hour in which the case was opened',
    `agent`                   LowCardinality(String) COMMENT 'name of the agent; empty where no record of the case names one',
    `event_type`              LowCardinality(String) COMMENT 'type of the event',
    `cases`                   UInt64                 COMMENT 'cases: those of all statuses together',
    `running`                 UInt64                 COMMENT 'cases that are worked on',
    `needs_approval`          UInt64                 COMMENT 'cases that wait for a person\'s answer',
    `deferred`                UInt64                 COMMENT 'cases that wait for room under a limit, for money or for a model',
    `waiting`                 UInt64                 COMMENT 'cases that wait for something else',
    `failed`                  UInt64                 COMMENT 'cases that failed, with those that have an open dead letter',
    `refused`                 UInt64                 COMMENT 'cases that a limit or the budget refused',
    `escalated`               UInt64                 COMMENT 'cases that a person got',
    `completed`               UInt64                 COMMENT 'cases whose action was executed',
    `dry_run`                 UInt64                 COMMENT 'cases that would have been executed',
    `decisions`               UInt64                 COMMENT 'decisions: one for each step of a case',
    `input_tokens`            Int64                  COMMENT 'tokens that models read',
    `output_tokens`           Int64                  COMMENT 'tokens that models wrote',
    `cost_microusd`           Int64                  COMMENT 'cost of the model calls, in millionths of a US dollar',
    `completed_cost_microusd` Int64                  COMMENT 'cost of the completed cases alone, in millionths of a US dollar',
    `case_ms`                 AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) COMMENT 'state: how long completed cases took from first to last record, in milliseconds. quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(case_ms) gives the quantiles',
    `asked`                   UInt64                 COMMENT 'decisions that a person was asked to approve',
    `approved`                UInt64                 COMMENT 'decisions that a person approved',
    `edited`                  UInt64                 COMMENT 'decisions that a person approved with other parameters',
    `rejected`                UInt64                 COMMENT 'decisions that a person rejected',
    `expired`                 UInt64                 COMMENT 'decisions that nobody answered in time',
    `reconsidered`            UInt64                 COMMENT 'decisions that a newer event took back',
    `unanswered_microusd`     Int64                  COMMENT 'part of the cost that is for calls without an answer: the most that they may have cost if nobody knows',
    `saved_s`                 Int64                  COMMENT 'time of people that completed cases saved, in seconds, by the baselines of their charters',
    `saved_microusd`          Int64                  COMMENT 'money that completed cases saved before the cost of models, in millionths of a US dollar',
    `open_approvals`          UInt64                 COMMENT 'decisions that wait for a person\'s answer'
)
AS WITH (SELECT groupArray(hour) FROM open_hours) AS still_open
SELECT
    hour, agent, event_type, cases, running, needs_approval, deferred, waiting, failed, refused, escalated,
    completed, dry_run, decisions, input_tokens, output_tokens, cost_microusd, completed_cost_microusd, case_ms,
    asked, approved, edited, rejected, expired, reconsidered,
    unanswered_microusd, saved_s, saved_microusd, open_approvals
FROM
(
    SELECT
        hour, agent, event_type, cases, running, needs_approval, deferred, waiting, failed, refused, escalated,
        completed, dry_run, decisions, input_tokens, output_tokens, cost_microusd, completed_cost_microusd, case_ms,
        asked, approved, edited, rejected, expired, reconsidered,
        unanswered_microusd, saved_s, saved_microusd, open_approvals
    FROM hourly_counts FINAL
    WHERE hour NOT IN (SELECT arrayJoin(still_open))
    UNION ALL
    SELECT
        hour, agent, event_type, cases, running, needs_approval, deferred, waiting, failed, refused, escalated,
        completed, dry_run, decisions, input_tokens, output_tokens, cost_microusd, completed_cost_microusd, case_ms,
        asked, approved, edited, rejected, expired, reconsidered,
        unanswered_microusd, saved_s, saved_microusd, open_approvals
    FROM hourly_recount
    WHERE hour IN (SELECT arrayJoin(still_open))
)
