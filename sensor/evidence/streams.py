"""Which headers are RTP's, told by what comes after one another: a single packet of anything else can look like it."""

from __future__ import annotations

from sensor.evidence.headers import Headers

MAX_STREAMS = 1024
MAX_DROPOUT = 100  # packets that may be missing in between


class Streams:
    """Remembers the sequence number of each source (RFC 3550 appendix A.1: two in order, and it is believed)."""

    def __init__(self) -> None:
        self._latest: dict[bytes, int] = {}  # the one that was heard last is the last

    def continues(self, frame: bytes, found: Headers) -> bool:
        """Say whether what looks like an RTP header goes on with a source of the same ends; remember it either way."""
        begin = found.octets
        ports, rtp = frame[begin - 8 : begin - 4], frame[begin : begin + found.rtp_octets]
        if not rtp:
            return False
        source, number = found.source + found.target + ports + rtp[8:12], int.from_bytes(rtp[2:4])
        former = self._latest.pop(source, None)
        self._latest[source] = number
        if len(self._latest) > MAX_STREAMS:
            del self._latest[next(iter(self._latest))]
        return former is not None and 0 < (number - former) & 0xFFFF <= MAX_DROPOUT
