from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastpath.verdict import Tables

def run(
    tables: Tables,
    keystream: bytearray,
    reached: npt.NDArray[np.int64],
    *,
    payload_type: int,
    lengths: Sequence[int],
    packets: int,
    frame_packets: int = ...,
    tail: int = ...,
    mki_octets: int = ...,
    mki_before: int = ...,
    epoch_packets: int = ...,
) -> int: ...
