"""What the certificates that a server shows are worth: parsed once, judged by the time of the packets.

Read first: RFC 5280 sections 4.1 and 6.1, RFC 9525 section 6, NIST SP 800-52r2 section 3.2. The analysis runs beside
the capture, never in its thread, so a certificate that takes long costs no packet.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sensor.model import Chain, Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography import x509

NS = 1_000_000_000
MAX_OCTETS = 16_384  # of one certificate
MAX_CHAINS = 4096  # that are remembered
MAX_PER_SECOND = 100  # new chains that are read in a second of packet time: about a tenth of a core
MAX_NAMES = 64  # of one certificate that are compared
MAX_DEPTH = 8  # of intermediates
LEAST_RSA, LEAST_EC = 2048, 224  # bits (NIST SP 800-57 part 1, table 2: 112 bits of security)
_WEAK_HASHES = {"md5": "MD5", "sha1": "SHA-1"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# What the verification says, in words of our own: its texts name the certificate's subject, who may be a person.
_REASONS = (
    ("not valid at validation time", "a certificate of an issuer has expired or is not valid yet"),
    ("name constraints", "an issuer may not issue for this name (name constraints)"),
    ("critical extension", "it has a critical extension that is not known"),
    ("path length", "the path is longer than an issuer allows"),
    ("max depth", "the path is too long"),
    ("cA must be asserted", "an issuer is no certificate authority"),
    ("no interior errors", "no trusted issuer is known"),
)


UNREADABLE = Chain(readable=False)


class Certificates:
    """Reads chains, each once; ``roots`` gives what is trusted, None when nobody says what is."""

    def __init__(self, roots: Callable[[], Sequence[bytes] | None]) -> None:
        self.unreadable = 0
        self.left_out = 0  # beyond what is read in a second
        self._second = 0
        self._left = MAX_PER_SECOND
        self._roots = roots
        self._store: x509.verification.Store | None = None
        self._asked = False
        self._known: OrderedDict[bytes, Chain] = OrderedDict()

    def read(self, certificates: Sequence[bytes], ts_ns: int) -> Chain:
        """Return what a chain in DER is worth, the server's own first, as of a packet's time.

        A flood of certificates that nobody has seen before is left out beyond a rate, as if it could not be read.
        """
        digest = hashlib.sha256(b"".join(certificates)).digest()
        chain = self._known.pop(digest, None)
        if chain is None:
            if self._second != ts_ns // NS:
                self._second, self._left = ts_ns // NS, MAX_PER_SECOND
            if self._left == 0:
                self.left_out += 1
                return UNREADABLE
            self._left -= 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what is odd about a stranger's certificate is no news of ours
                chain = self._read(certificates, ts_ns)
            self.unreadable += not chain.readable
        self._known[digest] = chain
        if len(self._known) > MAX_CHAINS:
            self._known.popitem(last=False)
        return chain

    def forget(self) -> None:
        """Read everything anew: what is trusted may have changed."""
        self._known.clear()
        self._asked = False

    def _read(self, certificates: Sequence[bytes], ts_ns: int) -> Chain:
        from cryptography import x509  # noqa: PLC0415  (loaded with the first certificate)

        parsed = [each for each in map(_parsed, certificates) if each is not None]
        if not certificates or len(certificates[0]) > MAX_OCTETS or _parsed(certificates[0]) is None:
            return UNREADABLE
        leaf = parsed[0]
        try:
            self_signed = _is_self_signed(leaf)
            weak = tuple(dict.fromkeys(why for each in parsed for why in _weaknesses(each)))
            trust, reason = self._trust(leaf, parsed[1:], ts_ns)
            return Chain(
                True,
                hashlib.sha256(certificates[0]).hexdigest(),
                _key(leaf),
                _hash(leaf),
                self_signed,
                _ns(leaf.not_valid_before_utc),
                _ns(leaf.not_valid_after_utc),
                _names(leaf),
                weak,
                trust,
                reason,
            )
        except (*_ERRORS, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
            return UNREADABLE

    def _trust(self, leaf: x509.Certificate, others: list[x509.Certificate], ts_ns: int) -> tuple[Trust, str]:
        from cryptography.x509 import verification  # noqa: PLC0415

        store = self._trusted()
        if store is None:
            return "unknown", ""
        # The server's own validity is judged by itself: here it shall not hide what is wrong with its issuers.
        at = min(
            max(_EPOCH + timedelta(microseconds=ts_ns // 1000), leaf.not_valid_before_utc), leaf.not_valid_after_utc
        )
        policy = verification.PolicyBuilder().store(store).time(at).max_chain_depth(MAX_DEPTH)
        policy = policy.extension_policies(
            ca_policy=_issuer_policy(), ee_policy=verification.ExtensionPolicy.permit_all()
        )
        try:
            # A root that is shown and not trusted leads nowhere but to itself.
            policy.build_client_verifier().verify(leaf, [each for each in others if each.issuer != each.subject])
        except verification.VerificationError as error:
            text = str(error)
            return "untrusted", next((words for part, words in _REASONS if part in text), "its path is not valid")
        return "trusted", ""

    def _trusted(self) -> x509.verification.Store | None:
        from cryptography.x509 import verification  # noqa: PLC0415

        if not self._asked:
            self._asked = True
            roots = [each for each in map(_parsed, self._roots() or ()) if each is not None]
            self._store = verification.Store(roots) if roots else None
        return self._store


_ERRORS = (ValueError, TypeError, OverflowError, AttributeError)


def _parsed(der: bytes) -> x509.Certificate | None:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415

    if len(der) > MAX_OCTETS:
        return None
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.public_key()  # what follows asks for it
    except (*_ERRORS, UnsupportedAlgorithm, x509.InvalidVersion):
        return None
    return certificate


def _issuer_policy() -> x509.verification.ExtensionPolicy:
    """Ask of an issuer that it is one; private authorities often leave out the rest that web browsers want."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.x509.verification import Criticality, ExtensionPolicy  # noqa: PLC0415

    policy = ExtensionPolicy.permit_all().require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
    return policy.may_be_present(x509.NameConstraints, Criticality.AGNOSTIC, None)


def _is_self_signed(certificate: x509.Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415

    if certificate.issuer != certificate.subject:
        return False
    try:
        certificate.verify_directly_issued_by(certificate)
    except InvalidSignature:
        return False
    except (*_ERRORS, UnsupportedAlgorithm):
        return True  # by an algorithm that cannot be checked: its name says that nobody else signed it
    return True


def _weaknesses(certificate: x509.Certificate) -> list[str]:
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa  # noqa: PLC0415

    key, found = certificate.public_key(), []
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_RSA:
        found.append(f"an RSA key of {key.key_size} bits")
    elif isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < LEAST_EC:
        found.append(f"an elliptic-curve key of {key.key_size} bits")
    elif isinstance(key, dsa.DSAPublicKey):
        found.append("a DSA key")
    # Nobody relies on the signature of a certificate that signed itself.
    if _hash(certificate) in _WEAK_HASHES and certificate.issuer != certificate.subject:
        found.append(f"a signature with {_WEAK_HASHES[_hash(certificate)]}")
    return found


def _key(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    name = type(key).__name__.removesuffix("PublicKey").replace("EllipticCurve", "EC")
    size = getattr(key, "key_size", None)
    return f"{name} {size}" if size else name


def _hash(certificate: x509.Certificate) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415

    try:
        used = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return ""
    return used.name if used else ""


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return whom it is for; the common name only where there is no alternative one, as long was usual (RFC 2818)."""
    from cryptography import x509  # noqa: PLC0415

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        attributes = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return tuple(str(each.value).lower() for each in attributes[:MAX_NAMES])
    hosts = [each.lower() for each in names.get_values_for_type(x509.DNSName)]
    hosts += [str(each) for each in names.get_values_for_type(x509.IPAddress)]
    return tuple(hosts[:MAX_NAMES])


def _ns(moment: datetime) -> int:
    return int((moment - _EPOCH) / timedelta(microseconds=1)) * 1000
