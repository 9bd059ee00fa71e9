"""Which SRTP suites are weak."""

from __future__ import annotations

SHORT_TAG = 4  # octets of a 32-bit tag
SHORT_TAG_SUITE = "_32"  # how the names of such suites end
_F8 = "F8_"  # RFC 3711 section 4.1.2: a mode that nobody has reason to choose any more


def is_weak(suite: str) -> bool:
    """Say whether a suite of IANA's registry has a short tag, or is F8."""
    return suite.endswith(SHORT_TAG_SUITE) or suite.startswith(_F8)
