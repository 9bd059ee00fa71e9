"""Why a packet was not classified: one closed list, counted, never raised.

The order is the counters' order; ``reasons`` in engine.pyx names them for people.
"""

cdef enum:
    CLASSIFIED = 0
    # ignored: sound, but nothing that this sensor follows
    IGNORED_ARP
    IGNORED_LLC             # IEEE 802.3 length field: STP, CDP and the like
    IGNORED_LLDP
    IGNORED_MACSEC
    IGNORED_MPLS            # what the labels carry cannot be told
    IGNORED_PPPOE
    IGNORED_PPP             # of a link, other than IP
    IGNORED_ETHERTYPE       # any other
    IGNORED_LINKTYPE        # a link layer that is not decoded
    IGNORED_FRAGMENT        # IP fragment: waits for the others, or is of no use without them
    IGNORED_ICMP
    IGNORED_IGMP
    IGNORED_SCTP
    IGNORED_ESP
    IGNORED_GRE
    IGNORED_L2TP            # control messages, or nothing that could be told
    IGNORED_HEP             # reports of packets of TCP
    IGNORED_TUNNEL_DEPTH    # too many tunnels in one another
    IGNORED_IP_PROTOCOL     # any other
    # malformed: the bytes contradict themselves or end too early
    MALFORMED_LINK
    MALFORMED_VLAN
    MALFORMED_IPV4
    MALFORMED_IPV6
    MALFORMED_GRE
    MALFORMED_PPPOE
    MALFORMED_UDP
    MALFORMED_TCP
    # shed: sound, but there was no room
    SHED_FLOW_TABLE
    SHED_NEW_MEDIA          # under overload (shedding.pxd)
    REASONS
