"""``legwatch status``: what it prints, and what it says where there is nobody to ask."""

from __future__ import annotations

import json
import os
import socket
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sensor.cli import main
from sensor.commands import asking
from sensor.readiness import condition
from tests.unit.sensor.status import DEGRADED, VALIDATOR, Loop, busy

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path / "status.sock"


def printed(path: Path, capsys: Capture, *options: str) -> tuple[int, str]:
    """Return the exit status and what was printed, on standard error where it is an error."""
    status = main(["status", "--socket", str(path), *options])
    out, err = capsys.readouterr()
    assert not (out and err)
    return status, out or err


def test_sensor_that_sees_is_0_and_says_so_first(path: Path, capsys: Capture) -> None:
    with Loop(path):
        status, out = printed(path, capsys)
    assert status == 0
    assert out.splitlines()[0].strip().startswith("✓ READY   span-1 at main, span0 (link up), running ")


def test_degraded_sensor_is_0_and_says_what_is_not_as_it_should_be(path: Path, capsys: Capture) -> None:
    with Loop(path) as loop:
        loop.status, loop.conditions = busy(), DEGRADED
        status, out = printed(path, capsys)
    assert status == 0
    assert "! DEGRADED" in out.splitlines()[0]
    for shown in (
        *("! degraded sink-down      cannot be reached: siem", "✓ encrypted    412", "✗ clear         17"),
        *("in clear: voice/outside 12", "52,345", "one way   60 !", "CRITICAL 1   MEDIUM 1", "✗ siem 200 (37 waiting"),
        *("● critical", "media-clear 10.20.1.0 ↔ 203.0.113.5: 250 packets"),
    ):
        assert shown in out


def test_blind_sensor_is_1_with_every_reason(path: Path, capsys: Capture) -> None:
    with Loop(path) as loop:
        loop.conditions = (condition("link-down", "span0 is down"), condition("drops", "12 %"))
        status, out = printed(path, capsys)
        assert status == 1
        assert "✗ BLIND" in out.splitlines()[0]
        assert "✗ blind link-down span0 is down" in out
        assert printed(path, capsys, "--json")[0] == 1


def test_json_is_one_object_by_the_schema(path: Path, capsys: Capture) -> None:
    with Loop(path) as loop:
        loop.status = busy()
        status, out = printed(path, capsys, "--json")
    assert status == 0
    assert out.count("\n") == 1
    VALIDATOR.validate(json.loads(out))


def test_words_from_the_wire_move_no_cursor(path: Path, capsys: Capture) -> None:
    with Loop(path) as loop:
        loop.status = busy()
        assert "\x1b" not in printed(path, capsys)[1]


def test_sensor_that_is_stuck_is_told_by_its_age(path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.output.status_socket.MADE_S", 0.1)
    with Loop(path) as loop:
        printed(path, capsys)
        monkeypatch.setattr("sensor.output.status_text.STALE_S", 0.0)
        loop.hangs.set()
        assert "as of 0 s ago" in printed(path, capsys)[1].splitlines()[0]


def test_no_socket_is_2_with_what_to_do(path: Path, capsys: Capture) -> None:
    status, err = printed(path, capsys)
    assert status == 2
    assert err.count("\n") == 1
    assert "systemctl status legwatch" in err


def test_no_socket_beside_those_of_instances_names_them(path: Path, capsys: Capture) -> None:
    for name in ("span1", "span0"):
        (path.parent / name).mkdir()
        (path.parent / name / "status.sock").touch()
    assert "there are span0, span1: name one with -i" in printed(path, capsys)[1]


def test_socket_that_a_killed_sensor_left_is_2(path: Path, capsys: Capture) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    status, err = printed(path, capsys)
    assert status == 2
    assert "has ended" in err


@contextmanager
def nobody() -> Iterator[None]:
    """Let this process be nobody, if it is root: root may open everything."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_socket_that_may_not_be_opened_is_2_and_says_who_may(path: Path, capsys: Capture) -> None:
    with Loop(path):
        path.chmod(0)
        with nobody():
            status, err = printed(path, capsys)
    assert status == 2
    assert "members of its group" in err


def test_something_else_that_answers_is_2(path: Path, capsys: Capture) -> None:
    with Loop(path) as loop:
        loop.socket.finish_request = lambda request, _client: request.sendall(b"SSH-2.0\r\n")  # type: ignore[method-assign, union-attr]
        status, err = printed(path, capsys)
    assert status == 2
    assert "no sensor" in err


def test_sensor_of_another_version_is_2_with_its_version_and_still_json(path: Path, capsys: Capture) -> None:
    with Loop(path) as loop:
        del loop.status["legs"]
        status, err = printed(path, capsys)
        assert status == 2
        assert "of version 1.2.3" in err
        assert printed(path, capsys, "--json")[0] == 0


def test_sensor_that_never_answers_is_2(path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PATIENCE_S", 1.0)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        status, err = printed(path, capsys)
    assert status == 2
    assert "does not answer within 1 s" in err


@pytest.mark.parametrize(
    ("interface", "given", "found"),
    [
        (None, None, "/run/legwatch/status.sock"),
        ("span0", None, "/run/legwatch/span0/status.sock"),
        (None, "/tmp/s", "/tmp/s"),
    ],
)
def test_socket_that_is_asked_is_the_units_an_instances_or_the_one_named(
    interface: str | None, given: str | None, found: str
) -> None:
    assert asking.path_of(Namespace(interface=interface, socket=given)) == Path(found)


def test_interface_and_socket_together_are_wrong_use(capsys: Capture) -> None:
    assert main(["status", "-i", "span0", "--socket", "/tmp/s"]) == 2
    assert "not allowed with" in capsys.readouterr().err


def test_ledger_is_told_in_a_line(path: Path, capsys: Capture) -> None:
    with Loop(path) as loop:
        loop.status = busy()
        _, out = printed(path, capsys)
    assert "1,204,211 entries signed, 48 MiB" in out
    assert "3 lost, room for 12 days" in out
