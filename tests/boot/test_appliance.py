"""A bare Debian with two interfaces becomes a sensor, from a controller and by itself at its first boot."""

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import dpkt
import pytest

from tests.boot import place as places
from tests.boot.place import MANAGEMENT, Place
from tests.live.lab import ROOT, program, read_capture, wait_for

pytestmark = pytest.mark.boot

ROLE = ROOT / "deploy" / "appliance" / "ansible"
USER_DATA = ROOT / "deploy" / "appliance" / "cloud-init" / "user-data.yml"
SEED = "/var/lib/cloud/seed/nocloud"
CLINIC = ROOT / "deploy" / "demo" / "clinic.pcap"
ALTERING = ("generic-receive-offload", "large-receive-offload", "rx-vlan-offload", "generic-segmentation-offload")


class Controller:
    """Where Ansible runs: outside, with a key that opens the machine."""

    def __init__(self, place: Place, folder: Path) -> None:
        self._place = place
        self._folder = folder
        place.machine.run("touch", "/var/lib/apt/lists")  # they are as old as the tree
        key = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        authorized = place.machine.path("/root/.ssh/authorized_keys")
        authorized.parent.mkdir(mode=0o700, exist_ok=True)
        authorized.write_bytes(key.with_suffix(".pub").read_bytes())
        known = place.machine.path("/etc/ssh/ssh_host_ed25519_key.pub").read_text()
        (folder / "known_hosts").write_text(f"{MANAGEMENT} {known}")
        options = f"-i {key} -o UserKnownHostsFile={folder / 'known_hosts'}"
        inventory = {
            "sensors": {
                "hosts": {
                    "machine": {
                        "ansible_host": MANAGEMENT,
                        "ansible_user": "root",
                        "ansible_ssh_common_args": options,
                        "legwatch_mirror": "span0",
                        "legwatch_package": str(Path(folder, "legwatch.deb")),
                        "legwatch_config": {"site": "clinic", "alerts": {"settle": 0}},
                        "legwatch_metrics_from": ["192.0.2.1"],
                        "legwatch_ntp_servers": ["192.0.2.1"],
                    }
                }
            }
        }
        (folder / "inventory.json").write_text(json.dumps(inventory))

    def play(self) -> dict[str, int]:
        """Apply the role; return how many tasks were ok, changed and so on."""
        tool = Path(sys.executable).with_name("ansible-playbook")
        told = ("--inventory", str(self._folder / "inventory.json"))
        command = self._place.outside.command(str(tool), *told, "playbook.yml")
        environment = os.environ | {"ANSIBLE_HOME": str(self._folder), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            command, cwd=ROLE, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", done.stdout)}


@pytest.fixture(scope="module")
def controlled(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Controller]]:
    folder = tmp_path_factory.mktemp("controller")
    (folder / "legwatch.deb").symlink_to(packages / "legwatch.deb")
    with places.place(packages) as made:
        controller = Controller(made, folder)
        controller.play()
        yield made, controller


def question(address: str) -> bytes:
    """Return a frame that asks everybody who has an address (RFC 826)."""
    ours = bytes.fromhex("020000000001")
    asked = dpkt.arp.ARP(sha=ours, spa=socket.inet_aton("192.0.2.77"), tpa=socket.inet_aton(address))
    return bytes(dpkt.ethernet.Ethernet(dst=b"\xff" * 6, src=ours, type=dpkt.ethernet.ETH_TYPE_ARP, data=asked))


def features(place: Place) -> dict[str, str]:
    lines = place.machine.run("ethtool", "--show-features", "span0").splitlines()[1:]
    return {name.strip(): value.split()[0] for name, value in (line.split(":") for line in lines)}


def is_a_sensor(place: Place) -> None:
    """Look at everything that the role promises, as an administrator would."""
    shown = features(place)
    assert [shown[name] for name in ALTERING] == ["off"] * len(ALTERING)
    (link,) = json.loads(place.machine.run("ip", "-json", "address", "show", "dev", "span0"))
    assert link["addr_info"] == []
    assert {"UP", "LOWER_UP", "NOARP"} <= set(link["flags"])
    assert link["mtu"] == 9000
    assert place.machine.run("sysctl", "--values", "net.ipv6.conf.span0.disable_ipv6").strip() == "1"
    assert place.machine.shows("chrony", "ActiveState", "UnitFileState") == ["active", "enabled"]
    assert place.machine.shows("legwatch", "ActiveState", "UnitFileState") == ["active", "enabled"]
    assert place.sensor.ready()


def test_role_makes_a_sensor_of_the_machine(controlled: tuple[Place, Controller]) -> None:
    place, _ = controlled
    is_a_sensor(place)
    assert 'site="clinic"' in place.sensor.get("/metrics")[1]
    assert "192.0.2.1" in place.machine.run("chronyc", "-n", "sources")
    (management,) = json.loads(place.machine.run("ip", "-json", "address", "show", "dev", "mgmt0"))
    assert MANAGEMENT in [each["local"] for each in management["addr_info"]]


def test_role_changes_nothing_when_it_is_applied_again(controlled: tuple[Place, Controller]) -> None:
    place, controller = controlled
    pid = place.machine.pid("legwatch")
    assert controller.play()["changed"] == 0
    assert place.machine.pid("legwatch") == pid


def test_machine_answers_on_its_management_port_only_and_only_what_it_was_asked_to(
    controlled: tuple[Place, Controller],
) -> None:
    place, _ = controlled
    place.machine.run("systemd-run", "--collect", "python3", "-m", "http.server", "8080")

    def answers(port: int) -> bool:
        with place.outside.entered(), suppress(OSError), socket.create_connection((MANAGEMENT, port), timeout=1):
            return True
        return False

    wait_for(lambda: place.machine.attempt("ss", "-Hltn", "sport = :8080").stdout, "there is a server")
    assert answers(22)
    assert not answers(8080)
    assert place.machine.run("nft", "list", "ruleset").count("span0") == 2


def test_mirror_port_says_nothing_of_its_own(controlled: tuple[Place, Controller]) -> None:
    """Not even to who asks for an address of the machine: what a switch mirrors must not get an answer."""
    place, _ = controlled
    with place.outside.entered():
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    with tap:
        tap.bind(("feed0", 0))
        tap.settimeout(3)
        place.mirror.send(question(MANAGEMENT))
        heard = []
        with suppress(TimeoutError):
            while True:
                octets, (_, _, kind, *_) = tap.recvfrom(2048)
                if kind != socket.PACKET_OUTGOING:
                    heard.append(octets)
    assert heard == []


def test_machine_is_a_sensor_again_after_its_next_boot(controlled: tuple[Place, Controller]) -> None:
    place, _ = controlled
    place.machine.halt()
    place.mirror.renew()  # the same card, as it is when nobody has set it up
    place.machine.boot()
    wait_for(lambda: place.machine.shows("legwatch", "ActiveState") == ["active"], "the sensor starts by itself", 60)
    is_a_sensor(place)
    frames = read_capture(CLINIC)
    place.mirror.replay(frames, speed=20)
    wait_for(lambda: place.sensor.metric("legwatch_received_packets_total") >= len(frames), "it sees packets")
    wait_for(lambda: place.events(name="finding_opened"), "it finds")


@pytest.fixture
def user_data(packages: Path) -> str:
    """The example, with what is to be put in; and the machine has no mirror of Debian to ask for news."""
    digest = hashlib.sha256((packages / "legwatch.deb").read_bytes()).hexdigest()
    there = {"ens19": "span0", "package_update: true": "package_update: false"}
    there |= {"https://packages.example.org/legwatch_0.1.0_amd64.deb": "http://192.0.2.1:8000/legwatch.deb"}
    text = USER_DATA.read_text()
    for placeholder, value in (there | {"0" * 64: digest}).items():
        assert text.count(placeholder) == 1, placeholder
        text = text.replace(placeholder, value)
    return text


def test_machine_makes_a_sensor_of_itself_at_its_first_boot(
    place: Place, packages: Path, user_data: str, tmp_path: Path
) -> None:
    machine = place.machine
    machine.install("cloud-init")
    machine.path("/etc/cloud/cloud.cfg.d/here.cfg").write_text(
        "datasource_list: [NoCloud]\nnetwork: {config: disabled}\nlocale: false\n"
    )
    machine.path(SEED).mkdir(parents=True)
    machine.path(f"{SEED}/meta-data").write_text("instance-id: first\n")
    machine.path(f"{SEED}/user-data").write_text(user_data)
    machine.path("/root/user-data.yml").write_text(USER_DATA.read_text())
    assert "Valid" in machine.run("cloud-init", "schema", "--config-file", "/root/user-data.yml")
    machine.halt()
    place.mirror.renew()
    web = place.outside.command(sys.executable, "-m", "http.server", "--directory", str(packages), "8000")
    with program(web, tmp_path / "web"):
        machine.boot()
        said = machine.attempt("cloud-init", "status", "--wait", "--long").stdout
    assert "status: done" in said, machine.attempt("cat", "/var/log/cloud-init-output.log").stdout
    is_a_sensor(place)
    assert 'site="clinic"' in place.sensor.get("/metrics")[1]
