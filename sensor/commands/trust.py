"""The certificates of the authorities that the operating system trusts."""

from __future__ import annotations

import ssl

# Where distributions keep them in one file; what OpenSSL was built with, or SSL_CERT_FILE names, comes first.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine
)


def system_roots() -> list[bytes] | None:
    """Return them in DER, None when there are none: then nothing can be said of who is trusted."""
    for path in (ssl.get_default_verify_paths().cafile, *_BUNDLES):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cafile=path)
        except (OSError, TypeError):  # no such file, or none that OpenSSL knows of
            continue
        if roots := context.get_ca_certs(binary_form=True):
            return roots
    return None
