"""Real calls between real user agents (baresip) over a switch whose mirror port the sensor watches."""

import math
import signal
import struct
import wave
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.live.lab import Namespace, Sensor, namespaces, program, running_sensor, wait_for

pytestmark = pytest.mark.live

ADDRESSES = {"caller": "10.66.0.1", "callee": "10.66.0.2"}
RATE = 8000
SECONDS = 30
MODULES = ("g711", "aufile", "aubridge", "srtp", "dtls_srtp")
OF_A_LEG = {"media-clear", "dtls-fingerprint-unprotected"}  # what ends with it
CONFIG = "alerts: {settle: 0}\npolicy: {grace: 2, media_idle: 5, resolve_after: 600}"


@pytest.fixture(scope="module")
def lan() -> Iterator[dict[str, Namespace]]:
    """Two hosts and a switch that gives every frame to ``span0``: a bridge that learns nothing floods."""
    with namespaces("caller", "callee", "switch", "sensor") as made:
        caller, callee, switch, sensor = made
        switch.ip("link", "add", "br0", "type", "bridge", "ageing_time", "0", "mcast_snooping", "0")
        switch.ip("link", "set", "br0", "up")
        for name, host, far in (("caller", caller, "eth0"), ("callee", callee, "eth0"), ("mirror", sensor, "span0")):
            switch.ip("link", "add", name, "type", "veth", "peer", "name", far, "netns", host.name)
            switch.ip("link", "set", name, "master", "br0", "up")
            host.ip("link", "set", far, "up")
            if name in ADDRESSES:
                host.ip("address", "add", f"{ADDRESSES[name]}/24", "dev", far)
        yield {"caller": caller, "callee": callee, "sensor": sensor}


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Something like a voice: a gliding tone with harmonics, in syllables."""
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for n in range(RATE * SECONDS):
            t = n / RATE
            syllable = max(0.0, math.sin(2 * math.pi * 3 * t))
            glide = 2 * math.pi * (140 * t + 5 * math.sin(2 * t))
            voice = sum(math.sin(k * glide) / k for k in (1, 2, 3, 5, 8))
            file.writeframesraw(struct.pack("<h", round(6000 * syllable * voice)))
    return path


def user_agent(name: str, folder: Path, speech: Path, media_encryption: str) -> list[str]:
    """Write a baresip configuration; return the command that runs it."""
    home = folder / name
    home.mkdir()
    settings = [
        f"sip_listen {ADDRESSES[name]}:5060",
        "net_interface eth0",
        f"audio_source aufile,{speech}",
        f"audio_player aubridge,{name}",
        f"audio_alert aubridge,{name}-alert",
        f"ausrc_srate {RATE}",
        "ausrc_channels 1",
        "rtp_ports 20000-20100",
        "module_path /usr/lib/baresip/modules",
        *(f"module {module}.so" for module in MODULES),
        "module_tmp uuid.so",
        "module_tmp account.so",
        "module_app contact.so",
        "module_app menu.so",
    ]
    account = f"<sip:{name}@{ADDRESSES[name]};transport=udp>;answermode=auto;regint=0;audio_codecs=pcmu"
    (home / "config").write_text("\n".join(settings) + "\n")
    (home / "accounts").write_text(account + media_encryption + "\n")
    (home / "contacts").write_text("")
    return ["baresip", "-4", "-f", str(home), "-t", str(SECONDS)]


@pytest.mark.parametrize(
    ("media_encryption", "findings", "signalled", "observed"),
    [
        ("", {"signalling-clear", "media-clear"}, "clear", "clear"),
        (";mediaenc=srtp-mand", {"signalling-clear", "sdes-key-exposed"}, "srtp-sdes", "encrypted"),
        (";mediaenc=dtls_srtp", {"signalling-clear", "dtls-fingerprint-unprotected"}, "srtp-dtls", "encrypted"),
    ],
    ids=["rtp", "srtp-sdes", "srtp-dtls"],
)
def test_real_call_is_judged_while_it_lasts_and_as_it_ends(
    lan: dict[str, Namespace],
    speech: Path,
    tmp_path: Path,
    media_encryption: str,
    findings: set[str],
    signalled: str,
    observed: str,
) -> None:
    config = tmp_path / "legwatch.yaml"
    config.write_text(CONFIG)
    commands = {name: user_agent(name, tmp_path, speech, media_encryption) for name in ADDRESSES}
    dial = ("-e", f"/dial sip:callee@{ADDRESSES['callee']}")
    with (
        running_sensor(lan["sensor"], tmp_path, "--config", str(config)) as sensor,
        ExitStack() as agents,
    ):
        callee = program(lan["callee"].command(*commands["callee"]), tmp_path / "callee.txt", stop=signal.SIGINT)
        agents.enter_context(callee)
        wait_for(lambda: b"baresip is ready" in (tmp_path / "callee.txt").read_bytes(), "the callee listens")
        caller = program(lan["caller"].command(*commands["caller"], *dial), tmp_path / "caller.txt", stop=signal.SIGINT)
        agents.enter_context(caller)
        wait_for(lambda: streams(sensor, observed) == 2, "a verdict on both directions")
        wait_for(lambda: codes(sensor, "opened") == findings, f"findings {findings}")
        agents.close()
        wait_for(
            lambda: sensor.metric("legwatch_legs_ended_total", observed, "voice/voice", signalled) == 1, "the leg ends"
        )
        wait_for(lambda: codes(sensor, "resolved") == findings & OF_A_LEG, "what the leg had is resolved")
        assert codes(sensor, "opened") == findings
        assert sensor.metric("legwatch_kernel_dropped_packets_total") == 0
        assert sensor.stop() == 0


def streams(sensor: Sensor, protection: str) -> float:
    """How many verdicts there are."""
    return sensor.metric("legwatch_stream_verdicts_total", protection)


def codes(sensor: Sensor, change: str) -> set[str]:
    """The codes of the findings that were opened or resolved."""
    return {event["code"] for event in sensor.events(f"finding_{change}")}
