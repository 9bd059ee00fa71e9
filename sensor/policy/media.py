"""What is true by the policy of a leg's media: pure functions from what was observed to claims, with evidence."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sensor.findings import Claim
from sensor.model import Protection, Signalled
from sensor.policy.claims import NS, claim, end, pair
from sensor.policy.suites import SHORT_TAG, SHORT_TAG_SUITE, is_weak

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastpath.records import Control, FlowKey, Tones, Verdict
    from sensor.config.schema import Policy
    from sensor.policy.segments import Required

# Agreed, these leave no room for clear media. "optional" does: RFC 8643 lets either end fall back to RTP.
PROMISES_SRTP: frozenset[Signalled] = frozenset(("srtp-sdes", "srtp-dtls", "zrtp"))

_PROMISE = {"srtp-sdes": "SRTP with SDES keys", "srtp-dtls": "DTLS-SRTP", "zrtp": "ZRTP"}
_WAYS: dict[Signalled, str] = {"srtp-sdes": "sdes", "srtp-dtls": "dtls", "zrtp": "zrtp"}
_BASIS = {"payload-structure": "payload structure", "tag-present": "authentication tag without encryption"}

# RFC 5764 section 4.1.2
_NULL_PROFILES = {5: "SRTP_NULL_HMAC_SHA1_80", 6: "SRTP_NULL_HMAC_SHA1_32"}
_SHORT_TAG_PROFILES = {2: "SRTP_AES128_CM_HMAC_SHA1_32"}


class Encrypted(NamedTuple):
    """A stream that was called encrypted."""

    ts_ns: int
    packet: int
    sender: str
    grade: str
    tag: int | None  # octets of authentication tag and MKI, None: not known
    flow: int = 0
    payload_type: int = 0

    def is_weak(self) -> bool:
        """Say whether its tag has 32 bits."""
        return self.tag == SHORT_TAG


class Early(NamedTuple):
    """Packets of a stream in clear before the first encrypted one."""

    packets: int  # at least so many
    ns: int
    clear_ns: int  # packet time of the first

    @staticmethod
    def before(verdict: Verdict) -> Early:
        """Return what came before a stream's verdict of "encrypted".

        It counts only packets that are not behind that verdict, so a change told late makes no more of them.
        """
        packets = max(verdict.since_packet - 1, 0)
        begin_ns = verdict.ts_ns - verdict.elapsed_ns
        share = packets / (verdict.packet - 1) if verdict.packet > 1 else 0.0
        return Early(packets, int(verdict.elapsed_ns * share), begin_ns)


class Keys(Protocol):
    """The SDES keys that were chosen."""

    @property
    def suite(self) -> str:
        """The suite's name, "" when it is not registered."""

    @property
    def unprotected(self) -> tuple[str, ...]:
        """Session parameters that take protection away."""


class MediaFacts(NamedTuple):
    """A leg as the rules take it: what had been agreed for it, and what is seen now."""

    a: str
    b: str
    vlans: tuple[int, ...]
    signalled: Signalled
    observed: Protection  # of the media that has not ended
    accepted: bool = False  # the answer was seen
    clear: Verdict | None = None  # media is in clear now
    since_ns: int = 0  # when it, or what was agreed, became so
    keys_coming: bool = False  # a key exchange runs on the flow, or SRTP was signalled and no encrypted packet seen yet
    encrypted: tuple[Encrypted, ...] = ()  # of each sender, the last one last
    keys: Keys | None = None
    carries_fingerprint: bool = False  # in clear: it was read there
    unsettled_ns: int = 0  # since when media is there of which nothing can be said
    expected_ns: int = 0  # since when media is expected of which no packet was seen
    recording: bool = False
    control: Control | None = None  # RTCP in clear
    downgraded_from: Encrypted | None = None
    early: Early | None = None
    fax: FlowKey | None = None  # T.38 in clear
    mismatch: str | None = None
    profile: int = 0
    tones: Tones | None = None


def media(facts: MediaFacts, required: Required, policy: Policy, now_ns: int) -> list[Claim]:
    """Return the claims about a leg's media; of clear media none while its grace lasts."""
    if not required.media:
        # What was agreed is broken, whatever the policy asks for.
        return [_say(facts, required, policy, code, text) for code, text in _despite(facts, policy, now_ns)]
    return [_say(facts, required, policy, code, text) for rule in _RULES for code, text in rule(facts, policy, now_ns)]


def grace_end(facts: MediaFacts, policy: Policy) -> int:
    """Return the packet time from which clear media is a finding: at once unless keys are on their way."""
    return facts.since_ns + (int(policy.grace * NS) if facts.keys_coming else 0)


def media_evidence(verdict: Verdict) -> str:
    """Return what a verdict of "clear" rests on, in a sentence."""
    basis = " and ".join(_BASIS.get(word, word) for word in verdict.basis) or "clear media"
    codec = f"{verdict.codec} " if verdict.codec else ""
    packets = f"{verdict.packet} packet{'s' if verdict.packet != 1 else ''} ({verdict.elapsed_ns / NS:.2f} s)"
    if verdict.missing:
        packets += f", {verdict.missing} between them not seen"
    # The bound is rounded up: the statement never claims more than was measured.
    bound = "" if verdict.log10_p is None else f": probability under encryption below 10^{_rounded_up(verdict.log10_p)}"
    return f"{codec}{basis} in {packets}{bound}; {_stream(verdict.key, verdict.ssrc, from_a=verdict.from_a)}"


def half_protected(clear: MediaFacts, safe: MediaFacts, joined: str, required: Required, policy: Policy) -> list[Claim]:
    """Return the claim that one leg of a call is encrypted and another one is not; ``joined`` says what joins them."""
    if not required.media or clear.clear is None or not safe.encrypted:
        return []
    text = (
        f"{joined}: between {safe.a} and {safe.b} media is encrypted ({safe.encrypted[-1].grade}), "
        f"between {clear.a} and {clear.b} it is in clear: {media_evidence(clear.clear)}"
    )
    return [_say(clear, required, policy, "media-half-protected", text)]


def key_reuse(facts: MediaFacts, earlier: tuple[str, str], required: Required, policy: Policy) -> list[Claim]:
    """Return the claim that a leg's SDES key had been chosen before, for another call between two hosts."""
    if not required.media:
        return []
    text = f"the SDES key of {facts.a} and {facts.b} was chosen for a call between {earlier[0]} and {earlier[1]} too"
    return [_say(facts, required, policy, "srtp-key-reuse", text)]


def _say(facts: MediaFacts, required: Required, policy: Policy, code: str, text: str) -> Claim:
    since_ns = begin_ns(facts.clear) if facts.clear is not None else 0
    return claim(code, policy, pair("leg", facts.a, facts.b), required, text, since_ns=since_ns)


def begin_ns(verdict: Verdict) -> int:
    """Return when the first packet came that a verdict rests on, or a little before where packets came unevenly."""
    behind = verdict.packet - verdict.since_packet
    share = behind / (verdict.packet - 1) if verdict.packet > 1 else 0.0
    return verdict.ts_ns - int(verdict.elapsed_ns * share)


_Said = tuple[str, str]  # code and evidence


def _clear(facts: MediaFacts, policy: Policy, now_ns: int) -> Iterator[_Said]:
    if facts.clear is not None and now_ns >= grace_end(facts, policy):
        evidence = media_evidence(facts.clear)
        yield "media-clear", evidence
        if facts.recording:
            yield "recording-clear", f"a recording session (SIPREC) shows {evidence}"


def _despite(facts: MediaFacts, policy: Policy, now_ns: int) -> Iterator[_Said]:
    if (
        facts.clear is not None
        and facts.accepted
        and facts.signalled in PROMISES_SRTP
        and now_ns >= grace_end(facts, policy)
    ):
        promise = _PROMISE[facts.signalled]
        yield "media-clear-despite-srtp", f"{promise} was agreed, yet the packets show {media_evidence(facts.clear)}"


def _downgraded(facts: MediaFacts, _policy: Policy, _now_ns: int) -> Iterator[_Said]:
    before = facts.downgraded_from
    if facts.clear is not None and before is not None:
        after_s = (facts.clear.ts_ns - before.ts_ns) / NS
        yield (
            "media-downgraded",
            (
                f"encrypted ({before.grade}, by packet {before.packet} from {before.sender}), "
                f"{after_s:.2f} s later in clear: {media_evidence(facts.clear)}"
            ),
        )


def _before_key(facts: MediaFacts, policy: Policy, _now_ns: int) -> Iterator[_Said]:
    early = facts.early
    if early and (early.packets > policy.clear_before_key.packets or early.ns > policy.clear_before_key.seconds * NS):
        yield (
            "media-clear-before-key",
            f"at least {early.packets} packets in {early.ns / NS:.2f} s were in clear before the first encrypted one",
        )


def _null_cipher(facts: MediaFacts, _policy: Policy, _now_ns: int) -> Iterator[_Said]:
    if facts.accepted and facts.keys is not None and facts.keys.unprotected:
        yield "media-null-cipher", f"{' and '.join(facts.keys.unprotected)} was agreed with a=crypto"
    if facts.profile in _NULL_PROFILES:
        yield "media-null-cipher", f"the DTLS handshake chose {_NULL_PROFILES[facts.profile]}"
    if facts.clear is not None and "tag-present" in facts.clear.basis:
        yield "media-null-cipher", f"SRTP with a NULL cipher: {media_evidence(facts.clear)}"


def _weak(facts: MediaFacts, policy: Policy, _now_ns: int) -> Iterator[_Said]:
    short_tags = not any(suite.endswith(SHORT_TAG_SUITE) for suite in policy.allowed_suites)
    if facts.keys is not None and facts.accepted and facts.observed != "clear":
        suite = facts.keys.suite
        if not suite:
            yield "media-weak-srtp", "an unregistered SRTP suite was agreed"
        elif is_weak(suite) and suite not in policy.allowed_suites:
            yield "media-weak-srtp", f"{suite} was agreed"
    elif facts.profile in _SHORT_TAG_PROFILES and short_tags:
        yield "media-weak-srtp", f"the DTLS handshake chose {_SHORT_TAG_PROFILES[facts.profile]}"
    elif short_tags:
        weak = next((each for each in facts.encrypted if each.is_weak()), None)
        if weak is not None:
            seen = f"by packet {weak.packet} from {weak.sender}"
            yield "media-weak-srtp", f"SRTP with a tag of {8 * SHORT_TAG} bits, {seen}"


def _key_exchange(facts: MediaFacts, policy: Policy, _now_ns: int) -> Iterator[_Said]:
    way = _WAYS.get(facts.signalled, "dtls" if facts.profile else None)
    if policy.key_exchange and way is not None and facts.observed == "encrypted" and way not in policy.key_exchange:
        wanted = " or ".join(each.upper() for each in policy.key_exchange)
        yield "media-weak-srtp", f"the keys were exchanged by {way.upper()}; the policy wants {wanted}"


def _control(facts: MediaFacts, policy: Policy, _now_ns: int) -> Iterator[_Said]:
    if facts.control is not None and (facts.observed == "encrypted" or policy.rtcp == "encrypted"):
        key = facts.control.key
        beside = "beside encrypted media" if facts.observed == "encrypted" else "where the policy wants it encrypted"
        yield "rtcp-clear", f"RTCP in clear {beside}, between {end(key.a, key.a_port)} and {end(key.b, key.b_port)}"


def _tones(facts: MediaFacts, _policy: Policy, _now_ns: int) -> Iterator[_Said]:
    if facts.tones is not None:
        stream = _stream(facts.tones.key, facts.tones.ssrc, from_a=facts.tones.from_a)
        yield "dtmf-clear", f"telephone events readable, payload type {facts.tones.payload_type}; {stream}"


def _fax(facts: MediaFacts, _policy: Policy, _now_ns: int) -> Iterator[_Said]:
    if facts.fax is not None:
        key = facts.fax
        yield "fax-clear", f"T.38 over UDPTL between {end(key.a, key.a_port)} and {end(key.b, key.b_port)}"


def _fingerprint(facts: MediaFacts, _policy: Policy, _now_ns: int) -> Iterator[_Said]:
    if facts.mismatch is not None:
        yield (
            "dtls-fingerprint-mismatch",
            f"the certificate on the wire has {facts.mismatch}, which the SDP did not announce",
        )
    if facts.accepted and facts.carries_fingerprint and facts.signalled == "srtp-dtls":
        yield (
            "dtls-fingerprint-unprotected",
            "a=fingerprint of the DTLS certificate was read in clear SIP, so it could be replaced there",
        )


def _undetermined(facts: MediaFacts, policy: Policy, now_ns: int) -> Iterator[_Said]:
    if facts.unsettled_ns and now_ns - facts.unsettled_ns >= policy.undetermined_after * NS:
        yield "media-undetermined", f"media for more than {policy.undetermined_after:g} s of which nothing can be said"


def _not_observed(facts: MediaFacts, policy: Policy, now_ns: int) -> Iterator[_Said]:
    if facts.expected_ns and now_ns - facts.expected_ns >= policy.not_observed_after * NS:
        yield (
            "media-not-observed",
            f"media was agreed more than {policy.not_observed_after:g} s ago, no packet of it was seen here",
        )


_RULES: tuple[Callable[[MediaFacts, Policy, int], Iterator[_Said]], ...] = (
    _clear,
    _despite,
    _downgraded,
    _before_key,
    _null_cipher,
    _weak,
    _key_exchange,
    _control,
    _tones,
    _fax,
    _fingerprint,
    _undetermined,
    _not_observed,
)


def _stream(key: FlowKey, ssrc: int, *, from_a: bool) -> str:
    a, b = end(key.a, key.a_port), end(key.b, key.b_port)
    source, target = (a, b) if from_a else (b, a)
    return f"stream 0x{ssrc:08x} from {source} to {target}"


def _rounded_up(log10_p: float) -> str:
    return f"{ceil(max(log10_p, -1e6) * 10) / 10:.1f}"
