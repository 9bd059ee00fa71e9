"""What certificates are worth: chains of every kind, made for the purpose (RFC 5280, RFC 9525)."""

from __future__ import annotations

import datetime as dt
import ssl
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from sensor.model import Chain
from sensor.tls.certificates import MAX_CHAINS, MAX_PER_SECOND, Certificates

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
NOW_NS = int(NOW.timestamp()) * 10**9
UNKNOWN_CRITICAL = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\0")
Key = CertificateIssuerPrivateKeyTypes


class Issued(NamedTuple):
    """A certificate and its key."""

    key: Key
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def issue(
    name: str,
    issuer: Issued | None,
    *,
    ca: bool = False,
    key: Key | None = None,
    days: tuple[int, int] = (-10, 300),
    path_length: int | None = None,
    critical: tuple[x509.ExtensionType, ...] = (),
    hosts: tuple[x509.GeneralName, ...] = (),
    more: tuple[x509.NameAttribute[str], ...] = (),
) -> Issued:
    """Return a certificate that is valid from and to so many days from now."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), *more])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + dt.timedelta(days=days[0]))
        .not_valid_after(NOW + dt.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    )
    for extension in critical:
        builder = builder.add_extension(extension, critical=True)
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    signer = issuer.key if issuer else key
    return Issued(key, builder.sign(signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()))


ROOT = issue("Root", None, ca=True)
ISSUER = issue("Issuer", ROOT, ca=True)
HOST = x509.DNSName("pbx.example.org")


def server(
    issuer: Issued | None = ISSUER, *, hosts: tuple[x509.GeneralName, ...] = (HOST,), **options: object
) -> Issued:
    return issue("pbx.example.org", issuer, hosts=hosts, **options)  # type: ignore[arg-type]


def read(*certificates: Issued, roots: tuple[Issued, ...] = (ROOT,)) -> Chain:
    reader = Certificates(lambda: [root.der for root in roots])
    return reader.read([each.der for each in certificates], NOW_NS)


def trust(*certificates: Issued, roots: tuple[Issued, ...] = (ROOT,)) -> tuple[str, str]:
    chain = read(*certificates, roots=roots)
    assert chain.readable
    return chain.trust, chain.reason


def test_good_chain_is_trusted_and_described() -> None:
    leaf = server()
    chain = read(leaf, ISSUER)
    assert (chain.trust, chain.reason, chain.weak, chain.self_signed) == ("trusted", "", (), False)
    assert (chain.key, chain.signature) == ("EC 256", "sha256")
    assert chain.fingerprint == leaf.certificate.fingerprint(hashes.SHA256()).hex()
    assert chain.not_before_ns == NOW_NS - 10 * 86_400 * 10**9
    assert chain.not_after_ns == NOW_NS + 300 * 86_400 * 10**9


def test_oddities_of_a_strangers_certificate_are_no_warnings_of_ours() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        odd = issue("odd", None, more=(x509.NameAttribute(NameOID.COUNTRY_NAME, "USA", _validate=False),))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert read(odd).readable
    assert said == []


def test_expired_server_certificate_is_still_of_a_trusted_issuer() -> None:
    assert trust(server(days=(-100, -1)), ISSUER) == ("trusted", "")
    assert trust(server(days=(1, 100)), ISSUER) == ("trusted", "")


UNTRUSTED: dict[str, Callable[[], tuple[Issued, ...]]] = {
    "issuer-not-shown": lambda: (server(),),
    "unknown-root": lambda: (server(other := issue("Other", None, ca=True)), other),
    "expired-issuer": lambda: (server(old := issue("Old", ROOT, ca=True, days=(-300, -1))), old),
    "issuer-is-no-authority": lambda: (server(plain := issue("Plain", ROOT)), plain),
    "path-too-long": lambda: (
        server(sub := issue("Sub", short := issue("Short", ROOT, ca=True, path_length=0), ca=True)),
        sub,
        short,
    ),
    "name-constraints": lambda: (
        server(
            bound := issue(
                "Bound", ROOT, ca=True, critical=(x509.NameConstraints([x509.DNSName("other.example")], None),)
            )
        ),
        bound,
    ),
    "critical-extension": lambda: (server(critical=(UNKNOWN_CRITICAL,)), ISSUER),
    "critical-extension-of-issuer": lambda: (
        server(odd := issue("Odd", ROOT, ca=True, critical=(UNKNOWN_CRITICAL,))),
        odd,
    ),
    "self-signed": lambda: (server(None),),
}
REASONS = {
    "issuer-not-shown": "no trusted issuer is known",
    "unknown-root": "no trusted issuer is known",
    "expired-issuer": "a certificate of an issuer has expired or is not valid yet",
    "issuer-is-no-authority": "an issuer is no certificate authority",
    "path-too-long": "the path is longer than an issuer allows",
    "name-constraints": "an issuer may not issue for this name (name constraints)",
    "critical-extension": "it has a critical extension that is not known",
    "critical-extension-of-issuer": "it has a critical extension that is not known",
    "self-signed": "no trusted issuer is known",
}


@pytest.mark.parametrize("case", UNTRUSTED)
def test_chain_that_does_not_hold_is_not_trusted_and_says_why(case: str) -> None:
    assert trust(*UNTRUSTED[case]()) == ("untrusted", REASONS[case])


def test_without_anything_to_trust_nothing_is_said_of_trust() -> None:
    assert Certificates(lambda: None).read([server().der], NOW_NS).trust == "unknown"


def test_private_authority_may_leave_out_what_browsers_want() -> None:
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    private = issue("Private", None, ca=True, critical=(usage,))
    assert trust(server(private, hosts=()), roots=(private,)) == ("trusted", "")


def test_order_of_the_issuers_does_not_matter() -> None:
    sub = issue("Sub", ISSUER, ca=True)
    assert trust(server(sub), ISSUER, sub) == ("trusted", "")


@pytest.mark.parametrize(
    ("key", "weak"),
    [
        (lambda: rsa.generate_private_key(65537, 1024), ("an RSA key of 1024 bits",)),
        (lambda: rsa.generate_private_key(65537, 2048), ()),
        (lambda: ec.generate_private_key(ec.SECP192R1()), ("an elliptic-curve key of 192 bits",)),
        (lambda: ec.generate_private_key(ec.SECP384R1()), ()),
        (ed25519.Ed25519PrivateKey.generate, ()),
        (lambda: dsa.generate_private_key(2048), ("a DSA key",)),
    ],
    ids=["rsa-1024", "rsa-2048", "p192", "p384", "ed25519", "dsa"],
)
def test_key_that_is_too_short_is_weak(key: object, weak: tuple[str, ...]) -> None:
    assert read(server(key=key()), ISSUER).weak == weak  # type: ignore[operator]


def test_weak_issuer_is_a_weak_chain() -> None:
    weak = issue("Weak", ROOT, ca=True, key=rsa.generate_private_key(65537, 1024))
    assert read(server(weak), weak).weak == ("an RSA key of 1024 bits",)


@pytest.mark.parametrize(("digest", "name"), [("sha1", "SHA-1"), ("md5", "MD5")])
def test_signature_by_an_old_hash_is_weak(tmp_path: Path, digest: str, name: str) -> None:
    """OpenSSL still signs so; the library that reads does not."""
    run = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=ca", "-keyout", "ca.key", "-out"]
    subprocess.run([*run, "ca.pem"], cwd=tmp_path, check=True, capture_output=True)
    run = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=pbx", "-keyout", "k", "-out", "r"]
    subprocess.run(run, cwd=tmp_path, check=True, capture_output=True)
    run = ["openssl", "x509", "-req", "-in", "r", "-CA", "ca.pem", "-CAkey", "ca.key", f"-{digest}", "-out", "c.pem"]
    subprocess.run([*run, "-set_serial", "7"], cwd=tmp_path, check=True, capture_output=True)
    der = ssl.PEM_cert_to_DER_cert((tmp_path / "c.pem").read_text())
    root = ssl.PEM_cert_to_DER_cert((tmp_path / "ca.pem").read_text())
    chain = Certificates(lambda: [root]).read([der], NOW_NS)
    assert chain.weak == (f"a signature with {name}",)


def test_certificate_that_signed_itself_is_self_signed_and_one_that_only_says_so_is_not() -> None:
    assert read(server(None)).self_signed
    liar = issue("Root", issue("Root", None, ca=True), hosts=(HOST,))
    assert not read(liar).self_signed


@pytest.mark.parametrize(
    ("hosts", "name", "fits"),
    [
        ((HOST,), "pbx.example.org", True),
        ((HOST,), "PBX.example.org.", True),
        ((HOST,), "sbc.example.org", False),
        ((x509.DNSName("*.example.org"),), "pbx.example.org", True),
        ((x509.DNSName("*.example.org"),), "a.pbx.example.org", False),
        ((x509.DNSName("*.example.org"),), "example.org", False),
        ((x509.IPAddress(__import__("ipaddress").ip_address("192.0.2.1")),), "192.0.2.1", True),
        ((x509.DNSName("*.0.2.1"),), "192.0.2.1", False),
        ((), "pbx.example.org", True),  # its common name, as there is no other
        ((x509.DNSName("other.example"),), "pbx.example.org", False),  # … which counts no more where there is
    ],
)
def test_name_is_compared_as_rfc9525_has_it(hosts: tuple[x509.GeneralName, ...], name: str, *, fits: bool) -> None:
    assert read(server(hosts=hosts), ISSUER).is_for(name) is fits


# Hostile octets


def test_certificate_of_a_megabyte_is_not_read() -> None:
    assert not Certificates(lambda: None).read([bytes(1 << 20)], NOW_NS).readable


def test_hundred_issuers_cost_nothing_much() -> None:
    chain, issuers = ROOT, []
    for n in range(100):
        chain = issue(f"CA {n}", chain, ca=True)
        issuers.append(chain)
    assert trust(server(chain), *reversed(issuers)) == ("untrusted", "the path is too long")


def nested(depth: int) -> bytes:
    der = b""
    for _ in range(depth):
        der = b"\x30\x82" + len(der).to_bytes(2) + der
    return der


@pytest.mark.parametrize(
    "der",
    [b"", b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x80\0\0", nested(3000), b"\x30\x82\x40\0" + bytes(16380)],
    ids=["empty", "header", "huge-length", "indefinite", "nested", "zeros"],
)
def test_asn1_that_lies_is_unreadable(der: bytes) -> None:
    reader = Certificates(lambda: [ROOT.der])
    assert not reader.read([der, ISSUER.der], NOW_NS).readable
    assert reader.unreadable == 1


def test_issuer_that_cannot_be_read_hides_nothing_of_the_server() -> None:
    reader = Certificates(lambda: [ROOT.der])
    chain = reader.read([server().der, b"\x30\x03\1\2", ISSUER.der], NOW_NS)
    assert (chain.readable, chain.trust) == (True, "trusted")


@given(st.lists(st.binary(max_size=300), max_size=4))
def test_any_octets_are_read_or_not_and_never_raise(certificates: list[bytes]) -> None:
    assert not Certificates(lambda: None).read(certificates, NOW_NS).readable


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=4))
def test_certificate_with_changed_octets_never_raises(at: int, octets: bytes) -> None:
    der = bytearray(LEAF.der)
    der[at % len(der) : at % len(der) + len(octets)] = octets
    Certificates(lambda: [ROOT.der]).read([bytes(der), ISSUER.der], NOW_NS)


def test_flood_of_new_certificates_is_left_out_and_counted() -> None:
    reader = Certificates(lambda: None)
    for n in range(1000):
        reader.read([n.to_bytes(4)], NOW_NS)
    assert (reader.unreadable, reader.left_out) == (MAX_PER_SECOND, 1000 - MAX_PER_SECOND)
    assert reader.read([LEAF.der], NOW_NS + 10**9).readable


def test_chains_that_are_remembered_are_bounded() -> None:
    reader = Certificates(lambda: None)
    for n in range(MAX_CHAINS + 100):
        reader.read([n.to_bytes(4)], NOW_NS + n * 10**9)
    assert len(reader._known) == MAX_CHAINS
    assert reader.unreadable == MAX_CHAINS + 100


LEAF = server()
