"""The socket of the status: who may open it is told at once, and nobody holds anything up."""

from __future__ import annotations

import contextlib
import errno
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor.output import status_socket
from sensor.output.status_socket import socket_path
from sensor.readiness import condition
from tests.unit.sensor.status import Loop, asked


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "status.sock"


@pytest.fixture
def loop(path: Path) -> Iterator[Loop]:
    with Loop(path) as made:
        yield made


@contextlib.contextmanager
def client(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(5)
        made.connect(str(path))
        yield made


def test_who_asks_is_told_at_once_and_of_now(loop: Loop, path: Path) -> None:
    begun = time.monotonic()
    said = asked(path)
    assert time.monotonic() - begun < 0.5
    assert (said["pid"], said["ready"]) == (1, True)
    assert said["age_s"] < 0.5
    assert loop.made == 1


def test_nobody_asks_and_nothing_is_made(loop: Loop, path: Path) -> None:
    assert path.is_socket()
    time.sleep(0.3)
    assert loop.made == 0


def test_crowd_is_told_the_same_object_for_half_a_second(loop: Loop, path: Path) -> None:
    assert {asked(path)["pid"] for _ in range(10)} == {1}
    assert loop.made == 1
    time.sleep(status_socket.FRESH_S)
    assert asked(path)["pid"] == 2


@pytest.mark.usefixtures("loop")
def test_group_may_ask_and_others_may_not(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_readiness_is_of_now_even_where_the_object_is_not(loop: Loop, path: Path) -> None:
    assert asked(path)["ready"]
    loop.conditions = (condition("link-gone", "there is no interface span0"),)
    said = asked(path)
    assert (said["pid"], said["ready"], said["conditions"][0]["reason"]) == (1, False, "link-gone")


def test_loop_that_hangs_is_told_by_the_age_of_what_was_true(
    loop: Loop, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_socket, "MADE_S", 0.2)
    asked(path)
    loop.hangs.set()
    loop.conditions = (condition("stuck", "nothing moves"),)
    time.sleep(0.6)
    said = asked(path)
    assert said["age_s"] >= 0.6
    assert not said["ready"]


def test_loop_that_never_answered_says_nothing_and_closes(
    loop: Loop, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_socket, "MADE_S", 0.1)
    loop.hangs.set()
    with client(path) as one:
        assert one.recv(1) == b""


def test_client_that_takes_nothing_holds_nobody_up_for_long(
    loop: Loop, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_socket, "ANSWER_S", 0.3)
    loop.status["site"] = "x" * (1 << 20)  # more than a socket has room for
    with client(path), client(path):
        begun = time.monotonic()
        assert asked(path, 5)["pid"]
        assert 0.5 < time.monotonic() - begun < 3
    assert asked(path)["pid"]


@pytest.mark.usefixtures("loop")
def test_clients_that_go_away_talk_or_dawdle_change_nothing(path: Path) -> None:
    for _ in range(5):
        with client(path):
            pass
        with client(path) as one:
            one.sendall(b"GET / HTTP/1.1\r\n\r\n" * 1000)
            one.shutdown(socket.SHUT_WR)
    assert asked(path)["pid"]


def test_more_clients_than_wait_for_an_answer_are_refused_at_the_door(loop: Loop, path: Path) -> None:
    threads = threading.active_count()
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(200)]
        for one in waiting:
            one.setblocking(False)
        assert errno.EAGAIN in [one.connect_ex(str(path)) for one in waiting]
        assert threading.active_count() == threads
    assert asked(path)["pid"]
    assert loop.made <= 2


def test_socket_of_a_sensor_that_was_killed_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
        left.listen()
    with Loop(path):
        assert asked(path)["pid"]


@pytest.mark.usefixtures("loop")
def test_socket_of_a_sensor_that_lives_is_not_taken(path: Path) -> None:
    with pytest.raises(OSError, match="in use"):
        Loop(path)
    assert asked(path)["pid"]


def test_file_that_is_no_socket_is_left_alone(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(OSError, match="in use"):
        Loop(path)
    assert path.read_text() == "mine"


def test_stopped_sensor_leaves_no_socket_started_or_not(path: Path) -> None:
    with Loop(path):
        assert path.is_socket()
    assert not path.exists()
    other = Loop(path)
    other.socket.stop()
    assert not path.exists()


@pytest.mark.parametrize(
    ("configured", "directory", "found"),
    [
        (None, None, None),
        (None, "/run/legwatch", "/run/legwatch/status.sock"),
        (None, "/run/legwatch/span0:/run/other", "/run/legwatch/span0/status.sock"),
        ("/srv/status", "/run/legwatch", "/srv/status"),
    ],
)
def test_socket_is_where_the_configuration_says_else_in_the_runtime_directory(
    monkeypatch: pytest.MonkeyPatch, configured: str | None, directory: str | None, found: str | None
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    if directory is not None:
        monkeypatch.setenv("RUNTIME_DIRECTORY", directory)
    assert socket_path(configured) == found
