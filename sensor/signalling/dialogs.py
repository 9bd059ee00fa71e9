"""Dialogues: whose offer and answer belong together.

Read first: RFC 3261 sections 12 to 15, RFC 3264 sections 5 to 8, RFC 3262 section 5, RFC 3311 section 5, RFC 6337.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sensor.signalling.agreement import Line, lines

if TYPE_CHECKING:
    from fastpath.records import SdpMedia, SipMessage

NS = 1_000_000_000
IDLE_NS = 1800 * NS  # a dialogue without SIP for longer is over: session timers refresh it sooner (RFC 4028)
MAX_PER_CALL = 64  # forks times hops under one Call-ID

SUCCESS, REFUSED = 200, 300  # first status codes of RFC 3261 sections 21.2 and 21.3

Hosts = tuple[str, str]  # the two ends of a hop, in text order

OFFERED, AGREED, ENDED = range(3)

# Where the offer of the INVITE at hand is
_IN_REQUEST, _IN_RESPONSE, _UNSEEN = range(3)


class Dialog:
    """One dialogue as seen on one hop: between two hosts that exchange its messages."""

    __slots__ = (
        "call_id",
        "confirmed",
        "from_tag",
        "hosts",
        "legs",
        "lines",
        "offer",
        "offer_by",
        "offer_cseq",
        "offer_place",
        "seen_ns",
        "state",
        "to_tag",
    )

    def __init__(self, msg: SipMessage, hosts: Hosts) -> None:
        self.call_id = msg.call_id
        self.hosts = hosts
        self.from_tag = msg.from_tag
        self.to_tag = msg.to_tag  # "" until a response tells it
        self.state = OFFERED
        self.confirmed = bool(msg.to_tag and not msg.status)  # a 2xx was seen, or must have been
        self.lines: tuple[Line | None, ...] = ()
        self.legs: list[Any] = []  # kept by whoever follows the lines, one entry per line
        self.offer: tuple[SdpMedia, ...] | None = None
        self.offer_by = ""  # tag of the side whose request carries the offer, or asks for one
        self.offer_cseq = -1  # that request's CSeq number; its responses and its ACK bear it too
        self.offer_place = _UNSEEN
        self.seen_ns = msg.ts_ns

    def has_tags(self, one: str, other: str) -> bool:
        """Say whether these are the dialogue's tags; a request of the callee has them the other way round."""
        return (self.from_tag == one and self.to_tag == other) or (self.from_tag == other and self.to_tag == one)

    def awaits(self, msg: SipMessage, hosts: Hosts) -> bool:
        """Say whether a message belongs to the transaction of the latest offer, on this hop."""
        return self.offer_cseq == msg.cseq and self.offer_by == msg.from_tag and self.hosts == hosts

    def pending(self, msg: SipMessage, place: int) -> None:
        """Note a transaction that makes an offer, or asks for one."""
        self.offer, self.offer_by, self.offer_cseq, self.offer_place = msg.media, msg.from_tag, msg.cseq, place

    def share_offer(self, other: Dialog | None) -> None:
        """Take the offer that another branch was answering to."""
        if other is not None:
            self.offer, self.offer_by = other.offer, other.offer_by
            self.offer_cseq, self.offer_place = other.offer_cseq, other.offer_place

    def answered(self, msg: SipMessage) -> bool:
        """Take a response's SDP; say whether it changed the lines."""
        if self.offer_by == msg.from_tag and msg.cseq < self.offer_cseq:
            return False  # an earlier answer, repeated (RFC 3261 section 13.3.1.4)
        if self.offer_cseq != msg.cseq or self.offer_by != msg.from_tag:
            self.pending(msg, _UNSEEN)
        if self.offer_place == _IN_REQUEST:
            self.agree(self.offer, msg.media)
            return True
        self.offer = msg.media
        if self.offer_place == _UNSEEN:
            # Most INVITEs carry the offer, so this is an answer; should the ACK carry one, it was the offer after all.
            self.agree(None, msg.media)
            return True
        if self.state == OFFERED:
            self.lines = lines(msg.media, None, accepted=False)
            return True
        return False

    def agree(self, offer: tuple[SdpMedia, ...] | None, answer: tuple[SdpMedia, ...] | None) -> None:
        """Hold that an answer was given; None for a side that was not seen."""
        self.state = AGREED
        self.lines = lines(offer, answer, accepted=True)


NOTHING: tuple[Dialog, ...] = ()


class Dialogs:
    """The dialogues in progress, by Call-ID, the least recently heard of going first when there are too many."""

    def __init__(self, capacity: int) -> None:
        self.evicted = 0
        self._capacity = capacity
        self._calls: dict[str, list[Dialog]] = {}  # in the order in which they were last heard of
        self._count = 0
        self._requests = {
            "INVITE": self._offered,
            "UPDATE": self._offered,
            "ACK": self._answered_late,
            "PRACK": self._answered_late,
            "BYE": self._bye,
        }
        self._responses = dict.fromkeys(("INVITE", "UPDATE", "PRACK"), self._answered)

    def __len__(self) -> int:
        """Return the number of dialogues held."""
        return self._count

    def feed(self, msg: SipMessage, hosts: Hosts) -> tuple[Dialog, ...]:
        """Take a message that two hosts exchanged; return the dialogues whose lines or state it changed.

        A dialogue that had to make room is among them, as ended. Any message in any order is taken.
        """
        take = (self._responses if msg.status else self._requests).get(msg.method)
        return take(msg, hosts) if take else ()

    def expire(self, now_ns: int) -> tuple[Dialog, ...]:
        """Forget the dialogues that were silent for too long; return those that had not ended."""
        gone: list[Dialog] = []
        for call_id, dialogs in list(self._stale(now_ns - IDLE_NS)):
            del self._calls[call_id]
            self._count -= len(dialogs)
            gone += dialogs
        return _ended(gone)

    def _stale(self, before_ns: int) -> list[tuple[str, list[Dialog]]]:
        stale = []
        for call_id, dialogs in self._calls.items():
            if max(dialog.seen_ns for dialog in dialogs) >= before_ns:
                break
            stale.append((call_id, dialogs))
        return stale

    def _offered(self, msg: SipMessage, hosts: Hosts) -> tuple[Dialog, ...]:
        """Take an INVITE or UPDATE: an offer, or a request for one (RFC 3261 section 13.2.1)."""
        dialogs = self._calls.get(msg.call_id, ())
        retransmitted = any(dialog.awaits(msg, hosts) for dialog in dialogs)
        if retransmitted or (msg.media is None and msg.method == "UPDATE"):
            return ()
        dialog, evicted = self._find(dialogs, msg, hosts), NOTHING
        if dialog is None:
            dialog = Dialog(msg, hosts)
            evicted = self._add(dialog)
        elif dialog.state == ENDED:
            if dialog.confirmed or msg.to_tag:
                return ()
            dialog.state, dialog.to_tag = OFFERED, ""  # tried again after a refusal, with other credentials or codecs
        self._heard(dialog, msg)
        dialog.pending(msg, _IN_RESPONSE if msg.media is None else _IN_REQUEST)
        if msg.media is None or dialog.state == AGREED:
            return evicted
        dialog.lines = lines(msg.media, None, accepted=False)
        return (*evicted, dialog)

    def _answered(self, msg: SipMessage, hosts: Hosts) -> tuple[Dialog, ...]:
        """Take a response: with SDP an answer, or the offer that an INVITE without one asked for."""
        if msg.status >= REFUSED:
            return self._refused(msg, hosts)
        confirms = msg.status >= SUCCESS and msg.method == "INVITE"
        if msg.media is None and not confirms:
            return ()
        dialogs = self._calls.get(msg.call_id, ())
        dialog, evicted = self._find(dialogs, msg, hosts), NOTHING
        if dialog is None:
            if msg.media is None:
                return ()
            dialog = Dialog(msg, hosts)
            # Another branch of the same INVITE has its offer (RFC 3261 section 13.2.2.4).
            dialog.share_offer(next((other for other in dialogs if other.awaits(msg, hosts)), None))
            evicted = self._add(dialog)
        if dialog.state == ENDED:
            return evicted
        self._heard(dialog, msg)
        dialog.to_tag = dialog.to_tag or msg.to_tag
        dialog.confirmed |= confirms
        changed = msg.media is not None and dialog.answered(msg)
        return (*evicted, dialog) if changed else evicted

    def _answered_late(self, msg: SipMessage, hosts: Hosts) -> tuple[Dialog, ...]:
        """Take an ACK or PRACK: its SDP answers a response's offer, or in a PRACK is one (RFC 3262 section 5)."""
        if msg.media is None:
            return ()
        dialog, evicted = self._find(self._calls.get(msg.call_id, ()), msg, hosts), NOTHING
        if dialog is None:
            dialog = Dialog(msg, hosts)
            evicted = self._add(dialog)
        elif dialog.state == ENDED:
            return ()
        self._heard(dialog, msg)
        if dialog.offer_place == _IN_REQUEST:
            if msg.method == "PRACK":
                dialog.pending(msg, _IN_REQUEST)
            return evicted
        dialog.agree(dialog.offer, msg.media)
        return (*evicted, dialog)

    def _refused(self, msg: SipMessage, hosts: Hosts) -> tuple[Dialog, ...]:
        """Take a final response that is no success: the offer is void, what was agreed before it stands."""
        refused = []
        for dialog in self._calls.get(msg.call_id, ()):
            if not dialog.awaits(msg, hosts):
                continue
            if dialog.confirmed or msg.method != "INVITE":
                dialog.offer, dialog.offer_place = None, _IN_REQUEST
            elif msg.status not in (401, 407):  # else it comes again with credentials (RFC 3261 section 22)
                refused.append(dialog)
        return _ended(refused)

    def _bye(self, msg: SipMessage, _hosts: Hosts) -> tuple[Dialog, ...]:
        """Take a BYE, which ends the dialogue on every hop (RFC 3261 section 15)."""
        over = []
        for dialog in self._calls.get(msg.call_id, ()):
            if dialog.has_tags(msg.from_tag, msg.to_tag) or (
                not dialog.to_tag and dialog.from_tag in (msg.from_tag, msg.to_tag)
            ):
                dialog.confirmed = True
                over.append(dialog)
        return _ended(over)

    def _find(self, dialogs: list[Dialog] | tuple[()], msg: SipMessage, hosts: Hosts) -> Dialog | None:
        """Return a message's dialogue on its hop, or the one that it may still become."""
        half = None
        for dialog in dialogs:
            if dialog.hosts == hosts:
                if dialog.has_tags(msg.from_tag, msg.to_tag):
                    return dialog
                if dialog.from_tag == msg.from_tag and (not dialog.to_tag or not (msg.to_tag or dialog.confirmed)):
                    half = dialog
        return half

    def _heard(self, dialog: Dialog, msg: SipMessage) -> None:
        dialog.seen_ns = max(dialog.seen_ns, msg.ts_ns)
        self._calls[msg.call_id] = self._calls.pop(msg.call_id)

    def _add(self, dialog: Dialog) -> tuple[Dialog, ...]:
        """Add a dialogue; return what had to go for it."""
        dialogs = self._calls.setdefault(dialog.call_id, [])
        gone: list[Dialog] = []
        if len(dialogs) >= MAX_PER_CALL:
            gone.append(dialogs.pop(0))
        dialogs.append(dialog)
        self._count += 1 - len(gone)
        while self._count > self._capacity:
            oldest = next(iter(self._calls))
            if oldest == dialog.call_id:
                gone.append(dialogs.pop(0))
                self._count -= 1
            else:
                removed = self._calls.pop(oldest)
                gone += removed
                self._count -= len(removed)
        self.evicted += len(gone)
        return _ended(gone)


def _ended(dialogs: list[Dialog]) -> tuple[Dialog, ...]:
    """End dialogues and return those that had not before; an ended one stays only to catch its stragglers."""
    over = tuple(dialog for dialog in dialogs if dialog.state != ENDED)
    for dialog in over:
        dialog.state, dialog.offer = ENDED, None
    return over
