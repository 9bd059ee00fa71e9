"""Hints from signalling: which codec a dynamic payload type means at an address and port, as SDP in clear has it.

Read first: RFC 3264 sections 5.1 and 6.1, RFC 8866 sections 5.7, 5.14 and 6.6, RFC 4568 section 6.2.
Who writes a description says there under which payload types, and at which address and port, it wants to receive what
codec. It may lie: a hint says in which order codecs are tried and what lengths they have, and decides nothing. Likewise
it says there that facsimile comes by UDPTL (RFC 3362), which is looked for at such ends only. No number, URI or key
comes here.

The engine that reads a description need not be the one that gets its media, so the engines of one sensor hold one pool
of hints, without a lock. Each bucket has a version, odd while it is written (a sequence lock: Boehm, "Can seqlocks get
along with programming language memory models?", 2012). A writer that finds another at its bucket gives up and counts
it; a reader whose bucket changed meanwhile looks again, and after a few times there is no hint for it.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fastpath.rtp cimport FrameLaw
from fastpath.sdp cimport SdpMedia
from fastpath.sip cimport SipScan
from fastpath.text cimport Span
from fastpath.udptl cimport goes_on
from fastpath.verdict cimport FIRST_DYNAMIC_TYPE, HINT_NONE, MAX_TABLES
from fastpath.wire cimport FlowKeyBits, HashSecret, hash_key

cdef extern from "<arpa/inet.h>" nogil:
    int inet_pton(int family, const char* text, void* address)
    int AF_INET, AF_INET6

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char* x, const char* y, size_t n)

cdef enum:
    HINT_WAYS = 4               # entries of a bucket
    HINT_PAIRS = 8              # payload types of an address and port
    HINT_ADDRESS = 45           # octets of the longest IPv6 address as text
    ENCODINGS = 35
    HINT_TRIES = 4              # of a reader

cdef extern from *:
    """
    #include <stdint.h>
    /* The version of a bucket that is being written is odd, and nobody begins to read there. */
    static inline uint32_t lw_version(const uint32_t *at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
    static inline int lw_is_still(const uint32_t *at, uint32_t version) {
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        return __atomic_load_n(at, __ATOMIC_RELAXED) == version;
    }
    static inline int lw_claim(uint32_t *at) {
        uint32_t version = __atomic_load_n(at, __ATOMIC_RELAXED);
        if (version & 1 ||
                !__atomic_compare_exchange_n(at, &version, version + 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return 0;
        __atomic_thread_fence(__ATOMIC_RELEASE);
        return 1;
    }
    static inline void lw_leave(uint32_t *at) { __atomic_fetch_add(at, 1, __ATOMIC_RELEASE); }
    static inline void lw_count(uint64_t *at) { __atomic_fetch_add(at, 1, __ATOMIC_RELAXED); }
    static inline uint64_t lw_counted(const uint64_t *at) { return __atomic_load_n(at, __ATOMIC_RELAXED); }
    static inline uint8_t lw_is_set(const uint8_t *at) { return __atomic_load_n(at, __ATOMIC_RELAXED); }
    static inline void lw_set(uint8_t *at) {
        if (!__atomic_load_n(at, __ATOMIC_RELAXED))     /* else every engine would lose the line that it is in */
            __atomic_store_n(at, 1, __ATOMIC_RELAXED);
    }
    /* Encoding name and clock rate (0: any) of an rtpmap, the codec's name in the tables, the law of its lengths. */
    static const struct {
        const char *name, *codec;
        unsigned int clock;
        unsigned short units, octets, other_units, other_octets;
    } lw_encoding[35] __attribute__((unused)) = {
        {"PCMU", "pcmu", 8000, 1, 1, 0, 0}, {"PCMA", "pcma", 8000, 1, 1, 0, 0}, {"G722", "g722", 8000, 1, 1, 0, 0},
        {"GSM", "gsm", 8000, 160, 33, 0, 0}, {"G723", "g723", 8000, 240, 24, 0, 0},
        {"G729", "g729", 8000, 80, 10, 0, 0}, {"iLBC", "ilbc", 8000, 160, 38, 240, 50},
        {"L16", "l16", 0, 1, 2, 0, 0},
        {"G726-16", "g726-16", 8000, 4, 1, 0, 0}, {"AAL2-G726-16", "aal2-16", 8000, 4, 1, 0, 0},
        {"G726-24", "g726-24", 8000, 8, 3, 0, 0}, {"AAL2-G726-24", "aal2-24", 8000, 8, 3, 0, 0},
        {"G726-32", "g726-32", 8000, 2, 1, 0, 0}, {"AAL2-G726-32", "aal2-32", 8000, 2, 1, 0, 0},
        {"G726-40", "g726-40", 8000, 8, 5, 0, 0}, {"AAL2-G726-40", "aal2-40", 8000, 8, 5, 0, 0},
        {"opus", "opus", 48000, 0, 0, 0, 0}, {"AMR", "amr", 8000, 0, 0, 0, 0}, {"AMR-WB", "amrwb", 16000, 0, 0, 0, 0},
        {"speex", "speex", 8000, 0, 0, 0, 0}, {"speex", "speexwb", 16000, 0, 0, 0, 0},
        {"CODEC2", "codec2", 8000, 0, 0, 0, 0}, {"CN", "cn", 0, 0, 0, 0, 0},
        {"telephone-event", "event", 0, 0, 0, 0, 0}, {"red", "red", 0, 0, 0, 0, 0}, {"t140", "t140", 1000, 0, 0, 0, 0},
        {"H264", "h264", 90000, 0, 0, 0, 0}, {"H265", "h265", 90000, 0, 0, 0, 0}, {"VP8", "vp8", 90000, 0, 0, 0, 0},
        {"VP9", "vp9", 90000, 0, 0, 0, 0}, {"AV1", "av1", 90000, 0, 0, 0, 0},
        {"H263-1998", "h263p", 90000, 0, 0, 0, 0}, {"H263-2000", "h263p", 90000, 0, 0, 0, 0},
        {"MP4V-ES", "mp4v", 90000, 0, 0, 0, 0}, {"JPEG", "jpeg", 90000, 0, 0, 0, 0},
    };
    """
    ctypedef struct Encoding:
        const char* name
        const char* codec
        uint32_t clock
        uint16_t units
        uint16_t octets
        uint16_t other_units
        uint16_t other_octets
    const Encoding* encoding "lw_encoding"
    uint32_t version_of "lw_version"(const uint32_t* at) noexcept nogil
    bint is_still "lw_is_still"(const uint32_t* at, uint32_t version) noexcept nogil
    bint claim "lw_claim"(uint32_t* at) noexcept nogil
    void leave "lw_leave"(uint32_t* at) noexcept nogil
    void count_one "lw_count"(uint64_t* at) noexcept nogil
    uint64_t counted "lw_counted"(const uint64_t* at) noexcept nogil
    bint is_set "lw_is_set"(const uint8_t* at) noexcept nogil
    void set_for_all "lw_set"(uint8_t* at) noexcept nogil


cdef struct Hint:
    uint64_t address[2]         # as FlowKeyBits has it
    uint64_t seen_ns            # when it was last described
    uint64_t message            # number of the description
    uint32_t version            # of the whole bucket, in its first entry
    uint16_t port               # 0: the entry is free
    uint8_t count
    uint8_t udptl               # facsimile is wanted there …
    uint8_t fax[2]              # … and so much of it was seen, to this end and from it
    uint16_t fax_sequence[2]
    uint8_t payload_type[HINT_PAIRS]
    uint8_t codec[HINT_PAIRS]   # index into Tables.codecs


cdef struct HintPool:           # what the engines of one sensor have together
    Hint* entries               # buckets of HINT_WAYS
    uint32_t bucket_mask
    uint8_t udptl               # a description wanted facsimile
    uint64_t count              # addresses and ports in the pool
    uint64_t replaced           # … that made room for others
    uint64_t given_up           # writes, as another engine was writing there


cdef struct HintTable:          # of one engine
    HintPool* pool
    uint64_t message            # its descriptions so far, numbered apart from those of other engines
    uint8_t codec[ENCODINGS]    # HINT_NONE where the tables have no such codec
    FrameLaw law[MAX_TABLES]    # by codec


cdef inline Hint* hint_bucket(const HintPool* pool, const uint64_t* address, uint16_t port,
                              const HashSecret* secret) noexcept nogil:
    cdef FlowKeyBits key
    memset(&key, 0, sizeof(FlowKeyBits))
    key.low[0] = address[0]
    key.low[1] = address[1]
    key.ports = port
    return &pool.entries[(<uint32_t>(hash_key(&key, secret) >> 32) & pool.bucket_mask) * HINT_WAYS]


cdef inline bint is_hint_for(const Hint* hint, const uint64_t* address, uint16_t port) noexcept nogil:
    return hint.port == port and hint.address[0] == address[0] and hint.address[1] == address[1]


cdef inline bint fax_goes_on(const HintTable* table, const uint64_t* address, uint16_t port, bint from_end,
                             uint16_t sequence, bint* wanted, const HashSecret* secret) noexcept nogil:
    """Note a datagram to or from an end where facsimile may be ``wanted``; True when it is the second in a row."""
    cdef HintPool* pool = table.pool
    cdef Hint* hint = hint_bucket(pool, address, port, secret)
    cdef uint32_t* version = &hint.version
    cdef bint second = False
    cdef int way = 0
    wanted[0] = False
    while way < HINT_WAYS and not (hint[way].udptl and is_hint_for(&hint[way], address, port)):
        way += 1
    # A reader that saw half of what is being written only loses this datagram, or finds nothing under the claim.
    if way == HINT_WAYS:
        return False
    if not claim(version):
        count_one(&pool.given_up)
        return False
    if hint[way].udptl and is_hint_for(&hint[way], address, port):
        wanted[0] = True
        second = hint[way].fax[from_end] and goes_on(sequence, hint[way].fax_sequence[from_end])
        hint[way].fax[from_end] = not second
        hint[way].fax_sequence[from_end] = sequence
    leave(version)
    return second


cdef inline uint8_t look_up_hint(const Hint* hint, const uint64_t* address, uint16_t port,
                                 uint8_t payload_type) noexcept nogil:
    cdef int way, i
    for way in range(HINT_WAYS):
        if is_hint_for(&hint[way], address, port):
            for i in range(min(hint[way].count, HINT_PAIRS)):
                if hint[way].payload_type[i] == payload_type:
                    return hint[way].codec[i]
            return HINT_NONE
    return HINT_NONE


cdef inline uint8_t find_hint(const HintTable* table, const uint64_t* address, uint16_t port, uint8_t payload_type,
                              const HashSecret* secret) noexcept nogil:
    """Return the codec that a payload type means at an address and port, or HINT_NONE."""
    cdef const Hint* hint
    cdef uint32_t version
    cdef uint8_t codec
    if counted(&table.pool.count) == 0 or port == 0:
        return HINT_NONE
    hint = hint_bucket(table.pool, address, port, secret)
    for _ in range(HINT_TRIES):
        version = version_of(&hint.version)
        if version & 1:
            continue
        codec = look_up_hint(hint, address, port, payload_type)
        if is_still(&hint.version, version):
            return codec
    return HINT_NONE


cdef inline uint8_t encoded_codec(const HintTable* table, const uint8_t* p, Span text) noexcept nogil:
    # <encoding name>/<clock rate>[/<channels>]; names are compared without regard to case (RFC 4855 section 3)
    cdef const uint8_t* word = p + text.at
    cdef uint32_t n = 0, at, clock = 0, channels = 0
    cdef int i
    while n < text.len and word[n] != c"/":
        n += 1
    at = n + 1
    while at < text.len and c"0" <= word[at] <= c"9" and clock < 1000000:
        clock = clock * 10 + word[at] - c"0"
        at += 1
    if n == 0 or clock == 0 or (at < text.len and word[at] != c"/"):
        return HINT_NONE
    at += 1
    while at < text.len and c"0" <= word[at] <= c"9" and channels < 100:
        channels = channels * 10 + word[at] - c"0"
        at += 1
    for i in range(ENCODINGS):
        # Letters differ from those of the other case in one bit: most names are passed over by their first.
        if (word[0] ^ <uint8_t>encoding[i].name[0]) & 0xDF or (encoding[i].clock != clock and encoding[i].clock):
            continue
        if strncasecmp(encoding[i].name, <const char*>word, n) == 0 and encoding[i].name[n] == 0:
            # The law of lengths is that of one channel.
            return HINT_NONE if encoding[i].units and channels > 1 else table.codec[i]
    return HINT_NONE


cdef inline bint is_rtp_profile(const uint8_t* p, Span profile) noexcept nogil:
    # RTP over UDP: RFC 3551, 4585, 3711, 5124; RFC 5764 section 8
    cdef const char* word = <const char*>p + profile.at
    cdef uint32_t n = profile.len
    if n > 8 and strncasecmp(word, b"UDP/TLS/", 8) == 0:
        word += 8
        n -= 8
    if n < 7 or strncasecmp(word, b"RTP/", 4):
        return False
    word += 4
    n -= 4
    return ((n == 3 and strncasecmp(word, b"AVP", 3) == 0) or (n == 4 and strncasecmp(word, b"AVPF", 4) == 0)
            or (n == 4 and strncasecmp(word, b"SAVP", 4) == 0) or (n == 5 and strncasecmp(word, b"SAVPF", 5) == 0))


cdef inline bint is_udptl_profile(const uint8_t* p, Span profile) noexcept nogil:
    return profile.len == 5 and strncasecmp(<const char*>p + profile.at, b"udptl", 5) == 0


cdef inline bint read_address(const uint8_t* p, Span text, uint64_t* address) noexcept nogil:
    # As FlowKeyBits has it. A host name is none, nor is the unspecified address, which puts a call on hold.
    cdef char octets[HINT_ADDRESS + 1]
    cdef uint8_t* out = <uint8_t*>address
    cdef uint32_t v4
    if text.len == 0 or text.len > HINT_ADDRESS:
        return False
    memcpy(octets, p + text.at, text.len)
    octets[text.len] = 0
    if inet_pton(AF_INET, octets, &v4) == 1:
        address[0] = 0
        address[1] = 0xFFFF0000U
        memcpy(out + 12, &v4, 4)
        return v4 != 0
    return inet_pton(AF_INET6, octets, address) == 1 and (address[0] | address[1]) != 0


cdef inline Hint* hint_place(HintPool* pool, Hint* bucket, const uint64_t* address, uint16_t port,
                             bint make) noexcept nogil:
    # The entry of an address and port; one that is free, or the oldest of the bucket, is made its own where wanted.
    cdef Hint* place = bucket
    cdef int way
    for way in range(HINT_WAYS):
        if is_hint_for(&bucket[way], address, port):
            return &bucket[way]
        if place.port and (bucket[way].port == 0 or bucket[way].seen_ns < place.seen_ns):
            place = &bucket[way]
    if not make:
        return NULL
    count_one(&pool.replaced if place.port else &pool.count)
    # Not the version, which may be in this entry: were it even for a moment, another writer would claim the bucket.
    place.message = 0           # what hangs on a description is cleared with the first
    memset(place.fax, 0, sizeof(place.fax))
    place.address[0] = address[0]
    place.address[1] = address[1]
    place.port = port
    return place


cdef inline void describe(Hint* hint, uint64_t message, const uint8_t* payload_type, const uint8_t* codec, int pairs,
                          bint udptl, uint64_t ts_ns) noexcept nogil:
    cdef int i
    if hint.message != message:
        # What an earlier description said of it holds no more; sections of one may share a port (RFC 9143).
        hint.message = message
        hint.count = 0
        hint.udptl = False
    hint.seen_ns = ts_ns
    if udptl:
        hint.udptl = True
    for i in range(pairs):
        if hint.count == HINT_PAIRS:
            break
        hint.payload_type[hint.count] = payload_type[i]
        hint.codec[hint.count] = codec[i]
        hint.count += 1


cdef inline void note_media(HintTable* table, const uint8_t* p, const SdpMedia* m, const HashSecret* secret,
                            uint64_t ts_ns) noexcept nogil:
    cdef uint64_t address[2]
    cdef uint8_t codec[HINT_PAIRS]
    cdef uint8_t payload_type[HINT_PAIRS]
    cdef Hint* bucket
    cdef Hint* hint
    cdef int i, pairs = 0
    cdef bint udptl = is_udptl_profile(p, m.profile)
    if m.port == 0 or not (udptl or is_rtp_profile(p, m.profile)) or not read_address(p, m.address, address):
        return
    for i in range(0 if udptl else m.payload_count):
        if m.payloads[i].number < FIRST_DYNAMIC_TYPE or m.payloads[i].encoding.len == 0 or pairs == HINT_PAIRS:
            continue
        codec[pairs] = encoded_codec(table, p, m.payloads[i].encoding)
        payload_type[pairs] = m.payloads[i].number
        pairs += codec[pairs] != HINT_NONE
    bucket = hint_bucket(table.pool, address, m.port, secret)
    if not claim(&bucket.version):
        count_one(&table.pool.given_up)
        return
    hint = hint_place(table.pool, bucket, address, m.port, pairs > 0 or udptl)
    if hint != NULL:
        describe(hint, table.message, payload_type, codec, pairs, udptl, ts_ns)
    leave(&bucket.version)
    if udptl:
        set_for_all(&table.pool.udptl)


cdef inline void note_hints(HintTable* table, const uint8_t* p, const SipScan* scan, const HashSecret* secret,
                            uint64_t ts_ns) noexcept nogil:
    """Keep what a message's description says of payload types; ``p`` is the message that was scanned."""
    cdef int i
    table.message += 1
    for i in range(scan.sdp.media_count):
        note_media(table, p, &scan.sdp.media[i], secret, ts_ns)
