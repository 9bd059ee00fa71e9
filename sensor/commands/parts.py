"""The parts of the daemon that a configuration asks for, each made or refused with what the operator can do."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry

from sensor.alerts.build import deliveries
from sensor.alerts.delivery import Counts, Delivery
from sensor.capture import CaptureError
from sensor.capture.clock import Clock
from sensor.commands import OperatorError
from sensor.commands.pipeline import Pipeline
from sensor.commands.record import Record
from sensor.config.schema import STDOUT, Config
from sensor.confine.descriptors import Packets
from sensor.confine.landlock import keep_to
from sensor.confine.paths import readable, writable
from sensor.evidence import EvidenceCapture
from sensor.evidence.tap import Tap
from sensor.identities import Pseudonyms
from sensor.ledger.layout import DIRECTORY_MODE
from sensor.ledger.ledger import Keeping, Ledger
from sensor.ledger.writer import Writer
from sensor.output.events import Events
from sensor.output.http import Server
from sensor.output.metrics import SinkState
from sensor.output.status_socket import StatusSocket, socket_path
from sensor.readiness import Condition
from sensor.state.directory import StateError, state_directory
from sensor.state.findings import FindingsFile
from sensor.state.memory import Memory
from sensor.state.outbox import Outbox


def make_memory(config: Config, names: Pseudonyms) -> Memory | None:
    """Return what the sensor remembers, None without a state directory."""
    try:
        directory = state_directory(config.state.directory)
        if directory is None:
            return None
        return Memory(directory, names, config.privacy.rotate_days)
    except StateError as error:
        raise OperatorError(str(error)) from None


def make_outbox(config: Config, events: Events) -> Outbox | None:
    """Return what writes findings down before they are told, None without a state directory."""
    try:
        directory = state_directory(config.state.directory)
        if directory is None:
            return None
        return Outbox(FindingsFile(directory, config.privacy.addresses), events, STDOUT, events.say)
    except StateError as error:
        raise OperatorError(str(error)) from None


def make_deliveries(config: Config, name: str, events: Events, outbox: Outbox | None) -> list[Delivery]:
    """Return a delivery for each sink, with what waits for it on disk."""
    try:
        made = deliveries(config.sinks, None if outbox is None else outbox.shelf, name, say=events.say)
    except OSError as error:
        raise OperatorError(f"sinks: {error}") from None
    if outbox is not None:
        outbox.deliver_to(made)
    return made


def sink_state(counts: Counts) -> SinkState:
    """Return what metrics say of a sink."""
    waiting, dropped = counts.queued + counts.spooled, sum(counts.dropped.values())
    return SinkState(counts.delivered, dropped, counts.retries, waiting, counts.up, counts.last_delivery)


def make_evidence(interface: str, config: Config, packets: Packets) -> EvidenceCapture | None:
    """Return what keeps headers of packets, None where that is not asked for. Raises CaptureError."""
    directory = config.evidence.directory
    if directory is None:
        return None
    try:
        tap = Tap(interface, packets.take())
    except OSError as error:
        raise CaptureError(f"evidence: {error.strerror}") from None
    return EvidenceCapture(tap, config.evidence, directory, base_filter=config.capture.filter)


def make_record(config: Config, pipeline: Pipeline) -> Record | None:
    """Return what writes the ledger, None where there is none."""
    settings = config.ledger
    if settings.directory is None or settings.key_file is None:
        return None
    directory = Path(settings.directory)
    try:
        directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)  # before it is all that can be written
    except OSError as error:
        raise OperatorError(f"ledger: {directory}: cannot be made: {error.strerror}") from None
    former = None if settings.former_key_file is None else settings.former_key_file.content
    writer = Writer(directory, settings.key_file.content, origin_name=f"legwatch/{config.site}", former=former)
    keeping = Keeping(settings.keep_days, settings.budget_gib << 30, Clock.synchronised)
    return Record(Ledger(writer, keeping), pipeline, config)


def make_status(
    config: Config,
    make: Callable[[], dict[str, object]],
    conditions: Callable[[], tuple[Condition, ...]],
    wake: threading.Event,
) -> StatusSocket | None:
    """Return where the status is asked for, None where nowhere."""
    path = socket_path(config.status.socket)
    try:
        return StatusSocket(path, make, conditions, wake) if path else None
    except OSError as error:
        reason = "another sensor answers there" if error.errno == errno.EADDRINUSE else error.strerror or error
        raise OperatorError(f"{path}: {reason}; status.socket in the configuration names another path") from None


def confine(config: Config, file: str | None) -> int:
    """Keep this process to its files; return the kernel's version of Landlock, 0 where it has none."""
    try:
        return keep_to(readable(config, file), writable(config, state_directory(config.state.directory)))
    except (OSError, StateError) as error:
        raise OperatorError(str(error)) from None


def make_server(
    config: Config,
    registry: CollectorRegistry,
    healthy: Callable[[], bool],
    conditions: Callable[[], tuple[Condition, ...]],
) -> Server:
    """Return the server of metrics and health, bound and not started."""
    listen, file = config.metrics.listen, config.metrics.web_config_file
    web = file.config if file else None
    try:
        return Server(listen.host, listen.port, registry, healthy=healthy, conditions=conditions, web=web)
    except OSError as error:
        raise OperatorError(
            f"{listen}: {error.strerror}; is legwatch running already? --listen names another address"
        ) from None
