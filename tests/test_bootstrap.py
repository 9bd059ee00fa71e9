"""deploy/bootstrap.sh on machines that lack something: one line that names the Debian packages, status 1."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

BOOTSTRAP = Path(__file__).parent.parent / "deploy" / "bootstrap.sh"
BASE_PYTHON = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")


def program(folder: Path, name: str, text: str) -> None:
    """An executable shell script."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder to be the whole PATH: Python is there, a compiler is not."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program(folder, "python3", f'exec {BASE_PYTHON} "$@"')
    return folder


def bootstrap(path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    shell = shutil.which("sh")
    assert shell
    return subprocess.run(
        [shell, BOOTSTRAP, path.parent / "venv"],
        env={"PATH": str(path)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that says why."""
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_no_python_names_the_packages(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    assert "apt-get install gcc libc6-dev python3 python3-dev python3-venv" in refusal(bootstrap(folder))


def test_old_python_is_refused(bare: Path) -> None:
    program(bare, "python3", "exit 1")
    assert "Python 3.11 or newer" in refusal(bootstrap(bare))


def test_old_python3_beside_a_recent_one_uses_the_recent_one(bare: Path) -> None:
    program(bare, "python3", "exit 1")
    program(bare, "python3.12", f'exec {BASE_PYTHON} "$@"')
    assert "Python 3.11 or newer" not in refusal(bootstrap(bare))


def test_no_compiler_names_gcc_and_the_headers(bare: Path) -> None:
    assert refusal(bootstrap(bare)).endswith("apt-get install gcc libc6-dev")


def test_compiler_without_headers_names_them(bare: Path) -> None:
    program(bare, "cc-without-headers", "exit 1")
    assert refusal(bootstrap(bare, CC="cc-without-headers")).endswith("apt-get install libc6-dev")


def test_python_without_ensurepip_names_venv(bare: Path) -> None:
    program(bare, "python3", f'case "$*" in *ensurepip*) exit 1 ;; esac\nexec {BASE_PYTHON} "$@"')
    assert f"python3.{sys.version_info.minor}-venv" in refusal(bootstrap(bare))


def test_complete_machine_makes_the_environment(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    program(folder, "python3", f'exec {BASE_PYTHON} "$@"')
    done = bootstrap(folder, PATH=f"{folder}:{os.environ['PATH']}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "venv" / "bin" / "pip").exists()
