from collections.abc import Iterable

class Tables:
    blob: bytes
    codecs: tuple[str, ...]
    def __init__(self, blob: bytes) -> None: ...

def judge_payloads(
    tables: Tables,
    payloads: Iterable[bytes],
    payload_type: int,
    *,
    same_frame: Iterable[int] = (),
    tail: int = -1,
    hint: str | None = None,
) -> list[tuple[float, str, bool, bool]]: ...
