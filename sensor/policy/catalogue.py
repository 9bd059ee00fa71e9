"""The findings that can be opened: what each is called, how severe it is, which HIPAA controls it bears on."""

from __future__ import annotations

from typing import NamedTuple

from sensor.model import Severity

TRANSMISSION = "164.312(e)(1)"  # transmission security
INTEGRITY = "164.312(e)(2)(i)"  # integrity controls in transmission
ENCRYPTION = "164.312(e)(2)(ii)"  # encryption in transmission
AUTHENTICATION = "164.312(d)"  # person or entity authentication
ACCESS = "164.312(a)(1)"  # access control
ACTIVITY_REVIEW = "164.308(a)(1)(ii)(D)"  # information system activity review
RISK_ANALYSIS = "164.308(a)(1)(ii)(A)"  # risk analysis
ASSOCIATES = "164.308(b)(1)"  # business associate contracts
AUDIT = "164.312(b)"  # audit controls: what the sensor cannot see, it cannot vouch for
STORED_INTEGRITY = "164.312(c)(1)"  # integrity of what is kept
DOCUMENTATION = "164.316(b)(2)(i)"  # how long it is kept

# What the report has a section for, in the order of the rule
CONTROLS = (
    *(RISK_ANALYSIS, ACTIVITY_REVIEW, ASSOCIATES, ACCESS, AUDIT, STORED_INTEGRITY, AUTHENTICATION, TRANSMISSION),
    *(INTEGRITY, ENCRYPTION, DOCUMENTATION),
)


class Entry(NamedTuple):
    """One kind of finding."""

    title: str
    severity: Severity
    controls: tuple[str, ...]
    also: tuple[Severity, ...] = ()  # where the rule finds it more or less severe


CATALOGUE: dict[str, Entry] = {
    "media-clear": Entry("Media in clear", "critical", (TRANSMISSION, ENCRYPTION)),
    "media-clear-despite-srtp": Entry("Media in clear although SRTP was agreed", "critical", (ENCRYPTION,)),
    "media-downgraded": Entry("Media encrypted first, in clear later", "critical", (ENCRYPTION,)),
    "media-clear-before-key": Entry("Media in clear before its keys", "high", (ENCRYPTION,)),
    "media-null-cipher": Entry("SRTP without encryption or authentication", "critical", (INTEGRITY, ENCRYPTION)),
    "media-weak-srtp": Entry("Weak SRTP suite", "medium", (INTEGRITY,)),
    "media-half-protected": Entry("One leg of a call encrypted, another in clear", "critical", (TRANSMISSION,)),
    "rtcp-clear": Entry("RTCP in clear", "medium", (TRANSMISSION,)),
    "dtmf-clear": Entry("Telephone events in clear", "high", (ENCRYPTION,)),
    "fax-clear": Entry("Fax in clear", "critical", (ENCRYPTION,)),
    "media-undetermined": Entry("Media of which nothing can be said", "low", (TRANSMISSION,)),
    "media-not-observed": Entry("Media was agreed and not seen here", "low", (AUDIT,)),
    "srtp-key-reuse": Entry("One SRTP key in two calls", "high", (ENCRYPTION,)),
    "dtls-fingerprint-mismatch": Entry("Another certificate than announced", "critical", (AUTHENTICATION, INTEGRITY)),
    "dtls-fingerprint-unprotected": Entry("DTLS fingerprint in clear SIP", "medium", (AUTHENTICATION,)),
    "recording-clear": Entry("Recording in clear", "critical", (ENCRYPTION,)),
    "signalling-clear": Entry("SIP without TLS", "high", (TRANSMISSION, ENCRYPTION)),
    "sdes-key-exposed": Entry("SRTP keys readable in clear SIP", "critical", (ENCRYPTION,)),
    "credentials-exposed": Entry("Credentials readable in clear", "high", (AUTHENTICATION,)),
    "message-clear": Entry("Text message in clear", "critical", (ENCRYPTION,)),
    "legacy-signalling-clear": Entry("Older call signalling in clear", "high", (TRANSMISSION,)),
    "tls-version": Entry("TLS older than the policy allows", "high", (INTEGRITY, ENCRYPTION)),
    "tls-cipher": Entry("TLS cipher suite below the policy", "medium", (INTEGRITY, ENCRYPTION)),
    "tls-null": Entry("TLS without encryption", "critical", (INTEGRITY, ENCRYPTION)),
    "tls-anonymous": Entry("TLS without a certificate", "critical", (INTEGRITY, ENCRYPTION)),
    "tls-handshake-failed": Entry("TLS handshakes fail", "medium", (AUDIT,)),
    "cert-expired": Entry("Certificate expired", "high", (AUTHENTICATION,)),
    "cert-expiring": Entry("Certificate about to expire", "medium", (AUTHENTICATION,)),
    "cert-not-yet-valid": Entry("Certificate not valid yet", "high", (AUTHENTICATION,)),
    "cert-name-mismatch": Entry("Certificate for another name", "high", (AUTHENTICATION,)),
    "cert-weak": Entry("Weak certificate", "medium", (AUTHENTICATION,)),
    "cert-self-signed": Entry("Self-signed certificate", "medium", (AUTHENTICATION,), ("high",)),
    "cert-untrusted": Entry("Certificate of no trusted issuer", "medium", (AUTHENTICATION,), ("high",)),
    "not-observable": Entry("A certificate that cannot be seen", "info", (AUDIT,)),
    "registration-attack": Entry("Registrations under attack", "high", (ACTIVITY_REVIEW,), ("medium",)),
    "provisioning-clear": Entry("Phone configuration in clear", "high", (ENCRYPTION, AUTHENTICATION)),
    "management-clear": Entry("Voice host managed in clear", "high", (ACCESS, AUTHENTICATION)),
    "voicemail-clear": Entry("Voicemail in clear", "critical", (ENCRYPTION,)),
    "directory-clear": Entry("Directory in clear", "high", (ENCRYPTION,)),
    "tunnel-undetermined": Entry("A tunnel whose protection does not show", "low", (TRANSMISSION,)),
    "name-time-clear": Entry("Names or time from outside the voice network", "low", (AUTHENTICATION,)),
    "qos-unmarked": Entry("Voice without the mark that the policy names", "info", (AUDIT,)),
    "segment-violation": Entry("Hosts talk that may not", "high", (ACCESS,)),
    "unknown-vendor": Entry("Calls with somebody whom no inventory knows", "high", (ASSOCIATES,)),
    "vendor-without-baa": Entry("Calls by a vendor without an agreement", "critical", (ASSOCIATES,)),
    "new-endpoint": Entry("An endpoint never seen before", "info", (RISK_ANALYSIS,)),
    "posture-drift": Entry("Protected before, and not now", "high", (ACTIVITY_REVIEW,)),
    "sensor-no-traffic": Entry("No traffic reaches the sensor", "critical", (AUDIT,)),
    "sensor-no-voice": Entry("No voice reaches the sensor", "high", (AUDIT,)),
    "sensor-one-way-mirror": Entry("The mirror shows one direction only", "high", (AUDIT,)),
    "sensor-duplicate-mirror": Entry("The mirror gives packets twice", "low", (AUDIT,)),
    "sensor-truncated": Entry("The mirror cuts packets", "high", (AUDIT,)),
    "sensor-undecoded": Entry("The mirror carries what cannot be decoded", "medium", (AUDIT,)),
    "sensor-evidence": Entry("Evidence cannot be written", "critical", (AUDIT,)),
    "sensor-clock": Entry("The sensor's clock cannot be relied on", "medium", (AUDIT,)),
    "sensor-overload": Entry("The sensor sheds load", "high", (AUDIT,)),
    "sensor-loss": Entry("The sensor lost traffic", "high", (AUDIT,)),
}
