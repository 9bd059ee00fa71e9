"""What a device calls itself: products stay, and nothing of whose it is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.calls.product import product_of


@pytest.mark.parametrize(
    "said",
    [
        "Yealink SIP-T46S 66.85.0.5",
        "Yealink SIP-T31P 124.86.0.118",
        "PolycomVVX-VVX_410-UA/5.9.0.9373",
        "Polycom/6.4.3.5059 PolycomVVX-VVX_450-UA/6.4.3.5059",
        "Cisco-CP8861/12.8.1",
        "Cisco-SIPGateway/IOS-15.6.3.M2",
        "Asterisk PBX 18.10.0~dfsg",
        "Asterisk PBX certified/18.9-cert4",
        "FPBX-16.0.40.7(18.9-cert4)",
        "3CXPhoneSystem 18.0.9.20 (9.20)",
        "Grandstream GXP2160 1.0.9.132",
        "snomD785/10.1.46.16",
        "snom300/8.7.5.35",
        "baresip v1.0.0 (x86_64/linux)",
        "kamailio (5.5.2 (x86_64/linux))",
        "LinphoneAndroid/4.6.2 LinphoneSDK/5.0.49",
        "MicroSIP/3.21.3",
        "Fanvil X4U 2.4.10",
        "Cisco-CP7841-3PCC/11.3.6",
        "Cisco/SPA525G2-7.6.2",
        "PolycomSoundPointIP-SPIP_335-UA/4.0.4.2906",
        "AUDC-IPPhone-450HD_UC_3.4.8.808/1.0",
        "OpenSIPS (3.2.4 (x86_64/linux))",
        "Panasonic-KX-HDV130/8.0",
        "Bria 6",
        "Phone 1.0",
        "Avaya",
    ],
)
def test_product_is_shown_as_it_is(said: str) -> None:
    assert product_of(said) == said


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Yealink SIP-T46S 66.85.0.5 0004f2abcdef", "Yealink SIP-T46S 66.85.0.5"),
        ("Yealink SIP-T46S 66.85.0.5 00:04:F2:AB:CD:EF", "Yealink SIP-T46S 66.85.0.5"),
        ("Cisco/SPA504G-7.5.2_0004f2abcdef", "Cisco/SPA504G-7.5.2"),
        ("Cisco-CP8861/12.8.1 (SEP0004F2ABCDEF)", "Cisco-CP8861/12.8.1"),
        ("Grandstream HT801 1.0.27.2 DevId 0004f2abcdef", "Grandstream HT801 1.0.27.2"),
        ("snomD785/10.1.46.16 0004.f2ab.cdef", "snomD785/10.1.46.16"),
        ("LinphoneiOS/4.5.1 (Canaria's iPhone) LinphoneSDK/5.0.40", "LinphoneiOS/4.5.1 LinphoneSDK/5.0.40"),
        ("Linphone/4.5.1 (of (Canaria) Finch", "Linphone/4.5.1"),
        ("Linphone/4.5.1 (of \\) Canaria) 5.0", "Linphone/4.5.1 5.0"),
        ("X-Lite release 4.9.8 stamp 84253", "X-Lite release 4.9.8"),
        ("Asterisk PBX 18.10.0~dfsg+~cs6.10.40431411-2", "Asterisk PBX 18.10.0"),
        ("FreeSWITCH-mod_sofia/1.10.7-release+git~20211024T163933Z~883d2cb662", "FreeSWITCH-mod_sofia/1.10.7-release"),
        ("Bria 6 release 6.5.1 stamp 109828", "Bria 6 release 6.5.1"),
        ("FreeSWITCH-mod_sofia/1.6.12-20-b91a0a6~64bit", "FreeSWITCH-mod_sofia/1.6.12"),
        ("Yealink Canaria 66.85.0.5", "Yealink 66.85.0.5"),
        ("Bria canaria.finch@example.org", "Bria"),
        ("Bria 6 <sip:canaria.finch@example.org>", "Bria"),
        ('snom "Finch, Canaria" 8.7.5', "snom 8.7.5"),
        ("snom 'Canaria' 8.7.5", "snom 8.7.5"),
        ("Bria 4711 Canaria", "Bria"),
        ("Phone x4711 Canaria", "Phone"),
        ("Yealink Finch 55-01", "Yealink"),
        ("Linphone/4.5.1 (Canaria S10) Finch", "Linphone/4.5.1"),
        ("Phone tel:+1555", "Phone"),
        ("Phone \u0661\u0665.\u0665.\u0660", "Phone"),
    ],
)
def test_what_stands_beside_a_product_is_left_out(said: str, shown: str) -> None:
    assert product_of(said) == shown


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Canaria Finch",
        "Canaria/1.0",
        "CanariaFinch/1.0.2",
        "Bria-Canaria.Finch/6.5.1",
        "Bria 6 sip:5550199",
        "Bria 6 +1 (555) 019-9734 Canaria Finch",
        "Bria 6 +1 (555) 019-9734",
        "Bria 6 (555) 0199",
        "Phone 155 5019 9734",
        "Phone 15550199734",
        "Phone 555-0199",
        "Phone 555_019_9734",
        "Phone 555/019/9734",
        "Phone 555.019.9734",
        "Phone 1.555.019.9734",
        "Phone 1.5.5.5.0.1.9.9.7.3.4",
        "Phone 06.12.34.56.78",
        "Phone 12.34.56.78",
        "Phone 155.5 19.9 734.1",
        "Phone 1.5.5 5.0.1 9.9.7 3.4.1 5.5.5 1.2.3",
        "x15550199734",
        "Phone a1b555c019d9734",
        "Phone A155 B501 C997 D34",
        "Phone X1Y5Z5Q50199734",
        "Phone \u0661\u0665\u0665\u0665\u0660\u0661\u0669",
        "Phone \uff11\uff15\uff15\uff15\uff10\uff11\uff19",
        "Phone 550e8400-e29b-41d4-a716-446655440000",
        "Phone of 15550199734 v1.2.3",
        "155501",
        "0004f2abcdef",
        "Yealink 1234567",
        "Yealink;user=canaria",
    ],
)
def test_what_may_be_of_a_person_shows_nothing(said: str) -> None:
    assert product_of(said) == ""


@given(st.text(max_size=128), st.lists(st.sampled_from(list("15550199734")), min_size=7, max_size=11))
def test_any_text_with_a_number_in_it_never_shows_the_number(text: str, digits: list[str]) -> None:
    for between in ("", " ", "-", "/", " (", ") "):
        number = between.join(digits)
        shown = product_of(f"Bria 6 {number} {text}") + product_of(f"{text} Bria 6.5.1 {number}")
        assert "".join(digits) not in "".join(each for each in shown if each.isdigit())


@pytest.mark.parametrize(
    "said", ["phonesip" * 16, "(" * 128, "1." * 64, "00:" * 42, "a1" * 64, "sip-" * 31 + "sip?", "- " * 64]
)
def test_hostile_text_takes_no_time(said: str) -> None:
    start = time.process_time()
    for _ in range(100):
        product_of(said)
    assert time.process_time() - start < 0.2
