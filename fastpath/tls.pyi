from typing import NamedTuple

class HelloFields(NamedTuple):
    result: int
    seen: frozenset[str]
    client_version: int
    version: int
    cipher: int
    srtp_offer: int
    srtp_profile: int
    alert: int
    server_name: str
    alpn_offered: frozenset[str]
    alpn_first: str
    alpn: str

def probe_tls(octets: bytes) -> bool: ...
def probe_dtls(octets: bytes) -> bool: ...
def scan_dtls(*datagrams: bytes) -> HelloFields: ...
def is_null_cipher(cipher: int) -> bool: ...
