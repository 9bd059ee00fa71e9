"""What is protected has one colour on every dashboard, of the palette of Okabe and Ito: told apart by everybody."""

from __future__ import annotations

BLUE, SKY, VERMILION, ORANGE, YELLOW, GREY = "#0072B2", "#56B4E9", "#D55E00", "#E69F00", "#F0E442", "#999999"

PROTECTION = {
    "encrypted": BLUE,
    "clear": VERMILION,
    "undetermined": ORANGE,
    "not-observed": GREY,
    "not-applicable": SKY,
}
SEVERITY = {"critical": VERMILION, "high": ORANGE, "medium": YELLOW, "low": SKY, "info": GREY}
# What a label's values are coloured by
LABELS = {
    **dict.fromkeys(("observed", "protection", "signalled", "after"), PROTECTION),
    "severity": SEVERITY,
}

Steps = tuple[tuple[float | None, str], ...]  # from which value on (None: from the least) which colour

NONE_IS_GOOD: Steps = ((None, BLUE), (1, VERMILION))
NONE_IS_QUIET: Steps = ((None, GREY), (1, VERMILION))  # nothing in clear is not the same as encrypted
ONE_IS_GOOD: Steps = ((None, VERMILION), (1, BLUE))
PLAIN: Steps = ((None, SKY),)
