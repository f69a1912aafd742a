"""What an audit record of kind `outage` says beyond the fields that all of them have (`schemas/audit.py`)."""

from datetime import datetime

from pydantic import Field

from nightdesk.schemas.audit import Detail


class OutageDetail(Detail):
    """A system that does not answer, or answers again."""

    stage: str = Field(description="stage that calls the system: decide a model provider, act a connection")
    system: str = Field(description="the model provider, or the connection of the settings")
    cause: str = Field(default="", description="kind of the failure that opened the circuit, if the stage knows one")
    since: datetime = Field(description="when the circuit opened")
    is_over: bool = Field(description="whether the system answers again")
