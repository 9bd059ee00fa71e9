"""``legwatch top``: what a terminal shows of a sensor, that it ends and that it comes back."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from html import unescape
from pathlib import Path

import pytest
from textual.app import App
from textual.pilot import Pilot

from sensor.cli import main
from sensor.commands import top
from sensor.commands.top import Top
from sensor.readiness import condition
from tests.unit.sensor.status import DEGRADED, Loop, busy

CHARACTER_WIDTH, LINE_HEIGHT = 12.2, 24.4  # in the pictures of textual
SIZES = ((80, 24), (140, 50))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(top, "PERIOD_S", 0.05)
    return tmp_path / "status.sock"


def lines(app: App[None]) -> list[str]:
    """Return the lines of the screen, by its picture."""
    rows: dict[int, list[str]] = {}
    picture = app.export_screenshot(simplify=True)
    for x, y, text in re.findall(r'<text [^>]*x="([\d.]+)" y="([\d.]+)"[^>]*clip-path[^>]*>(.*?)</text>', picture):
        row = rows.setdefault(round(float(y) / LINE_HEIGHT), [])
        row += " " * (round(float(x) / CHARACTER_WIDTH) - len(row))
        row += unescape(text).replace("\xa0", " ")
    return ["".join(row).rstrip() for _, row in sorted(rows.items())]


async def until(pilot: Pilot[None], shows: str) -> list[str]:
    """Return the screen once it shows a text."""
    for _ in range(200):
        await pilot.pause(0.02)
        if any(shows in line for line in lines(pilot.app)):
            return lines(pilot.app)
    pytest.fail(f"{shows} was never shown:\n" + "\n".join(lines(pilot.app)))


def watched(path: Path, steps: Callable[[Pilot[None]], Awaitable[None]], size: tuple[int, int] = SIZES[0]) -> None:
    async def run() -> None:
        async with Top(path).run_test(size=size) as pilot:
            await steps(pilot)

    asyncio.run(run())


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "140x50"])
def test_busy_sensor_is_shown_whole_with_signs_beside_colours(path: Path, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, "52,345")
        shown = await until(pilot, "q Quit")
        assert len(shown) <= size[1]
        assert max(map(len, shown)) <= size[0]
        assert shown[0].strip().startswith("! DEGRADED   span-1 at main, span0 (link up)")
        screen = "\n".join(shown)
        for text in (
            *("! degraded one-way-mirror 60 of 60 media flows", "✓ encrypted", "412", "✗ clear", "? undetermined"),
            *("- not observed", "in clear: voice/outside 12", "packets/s", "one way   60 !", "Newest findings; open: "),
            *("1 critical, 1 medium", "● critical", "media-clear 10.20.1.0 ↔ 203.0.113.5", "q Quit", "? Help"),
        ):
            assert text in screen
        assert re.search("[▁▂▃▄▅▆▇█▔]", screen), "a sparkline"

    with Loop(path) as loop:
        loop.status, loop.conditions = busy(), DEGRADED
        watched(path, steps, size)


def test_words_from_the_wire_move_no_cursor(path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        shown = await until(pilot, "media-clear")
        assert "\x1b" not in "".join(shown)

    with Loop(path) as loop:
        loop.status = busy()
        watched(path, steps)


def test_blindness_comes_and_goes_before_the_eyes_of_who_watches(path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, "✓ READY")
        loop.conditions = (condition("link-down", "span0 is down"),)
        await until(pilot, "✗ BLIND")
        await until(pilot, "✗ blind link-down span0 is down")
        loop.conditions = ()
        assert not [line for line in await until(pilot, "✓ READY") if "link-down" in line]

    with Loop(path) as loop:
        watched(path, steps)


def test_sensor_that_ends_is_said_to_be_gone_and_one_that_starts_is_shown_again(path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        with Loop(path):
            await until(pilot, "✓ READY")
        await until(pilot, "✗ NO SENSOR")
        await until(pilot, "sensor has this socket")
        assert pilot.app.has_class("gone")
        with Loop(path):
            await until(pilot, "✓ READY")
        assert not pilot.app.has_class("gone")

    watched(path, steps)


def test_nobody_to_ask_is_said_from_the_start(path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, "✗ NO SENSOR")

    watched(path, steps)


def test_sensor_of_another_version_is_said_and_does_not_end_it(path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, "of another version")

    with Loop(path) as loop:
        del loop.status["legs"]
        watched(path, steps)


def test_help_comes_and_goes_by_its_key(path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, "✓ READY")
        await pilot.press("question_mark")
        await until(pilot, "nothing blinds the sensor")
        await pilot.press("question_mark")
        await pilot.pause()
        assert not [line for line in lines(pilot.app) if "nothing blinds" in line]

    with Loop(path):
        watched(path, steps)


def test_q_quits_with_status_0(path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("q")
        await pilot.pause()
        assert pilot.app.return_code == 0

    with Loop(path):
        watched(path, steps)


def test_terminal_that_is_resized_is_filled_anew(path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, "media-clear")
        await pilot.resize_terminal(60, 20)
        await pilot.pause(0.2)
        shown = await until(pilot, "q Quit")
        assert len(shown) <= 20
        assert max(map(len, shown)) <= 60

    with Loop(path) as loop:
        loop.status = busy()
        watched(path, steps)


def test_packets_of_another_process_are_counted_anew(path: Path) -> None:
    app = Top(path)
    for pid, packets, seconds in ((1, 1000, 10.0), (1, 1500, 11.0), (2, 40, 1.0), (2, 60, 2.0), (2, 60, 2.0)):
        app._follow({"pid": pid, "packets": {"received": packets}, "uptime_s": seconds})
    assert list(app._rates)[2:] == [500, 20]


def test_output_that_is_no_terminal_is_2_and_names_the_other_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top"]) == 2
    assert "legwatch status" in capsys.readouterr().err


def test_other_commands_do_not_load_what_draws_it() -> None:
    loads = "import sys, sensor.cli, sensor.commands.status, sensor.commands.run; print('textual' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
