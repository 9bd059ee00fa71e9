"""A sensor's status as tests show it: held against its schema, asked for by the socket as others ask."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from sensor.calls.unprotected import InClear
from sensor.model import Protection, Subject
from sensor.output.board import Board
from sensor.output.metrics import LedgerState, Metrics, SinkState
from sensor.output.status import Identity, status_object
from sensor.output.status_socket import StatusSocket
from sensor.readiness import Condition, condition
from sensor.recent import Recent
from tests.unit.sensor import test_metrics
from tests.unit.sensor.samples import finding

SCHEMAS = Path(__file__).parents[3] / "docs" / "schema"
DEGRADED = (condition("one-way-mirror", "60 of 60 media flows"), condition("sink-down", "cannot be reached: siem"))
IDENTITY = Identity("1.2.3", "main", "span-1", "span0", 1_767_607_200.0)


def _schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    return schema


_OTHERS = Registry[Any]().with_resource(_schema("output")["$id"], Resource.from_contents(_schema("output")))
VALIDATOR = Draft202012Validator(_schema("status"), registry=_OTHERS)


@dataclass
class Sources(test_metrics.Sources):
    """What a status asks for, all of it at rest."""

    now: dict[Protection, int] = field(default_factory=dict)
    lately: Recent = field(default_factory=lambda: Recent(0.0))
    state: str = "up"

    def legs(self) -> dict[Protection, int]:
        return self.now

    def recent(self) -> Recent:
        return self.lately

    def link(self) -> str:
        return self.state


def status(
    sources: Sources | None = None, board: Board | None = None, metrics: Metrics | None = None
) -> dict[str, Any]:
    """Return the status as the socket gives it, by way of JSON."""
    sources = sources or Sources()
    made: dict[str, Any] = status_object(sources, IDENTITY, metrics or test_metrics.build(sources), board or Board())
    made = json.loads(json.dumps(made | {"age_s": 0.0}))
    VALIDATOR.validate(made)
    return made


def busy() -> dict[str, Any]:
    """Return the status of a sensor that has something of everything: degraded, legs of every kind, findings."""
    metrics, board = test_metrics.build(), Board()
    for number, (code, severity) in enumerate((("media-clear", "critical"), ("rtcp-clear", "medium"))):
        subject = Subject("leg", f"10.20.1.{number}", "203.0.113.5")
        found = finding(code=code, severity=severity, subject=subject, evidence=["250 packets\x1b[2J of PCMU in clear"])
        metrics.finding_changed(found, "opened")
        board.finding_changed(found, "opened")
    recent, counters = Recent(0.0), dict(test_metrics.COUNTERS)
    for second in range(61):
        counters = counters | {"received": second * 52_345, "octets": second * 52_345 * 200, "media_one_way": second}
        recent.look(counters, float(second))
    return status(
        Sources(
            now={"encrypted": 412, "clear": 17, "undetermined": 3, "not-observed": 9},
            clear={("voice", "outside"): InClear(12, 5)},
            given=counters,
            lately=recent,
            holding=DEGRADED,
            kept=LedgerState(211, 103_819, 3, 1, 1_204_211, 48 << 20, 12.5 * 86_400, 1.7676e9),
            ways={"stdout": SinkState(1230), "siem": SinkState(200, 1, 4, 37, up=False, last_s=1.7676e9)},
        ),
        board,
        metrics,
    )


def asked(path: Path, seconds: float = 5.0) -> Any:
    """Return what the socket says."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))  # waits for its turn
        client.settimeout(seconds)
        return json.loads(b"".join(iter(lambda: client.recv(65536), b"")))


class Loop:
    """A sensor's main loop that steps when it is woken, and otherwise ten times a second."""

    def __init__(self, path: Path) -> None:
        self.made = 0
        self.conditions: tuple[Condition, ...] = ()
        self.hangs = threading.Event()
        self.wake = threading.Event()
        self.status = status()
        self.socket = StatusSocket(str(path), self.make, lambda: self.conditions, self.wake)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self.run)

    def make(self) -> dict[str, Any]:
        self.made += 1
        return self.status | {"pid": self.made}

    def run(self) -> None:
        while not self._over.is_set():
            self.wake.wait(0.1)
            self.wake.clear()
            if not self.hangs.is_set():
                self.socket.step()

    def __enter__(self) -> Self:
        self._thread.start()
        self.socket.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.socket.stop()
        self._thread.join()
