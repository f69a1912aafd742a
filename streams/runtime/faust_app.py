"""A Faust app with the settings that the safety layer needs.

docs/decisions/0002-faust-settings.md has the reason of each setting that is not Faust's default.
"""

import importlib.metadata
import ssl
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import faust
from faust.auth import SASLCredentials, SSLCredentials
from faust.types.auth import AuthProtocol, SASLMechanism

from nightdesk.messaging.naming import member_id
from nightdesk.streams.runtime.consuming.batches import BatchConsumer, enable_batching
from nightdesk.streams.runtime.consuming.sensor import QuietMonitor
from nightdesk.streams.runtime.membership.coordinator import Membership
from nightdesk.streams.runtime.membership.lease import Lease
from nightdesk.streams.runtime.policy import WorkerPolicy

# The safety layer relies on the internals of this version; pyproject.toml pins it.
FAUST_VERSION = "0.15.3"
DAY_S = 86_400.0
# Of up to 200 records each; a partition is paused above it.
BATCHES_BUFFERED = 32


class WrongFaust(Exception):
    """The installed Faust is not the version that the safety layer was written and tested for."""


def check_version() -> None:
    """Raises `WrongFaust` if another version is installed, or if Faust's compiled stream iterator is missing.

    The iterator in pure Python acknowledges records that it skips (docs/decisions/0002-faust-settings.md).
    """
    installed = importlib.metadata.version("faust-streaming")
    if installed != FAUST_VERSION:
        raise WrongFaust(f"faust-streaming {installed} is installed, and the safety layer needs {FAUST_VERSION}")
    if faust.streams._CStreamIterator is None:  # type: ignore[attr-defined]  # private, and the only sign of it
        raise WrongFaust(f"faust-streaming {FAUST_VERSION} is installed without its compiled modules")


class App(faust.App):
    """A Faust app with tasks that start with the loop. Those of `task` wait until the tables are recovered, which is
    too late for a watchdog of the recovery itself.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._first_tasks: list[Callable[[], Coroutine[Any, Any, None]]] = []

    def begin_with(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start `task` before anything connects."""
        self._first_tasks.append(task)

    async def on_first_start(self) -> None:
        await super().on_first_start()
        for task in self._first_tasks:
            self.add_future(task())

    def on_rebalance_end(self) -> None:
        super().on_rebalance_end()
        assert isinstance(self.consumer, BatchConsumer), "`build` lets it consume in batches"
        self.consumer.on_rebalance_end()


def build(app_id: str, policy: WorkerPolicy, lease: Lease) -> App:
    """The app; nothing connects before it starts. Its consumer renews `lease`."""
    app = App(
        app_id,
        broker=_broker_urls(policy.client_config),
        broker_credentials=_credentials(policy.client_config),
        consumer_group_instance_id=member_id(app_id, policy.instance_id),
        processing_guarantee="at_least_once",
        store="memory://",
        key_serializer="raw",
        value_serializer="raw",
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=8 * 1024 * 1024,
        broker_session_timeout=policy.session_timeout_s,
        broker_heartbeat_interval=policy.heartbeat_interval_s,
        broker_max_poll_interval=DAY_S,
        broker_rebalance_timeout=policy.rebalance_timeout_s,
        broker_request_timeout=max(90.0, policy.session_timeout_s),
        stream_wait_empty=False,
        stream_buffer_maxsize=BATCHES_BUFFERED,
        stream_processing_timeout=DAY_S,
        # Before the first recovery; the stage removes the delay after that.
        stream_recovery_delay=policy.settle_s,
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=policy.partitions,
        broker_commit_livelock_soft_timeout=DAY_S,
        web_enabled=False,
        Monitor=QuietMonitor,
        # Nothing is stored there with memory://, but Faust creates the folder, and containers are read-only.
        datadir=str(Path(tempfile.gettempdir()) / app_id),
    )
    enable_batching(app, policy.client_config, Membership(lease, policy.instance_id))
    return app


def _broker_urls(config: Mapping[str, Any]) -> list[str]:
    return [f"kafka://{address.strip()}" for address in str(config["bootstrap.servers"]).split(",")]


def _credentials(config: Mapping[str, Any]) -> SASLCredentials | SSLCredentials | None:
    protocol = str(config.get("security.protocol", "PLAINTEXT")).upper()
    if protocol == "PLAINTEXT":
        return None
    context = ssl.create_default_context(cafile=config.get("ssl.ca.location")) if protocol.endswith("SSL") else None
    if not protocol.startswith("SASL"):
        return SSLCredentials(context)
    credentials = SASLCredentials(
        username=config.get("sasl.username"), password=config.get("sasl.password"), ssl_context=context
    )
    credentials.protocol = AuthProtocol(protocol)
    credentials.mechanism = SASLMechanism(config.get("sasl.mechanism", "PLAIN"))
    return credentials
