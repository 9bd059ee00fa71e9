"""The linters and the type checker, run as tests: the one list of what clean means."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOOLS = Path(sys.executable).parent
PYTHON_FOLDERS = ("sensor", "fastpath", "benchmarks", "deploy", "tests")
SHELLS = (b"#!/bin/sh\n", b"#!/usr/bin/env bash\n", b"#!/bin/bash\n")
CYTHON = sorted((ROOT / "fastpath").glob("*.p[yx][xd]"))


def run(tool: str, *arguments: str | Path) -> None:
    """Run a tool of the environment in the project's folder; what it complains about is the failure's text."""
    environment = os.environ | {"PATH": f"{TOOLS}:{os.environ['PATH']}"}  # the tools call others by name
    command = [TOOLS / tool, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{tool} complains:\n{done.stdout}{done.stderr}", pytrace=False)


def test_python_has_no_lint() -> None:
    run("ruff", "check", "--quiet", *PYTHON_FOLDERS)


def test_python_is_formatted() -> None:
    run("ruff", "format", "--quiet", "--diff", *PYTHON_FOLDERS)


def test_types_hold() -> None:
    run("mypy", "--no-error-summary")


def test_cython_has_no_lint() -> None:
    run("cython-lint", *CYTHON)


def test_cython_strings_are_double_quoted(tmp_path: Path) -> None:
    run("double-quote-cython-strings", *(shutil.copy(path, tmp_path) for path in CYTHON))


def test_shell_has_no_lint() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    scripts = [path for path in files if path.read_bytes().startswith(SHELLS)]
    assert ROOT / ".ci" / "run" in scripts
    run("shellcheck", *scripts)


@pytest.mark.parametrize("path", CYTHON, ids=lambda path: path.name)
def test_cython_directives_stand_in_the_build_only(path: Path) -> None:
    """A file's header is applied after the build's directives and would defeat the debug build."""
    assert not [line for line in path.read_text().splitlines() if line.replace(" ", "").startswith("#cython:")]
