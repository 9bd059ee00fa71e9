"""Work beside a thread that must not wait for it."""

from __future__ import annotations

import threading

import pytest

from sensor.beside import Beside


def test_work_that_takes_long_is_not_waited_for_and_has_its_outcome_later() -> None:
    go_on, over = threading.Event(), threading.Event()
    work = Beside(lambda: go_on.wait(10), over)
    assert work.is_alive()
    assert not over.is_set()
    go_on.set()
    assert over.wait(10)
    work.join()
    assert work.outcome() is True


def test_what_work_raises_is_raised_where_its_outcome_is_asked_for() -> None:
    work = Beside(lambda: int("none"))
    work.join()
    with pytest.raises(ValueError, match="none"):
        work.outcome()
