"""SIP and SDP text as phones and servers write it (RFC 3261, RFC 8866)."""

from __future__ import annotations

import hashlib
import random
import string
from collections.abc import Sequence
from dataclasses import dataclass

from .channels import Channel
from .media import Codec
from .wire import Endpoint, Host

_ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER, INFO, UPDATE, PRACK"
_EVENTS = "rtpmap:101 telephone-event/8000", "fmtp:101 0-16"  # RFC 4733
_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Party:
    """One end of a call: a phone's line, or a server on behalf of a line."""

    host: Host
    user: str
    name: str
    software: str  # User-Agent or Server
    media_port: int

    @property
    def media(self) -> Endpoint:
        """Where its RTP comes from and goes to."""
        return Endpoint(self.host, self.media_port)

    @property
    def control(self) -> Endpoint:
        """Where its RTCP comes from and goes to, when it has a port of its own (RFC 3550 section 11)."""
        return Endpoint(self.host, self.media_port + 1)


def token(rng: random.Random, length: int) -> str:
    """Return random letters and digits."""
    return "".join(rng.choices(_ALPHABET, k=length))


def session(
    party: Party, codecs: Sequence[Codec], profile: str, attributes: Sequence[str], rng: random.Random
) -> bytes:
    """Return an SDP body with one audio line.

    Args:
        party: whose address and port it names.
        codecs: in the order of preference.
        profile: of the media line, such as ``RTP/AVP``.
        attributes: further attributes of the media line, without ``a=``.
        rng: gives the session id.
    """
    formats = " ".join(str(codec.payload_type) for codec in codecs)
    maps = [f"rtpmap:{codec.payload_type} {codec.encoding}" for codec in codecs]
    lines = [
        "v=0",
        f"o=- {rng.randrange(10**8, 10**9)} 1 IN IP4 {party.host.ip}",
        "s=-",
        f"c=IN IP4 {party.host.ip}",
        "t=0 0",
        f"m=audio {party.media_port} {profile} {formats} 101",
        *(f"a={line}" for line in (*maps, *_EVENTS, "ptime:20", *attributes, "sendrecv")),
    ]
    return "".join(line + "\r\n" for line in lines).encode()


class Dialog:
    """The messages of one INVITE dialog; the caller is the client of the channel."""

    def __init__(self, caller: Party, callee: Party, channel: Channel, domain: str, rng: random.Random) -> None:
        """Choose Call-ID, tags and branches."""
        self._caller, self._callee, self._channel, self._rng = caller, callee, channel, rng
        self._call_id = f"{token(rng, 24)}@{caller.host.ip}"
        self._target = f"sip:{callee.user}@{domain}"
        self._from = f'"{caller.name}" <sip:{caller.user}@{domain}>;tag={token(rng, 10)}'
        self._to = f"<{self._target}>"
        self._to_tag = f";tag={token(rng, 10)}"
        self._invite_via = self._via()

    def invite(self, sdp: bytes) -> bytes:
        """Return the INVITE with the offer."""
        head = self._request("INVITE", self._target, self._invite_via, 1, self._to)
        return _message(
            [*head, f"Contact: {self._contact(self._caller, self._channel.client)}", f"Allow: {_ALLOW}"], sdp
        )

    def trying(self) -> bytes:
        """Return 100, the one response without a To tag (RFC 3261 section 8.2.6.2)."""
        return _message(self._response("100 Trying", self._invite_via, "1 INVITE", self._to))

    def response(self, status: str, sdp: bytes = b"") -> bytes:
        """Return a later response to the INVITE, such as ``180 Ringing``."""
        head = self._response(status, self._invite_via, "1 INVITE", self._to + self._to_tag)
        return _message([*head, f"Contact: {self._contact(self._callee, self._channel.server)}"], sdp)

    def ack(self) -> bytes:
        """Return the ACK of the final response."""
        return _message(self._request("ACK", self._remote(), self._via(), 1, self._to + self._to_tag))

    def bye(self) -> tuple[bytes, bytes]:
        """Return the caller's BYE and the 200 to it."""
        via, to = self._via(), self._to + self._to_tag
        return (
            _message(self._request("BYE", self._remote(), via, 2, to)),
            _message(self._response("200 OK", via, "2 BYE", to)),
        )

    def _request(self, method: str, uri: str, via: str, cseq: int, to: str) -> list[str]:
        return [
            f"{method} {uri} SIP/2.0",
            f"Via: {via}",
            "Max-Forwards: 70",
            *self._common(f"{cseq} {method}", to),
            f"User-Agent: {self._caller.software}",
        ]

    def _response(self, status: str, via: str, cseq: str, to: str) -> list[str]:
        return [f"SIP/2.0 {status}", f"Via: {via}", *self._common(cseq, to), f"Server: {self._callee.software}"]

    def _common(self, cseq: str, to: str) -> list[str]:
        return [f"From: {self._from}", f"To: {to}", f"Call-ID: {self._call_id}", f"CSeq: {cseq}"]

    def _via(self) -> str:
        return _via(self._channel, self._rng)

    def _remote(self) -> str:
        return self._contact(self._callee, self._channel.server).strip("<>")

    def _contact(self, party: Party, end: Endpoint) -> str:
        return _contact(party, end, self._channel)


def registration(party: Party, channel: Channel, domain: str, rng: random.Random) -> list[tuple[bool, bytes]]:
    """Return REGISTER, its challenge, REGISTER with Digest credentials and 200, each with True when the phone sends it.

    The password is drawn at random and kept nowhere (RFC 8760 section 2, RFC 7616 section 3.4).
    """
    uri, aor = f"sip:{domain}", f"sip:{party.user}@{domain}"
    call_id, tag, to_tag = f"{token(rng, 24)}@{party.host.ip}", token(rng, 10), token(rng, 10)
    nonce, cnonce, password = token(rng, 32), token(rng, 16), token(rng, 20)
    ha1 = _md5(f"{party.user}:{domain}:{password}")
    answer = _md5(f"{ha1}:{nonce}:00000001:{cnonce}:auth:{_md5(f'REGISTER:{uri}')}")
    challenge = f'Digest realm="{domain}", nonce="{nonce}", algorithm=MD5, qop="auth"'
    credentials = (
        f'Digest username="{party.user}", realm="{domain}", nonce="{nonce}", uri="{uri}", '
        f'response="{answer}", algorithm=MD5, qop=auth, nc=00000001, cnonce="{cnonce}"'
    )
    contact = f"Contact: {_contact(party, channel.client, channel)};expires=3600"
    messages: list[tuple[bool, bytes]] = []
    for cseq, asked, status, answered in (
        (1, [], "401 Unauthorized", f"WWW-Authenticate: {challenge}"),
        (2, [f"Authorization: {credentials}"], "200 OK", contact),
    ):
        via = f"Via: {_via(channel, rng)}"
        common = [f"From: <{aor}>;tag={tag}", f"Call-ID: {call_id}", f"CSeq: {cseq} REGISTER"]
        request = [f"REGISTER {uri} SIP/2.0", via, "Max-Forwards: 70", *common, f"To: <{aor}>", contact, *asked]
        messages.append((True, _message([*request, f"User-Agent: {party.software}"])))
        messages.append((False, _message([f"SIP/2.0 {status}", via, *common, f"To: <{aor}>;tag={to_tag}", answered])))
    return messages


def _via(channel: Channel, rng: random.Random) -> str:
    client = channel.client
    return f"SIP/2.0/{channel.transport} {client.host.ip}:{client.port};rport;branch=z9hG4bK{token(rng, 16)}"


def _contact(party: Party, end: Endpoint, channel: Channel) -> str:
    parameter = {"UDP": "", "TLS": ";transport=tls", "WSS": ";transport=ws"}[channel.transport]
    return f"<sip:{party.user}@{end.host.ip}:{end.port}{parameter}>"


def _message(head: Sequence[str], body: bytes = b"") -> bytes:
    lines = [*head, *(["Content-Type: application/sdp"] if body else []), f"Content-Length: {len(body)}"]
    return "".join(line + "\r\n" for line in lines).encode() + b"\r\n" + body


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
