"""``legwatch doctor`` at mirrors that are wrong in one way each."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.live.lab import LEGWATCH, STAY_ROOT, Mirror, Namespace, namespaces
from tests.packets import A, B, ethernet, rtp, speech, udp

pytestmark = pytest.mark.live

SECONDS = 5
PAYLOADS = speech(50 * SECONDS)
Send = Callable[[Mirror, bytes, bytes], None]


@pytest.fixture(scope="module")
def mirror() -> Iterator[Mirror]:
    with namespaces("doctor") as (namespace,):
        mirror = Mirror(namespace)
        yield mirror
        mirror.close()


def call(mirror: Mirror, send: Send, until: threading.Event) -> None:
    """Send both directions of a call until told to stop."""
    for number, payload in enumerate(PAYLOADS * 3):
        forth = ethernet(udp(rtp(number, payload, ssrc=1)))
        back = ethernet(udp(rtp(number, payload, ssrc=2), B, A))
        send(mirror, forth, back)
        time.sleep(0.02)
        if until.is_set():
            return


def both(mirror: Mirror, forth: bytes, back: bytes) -> None:
    mirror.send(forth)
    mirror.send(back)


def one_way(mirror: Mirror, forth: bytes, _back: bytes) -> None:
    mirror.send(forth)


def twice(mirror: Mirror, forth: bytes, back: bytes) -> None:
    for _ in range(2):
        both(mirror, forth, back)


def cut(mirror: Mirror, forth: bytes, back: bytes) -> None:
    both(mirror, forth[:96], back[:96])


def nothing(_mirror: Mirror, _forth: bytes, _back: bytes) -> None:
    pass


def looked_at(namespace: Namespace) -> str:
    command = namespace.command(*LEGWATCH, "doctor", *STAY_ROOT, "-i", "span0", "--seconds", str(SECONDS))
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL).stdout


@pytest.mark.parametrize(
    ("send", "wrong"),
    [
        (both, ()),
        (one_way, ("1 of 1 media flows were seen in one direction only",)),
        (twice, ("duplicates",)),
        (cut, ("truncated",)),
        (nothing, ("no packet came",)),
    ],
)
def test_mirror_that_is_wrong_is_said_to_be_so(mirror: Mirror, send: Send, wrong: tuple[str, ...]) -> None:
    done = threading.Event()
    sender = threading.Thread(target=call, args=(mirror, send, done))
    sender.start()
    try:
        said = looked_at(mirror.namespace).splitlines()
    finally:
        done.set()
        sender.join()
    # Whether a server of time keeps the clock is this machine's business.
    faults = [line for line in said if line.startswith("  WRONG") and "clock" not in line]
    assert len(faults) == len(wrong), said
    for line, word in zip(faults, wrong, strict=True):
        assert word in line
