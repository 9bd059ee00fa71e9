"""What holds for every test: when a skip is a failure, no thread left behind, reproducible properties."""

import os
import signal
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
THREAD_GRACE_S = 2.0

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_configure() -> None:
    """Let a run that is told to end take away what it has made, as after Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run: what needs root without it, shared tests without the third-party captures."""
    if os.geteuid() != 0 and ("live" in item.keywords or "boot" in item.keywords):
        pytest.skip("makes network namespaces: needs root")
    if "shared" in item.keywords and not SHARED.is_dir():
        pytest.skip("needs the third-party captures in ../shared, which are not part of the project")


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that keeps the reason."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_LIVE is set, so a skip is a failure: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under ``REQUIRE_LIVE=1`` only the tests on third-party data may be skipped."""
    report = yield
    if os.environ.get("REQUIRE_LIVE") == "1" and "shared" not in item.keywords:
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A module that skips itself hides all its tests: under ``REQUIRE_LIVE=1`` that fails, too."""
    report = yield
    if os.environ.get("REQUIRE_LIVE") == "1":
        _refuse_skip(report)
    return report


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fail a test that leaves a thread running."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + THREAD_GRACE_S
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left, f"threads left behind: {sorted(thread.name for thread in left)}"
