"""For each alert what makes it fire, as series of promtool: `start+step x count`, a value each minute for two hours."""

from typing import Any

# A stage that is well, and an agent whose night is quiet: just within the thresholds. No alert fires.
QUIET = (
    'nightdesk_ready{stage="act"} 1x120',
    'nightdesk_paused{stage="act"} 0x120',
    'nightdesk_records_total{stage="act"} 0+100x120',
    'nightdesk_dead_letters_total{stage="act",topic="act",error="ValueError"} 3x120',
    'nightdesk_record_seconds_bucket{stage="act",le="60"} 0+100x120',
    'nightdesk_record_seconds_bucket{stage="act",le="300"} 0+100x120',
    'nightdesk_record_seconds_bucket{stage="act",le="+Inf"} 0+100x120',
    'nightdesk_lag_records{stage="act",topic="act"} 900x120',
    'nightdesk_cases_ended_total{agent="desk",status="completed"} 0+96x120',
    'nightdesk_cases_ended_total{agent="desk",status="escalated"} 0+4x120',
    'nightdesk_cases_ended_total{agent="rehearsal",status="dry_run"} 0+100x120',
    'nightdesk_model_cost_usd_total{agent="desk",provider="openai",model="small"} 0+0.5x120',
    'nightdesk_provider_fallbacks_total{agent="desk",provider="anthropic",reason="not_configured"} 0+100x120',
    'nightdesk_low_confidence_executed_total{agent="desk",action="refund"} 1x120',
    'nightdesk_approvals_total{agent="desk",verdict="asked"} 0+1x120',
    'nightdesk_quarantined_total{stage="act",topic="act"} 2x120',
    'nightdesk_agent_stopped{agent="desk"} 0x120',
    'nightdesk_unreadable_orders_total 0x120',
    'nightdesk_circuit_open{stage="act",outside="helpdesk"} 1x5 0x115',
    'nightdesk_route_failing_seconds{route="ops"} 0+60x29 0x90',
    'nightdesk_clock_offset_seconds{stage="act"} -0.9x120',
    'nightdesk_open_transaction_seconds{stage="act",topic="act",partition="0"} 59x120',
    'nightdesk_calls_waiting_for_orders 0x120',
    'nightdesk_sink_failures_total 2x120',
    'nightdesk_sink_lost_records_total 0x120',
)  # fmt: skip
# A counter that appears during the last hour, as that of something rare does.
APPEARS = "_x110 1x10"
# What has to be different from the quiet night, and what fires then.
FIRING: dict[str, tuple[str, ...]] = {
    "NightdeskCompletionLow": (
        'nightdesk_cases_ended_total{agent="desk",status="completed"} 0+90x120',
        'nightdesk_cases_ended_total{agent="desk",status="escalated"} 0+10x120',
    ),
    "NightdeskErrorsHigh": (
        # They began long ago, so they are no new dead letters of another error; and there are many of them.
        'nightdesk_dead_letters_total{stage="act",topic="act",error="ValueError"} 0+6x120',
    ),
    "NightdeskLatencyHigh": ('nightdesk_record_seconds_bucket{stage="act",le="60"} 0+94x120',),
    "NightdeskSpendSurge": (
        'nightdesk_model_cost_usd_total{agent="desk",provider="openai",model="small"} 0+0.01x60 1+1x60',
    ),
    "NightdeskCostPerCaseHigh": (
        'nightdesk_model_cost_usd_total{agent="desk",provider="openai",model="small"} 0+60x120',
    ),
    "NightdeskLowConfidenceExecuted": (
        f'nightdesk_low_confidence_executed_total{{agent="desk",action="reply"}} {APPEARS}',
    ),
    "NightdeskApprovalsAgeing": (f'nightdesk_approvals_total{{agent="desk",verdict="reminded"}} {APPEARS}',),
    "NightdeskDeadLetters": (f'nightdesk_dead_letters_total{{stage="act",topic="act",error="KeyError"}} {APPEARS}',),
    "NightdeskLag": ('nightdesk_lag_records{stage="act",topic="act"} 1001x120',),
    "NightdeskNothingMoves": ('nightdesk_records_total{stage="act"} 0+100x60 6000x60',),
    "NightdeskNotReady": ('nightdesk_ready{stage="act"} 0x120',),
    "NightdeskNothingScraped": ('nightdesk_ready{stage="act"} 1x60 _x60',),
    "NightdeskStagePaused": ('nightdesk_paused{stage="act"} 1x120',),
    "NightdeskAgentStopped": ('nightdesk_agent_stopped{agent="desk"} 1x120',),
    "NightdeskProviderFallback": (
        'nightdesk_provider_fallbacks_total{agent="desk",provider="anthropic",reason="overloaded"} 0+1x120',
    ),
    "NightdeskCharterUnreadable": ("nightdesk_unreadable_orders_total 1x120",),
    "NightdeskCircuitOpen": ('nightdesk_circuit_open{stage="act",outside="helpdesk"} 0x60 1x60',),
    "NightdeskRouteFails": ('nightdesk_route_failing_seconds{route="ops"} 0+60x120',),
    "NightdeskUndoFailed": (f'nightdesk_undos_failed_total{{agent="desk",handler="charge"}} {APPEARS}',),
    "NightdeskQuarantined": (f'nightdesk_quarantined_total{{stage="act",topic="approvals"}} {APPEARS}',),
    "NightdeskRecordsLost": ("nightdesk_sink_lost_records_total 0x110 7x10",),
    "NightdeskClockOff": ('nightdesk_clock_offset_seconds{stage="act"} -1.1x120',),
    "NightdeskOpenTransaction": (
        'nightdesk_open_transaction_seconds{stage="act",topic="act",partition="0"} 61x120',
    ),
    "NightdeskOrdersNotConfirmed": ("nightdesk_calls_waiting_for_orders 2x120",),
    "NightdeskSinkFails": ("nightdesk_sink_failures_total 0+1x120",),
    "NightdeskSinkBehind": ("nightdesk_sink_oldest_record_seconds 0+60x120",),
}  # fmt: skip
# An agent of a new charter: it has no day before, and its counter's first sample is no increase.
NEW_AGENT = 'nightdesk_model_cost_usd_total{agent="new",provider="openai",model="small"}'
# Further situations in which an alert fires.
ALSO_FIRING: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "NightdeskCompletionLow",
        (
            'nightdesk_cases_ended_total{agent="desk",status="escalated"} 0x120',
            'nightdesk_actions_total{agent="desk",action="refund",status="failed"} 0+10x120',
        ),
    ),
    (
        "NightdeskCompletionLow",
        (
            'nightdesk_cases_ended_total{agent="desk",status="escalated"} 0x120',
            'nightdesk_case_dead_letters_total{agent="desk",stage="decide"} 0+10x120',
        ),
    ),
    # At once, and steadily.
    ("NightdeskSpendSurge", (f'{NEW_AGENT} _x110 100x10',)),
    ("NightdeskSpendSurge", (f'{NEW_AGENT} _x60 0+1x60',)),
    # One of few records is a new dead letter, and no rate.
    ("NightdeskDeadLetters",
     ('nightdesk_records_total{stage="act"} 0+1x120',
      'nightdesk_dead_letters_total{stage="act",topic="act",error="ValueError"} 3x107 4x13')),
)  # fmt: skip
# Situations in which no alert fires.
SILENT: tuple[tuple[str, ...], ...] = (
    # A new agent that has spent little.
    (f'{NEW_AGENT} _x110 9x10',),
    # An agent that spends as before, in a process that began a minute ago.
    ('nightdesk_model_cost_usd_total{agent="desk",provider="openai",model="small",instance="b"} _x110 2+2x10',),
    # Nothing ended yet, or hardly anything, so there is no cost of a case.
    (f'{NEW_AGENT} _x60 0+0.1x60',
     'nightdesk_cases_ended_total{agent="new",status="completed"} 0x120'),
    (f'{NEW_AGENT} _x60 0+0.1x60',
     'nightdesk_cases_ended_total{agent="new",status="completed"} 0x60 1x60'),
)  # fmt: skip
# What fires with it: a dead letter that is one of many is also new.
ALSO = {"NightdeskErrorsHigh": {"NightdeskDeadLetters"}}


def promtool_tests(rules: str) -> dict[str, Any]:
    """The input of `promtool test rules`."""
    return {
        "rule_files": [rules],
        "evaluation_interval": "5m",
        "tests": [
            _test(QUIET, set()),
            *(
                _test(_changed(series), {alert, *ALSO.get(alert, ())})
                for alert, series in (*FIRING.items(), *ALSO_FIRING)
            ),
            *(_test(_changed(series), set()) for series in SILENT),
        ],
    }


def _changed(series: tuple[str, ...]) -> tuple[str, ...]:
    """The quiet night with these series in place of its own."""
    names = {each.split(" ")[0] for each in series}
    return (*(each for each in QUIET if each.split(" ")[0] not in names), *series)


def _test(series: tuple[str, ...], alerts: set[str]) -> dict[str, Any]:
    split = (each.split(" ", 1) for each in series)
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in split],
        "promql_expr_test": [
            {
                "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "120m",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(alerts)],
            }
        ],
    }
