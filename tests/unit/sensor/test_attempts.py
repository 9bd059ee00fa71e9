"""Guessing, searching and wrong passwords, told apart from what networks do every day (RFC 3261 section 22)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpath.records import Agent, Attempt, FlowKey
from fastpath.source import BufferSource
from sensor.analysis import Analysis
from sensor.config.schema import Policy, Registration
from sensor.model import Finding
from sensor.signalling.attempts import MAX_HELD
from tests.packets import T0, End, Packet, ethernet, finish, new_engine, udp
from tests.unit.sensor.traffic import Heard

S, MS = 10**9, 10**6
PBX, PHONE, PROXY = End("10.0.0.2", 5060), End("10.0.0.11", 5062), End("10.0.0.9", 5060)
ATTACKER = End("10.0.0.66", 5060)
ACCOUNT = "alice-canary"


def request(
    method: str, user: str, number: int, *, call: str = "c", password: str = "", agent: str = "", tag: str = ""
) -> bytes:
    auth = f'Authorization: Digest username="{user}", nonce="n", response="{password}"\r\n' if password else ""
    head = (
        f"{method} sip:pbx.example.org SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK{number}\r\n"
        f"From: <sip:{user}@pbx.example.org>;tag=1\r\nTo: <sip:{user}@pbx.example.org>{tag}\r\n"
        f"Call-ID: {call}\r\nCSeq: {number} {method}\r\n{auth}"
    )
    return (head + (f"User-Agent: {agent}\r\n" if agent else "") + "Content-Length: 0\r\n\r\n").encode()


def response(status: int, asked: bytes) -> bytes:
    lines = [line for line in asked.split(b"\r\n")[1:] if not line.startswith((b"Authorization", b"User-Agent"))]
    return b"\r\n".join([b"SIP/2.0 %d X" % status, *lines])


Exchange = tuple[End, End, bytes, int]  # who asks whom what, and the answer, 0 for none


def registers(user: str, *, password: str, status: int, call: str, source: End = PHONE) -> list[Exchange]:
    """A device: it asks without a password, is challenged, and asks with one."""
    return [
        (source, PBX, request("REGISTER", user, 1, call=call), 401),
        (source, PBX, request("REGISTER", user, 2, call=call, password=password), status),
    ]


def packets(exchanges: Iterable[Exchange], step_ns: int = 50 * MS) -> Iterator[Packet]:
    for n, (source, target, octets, status) in enumerate(exchanges):
        at = T0 + n * step_ns
        yield at, ethernet(udp(octets, source, target))
        if status:
            yield at + MS, ethernet(udp(response(status, octets), target, source))


def findings(
    exchanges: Iterable[Exchange], *, step_ns: int = 50 * MS, policy: Policy | None = None, after_ns: int = 5 * S
) -> list[Finding]:
    """The attacks that are open some time after the last exchange."""
    heard = Heard()
    analysis, engine = Analysis(policy or Policy(), [heard]), new_engine(every_message=False)
    sent = list(packets(exchanges, step_ns))
    source = BufferSource(sent)
    while engine.process(source) == 1:
        pass
    for record in finish(engine):
        analysis.feed(record)
    analysis.advance(sent[-1][0] + after_ns)
    analysis.close()
    return [each for each in analysis.book.open_findings() if each.code == "registration-attack"]


def patterns(found: list[Finding]) -> set[tuple[str, str]]:
    """Severity, and the verb of the statement."""
    verbs = ("guesses passwords", "searches for accounts", "searches for extensions", "wrong password", "many hosts")
    return {(each.severity, verb) for each in found for text in each.evidence for verb in verbs if verb in text}


# Attacks


def guesses(count: int, source: End = ATTACKER, call: str = "g") -> list[Exchange]:
    first: Exchange = (source, PBX, request("REGISTER", ACCOUNT, 1, call=call), 401)
    return [first] + [
        (source, PBX, request("REGISTER", ACCOUNT, 2, call=call, password=f"{n:032x}"), 401) for n in range(count)
    ]


def test_one_account_and_many_passwords_is_guessing() -> None:
    assert patterns(findings(guesses(40))) == {("high", "guesses passwords")}


def test_guess_that_succeeds_is_still_an_attack() -> None:
    last: Exchange = (ATTACKER, PBX, request("REGISTER", ACCOUNT, 2, call="g", password="right"), 200)
    assert patterns(findings([*guesses(40), last])) == {("high", "guesses passwords")}


def test_many_accounts_that_do_not_exist_is_searching() -> None:
    asked = [(ATTACKER, PBX, request("REGISTER", str(n), 1, call=f"e{n}"), 404) for n in range(100, 140)]
    assert patterns(findings(asked)) == {("high", "searches for accounts")}


def test_many_accounts_that_are_challenged_and_left_is_searching() -> None:
    asked = [(ATTACKER, PBX, request("REGISTER", str(n), 1, call=f"e{n}"), 401) for n in range(100, 160)]
    assert patterns(findings(asked)) == {("high", "searches for accounts")}


def test_many_extensions_that_never_ring_is_searching() -> None:
    asked = [(ATTACKER, PBX, request("INVITE", str(n), 1, call=f"i{n}"), 100) for n in range(100, 160)]
    assert patterns(findings(asked)) == {("high", "searches for extensions")}


def test_device_with_a_wrong_password_is_told_from_a_guess() -> None:
    tries = [each for n in range(12) for each in registers("a", password=f"{n:032x}", status=401, call=f"d{n}")]
    assert patterns(findings(tries, step_ns=20 * S)) == {("medium", "wrong password")}


def test_slow_guess_of_many_hosts_is_seen_by_its_account() -> None:
    hosts = [End(f"10.0.1.{n}", 5060) for n in range(1, 9)]
    tries = [
        each
        for n in range(40)
        for each in registers(ACCOUNT, password=f"{n:032x}", status=403, call=f"s{n}", source=hosts[n % 8])
    ]
    found = findings(tries, step_ns=30 * S)
    assert ("high", "many hosts") in patterns(found)


def test_tool_that_names_itself_is_named_and_the_proxy_behind_it_is_not() -> None:
    octets = request("OPTIONS", "100", 1, agent="friendly-scanner")
    found = findings([(ATTACKER, PROXY, octets, 0), (PROXY, PBX, octets, 200)])
    (only,) = found
    assert {only.subject.a, only.subject.b} == {ATTACKER.ip, PROXY.ip}
    assert only.evidence == [
        "10.0.0.66 calls itself friendly-scanner (SIPVicious), a tool for finding and attacking SIP servers"
    ]


# Every day


def test_registration_with_its_challenge_is_nothing() -> None:
    days = [each for n in range(200) for each in registers("a", password="right", status=200, call=f"r{n}")]
    assert findings(days) == []


def test_nonce_that_is_too_old_costs_each_registration_one_refusal_and_is_nothing() -> None:
    tries: list[Exchange] = []
    for n in range(60):
        tries += [
            (PHONE, PBX, request("REGISTER", "a", 2 * n, call="r", password=f"old{n}"), 401),
            (PHONE, PBX, request("REGISTER", "a", 2 * n + 1, call="r", password=f"new{n}"), 200),
        ]
    assert findings(tries, step_ns=10 * S) == []


def test_many_phones_behind_one_address_are_nothing() -> None:
    tries = [
        each
        for n in range(300)
        for each in registers(f"u{n}", password="p", status=200, call=f"n{n}", source=End(PHONE.ip, 20000 + n))
    ]
    assert findings(tries, step_ns=MS) == []


def test_border_controller_that_registers_all_its_users_at_once_is_nothing() -> None:
    first = [(PROXY, PBX, request("REGISTER", f"u{n}", 1, call=f"b{n}"), 401) for n in range(300)]
    second = [(PROXY, PBX, request("REGISTER", f"u{n}", 2, call=f"b{n}", password="p"), 200) for n in range(300)]
    assert findings(first + second, step_ns=5 * MS) == []


def test_each_phone_refused_once_by_a_registrar_that_restarts_is_nothing() -> None:
    tries = [
        each
        for n in range(100)
        for each in registers(f"u{n}", password="p", status=403, call=f"q{n}", source=End(f"10.0.2.{n}", 5060))
    ]
    assert findings(tries) == []


def test_ring_group_through_one_proxy_is_nothing() -> None:
    asked = [(PBX, PROXY, request("INVITE", str(n), 1, call=f"p{n}"), 0) for n in range(100, 160)]
    rings = [(PROXY, PBX, response(180, octets), 0) for _, _, octets, _ in asked]
    assert findings(asked + rings, step_ns=10 * MS) == []


def test_trunk_that_answers_nothing_is_an_outage_and_no_search() -> None:
    asked = [(PBX, PROXY, request("INVITE", f"1555010{n:04}", 1, call=f"t{n}"), 100) for n in range(200)]
    assert findings(asked, step_ns=10 * MS) == []


@pytest.mark.parametrize("status", [486, 480, 487, 408, 600, 603])
def test_calls_that_nobody_takes_are_nothing(status: int) -> None:
    asked = [(PBX, PROXY, request("INVITE", str(n), 1, call=f"x{n}"), status) for n in range(100, 200)]
    assert findings(asked) == []


def test_requests_that_are_sent_again_count_once() -> None:
    sent = guesses(15)
    assert findings([each for each in sent for _ in range(5)]) == []


# Bounds and policy


def test_attack_that_ends_is_resolved() -> None:
    assert findings(guesses(40), after_ns=700 * S) == []


def test_policy_says_how_many_are_too_many() -> None:
    assert findings(guesses(12)) == []
    assert findings(guesses(12), policy=Policy(registration=Registration(failures=5)))


def test_no_account_and_no_password_is_in_any_statement() -> None:
    assert ACCOUNT not in repr(findings(guesses(40)))


def attempt(kind: str, source: str, account: int, ts_ns: int) -> Attempt:
    key = FlowKey("udp", source, 5060, PBX.ip, 5060, ())
    return Attempt(1, ts_ns, key, from_a=True, kind=kind, status=401, account=account, fresh=False)


def test_forged_sources_are_bounded() -> None:
    analysis = Analysis(Policy(), [])
    for n in range(100_000):
        analysis.feed(attempt("refused", f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", n, T0 + n * MS))
    assert analysis.tables()["attempts"] <= 2 * MAX_HELD
    assert analysis.tables()["attempts_evicted"] > 100_000


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["refused", "challenged", "unanswered", "followed", "accepted"]),
            st.integers(0, 3),
            st.integers(0, 5),
            st.integers(0, 100),
        ),
        max_size=200,
    )
)
def test_any_order_of_attempts_does_no_harm(said: list[tuple[str, int, int, int]]) -> None:
    analysis = Analysis(Policy(), [])
    for kind, source, account, second in said:
        analysis.feed(attempt(kind, f"10.0.0.{source}", account, T0 + second * S))
        analysis.advance(T0 + second * S)
    analysis.feed(Agent(1, T0, FlowKey("udp", "10.0.0.1", 1, "10.0.0.2", 2, ()), from_a=True, user_agent="sipvicious"))
    analysis.reload(Policy())
    analysis.close()
