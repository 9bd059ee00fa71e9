"""What is said of each mistake in the parts of the policy that describe the network, in alerts, state and privacy."""

from __future__ import annotations

import pytest

from sensor.config.load import ConfigError, parse_config

PROTOCOLS = (
    'must be tcp or udp with a port, such as "tcp/22", or one of any, dns, ftp, http, https, imap, ldap, ntp, pop3, '
    "sip, smtp, snmp, ssh, telnet, tftp, tls"
)
ONE_FAULT = {
    "segment-isolated-maybe": (
        "policy: {segments: [{name: a, vlans: [5], isolated: maybe}]}",
        "1:53: policy.segments[0].isolated: must be true or false",
    ),
    "segment-isolated-misspelt": (
        "policy: {segments: [{name: a, vlans: [5], isolate: true}]}",
        '1:43: policy.segments[0].isolate: unknown key; did you mean "isolated"?',
    ),
    "segment-severity-of-nothing": (
        "policy: {segments: [{name: a, vlans: [5], severities: {media-claer: high}}]}",
        '1:69: policy.segments[0].severities.media-claer: unknown finding code; did you mean "media-clear"?',
    ),
    "segment-severity-unknown": (
        "policy: {segments: [{name: a, vlans: [5], severities: {media-clear: urgent}}]}",
        "1:69: policy.segments[0].severities.media-clear: must be one of info, low, medium, high, critical",
    ),
    "segment-interfaces-text": (
        "policy: {segments: [{name: a, vlans: [5], interfaces: eth0}]}",
        "1:55: policy.segments[0].interfaces: must be a list",
    ),
    "segment-vlan-taken": (
        "policy: {segments: [{name: a, vlans: [5]}, {name: b, vlans: [5]}]}",
        '1:62: policy.segments[1].vlans[0]: 5 is taken by segment "a" already',
    ),
    "segment-interface-taken": (
        "policy: {segments: [{name: a, interfaces: [e]}, {name: b, interfaces: [e]}]}",
        '1:72: policy.segments[1].interfaces[0]: e is taken by segment "a" already',
    ),
    "pair-key-misspelt": (
        "policy: {pairs: [{between: [voice, outside], min_tsl: '1.2'}]}",
        '1:46: policy.pairs[0].min_tsl: unknown key; did you mean "min_tls"?',
    ),
    "pair-without-between": (
        "policy: {pairs: [{media: any}]}",
        "1:18: policy.pairs[0].between: is required and missing",
    ),
    "pair-rtcp-unknown": (
        "policy: {pairs: [{between: [voice, outside], rtcp: any}]}",
        "1:52: policy.pairs[0].rtcp: must be beside-srtp or encrypted",
    ),
    "pair-tls-too-old": (
        "policy: {pairs: [{between: [voice, outside], min_tls: '1.1'}]}",
        "1:55: policy.pairs[0].min_tls: must be 1.2 or 1.3",
    ),
    "pair-tls-number": (
        "policy: {pairs: [{between: [voice, outside], min_tls: 1.2}]}",
        "1:55: policy.pairs[0].min_tls: must be 1.2 or 1.3, in quotes",
    ),
    "pair-cipher-strong": (
        "policy: {pairs: [{between: [voice, outside], allowed_ciphers: [TLS_AES_128_GCM_SHA256]}]}",
        (
            "1:64: policy.pairs[0].allowed_ciphers[0]: must be a weak cipher suite by its registered name, such "
            "as TLS_RSA_WITH_AES_128_CBC_SHA"
        ),
    ),
    "pair-suite-strong": (
        "policy: {pairs: [{between: [voice, outside], allowed_suites: [AES_CM_128_HMAC_SHA1_80]}]}",
        (
            "1:63: policy.pairs[0].allowed_suites[0]: must be a weak suite by its registered name, such as "
            "AES_CM_128_HMAC_SHA1_32"
        ),
    ),
    "pair-key-exchange-unknown": (
        "policy: {pairs: [{between: [voice, outside], key_exchange: [mikey]}]}",
        "1:61: policy.pairs[0].key_exchange[0]: must be sdes, dtls or zrtp",
    ),
    "pair-certificates-unknown": (
        "policy: {pairs: [{between: [voice, outside], certificates: by-segment}]}",
        "1:60: policy.pairs[0].certificates: must be trusted or any",
    ),
    "pair-access-unknown": (
        "policy: {pairs: [{between: [voice, outside], access: refused}]}",
        "1:54: policy.pairs[0].access: must be allowed or denied",
    ),
    "pair-grace-negative": (
        "policy: {pairs: [{between: [voice, outside], grace: -1}]}",
        "1:53: policy.pairs[0].grace: must be a number of seconds from 0 to 86400",
    ),
    "pair-undetermined-at-once": (
        "policy: {pairs: [{between: [voice, outside], undetermined_after: 0}]}",
        "1:66: policy.pairs[0].undetermined_after: must be a number of seconds from 1 to 86400",
    ),
    "pair-severity-of-nothing": (
        "policy: {pairs: [{between: [voice, outside], severities: {sip-clear: high}}]}",
        '1:70: policy.pairs[0].severities.sip-clear: unknown finding code; did you mean "rtcp-clear"?',
    ),
    "host-without-a-role": (
        "policy: {hosts: [{name: pbx, addresses: [10.0.0.5]}]}",
        "1:18: policy.hosts[0].role: is required and missing",
    ),
    "host-role-unknown": (
        "policy: {hosts: [{name: pbx, role: phone, addresses: [10.0.0.5]}]}",
        "1:36: policy.hosts[0].role: must be pbx, sbc, relay, recorder, voicemail or provisioning",
    ),
    "host-nowhere": (
        "policy: {hosts: [{name: pbx, role: pbx, addresses: []}]}",
        "1:52: policy.hosts[0].addresses: needs at least one address",
    ),
    "host-by-name": (
        "policy: {hosts: [{name: pbx, role: pbx, addresses: [pbx.example.org]}]}",
        '1:53: policy.hosts[0].addresses[0]: "pbx.example.org" is not an address',
    ),
    "host-by-range": (
        "policy: {hosts: [{name: pbx, role: pbx, addresses: [10.0.0.0/24]}]}",
        '1:53: policy.hosts[0].addresses[0]: "10.0.0.0/24" is not an address',
    ),
    "host-address-no-list": (
        "policy: {hosts: [{name: pbx, role: pbx, addresses: 10.0.0.5}]}",
        "1:52: policy.hosts[0].addresses: must be a list",
    ),
    "host-key-misspelt": (
        "policy: {hosts: [{name: pbx, role: pbx, address: [10.0.0.5], addresses: [10.0.0.5]}]}",
        '1:41: policy.hosts[0].address: unknown key; did you mean "addresses"?',
    ),
    "host-address-twice": (
        "policy: {hosts: [{name: a, role: pbx, addresses: [10.0.0.5]}, {name: b, role: sbc, addresses: [10.0.0.5]}]}",
        '1:96: policy.hosts[1].addresses[0]: 10.0.0.5 is taken by "a" already',
    ),
    "host-address-twice-spelt-otherwise": (
        (
            "policy: {hosts: [{name: a, role: pbx, addresses: ['fd00::5']}, {name: b, role: sbc, addresses: "
            "['fd00:0::5']}]}"
        ),
        '1:97: policy.hosts[1].addresses[0]: fd00::5 is taken by "a" already',
    ),
    "path-without-clients": (
        "policy: {management: [{servers: [voice]}]}",
        "1:23: policy.management[0].clients: is required and missing",
    ),
    "path-segment-unknown": (
        "policy: {management: [{clients: [voic], servers: [voice]}]}",
        '1:34: policy.management[0].clients[0]: no segment is called "voic"; did you mean "voice"?',
    ),
    "path-server-unknown": (
        "policy: {management: [{clients: [outside], servers: [xyzzy]}]}",
        '1:54: policy.management[0].servers[0]: no segment is called "xyzzy"',
    ),
    "path-of-nobody": (
        "policy: {management: [{clients: [], servers: [voice]}]}",
        "1:33: policy.management[0].clients: must name at least one",
    ),
    "path-without-protocols": (
        "policy: {management: [{clients: [outside], servers: [voice], protocols: []}]}",
        "1:73: policy.management[0].protocols: must name at least one",
    ),
    "path-host-bits": (
        "policy: {management: [{clients: [10.1.2.3/16], servers: [voice]}]}",
        '1:34: policy.management[0].clients[0]: "10.1.2.3/16" has bits set beyond its prefix; write 10.1.0.0/16',
    ),
    "path-number": (
        "policy: {management: [{clients: [10], servers: [voice]}]}",
        "1:34: policy.management[0].clients[0]: must be an address, a range or the name of a segment",
    ),
    "path-protocol-unknown": (
        "policy: {management: [{clients: [outside], servers: [voice], protocols: [htps]}]}",
        "1:74: policy.management[0].protocols[0]: " + PROTOCOLS + '; did you mean "https"?',
    ),
    "path-port-too-high": (
        "policy: {management: [{clients: [outside], servers: [voice], protocols: [tcp/70000]}]}",
        "1:74: policy.management[0].protocols[0]: " + PROTOCOLS,
    ),
    "path-protocol-of-no-transport": (
        "policy: {management: [{clients: [outside], servers: [voice], protocols: [sctp/80]}]}",
        "1:74: policy.management[0].protocols[0]: " + PROTOCOLS,
    ),
    "vendor-nowhere": (
        "policy: {vendors: [{name: A, addresses: []}]}",
        "1:41: policy.vendors[0].addresses: needs at least one range",
    ),
    "vendor-without-a-name": (
        "policy: {vendors: [{addresses: [203.0.113.0/24]}]}",
        "1:20: policy.vendors[0].name: is required and missing",
    ),
    "vendor-host-bits": (
        "policy: {vendors: [{name: A, addresses: [203.0.113.5/24]}]}",
        '1:42: policy.vendors[0].addresses[0]: "203.0.113.5/24" has bits set beyond its prefix; write 203.0.113.0/24',
    ),
    "vendor-name-empty": (
        "policy: {vendors: [{name: '', addresses: [203.0.113.0/24]}]}",
        "1:27: policy.vendors[0].name: must be a line of 1 to 200 characters",
    ),
    "vendor-range-twice": (
        "policy: {vendors: [{name: A, addresses: [203.0.113.0/24]}, {name: B, addresses: [203.0.113.0/24]}]}",
        '1:82: policy.vendors[1].addresses[0]: 203.0.113.0/24 is taken by "A" already',
    ),
    "vendor-baa-flag": (
        "policy: {vendors: [{name: A, addresses: [203.0.113.0/24], baa: true}]}",
        "1:64: policy.vendors[0].baa: must be a mapping",
    ),
    "vendor-baa-required-maybe": (
        "policy: {vendors: [{name: A, addresses: [203.0.113.0/24], baa_required: maybe}]}",
        "1:73: policy.vendors[0].baa_required: must be true or false",
    ),
    "baa-without-a-day": (
        "policy: {vendors: [{name: A, addresses: [203.0.113.0/24], baa: {expires: 2027-01-31}}]}",
        "1:64: policy.vendors[0].baa.signed: is required and missing",
    ),
    "baa-day-as-text": (
        "policy: {vendors: [{name: A, addresses: [203.0.113.0/24], baa: {signed: soon}}]}",
        "1:73: policy.vendors[0].baa.signed: must be a day, such as 2027-03-31",
    ),
    "baa-day-that-is-none": (
        "policy: {vendors: [{name: A, addresses: [203.0.113.0/24], baa: {signed: 2026-02-30}}]}",
        "1:73: policy.vendors[0].baa.signed: cannot be read: day is out of range for month",
    ),
    "baa-moment": (
        "policy: {vendors: [{name: A, addresses: [203.0.113.0/24], baa: {signed: 2026-02-28 12:00:00}}]}",
        "1:73: policy.vendors[0].baa.signed: must be a day, such as 2027-03-31",
    ),
    "baa-over-before-it-began": (
        "policy: {vendors: [{name: A, addresses: [203.0.113.0/24], baa: {signed: 2026-02-28, expires: 2026-02-27}}]}",
        "1:94: policy.vendors[0].baa.expires: is before the day on which it was signed",
    ),
    "baa-key-misspelt": (
        "policy: {vendors: [{name: A, addresses: [203.0.113.0/24], baa: {signed: 2026-02-28, expire: 2027-02-28}}]}",
        '1:85: policy.vendors[0].baa.expire: unknown key; did you mean "expires"?',
    ),
    "waiver-without-an-end": (
        "policy: {waivers: [{subjects: [voice], codes: [media-clear], owner: IT, reason: old}]}",
        "1:20: policy.waivers[0].until: is required and missing",
    ),
    "waiver-without-an-owner": (
        "policy: {waivers: [{subjects: [voice], codes: [media-clear], reason: old, until: 2027-01-31}]}",
        "1:20: policy.waivers[0].owner: is required and missing",
    ),
    "waiver-without-a-reason": (
        "policy: {waivers: [{subjects: [voice], codes: [media-clear], owner: IT, until: 2027-01-31}]}",
        "1:20: policy.waivers[0].reason: is required and missing",
    ),
    "waiver-end-for-ever": (
        "policy: {waivers: [{subjects: [voice], codes: [media-clear], owner: IT, reason: old, until: never}]}",
        "1:93: policy.waivers[0].until: must be a day, such as 2027-03-31",
    ),
    "waiver-end-that-is-no-day": (
        "policy: {waivers: [{subjects: [voice], codes: [media-clear], owner: IT, reason: old, until: 2027-13-01}]}",
        "1:93: policy.waivers[0].until: cannot be read: month must be in 1..12",
    ),
    "waiver-of-no-code": (
        "policy: {waivers: [{subjects: [voice], codes: [], owner: IT, reason: old, until: 2027-01-31}]}",
        "1:47: policy.waivers[0].codes: must name at least one",
    ),
    "waiver-of-nobody": (
        "policy: {waivers: [{subjects: [], codes: [media-clear], owner: IT, reason: old, until: 2027-01-31}]}",
        "1:31: policy.waivers[0].subjects: must name at least one",
    ),
    "waiver-code-unknown": (
        "policy: {waivers: [{subjects: [voice], codes: [media-claer], owner: IT, reason: old, until: 2027-01-31}]}",
        '1:48: policy.waivers[0].codes[0]: unknown finding code; did you mean "media-clear"?',
    ),
    "waiver-segment-unknown": (
        "policy: {waivers: [{subjects: [voic], codes: [media-clear], owner: IT, reason: old, until: 2027-01-31}]}",
        '1:32: policy.waivers[0].subjects[0]: no segment is called "voic"; did you mean "voice"?',
    ),
    "waiver-of-outside": (
        "policy: {waivers: [{subjects: [outside], codes: [media-clear], owner: IT, reason: old, until: 2027-01-31}]}",
        '1:32: policy.waivers[0].subjects[0]: "outside" is no segment; name addresses',
    ),
    "waiver-reason-of-two-lines": (
        'policy: {waivers: [{subjects: [voice], codes: [media-clear], owner: IT, reason: "a\\nb", until: 2027-01-31}]}',
        "1:81: policy.waivers[0].reason: must be a line of 1 to 200 characters",
    ),
    "waiver-key-misspelt": (
        (
            "policy: {waivers: [{subjects: [voice], codes: [media-clear], owner: IT, reason: old, until: "
            "2027-01-31, untill: 2027-01-31}]}"
        ),
        '1:105: policy.waivers[0].untill: unknown key; did you mean "until"?',
    ),
    "baseline-too-long": (
        "policy: {baseline: {learn: 7776001}}",
        "1:28: policy.baseline.learn: must be a number of seconds from 0 to 7776000",
    ),
    "baseline-forgets-at-once": (
        "policy: {baseline: {forget_after: 3599}}",
        "1:35: policy.baseline.forget_after: must be a number of seconds from 3600 to 315360000",
    ),
    "baseline-key-misspelt": (
        "policy: {baseline: {forget: 86400}}",
        '1:21: policy.baseline.forget: unknown key; did you mean "forget_after"?',
    ),
    "certificates-unknown": (
        "policy: {tls: {certificates: all}}",
        "1:30: policy.tls.certificates: must be by-segment, trusted or any",
    ),
    "key-exchange-unknown": (
        "policy: {key_exchange: [psk]}",
        "1:25: policy.key_exchange[0]: must be sdes, dtls or zrtp",
    ),
    "dscp-too-high": ("policy: {dscp: [64]}", "1:17: policy.dscp[0]: must be a whole number from 0 to 63"),
    "time-server-by-name": (
        "policy: {ntp_servers: [time.example.org]}",
        '1:24: policy.ntp_servers[0]: "time.example.org" is not an address',
    ),
    "alerts-settle-negative": (
        "alerts: {settle: -1}",
        "1:18: alerts.settle: must be a number of seconds from 0 to 86400",
    ),
    "alerts-burst-none": ("alerts: {burst: 0}", "1:17: alerts.burst: must be a whole number from 1 to 100000"),
    "alerts-window-none": ("alerts: {window: 0.5}", "1:18: alerts.window: must be a number of seconds from 1 to 86400"),
    "alerts-runbooks-empty": ("alerts: {runbooks: ''}", "1:20: alerts.runbooks: must be a line of 1 to 200 characters"),
    "alerts-key-misspelt": ("alerts: {bursts: 5}", '1:10: alerts.bursts: unknown key; did you mean "burst"?'),
    "state-directory-number": (
        "state: {directory: 5}",
        "1:20: state.directory: must be the path of a directory from / on, such as /var/lib/legwatch-evidence",
    ),
    "state-key-misspelt": ("state: {dir: /var/lib/legwatch}", "1:9: state.dir: unknown key"),
    "privacy-addresses-unknown": ("privacy: {addresses: mask}", "1:22: privacy.addresses: must be show or pseudonym"),
    "privacy-rotation-negative": (
        "privacy: {rotate_days: -1}",
        "1:24: privacy.rotate_days: must be a whole number from 0 to 3650",
    ),
    "site-odd": ("site: clinic north", "1:7: site: must be a name of 1 to 64 letters, digits, - and _"),
    "sensor-number": ("sensor: 5", "1:9: sensor: must be a name of 1 to 64 letters, digits, - and _"),
}


@pytest.mark.parametrize(("text", "message"), ONE_FAULT.values(), ids=ONE_FAULT)
def test_file_with_one_fault_is_refused_with_its_place_and_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(text, "site.yaml")
    assert refused.value.lines == [f"site.yaml:{message}"]


def test_waiver_of_nobody_and_nothing_has_both_faults() -> None:
    text = "policy: {waivers: [{subjects: [], codes: [], owner: IT, reason: old, until: 2027-01-31}]}"
    with pytest.raises(ConfigError) as refused:
        parse_config(text, "f")
    assert refused.value.lines == [
        "f:1:31: policy.waivers[0].subjects: must name at least one",
        "f:1:42: policy.waivers[0].codes: must name at least one",
    ]


def test_faults_of_several_parts_are_said_at_once_in_the_order_of_the_file() -> None:
    text = """
policy:
  hosts: [{name: a, role: pbx, addresses: [here]}]
  vendors: [{name: A, addresses: [203.0.113.0/24], baa: {}}]
  waivers: [{subjects: [voice], codes: [media-clear], owner: IT, reason: old}]
alerts: {burst: none}
"""
    with pytest.raises(ConfigError) as refused:
        parse_config(text, "f")
    assert [line.split(": ")[1] for line in refused.value.lines] == [
        "policy.hosts[0].addresses[0]",
        "policy.vendors[0].baa.signed",
        "policy.waivers[0].until",
        "alerts.burst",
    ]
