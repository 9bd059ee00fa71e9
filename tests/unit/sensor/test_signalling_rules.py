"""The rules about what clear signalling shows, and the sentences that say so."""

from __future__ import annotations

import pytest

from fastpath.records import Exposure, FlowKey
from sensor.config.schema import Policy
from sensor.model import Subject
from sensor.policy.segments import Required
from sensor.policy.signalling import exposed
from tests.unit.sensor.traffic import ALICE, BOB, T0

POLICY = Policy()
VOICE = Required(media=True, signalling=True, segments=("voice",), policy=POLICY)
NOTHING = Required(media=False, signalling=False, segments=(), policy=POLICY)
KEY = FlowKey("tcp", BOB, 5060, ALICE, 40000, ())
WHERE = "over TCP between 10.0.0.2:5060 and 10.0.0.1:40000"


def exposure(kind: str, method: str = "REGISTER", status: int = 0, *detail: str) -> Exposure:
    return Exposure(1, T0, KEY, kind, method, status, detail, 1)


@pytest.mark.parametrize(
    ("shown", "code", "severity", "evidence"),
    [
        (exposure("sip"), "signalling-clear", "high", f"SIP read in clear {WHERE}; the first message was REGISTER"),
        (
            exposure("keys", "INVITE", 200, "AES_CM_128_HMAC_SHA1_80", "", "AES_CM_128_HMAC_SHA1_80"),
            "sdes-key-exposed",
            "critical",
            f"a=crypto with AES_CM_128_HMAC_SHA1_80, an unregistered suite readable in a SIP 200 to INVITE {WHERE}",
        ),
        (
            exposure("credentials", "REGISTER", 0, "digest"),
            "credentials-exposed",
            "high",
            f"Digest credentials (a hash to guess the password by) readable in a SIP REGISTER {WHERE}",
        ),
        (
            exposure("credentials", "REGISTER", 0, "other"),
            "credentials-exposed",
            "high",
            f"credentials of a scheme that SIP does not define readable in a SIP REGISTER {WHERE}",
        ),
        (exposure("credentials"), "credentials-exposed", "high", f"credentials readable in a SIP REGISTER {WHERE}"),
        (
            exposure("credentials", "INVITE", 0, "basic"),
            "credentials-exposed",
            "high",
            f"Basic credentials (user and password) readable in a SIP INVITE {WHERE}",
        ),
        (exposure("text", "MESSAGE"), "message-clear", "critical", f"the text of a SIP MESSAGE readable {WHERE}"),
    ],
)
def test_what_is_shown_is_claimed_with_transport_and_ends(
    shown: Exposure, code: str, severity: str, evidence: str
) -> None:
    (claim,) = exposed(shown, "TCP", VOICE, POLICY)
    assert (claim.code, claim.severity, claim.subject) == (code, severity, Subject("signalling", ALICE, BOB))
    assert claim.evidence == evidence
    assert exposed(shown, "TCP", NOTHING, POLICY) == []


def test_method_of_nobody_s_is_not_repeated() -> None:
    (claim,) = exposed(exposure("sip", "15550199734"), "TCP", VOICE, POLICY)
    assert claim.evidence.endswith("the first message was extension method")
