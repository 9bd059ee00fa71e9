"""``legwatch top``: how the running sensor is, as it changes."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace
from collections import deque
from pathlib import Path
from typing import Any, ClassVar

from rich.console import RenderableType
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Footer, Sparkline, Static

from sensor.commands import OperatorError
from sensor.commands.asking import ask, path_of
from sensor.output import status_text
from sensor.output.signs import LEVEL

PERIOD_S = 1.0  # between two looks
LOOKS = 120  # that the sparkline shows

_HELP = """\
Every second the sensor is asked how it is.

✓ READY      nothing blinds the sensor
! DEGRADED   it sees, and something is not as it should be
✗ BLIND      a part of what happens is missing; the lines beneath say why

Legs         in progress, by what their packets are: ✓ encrypted,
             ✗ clear, ? undetermined, - not observed
Rates        what comes in a second; the curve is packets/s of two minutes
Mirror       what it showed within the last minute; ! is an ill
Findings     the newest: ● open, ✓ over, ~ waived, with their age

q quits, ? shows and hides this, ↑ ↓ scroll.
`legwatch status` prints the same once.
"""


def execute(args: Namespace) -> int:
    """Show it until q."""
    if not sys.stdout.isatty():
        raise OperatorError("legwatch top needs a terminal; legwatch status prints the same once")
    Top(path_of(args)).run()
    return 0


def _box(title: str, *parts: Widget, id: str | None = None) -> Vertical:  # noqa: A002  (as textual calls it)
    box = Vertical(*parts, id=id)
    box.border_title = title
    return box


class Help(ModalScreen[None]):
    """What the signs and keys mean."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark,h,escape,q", "dismiss", "Close")]

    def compose(self) -> ComposeResult:
        """Show the text."""
        yield Static(_HELP, id="help", markup=False)


class Top(App[None]):
    """Asks the sensor behind a socket, and shows what it says for as long as it says it."""

    TITLE = "legwatch top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("question_mark,h", "help", "Help", key_display="?"),
    ]
    CSS = """
    #headline, #conditions { height: auto; }
    #conditions { max-height: 5; overflow-y: auto; }
    #now { height: 10; }
    #now > Vertical { border: round $primary; padding: 0 1; width: 1fr; height: 10; }
    #now > #legs { width: 2fr; }
    #now Static { height: auto; }
    #packets { height: 1fr; min-height: 1; }
    #findings { border: round $primary; padding: 0 1; height: 1fr; min-height: 4; }
    .gone #now, .gone #findings { opacity: 40%; }
    Help { align: center middle; }
    #help { width: 84; max-width: 100%; height: auto; max-height: 100%; border: round $accent; padding: 0 1;
            background: $surface; overflow-y: auto; }
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._before: tuple[object, int, float] | None = None  # which process, its packets, its time
        self._rates: deque[float] = deque([0.0] * 2, LOOKS)
        self._headline, self._conditions = Static("asking …", id="headline"), Static(id="conditions")
        self._legs, self._numbers, self._mirror, self._newest = Static(), Static(), Static(), Static()
        self._curve = Sparkline(list(self._rates), id="packets")
        self._findings = VerticalScroll(self._newest, id="findings")

    def compose(self) -> ComposeResult:
        """Lay out the parts."""
        yield self._headline
        yield self._conditions
        with Horizontal(id="now"):
            yield _box("Legs now", self._legs, id="legs")
            yield _box("Rates", self._numbers, self._curve)
            yield _box("Mirror, 1 min", self._mirror)
        yield self._findings
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to ask."""
        self._findings.focus()
        self.run_worker(self._watch(), exit_on_error=True)

    def action_help(self) -> None:
        """Show what the signs mean."""
        self.push_screen(Help())

    async def _watch(self) -> None:
        while True:
            try:
                status = await asyncio.to_thread(ask, self._path)
                self._show(status)
            except OperatorError as error:
                self._lose(str(error))
            except (KeyError, TypeError, ValueError):
                self._lose(f"{self._path}: the sensor is of another version; restart it")
            await asyncio.sleep(PERIOD_S)

    def _show(self, status: dict[str, Any]) -> None:
        self._follow(status)
        parts: dict[Static, RenderableType] = {
            self._headline: status_text.headline(status),
            self._conditions: status_text.conditions(status),
            self._legs: status_text.legs(status),
            self._numbers: status_text.rates(status),
            self._mirror: status_text.mirror(status),
            self._newest: status_text.findings(status),
        }
        for place, part in parts.items():
            place.update(part)
        self._curve.data = list(self._rates)
        opened = status["findings"]["by_severity"]
        counts = ", ".join(f"{count:,} {severity}" for severity, count in opened.items() if count)
        self._findings.border_title = f"Newest findings; open: {counts or 'none'}"
        self.remove_class("gone")

    def _lose(self, why: str) -> None:
        """Say that nobody answers; what was seen last stays, dimmed."""
        self._headline.update(Text().append(" ✗ NO SENSOR ", style=LEVEL["blind"][1]).append(f"  {why}"))
        self._conditions.update(Text(f"asked again every {PERIOD_S:.0f} s", style="dim"))
        self.add_class("gone")

    def _follow(self, status: dict[str, Any]) -> None:
        """Take how many packets came since the last look; another process counts anew."""
        process, packets, seconds = status["pid"], status["packets"]["received"], status["uptime_s"]
        if self._before is not None and self._before[0] == process and seconds > self._before[2]:
            self._rates.append(max((packets - self._before[1]) / (seconds - self._before[2]), 0.0))
        self._before = process, packets, seconds
