from collections.abc import Sequence

from fastpath.block import PacketSource
from fastpath.records import Record
from fastpath.verdict import Tables

REASON_NAMES: tuple[str, ...]
BASIS_NAMES: tuple[str, ...]

def shipped_tables() -> Tables: ...
def record_sizes() -> tuple[int, int]: ...
def thresholds() -> tuple[int, int]: ...
def basis_words(bits: int) -> tuple[str, ...]: ...

class Engine:
    def __init__(
        self,
        *,
        max_flows: int = ...,
        max_streams: int = ...,
        event_bytes: int = ...,
        stream_bytes: int = ...,
        max_hints: int = ...,
        call_headers: Sequence[str] = ...,
        max_dialogs: int = ...,
        media_idle_s: float = 30,
        flow_idle_s: float = 300,
        trace_flow: int = 0,
        every_message: bool = ...,
        secret: bytes | None = None,
        tables: Tables | None = None,
        share: Engine | None = None,
    ) -> None: ...
    @property
    def now_ns(self) -> int: ...
    def process(self, source: PacketSource, budget: int = ...) -> int: ...
    def advance(self, now_ns: int) -> None: ...
    def finish(self) -> bool: ...
    def hint(self, address: bytes, port: int, payload_type: int) -> str: ...
    def counters(self) -> dict[str, int]: ...
    def drain(self) -> list[Record]: ...
