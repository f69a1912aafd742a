"""ClickHouse's engine in a process of its own, whose only session has exactly the grants and row policies of one user.

The engine cannot create users, but it reads one from its configuration: so ClickHouse itself decides here, as on a
server, and not our check of the local stack.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar
from xml.sax.saxutils import escape

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from nightdesk.sinks.clickhouse.access import READER_CONSTRAINTS, Account, grants_of, row_filter, views_by_agent

DATABASE = "nightdesk"
# Whose rights the views have; `default` is the session's user.
DEFINER = "nightdesk_migrate"
OURS = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%View'"

T = TypeVar("T")


def as_user(folder: Path, account: Account, task: Callable[[Client], T]) -> T:
    """What `task`, a function of a module, gives for a client with the user's rights on the data in `folder`."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_run, folder, account, task).result()


def hand_views_over(client: Client) -> None:
    """Let the views have the rights of `DEFINER`, because here `default` is another user each time."""
    for (name,) in client.query(OURS).result_rows:
        client.command(f"ALTER TABLE `{name}` MODIFY SQL SECURITY DEFINER DEFINER = {DEFINER}")


def _run(folder: Path, account: Account, task: Callable[[Client], T]) -> T:
    users, config = folder / f"{account.name}-users.xml", folder / f"{account.name}-config.xml"
    users.write_text(_users(account), encoding="utf-8")
    config.write_text(f"<clickhouse><users_config>{escape(str(users))}</users_config></clickhouse>", encoding="utf-8")
    path = f"{folder / 'data'}?config-file={config}"
    with clickhouse_connect.get_client(interface="chdb", path=path) as client:
        if account.user == "migrate":
            client.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
        client.command(f"USE {DATABASE}")
        return task(client)


def _users(account: Account) -> str:
    filters = {view: row_filter(account) for view in views_by_agent()} if account.agents else {}
    policies = "".join(f"<{view}><filter>{escape(text)}</filter></{view}>" for view, text in filters.items())
    migrate = _granted(Account("migrate", DEFINER))
    profile = _profile() if account.user in ("reader", "viewer") else ""
    return f"""<clickhouse><profiles><default>{profile}</default></profiles><quotas><default/></quotas><users>
<default>{_SESSION}{_granted(account)}<databases><{DATABASE}>{policies}</{DATABASE}></databases></default>
<{DEFINER}>{_SESSION}{migrate}</{DEFINER}></users></clickhouse>"""


def _profile() -> str:
    values = "".join(f"<{one.name}>{one.value}</{one.name}>" for one in READER_CONSTRAINTS if one.value)
    constraints = "".join(
        f"<{one.name}><min>{one.least or 0}</min><max>{one.most}</max></{one.name}>" for one in READER_CONSTRAINTS
    )
    return f"<readonly>2</readonly>{values}<constraints>{constraints}</constraints>"


_SESSION = "<password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>"


def _granted(account: Account) -> str:
    rights = [grant.sql(DATABASE) for grant in grants_of(account)]
    if account.user == "migrate":
        rights += ["TABLE ENGINE ON *.*", "SET DEFINER ON *"]
    return f"<grants><query>GRANT {escape(', '.join(rights))}</query></grants>"
