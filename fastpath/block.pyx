"""The one interface between capture and engine."""


cdef class PacketSource:
    """Where packets come from: a ring, a capture file, or bytes in memory.

    ``fill`` writes up to ``capacity`` references and returns how many, or one of ``FILL_TIMEOUT``, ``FILL_END``,
    ``FILL_ERROR``. References stay valid until the next call of ``fill``.
    """

    cdef int fill(self, PacketRef* refs, int capacity) noexcept nogil:
        return FILL_END
