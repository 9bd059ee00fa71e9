"""Whether the running sensor sees, as it was judged last, and who is told when that is something else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sensor.output import systemd
from sensor.readiness import conditions, headline, is_blind

if TYPE_CHECKING:
    from sensor.output.events import Events
    from sensor.readiness import Condition, Seen

HEADLINE_S = 10.0  # how often systemd is told what is seen, when it is not whether it is


class Sight:
    """Holds the conditions of now; the journal and systemd hear of it when there are other ones."""

    def __init__(self, seen: Seen, events: Events) -> None:
        self.holding: tuple[Condition, ...] = conditions(seen)
        self._events = events
        self._headline_at = 0.0

    def judge(self, seen: Seen, legs: int, in_clear: int) -> None:
        """Take what is known now, with the legs in progress and those of them in clear."""
        before = {each.reason for each in self.holding} - {"starting"}  # of that there are events of its own
        self.holding = conditions(seen)
        changed = {each.reason for each in self.holding} != before
        if changed and seen.phase == "running":
            blind, said = is_blind(self.holding), [str(each) for each in self.holding]
            self._events.say("conditions_changed", level="error" if blind else "info", ready=not blind, holding=said)
        if changed or time.monotonic() >= self._headline_at:
            self._headline_at = time.monotonic() + HEADLINE_S
            systemd.notify(f"STATUS={headline(seen.interface, legs, in_clear, self.holding)}")
