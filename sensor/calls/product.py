"""What is shown of a User-Agent or Server header: which product it is, and nothing of whose it is.

RFC 3261 sections 20.35 and 20.41 mean products (``token["/" token]``, section 25.1) and comments; phones write
names, numbers and device identifiers there, too. All that is shown are words of products, which are listed here, models
and versions. Words beside them are left out, for a name is a token as any other, and where a telephone number may be
nothing is shown.
"""

from __future__ import annotations

import re

NUMBER = 7  # digits outside of versions that may be a telephone number, whatever stands between them
VERSIONS = 3  # that a text has at most; what looks like more is digits
PIECES = 16  # between spaces and signs
_VERSION_DIGITS = 9

_WORDS = """
3cx 3cxphone aastra acrobits adtran agent alcatel algo allworx android app arcor ascom asterisk ata atcom audc
audiocodes avaya avm axis b2bua baresip beta bintec blink bluebox box bria broadsoft broadworks build callcentric ccx
cert certified chan cirpack cisco ciscosystems clearone client cloud communicator conference core counterpath
csipsimple cube cucm darwin debian dect desk deskphone desktop device dfsg digium dlink door doorbird dsp edge eesy
ekiga elastix enterprise ericsson example exosip express fanvil fpbx freepbx freeswitch fritz gateway genesys gigaset
git gnu grandstream groundwire gxp gxv handset htek huawei hylafax imsdroid innovaphone intercom ios ip ipad iphone
issabel ixia jain jitsi jssip kamailio kx lib lifesize linksys linphone linphonec linux lite lts lucent lync macos
manager media mediaserver mediation metaswitch microsip mitel mizu mobile mod nec nero netgear nokia nortel obi obihai
office omnipcx one ooma openscape opensips openstage opentalk os osx oxe panasonic patton pbx pc pcc phone phonerlite
pjproject pjsip pjsua platform point poly polycom polyedge portsip presence pro proxy pstn rauland rc realpresence
registrar release ribbon router rtpengine sangoma sbc sdk sems series server session siemens sip sipcli sipgate
sipgateway sipjs sipp sipps sippy sipura snom sofia soft softphone sonus sound spectralink spip starface station
switch switchvox sylkserver system teams telekom telephone teles touch trunk tsip twilio ua uac ubuntu uc ucm ui unify
unknown user version verso video vocera voice voip vonage voxbone vsbc vtech vvx wave web webex webrtc wifi wildix win
windows x86 xivo xlite xorcom yate yealink yeastar zoiper zoom zultys zyxel
"""
_LONE_X = r"x(?!\d)"  # of X-Lite; with digits behind it, it is an extension
_KNOWN = "|".join((*sorted(set(_WORDS.split()), key=len, reverse=True), _LONE_X))
_MODEL = r"(?:[A-Z]{0,3}|[a-z]{1,2})\d{1,4}[A-Z]{0,3}\d?"
_RELEASE = r"(?:v|V|r|rv)?\d{1,4}[A-Za-z]?(?:\.(?:[A-Z]?\d{1,4}[A-Za-z]?|x)){0,4}"
_PIECE = re.compile(f"(?i:({_KNOWN})*+)(?:{_MODEL}|{_RELEASE})?", re.ASCII)
_BETWEEN = re.compile(r"[ ()/_,;:~!-]+")

_DOTTED = re.compile(r"(?<![0-9.])\d{1,4}(?:\.\d{1,4}){2,4}(?!\.?[0-9])", re.ASCII)
_PLATFORM = re.compile(r"x86_64|amd64|i[3-6]86", re.ASCII)
# What follows says no more of a product.
_BUILD = re.compile(r"(\d\.\d+(?:-[a-z]+)?)(?:[~+]|-\d{1,3}-[0-9a-f]{7}| (?:stamp|build|rev) ).*")
_PARENTHESES = re.compile(r"(\\.|[()])")  # a quoted pair is none
_MAC = r"(?:[0-9a-f]{12}|[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2})"
_DEVICE = re.compile(
    rf"[ _/;:,(-]{{0,3}}(?:(?<![a-z])(?:SEP|MAC|DevId)[ :=]{{0,2}})?(?<![0-9a-f]){_MAC}(?![0-9a-f])\)?", re.IGNORECASE
)


def product_of(said: str) -> str:
    """Return the products that a text names; "" where it may say more than that."""
    text = _DEVICE.sub("", said).strip()
    wholes = (each for each in (text, _BUILD.sub(r"\1", text)) if _digits(each) < NUMBER)
    forms = dict.fromkeys(form for whole in wholes for form in (whole, _without_comments(whole)))
    fewer = map(_products_in, forms)
    return next(filter(_is_product, (*forms, *fewer)), "")


def _digits(text: str) -> int:
    """Return how many digits there are outside of versions, those in comments too."""
    rest = _DOTTED.sub(lambda found: "" if _is_version(found[0]) else found[0], _PLATFORM.sub("", text), VERSIONS)
    return sum(map(str.isdigit, rest))


def _is_version(dotted: str) -> bool:
    """Say whether it is no telephone number: these have no group of one digit, but for a country code before it."""
    first, *others = dotted.split(".")
    few = len(dotted) - len(others) <= _VERSION_DIGITS
    return few and any(len(each) == 1 for each in others) and (first == "0" or not first.startswith("0"))


def _without_comments(text: str) -> str:
    """Return the text without comments, which may be in each other, and cut."""
    kept, depth = [], 0
    for part in _PARENTHESES.split(text):
        if part == "(":
            depth += 1
        elif part == ")":
            depth = max(depth - 1, 0)
        elif not depth:
            kept.append(part.strip())
    return " ".join(filter(None, kept))


def _products_in(text: str) -> str:
    """Return the words of products, and versions with dots: another number beside a name may be a person's."""
    words = _without_comments(text).split(maxsplit=PIECES)
    return " ".join(word for word in words if _is_product(word) or (_DOTTED.search(word) and _has_only_products(word)))


def _is_product(text: str) -> bool:
    return any(each and each[1] for each in _pieces(text)) and _has_only_products(text)


def _has_only_products(text: str) -> bool:
    return all(_pieces(text))


def _pieces(text: str) -> list[re.Match[str] | None]:
    return [_PIECE.fullmatch(piece) for piece in _BETWEEN.split(text, PIECES)]
