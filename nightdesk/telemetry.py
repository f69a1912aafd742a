"""Exports the spans of a worker by OTLP, if the settings name a collector.

Traces are best effort, as everywhere: what the collector does not take in time is dropped, and logged. The audit in
ClickHouse is what is complete.
"""

from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from nightdesk import __version__
from nightdesk.schemas.records import AuditRecord
from nightdesk.schemas.trace_context import nanoseconds
from nightdesk.settings_sections import OtlpSettings
from nightdesk.streams.audit_spans import Span, spans
from nightdesk.streams.identity import Identity

EXPORT_TIMEOUT_S = 10
WAITING_SPANS_AT_MOST = 8192

_KINDS = {"consumer": SpanKind.CONSUMER, "internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT}
_SCOPE = InstrumentationScope("nightdesk", __version__)


class SpanExport:
    """Sends spans from a thread of its own, in batches."""

    def __init__(self, settings: OtlpSettings, me: Identity) -> None:
        headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        exporter = OTLPSpanExporter(
            f"{settings.endpoint.rstrip('/')}/v1/traces", headers=headers, timeout=EXPORT_TIMEOUT_S
        )
        self._batches = BatchSpanProcessor(exporter, max_queue_size=WAITING_SPANS_AT_MOST)
        self._resource = Resource(
            {
                "service.namespace": "nightdesk",
                "service.name": f"nightdesk-{me.stage}",
                "service.instance.id": me.instance_id,
                "service.version": __version__,
            }
        )

    def audited(self, records: Sequence[AuditRecord]) -> None:
        """Export the spans of audit records that are durable. Never waits."""
        for record in records:
            for span in spans(record):
                self._batches.on_end(_readable(span, self._resource))

    def close(self) -> None:
        """Send what waits, for at most `EXPORT_TIMEOUT_S`."""
        self._batches.force_flush(EXPORT_TIMEOUT_S * 1000)
        self._batches.shutdown()  # type: ignore[no-untyped-call]  # the SDK does not annotate it


def _readable(span: Span, resource: Resource) -> ReadableSpan:
    return ReadableSpan(
        span.name,
        context=_context(span.context.trace_id, span.context.span_id),
        parent=_context(span.context.trace_id, span.parent_id) if span.parent_id else None,
        resource=resource,
        attributes=span.attributes,
        kind=_KINDS[span.kind],
        instrumentation_scope=_SCOPE,
        status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
        start_time=nanoseconds(span.started_at),
        end_time=nanoseconds(span.ended_at),
    )


def _context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
