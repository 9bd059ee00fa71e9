"""The findings that can be opened: what each is called, how severe it is, which HIPAA controls it bears on."""

from __future__ import annotations

from typing import NamedTuple

from sensor.model import Severity

TRANSMISSION = "164.312(e)(1)"  # transmission security
ENCRYPTION = "164.312(e)(2)(ii)"  # encryption in transmission
AUDIT = "164.312(b)"  # audit controls: what the sensor cannot see, it cannot vouch for


class Entry(NamedTuple):
    """One kind of finding."""

    title: str
    severity: Severity
    controls: tuple[str, ...]


CATALOGUE: dict[str, Entry] = {
    "media-clear": Entry("Media in clear", "critical", (TRANSMISSION, ENCRYPTION)),
    "media-clear-despite-srtp": Entry("Media in clear although SRTP was agreed", "critical", (ENCRYPTION,)),
    "signalling-clear": Entry("SIP without TLS", "high", (TRANSMISSION, ENCRYPTION)),
    "sdes-key-exposed": Entry("SRTP keys readable in clear SIP", "critical", (ENCRYPTION,)),
    "sensor-no-traffic": Entry("No traffic reaches the sensor", "critical", (AUDIT,)),
    "sensor-loss": Entry("The sensor lost traffic", "high", (AUDIT,)),
}
