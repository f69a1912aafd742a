"""Builds a stage that can run from the settings. Nothing connects before `run_stage`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import faust
import mode.loop

from nightdesk import interpreter
from nightdesk.adapters import CharterActions, OutsideTopics, ProviderModels, RouteNotifier
from nightdesk.effects.channels.addresses import MailServer, RouteAddress
from nightdesk.effects.channels.http import PAGERDUTY
from nightdesk.effects.handlers.outbound import Connection
from nightdesk.effects.llm.chain import ProviderChain
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.operations.persons import KeyHolders
from nightdesk.schemas.codec import Codec
from nightdesk.settings import Settings, providers_configured
from nightdesk.settings_sections import RouteSettings
from nightdesk.start_checks import check_faust, check_topics, end_if_twin
from nightdesk.streams import catalog
from nightdesk.streams.api import Clock, Stage, system_clock
from nightdesk.streams.confirmation import Confirmation
from nightdesk.streams.control import Control
from nightdesk.streams.control_subscriber import ControlSubscriber
from nightdesk.streams.identity import Identity
from nightdesk.streams.ports import Actions, CircuitBreakers, Models, Notifier, Persons
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process.clock_watch import ClockWatch
from nightdesk.streams.runtime.process.ratio import RatioPolicy
from nightdesk.streams.runtime.stage_metrics import nowhere
from nightdesk.streams.runtime.stage_worker import StageWorker
from nightdesk.streams.starting_clock import confirm_clock
from nightdesk.streams.worker_reports import WorkerReports

if TYPE_CHECKING:
    from nightdesk.telemetry import SpanExport

TIMEOUT_S = 10.0


def run_stage(name: str, settings: Settings) -> None:
    """Run a stage until SIGTERM. Raises `Failure` if something that it needs is missing."""
    check_faust()
    ClockWatch().start()
    check_topics(name, settings.kafka)
    mode.loop.use("uvloop")
    with registered_codec(settings) as codec:
        policy = worker_policy(settings)
        me = Identity(name, policy.instance_id)
        end_if_twin(me, settings, codec)
        confirm_clock(me, policy, codec)
        control = follow_control(settings, codec)
        export = span_export(settings, me)
        handlers = build_handlers(name, settings, control, system_clock)
        stage = StageWorker(handlers, codec, policy, export.audited if export else nowhere)
        report_on(stage, WorkerReports(me, control, codec, policy), export)
        worker = faust.Worker(stage.app, loglevel="WARNING", override_logging=False, redirect_stdouts=False, quiet=True)
        interpreter.freeze_gc()
        interpreter.raise_switch_interval()
        worker.execute_from_commandline()


def span_export(settings: Settings, me: Identity) -> SpanExport | None:
    """What sends the spans of this process; None without a collector."""
    if not settings.otlp.endpoint:
        return None
    # Here, because OpenTelemetry takes half a second to import and most installations have no collector.
    from nightdesk.telemetry import SpanExport

    return SpanExport(settings.otlp, me)


def report_on(stage: StageWorker, reports: WorkerReports, export: SpanExport | None) -> None:
    """Let a stage say how it is from its first moment to its last, and send its last spans."""

    def stopped() -> None:
        reports.say_stopped()
        if export:
            export.close()

    stage.app.begin_with(lambda: reports.run(stage))
    stage.on_stopped = stopped


@dataclass(frozen=True, slots=True)
class Outside:
    """`streams.stage_spec.StageContext` from the settings. Nothing connects before it is used."""

    settings: Settings
    control: Control
    clock: Clock

    def models(self, circuits: CircuitBreakers) -> Models:
        return ProviderModels(build_providers(self.settings, circuits))

    def actions(self) -> Actions:
        policy = worker_policy(self.settings)
        topics = OutsideTopics(self.settings.outside_topics, policy.client_config, policy.delivery_timeout_s)
        return CharterActions(build_connections(self.settings), topics)

    def notifier(self) -> Notifier:
        return build_notifier(self.settings)

    def persons(self) -> Persons:
        return KeyHolders.of(self.settings.person)


def build_handlers(name: str, settings: Settings, control: Control, clock: Clock) -> Stage:
    """Build a stage with its ports. Raises `KeyError` for a name that is no stage's."""
    return catalog.BY_NAME[name].build(Outside(settings, control, clock))


def build_providers(settings: Settings, circuits: CircuitBreakers) -> ProviderChain:
    """The model providers that have credentials or an address."""
    calls = settings.worker.model_calls
    providers = [spec.build(section, calls) for spec, section in providers_configured(settings)]
    return ProviderChain(providers, circuits, calls)


def build_connections(settings: Settings) -> dict[str, Connection]:
    """The connections that handlers may call."""
    return {
        name: Connection(
            connection.base_url,
            connection.token.get_secret_value() if connection.token else None,
            connection.allow_private,
            connection.rate,
            connection.agents,
        )
        for name, connection in settings.connections.items()
    }


def build_notifier(settings: Settings) -> RouteNotifier:
    """The notifier for the routes of the settings. When it first sends, it raises `Failure` for a route that lacks a
    setting of its channel.
    """
    smtp, names = settings.smtp, settings.outside_topics
    # Without outside topics Kafka is not needed, so that `nightdesk notify test` runs anywhere.
    topics = OutsideTopics(names, settings.kafka.client_config() if names else {}, TIMEOUT_S)
    password = smtp.password.get_secret_value() if smtp.password else ""
    mail = MailServer(smtp.host, smtp.port, smtp.sender, smtp.user, password, smtp.tls)
    return RouteNotifier(
        {name: route.policy for name, route in settings.notify.items()},
        [_address(name, route) for name, route in settings.notify.items()],
        topics,
        mail if smtp.host and smtp.sender else None,
    )


def _address(name: str, route: RouteSettings) -> RouteAddress:
    default = PAGERDUTY if route.channel == "pagerduty" else ""
    return RouteAddress(
        name=name,
        channel=route.channel,
        url=route.url.get_secret_value() if route.url else default,
        token=route.token.get_secret_value() if route.token else "",
        to=route.addresses,
        topic=route.topic,
        allow_private=route.allow_private,
        buttons=route.buttons,
    )


def follow_control(settings: Settings, codec: Codec) -> Control:
    """Subscribe to all past and future orders and charters. Raises `Failure`."""
    control = Control(Confirmation(settings.worker.orders_confirmed_within_s))
    kafka, name = settings.kafka, settings.installation
    try:
        ControlSubscriber(kafka.client_config(), kafka.topic_prefix, codec, control, name).start()
    except TimeoutError as error:
        raise Failure(str(error), kind=FailureKind.UNREACHABLE) from error
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
        leaves_group=worker.leaves_group,
        in_flight=worker.in_flight,
        metrics_port=worker.metrics_port,
        metrics_host=worker.metrics_host,
        dead_letter_bytes=worker.dead_letter_bytes,
        oversized_dir=worker.oversized_dir,
        state_dir=worker.state_dir,
        state_cache_bytes=worker.state_cache_mb * 1024 * 1024,
        dead_letters=RatioPolicy(at_most=worker.dead_letter_ratio),
    )
