from typing import Literal

from fastpath.block import PacketSource

class RingSource(PacketSource):
    def __init__(
        self,
        interface: str,
        *,
        descriptor: int = -1,
        bpf: bytes = b"",
        promiscuous: bool = True,
        ignore_outgoing: bool = False,
        blocks: int = 64,
        block_size: int = ...,
        retire_ms: int = 10,
        poll_ms: int = 200,
        fanout: tuple[int, bytes] | None = None,
    ) -> None: ...
    def wake(self) -> None: ...
    def stop(self) -> None: ...
    @property
    def interface(self) -> str: ...
    @property
    def packets(self) -> int: ...
    @property
    def fanout_group(self) -> int: ...
    @property
    def link(self) -> Literal["up", "down", "gone"]: ...
    @property
    def timestamps(self) -> Literal["hardware", "software"]: ...
    @property
    def kernel_packets(self) -> int: ...
    @property
    def kernel_drops(self) -> int: ...
    @property
    def error(self) -> str: ...
