"""Where tables lie: on one server, or as replicas on the servers of a cluster.

Migrations and views are written for one server. Only this module turns their text into the text for replicas: the name
of an engine with its place in Keeper, and the clause by which every server of the cluster executes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nightdesk.sinks.clickhouse.quoting import literal, quoted

_ENGINE = re.compile(r"\$\{replicated\}(?P<engine>\w*MergeTree)(?:\((?P<arguments>[^()]*)\))?")
# The statements that change definitions. ClickHouse itself copies rows, and their deletions, to the other replicas.
_NAME = r"(?:`[^`]+`|\w+)(?:\.(?:`[^`]+`|\w+))?"
_DEFINES = re.compile(
    rf"\A(?:--[^\n]*\n)*\s*(?:CREATE\s+(?:TABLE|MATERIALIZED\s+VIEW|DATABASE)\s+IF\s+NOT\s+EXISTS|CREATE\s+OR\s+REPLACE\s+VIEW"
    rf"|ALTER\s+TABLE|DROP\s+(?:TABLE|VIEW)\s+IF\s+EXISTS)\s+{_NAME}"
)
_PLAIN = re.compile(r"\A\s*(?:INSERT|SELECT)\b")


@dataclass(frozen=True, slots=True)
class Topology:
    """`cluster` is a name of ClickHouse's `remote_servers`. `path` and `replica` are the place of a replicated table in
    Keeper, with ClickHouse's macros; without a path it is the servers' default.
    """

    cluster: str = ""
    replicated: bool = False
    path: str = ""
    replica: str = "{replica}"

    @property
    def on_cluster(self) -> str:
        """The clause of a statement that every server of the cluster executes; empty without a cluster."""
        return f" ON CLUSTER {quoted(self.cluster)}" if self.cluster else ""

    def statement(self, text: str) -> str:
        """A statement of a migration or a view, for this topology.

        Raises `ValueError` for one of which it cannot be told whether it defines something.
        """
        return self._everywhere(_ENGINE.sub(self._engine, text))

    def _engine(self, found: re.Match[str]) -> str:
        given = [found["arguments"]] if found["arguments"] else []
        if not self.replicated:
            return f"{found['engine']}({given[0]})" if given else found["engine"]
        place = [literal(self.path), literal(self.replica)] if self.path else []
        arguments = ", ".join([*place, *given])
        return f"Replicated{found['engine']}({arguments})" if arguments else f"Replicated{found['engine']}"

    def _everywhere(self, text: str) -> str:
        if not self.cluster:
            return text
        if found := _DEFINES.match(text):
            return f"{found[0]}{self.on_cluster}{text[found.end() :]}"
        if _PLAIN.match(text):
            return text
        raise ValueError(f"it cannot be told whether every server has to execute this: {text[:60]}")


ONE_SERVER = Topology()
