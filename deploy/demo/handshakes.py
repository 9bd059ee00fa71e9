"""Real handshakes: certificates, and TLS and DTLS connections by OpenSSL in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL, crypto

from .keys import EXPORTED, MediaKeys

KeyLog = Callable[[bytes], None]

_DTLS_MTU = 1200
_RECORD_HEADER = 13  # of DTLS, RFC 6347 section 4.1
_SRTP_PROFILE = b"SRTP_AES128_CM_SHA1_80"
_EXPORTER = b"EXTRACTOR-dtls_srtp"  # RFC 5764 section 4.2
_READ = 1 << 16


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def fingerprint(self) -> str:
        """As ``a=fingerprint`` carries it (RFC 8122 section 5)."""
        return "sha-256 " + self.certificate.fingerprint(hashes.SHA256()).hex(":").upper()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who speaks TLS as a server, and the authority that its clients trust."""

    name: str
    own: Certificate
    authority: Certificate


def certify(name: str, valid_from: datetime, days: int, issuer: Certificate | None = None) -> Certificate:
    """Return a P-256 certificate for a DNS name; without an issuer, a self-signed one that may issue others."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from)
        .not_valid_after(valid_from + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return Certificate(builder.sign((issuer.key if issuer else key), hashes.SHA256()), key)


class SecureLink:
    """Both ends of one TLS or DTLS connection; what they say to each other is handed out as octets of the wire."""

    def __init__(self, client: SSL.Connection, server: SSL.Connection) -> None:
        """Take two connections without a socket."""
        self.client, self.server = client, server
        client.set_connect_state()
        server.set_accept_state()

    def handshake(self) -> Iterator[tuple[bool, bytes]]:
        """Yield the flights of the handshake, each with True when it comes from the client.

        Raises:
            OpenSSL.SSL.Error: the two do not agree.
        """
        quiet = False
        while not quiet:
            quiet = True
            for own, other in ((self.client, self.server), (self.server, self.client)):
                _ignoring_want(own.do_handshake)
                flight = _waiting(own)
                if flight:
                    quiet = False
                    other.bio_write(flight)
                    yield own is self.client, flight
        _ignoring_want(lambda: self.client.recv(_READ))  # the session tickets of TLS 1.3

    def say(self, *, from_client: bool, octets: bytes) -> bytes:
        """Return the records that carry ``octets``, once the other end has read them."""
        own, other = (self.client, self.server) if from_client else (self.server, self.client)
        own.sendall(octets)
        records = _waiting(own)
        other.bio_write(records)
        read = b""
        while len(read) < len(octets):
            read += other.recv(_READ)
        if read != octets:
            raise ValueError("TLS returned other octets than were sent")
        return records


def tls_link(identity: Identity, version: int, alpn: bytes, at: datetime, log: KeyLog) -> SecureLink:
    """Return a TLS connection whose client verifies the server's certificate as of ``at``.

    Args:
        identity: of the server.
        version: ``SSL.TLS1_2_VERSION`` or ``SSL.TLS1_3_VERSION``, the only one that both offer.
        alpn: protocol that the client offers and the server takes; empty for none.
        at: the time of the handshake.
        log: is given the lines of an NSS key log.
    """
    contexts = (SSL.Context(SSL.TLS_CLIENT_METHOD), SSL.Context(SSL.TLS_SERVER_METHOD))
    for context in contexts:
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
    client, server = contexts
    client.set_keylog_callback(lambda _, line: log(line))
    trusted = client.get_cert_store()
    if trusted is None:
        raise ValueError("OpenSSL gave no certificate store")
    trusted.add_cert(crypto.X509.from_cryptography(identity.authority.certificate))
    trusted.set_time(at)
    client.set_verify(SSL.VERIFY_PEER)
    _present(server, identity.own)
    if alpn:
        client.set_alpn_protos([alpn])
        server.set_alpn_select_callback(lambda _, __: alpn)
    ends = SSL.Connection(client, None), SSL.Connection(server, None)
    ends[0].set_tlsext_host_name(identity.name.encode())
    ends[0].set_verify(SSL.VERIFY_PEER)
    return SecureLink(*ends)


def dtls_link(client: Certificate, server: Certificate, log: KeyLog) -> SecureLink:
    """Return a DTLS 1.2 connection that offers ``use_srtp``; each end checks the other's fingerprint (RFC 5763)."""
    ends = []
    for own, other in ((client, server), (server, client)):
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_options(SSL.OP_NO_QUERY_MTU)
        context.set_tlsext_use_srtp(_SRTP_PROFILE + b":SRTP_AEAD_AES_128_GCM")
        _present(context, own)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _accept_only(other))
        context.set_keylog_callback(lambda _, line: log(line))
        connection = SSL.Connection(context, None)
        connection.set_ciphertext_mtu(_DTLS_MTU)
        ends.append(connection)
    return SecureLink(ends[0], ends[1])


def dtls_datagrams(flight: bytes) -> Iterator[bytes]:
    """Yield a flight as datagrams: whole records, as many as the MTU lets travel together (RFC 6347 section 4.1.1)."""
    datagram = b""
    while flight:
        length = _RECORD_HEADER + int.from_bytes(flight[11:13], "big")
        if datagram and len(datagram) + length > _DTLS_MTU:
            yield datagram
            datagram = b""
        datagram += flight[:length]
        flight = flight[length:]
    yield datagram


def exported_keys(link: SecureLink, *, caller_is_client: bool) -> MediaKeys:
    """Return the SRTP keys of a finished DTLS handshake.

    Raises:
        ValueError: the handshake chose another SRTP profile, or the two ends exported different keys.
    """
    exports = {end.export_keying_material(_EXPORTER, EXPORTED) for end in (link.client, link.server)}
    profiles = {end.get_selected_srtp_profile() for end in (link.client, link.server)}
    if profiles != {_SRTP_PROFILE} or len(exports) > 1:
        raise ValueError("the two ends of DTLS do not agree on SRTP")
    return MediaKeys.exported(exports.pop(), caller_is_client=caller_is_client)


def _present(context: SSL.Context, own: Certificate) -> None:
    context.use_certificate(own.certificate)
    context.use_privatekey(own.key)


def _accept_only(expected: Certificate) -> Callable[[SSL.Connection, crypto.X509, int, int, int], bool]:
    return lambda _, seen, *__: seen.to_cryptography() == expected.certificate


def _waiting(connection: SSL.Connection) -> bytes:
    """Return everything that a connection wants to send."""
    octets = b""
    while True:
        try:
            octets += connection.bio_read(_READ)
        except SSL.WantReadError:
            return octets


def _ignoring_want(step: Callable[[], object]) -> None:
    """Take a step of a connection that may have to wait for the other end."""
    try:
        step()
    except SSL.WantReadError:
        return
