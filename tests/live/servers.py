"""Real servers that alerts go through: Alertmanager with a receiver of its calls."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.live.lab import Namespace, program, wait_for
from tests.unit.sensor.alerts.receivers import OK, Server, answers

ALERTS = 9093  # its port


class Alertmanager:
    """A real Alertmanager, and what it calls."""

    def __init__(self, namespace: Namespace, receiver: Server) -> None:
        self.namespace, self.receiver = namespace, receiver

    def alerts(self) -> list[dict[str, Any]]:
        """What it shows as active."""
        with (
            self.namespace.entered(),
            urllib.request.urlopen(f"http://127.0.0.1:{ALERTS}/api/v2/alerts", timeout=5) as answer,
        ):
            shown: list[dict[str, Any]] = json.load(answer)
            return shown

    def told(self) -> list[tuple[str, dict[str, str]]]:
        """State and labels of every alert that it told its receiver."""
        bodies = [request.partition(b"\r\n\r\n")[2] for request in self.receiver.got]  # a connection may bring none
        alerts = [alert for body in bodies if body for alert in json.loads(body)["alerts"]]
        return [(alert["status"], alert["labels"]) for alert in alerts]

    def called(self) -> list[tuple[str, str]]:
        """State and finding of every alert that it told its receiver."""
        return [(status, labels["finding"]) for status, labels in self.told()]


def listening(namespace: Namespace, port: int) -> bool:
    """Whether somebody takes connections at a port."""
    try:
        with namespace.entered(), socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


@contextmanager
def running_alertmanager(
    namespace: Namespace, folder: Path, *group_by: str, resolve_timeout: str = "3s"
) -> Iterator[Alertmanager]:
    """Run Alertmanager while the block lasts; it calls at once, for each group of alerts."""
    with ExitStack() as stack:
        with namespace.entered():
            receiver = Server(answers(OK))

        def stop() -> None:
            with namespace.entered():
                receiver.stop()

        stack.callback(stop)
        hook = {"url": f"http://127.0.0.1:{receiver.port}/", "send_resolved": True}
        route = {"receiver": "hook", "group_by": list(group_by), "group_wait": "100ms", "group_interval": "500ms"}
        settings = {
            "global": {"resolve_timeout": resolve_timeout},
            "route": route,
            "receivers": [{"name": "hook", "webhook_configs": [hook]}],
        }
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(settings))
        command = (
            "prometheus-alertmanager",
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{ALERTS}",
            "--cluster.listen-address=",
        )
        stack.enter_context(program(namespace.command(*command), folder / "alertmanager.txt"))
        wait_for(lambda: listening(namespace, ALERTS), "Alertmanager listens")
        yield Alertmanager(namespace, receiver)
