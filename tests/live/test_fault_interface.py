"""Faults of the interface that is watched: what is lost is what it did not take, and all that comes after is seen."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.live.faults import (
    POLICY,
    account,
    all_are_accounted_for,
    call,
    configured,
    feeding,
    holds,
    judges,
    of_code,
    opened,
    watching,
)
from tests.live.lab import Mirror, Namespace, Sensor, namespaces, running_sensor, sh, wait_for
from tests.packets import End, ethernet, speech, stream, udp

pytestmark = pytest.mark.live

GAP_WINDOW_S = 0.2  # fastpath/mirror.pxd: in which what many streams lack counts as lost by the mirror
STREAMS = 16
ROUNDS = 40  # of packets between two resets of a driver


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with namespaces("fault", "elsewhere") as (made, _):
        Mirror(made).close()
        yield made


def elsewhere(namespace: Namespace) -> str:
    return namespace.name.replace("fault", "elsewhere")


def is_up(sensor: Sensor, *, up: bool = True) -> None:
    """Wait until the sensor says so."""
    wait_for(lambda: sensor.metric("legwatch_capture_up") == up, f"capture_up is {up}")


def links(sensor: Sensor) -> list[str]:
    return [event["link"] for event in sensor.events("link_changed")]


class Fault(NamedTuple):
    """How it is brought about, how it ends, and what the link is said to be meanwhile."""

    begin: Callable[[Namespace], None]
    end: Callable[[Namespace], None]
    link: str


def set_link(interface: str, *setting: str) -> Callable[[Namespace], None]:
    return lambda namespace: namespace.ip("link", "set", interface, *setting)


def make(namespace: Namespace) -> None:
    Mirror(namespace).close()


def move_back(namespace: Namespace) -> None:
    sh("ip", "-n", elsewhere(namespace), "link", "set", "span0", "netns", namespace.name)
    namespace.ip("link", "set", "span0", "up")


FAULTS = {
    "down": Fault(set_link("span0", "down"), set_link("span0", "up"), "down"),
    "no-carrier": Fault(set_link("feed0", "down"), set_link("feed0", "up"), "down"),
    "deleted": Fault(lambda namespace: namespace.ip("link", "del", "span0"), make, "gone"),
    "moved": Fault(
        lambda namespace: namespace.ip("link", "set", "span0", "netns", elsewhere(namespace)), move_back, "gone"
    ),
}


@pytest.mark.parametrize(
    ("name", "threads"), [*((name, 1) for name in FAULTS), ("down", 2), ("no-carrier", 2)], ids=str
)
def test_interface_that_comes_back_is_watched_again_and_what_it_did_not_take_is_all_that_is_lost(
    namespace: Namespace, tmp_path: Path, name: str, threads: int
) -> None:
    fault = FAULTS[name]
    with watching(namespace, tmp_path, capture={"threads": threads}) as sensor, feeding(namespace) as feed:
        judges(sensor, feed, 1)
        before = all_are_accounted_for(sensor, feed)
        fault.begin(namespace)
        is_up(sensor, up=False)
        wait_for(lambda: links(sensor), "the fault is said")
        holds(sensor, **{f"link_{fault.link}": "blind"})
        lost = call(3)
        feed.send(*lost)
        assert (feed.refused, account(sensor)) == (len(lost), before)
        fault.end(namespace)
        is_up(sensor)
        holds(sensor, link_down=None, link_gone=None)
        feed.attach()
        judges(sensor, feed, 5)
        all_are_accounted_for(sensor, feed)
        wait_for(lambda: len(links(sensor)) > 1, "the end of the fault is said")
        assert links(sensor) == [fault.link, "up"]
        assert sensor.metric("legwatch_link_losses_total") == 1
        assert not opened(sensor, 3)


def streams(count: int) -> list[list[bytes]]:
    """Return media in clear: for each 20 ms a packet of each of STREAMS streams, all of hosts of their own."""
    sources = [
        stream(speech(count), src=End(f"10.61.{number}.1", 16384), dst=End(f"10.61.{number}.2", 20000), ssrc=number)
        for number in range(STREAMS)
    ]
    return [[source[at][1] for source in sources] for at in range(count)]


def within_a_window() -> None:
    """Wait for the middle of one of the windows in which gaps are counted, so that a few packets are all in it."""
    while not 0.2 < time.time() % GAP_WINDOW_S / GAP_WINDOW_S < 0.5:
        time.sleep(0.001)


def test_packets_of_calls_that_an_outage_took_are_counted_by_their_sequence_numbers_and_said(
    namespace: Namespace, tmp_path: Path
) -> None:
    rounds = streams(90)
    with watching(namespace, tmp_path, POLICY | {"media_idle": 30}) as sensor, feeding(namespace) as feed:
        for packets in rounds[:30]:
            feed.send(*packets)
        namespace.ip("link", "set", "span0", "down")
        for packets in rounds[30:60]:
            feed.send(*packets)
        namespace.ip("link", "set", "span0", "up")
        is_up(sensor)
        within_a_window()
        feed.send(*rounds[60])
        time.sleep(GAP_WINDOW_S)
        for packets in rounds[61:]:
            feed.send(*packets)
        found = all_are_accounted_for(sensor, feed)
        assert found.received == 60 * STREAMS
        assert feed.refused == sensor.metric("legwatch_common_gaps_total") == 30 * STREAMS
        (said,) = wait_for(lambda: of_code(sensor.events("finding_opened"), "sensor-loss"), "it is said")
        assert f"{30 * STREAMS} media packets that many streams lacked at once" in said["evidence"][0]
        wait_for(lambda: of_code(sensor.events("finding_resolved"), "sensor-loss"), "it is over")


def test_outage_too_short_to_be_looked_at_is_counted_all_the_same(namespace: Namespace, tmp_path: Path) -> None:
    with watching(namespace, tmp_path) as sensor:
        for times in (1, 2, 3):
            namespace.ip("link", "set", "span0", "down")
            namespace.ip("link", "set", "span0", "up")
            wait_for(partial(is_counted, sensor, times), "it is counted")
            is_up(sensor)
        wait_for(lambda: sensor.events("link_changed")[-1:] and links(sensor)[-1] == "up", "it is said")
        wait_for(lambda: sensor.events("link_changed")[-1]["losses"] == 3, "how often is said")


def is_counted(sensor: Sensor, times: int) -> bool:
    return sensor.metric("legwatch_link_losses_total") == times


# Another name


def rename(namespace: Namespace, before: str, after: str) -> None:
    """Rename an interface; before Linux 6.2 only one that is down can be."""
    namespace.ip("link", "set", before, "down")
    namespace.ip("link", "set", before, "name", after)
    namespace.ip("link", "set", after, "up")


@pytest.mark.parametrize("threads", [1, 2])
def test_interface_that_is_renamed_is_watched_under_its_new_name_and_under_its_old_one_again(
    namespace: Namespace, tmp_path: Path, threads: int
) -> None:
    with watching(namespace, tmp_path, capture={"threads": threads}) as sensor, feeding(namespace) as feed:
        for number, (before, after) in enumerate((("span0", "span9"), ("span9", "span0"))):
            rename(namespace, before, after)
            is_up(sensor)
            wait_for(partial(is_called, sensor, after), "the name is said")
            judges(sensor, feed, 1 + 2 * number)
            all_are_accounted_for(sensor, feed)
        assert feed.refused == 0


def is_called(sensor: Sensor, name: str) -> bool:
    return sensor.events("link_changed")[-1:] != [] and sensor.events("link_changed")[-1]["name"] == name


def test_interface_that_takes_over_the_name_is_watched_from_then_on(namespace: Namespace, tmp_path: Path) -> None:
    with watching(namespace, tmp_path) as sensor, feeding(namespace) as feed:
        judges(sensor, feed, 1)
        rename(namespace, "span0", "old0")
        rename(namespace, "feed0", "old1")
        make(namespace)
        wait_for(lambda: promiscuous(namespace, "span0"), "the other one is watched")
        assert not promiscuous(namespace, "old0")
        is_up(sensor)
        feed.attach()
        judges(sensor, feed, 3)
        all_are_accounted_for(sensor, feed)


def test_threads_end_with_status_1_when_another_interface_has_the_name(namespace: Namespace, tmp_path: Path) -> None:
    path = configured(tmp_path, capture={"threads": 2})
    with running_sensor(namespace, tmp_path, "--config", path) as sensor:
        rename(namespace, "span0", "old0")
        rename(namespace, "feed0", "old1")
        make(namespace)
        assert sensor.process.wait(10) == 1
        (failed,) = sensor.events("capture_failed")
        assert "another interface has its name" in failed["error"]


def promiscuous(namespace: Namespace, interface: str) -> bool:
    command = namespace.command("cat", f"/sys/class/net/{interface}/flags")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return bool(int(done.stdout, 16) & 0x100)  # IFF_PROMISC


# Another MTU, and a driver that sets itself anew

INVITE = b"INVITE sip:b@example.com SIP/2.0\r\nCall-ID: %d\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\n"
KEY = b"m=audio 20000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + b"c" * 40 + b"\r\n"


def large_invite(number: int, octets: int) -> bytes:
    """Return a frame of so many octets, with SIP in which only the end of the SDP has something to find: a key."""
    body = b"v=0\r\no=a 1 1 IN IP4 10.62.0.1\r\ns=-\r\nc=IN IP4 10.62.0.1\r\nt=0 0\r\n"
    head = INVITE % number
    room = octets - 14 - 28 - len(head) - len(b"Content-Length: 0000\r\n\r\n") - len(body) - len(KEY)
    body += b"".join(b"a=x:" + b"x" * 60 + b"\r\n" for _ in range(room // 66)) + KEY
    payload = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    return ethernet(udp(payload, End(f"10.62.0.{number}", 5060), End("10.62.1.1", 5060)))


def test_jumbo_packets_are_captured_whole_while_the_mtu_changes(namespace: Namespace, tmp_path: Path) -> None:
    with watching(namespace, tmp_path) as sensor, feeding(namespace) as feed:
        for number, mtu in enumerate((1500, 9000, 1500), start=1):
            for interface in ("feed0", "span0"):
                namespace.ip("link", "set", interface, "mtu", str(mtu))
            is_up(sensor)
            frame = large_invite(number, mtu)
            assert mtu - 100 < len(frame) <= mtu + 14
            feed.send(frame)
            judges(sensor, feed, 10 * number)
            all_are_accounted_for(sensor, feed)
        codes = [event["code"] for event in sensor.events("finding_opened")]
        assert codes.count("sdes-key-exposed") == 3
        assert sensor.metric("legwatch_truncated_packets_total") == feed.refused == 0


RESETS = [
    ("ethtool", "-K", "span0", "gro", "on"),
    ("ethtool", "-L", "span0", "rx", "2", "tx", "2"),
    ("ethtool", "-K", "feed0", "tx", "off", "tso", "off"),
    ("ip", "link", "set", "span0", "down"),
    ("ip", "link", "set", "span0", "up"),
    ("ethtool", "-L", "span0", "rx", "1", "tx", "1"),
    ("ethtool", "-K", "span0", "gro", "off"),
]


def test_driver_that_resets_its_queues_under_calls_loses_what_their_sequence_numbers_say(tmp_path: Path) -> None:
    rounds = streams(ROUNDS * (len(RESETS) + 1))
    with namespaces("queues") as (place,):
        queues = ("numtxqueues", "2", "numrxqueues", "2")
        place.ip("link", "add", "feed0", *queues, "type", "veth", "peer", "name", "span0", *queues)
        for interface in ("feed0", "span0"):
            place.ip("link", "set", interface, "up")
        with watching(place, tmp_path, POLICY | {"media_idle": 1}) as sensor, feeding(place) as feed:
            for number, packets in enumerate(rounds):
                if number % ROUNDS == ROUNDS // 2 and number // ROUNDS < len(RESETS):
                    sh(*place.command(*RESETS[number // ROUNDS]))
                feed.send(*packets)
            judges(sensor, feed, 1)
            wait_for(lambda: not sensor.metric("legwatch_flows_active"), "the flows end")
            lost = feed.taken + feed.refused - account(sensor).received
            # Of legs of one stream each, which end after their flows.
            wait_for(
                lambda: sensor.metric("legwatch_leg_loss_ratio_sum") * len(rounds) == pytest.approx(lost),
                "the legs' loss is what was lost",
            )
            assert lost >= feed.refused >= ROUNDS * STREAMS  # while it was down
