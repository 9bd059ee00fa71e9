"""What is true by the policy of signalling, and of the services beside it, that are read in clear."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.policy.claims import claim, end, pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastpath.records import Exposure
    from sensor.config.schema import Policy
    from sensor.findings import Claim
    from sensor.policy.segments import Required


def exposed(first: Exposure, transport: str, required: Required, policy: Policy) -> list[Claim]:
    """Return the claim about what SIP shows between two hosts, from the first message that showed it."""
    code, is_required, say = _KINDS[first.kind] if first.protocol == "sip" else _SERVICES[first.kind]
    if not is_required(required):
        return []
    key = first.key
    where = f"over {transport} between {end(key.a, key.a_port)} and {end(key.b, key.b_port)}"
    evidence = say(first, where)
    return [claim(code, policy, pair("signalling", key.a, key.b), required, evidence)]


def _sip(first: Exposure, where: str) -> str:
    return f"SIP read in clear {where}; the first message was {_message(first)}"


def _keys(first: Exposure, where: str) -> str:
    suites = ", ".join(dict.fromkeys(suite or "an unregistered suite" for suite in first.detail))
    return f"a=crypto with {suites} readable in a SIP {_message(first)} {where}"


_SCHEMES = {
    "basic": "Basic credentials (user and password)",
    "digest": "Digest credentials (a hash to guess the password by)",
    "bearer": "a bearer token (RFC 8898)",
    "other": "credentials of a scheme that SIP does not define",
}


def _credentials(first: Exposure, where: str) -> str:
    # What is left of them at a flow's end is said without the scheme.
    what = _SCHEMES[first.detail[0]] if first.detail else "credentials"
    return f"{what} readable in a SIP {_message(first)} {where}"


def _text(_first: Exposure, where: str) -> str:
    return f"the text of a SIP MESSAGE readable {where}"


_KINDS: dict[str, tuple[str, Callable[[Required], bool], Callable[[Exposure, str], str]]] = {
    "sip": ("signalling-clear", lambda required: required.signalling, _sip),
    "keys": ("sdes-key-exposed", lambda required: required.media, _keys),
    "credentials": ("credentials-exposed", lambda required: required.signalling, _credentials),
    "text": ("message-clear", lambda required: required.media or required.signalling, _text),
}


def _signalling(required: Required) -> bool:
    return required.signalling


def _media(required: Required) -> bool:
    return required.media


def _service(first: Exposure, where: str) -> str:
    protocol = _PROTOCOLS.get(first.protocol, first.protocol.upper())
    return f"{_WHAT[first.kind]} readable in {protocol} {where}{_and(first)}"


def _and(first: Exposure) -> str:
    secrets = ", ".join(_SECRETS[word] for word in first.detail)
    return f"; it shows {secrets}" if secrets else ""


_SERVICES: dict[str, tuple[str, Callable[[Required], bool], Callable[[Exposure, str], str]]] = {
    "keys": ("sdes-key-exposed", _media, _service),
    "credentials": ("credentials-exposed", _signalling, _service),
    "text": ("message-clear", _signalling, _service),
    "legacy": ("legacy-signalling-clear", _signalling, _service),
    "media": ("media-clear", _media, _service),
    "provisioning": ("provisioning-clear", _signalling, _service),
    "management": ("management-clear", _signalling, _service),
    "voicemail": ("voicemail-clear", _media, _service),
    "directory": ("directory-clear", _signalling, _service),
    "recording": ("recording-clear", _media, _service),
    "name-time": ("name-time-clear", _signalling, _service),
    "tunnel": ("tunnel-undetermined", _signalling, _service),
}
_WHAT = {
    "keys": "the keys of SRTP",
    "credentials": "credentials",
    "text": "the text of a message",
    "legacy": "call signalling",
    "media": "voice",
    "provisioning": "the configuration of a telephone",
    "management": "the management of a voice host",
    "voicemail": "a voice message",
    "directory": "a directory",
    "recording": "a recording",
    "name-time": "what names and time a voice host trusts",
    "tunnel": "a tunnel that carries calls, whose protection does not show,",
}
_PROTOCOLS = {"telnet": "Telnet", "megaco": "Megaco (H.248)", "h323": "H.323", "3cx-tunnel": "the 3CX tunnel"}
_SECRETS = {
    "password": "a password",
    "basic": "Basic credentials (user and password)",
    "digest": "Digest credentials (a hash to guess the password by)",
    "bearer": "a bearer token",
    "community": "an SNMP community",
    "bind": "the password of a simple bind",
    "configuration": "a configuration file",
    "mail": "a mail",
    "audio": "audio",
    "entries": "entries",
}

# Methods of RFC 3261 and its extensions. Another token could be anything, a telephone number too, and is not repeated.
_METHODS = frozenset(
    (
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "REGISTER",
        "OPTIONS",
        "PRACK",
        "SUBSCRIBE",
        "NOTIFY",
        "PUBLISH",
        "INFO",
        "REFER",
        "MESSAGE",
        "UPDATE",
    )
)


def _message(first: Exposure) -> str:
    method = first.method if first.method in _METHODS else "extension method"
    return f"{first.status} to {method}" if first.status else method
