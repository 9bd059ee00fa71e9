"""Endpoints: every address that speaks SIP or sends media, with what it was last seen to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.calls.product import product_of
from sensor.model import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastpath.records import Agent, AppSeen, Verdict
    from sensor.model import Protection


class Endpoints:
    """The endpoints, the one not heard of for longest making room when there are too many; ``gone`` is told of it."""

    def __init__(self, gone: Callable[[Endpoint], None], capacity: int = 1 << 16) -> None:
        self.evicted = 0
        self._gone = gone
        self._capacity = capacity
        self._by_address: dict[str, Endpoint] = {}

    def __len__(self) -> int:
        """Return the number of endpoints held."""
        return len(self._by_address)

    def __contains__(self, address: str) -> bool:
        """Say whether an address is one."""
        return address in self._by_address

    def __iter__(self) -> Iterator[Endpoint]:
        """Iterate over the endpoints."""
        return iter(list(self._by_address.values()))

    def signalling(self, record: AppSeen, protection: Protection) -> None:
        """Take that two hosts exchange SIP, in clear or under TLS."""
        for address, mac in zip((record.key.a, record.key.b), record.macs, strict=True):
            endpoint = self._heard(address, record.ts_ns)
            endpoint.mac = endpoint.mac or mac
            endpoint.signalling = protection

    def media(self, record: AppSeen) -> None:
        """Take that two hosts exchange media."""
        for address, mac in zip((record.key.a, record.key.b), record.macs, strict=True):
            endpoint = self._heard(address, record.ts_ns)
            endpoint.mac = endpoint.mac or mac
            endpoint.media = endpoint.media or "undetermined"

    def verdict(self, record: Verdict, protection: Protection) -> None:
        """Take the verdict on media that an endpoint sends."""
        self._heard(record.key.a if record.from_a else record.key.b, record.ts_ns).media = protection

    def agent(self, record: Agent) -> None:
        """Take what an endpoint calls itself."""
        endpoint = self._heard(record.key.a if record.from_a else record.key.b, record.ts_ns)
        endpoint.user_agent = product_of(record.user_agent)

    def close(self) -> None:
        """Say every endpoint, after the last record."""
        for endpoint in self:
            self._gone(endpoint)
        self._by_address.clear()

    def _heard(self, address: str, ts_ns: int) -> Endpoint:
        endpoint = self._by_address.get(address)
        if endpoint is None:
            if len(self._by_address) >= self._capacity:
                self._make_room()
            endpoint = self._by_address[address] = Endpoint(address, first_ns=ts_ns, last_ns=ts_ns)
        endpoint.last_ns = max(endpoint.last_ns, ts_ns)
        return endpoint

    def _make_room(self) -> None:
        """Forget the sixteenth that was not heard of for longest: looking for it is not done for each."""
        longest = sorted(self._by_address.values(), key=lambda endpoint: endpoint.last_ns)
        for endpoint in longest[: max(self._capacity // 16, 1)]:
            del self._by_address[endpoint.address]
            self.evicted += 1
            self._gone(endpoint)
