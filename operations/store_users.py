"""The users of the audit database: created with their rights, or shown as statements for an administrator."""

from __future__ import annotations

from nightdesk.operations.clickhouse import clickhouse
from nightdesk.sinks.clickhouse.access import Account, statements_for
from nightdesk.sinks.settings import ClickHouseSettings


def user_statements(settings: ClickHouseSettings) -> list[str]:
    """The statements that create the users of these settings. A user without a password is only granted its rights."""
    return statements_for(settings.database, settings.accounts(), settings.topology, settings.backup_destination.kind)


def apply_users(settings: ClickHouseSettings) -> list[Account]:
    """Create the users that have a login of their own and make their rights equal to this version's. Returns the users.

    Raises `Failure`, also if the administrator of the settings may not manage users.
    """
    accounts = [account for account in settings.accounts() if account.password]
    kind = settings.backup_destination.kind
    with clickhouse(settings, "admin", bound=False) as client:
        for statement in statements_for(settings.database, accounts, settings.topology, kind):
            client.command(statement)
    return accounts
