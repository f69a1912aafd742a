"""A Faust app with the settings that the safety layer needs. Called by the stage.

Each setting that is not Faust's default has its reason in docs/decisions/0002-faust-settings.md.
"""

import ssl
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import faust
from faust.auth import SASLCredentials, SSLCredentials
from faust.types.auth import AuthProtocol, SASLMechanism

from streams.runtime.batches import travel_together
from streams.runtime.policy import WorkerPolicy
from streams.runtime.sensor import QuietMonitor

DAY_S = 86_400.0
# Of up to 200 records each; a partition is paused above it.
BATCHES_BUFFERED = 32


class App(faust.App):
    """A Faust app with tasks that begin with the loop. Those of `task` wait until the tables are recovered, which is
    too late for whoever has to end a recovery that takes for ever, or to tell it from a process that stands still.
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


def build(app_id: str, policy: WorkerPolicy) -> App:
    """The app; nothing connects before it starts."""
    app = App(
        app_id,
        broker=_broker_urls(policy.client_config),
        broker_credentials=_credentials(policy.client_config),
        consumer_group_instance_id=f"{app_id}-{policy.instance_id}",
        processing_guarantee="at_least_once",
        store="memory://",
        key_serializer="raw",
        value_serializer="raw",
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=8 * 1024 * 1024,
        broker_session_timeout=policy.session_timeout_s,
        broker_heartbeat_interval=min(3.0, policy.session_timeout_s / 5),
        broker_max_poll_interval=DAY_S,
        broker_rebalance_timeout=max(60.0, policy.session_timeout_s),
        broker_request_timeout=max(90.0, policy.session_timeout_s),
        stream_wait_empty=False,
        stream_buffer_maxsize=BATCHES_BUFFERED,
        stream_processing_timeout=DAY_S,
        stream_recovery_delay=0.0,
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=policy.partitions,
        broker_commit_livelock_soft_timeout=DAY_S,
        web_enabled=False,
        Monitor=QuietMonitor,
        # Nothing is kept there with memory://, but Faust makes the folder, and containers are read-only.
        datadir=str(Path(tempfile.gettempdir()) / app_id),
    )
    travel_together(app)
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
