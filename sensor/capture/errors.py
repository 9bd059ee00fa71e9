"""What can go wrong between the operator and the packets."""


class CaptureError(Exception):
    """A capture file, interface or filter cannot be used; the text is one line that says why, for the operator."""
