"""Headers of the packets that findings are about, in rotated capture files; no payload gets as far as this."""

from sensor.evidence.capture import EvidenceCapture

__all__ = ["EvidenceCapture"]
