"""What an offer and its answer agree on, m-line by m-line (RFC 3264 section 6)."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from sensor.model import Signalled

if TYPE_CHECKING:
    from fastpath.records import SdpCrypto, SdpMedia

MAX_LINES = 16  # m-lines of one SDP that are followed
MAX_CANDIDATES = 8  # further addresses of a line

End = tuple[str, int]  # address and port

# IANA's media types of an m-line (RFC 8866 section 8.2.2). Another token could be anything, a telephone number too.
_MEDIA = frozenset(("audio", "video", "text", "application", "message", "image"))
_OCTETS = frozenset(map(str, range(256)))
_UNSPECIFIED = ("", "0.0.0.0", "::")  # noqa: S104  (RFC 3264 section 8.4: no address, on hold as RFC 2543 wrote it)


class Keys(NamedTuple):
    """The SDES keys that an answer chose: what they are for, and digests in their place."""

    suite: str  # "" when it is not registered
    unprotected: tuple[str, ...]  # session parameters that take protection away (RFC 4568 section 6.3)
    offerer: int  # salted digest of the offerer's key; 0 when it was not seen
    answerer: int


class Line(NamedTuple):
    """One m-line of media: who sends where, and how it is to be protected."""

    media: str
    signalled: Signalled
    accepted: bool  # an answer was seen
    sdes: bool  # either side carried a=crypto
    offerer: End | None  # None: not seen, on hold with no address, or a host name
    answerer: End | None
    silent: bool = False  # on hold: nobody is to send
    fax: bool = False  # T.38 over UDPTL
    keys: Keys | None = None
    fingerprints: tuple[str, ...] = ()  # of both sides' certificates
    more: tuple[End, ...] = ()  # ICE candidates, RTCP on a port of its own


def lines(
    offer: tuple[SdpMedia, ...] | None, answer: tuple[SdpMedia, ...] | None, *, accepted: bool
) -> tuple[Line | None, ...]:
    """Return what is agreed for each m-line, None where it is refused or no media; None for a side that was not seen.

    An answer has the offer's m-lines in the offer's order (RFC 3264 section 6).
    """
    if offer is not None and answer is not None:
        pairs = list(zip(offer[:MAX_LINES], answer, strict=False))
        return tuple(_line(o, a, accepted=accepted, address=_address(o, a, pairs)) for o, a in pairs)
    if offer is not None:
        return tuple(_line(o, None, accepted=accepted) for o in offer[:MAX_LINES])
    return tuple(_line(None, a, accepted=accepted) for a in (answer or ())[:MAX_LINES])


def _address(offer: SdpMedia, answer: SdpMedia, pairs: list[tuple[SdpMedia, SdpMedia]]) -> SdpMedia:
    """Return the offer's line with whose address this one's media go: bundled, the first's (RFC 9143 section 7.3)."""
    if not (offer.bundle and answer.bundle):
        return offer
    return next(o for o, a in pairs if (o.bundle, a.bundle) == (offer.bundle, answer.bundle) and (o.port or o is offer))


def _line(
    offer: SdpMedia | None, answer: SdpMedia | None, *, accepted: bool, address: SdpMedia | None = None
) -> Line | None:
    last = answer or offer
    if last is None or _is_refused(last) or (offer is not None and _is_refused(offer)):
        return None
    media = last.media if last.media in _MEDIA else "other"
    fax = last.profile.lower() == "udptl"
    if not fax and "RTP/" not in last.profile:
        return None
    sides = (last,) if offer is None or offer is last else (offer, last)
    return Line(
        media,
        "clear" if fax else _signalled(offer or last, last),
        accepted,
        any(side.cryptos for side in sides),
        _end(address or offer),
        _end(answer),
        last.direction == "inactive" or last.address in _UNSPECIFIED,
        fax,
        _keys(offer, answer) if last.cryptos else None,
        tuple(print_ for side in sides for print_ in side.fingerprints),
        _more(sides) if any(side.candidates or side.rtcp_port for side in sides) else (),
    )


def _is_refused(side: SdpMedia) -> bool:
    """Port 0 refuses a line or ends it (RFC 3264 sections 6 and 8.2), unless another line's is offered for it."""
    return side.port == 0 and not side.bundle_only  # RFC 9143 section 6


def _end(side: SdpMedia | None) -> End | None:
    if side is None or side.port == 0 or side.address in _UNSPECIFIED or not _is_address(side.address):
        return None
    return side.address, side.port


def _more(sides: tuple[SdpMedia, ...]) -> tuple[End, ...]:
    ends = [end for side in sides for end in side.candidates[:MAX_CANDIDATES] if _is_address(end[0])]
    rtcp = ((side.rtcp_address or side.address, side.rtcp_port) for side in sides if side.rtcp_port)
    ends += [end for end in rtcp if _is_address(end[0])]
    return tuple(dict.fromkeys(ends))


@lru_cache(maxsize=4096)
def _is_address(text: str) -> bool:
    """Say whether it is an address; a host name is found in no packet, and may hold a user's name or number."""
    parts = text.split(".")
    if len(parts) == 4 and all(part in _OCTETS for part in parts):  # noqa: PLR2004  (ip_address takes ten times as long)
        return True
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # a zone (RFC 4007 section 11) is any text


def _keys(offer: SdpMedia | None, answer: SdpMedia | None) -> Keys | None:
    """Return what the answer's one a=crypto chose: the offer's of the same tag (RFC 4568 section 5.1.2)."""
    chosen = _chosen(answer) if answer is not None else None
    if answer is None or chosen is None:
        return None
    offered = next((crypto for crypto in offer.cryptos if crypto.tag == chosen.tag), None) if offer else None
    unprotected = dict.fromkeys(name for crypto in (chosen, offered) if crypto for name in _unprotected(crypto))
    return Keys(chosen.suite, tuple(unprotected), offered.key_digest if offered else 0, chosen.key_digest)


def _chosen(answer: SdpMedia) -> SdpCrypto | None:
    """Return the key that an answer sends with; capabilities in it are for later offers (RFC 5939 section 3.6.2)."""
    return next((crypto for crypto in answer.cryptos if not crypto.potential), None)


def _unprotected(crypto: SdpCrypto) -> list[str]:
    flags = (
        ("UNENCRYPTED_SRTP", crypto.unencrypted_srtp),
        ("UNENCRYPTED_SRTCP", crypto.unencrypted_srtcp),
        ("UNAUTHENTICATED_SRTP", crypto.unauthenticated_srtp),
    )
    return [name for name, is_set in flags if is_set]


def _signalled(offer: SdpMedia, answer: SdpMedia) -> Signalled:
    """Return what two sides agree on; the same one twice where only one was seen.

    The answer keeps the offer's profile (RFC 3264 section 6), or has that of the potential configuration that it chose
    (RFC 5939 section 3.6.2), so it tells.
    """
    crypto = bool(offer.cryptos and (offer is answer or _chosen(answer)))
    fingerprint = bool(offer.fingerprints and answer.fingerprints)
    zrtp = offer.zrtp_hash and answer.zrtp_hash  # RFC 6189 section 8.1
    if "SAVP" in answer.profile:
        if "TLS/" in answer.profile:  # RFC 5764 section 8
            return "srtp-dtls"
        if crypto:
            return "srtp-sdes"
        return "srtp-dtls" if fingerprint else "zrtp" if zrtp else "unknown"
    if crypto or fingerprint or (offer is answer and offer.potential_srtp):
        return "optional"  # RFC 8643, RFC 5939: SRTP if both ends can, RTP if not
    return "zrtp" if zrtp else "clear"
