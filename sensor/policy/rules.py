"""What is true by the policy now: pure functions from what was observed to claims, each with its evidence."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from sensor.findings import Claim
from sensor.model import Signalled, Subject
from sensor.policy.catalogue import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastpath.records import FlowKey, Verdict
    from sensor.config.schema import Policy
    from sensor.policy.segments import Required

NS = 1_000_000_000

# Agreed, these leave no room for clear media. "optional" does: RFC 8643 lets either end fall back to RTP.
PROMISES_SRTP: frozenset[Signalled] = frozenset(("srtp-sdes", "srtp-dtls", "zrtp"))

_PROMISE = {"srtp-sdes": "SRTP with SDES keys", "srtp-dtls": "DTLS-SRTP", "zrtp": "ZRTP"}
_BASIS = {"payload-structure": "payload structure", "tag-present": "authentication tag without encryption"}


class ClearMedia(NamedTuple):
    """Media of a leg that is in clear now, and what had been agreed for it."""

    verdict: Verdict
    since_ns: int  # when it, or what was agreed, became so
    signalled: Signalled
    accepted: bool  # the answer was seen
    keys_coming: bool  # a key exchange runs on the flow, or SRTP was signalled and no encrypted packet seen yet


def media(clear: ClearMedia, required: Required, policy: Policy, now_ns: int) -> list[Claim]:
    """Return the claims about a leg's clear media; none while its grace lasts."""
    if now_ns < grace_end(clear, policy):
        return []
    key = clear.verdict.key
    subject = pair("leg", key.a, key.b)
    evidence = media_evidence(clear.verdict)
    claims = []
    if required.media:
        claims.append(_claim("media-clear", policy, subject, required, evidence))
    if clear.accepted and clear.signalled in PROMISES_SRTP:
        evidence = f"{_PROMISE[clear.signalled]} was agreed, yet the packets show {evidence}"
        claims.append(_claim("media-clear-despite-srtp", policy, subject, required, evidence))
    return claims


def grace_end(clear: ClearMedia, policy: Policy) -> int:
    """Return the packet time from which clear media is a finding: at once unless keys are on their way."""
    return clear.since_ns + (int(policy.grace * NS) if clear.keys_coming else 0)


def media_evidence(verdict: Verdict) -> str:
    """Return what a verdict of "clear" rests on, in a sentence."""
    key = verdict.key
    source, target = _ends(key) if verdict.from_a else reversed(_ends(key))
    basis = " and ".join(_BASIS.get(word, word) for word in verdict.basis) or "clear media"
    codec = f"{verdict.codec} " if verdict.codec else ""
    packets = f"{verdict.packet} packet{'s' if verdict.packet != 1 else ''} ({verdict.elapsed_ns / NS:.2f} s)"
    # The bound is rounded up: the statement never claims more than was measured.
    bound = "" if verdict.log10_p is None else f": probability under encryption below 10^{_rounded_up(verdict.log10_p)}"
    return f"{codec}{basis} in {packets}{bound}; stream 0x{verdict.ssrc:08x} from {source} to {target}"


def signalling_clear(key: FlowKey, method: str, required: Required, policy: Policy) -> list[Claim]:
    """Return the claim that SIP was read between two hosts; ``method`` is that of the first message."""
    if not required.signalling:
        return []
    a, b = _ends(key)
    evidence = (
        f"SIP read in clear over {key.proto.upper()} between {a} and {b}; the first message was {_method(method)}"
    )
    return [_claim("signalling-clear", policy, pair("signalling", key.a, key.b), required, evidence)]


def sdes_key_exposed(
    key: FlowKey, message: str, suites: Sequence[str], required: Required, policy: Policy
) -> list[Claim]:
    """Return the claim that SRTP keys could be read between two hosts, in ``message`` ("INVITE", "200 to INVITE")."""
    if not required.media:
        return []
    a, b = _ends(key)
    listed = ", ".join(dict.fromkeys(suite if suite in _SUITES else "an unregistered suite" for suite in suites))
    evidence = f"a=crypto with {listed} readable in a SIP {message} over {key.proto.upper()} between {a} and {b}"
    return [_claim("sdes-key-exposed", policy, pair("signalling", key.a, key.b), required, evidence)]


def message_name(method: str, status: int) -> str:
    """Return "INVITE" for a request, "200 to INVITE" for a response."""
    return f"{status} to {_method(method)}" if status else _method(method)


def no_traffic(interface: str, silent_ns: int, policy: Policy) -> list[Claim]:
    """Return the claim that a watched interface is silent, once it has been for the policy's time."""
    if silent_ns < policy.no_traffic_after * NS:
        return []
    evidence = f"no packet on {interface} for more than {policy.no_traffic_after:g} s"
    return [_claim("sensor-no-traffic", policy, Subject("interface", name=interface), None, evidence)]


def loss(interface: str, lost: Mapping[str, int], policy: Policy) -> list[Claim]:
    """Return the claim that the sensor lost traffic: counts by the name of their counter, none when all are zero."""
    figures = ", ".join(f"{count} {name}" for name, count in lost.items() if count)
    if not figures:
        return []
    subject = Subject("sensor", name=interface)
    return [_claim("sensor-loss", policy, subject, None, f"lost: {figures}; the calls in it are not assessed")]


def pair(kind: str, a: str, b: str) -> Subject:
    """Return two hosts as a subject, the same whichever is named first."""
    return Subject(kind, a, b) if a <= b else Subject(kind, b, a)


def _claim(code: str, policy: Policy, subject: Subject, required: Required | None, evidence: str) -> Claim:
    entry = CATALOGUE[code]
    severity = policy.severities.get(code, entry.severity)
    return Claim(code, severity, subject, required.segments if required else (), evidence, entry.controls)


# Methods of RFC 3261 and its extensions. Another token could be anything, a telephone number too, and is not repeated.
_METHODS = frozenset(
    (
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "REGISTER",
        "OPTIONS",
        "PRACK",
        "SUBSCRIBE",
        "NOTIFY",
        "PUBLISH",
        "INFO",
        "REFER",
        "MESSAGE",
        "UPDATE",
    )
)

# IANA's SRTP crypto suites (RFC 4568, 5669, 6188, 7714). Another token could be a key put in the wrong place.
_SUITES = frozenset(
    (
        "AES_CM_128_HMAC_SHA1_80",
        "AES_CM_128_HMAC_SHA1_32",
        "F8_128_HMAC_SHA1_80",
        "SEED_CTR_128_HMAC_SHA1_80",
        "SEED_128_CCM_80",
        "SEED_128_GCM_96",
        "AES_192_CM_HMAC_SHA1_80",
        "AES_192_CM_HMAC_SHA1_32",
        "AES_256_CM_HMAC_SHA1_80",
        "AES_256_CM_HMAC_SHA1_32",
        "AEAD_AES_128_GCM",
        "AEAD_AES_256_GCM",
    )
)


def _method(method: str) -> str:
    return method if method in _METHODS else "extension method"


def _ends(key: FlowKey) -> tuple[str, str]:
    return _end(key.a, key.a_port), _end(key.b, key.b_port)


def _end(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _rounded_up(log10_p: float) -> str:
    return f"{ceil(max(log10_p, -1e6) * 10) / 10:.1f}"
