"""Where packets come from: capture files, and the interfaces of this machine."""

from sensor.capture.errors import CaptureError
from sensor.capture.files import open_capture
from sensor.capture.filters import compile_filter
from sensor.capture.interfaces import Interface, list_interfaces
from sensor.capture.live import live_filter, open_ring
from sensor.capture.threads import CaptureThreads

__all__ = [
    "CaptureError",
    "CaptureThreads",
    "Interface",
    "compile_filter",
    "list_interfaces",
    "live_filter",
    "open_capture",
    "open_ring",
]
