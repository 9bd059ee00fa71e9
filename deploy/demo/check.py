"""Holds a new capture against truth.yaml: ``python -m deploy.demo.check OUT.pcap KEYS``.

It shares nothing with the generator: tshark opens TLS and reads SIP, dpkt reads the packets, and SRTP is opened by
RFC 3711 itself, with the keys that the signalling carried or that the DTLS handshake gives. ``KEYS`` is the key log
that the generator wrote.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import dpkt
import yaml
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_KEY, _SALT, _TAG, _INDEX = 16, 14, 10, 4
_RTP_HEADER, _RTCP_HEADER = 12, 8

Pair = tuple[str, int]  # address and port


class Packet(NamedTuple):
    """One datagram, by its sender."""

    src: Pair
    dst: Pair
    octets: bytes


def datagrams(capture: Path) -> Iterator[Packet]:
    """Yield all UDP datagrams of the capture."""
    with capture.open("rb") as file:
        for _, frame in dpkt.pcap.Reader(file):
            ip = dpkt.ethernet.Ethernet(frame).data
            if isinstance(ip, dpkt.ip.IP) and isinstance(ip.data, dpkt.udp.UDP):
                src, dst = (socket.inet_ntoa(address) for address in (ip.src, ip.dst))
                yield Packet((src, ip.data.sport), (dst, ip.data.dport), bytes(ip.data.data))


def sdes_keys(capture: Path, log: Path) -> dict[Pair, bytes]:
    """Return the key of each sender of media, as the SDP that names its address and port carries it."""
    fields = ("sdp.connection_info.address", "sdp.media.port", "sdp.media_attr")
    keys: dict[Pair, bytes] = {}
    for address, port, attributes in _tshark(capture, log, "sdp", *fields):
        found = re.search(r"AES_CM_128_HMAC_SHA1_80 inline:([A-Za-z0-9+/=]+)", attributes)
        if found:
            keys[address, int(port)] = base64.b64decode(found[1])
    return keys


def dtls_keys(capture: Path, log: Path) -> dict[Pair, bytes]:
    """Return the keys of both ends of each DTLS handshake: the exporter of RFC 5705 over the logged master secret."""
    secrets = dict(re.findall(r"CLIENT_RANDOM (\w+) (\w+)", log.read_text()))
    fields = ("ip.src", "udp.srcport", "dtls.handshake.type", "dtls.handshake.random", "dtls.handshake.ciphersuite")
    keys: dict[Pair, bytes] = {}
    client, first_random = ("", 0), ""
    for address, port, kinds, random, suite in _tshark(capture, log, "dtls.handshake.random", *fields):
        if kinds.startswith("1"):
            client, first_random = (address, int(port)), random
            continue
        digest = "sha384" if suite in {"0xc02c", "0xc030", "0x009f"} else "sha256"
        seed = b"EXTRACTOR-dtls_srtp" + bytes.fromhex(first_random) + bytes.fromhex(random)
        octets = _expand(bytes.fromhex(secrets[first_random]), seed, digest)[: 2 * (_KEY + _SALT)]
        salts = octets[2 * _KEY :]
        keys[client] = octets[:_KEY] + salts[:_SALT]
        keys[address, int(port)] = octets[_KEY : 2 * _KEY] + salts[_SALT:]
    return keys


def open_srtp(key: bytes, packet: bytes) -> bytes | None:
    """Return the RTP packet, or None when the tag is wrong; for streams whose sequence number does not wrap."""
    body, tag = packet[:-_TAG], packet[-_TAG:]
    if _tag(_derive(key, 1, 20), body + bytes(4)) != tag:
        return None
    index = int.from_bytes(body[2:4], "big")
    return body[:_RTP_HEADER] + _cipher(key, 0, body[8:12], index, body[_RTP_HEADER:])


def open_srtcp(key: bytes, packet: bytes) -> bytes | None:
    """Return the compound RTCP packet, or None when the tag is wrong."""
    body, tag = packet[:-_TAG], packet[-_TAG:]
    if _tag(_derive(key, 4, 20), body) != tag:
        return None
    index = int.from_bytes(body[-_INDEX:], "big") & 0x7FFFFFFF
    return body[:_RTCP_HEADER] + _cipher(key, 3, body[4:8], index, body[_RTCP_HEADER:-_INDEX])


def main() -> int:
    """Print one line for each direction of each leg; return 1 when one is not as the truth says."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo.check", description=__doc__)
    parser.add_argument("capture", type=Path)
    parser.add_argument("keys", type=Path)
    options = parser.parse_args()
    truth = yaml.safe_load(Path(__file__).with_name("truth.yaml").read_text())
    packets = list(datagrams(options.capture))
    keys = sdes_keys(options.capture, options.keys) | dtls_keys(options.capture, options.keys)
    wrong = 0
    opened: dict[str, list[bytes]] = {}
    for leg in truth["media"]:
        for own, other, count in zip("ab", "ba", leg["packets"], strict=True):
            src, dst = leg[own], leg[other]
            media = _between(packets, (src["host"], src["rtp"]), (dst["host"], dst["rtp"]), rtcp=False)
            control = _between(packets, (src["host"], src["rtcp"]), (dst["host"], dst["rtcp"]), rtcp=True)
            key = keys.get((src["host"], src["rtp"]), b"")
            is_open = leg["observed"] == "clear"
            speech = media if is_open else [plain for packet in media if (plain := open_srtp(key, packet))]
            reports = control if is_open else [plain for packet in control if (plain := open_srtcp(key, packet))]
            good = len(media) == len(speech) == count and len(control) == len(reports) > 1 and all(map(_whole, reports))
            opened[f"{leg['name']}-{own}"] = speech
            wrong += not good
            print(  # noqa: T201 - a command for people
                f"{'ok   ' if good else 'WRONG'} {leg['name']} from {own}: {len(media)} RTP, {len(speech)} read, "
                f"{len(control)} RTCP, {len(reports)} read"
            )
    relayed = all(opened[f"doctor-inner-{side}"] == opened[f"doctor-outer-{side}"] for side in "ab")
    print(f"{'ok   ' if relayed else 'WRONG'} doctor: the opened inner leg is the outer leg")  # noqa: T201 - as above
    return 1 if wrong or not relayed else 0


def _tshark(capture: Path, log: Path, packets: str, *fields: str) -> list[list[str]]:
    """Return the fields of the packets that a display filter chooses."""
    command = ["tshark", "-n", "-r", str(capture), "-o", f"tls.keylog_file:{log}", "-Y", packets, "-T", "fields"]
    command += [word for name in fields for word in ("-e", name)]
    printed = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout  # noqa: S603
    return [line.split("\t") for line in printed.decode().splitlines()]


def _between(packets: list[Packet], src: Pair, dst: Pair, *, rtcp: bool) -> list[bytes]:
    """Return what one end sent to the other: RTCP by its packet types (RFC 5761 section 4), else RTP."""
    return [
        octets
        for sender, receiver, octets in packets
        if sender == src and receiver == dst and octets[0] >> 6 == 2 and (192 <= octets[1] <= 223) is rtcp  # noqa: PLR2004
    ]


def _whole(compound: bytes) -> bool:
    """Return whether the lengths in a compound RTCP packet that begins with SR lead exactly to its end."""
    at, kinds = 0, []
    while at + 4 <= len(compound):
        kinds.append(compound[at + 1])
        at += 4 + 4 * int.from_bytes(compound[at + 2 : at + 4], "big")
    return at == len(compound) and kinds[:2] == [200, 202]


def _derive(key: bytes, label: int, length: int) -> bytes:
    """Return a session key (RFC 3711 section 4.3.1)."""
    salt = int.from_bytes(key[_KEY:], "big") ^ label << 48
    return _aes_ctr(key[:_KEY], salt << 16, bytes(length))


def _cipher(key: bytes, label: int, ssrc: bytes, index: int, octets: bytes) -> bytes:
    """Return the payload under AES-CM (RFC 3711 section 4.1.1); the label of the salt is two after the key's."""
    salt = int.from_bytes(_derive(key, label + 2, _SALT), "big")
    counter = salt << 16 ^ int.from_bytes(ssrc, "big") << 64 ^ index << 16
    return _aes_ctr(_derive(key, label, _KEY), counter, octets)


def _aes_ctr(key: bytes, counter: int, octets: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.CTR(counter.to_bytes(16, "big"))).encryptor().update(octets)


def _tag(key: bytes, octets: bytes) -> bytes:
    return hmac.digest(key, octets, hashlib.sha1)[:_TAG]


def _expand(secret: bytes, seed: bytes, digest: str) -> bytes:
    """Return 64 octets or more of P_hash (RFC 5246 section 5)."""
    first = hmac.digest(secret, seed, digest)
    second = hmac.digest(secret, first, digest)
    return hmac.digest(secret, first + seed, digest) + hmac.digest(secret, second + seed, digest)


if __name__ == "__main__":
    sys.exit(main())
