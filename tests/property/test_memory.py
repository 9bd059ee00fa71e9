"""Memory that the core asks for in vain, each request once and all from each one on: no crash, and all is counted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from deploy.demo.wire import MS, SECOND
from fastpath.engine import Engine
from fastpath.records import FlowEnded, FlowKey, Record
from fastpath.source import BufferSource
from tests.live.lab import ROOT, read_capture
from tests.packets import A, B, End, Packet, account, ciphertext, ethernet, finish, new_engine, speech, stream, tcp, udp
from tests.refusing_malloc import ALWAYS, Refusal, preload
from tests.unit.fastpath import test_certificate as dtls
from tests.unit.fastpath import test_handshake as tls
from tests.unit.fastpath.test_fragments import invite, pieces

FLOWS = 2100  # more than the index of a new engine has room for
LEAST_REQUESTS = 80  # of the whole traffic: fewer, and it does not reach all of the places any more
# What says that something found no room
REFUSALS = (
    *("shed.flow-table-full", "conversations_refused", "asides_refused", "changes_lost", "offers_refused"),
    *("reassembly_lost_bytes", "reassembly_passed_bytes", "datagrams_refused", "certificates_lost"),
)


def traffic() -> list[Packet]:
    """Return packets for which the core asks for memory in each of the ways that it has."""
    clinic = read_capture(ROOT / "deploy" / "demo" / "clinic.pcap")
    after = [
        *(ethernet(udp(b"x" * 30, End("192.0.2.77", 1024 + n), B)) for n in range(FLOWS)),
        *(ethernet(part) for part in pieces(invite(), 1480, 2960)),
        *(ethernet(udp(octets, B, A)) for octets in dtls_in_pieces()),
        *(ethernet(segment) for segment in sip_out_of_order()),
        *(octets for _, octets, *_ in tls_in_records()),
        *(frame[1] for frame in stream(ciphertext(60) + speech(60), src=End("192.0.2.5", 5004))),
    ]
    begin = clinic[-1][0] + SECOND
    return [*clinic, *((begin + n * MS, octets) for n, octets in enumerate(after))]


def dtls_in_pieces() -> list[bytes]:
    body = dtls.listed(dtls.certificate(700))
    parts = (dtls.fragment(body, part) for part in dtls.pieces(body, 200))
    return [dtls.fragment(dtls.SRTP_HELLO, kind=2, sequence=1), *parts]


def sip_out_of_order() -> list[bytes]:
    head = b"INVITE sip:b@example.com SIP/2.0\r\nCall-ID: t\r\nCSeq: 1 INVITE\r\nSubject: "
    message = head + b"s" * 9000 + b"\r\n\r\n"
    ends = End("192.0.2.30", 40000), End("192.0.2.31", 5060)
    first, second, *rest = (tcp(message[at : at + 900], *ends, seq=1 + at) for at in range(0, len(message), 900))
    return [first, *rest, second]


def tls_in_records() -> list[Packet]:
    wire = tls.Wire().open()
    wire.send(tls.hello())
    certificates = tls.message(11, tls.listed(bytes(900), bytes(900)))
    records = (tls.record(certificates[at : at + 300]) for at in range(0, len(certificates), 300))
    wire.send(tls.answer() + b"".join(records), server=True)
    return wire.close().packets


class Run:
    """The traffic through a new engine, with requests refused; ``requests`` includes those of the beginning."""

    def __init__(self, packets: list[Packet], refusal: Refusal, first: int = 0, count: int = 0) -> None:
        self.counters: dict[str, int] = {}
        self.media: dict[FlowKey, str] = {}
        source = BufferSource(packets)
        refusal.refuse(first, count)
        try:
            engine = new_engine(event_bytes=1 << 20)
        except MemoryError:  # the sensor does not start
            pass
        else:
            self._take(engine, source, len(packets))
        finally:
            self.requests = refusal.end()

    def _take(self, engine: Engine, source: BufferSource, packets: int) -> None:
        records: list[Record] = []
        while engine.process(source) == 1:
            records += engine.drain()
        self.counters = engine.counters()
        records += finish(engine)
        flows = (record for record in records if isinstance(record, FlowEnded) and record.app == "rtp")
        self.media = {flow.key: flow.protection for flow in flows}
        after = engine.counters()
        assert self.counters["received"] == packets == sum(account(self.counters).values())
        assert (after["flows"], after["streams"], after["reassembly_bytes"]) == (0, 0, 0)


def refuse_each() -> None:
    """Refuse each request once, and each and all that come after it."""
    refusal = Refusal(os.environ["REFUSING_MALLOC"])
    packets = traffic()
    whole = Run(packets, refusal)
    assert whole.requests.asked >= LEAST_REQUESTS
    for first in range(whole.requests.asked):
        for count in (1, ALWAYS):
            run = Run(packets, refusal, first, count)
            assert run.requests.refused
            if run.counters:
                assert any(run.counters[name] > whole.counters[name] for name in REFUSALS), (first, count)
                assert all(said in {whole.media[key], "undetermined"} for key, said in run.media.items())


def test_request_for_memory_that_is_refused_costs_what_it_was_for_and_is_counted(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.property.test_memory"],
        cwd=ROOT,
        env=os.environ | preload(tmp_path),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    refuse_each()
