"""The configuration, read again beside a sensor that runs: a file that is large, slow or never ends holds nothing up."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sensor.commands import OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.config.schema import Config


class Rereading(threading.Thread):
    """Calls ``read`` once; when ``over``, there is a ``config``, or else ``faults``, a line each."""

    def __init__(self, read: Callable[[], Config], over: threading.Event) -> None:
        super().__init__(name="configuration", daemon=True)
        self.config: Config | None = None
        self.faults = ["the configuration could not be read"]
        self._read = read
        self._over = over
        self.start()

    def run(self) -> None:
        """Read; wake whoever waits for the outcome."""
        try:
            self.config = self._read()
        except OperatorError as error:
            self.faults = str(error).splitlines()
        finally:
            self._over.set()
