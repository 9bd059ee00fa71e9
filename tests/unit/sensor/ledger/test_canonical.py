"""The octets of an entry: RFC 8785."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.ledger.canonical import decode, encode, is_canonical
from sensor.ledger.entries import Entry, Value

names = st.text(st.characters(max_codepoint=127), max_size=8).filter(lambda name: name != "at")
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
entries = st.builds(
    lambda rest, at, kind: {**rest, "at": at, "kind": kind},
    st.dictionaries(names, values, max_size=6),
    st.integers(0, 2**53 - 1),
    texts,
)


def test_string_of_the_rfc_is_written_as_it_is_there() -> None:
    # Section 3.2.2: the input, and what becomes of it in section 3.2.4
    text = json.loads(r'"\u20ac$\u000F\u000aA' + "'" + r'\u0042\u0022\u005c\\\"\/"')
    assert encode({"string": text}) == b'{"string":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'


def test_entry_that_is_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 16777216 octets"):
        encode({"kind": "x" * (1 << 24)})


def test_names_are_in_order_and_nothing_is_between() -> None:
    entry: Entry = {"b": [1, {"z": None, "a": True}], "a": "\x7f\u2028", "B": False, "10": -5}
    assert encode(entry) == '{"10":-5,"B":false,"a":"\x7f\u2028","b":[1,{"a":true,"z":null}]}'.encode()


@pytest.mark.parametrize("code", range(32))
def test_control_character_has_the_shortest_escape(code: int) -> None:
    short = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"}
    escape = short.get(code, f"\\u{code:04x}")
    assert encode({"a": chr(code)}).decode() == f'{{"a":"{escape}"}}'


def test_half_of_a_surrogate_pair_becomes_the_replacement_character() -> None:
    assert encode({"a": "x\ud800y\udfff"}) == '{"a":"x\ufffdy\ufffd"}'.encode()


@pytest.mark.parametrize(
    "wrong",
    [1.0, float("nan"), 2**53, -(2**53), b"octets", {"at": 1}, [{"a": {"at": 1}}], {"\xe4": 1}, {1: 1}, (1,)],
    ids=repr,
)
def test_what_an_entry_cannot_have_is_refused(wrong: Value) -> None:
    with pytest.raises(ValueError, match=r"ASCII|cannot have|too great|name of its time"):
        encode({"a": wrong})


@given(entries)
def test_entry_is_read_as_it_was_written_in_the_one_way_to_write_it(entry: Entry) -> None:
    line = encode(entry)
    assert decode(line) == entry
    assert is_canonical(line)
    assert b"\n" not in line
    if len(entry) > 1:
        assert not is_canonical(json.dumps(entry, sort_keys=True).encode())


@given(st.binary(max_size=40))
def test_octets_that_are_no_entry_are_refused(octets: bytes) -> None:
    if is_canonical(octets):
        assert encode(decode(octets)) == octets


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b'{"kind":"x"}',
        b'{"at":"1","kind":"x"}',
        b'{"at":1}',
        b'{"at":true,"kind":"x"}',
        b"\xff",
        b"[" * 100_000,
        b'{"at":1,"kind":"x"',
        b'{"at":1,"kind":"x"}{}',
    ],
    ids=lambda line: repr(line[:24]),
)
def test_line_that_is_no_entry_cannot_be_read(line: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decode(line)


@pytest.mark.parametrize(
    "line",
    [
        b'{"at":1, "kind":"x"}',
        b'{"kind":"x","at":1}',
        b'{"at":1,"at":1,"kind":"x"}',
        b'{"at":1,"kind":"\\u0078"}',
        b'{"at":1,"b":1.0,"kind":"x"}',
        b'{"at":1,"b":1e1,"kind":"x"}',
        b'{"at":01,"kind":"x"}',
        b'{"at":-0,"kind":"x"}',
    ],
)
def test_other_octets_that_mean_the_same_are_not_canonical(line: bytes) -> None:
    assert not is_canonical(line)
