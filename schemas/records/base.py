"""What all records have in common."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from nightdesk.schemas import upcasters

# Any client can write any number: a record with a number that would give back money or room is invalid.
Count = Annotated[int, Field(ge=0)]


class Record(BaseModel):
    """Base of all records: frozen, and without fields that the schema does not have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # Only where an upcaster exists, because a Python validator costs time for every record.
        schema, mine = handler(source), upcasters.upcasters_of(cls.__name__)
        if not mine:
            return schema
        return core_schema.no_info_before_validator_function(lambda fields: upcasters.lift_all(mine, fields), schema)
