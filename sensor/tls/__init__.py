"""Transport security: what handshakes agree on, and what certificates are worth."""
