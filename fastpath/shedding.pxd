"""What is left out when packets come faster than they are read, in the order that costs the verdicts least.

    1   jitter of media streams
    2   the looks at media whose verdict is known, which would see a downgrade sooner than its lengths do
    3   media of new flows beyond a rate

SIP, handshakes and what is no media are never left out, nor any packet of a flow that was let in. The source says how
much of its room waits to be read; a stage begins as soon as that is too much, and ends when it was little for a while.
"""

from libc.stdint cimport uint8_t, uint64_t

from fastpath.core cimport Core

cdef enum:
    EIGHTHS_PER_STAGE = 2       # of a source's room that wait: two for the first stage, four, six
    STAGES = 3
    STAGE_STATISTICS = 1
    STAGE_LOOKS = 2
    STAGE_NEW_MEDIA = 3
    CALM_NS = 5000000000        # with half of what a stage takes, or less, before it ends
    NEW_MEDIA_RATE = 200        # flows a second that are still let in


cdef inline void follow_backlog(Core* c, uint8_t eighths) noexcept nogil:
    cdef uint8_t wanted = min(<uint8_t>(eighths // EIGHTHS_PER_STAGE), <uint8_t>STAGES)
    if wanted > c.shedding.stage:
        c.shedding.stage = wanted
        c.shedding.busy_ns = c.now_ns
    elif c.shedding.stage:
        if eighths * 2 > c.shedding.stage * EIGHTHS_PER_STAGE or c.now_ns < c.shedding.busy_ns:
            c.shedding.busy_ns = c.now_ns
        elif c.now_ns - c.shedding.busy_ns >= <uint64_t>CALM_NS:
            c.shedding.stage -= 1
            c.shedding.busy_ns = c.now_ns


cdef inline bint is_shut(const Core* c) noexcept nogil:
    """Are more flows of media kept out now?"""
    return c.shedding.stage >= STAGE_NEW_MEDIA and c.shedding.begun > NEW_MEDIA_RATE


cdef inline bint may_begin_media(Core* c, uint64_t ts_ns) noexcept nogil:
    """May a flow that looks like media begin now?"""
    cdef uint64_t second = ts_ns // 1000000000
    if c.shedding.stage < STAGE_NEW_MEDIA:
        return True
    if second != c.shedding.second:
        c.shedding.second = second
        c.shedding.begun = 0
    c.shedding.begun += 1
    return not is_shut(c)
