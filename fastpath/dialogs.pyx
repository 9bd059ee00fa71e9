"""Offers and answers followed through a call, in any order and from anywhere in it."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from fastpath.siphash cimport siphash

cdef enum:
    IN_REQUEST = 0              # Dialog.offer_place: where the offer at hand is
    IN_RESPONSE = 1             # the request asked for one
    UNSEEN = 2

    OVER = 0                    # Dialog.queue
    HALF_OPEN = 1
    CONFIRMED = 2

    SUCCESS = 200               # first status codes of RFC 3261 sections 21.2 and 21.3
    REFUSED = 300

    OFFER_OCTETS = 512          # that a dialogue's offer may have, on average

cdef uint32_t NO_OFFER = 0xFFFFFFFF        # Dialog.offer_cseq

# Longer without SIP, and a dialogue is over: session timers refresh it sooner (RFC 4028). One that has ended is kept
# for its stragglers only (RFC 3261 section 17: timers H and J, 32 s).
cdef uint64_t[DIALOG_QUEUES] IDLE_NS
IDLE_NS[:] = [64000000000, 1800000000000, 1800000000000]


cdef int open_dialogs(DialogTable* table, uint32_t capacity) except -1:
    cdef uint32_t buckets = 1
    memset(table, 0, sizeof(DialogTable))
    while buckets < capacity:
        buckets <<= 1
    # Zeroed memory that nobody touched costs address space only.
    table.dialogs = <Dialog*>calloc(<size_t>capacity + 1, sizeof(Dialog))
    table.buckets = <uint32_t*>calloc(buckets, sizeof(uint32_t))
    if table.dialogs == NULL or table.buckets == NULL:
        close_dialogs(table)
        raise MemoryError("no room for the dialogues")
    table.bucket_mask = buckets - 1
    table.capacity = capacity
    table.fresh = 1
    table.next_id = 1
    table.offer_limit = <uint64_t>capacity * OFFER_OCTETS
    return 0


cdef void close_dialogs(DialogTable* table) noexcept:
    cdef uint32_t number
    if table.dialogs != NULL:
        for number in range(1, table.fresh):
            free(table.dialogs[number].offer.octets)
    free(table.dialogs)
    free(table.buckets)
    table.dialogs = NULL
    table.buckets = NULL


# --- queues and records ------------------------------------------------------------------------------------------

cdef void unqueue(DialogTable* table, uint32_t number) noexcept nogil:
    cdef Dialog* d = &table.dialogs[number]
    if d.older:
        table.dialogs[d.older].newer = d.newer
    else:
        table.oldest[d.queue] = d.newer
    if d.newer:
        table.dialogs[d.newer].older = d.older
    else:
        table.newest[d.queue] = d.older


cdef void enqueue(DialogTable* table, uint32_t number, uint8_t queue) noexcept nogil:
    cdef Dialog* d = &table.dialogs[number]
    d.queue = queue
    d.newer = 0
    d.older = table.newest[queue]
    if d.older:
        table.dialogs[d.older].newer = number
    else:
        table.oldest[queue] = number
    table.newest[queue] = number


cdef void heard(DialogTable* table, uint32_t number, uint64_t ts_ns) noexcept nogil:
    """Put a dialogue where it belongs, as the one heard of last."""
    cdef Dialog* d = &table.dialogs[number]
    d.seen_ns = max(d.seen_ns, ts_ns)
    unqueue(table, number)
    enqueue(table, number, OVER if d.state == DIALOG_ENDED else CONFIRMED if d.confirmed else HALF_OPEN)


cdef void drop_offer(DialogTable* table, Dialog* d) noexcept nogil:
    if d.offer.octets != NULL:
        table.offer_octets -= d.offer.size
        free(d.offer.octets)
    d.offer.octets = NULL
    d.offer.size = 0


cdef void keep_offer(DialogTable* table, Dialog* d, Description offer) noexcept nogil:
    cdef uint8_t* copy = NULL
    if offer.octets == d.offer.octets and offer.octets != NULL:
        return
    if offer.octets != NULL:
        if table.offer_octets + offer.size <= table.offer_limit:
            copy = <uint8_t*>malloc(offer.size)
        if copy == NULL:
            table.offers_refused += 1
        else:
            memcpy(copy, offer.octets, offer.size)
    drop_offer(table, d)
    if copy != NULL:
        d.offer.octets = copy
        d.offer.size = offer.size
        table.offer_octets += offer.size


cdef void remove(DialogTable* table, uint32_t number) noexcept nogil:
    cdef Dialog* d = &table.dialogs[number]
    cdef uint32_t* link = &table.buckets[d.call & table.bucket_mask]
    while link[0] != number:
        link = &table.dialogs[link[0]].next
    link[0] = d.next
    unqueue(table, number)
    drop_offer(table, d)
    memset(d, 0, sizeof(Dialog))
    d.next = table.free
    table.free = number
    table.count -= 1


cdef int say_ended(const Dialog* d, DialogNews* news) noexcept nogil:
    """Say that a dialogue is over, if anything had been said of it; return how much was said."""
    if not d.told or d.state == DIALOG_ENDED:
        return 0
    memset(news, 0, sizeof(DialogNews))
    news.id = d.id
    news.from_tag = d.from_tag
    news.to_tag = d.to_tag
    news.state = DIALOG_ENDED
    return 1


cdef int end(DialogTable* table, uint32_t number, DialogNews* news) noexcept nogil:
    cdef Dialog* d = &table.dialogs[number]
    cdef int said = say_ended(d, news)
    d.state = DIALOG_ENDED
    drop_offer(table, d)
    heard(table, number, d.seen_ns)
    return said


cdef void dialogs_set_back(DialogTable* table, uint64_t now_ns) noexcept nogil:
    cdef uint32_t number
    for number in range(1, table.fresh):
        table.dialogs[number].seen_ns = min(table.dialogs[number].seen_ns, now_ns)


cdef bint expire_dialog(DialogTable* table, uint64_t now_ns, DialogNews* news) noexcept nogil:
    cdef uint32_t number
    cdef int queue
    for queue in range(DIALOG_QUEUES):
        number = table.oldest[queue]
        while number and table.dialogs[number].seen_ns + IDLE_NS[queue] < now_ns:
            if say_ended(&table.dialogs[number], news):
                remove(table, number)
                return True
            remove(table, number)
            number = table.oldest[queue]
    return False


cdef int make_room(DialogTable* table, uint64_t call, DialogNews* news) noexcept nogil:
    """Return how many were said to be over for it: none or one."""
    cdef uint32_t number = table.buckets[call & table.bucket_mask], oldest = 0, of_call = 0
    cdef int queue, said
    while number:
        if table.dialogs[number].call == call:
            of_call += 1
            oldest = number             # a bucket's last is its oldest
        number = table.dialogs[number].next
    if of_call < DIALOGS_PER_CALL:
        if table.count < table.capacity:
            return 0
        for queue in range(DIALOG_QUEUES):
            oldest = table.oldest[queue]
            if oldest:
                break
    table.evicted += table.dialogs[oldest].state != DIALOG_ENDED
    said = say_ended(&table.dialogs[oldest], news)
    remove(table, oldest)
    return said


cdef uint32_t add(DialogTable* table, const DialogMessage* m, DialogNews* news, int* said) noexcept nogil:
    cdef uint32_t number
    cdef Dialog* d
    said[0] += make_room(table, m.call, &news[said[0]])
    number = table.free
    if number:
        table.free = table.dialogs[number].next
    else:
        number = table.fresh
        table.fresh += 1
    table.count += 1
    d = &table.dialogs[number]
    memset(d, 0, sizeof(Dialog))
    d.id = table.next_id
    table.next_id += 1
    d.call = m.call
    d.hop = m.hop
    d.from_tag = m.from_tag
    d.to_tag = m.to_tag
    d.confirmed = m.to_tag != 0 and m.status == 0
    d.offer_place = UNSEEN
    d.offer_cseq = NO_OFFER
    d.seen_ns = m.ts_ns
    d.next = table.buckets[m.call & table.bucket_mask]
    table.buckets[m.call & table.bucket_mask] = number
    enqueue(table, number, CONFIRMED if d.confirmed else HALF_OPEN)
    return number


# --- what belongs together ---------------------------------------------------------------------------------------

cdef inline bint has_tags(const Dialog* d, uint64_t one, uint64_t other) noexcept nogil:
    """A request of the callee has them the other way round."""
    return (d.from_tag == one and d.to_tag == other) or (d.from_tag == other and d.to_tag == one)


cdef inline bint awaits(const Dialog* d, const DialogMessage* m) noexcept nogil:
    """Whether a message belongs to the transaction of the latest offer, on this hop."""
    return d.call == m.call and d.offer_cseq == m.cseq and d.offer_by == m.from_tag and d.hop == m.hop


cdef uint32_t find(const DialogTable* table, const DialogMessage* m) noexcept nogil:
    """A message's dialogue on its hop, or the one that it may still become; 0 for none."""
    cdef uint32_t number = table.buckets[m.call & table.bucket_mask], half = 0
    cdef const Dialog* d
    while number:
        d = &table.dialogs[number]
        if d.call == m.call and d.hop == m.hop:
            if has_tags(d, m.from_tag, m.to_tag):
                return number
            if half == 0 and d.from_tag == m.from_tag and (d.to_tag == 0 or not (m.to_tag or d.confirmed)):
                half = number
        number = d.next
    return half


cdef uint32_t find_awaiting(const DialogTable* table, const DialogMessage* m, uint32_t after) noexcept nogil:
    """The next dialogue that awaits a message, from the beginning with 0."""
    cdef uint32_t number = table.dialogs[after].next if after else table.buckets[m.call & table.bucket_mask]
    while number and not awaits(&table.dialogs[number], m):
        number = table.dialogs[number].next
    return number


cdef inline void pending(DialogTable* table, Dialog* d, const DialogMessage* m, uint8_t place) noexcept nogil:
    """Note a transaction that makes an offer, or asks for one."""
    keep_offer(table, d, m.media)
    d.offer_by = m.from_tag
    d.offer_cseq = m.cseq
    d.offer_place = place


cdef int say(Dialog* d, uint8_t state, Description offer, Description answer, const uint8_t* secret,
             DialogNews* news) noexcept nogil:
    """Say what was offered or agreed, unless it is what was said last: a session refreshed is no news (RFC 4028)."""
    cdef uint64_t digest = state + 1
    if offer.octets != NULL:
        digest += siphash(secret, offer.octets, offer.size)
    if answer.octets != NULL:
        digest ^= siphash(secret, answer.octets, answer.size) << 1
    d.state = state
    if d.told and d.said == digest:
        return 0
    d.told = True
    d.said = digest
    news.id = d.id
    news.from_tag = d.from_tag
    news.to_tag = d.to_tag
    news.offer = offer
    news.answer = answer
    news.state = state
    return 1


# --- messages ----------------------------------------------------------------------------------------------------

cdef Description NOTHING
NOTHING.octets = NULL
NOTHING.size = 0


cdef int offered(DialogTable* table, const DialogMessage* m, const uint8_t* secret, DialogNews* news) noexcept nogil:
    """INVITE or UPDATE: an offer, or a request for one (RFC 3261 section 13.2.1)."""
    cdef uint32_t number
    cdef Dialog* d
    cdef int said = 0
    if find_awaiting(table, m, 0) or (m.media.octets == NULL and m.method == METHOD_UPDATE):
        return 0
    number = find(table, m)
    if number == 0:
        number = add(table, m, news, &said)
    d = &table.dialogs[number]
    if d.state == DIALOG_ENDED:
        if d.confirmed or m.to_tag:
            return 0
        # Tried again after a refusal, with other credentials or codecs.
        d.state = DIALOG_OFFERED
        d.told = False
        d.to_tag = 0
        d.id = table.next_id
        table.next_id += 1
    heard(table, number, m.ts_ns)
    pending(table, d, m, IN_RESPONSE if m.media.octets == NULL else IN_REQUEST)
    if m.media.octets == NULL or d.state == DIALOG_AGREED:
        return said
    return said + say(d, DIALOG_OFFERED, d.offer, NOTHING, secret, &news[said])


cdef int take_answer(DialogTable* table, Dialog* d, const DialogMessage* m, const uint8_t* secret,
                     DialogNews* news) noexcept nogil:
    """A response's SDP: an answer, or the offer that an INVITE without one asked for."""
    if d.offer_by == m.from_tag and m.cseq < d.offer_cseq and d.offer_cseq != NO_OFFER:
        return 0                        # an earlier answer, repeated (RFC 3261 section 13.3.1.4)
    if d.offer_cseq != m.cseq or d.offer_by != m.from_tag:
        pending(table, d, m, UNSEEN)
    if d.offer_place == IN_REQUEST:
        return say(d, DIALOG_AGREED, d.offer, m.media, secret, news)
    keep_offer(table, d, m.media)
    if d.offer_place == UNSEEN:
        # Most INVITEs carry the offer, so this is an answer; should the ACK carry one, it was the offer after all.
        return say(d, DIALOG_AGREED, NOTHING, m.media, secret, news)
    if d.state == DIALOG_OFFERED:
        return say(d, DIALOG_OFFERED, d.offer, NOTHING, secret, news)
    return 0


cdef int answered(DialogTable* table, const DialogMessage* m, const uint8_t* secret, DialogNews* news) noexcept nogil:
    cdef uint32_t number, other
    cdef bint confirms = m.status >= SUCCESS and m.method == METHOD_INVITE
    cdef Dialog* d
    cdef Dialog* branch
    cdef int said = 0
    if m.media.octets == NULL and not confirms:
        return 0
    number = find(table, m)
    if number == 0:
        if m.media.octets == NULL:
            return 0
        number = add(table, m, news, &said)
        d = &table.dialogs[number]
        # Another branch of the same INVITE has its offer (RFC 3261 section 13.2.2.4).
        other = find_awaiting(table, m, 0)
        if other:
            branch = &table.dialogs[other]
            keep_offer(table, d, branch.offer)
            d.offer_by = branch.offer_by
            d.offer_cseq = branch.offer_cseq
            d.offer_place = branch.offer_place
    d = &table.dialogs[number]
    if d.state == DIALOG_ENDED:
        return said
    if d.to_tag == 0:
        d.to_tag = m.to_tag
    d.confirmed |= confirms
    heard(table, number, m.ts_ns)
    if m.media.octets != NULL:
        said += take_answer(table, d, m, secret, &news[said])
    return said


cdef int answered_late(DialogTable* table, const DialogMessage* m, const uint8_t* secret,
                       DialogNews* news) noexcept nogil:
    """ACK or PRACK: its SDP answers a response's offer, or in a PRACK is one (RFC 3262 section 5)."""
    cdef uint32_t number
    cdef Dialog* d
    cdef int said = 0
    if m.media.octets == NULL:
        return 0
    number = find(table, m)
    if number == 0:
        number = add(table, m, news, &said)
    d = &table.dialogs[number]
    if d.state == DIALOG_ENDED:
        return said
    heard(table, number, m.ts_ns)
    if d.offer_place == IN_REQUEST:
        if m.method == METHOD_PRACK:
            pending(table, d, m, IN_REQUEST)
        return said
    return said + say(d, DIALOG_AGREED, d.offer, m.media, secret, &news[said])


cdef int refused(DialogTable* table, const DialogMessage* m, DialogNews* news) noexcept nogil:
    """A final response that is no success: the offer is void, what was agreed before it stands."""
    cdef uint32_t number = find_awaiting(table, m, 0), next
    cdef Dialog* d
    cdef int said = 0
    while number:
        next = find_awaiting(table, m, number)
        d = &table.dialogs[number]
        if d.confirmed or m.method != METHOD_INVITE:
            drop_offer(table, d)
            d.offer_place = IN_REQUEST
        elif m.status != 401 and m.status != 407:   # else it comes again with credentials (RFC 3261 section 22)
            said += end(table, number, &news[said])
        number = next
    return said


cdef int bye(DialogTable* table, const DialogMessage* m, DialogNews* news) noexcept nogil:
    """BYE ends the dialogue on every hop (RFC 3261 section 15)."""
    cdef uint32_t number = table.buckets[m.call & table.bucket_mask], next
    cdef Dialog* d
    cdef int said = 0
    while number:
        d = &table.dialogs[number]
        next = d.next
        if d.call == m.call and (has_tags(d, m.from_tag, m.to_tag) or (
                d.to_tag == 0 and (d.from_tag == m.from_tag or d.from_tag == m.to_tag))):
            d.confirmed = True
            said += end(table, number, &news[said])
        number = next
    return said


cdef int take_message(DialogTable* table, const DialogMessage* m, const uint8_t* secret,
                      DialogNews* news) noexcept nogil:
    if m.method == METHOD_OTHER:
        return 0
    if m.status == 0:
        if m.method == METHOD_BYE:
            return bye(table, m, news)
        if m.method == METHOD_INVITE or m.method == METHOD_UPDATE:
            return offered(table, m, secret, news)
        return answered_late(table, m, secret, news)
    if m.method == METHOD_ACK or m.method == METHOD_BYE:
        return 0
    if m.status >= REFUSED:
        return refused(table, m, news)
    return answered(table, m, secret, news)
