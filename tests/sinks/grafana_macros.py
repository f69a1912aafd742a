"""What Grafana and its ClickHouse data source make of a query: macros and variables, as their documentation says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

_ALL = re.compile(r"\$__conditionalAll\(((?:[^()]|\([^()]*(?:\([^()]*\)[^()]*)*\))*), *\$agent\)")


def expanded(sql: str, since: datetime, until: datetime, agents: Sequence[str] = ()) -> str:
    """`sql` as it is sent for this time; without `agents` all are chosen. Raises `ValueError` if a macro is left."""
    found = _ALL.sub(r"\1" if agents else "1=1", sql)
    found = found.replace("${agent:singlequote}", ",".join(f"'{agent}'" for agent in agents))
    for name, moment in (("from", since), ("to", until)):
        found = found.replace(f"$__{name}Time", f"toDateTime({int(moment.timestamp())})")
    if "$" in found:
        raise ValueError(f"nothing is known of a macro or a variable in: {found}")
    return found
