"""The documents tell the truth: commands work, links lead somewhere, nothing that exists is left out."""

import argparse
import dataclasses
import io
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stdout
from itertools import takewhile
from pathlib import Path

import pytest

from sensor.cli import main, parser
from sensor.config import fields as config_fields
from sensor.config import network, schema, sinks
from sensor.policy.catalogue import CATALOGUE

ROOT = Path(__file__).parent.parent
FOLDERS = ("docs", "fastpath", "benchmarks", "deploy")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])
RUNBOOK_HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
# A mirror port, root, a running sensor or its ledger: the live tests run these, and those of the ledger's commands.
NEEDS_MORE = tuple(f"legwatch {name}" for name in ("run", "interfaces", "doctor", "status", "top", "ledger"))

Place = tuple[str, str]


def shell_lines() -> Iterator[Place]:
    """Document and command of every line in a fenced ``sh`` block; other kinds of block are not for typing in."""
    for path in DOCUMENTS:
        for block in re.findall(r"^ *```sh\n(.*?)^ *```", path.read_text(), re.MULTILINE | re.DOTALL):
            for line in block.splitlines():
                yield str(path.relative_to(ROOT)), line.strip()


LINES = sorted(set(shell_lines()))


def of_program(name: str) -> pytest.MarkDecorator:
    """The documented lines that call a program."""
    found = [(path, line) for path, line in LINES if line.removeprefix("sudo ").split()[0] == name]
    assert found
    return pytest.mark.parametrize(("path", "line"), found, ids=[f"{path}: {line}" for path, line in found])


def test_every_documented_command_is_checked_here() -> None:
    programs = {line.removeprefix("sudo ").split()[0] for _, line in LINES}
    assert programs <= {"make", "legwatch", "curl"}


@of_program("make")
def test_documented_target_exists(path: str, line: str) -> None:
    target = line.removeprefix("sudo ").split()[1]
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE), path


@of_program("legwatch")
def test_documented_command_works(path: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is run where its files are the project's own, else at least understood."""
    monkeypatch.chdir(ROOT)
    _, *arguments = takewhile(lambda word: not set(word) <= set("|>&"), shlex.split(line))
    files = [word for word in arguments if Path(word).suffix]
    if line.startswith(NEEDS_MORE) or not all(Path(name).exists() for name in files):
        parser().parse_args(arguments)
    else:
        with redirect_stdout(io.StringIO()):
            assert main(arguments) in {0, 1}, path


def test_output_in_the_readme_is_what_the_demo_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["scan", str(ROOT / "deploy" / "demo" / "clinic.pcap")]) == 1
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    (shown,) = re.findall(r"```console\n(Call legs.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    at = 0
    for line in shown.splitlines():
        if line != "[…]":
            assert line in printed[at:]
            at = printed.index(line, at) + 1


def test_architecture_names_every_part() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    core = {path.stem for path in (ROOT / "fastpath").glob("*.p[yx][xd]")} | {"records"}
    sensor = {path.name for path in (ROOT / "sensor").iterdir() if not path.name.startswith(("_", "py.typed"))}
    assert not [name for name in sorted(core) if not re.search(rf"[`/]{name}\.p(yx|xd|y)`", text)]
    assert not [name for name in sorted(sensor) if f"`sensor/{name}" not in text]


def subcommands() -> dict[str, set[str]]:
    """Every command with its options and those of its actions, longest spelling, as the parser has them."""
    return {name: options(command) - {"--help"} for name, command in within(parser()).items()}


def within(command: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands of a command."""
    choices = [action.choices for action in command._actions if isinstance(action.choices, dict)]
    return choices[0] if choices else {}


def options(command: argparse.ArgumentParser) -> set[str]:
    own = {max(action.option_strings, key=len) for action in command._actions if action.option_strings}
    return own.union(*map(options, within(command).values()))


def test_every_command_and_option_is_documented() -> None:
    text = (ROOT / "docs" / "COMMANDS.md").read_text()
    for name, options in subcommands().items():
        _, found, section = text.partition(f"## legwatch {name}\n")
        assert found, name
        section = section.partition("\n## ")[0]
        assert not [option for option in options if f"`{option}" not in section and f", `{option}" not in section], name


def configuration_keys() -> set[str]:
    """The keys of every part of the configuration."""
    named = {**vars(network), **vars(schema), **vars(sinks)}
    sections = [part for part in named.values() if dataclasses.is_dataclass(part) and isinstance(part, type)]
    return {
        field.name for part in sections if issubclass(part, config_fields.Section) for field in dataclasses.fields(part)
    }


def test_every_configuration_key_is_documented() -> None:
    text = (ROOT / "docs" / "CONFIGURATION.md").read_text()
    keys = configuration_keys()
    assert {"segments", "cidrs", "between", "listen"} <= keys
    assert not [key for key in sorted(keys) if not re.search(rf"`{key}[`:]|## {key}\n", text)]


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_finding_has_a_runbook(code: str) -> None:
    text = (ROOT / "docs" / "runbooks" / f"{code}.md").read_text()
    assert text.startswith(f"# {code}\n")
    assert f"Severity: {CATALOGUE[code].severity}." in " ".join(text.split())


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "runbooks").glob("*.md")), ids=lambda path: path.stem)
def test_runbook_has_the_four_headings(path: Path) -> None:
    assert re.findall(r"^## (.*)$", path.read_text(), re.MULTILINE) == RUNBOOK_HEADINGS


def test_every_alert_uses_metrics_that_are_documented() -> None:
    rules = (ROOT / "deploy" / "prometheus" / "legwatch.rules.yml").read_text()
    metrics = (ROOT / "docs" / "METRICS.md").read_text()
    used = set(re.findall(r"\blegwatch_\w+", rules))
    assert used
    assert not [name for name in used if f"`{name}`" not in metrics]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_metrics_that_are_named_exist(path: Path) -> None:
    """A document may name a family of metrics by the beginning of their names."""
    known = re.findall(r"^\| `(legwatch_\w+)`", (ROOT / "docs" / "METRICS.md").read_text(), re.MULTILINE)
    named = set(re.findall(r"\blegwatch_\w+(?!\w|\.py)", path.read_text()))
    assert not [name for name in named if not any(metric.startswith(name) for metric in known)]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text())
    assert not [target for target in targets if "://" not in target and not (path.parent / target).exists()]


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "docs" / "design" / "002-dependencies.md").read_text().lower()
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    names = [match[1] for line in lines if (match := re.match(r' {4}"([A-Za-z][\w-]*)>=', line))]
    assert names
    assert not [name for name in names if f"`{name.lower()}`" not in text]


def test_every_test_that_the_threat_model_names_exists() -> None:
    text = (ROOT / "docs" / "THREAT_MODEL.md").read_text()
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", text)
    assert len(named) > 80
    assert not [name for file, name in named if f"def {name}(" not in (ROOT / "tests" / file).read_text()]


def test_every_subsystem_of_the_threat_model_has_a_test_in_each_row() -> None:
    """But for what no test can show: there the cell is empty, and the next one says what is left."""
    text = (ROOT / "docs" / "THREAT_MODEL.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if re.match(r"\| [STRIDE](?: [STRIDE])* \|", line)]
    assert len(rows) > 40
    assert [row[1] for row in rows if "::" not in row[3]] == ["X answers for the sensor"]


@pytest.mark.parametrize("path", ["SECURITY.md", "docs/THREAT_MODEL.md"])
def test_everything_that_the_security_documents_name_exists(path: str) -> None:
    """Files, targets, commands, keys, findings, alerts, packages: whatever stands as code."""
    makefile = (ROOT / "Makefile").read_text()
    rules = (ROOT / "deploy" / "prometheus" / "legwatch.rules.yml").read_text()
    files = {file.name for folder in ("fastpath", "sensor") for file in (ROOT / folder).rglob("*.p*")}
    words = {"proved", "inferred", "encrypted", "main", "test", "http:"} | set(CATALOGUE) | set(subcommands())
    words |= set(re.findall(r"^ {4}\"([A-Za-z][\w-]*)>=", (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    words |= set(re.findall(r"alert: (\w+)", rules))

    def exists(name: str) -> bool:
        if "::" in name:
            return True  # by the test above
        if name.startswith("make "):
            return re.search(rf"^{name.removeprefix('make ')}:.*## ", makefile, re.MULTILINE) is not None
        if "/" in name or Path(name).suffix in {".py", ".pyx", ".pxd", ".md", ".toml"}:
            made = name == "dist/"  # by make
            return made or name in files or (ROOT / name).exists() or bool(list((ROOT / "sensor").glob(name)))
        key = name.partition(":")[0].rpartition(".")[2]
        return name.removeprefix("legwatch ") in words or key in configuration_keys()

    assert not [name for name in set(re.findall(r"`([^`]+)`", (ROOT / path).read_text())) if not exists(name)]


def test_makefile_help_lists_the_targets() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    running = (
        "demo",
        "test",
        "test-sanitized",
        "test-live",
        "test-stack",
        "test-boot",
        "test-appliance",
        "bench",
        "soak",
    )
    for target in (*running, "ext", "lint", "package", "lock", "audit", "clean"):
        assert f"make {target} " in done.stdout
