"""The detail of an audit record, for tests that know its kind."""

from nightdesk.schemas.audit import ActionDetail
from nightdesk.schemas.audit_kinds import Model, read
from nightdesk.schemas.records import AuditRecord, StepOutcome


def detail_as(model: type[Model], record: AuditRecord) -> Model:
    """The detail as `model`, which it must be."""
    detail = read(model, record.detail)
    assert detail is not None, f"the detail of {record.kind} {record.record_id} is no {model.__name__}: {record.detail}"
    return detail


def outcomes_of(record: AuditRecord) -> tuple[StepOutcome, ...]:
    """What an `acted` record says of each step."""
    return detail_as(ActionDetail, record).outcomes
