"""A JSON Schema of a charter made ready to run, within a bound of what validating may cost.

`compiled.py` compiles the schemas of triggers and actions; `examples.py` and `checks.py` use them when a charter is
read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from nightdesk.processors.charter.cost_levels import MAX_SCHEMA_COST, SchemaCosts
from nightdesk.processors.charter.json_schemas import validator_for
from nightdesk.processors.charter.schema_costs import costs_of
from nightdesk.processors.sizes import size_of, sizes_by_depth

MAX_PROBLEMS = 5
# Of the path and of the reason of each: both quote the data.
MAX_QUOTED_CHARACTERS = 200
# The library collects all mistakes before it returns the first one, which would take a fifth of a second.
MAX_COST_OF_REASONS = 20_000_000


@dataclass(frozen=True, slots=True)
class CompiledSchema:
    """A JSON Schema's validator; None accepts everything. For data with too many possible mistakes it reports that they
    do not match, but not where. Data of up to `safe_size` elements can always be validated.
    """

    validator: jsonschema_rs.Validator | None
    costs: SchemaCosts
    safe_size: int

    def problems(self, value: Any, name: str) -> tuple[str, ...]:
        """The first few problems of `value`, each with its path; or the one problem that it is too large, and then it
        is not validated.
        """
        if self.validator is None:
            return ()
        if not self._is_affordable(value):
            return (f"{name}: is too large for its schema, which asks too much of each of so many elements",)
        if self.validator.is_valid(value):
            return ()
        if self.costs.is_recursive or self.costs.mistakes_cost(sizes_by_depth(value)) > MAX_COST_OF_REASONS:
            return (f"{name}: does not match its schema",)
        found: list[str] = []
        for error in self.validator.iter_errors(value):
            if len(found) == MAX_PROBLEMS:
                break
            where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
            found.append(f"{name}{where[:MAX_QUOTED_CHARACTERS]}: {error.message[:MAX_QUOTED_CHARACTERS]}")
        return tuple(found)

    def _is_affordable(self, value: Any) -> bool:
        if size_of(value, self.safe_size + 1) <= self.safe_size:
            return True
        return self.costs.cost(sizes_by_depth(value)) <= MAX_SCHEMA_COST


def compile_schema(schema: Mapping[str, Any] | None) -> CompiledSchema:
    """The validator of a JSON Schema, with what its checks may cost. Raises what `validator_for` raises."""
    if schema is None:
        return CompiledSchema(None, SchemaCosts(), 0)
    costs = costs_of(schema)
    return CompiledSchema(validator_for(schema), costs, 0 if costs.compares_numbers else costs.safe_size)
