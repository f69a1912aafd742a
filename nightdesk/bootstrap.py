"""The only place that builds concrete things: from settings to a stage that can run.

Called by `nightdesk worker`. Nothing connects before `run_stage`.
"""

from __future__ import annotations

import faust
import mode.loop
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from effects.actions.outbound import Connection
from effects.llm.anthropic import AnthropicProvider
from effects.llm.chain import ProviderChain
from effects.llm.openai import Endpoint, OpenAIProvider
from effects.llm.protocol import Provider
from nightdesk import interpreter
from nightdesk.adapters import CharterActions, ProviderModels
from nightdesk.exits import ExitCode, Failure
from nightdesk.registered_codec import registered_codec
from nightdesk.settings import KafkaSettings, Settings
from schemas.codec import Codec
from streams import catalog
from streams.charters import Control, ControlFollower
from streams.runtime.policy import Clock, WorkerPolicy, system_clock
from streams.runtime.ratio import RatioPolicy
from streams.runtime.stage import Handlers, Stage
from streams.stages.act import Act
from streams.stages.budget import Budget
from streams.stages.circuits import Circuits
from streams.stages.decide import BREAKER, Decide
from streams.stages.ingest import Ingest
from streams.stages.later import Later

TIMEOUT_S = 10.0


def run_stage(name: str, settings: Settings) -> None:
    """Run a stage until SIGTERM. Raises `Failure` when something that it needs is not there."""
    check_topics(name, settings.kafka)
    mode.loop.use("uvloop")
    with registered_codec(settings) as codec:
        control = follow_control(settings, codec)
        stage = Stage(build_handlers(name, settings, control, system_clock), codec, worker_policy(settings))
        worker = faust.Worker(stage.app, loglevel="WARNING", override_logging=False, redirect_stdouts=False, quiet=True)
        interpreter.spare_the_collector()
        interpreter.take_long_turns()
        worker.execute_from_commandline()


def build_handlers(name: str, settings: Settings, control: Control, clock: Clock) -> Handlers:
    """What a stage does, with what it reaches out through."""
    if name == "ingest":
        return Ingest(control, clock)
    if name == "budget":
        return Budget(control, clock)
    if name == "decide":
        circuits = Circuits(name, BREAKER, clock)
        return Decide(control, ProviderModels(build_providers(settings, circuits)), clock, circuits)
    if name == "act":
        return Act(control, CharterActions(build_connections(settings)), clock)
    return Later(clock)


def build_providers(settings: Settings, circuits: Circuits) -> ProviderChain:
    """The model providers that have credentials or an address."""
    providers: list[Provider] = []
    calls = settings.worker.model_calls
    if settings.anthropic.api_key is not None:
        providers.append(AnthropicProvider(settings.anthropic.api_key, settings.anthropic.base_url, calls))
    if settings.openai.base_url is not None:
        providers.append(OpenAIProvider(Endpoint(settings.openai.base_url, settings.openai.api_key), calls))
    return ProviderChain(providers, circuits)


def build_connections(settings: Settings) -> dict[str, Connection]:
    """The outside systems that handlers may call."""
    return {
        name: Connection(
            connection.base_url,
            connection.token.get_secret_value() if connection.token else None,
            connection.allow_private,
            connection.rate,
        )
        for name, connection in settings.connections.items()
    }


def follow_control(settings: Settings, codec: Codec) -> Control:
    """Every order and charter so far, and those to come. Raises `Failure`."""
    control = Control()
    try:
        ControlFollower(settings.kafka.client_config(), settings.kafka.topic_prefix, codec, control).start()
    except TimeoutError as error:
        raise Failure(str(error), "Run `nightdesk topics apply`", ExitCode.UNREACHABLE) from error
    return control


def worker_policy(settings: Settings) -> WorkerPolicy:
    """The limits of one worker process."""
    worker = settings.worker
    return WorkerPolicy(
        client_config=settings.kafka.client_config(),
        topic_prefix=settings.kafka.topic_prefix,
        partitions=settings.kafka.partitions,
        instance_id=worker.instance_id,
        session_timeout_s=worker.session_timeout_s,
        in_flight=worker.in_flight,
        metrics_port=worker.metrics_port,
        dead_letters=RatioPolicy(at_most=worker.dead_letter_ratio),
    )


def check_topics(name: str, kafka: KafkaSettings) -> None:
    """Faust goes on without a changelog topic that is missing, and then nothing is remembered: so we do not begin."""
    stage = catalog.BY_NAME[name]
    needed = [kafka.topic_prefix + topic.name for topic in stage.topics]
    needed += stage.changelogs(kafka.topic_prefix)
    try:
        there = AdminClient(kafka.client_config()).list_topics(timeout=TIMEOUT_S).topics
    except KafkaException as error:
        raise Failure(
            f"Kafka at {kafka.bootstrap_servers} does not answer: {error}",
            "Start it, or correct NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS",
            ExitCode.UNREACHABLE,
        ) from error
    missing = [topic for topic in needed if topic not in there]
    if missing:
        raise Failure(f"topics are missing: {', '.join(missing)}", "Run `nightdesk topics apply`", ExitCode.NOT_READY)
    other = [topic for topic in needed if len(there[topic].partitions) != kafka.partitions]
    if other:
        raise Failure(
            f"not {kafka.partitions} partitions, as NIGHTDESK_KAFKA__PARTITIONS says: {', '.join(other)}",
            "All topics of an installation have the same number of partitions",
        )
