"""The rules of conftest.py: a skip is a failure where it must be, and a thread left behind always is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")


def outcome(folder: Path, body: str, *, require_live: bool) -> str:
    """Pytest's last line for a test module of its own under the project's conftest."""
    tests = folder / "project" / "tests"
    tests.mkdir(parents=True)
    shutil.copy(CONFTEST, tests)
    (tests / "test_case.py").write_text(body)
    (folder / "project" / "pytest.ini").write_text("[pytest]\nmarkers =\n    shared:\n    live:\n")
    environment = {name: value for name, value in os.environ.items() if name != "REQUIRE_LIVE"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "project/tests"],
        cwd=folder,
        env=environment | ({"REQUIRE_LIVE": "1"} if require_live else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.splitlines()[-1]


SKIPS = "import pytest\n\ndef test_skips() -> None:\n    pytest.skip('no such tool')\n"
MODULE_SKIPS = "import pytest\n\npytest.importorskip('no_such_module')\n"
SHARED = "import pytest\n\n@pytest.mark.shared\ndef test_reads_captures() -> None: ...\n"
LEAVES_THREAD = (
    "import threading\n\ndef test_leaves_thread() -> None:\n"
    "    threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
)


@pytest.mark.parametrize("body", [SKIPS, MODULE_SKIPS], ids=["test", "module"])
def test_skip_without_require_live_is_a_skip(tmp_path: Path, body: str) -> None:
    assert "1 skipped" in outcome(tmp_path, body, require_live=False)


@pytest.mark.parametrize(("body", "says"), [(SKIPS, "1 failed"), (MODULE_SKIPS, "1 error")], ids=["test", "module"])
def test_skip_with_require_live_fails(tmp_path: Path, body: str, says: str) -> None:
    assert says in outcome(tmp_path, body, require_live=True)


def test_shared_captures_absent_with_require_live_is_a_skip(tmp_path: Path) -> None:
    assert "1 skipped" in outcome(tmp_path, SHARED, require_live=True)


def test_thread_left_running_fails(tmp_path: Path) -> None:
    assert "1 error" in outcome(tmp_path, LEAVES_THREAD, require_live=False)
