"""``legwatch probe``: one TLS handshake of our own with each server, judged like those that are seen on the wire.

It shows what cannot be seen from outside: the certificate of a server that speaks TLS 1.3. The daemon never does this.
"""

from __future__ import annotations

import socket
import ssl
import time
from argparse import Namespace
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, NamedTuple

from fastpath.records import FlowKey, Handshake
from sensor.commands import OperatorError, configuration
from sensor.commands.pipeline import Pipeline
from sensor.commands.scan import output_of
from sensor.config.network import Segment
from sensor.config.schema import Config
from sensor.output.summary import Summary, rank

if TYPE_CHECKING:
    from sensor.analysis import Analysis

TIMEOUT_S = 5.0
SIPS_PORT = 5061  # RFC 3261 section 18.2.1
# What is asked holds for every server that the operator names.
_ANYWHERE = Segment("probed", "server", cidrs=(ip_network("0.0.0.0/0"), ip_network("::/0")))
_VERSIONS = {"SSLv3": 0x0300, "TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


class Target(NamedTuple):
    """A server to ask."""

    host: str
    port: int


def execute(args: Namespace) -> int:
    """Ask every server and report; 1 when a finding is at least as severe as asked for."""
    targets = [_target(text) for text in args.servers]
    config = configuration(args.config)
    output, summary = output_of(as_json=args.json), Summary()
    output.begin(None)
    for number, target in enumerate(targets, 1):
        analysis = Pipeline(_asking(config, target)).analysis((output, summary))
        _ask(target, number, analysis)
        analysis.close()
    output.end()
    output.close(summary)
    return int(summary.worst is not None and rank(summary.worst) >= rank(args.fail_on))


def _asking(config: Config, target: Target) -> Config:
    """Return the configuration under which the one server is asked: its port carries SIP, as the operator says."""
    tls = replace(config.policy.tls, sip_ports=(target.port,))
    return replace(config, policy=replace(config.policy, segments=(_ANYWHERE,), pairs=(), tls=tls))


def _target(text: str) -> Target:
    host, separator, port = text.rpartition(":")
    if not separator or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        host, port = text, str(SIPS_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
        raise OperatorError(f"{text}: must be a host and a port, such as sip.example.org:5061 or [2001:db8::1]:5061")
    return Target(host, int(port))


def _ask(target: Target, number: int, analysis: Analysis) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the judgement is ours; what a library refuses could not be judged
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    name = "" if _is_address(target.host) else target.host
    try:
        with (
            socket.create_connection(target, TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=target.host) as tls,
        ):
            analysis.feed(_handshake(tls, number, name))
    except ssl.SSLError as error:
        raise OperatorError(f"{target.host}:{target.port}: the handshake failed: {error.reason or error}") from None
    except OSError as error:
        raise OperatorError(f"{target.host}:{target.port}: {error.strerror or error}") from None


def _handshake(tls: ssl.SSLSocket, number: int, name: str) -> Handshake:
    (client, client_port), (server, server_port) = tls.getsockname()[:2], tls.getpeername()[:2]
    cipher = tls.cipher()
    return Handshake(
        number,
        time.time_ns(),
        FlowKey("tcp", client, client_port, server, server_port, ()),
        from_a=True,
        kind="tls",
        outcome="completed",
        client_version=0,
        version=_VERSIONS.get(tls.version() or "", 0),
        cipher=_number(cipher[0]) if cipher else 0,
        group=0,
        server_name=name,
        alpn="",
        alpn_offered=(),
        resumed=False,
        alert=-1,
        alert_by_client=False,
        certificates=_chain(tls),
        certificates_left_out=False,
        client_certificates=0,
    )


def _chain(tls: ssl.SSLSocket) -> tuple[bytes, ...]:
    """Return what the server shows. Before Python 3.13 only the object below the socket tells more than its own."""
    shown = getattr(tls, "get_unverified_chain", None)
    if shown is not None:
        return tuple(shown())
    below = getattr(getattr(tls, "_sslobj", None), "get_unverified_chain", None)
    if below is not None:
        return tuple(ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in below() or ())
    own = tls.getpeercert(binary_form=True)
    return (own,) if own else ()


def _number(name: str) -> int:
    """Return the IANA number of a suite that OpenSSL names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:@SECLEVEL=0")
    return next((each["id"] & 0xFFFF for each in context.get_ciphers() if each["name"] == name), 0)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
