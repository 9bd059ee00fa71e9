"""SRTP and SRTCP (RFC 3711) by libsrtp."""

from __future__ import annotations

from pylibsrtp import Policy, Session

from .keys import MediaKeys
from .rtp import Datagram


def protect(conversation: list[Datagram], keys: MediaKeys) -> list[Datagram]:
    """Return the conversation as SRTP and SRTCP; every packet is opened again by a receiver and compared.

    Raises:
        ValueError: a receiver got something else.
        pylibsrtp.Error: libsrtp refuses a packet.
    """
    directions = {True: _Direction(keys.caller), False: _Direction(keys.callee)}
    return [
        datagram._replace(octets=directions[datagram.from_caller].protect(datagram.octets, is_rtcp=datagram.is_rtcp))
        for datagram in conversation
    ]


class _Direction:
    """The sender of one direction and its receiver."""

    def __init__(self, key: bytes) -> None:
        profile = Policy.SRTP_PROFILE_AES128_CM_SHA1_80
        self._sender = Session(Policy(key, Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile))
        self._receiver = Session(Policy(key, Policy.SSRC_ANY_INBOUND, srtp_profile=profile))

    def protect(self, packet: bytes, *, is_rtcp: bool) -> bytes:
        protected: bytes = self._sender.protect_rtcp(packet) if is_rtcp else self._sender.protect(packet)
        opened = self._receiver.unprotect_rtcp(protected) if is_rtcp else self._receiver.unprotect(protected)
        if opened != packet:
            raise ValueError("libsrtp returned another packet than was protected")
        return protected
