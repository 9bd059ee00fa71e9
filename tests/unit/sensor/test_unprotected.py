"""Time in clear: what legs were, and still are, unprotected for."""

from __future__ import annotations

from sensor.calls.unprotected import InClear, Unprotected
from tests.unit.sensor.traffic import T0, S

PHONES, TRUNK = ("phones", "phones"), ("phones", "trunk")


def test_leg_in_clear_counts_while_it_lasts_and_stays_counted() -> None:
    clear = Unprotected()
    clear.judge("leg", PHONES, T0, T0 + S)
    clear.judge("leg", PHONES, T0, T0 + 2 * S)  # judged again, for whatever reason
    assert clear.totals(T0 + 10 * S) == {PHONES: InClear(1, 10 * S)}
    clear.judge("leg", PHONES, None, T0 + 12 * S)
    assert clear.totals(T0 + 99 * S) == {PHONES: InClear(0, 12 * S)}


def test_legs_add_up_by_the_segments_of_their_ends() -> None:
    clear = Unprotected()
    for leg, ends in ((1, PHONES), (2, PHONES), (3, TRUNK)):
        clear.judge(leg, ends, T0, T0)
    assert clear.totals(T0 + S) == {PHONES: InClear(2, 2 * S), TRUNK: InClear(1, S)}


def test_leg_that_was_never_in_clear_counts_nothing() -> None:
    clear = Unprotected()
    clear.judge("leg", PHONES, None, T0)
    assert clear.totals(T0) == {}


def test_clock_set_back_takes_no_time_away() -> None:
    clear = Unprotected()
    clear.judge("leg", PHONES, T0, T0)
    assert clear.totals(T0 - S) == {PHONES: InClear(1, 0)}
    clear.judge("leg", PHONES, None, T0 - S)
    assert clear.totals(T0) == {PHONES: InClear(0, 0)}


def test_counter_never_goes_down_when_a_silent_leg_turns_out_to_be_over() -> None:
    clear = Unprotected()
    clear.judge("leg", PHONES, T0, T0)
    assert clear.totals(T0 + 39 * S)[PHONES].ns == 39 * S
    clear.judge("leg", PHONES, None, T0 + 9 * S)
    assert clear.totals(T0 + 40 * S) == {PHONES: InClear(0, 39 * S)}
