"""TLS to a receiver: who is trusted, who we are, and what is said of a connection that failed."""

from __future__ import annotations

import ssl

from sensor.config.sinks import SyslogSink, WebSink


def context(sink: SyslogSink | WebSink) -> ssl.SSLContext:
    """Return what a sink's connections need; names are checked, TLS is 1.2 or later. OSError for an unusable key."""
    authorities = b"".join(sink.ca_file.certificates) if sink.ca_file else None
    made = ssl.create_default_context(cadata=authorities)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if sink.cert_file and sink.key_file:
        # a key with a passphrase would be asked for on the terminal
        made.load_cert_chain(sink.cert_file, sink.key_file.path, password="")
    return made


def reason(error: BaseException) -> str:
    """Return why a connection failed, without what the library knows of the request."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate is refused: {cause.verify_message}"
        if isinstance(cause, TimeoutError):
            return "it took too long"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
