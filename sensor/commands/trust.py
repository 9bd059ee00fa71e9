"""The certificates of the authorities that the operating system trusts."""

from __future__ import annotations

import ssl


def system_roots() -> list[bytes] | None:
    """Return them in DER, None when there are none: then nothing can be said of who is trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    paths = ssl.get_default_verify_paths()
    try:
        context.load_verify_locations(cafile=paths.cafile)
    except (OSError, TypeError):  # no such file, or none that OpenSSL knows of
        return None
    return context.get_ca_certs(binary_form=True) or None
