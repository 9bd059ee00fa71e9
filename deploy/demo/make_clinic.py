"""Makes the capture of a small clinic: ``python -m deploy.demo.make_clinic OUT.pcap``.

Addresses, times, texts and SDES keys are the same in every run; TLS and DTLS handshakes, and what they key, are not.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from . import noise
from .calls import Call, build_broken_promise_call, build_clear_call, build_registration
from .channels import Channel, UdpChannel
from .handshakes import Identity, KeyLog, certify
from .media import G722, OPUS, PCMA, PCMU, Codec, speak
from .protected import build_dtls_call, build_half_protected_call, build_sdes_call
from .sip import Party
from .tls import TLS_1_2, TLS_1_3, TlsChannel, WebSocketChannel
from .wire import MS, SECOND, Endpoint, Frame, Host, write_pcap

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
START_NS = int(START.timestamp()) * SECOND
DOMAIN = "clinic.example.org"

GATEWAY = Host("gateway", "10.20.0.1")
RESOLVER = Host("resolver", "10.20.0.53")
PBX = Host("pbx", "10.20.0.10")
SBC = Host("sbc", "10.20.0.20")
TRUNK = Host("trunk", "10.20.200.5", router=GATEWAY)

PHONE, SERVER, BORDER, CARRIER = "Example-Deskphone/4.2.1", "Example-PBX/18.3", "Example-SBC/7.1", "Example-Carrier"

RECEPTION = Party(Host("reception", "10.20.1.101"), "101", "Reception", PHONE, 16384)
NURSE = Party(Host("nurse", "10.20.1.102"), "102", "Nurse station", PHONE, 16390)
TELEVISIT = Party(Host("televisit", "10.20.1.103"), "103", "Televisit room", "Example-Softphone/3.1 (WebRTC)", 50124)
LABORATORY = Party(Host("laboratory", "10.20.1.104"), "104", "Laboratory", PHONE, 16402)
BILLING = Party(Host("billing", "10.20.1.105"), "105", "Billing", PHONE, 16408)
DOCTOR = Party(Host("doctor", "10.20.1.106"), "106", "Doctor", PHONE, 16414)


@dataclass
class Clinic:
    """The frames so far, and what the calls share."""

    log: KeyLog
    rng: random.Random = field(default_factory=lambda: random.Random(20))  # the same capture in every run
    frames: list[Frame] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the private authority and the servers' certificates."""
        self._authority = certify(f"Voice CA {DOMAIN}", START.replace(month=1, day=5), 3650)

    def identity(self, server: Host) -> Identity:
        """Return a server's certificate."""
        name = f"{server.name}.{DOMAIN}"
        return Identity(name, certify(name, START.replace(month=1, day=6), 397, self._authority), self._authority)

    def start_phone(self, party: Party, channel: Channel, at_s: float) -> None:
        """Add what a phone does when it starts: ARP, DNS, NTP, its connection and its registration."""
        server, at_ns = channel.server.host, START_NS + round(at_s * SECOND)
        self.frames += noise.arp_exchange(party.host, RESOLVER, at_ns)
        name = f"{server.name}.{DOMAIN}"
        self.frames += noise.dns_lookup(party.host, RESOLVER, name, server, at_ns=at_ns + 2 * MS, rng=self.rng)
        self.frames += noise.ntp_exchange(party.host, GATEWAY, at_ns + 10 * MS)
        self.frames += noise.arp_exchange(party.host, server, at_ns + 14 * MS)
        if isinstance(channel, TlsChannel):
            self.frames += channel.open(at_ns + 20 * MS)
        self.frames += build_registration(party, channel, DOMAIN, at_ns + 100 * MS, self.rng)

    def call(
        self,
        caller: Party,
        callee: Party,
        channel: Channel,
        *,
        at_s: float,
        talk_s: float,
        texts: tuple[str, str],
        codec: Codec,
    ) -> Call:
        """Return a call in which the caller speaks first and the callee from the middle on."""
        seed = int(at_s)
        asked = speak(texts[0], "en-us", codec, start_s=0.3, total_s=talk_s, seed=seed)
        answered = speak(texts[1], "en-gb", codec, start_s=talk_s / 2, total_s=talk_s, seed=seed + 100)
        return Call(
            caller, callee, channel, START_NS + round(at_s * SECOND), asked, answered, domain=DOMAIN, codec=codec
        )


def make_clinic(log: KeyLog) -> list[Frame]:
    """Return all frames of the capture; ``log`` is given the lines of an NSS key log."""
    clinic = Clinic(log)
    pbx, sbc = clinic.identity(PBX), clinic.identity(SBC)
    for second in (0, 30):
        clinic.frames += [noise.lldp_advertisement("sw1.clinic.example.org", 7, START_NS + second * SECOND)]
    clinic.frames += noise.arp_exchange(SBC, GATEWAY, START_NS + 200 * MS)
    clinic.frames += noise.ntp_exchange(PBX, GATEWAY, START_NS + 300 * MS)

    clear = {
        phone: UdpChannel(Endpoint(phone.host, 5060), Endpoint(PBX, 5060)) for phone in (RECEPTION, LABORATORY, BILLING)
    }
    nurse = TlsChannel(Endpoint(NURSE.host, 41822), Endpoint(PBX, 5061), pbx, TLS_1_2, log=log, rng=clinic.rng)
    televisit = WebSocketChannel(
        Endpoint(TELEVISIT.host, 53114), Endpoint(PBX, 8089), pbx, TLS_1_3, log=log, rng=clinic.rng
    )
    doctor = TlsChannel(Endpoint(DOCTOR.host, 42316), Endpoint(SBC, 5061), sbc, TLS_1_3, log=log, rng=clinic.rng)
    channels: dict[Party, Channel] = {**clear, NURSE: nurse, TELEVISIT: televisit, DOCTOR: doctor}
    for order, (party, channel) in enumerate(channels.items()):
        clinic.start_phone(party, channel, 1 + 0.4 * order)

    clinic.frames += _reception(clinic, clear[RECEPTION])
    clinic.frames += _nurse(clinic, nurse)
    clinic.frames += _televisit(clinic, televisit)
    clinic.frames += _laboratory(clinic)
    clinic.frames += _billing(clinic, clear[BILLING])
    clinic.frames += _doctor(clinic, doctor)
    return clinic.frames


def _served(number: str, port: int) -> Party:
    """Return the PBX on behalf of a number."""
    return Party(PBX, number, number, SERVER, port)


def _reception(clinic: Clinic, channel: Channel) -> list[Frame]:
    texts = (
        "Good morning, this is the reception. I would like to confirm tomorrow's visit.",
        "Yes, half past nine is fine, thank you. See you tomorrow.",
    )
    call = clinic.call(
        RECEPTION, _served("+12125550142", 12000), channel, at_s=4.0, talk_s=7.0, texts=texts, codec=PCMU
    )
    return build_clear_call(call, clinic.rng)


def _nurse(clinic: Clinic, channel: Channel) -> list[Frame]:
    texts = (
        "Nurse station here. Please bring the new forms to room four.",
        "All right, they are on their way to room four.",
    )
    call = clinic.call(NURSE, _served("110", 12010), channel, at_s=8.2, talk_s=6.4, texts=texts, codec=G722)
    return build_sdes_call(call, clinic.rng)


def _televisit(clinic: Clinic, channel: Channel) -> list[Frame]:
    texts = (
        "Welcome to your video visit. Can you hear me well? Then let us begin with a few questions.",
        "Yes, I can hear you well. Please go ahead, I am ready.",
    )
    call = clinic.call(
        TELEVISIT, _served("+12125550117", 12020), channel, at_s=13.5, talk_s=9.0, texts=texts, codec=OPUS
    )
    return build_dtls_call(call, clinic.rng, clinic.log)


def _laboratory(clinic: Clinic) -> list[Frame]:
    texts = (
        "This is the clinic. Are the results of this morning ready?",
        "They will be ready at noon. I will call you.",
    )
    channel = UdpChannel(Endpoint(PBX, 5060), Endpoint(LABORATORY.host, 5060))
    call = clinic.call(
        _served("+12125550163", 12030), LABORATORY, channel, at_s=19.1, talk_s=6.4, texts=texts, codec=PCMA
    )
    return build_broken_promise_call(call, clinic.rng)


def _billing(clinic: Clinic, channel: Channel) -> list[Frame]:
    texts = ("Billing department. I have a question about an invoice.", "Of course. Which invoice do you mean?")
    call = clinic.call(BILLING, _served("+12125550174", 12040), channel, at_s=24.3, talk_s=6.4, texts=texts, codec=PCMU)
    return build_sdes_call(call, clinic.rng)


def _doctor(clinic: Clinic, channel: Channel) -> list[Frame]:
    texts = ("Good afternoon, I am calling to refer a patient to you.", "Certainly, please send us the letter today.")
    number = "+12125550187"
    relay = Party(SBC, number, number, BORDER, 20000)
    inner = clinic.call(DOCTOR, relay, channel, at_s=28.6, talk_s=6.4, texts=texts, codec=PCMU)
    outer = Call(
        Party(SBC, "+12125550100", "Example Clinic", BORDER, 30000),
        Party(TRUNK, number, number, CARRIER, 40000),
        UdpChannel(Endpoint(SBC, 5060), Endpoint(TRUNK, 5060)),
        inner.at_ns,
        inner.caller_speech,
        inner.callee_speech,
        domain="sip.carrier.example.org",
    )
    return build_half_protected_call(inner, outer, clinic.rng)


def main() -> None:
    """Write the capture, and on request the secrets of its TLS and DTLS sessions for an independent check."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo.make_clinic", description=__doc__)
    parser.add_argument("capture", type=Path, metavar="OUT.pcap")
    parser.add_argument("--keys", type=Path, metavar="FILE", help="also write an NSS key log, as Wireshark reads it")
    options = parser.parse_args()
    secrets: list[bytes] = []
    write_pcap(options.capture, make_clinic(secrets.append))
    if options.keys:
        options.keys.write_bytes(b"".join(line + b"\n" for line in secrets))


if __name__ == "__main__":
    main()
