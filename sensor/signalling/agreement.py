"""What an offer and its answer agree on, m-line by m-line (RFC 3264 section 6)."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from sensor.model import Signalled

if TYPE_CHECKING:
    from fastpath.records import SdpMedia

MAX_LINES = 16  # m-lines of one SDP that are followed

End = tuple[str, int]  # address and port

# IANA's media types of an m-line (RFC 8866 section 8.2.2). Another token could be anything, a telephone number too.
_MEDIA = frozenset(("audio", "video", "text", "application", "message", "image"))
_UNSPECIFIED = ("", "0.0.0.0", "::")  # noqa: S104  (RFC 3264 section 8.4: no address, on hold as RFC 2543 wrote it)


class Line(NamedTuple):
    """One m-line of RTP: who sends where, and how it is to be protected."""

    media: str
    signalled: Signalled
    accepted: bool  # an answer was seen
    sdes: bool  # either side carried a=crypto
    offerer: End | None  # None: not seen, on hold with no address, or a host name
    answerer: End | None


def lines(
    offer: tuple[SdpMedia, ...] | None, answer: tuple[SdpMedia, ...] | None, *, accepted: bool
) -> tuple[Line | None, ...]:
    """Return what is agreed for each m-line, None where it is refused or no RTP; None for a side that was not seen."""
    if offer is not None and answer is not None:
        # An answer has the offer's m-lines in the offer's order (RFC 3264 section 6).
        return tuple(_line(o, a, accepted=accepted) for o, a in zip(offer[:MAX_LINES], answer, strict=False))
    if offer is not None:
        return tuple(_line(o, None, accepted=accepted) for o in offer[:MAX_LINES])
    return tuple(_line(None, a, accepted=accepted) for a in (answer or ())[:MAX_LINES])


def _line(offer: SdpMedia | None, answer: SdpMedia | None, *, accepted: bool) -> Line | None:
    last = answer or offer
    # Port 0 refuses the m-line or ends it (RFC 3264 sections 6 and 8.2).
    if last is None or last.port == 0 or (offer is not None and offer.port == 0) or "RTP/" not in last.profile:
        return None
    sdes = bool(last.cryptos or (offer is not None and offer.cryptos))
    media = last.media if last.media in _MEDIA else "other"
    return Line(media, _signalled(offer or last, last), accepted, sdes, _end(offer), _end(answer))


def _end(side: SdpMedia | None) -> End | None:
    if side is None or side.address in _UNSPECIFIED or not _is_address(side.address):
        return None
    return side.address, side.port


@lru_cache(maxsize=4096)
def _is_address(text: str) -> bool:
    """Say whether it is an address; a host name is found in no packet, and may hold a user's name or number."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # a zone (RFC 4007 section 11) is any text


def _signalled(offer: SdpMedia, answer: SdpMedia) -> Signalled:
    """Return what two sides agree on; the same one twice where only one was seen.

    The answer keeps the offer's profile (RFC 3264 section 6), so either side tells it.
    """
    crypto = bool(offer.cryptos and answer.cryptos)
    fingerprint = bool(offer.fingerprint and answer.fingerprint)
    zrtp = offer.zrtp_hash and answer.zrtp_hash  # RFC 6189 section 8.1
    if "SAVP" in answer.profile:
        if "TLS/" in answer.profile:  # RFC 5764 section 8
            return "srtp-dtls"
        if crypto:
            return "srtp-sdes"
        return "srtp-dtls" if fingerprint else "zrtp" if zrtp else "unknown"
    if crypto or fingerprint:
        return "optional"  # RFC 8643: SRTP if both ends can, RTP if not
    return "zrtp" if zrtp else "clear"
