"""The commands: what they print, how they end, and what they answer to mistakes."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from sensor.cli import main
from tests.process import STAY_ROOT, run_to_end
from tests.unit.sensor.packets import CALL_ID, KEY, USER, arp, invite, udp, write_pcap
from tests.unit.sensor.report.made import ORDINARY, ledger

ROOT = Path(__file__).parents[3]
CLINIC = ROOT / "deploy/demo/clinic.pcap"
VALIDATOR = Draft202012Validator(json.loads((ROOT / "docs/schema/output.schema.json").read_text()))
LEGWATCH = (sys.executable, "-m", "sensor")
STARTUP_S = 0.5

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def quiet(tmp_path: Path) -> str:
    """A capture with nothing to find."""
    return str(write_pcap(tmp_path / "quiet.pcap", [arp()]))


@pytest.fixture
def leaky(tmp_path: Path) -> str:
    """A capture in which numbers, a Call-ID and a key are readable."""
    return str(write_pcap(tmp_path / "leaky.pcap", [udp(invite())]))


def objects(text: str) -> list[dict[str, Any]]:
    """Return the lines, each held against the schema."""
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        VALIDATOR.validate(line)
    return lines


def assert_one_line(capsys: Capture, *words: str) -> None:
    """Nothing was printed but one line for the operator with these words in it."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    for word in words:
        assert word in err


def assert_refused(arguments: list[str], *words: str) -> None:
    """``legwatch run`` ended with status 2 and one line with these words in it."""
    status, said = run_to_end("run", *STAY_ROOT, *arguments)
    assert (status, said.count("\n")) == (2, 1)
    for word in words:
        assert word in said


def test_version_is_said(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("legwatch ")


@pytest.mark.parametrize(
    "argv", [[], ["watch"], ["scan"], ["explain"], ["run"], ["scan", "--fail-on", "fatal", "x.pcap"]]
)
def test_wrong_use_is_one_line_and_2(argv: list[str], capsys: Capture) -> None:
    assert main(argv) == 2
    assert_one_line(capsys, "--help")


@pytest.mark.parametrize(
    "command", [[], ["run"], ["scan"], ["explain"], ["explain-policy"], ["check-config"], ["interfaces"]]
)
def test_help_is_there_for_every_command(command: list[str], capsys: Capture) -> None:
    assert main([*command, "--help"]) == 0
    assert "usage: legwatch" in capsys.readouterr().out


class TestScan:
    """``legwatch scan``."""

    def test_clinic_gives_lines_of_the_contract_and_the_account_adds_up(self, capsys: Capture) -> None:
        assert main(["scan", "--json", str(CLINIC)]) == 1
        out, err = capsys.readouterr()
        lines = objects(out)
        assert err == ""
        assert {line["type"] for line in lines} == {
            "flow",
            "leg",
            "call",
            "endpoint",
            "tls_server",
            "finding",
            "summary",
        }
        summary = lines[-1]
        account = summary["account"]
        lost = sum(sum(account[family].values()) for family in ("ignored", "malformed", "shed"))
        assert account["received"] == account["classified"] + lost > 0
        for kind in ("flow", "leg", "call", "endpoint", "tls_server"):
            assert summary[f"{kind}s"] == sum(line["type"] == kind for line in lines)
        assert sum(summary["findings"].values()) == sum(line["type"] == "finding" for line in lines)
        assert sum(line["packets"] for line in lines if line["type"] == "flow") == account["classified"]
        ids = {line["id"] for line in lines if line["type"] == "flow"}
        assert all(ids.issuperset(line["flows"]) for line in lines if line["type"] == "leg")

    def test_clinic_gives_the_same_lines_every_time_but_for_pseudonyms(self, capsys: Capture) -> None:
        runs = []
        for _ in range(2):
            main(["scan", "--json", "--reveal-identities", str(CLINIC)])
            runs.append(capsys.readouterr().out)
        assert runs[0] == runs[1]

    def test_people_get_legs_then_findings_then_the_account(self, capsys: Capture) -> None:
        assert main(["scan", str(CLINIC)]) == 1
        text = capsys.readouterr().out
        assert text.index("Call legs") < text.index("Findings") < text.index(" packets in ")
        assert max(map(len, text.splitlines())) <= 80

    def test_nothing_found_is_0(self, quiet: str, capsys: Capture) -> None:
        assert main(["scan", "--json", quiet]) == 0
        (summary,) = objects(capsys.readouterr().out)
        assert summary["account"] == {
            "received": 1,
            "classified": 0,
            "ignored": {"arp": 1},
            "malformed": {},
            "shed": {},
        }

    def test_found_below_the_limit_is_0_and_at_it_1(self, tmp_path: Path) -> None:
        config = tmp_path / "legwatch.yaml"
        config.write_text("policy: {severities: {signalling-clear: medium, sdes-key-exposed: medium}}\n")
        frames = [udp(invite().replace(b"192.0.2.", b"10.0.0.1"))]
        path = str(write_pcap(tmp_path / "sip.pcap", [frame.replace(b"\xc0\0\2", b"\x0a\0\0") for frame in frames]))
        argv = ["scan", "--json", "--config", str(config), path]
        assert main([*argv, "--fail-on", "high"]) == 0
        assert main([*argv, "--fail-on", "medium"]) == 1

    def test_several_captures_end_in_one_summary(self, quiet: str, leaky: str, capsys: Capture) -> None:
        main(["scan", "--json", quiet, leaky, quiet])
        lines = objects(capsys.readouterr().out)
        assert [line["type"] for line in lines].count("summary") == 1
        assert lines[-1]["account"]["received"] == 3
        assert {line["capture"] for line in lines[:-1]} == {leaky}

    def test_capture_that_breaks_off_is_read_up_to_there(self, tmp_path: Path, capsys: Capture) -> None:
        path = write_pcap(tmp_path / "cut.pcap", [arp(), arp()])
        path.write_bytes(path.read_bytes()[:-5])
        assert main(["scan", "--json", str(path)]) == 0
        out, err = capsys.readouterr()
        assert objects(out)[-1]["account"]["received"] == 1
        assert err.count("\n") == 1
        assert "read up to there" in err

    @pytest.mark.parametrize("content", [b"", b"no capture at all", b"\x1f\x8b\x08compressed"])
    def test_file_that_is_no_capture_is_one_line_and_2(self, content: bytes, tmp_path: Path, capsys: Capture) -> None:
        path = tmp_path / "x.pcap"
        path.write_bytes(content)
        assert main(["scan", str(path)]) == 2
        assert_one_line(capsys, "x.pcap")

    def test_name_mistyped_costs_no_half_a_report(self, quiet: str, capsys: Capture) -> None:
        assert main(["scan", quiet, "nosuch.pcap"]) == 2
        assert_one_line(capsys, "nosuch.pcap", "No such file")

    @pytest.mark.parametrize("options", [[], ["--json"]])
    def test_canaries_stay_inside(self, options: list[str], leaky: str, capsys: Capture) -> None:
        main(["scan", *options, leaky])
        out, err = capsys.readouterr()
        for canary in (USER, USER[1:], "15550100888", CALL_ID, "canary", KEY):
            assert canary not in out + err

    def test_key_stays_inside_even_when_identities_are_revealed(self, leaky: str, capsys: Capture) -> None:
        main(["scan", "--json", "--reveal-identities", leaky])
        assert KEY not in capsys.readouterr().out

    def test_reader_that_has_seen_enough_is_no_error(self) -> None:
        with subprocess.Popen(
            [*LEGWATCH, "scan", "--json", CLINIC], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout
            assert process.stderr
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(10) == 141

    def test_json_of_one_packet_takes_half_a_second_at_most(self, quiet: str) -> None:
        def run() -> float:
            # Processor time: what others do on this machine is not our start-up.
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([*LEGWATCH, "scan", "--json", quiet], cwd=ROOT, check=True, capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

        assert min(run() for _ in range(3)) <= STARTUP_S

    def test_json_loads_neither_drawing_nor_serving_nor_validating(self, quiet: str) -> None:
        code = (
            "import sys; from sensor.cli import main; main(sys.argv[1:]); "
            "heavy = {'rich', 'structlog', 'prometheus_client', 'pydantic', 'yaml', 'asyncio'}; "
            "print(sorted(heavy & set(sys.modules)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, "scan", "--json", quiet], cwd=ROOT, check=True, capture_output=True, text=True
        )
        assert done.stdout.splitlines()[-1] == "[]"

    @pytest.mark.parametrize("form", [["--json"], []])
    def test_disk_full_is_one_line_and_2(self, form: list[str]) -> None:
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [*LEGWATCH, "scan", *form, CLINIC], cwd=ROOT, check=False, stdout=full, stderr=subprocess.PIPE
            )
        assert (done.returncode, done.stderr) == (2, b"standard output: No space left on device\n")

    def test_output_closed_leaves_the_exit_status(self) -> None:
        done = subprocess.run(
            ["sh", "-c", '"$@" >&-', "sh", *LEGWATCH, "scan", CLINIC], cwd=ROOT, check=False, stderr=subprocess.PIPE
        )
        assert (done.returncode, done.stderr) == (1, b"")


class TestCheckConfig:
    """``legwatch check-config``."""

    def test_good_file_is_printed_in_full_and_loads_again(self, tmp_path: Path, capsys: Capture) -> None:
        path = tmp_path / "legwatch.yaml"
        path.write_text("policy: {grace: 1}\n")
        assert main(["check-config", str(path)]) == 0
        printed = capsys.readouterr().out
        assert "no_traffic_after" in printed
        path.write_text(printed)
        assert main(["check-config", str(path)]) == 0
        assert capsys.readouterr().out == printed

    def test_bad_file_says_all_its_faults_at_their_places(self, tmp_path: Path, capsys: Capture) -> None:
        path = tmp_path / "legwatch.yaml"
        path.write_text("policy:\n  grase: 1\nmetrics:\n  listen: here\n")
        assert main(["check-config", str(path)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert [line.startswith(f"{path}:") for line in err.splitlines()] == [True, True]
        assert f"{path}:2:3: policy.grase: " in err

    def test_several_files_are_a_stream_of_documents(self, tmp_path: Path, capsys: Capture) -> None:
        one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
        one.write_text("site: one\n")
        other.write_text("site: other\n")
        assert main(["check-config", str(one), str(other)]) == 0
        out = capsys.readouterr().out
        assert [document["site"] for document in yaml.safe_load_all(out)] == ["one", "other"]
        assert f"--- # {other}\n" in out

    def test_several_files_of_which_some_are_wrong_give_the_faults_of_all(
        self, tmp_path: Path, capsys: Capture
    ) -> None:
        texts = {"a": "grase: 1\n", "b": "site: b\n", "c": "capture: {filter: here and there}\n", "d": "limit: 1\n"}
        for name, text in texts.items():
            (tmp_path / name).write_text(text)
        assert main(["check-config", *(str(tmp_path / name) for name in texts)]) == 2
        out, err = capsys.readouterr()
        assert yaml.safe_load(out)["site"] == "b"
        assert [line.removeprefix(f"{tmp_path}/").partition(":")[0] for line in err.splitlines()] == ["a", "c", "d"]

    def test_file_with_something_that_is_over_is_printed_said_and_1(self, tmp_path: Path, capsys: Capture) -> None:
        path = tmp_path / "legwatch.yaml"
        path.write_text(
            "policy: {waivers: [{subjects: [voice], codes: [media-clear], owner: a, reason: b, until: 2020-01-31}]}\n"
        )
        assert main(["check-config", str(path)]) == 1
        out, err = capsys.readouterr()
        assert "until: 2020-01-31" in out
        assert err == f"{path}: policy.waivers[0].until: the waiver ended on 2020-01-31\n"

    @pytest.mark.parametrize("argv", [[], ["--schema", "x.yaml"]])
    def test_neither_files_nor_the_schema_or_both_is_wrong_use(self, argv: list[str], capsys: Capture) -> None:
        assert main(["check-config", *argv]) == 2
        assert_one_line(capsys, "--help")

    @pytest.mark.parametrize("text", ["udp prt 5060", "vlan 20"])
    def test_filter_that_would_fail_at_the_start_is_one_line_and_2(
        self, text: str, tmp_path: Path, capsys: Capture
    ) -> None:
        path = tmp_path / "legwatch.yaml"
        path.write_text(f"capture: {{filter: {text}}}\n")
        assert main(["check-config", str(path)]) == 2
        assert_one_line(capsys, "capture.filter")

    @pytest.mark.parametrize(
        "command",
        [
            ["check-config"],
            ["scan", "x.pcap", "--config"],
            ["explain", "x.pcap", "--config"],
        ],
    )
    def test_file_that_is_not_there_is_one_line_and_2(self, command: list[str], capsys: Capture) -> None:
        assert main([*command, "nosuch.yaml"]) == 2
        assert_one_line(capsys, "nosuch.yaml")


def test_interfaces_are_listed(capsys: Capture) -> None:
    assert main(["interfaces"]) == 0
    out = capsys.readouterr().out
    for _, name in socket.if_nameindex():
        assert name in out


class TestRun:
    """``legwatch run`` that cannot start."""

    @pytest.fixture
    def port(self) -> int:
        """A port that was free a moment ago."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            return int(server.getsockname()[1])

    def test_interface_that_is_not_there_is_one_line_and_2(self, port: int) -> None:
        assert_refused(["-i", "nosuch0", "--listen", f"127.0.0.1:{port}"], "nosuch0")

    def test_port_in_use_is_one_line_and_2(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            listen = f"127.0.0.1:{server.getsockname()[1]}"
            assert_refused(["-i", "lo", "--listen", listen], listen, "in use", "--listen")

    @pytest.mark.parametrize("listen", ["0.0.0.0:9767", "[::]:9767", "here"])
    def test_address_that_must_not_be_listened_on_is_one_line_and_2(self, listen: str) -> None:
        assert_refused(["-i", "lo", "--listen", listen], listen)

    def test_filter_that_is_none_is_one_line_and_2(self, port: int) -> None:
        assert_refused(["-i", "lo", "--listen", f"127.0.0.1:{port}", "--filter", "udp and and"], "udp and and")

    def test_configuration_that_is_not_there_is_one_line_and_2(self) -> None:
        assert_refused(["-i", "lo", "--config", "nosuch.yaml"], "nosuch.yaml")

    def test_interface_without_a_name_is_one_line_and_2(self) -> None:
        assert_refused(["-i", ""], "--interface")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_sign_that_a_terminal_lacks_is_written_as_its_number(encoding: str) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run([*LEGWATCH, "selftest"], capture_output=True, env=environment, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\u2194" in done.stdout


def test_checkpoint_is_the_same_octets_whatever_a_terminal_can_show(tmp_path: Path) -> None:
    ledger(tmp_path / "ledger", ORDINARY)
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = [*LEGWATCH, "ledger", "checkpoint", "--ledger", str(tmp_path / "ledger")]
    done = subprocess.run(command, capture_output=True, env=environment, timeout=60, check=True)
    assert done.stdout == (tmp_path / "ledger/checkpoint").read_bytes()
