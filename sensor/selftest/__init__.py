"""What ``legwatch selftest`` replays, made by ``python -m deploy.demo.make_selftest``, and what must come of it."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

from sensor.config.network import Segment
from sensor.config.schema import Config, Policy, Tls

CAPTURE = Path(__file__).parent / "calls.pcap"

# The hosts are nobody's (RFC 5737). That its TLS is 1.2 is a finding by this policy, so that TLS is seen to be judged.
_SEGMENT = Segment("selftest", cidrs=(ip_network("192.0.2.0/24"),))
CONFIG = Config(policy=Policy(segments=(_SEGMENT,), tls=Tls(min_version="1.3", trust_system=False)))

# Stage by stage, in the order of the data
EXPECTED = {
    "source": "199 packets, read to the end",
    "decode": "197 classified, 2 ignored, 0 malformed, 0 shed",
    "flows": "7: 1 other, 1 rtcp, 2 rtp, 2 sip, 1 tls",
    "media": "4 streams with 160 packets",
    "verdicts": "2 clear, 2 encrypted",
    "signalling": "14 SIP messages, 2 dialogues agreed, 1 TLS handshake completed",
    "legs": "192.0.2.21 ↔ 192.0.2.10 clear, clear by SIP; 192.0.2.22 ↔ 192.0.2.10 encrypted, srtp-sdes by SIP",
    "findings": "1 media-clear, 1 sdes-key-exposed, 2 signalling-clear, 1 tls-version",
    "events": "5 findings opened, 0 not written",
    "metrics": "2 legs ended, 5 findings opened",
    "state": "4 endpoints kept and read again",
}
