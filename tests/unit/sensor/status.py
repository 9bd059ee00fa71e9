"""A sensor's status as tests show it: held against its schema, asked for by the socket as others ask."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from sensor.model import Protection
from sensor.output.board import Board
from sensor.output.metrics import Metrics
from sensor.output.status import Identity, status_object
from sensor.recent import Recent
from tests.unit.sensor import test_metrics

SCHEMAS = Path(__file__).parents[3] / "docs" / "schema"
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
    lately: Recent = field(default_factory=Recent)
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


def asked(path: Path, seconds: float = 5.0) -> Any:
    """Return what the socket says."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))  # waits for its turn
        client.settimeout(seconds)
        return json.loads(b"".join(iter(lambda: client.recv(65536), b"")))
