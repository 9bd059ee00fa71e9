"""The figures of SIP are those of messages that the engine reads."""

from pathlib import Path

import pytest

from benchmarks import sip
from deploy.demo import wire


def test_every_message_of_the_capture_is_read(tmp_path: Path) -> None:
    capture = tmp_path / "invites.pcap"
    wire.write_pcap(capture, sip.captured(sip.message(), 50))
    assert sip.in_engine(capture, 50) > 0
    with pytest.raises(RuntimeError, match="did not read every message"):
        sip.in_engine(capture, 51)
