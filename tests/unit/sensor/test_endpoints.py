"""Endpoints: who speaks SIP or exchanges media, and how it was last seen."""

from __future__ import annotations

from dataclasses import replace

from fastpath.records import Agent
from sensor.calls.endpoints import Endpoints
from sensor.model import Endpoint
from tests.unit.sensor.traffic import ALICE, BOB, T0, S, media_key, seen, verdict

MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")


def test_endpoint_has_address_mac_agent_and_its_last_state_by_role() -> None:
    gone: list[Endpoint] = []
    endpoints = Endpoints(gone.append)
    endpoints.signalling(replace(seen("sip"), macs=MACS), "clear")
    endpoints.agent(Agent(1, T0 + S, media_key(), True, "Phone 1.0"))
    endpoints.media(seen("rtp"))
    endpoints.verdict(verdict("encrypted", ts_ns=T0 + 3 * S), "encrypted")
    endpoints.close()
    assert gone == [
        Endpoint(ALICE, MACS[0], "Phone 1.0", "encrypted", "clear", T0 + S, T0 + 3 * S),
        Endpoint(BOB, MACS[1], "", "undetermined", "clear", T0 + S, T0 + S),
    ]


def test_number_in_a_user_agent_leaves_nothing_of_it() -> None:
    endpoints = Endpoints(lambda _endpoint: None)
    endpoints.agent(Agent(1, T0, media_key(), True, "Phone of 15550199734 v1.2.3"))
    assert [endpoint.user_agent for endpoint in endpoints] == [""]


def test_those_not_heard_of_for_longest_make_room() -> None:
    gone: list[Endpoint] = []
    endpoints = Endpoints(gone.append, capacity=16)
    for number in range(20):
        endpoints.verdict(verdict("clear", media_key(f"10.0.1.{number}"), ts_ns=T0 + number * S), "clear")
    assert (len(endpoints), endpoints.evicted) == (16, 4)
    assert [endpoint.address for endpoint in gone] == [f"10.0.1.{number}" for number in range(4)]
