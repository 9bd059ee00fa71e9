"""The configuration file: what it takes, and what is said of every kind of mistake."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.config import load
from sensor.config.load import MAX_BYTES, ConfigError, load_config, parse_config, to_yaml
from sensor.config.schema import Address, Config, parse_address

ONE_FAULT = {
    "unknown-section": ("polcy: {}\n", '1:1: polcy: unknown key; did you mean "policy"?'),
    "unknown-key": ("policy:\n  grcae: 2\n", '2:3: policy.grcae: unknown key; did you mean "grace"?'),
    "unknown-key-like-nothing": ("capture: {xyzzy: 1}\n", "1:11: capture.xyzzy: unknown key"),
    "unknown-segment-key": (
        "policy:\n  segments:\n  - name: phones\n    cidr: [10.0.0.0/8]\n    vlans: [5]\n",
        '4:5: policy.segments[0].cidr: unknown key; did you mean "cidrs"?',
    ),
    "key-twice": ("policy:\n  grace: 2\n  grace: 3\n", "3:3: policy.grace: is set twice, first in line 2"),
    "key-no-text": ("policy: {5: 1}\n", "1:10: policy: the key 5 must be text; put it in quotes"),
    "section-no-mapping": ("metrics: 9767\n", "1:10: metrics: must be a mapping"),
    "top-no-mapping": ("- policy\n", "1:1: configuration: must be a mapping"),
    "list-no-list": (
        "policy: {segments: [{name: a, vlans: 5}]}\n",
        "1:38: policy.segments[0].vlans: must be a list",
    ),
    "name-missing": ("policy: {segments: [{vlans: [5]}]}\n", "1:21: policy.segments[0].name: is required and missing"),
    "name-odd": (
        "policy: {segments: [{name: 'a b', vlans: [5]}]}\n",
        "1:28: policy.segments[0].name: must be a name of 1 to 64 letters, digits, - and _",
    ),
    "name-taken": (
        "policy: {segments: [{name: a, vlans: [5]}, {name: a, vlans: [6]}]}\n",
        '1:51: policy.segments[1].name: a is taken by segment "a" already',
    ),
    "name-reserved": (
        "policy: {segments: [{name: outside, vlans: [5]}]}\n",
        '1:28: policy.segments[0].name: "outside" is the name of everything that no segment holds',
    ),
    "segment-empty": (
        "policy: {segments: [{name: a}]}\n",
        "1:21: policy.segments[0]: needs at least one of cidrs, vlans and interfaces",
    ),
    "kind-unknown": (
        "policy: {segments: [{name: a, vlans: [5], kind: phone}]}\n",
        "1:49: policy.segments[0].kind: must be voice, server, sbc, trunk, remote, management or data",
    ),
    "cidr-host-bits": (
        "policy: {segments: [{name: a, cidrs: [10.1.2.3/16]}]}\n",
        '1:39: policy.segments[0].cidrs[0]: "10.1.2.3/16" has bits set beyond its prefix; write 10.1.0.0/16',
    ),
    "cidr-nonsense": (
        "policy: {segments: [{name: a, cidrs: [voice]}]}\n",
        '1:39: policy.segments[0].cidrs[0]: "voice" is not an address range such as 10.20.0.0/16 or fd00:20::/32',
    ),
    "cidr-number": (
        "policy: {segments: [{name: a, cidrs: [10.0]}]}\n",
        "1:39: policy.segments[0].cidrs[0]: must be an address range as text, such as 10.20.0.0/16",
    ),
    "cidr-taken": (
        "policy: {segments: [{name: a, cidrs: [10.0.0.0/8]}, {name: b, cidrs: [10.0.0.0/8]}]}\n",
        '1:71: policy.segments[1].cidrs[0]: 10.0.0.0/8 is taken by segment "a" already',
    ),
    "vlan-too-high": (
        "policy: {segments: [{name: a, vlans: [4095]}]}\n",
        "1:39: policy.segments[0].vlans[0]: must be a whole number from 1 to 4094",
    ),
    "vlan-yes": (
        "policy: {segments: [{name: a, vlans: [yes]}]}\n",
        "1:39: policy.segments[0].vlans[0]: must be a whole number from 1 to 4094",
    ),
    "requirement-unknown": (
        "policy: {segments: [{name: a, vlans: [5], media: secure}]}\n",
        "1:50: policy.segments[0].media: must be encrypted or any",
    ),
    "pair-of-one": ("policy: {pairs: [{between: [voice]}]}\n", "1:28: policy.pairs[0].between: must name two segments"),
    "pair-of-three": (
        "policy: {pairs: [{between: [voice, a, b]}]}\n",
        "1:28: policy.pairs[0].between: must name two segments",
    ),
    "pair-unknown": (
        "policy: {pairs: [{between: [voic, outside]}]}\n",
        '1:29: policy.pairs[0].between[0]: no segment is called "voic"; did you mean "voice"?',
    ),
    "pair-twice": (
        "policy: {pairs: [{between: [voice, outside]}, {between: [outside, voice]}]}\n",
        "1:57: policy.pairs[1].between: these two segments have a pair already",
    ),
    "seconds-text": ("policy: {grace: 2s}\n", "1:17: policy.grace: must be a number of seconds from 0 to 86400"),
    "seconds-not-a-number": (
        "policy: {media_idle: .nan}\n",
        "1:22: policy.media_idle: must be a number of seconds from 1 to 500",
    ),
    "idle-beyond-the-engine": (
        "capture: {flow_idle: 501}\n",
        "1:22: capture.flow_idle: must be a number of seconds from 1 to 500",
    ),
    "severity-of-nothing": (
        "policy: {severities: {media-claer: high}}\n",
        '1:36: policy.severities.media-claer: unknown finding code; did you mean "media-clear"?',
    ),
    "severity-unknown": (
        "policy: {severities: {media-clear: urgent}}\n",
        "1:36: policy.severities.media-clear: must be one of info, low, medium, high, critical",
    ),
    "severities-list": (
        "policy: {severities: [media-clear]}\n",
        "1:22: policy.severities: must be a mapping of finding codes to severities",
    ),
    "ring-of-nothing": ("capture: {ring_mib: 0}\n", "1:21: capture.ring_mib: must be a whole number from 1 to 4096"),
    "cpus-for-other-threads": (
        "capture: {threads: 2, cpus: [1]}\n",
        "1:29: capture.cpus: must name one CPU for each of the 2 threads",
    ),
    "cpu-twice": ("capture: {threads: 2, cpus: [1, 1]}\n", "1:29: capture.cpus: names a CPU twice"),
    "cpu-below-none": ("capture: {cpus: [-1]}\n", "1:18: capture.cpus[0]: must be a whole number from 0 to 8191"),
    "node-by-name": (
        "capture: {numa_node: a}\n",
        "1:22: capture.numa_node: must be the number of a NUMA node, 0 to 1023",
    ),
    "threads-none": ("capture: {threads: 0}\n", "1:20: capture.threads: must be a whole number from 1 to 64"),
    "block-odd": ("capture: {block_kib: 100}\n", "1:22: capture.block_kib: must be a power of two from 64 to 4096"),
    "block-timeout-none": (
        "capture: {block_timeout_ms: 0}\n",
        "1:29: capture.block_timeout_ms: must be a whole number from 1 to 1000",
    ),
    "ring-too-small-for-the-threads": (
        "capture: {ring_mib: 3, threads: 2, block_kib: 2048}\n",
        "1:21: capture.ring_mib: must be at least 4, a block of 2048 KiB for each thread",
    ),
    "switch-maybe": ("capture: {promiscuous: maybe}\n", "1:24: capture.promiscuous: must be true or false"),
    "header-with-its-colon": (
        "capture: {call_headers: ['X-Call-ID:']}\n",
        "1:26: capture.call_headers[0]: must be the name of a SIP header of at most 32 characters, such as X-Call-ID",
    ),
    "filter-number": ("capture: {filter: 5}\n", "1:19: capture.filter: must be text"),
    "table-too-small": (
        "limits: {flows: 1}\n",
        "1:17: limits.flows: must be a whole number from 16 to 16777216",
    ),
    "listen-everywhere": (
        "metrics: {listen: '0.0.0.0:9767'}\n",
        (
            "1:19: metrics.listen: 0.0.0.0:9767 is no loopback address: name a web_config_file with TLS and with users "
            "or verified client certificates, or set allow_unprotected: true"
        ),
    ),
    "listen-name": (
        "metrics: {listen: 'localhost:9767'}\n",
        "1:19: metrics.listen: must be an address and a port, such as 127.0.0.1:9767 or [::1]:9767",
    ),
    "identities-unknown": (
        "privacy: {identities: plain}\n",
        "1:23: privacy.identities: must be pseudonym, mask or reveal",
    ),
    "evidence-from-here-on": (
        "evidence: {directory: evidence}\n",
        "1:23: evidence.directory: must be the path of a directory from / on, such as /var/lib/legwatch-evidence",
    ),
    "evidence-severity-unknown": (
        "evidence: {min_severity: urgent}\n",
        "1:26: evidence.min_severity: must be info, low, medium, high or critical",
    ),
    "evidence-without-end": (
        "evidence: {seconds: 601}\n",
        "1:21: evidence.seconds: must be a number of seconds from 1 to 600",
    ),
    "evidence-without-files": ("evidence: {files: 0}\n", "1:19: evidence.files: must be a whole number from 1 to 1000"),
    "alias": ("capture: &c {}\nlimits: *c\n", "1:10: limits: an alias cannot be used here; write the value out"),
    "tag": (
        "capture: {filter: !x y}\n",
        "1:19: capture.filter: cannot be read: could not determine a constructor for the tag '!x'",
    ),
    "no-yaml": ("policy: [\n", "2:1: not YAML: expected the node content, but found '<stream end>'"),
    "tab": ("policy:\n\tgrace: 2\n", "2:1: not YAML: found character '\\t' that cannot start any token"),
    "two-documents": ("{}\n---\n{}\n", "2:1: not YAML: but found another document"),
    "nested-too-deep": ("[" * 100_000, "1:1: not a configuration: nested too deeply"),
}


@pytest.mark.parametrize(("text", "message"), ONE_FAULT.values(), ids=ONE_FAULT)
def test_file_with_one_fault_is_refused_with_its_place_and_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(text, "site.yaml")
    assert refused.value.lines == [f"site.yaml:{message}"]


def test_file_with_many_faults_is_refused_with_all_of_them_in_the_order_of_the_file() -> None:
    text = "metrics: {listen: here}\npolicy:\n  grace: -1\n  grase: 1\n  segments: [{name: a}, {kind: b}]\nlimit: 1\n"
    with pytest.raises(ConfigError) as refused:
        parse_config(text, "f")
    assert [entry.split(": ")[0] for entry in refused.value.lines] == [
        "f:1:19", "f:3:10", "f:4:3", "f:5:14", "f:5:25", "f:5:32", "f:6:1",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "policy:\ncapture:\nevidence:\n", "{}", "null"])
def test_file_that_sets_nothing_gives_the_defaults(text: str) -> None:
    assert parse_config(text, "f") == Config()


def test_default_policy_holds_every_private_range_as_one_voice_segment_to_be_encrypted() -> None:
    (segment,) = Config().policy.segments
    assert (segment.name, segment.kind, segment.media, segment.signalling) == (
        "voice", "voice", "encrypted", "encrypted",
    )  # fmt: skip
    assert {str(network) for network in segment.cidrs} == {
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "fc00::/7", "fe80::/10", "::1/128",
    }  # fmt: skip


def test_resolved_configuration_loads_to_itself() -> None:
    text = """
policy:
  segments:
  - {name: phones, cidrs: [10.20.0.0/16, "fd00:20::/32"], vlans: [100]}
  - {name: trunk, kind: trunk, cidrs: [203.0.113.0/24], media: any, interfaces: [eth1]}
  pairs: [{between: [phones, outside], media: any}]
  grace: 0.5
  severities: {media-clear: high}
metrics: {listen: "[::1]:9000"}
evidence: {directory: /var/lib/legwatch-evidence, min_severity: critical}
"""
    config = parse_config(text, "f")
    assert parse_config(to_yaml(config), "g") == config
    assert config.metrics.listen == Address("::1", 9000)
    assert parse_config(to_yaml(Config()), "g") == Config()


def test_file_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(tmp_path / "none.yaml")
    assert refused.value.lines == [f"{tmp_path}/none.yaml: cannot be read: No such file or directory"]


def test_digest_is_of_the_octets_that_were_parsed_whatever_the_file_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("site: first\n")

    def parsed(text: str | bytes, name: str) -> Config:
        path.write_text("site: second\n")
        return parse_config(text, name)

    monkeypatch.setattr(load, "parse_config", parsed)
    config, digest = load_config(path)
    assert (config.site, digest) == ("first", hashlib.sha256(b"site: first\n").hexdigest())


def test_file_beyond_the_cap_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_text("#" * MAX_BYTES)
    assert load_config(path)[0] == Config()
    path.write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than 1048576 bytes"):
        load_config(path)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_bytes_give_a_configuration_or_faults_with_their_place(raw: bytes | str) -> None:
    faults = ["f: none"]
    try:
        parse_config(raw, "f")
    except ConfigError as refused:
        faults = refused.lines
    assert faults
    assert all(fault.startswith("f:") for fault in faults)


@pytest.mark.parametrize("text", ["127.0.0.1:9767", "[::1]:1", "127.9.0.1:65535"])
def test_address_reads_back_as_written(text: str) -> None:
    assert str(parse_address(text)) == text


@pytest.mark.parametrize("value", ["", ":1", "127.0.0.1", "127.0.0.1:65536", "::1:80", "[127.0.0.1]:80", "a:1", 9767])
def test_what_is_no_address_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="must be an address and a port"):
        parse_address(value)


@pytest.mark.parametrize("value", ["!!int ''", "!!float ''", "!!timestamp x", "!!binary é", "!!bool x"])
def test_value_that_its_tag_does_not_fit_is_a_fault(value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(f"site: {value}\n", "f")
    assert refused.value.lines[0].startswith("f:1:7: site: ")
