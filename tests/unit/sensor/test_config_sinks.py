"""The sinks in the configuration: what they take, what is said of mistakes, and that secrets never show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sensor.cli import main
from sensor.config.files import MAX_SECRET, parse_secret
from sensor.config.load import ConfigError, parse_config, to_yaml
from sensor.config.sinks import KINDS, FileSink, HepSink, WebhookSink
from tests.unit.sensor.alerts.receivers import Authority, authority

CANARY = "canary-token-5550188412"
ONE_FAULT = {
    "no-list": ("sinks: {type: file}", "1:8: sinks: must be a list"),
    "no-mapping": ("sinks: [file]", "1:9: sinks[0]: must be a mapping"),
    "no-type": (
        "sinks: [{path: /x}]",
        "1:9: sinks[0]: needs a type: file, journald, syslog, alertmanager, webhook, hep",
    ),
    "type-unknown": (
        "sinks: [{type: sylog}]",
        f'1:16: sinks[0].type: must be one of {", ".join(KINDS)}; did you mean "syslog"?',
    ),
    "type-number": (
        "sinks: [{type: 5}]",
        "1:16: sinks[0].type: must be one of file, journald, syslog, alertmanager, webhook, hep",
    ),
    "key-missing": ("sinks: [{type: file}]", "1:9: sinks[0].path: is required and missing"),
    "key-unknown": (
        "sinks:\n- type: journald\n- type: file\n  pth: /x\n  path: /x\n",
        '4:3: sinks[1].pth: unknown key; did you mean "path"?',
    ),
    "key-of-another-kind": ("sinks: [{type: journald, path: /x}]", "1:26: sinks[0].path: unknown key"),
    "path-relative": ("sinks: [{type: file, path: x}]", "1:28: sinks[0].path: must be the absolute path of a file"),
    "name-twice": (
        "sinks: [{type: journald}, {type: journald}]",
        '1:27: sinks[1]: another sink is called "journald"; give one of them a name',
    ),
    "file-twice": (
        "sinks: [{type: file, path: /x/y}, {type: file, name: b, path: //x//y}]",
        "1:63: sinks[1].path: another sink writes this file",
    ),
    "name-odd": (
        "sinks: [{type: journald, name: ../x}]",
        "1:32: sinks[0].name: must be a name of 1 to 64 letters, digits, - and _",
    ),
    "severity-unknown": (
        "sinks: [{type: journald, min_severity: urgent}]",
        "1:40: sinks[0].min_severity: must be info, low, medium, high or critical",
    ),
    "queue-too-small": (
        "sinks: [{type: journald, queue: 1}]",
        "1:33: sinks[0].queue: must be a whole number from 16 to 100000",
    ),
    "spool-maybe": ("sinks: [{type: journald, spool: maybe}]", "1:33: sinks[0].spool: must be true or false"),
    "spool-for-alertmanager": (
        "sinks: [{type: alertmanager, url: 'http://[::1]:9093', spool: true}]",
        "1:63: sinks[0].spool: is not for Alertmanager: what is open is said again, what is old must not be",
    ),
    "address-without-port": (
        "sinks: [{type: hep, address: homer}]",
        "1:30: sinks[0].address: must be a host and a port, such as logs.example.org:6514 or [fd00:20::9]:514",
    ),
    "tls-key-without-tls": (
        "sinks: [{type: syslog, address: 'a:1', server_name: b}]",
        "1:53: sinks[0].server_name: is for transport: tls only",
    ),
    "facility-unknown": (
        "sinks: [{type: hep, address: 'a:1', transport: tls}]",
        "1:48: sinks[0].transport: must be udp or tcp",
    ),
    "url-of-another-scheme": (
        "sinks: [{type: webhook, url: 'ftp://a/'}]",
        "1:30: sinks[0].url: must be an URL, such as https://alerts.example.org:9093/",
    ),
    "url-with-a-line": (
        'sinks: [{type: webhook, url: "http://a/\\r\\nX: y"}]',
        "1:30: sinks[0].url: must be an URL, such as https://alerts.example.org:9093/",
    ),
    "url-with-a-password": (
        "sinks: [{type: webhook, url: 'https://me:pass@a/'}]",
        "1:30: sinks[0].url: must not hold a password; name a basic_auth_file or a token_file",
    ),
    "secret-missing": (
        "sinks: [{type: webhook, url: 'https://a/', secret_file: /none}]",
        "1:57: sinks[0].secret_file: /none cannot be read: No such file or directory",
    ),
    "authorities-missing": (
        "sinks: [{type: webhook, url: 'https://a/', ca_file: /none}]",
        "1:53: sinks[0].ca_file: /none cannot be read: No such file or directory",
    ),
    "certificate-without-key": (
        "sinks: [{type: webhook, url: 'https://a/', cert_file: /c}]",
        "1:9: sinks[0]: needs key_file, too: a certificate and its key go together",
    ),
}


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


def secret(folder: Path, content: str = CANARY, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.touch(mode)
    path.write_text(content)
    path.chmod(mode)
    return path


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        parse_config(text, "f")
    return refused.value.lines


@pytest.mark.parametrize(("text", "message"), ONE_FAULT.values(), ids=ONE_FAULT)
def test_sink_with_one_fault_is_refused_with_its_place_and_what_is_wrong(text: str, message: str) -> None:
    assert faults(text) == [f"f:{message}"]


def test_sinks_with_many_faults_are_refused_with_all_of_them() -> None:
    text = "metrics: {listen: x}\nsinks:\n- {type: file}\n- {type: fil}\n- {type: hep, address: x, agent: -1}\n"
    assert [line.split(": ")[1] for line in faults(text)] == [
        "metrics.listen", "sinks[0].path", "sinks[1].type", "sinks[2].address", "sinks[2].agent",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["sinks:", "sinks: []", "{}"])
def test_file_without_sinks_has_none(text: str) -> None:
    assert parse_config(text, "f").sinks == ()


def test_sink_is_called_by_its_name_else_by_its_type() -> None:
    one, two = parse_config("sinks: [{type: journald}, {type: file, path: /x, name: archive}]", "f").sinks
    assert (one.label, two.label) == ("journald", "archive")
    assert two == FileSink(type="file", path="/x", name="archive")


def test_sinks_load_to_themselves(ca: Authority, tmp_path: Path) -> None:
    certificate, key = ca.issue("sensor.example.org")
    text = f"""
sinks:
- {{type: file, path: /var/log/legwatch/events.jsonl, format: ocsf, max_mib: 10, keep: 2, spool: true}}
- {{type: journald, min_severity: high}}
- {{type: syslog, address: "[fd00:20::9]:6514", transport: tls, ca_file: {ca.path}, cert_file: {certificate},
    key_file: {key}, server_name: logs.example.org, enterprise: 9}}
- {{type: alertmanager, url: "https://am.example.org/x", repeat: 30, token_file: {secret(tmp_path)}}}
- {{type: webhook, url: "https://hook.example.org/?a=b", format: ecs, secret_file: {tmp_path}/secret}}
- {{type: hep, address: "homer:9060", key_file: {tmp_path}/secret, agent: 2001}}
"""
    config = parse_config(text, "f")
    assert parse_config(to_yaml(config), "g") == config
    assert {sink.type for sink in config.sinks} == set(KINDS)


def test_secret_shows_neither_in_a_repr_nor_in_check_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = secret(tmp_path, f"me:{CANARY}")
    text = (
        f"sinks: [{{type: webhook, url: 'https://a/', basic_auth_file: {path}, secret_file: {path}}},"
        f"{{type: hep, address: 'a:1', key_file: {path}}},"
        f"{{type: alertmanager, url: 'https://a/', token_file: {path}}}]"
    )
    config = parse_config(text, "f")
    (tmp_path / "site.yaml").write_text(text)
    assert main(["check-config", str(tmp_path / "site.yaml")]) == 0
    printed = capsys.readouterr()
    assert str(path) in printed.out
    assert CANARY not in repr(config) + str(config) + printed.out + printed.err
    assert [
        sink.secret_file and sink.secret_file.content for sink in config.sinks if isinstance(sink, WebhookSink)
    ] == [f"me:{CANARY}".encode()]


@pytest.mark.parametrize("content", [f"{CANARY}\nmore", f"{CANARY}\x7f", f"{CANARY}ü"])
def test_secret_that_cannot_stand_in_a_header_is_refused_without_being_shown(content: str, tmp_path: Path) -> None:
    path = secret(tmp_path, content)
    (line,) = faults(f"sinks: [{{type: webhook, url: 'https://a/', token_file: {path}}}]")
    assert line.endswith(f"{path} must hold one line of printable ASCII")


def test_credentials_without_a_colon_are_refused_without_being_shown(tmp_path: Path) -> None:
    (line,) = faults(f"sinks: [{{type: webhook, url: 'https://a/', basic_auth_file: {secret(tmp_path)}}}]")
    assert line.endswith("must hold user:password")


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o644])
def test_secret_that_others_may_touch_is_refused(mode: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="open to everyone"):
        parse_secret(str(secret(tmp_path, mode=mode)))


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640])
def test_secret_of_owner_and_group_is_taken_without_the_end_of_its_line(mode: int, tmp_path: Path) -> None:
    assert parse_secret(str(secret(tmp_path, f"{CANARY}\n", mode))).content == CANARY.encode()


def test_secret_file_at_the_greatest_size_is_taken_and_beyond_it_refused(tmp_path: Path) -> None:
    path = secret(tmp_path, "x" * MAX_SECRET)
    assert len(parse_secret(str(path)).content) == MAX_SECRET
    for content in ("x" * (MAX_SECRET + 1), "", "\n"):
        path.write_text(content)
        with pytest.raises(ValueError, match="must hold 1 to 65536 octets"):
            parse_secret(str(path))


def test_secret_that_systemd_passes_on_is_found_in_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = secret(tmp_path, mode=0o400).name
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert parse_secret(f"$CREDENTIALS_DIRECTORY/{name}").content == CANARY.encode()
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(ValueError, match="only a service has credentials"):
        parse_secret(f"$CREDENTIALS_DIRECTORY/{name}")


def test_secret_that_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(ValueError, match=r"is no regular file|Is a directory"):
            parse_secret(str(path))


@pytest.mark.parametrize("key", ["token_file", "basic_auth_file"])
def test_credentials_in_clear_are_for_loopback_only(key: str, tmp_path: Path) -> None:
    path = secret(tmp_path, "a:b")
    text = f"sinks: [{{type: webhook, {key}: {path}, url: 'http://%s/'}}]"
    (line,) = faults(text % "alerts.example.org")
    assert line.endswith("url: must be https: credentials would cross the network in clear")
    assert parse_config(text % "127.0.0.1:80", "f").sinks
    assert parse_config(text % "[::1]:80", "f").sinks


def test_two_kinds_of_credentials_are_refused(tmp_path: Path) -> None:
    path = secret(tmp_path, "a:b")
    text = f"sinks: [{{type: webhook, token_file: {path}, basic_auth_file: {path}, url: 'https://a/'}}]"
    assert "a request has one kind of credentials" in faults(text)[0]


def test_key_of_another_certificate_is_refused(ca: Authority) -> None:
    certificate, _ = ca.issue("one.example.org")
    _, key = ca.issue("two.example.org")
    text = f"sinks: [{{type: webhook, url: 'https://a/', cert_file: {certificate}, key_file: {key}}}]"
    assert faults(text)[0].endswith("cannot be used: no certificate in PEM that fits key_file")


@given(
    st.dictionaries(st.sampled_from(["type", "path", "url", "address", "name"]), st.none() | st.text() | st.integers())
)
def test_any_sink_gives_a_configuration_or_faults_with_their_place(values: dict[str, object]) -> None:
    lines = ["f: none"]
    try:
        parse_config(yaml.safe_dump({"sinks": [values]}), "f")
    except ConfigError as refused:
        lines = refused.lines
    assert all(line.startswith("f:") for line in lines)


@pytest.mark.parametrize("text", ["logs.example.org:6514", "192.0.2.9:514", "[fd00:20::9]:514", "homer_1:9060"])
def test_endpoint_reads_back_as_written(text: str) -> None:
    (sink,) = parse_config(f"sinks: [{{type: hep, address: '{text}'}}]", "f").sinks
    assert isinstance(sink, HepSink)
    assert str(sink.address) == text


@pytest.mark.parametrize("text", ["fd00::9:514", "a:0", "a:65536", "a b:1", ":1", "[a]:1", "a/b:1", "é:1"])
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    assert "must be a host and a port" in faults(f"sinks: [{{type: hep, address: '{text}'}}]")[0]
