"""Where the tables of a stage are kept, by the settings of the worker."""

from pathlib import Path

from nightdesk.messaging.clients import ClientConfig
from nightdesk.messaging.failures import Failure
from nightdesk.streams.runtime.state.changelog_ends import BrokerChangelogs
from nightdesk.streams.runtime.state.local_state import LocalState
from nightdesk.streams.runtime.state.state_folder import FolderInUse, StateFolder


def local_state(folder: Path | None, cache_bytes: int, client_config: ClientConfig) -> LocalState | None:
    """The tables in the folder; None if they are in memory. Raises `Failure` for a folder that cannot be used."""
    if folder is None:
        return None
    try:
        return LocalState(StateFolder(folder, cache_bytes), BrokerChangelogs(client_config))
    except FolderInUse as error:
        remedy = "Give each worker of a stage a folder of its own (NIGHTDESK_WORKER__STATE_DIR)"
        raise Failure(str(error), remedy) from error
    except OSError as error:
        remedy = "Make the folder writable, or name another one (NIGHTDESK_WORKER__STATE_DIR)"
        raise Failure(f"the local state in {folder} cannot be used: {error.strerror}", remedy) from error
