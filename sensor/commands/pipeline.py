"""What `scan`, `explain` and `run` have in common: an engine and an analysis as the configuration wants them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

from fastpath.engine import Engine
from sensor.analysis import Analysis
from sensor.commands.trust import system_roots
from sensor.config.schema import Config
from sensor.identities import Pseudonyms
from sensor.model import Sink
from sensor.output.veil import Veil

# Records come by the thousand and hold no cycles: with Python's own 700 a scan spends a twelfth of its time looking.
GC_THRESHOLD = 50_000
# Octets for records on their way: live they wait for a tenth of a second, and what finds no room is lost. A file waits.
LIVE_EVENTS = 1 << 25
FILE_EVENTS = 1 << 21
LEAST_TABLE = 16  # entries: what the configuration allows at least


class Pipeline:
    """Makes engines and analyses for one run; pseudonyms are the same in all of them."""

    def __init__(self, config: Config) -> None:
        gc.set_threshold(GC_THRESHOLD)
        self._config = config
        self.names = Pseudonyms(config.privacy.identities)

    def engine(
        self, *, trace_flow: int = 0, share: Engine | None = None, parts: int = 1, event_bytes: int = LIVE_EVENTS
    ) -> Engine:
        """Return a new engine; of the flow that it traces it says every packet.

        It may be one of several ``parts`` of a sensor, which divide its capacities; ``share`` is one made before.
        """
        limits = self._config.limits
        return Engine(
            max_flows=max(limits.flows // parts, LEAST_TABLE),
            max_streams=max(limits.streams // parts, LEAST_TABLE),
            media_idle_s=self._config.policy.media_idle,
            flow_idle_s=self._config.capture.flow_idle,
            call_headers=self._config.capture.call_headers,
            max_dialogs=max(limits.dialogues // parts, LEAST_TABLE),
            trace_flow=trace_flow,
            share=share,
            event_bytes=event_bytes,
        )

    def analysis(self, sinks: Sequence[Sink], interface: str = "", unveiled: Sequence[Sink] = ()) -> Analysis:
        """Return a new analysis that tells these sinks; ``interface`` is "" for a capture file.

        Those that are ``unveiled`` are told addresses whatever the configuration says: what they make stays here.
        """
        return Analysis(
            self._config.policy,
            (*self.veiled(sinks), *unveiled),
            limits=self._config.limits,
            interface=interface,
            pseudonym=self.names.of,
            roots=system_roots,
        )

    @property
    def host(self) -> Callable[[str], str]:
        """What is shown of an address, or of a range, as the configuration wants it."""
        return self.names.host if self._config.privacy.addresses == "pseudonym" else str

    def veiled(self, sinks: Sequence[Sink]) -> Sequence[Sink]:
        """Return sinks that pass on to these what may be shown of addresses."""
        return (Veil(sinks, self.names.host),) if self._config.privacy.addresses == "pseudonym" else sinks
