"""``legwatch probe`` against real servers on the loopback interface."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sensor.cli import main
from tests.unit.fastpath.pki import Pki

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki()


@contextmanager
def server(pki: Pki, tmp_path: Path, *, name: str = "localhost", version: str = "TLSv1_3") -> Iterator[int]:
    """A TLS server that takes one connection; its port."""
    pem = tmp_path / "server.pem"
    pem.write_bytes(pki.server_pem(name))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old versions are what is tested
        context.maximum_version = ssl.TLSVersion[version]

    def take() -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


def config(pki: Pki, tmp_path: Path) -> str:
    (tmp_path / "root.pem").write_text(pki.root_pem)
    file = tmp_path / "legwatch.yaml"
    file.write_text(
        f"policy:\n  tls: {{trust_files: [{tmp_path / 'root.pem'}], trust_system: false, expiring_days: 1}}\n"
    )
    return str(file)


def probed(capsys: Capture, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    status = main(["probe", "--json", *arguments])
    out, err = capsys.readouterr()
    return status, [json.loads(line) for line in out.splitlines()], err


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_certificate_that_tls13_hides_is_seen_and_trusted(
    pki: Pki, tmp_path: Path, capsys: Capture, version: str
) -> None:
    with server(pki, tmp_path, version=version) as port:
        status, lines, err = probed(capsys, "--config", config(pki, tmp_path), f"localhost:{port}")
    assert (status, err) == (0, "")
    found, summary = lines
    assert (found["type"], found["certificate"], found["chain"]["trust"]) == ("tls_server", "readable", "trusted")
    assert found["versions"] == [version.replace("TLSv1_", "TLS 1.")]
    assert summary["findings"] == {}


def test_wrong_name_and_unknown_issuer_are_findings(pki: Pki, tmp_path: Path, capsys: Capture) -> None:
    with server(pki, tmp_path, name="other.example.org") as port:
        status, lines, _ = probed(capsys, f"localhost:{port}")
    assert status == 1
    assert "cert-name-mismatch" in lines[-1]["findings"]


def test_old_version_is_a_finding(pki: Pki, tmp_path: Path, capsys: Capture) -> None:
    with server(pki, tmp_path, version="TLSv1_1") as port:
        status, lines, _ = probed(capsys, "--config", config(pki, tmp_path), f"localhost:{port}")
    assert (status, "tls-version" in lines[-1]["findings"]) == (1, True)


def test_server_that_is_not_there_is_one_line_and_2(capsys: Capture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    status, _, err = probed(capsys, f"127.0.0.1:{port}")
    assert (status, err) == (2, f"127.0.0.1:{port}: Connection refused\n")


def test_server_that_speaks_no_tls_is_one_line_and_2(capsys: Capture) -> None:
    def take() -> None:
        connection, _ = listener.accept()
        connection.sendall(b"SIP/2.0 400 Bad\r\n\r\n")
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=take)
        thread.start()
        status, _, err = probed(capsys, f"127.0.0.1:{listener.getsockname()[1]}")
        thread.join()
    assert (status, err.count("\n")) == (2, 1)
    assert "127.0.0.1" in err


@pytest.mark.parametrize("text", [":5061", "host:0", "host:99999", "host:x", "[::1"])
def test_target_that_is_none_is_one_line_and_2(text: str, capsys: Capture) -> None:
    status, _, err = probed(capsys, text)
    assert (status, err.count("\n")) == (2, 1)
