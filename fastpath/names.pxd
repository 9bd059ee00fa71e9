"""The closed sets that verdicts and flows are described with; ``names`` in engine.pyx gives their words."""

cdef enum:
    APP_OTHER = 0               # in the order of what is said of a flow that shows more than one
    APP_DNS
    APP_NTP
    APP_SNMP
    APP_TFTP
    APP_HTTP
    APP_FTP
    APP_TELNET
    APP_SMTP
    APP_IMAP
    APP_POP3
    APP_LDAP
    APP_SMB
    APP_RTSP
    APP_IPSEC
    APP_WIREGUARD
    APP_OPENVPN
    APP_STUN
    APP_TURN
    APP_ZRTP
    APP_DTLS
    APP_TLS
    APP_3CX_TUNNEL
    APP_SCCP
    APP_MGCP
    APP_MEGACO
    APP_H323
    APP_IAX2
    APP_MSRP
    APP_SIP
    APP_WS
    APP_RTCP
    APP_T38
    APP_RTP
    APPS

cdef enum:
    PROTECTION_NONE = 0         # no verdict yet
    PROTECTION_NOT_APPLICABLE
    PROTECTION_NOT_OBSERVED
    PROTECTION_UNDETERMINED
    PROTECTION_ENCRYPTED
    PROTECTION_CLEAR
    PROTECTIONS

cdef enum:
    GRADE_NONE = 0
    GRADE_INFERRED
    GRADE_PROVED

cdef enum:
    KEYS_NONE = 0
    KEYS_DTLS
    KEYS_ZRTP

cdef enum:
    # What became of a packet of a stream that is traced.
    FATE_SCORED = 0
    FATE_WATCHED                # settled, and the test goes on with one packet in 16
    FATE_GLANCE                 # settled, and one table looked at it
    FATE_SETTLED                # settled, and not looked at
    FATE_OTHER_TYPE             # of another payload type than the stream's
    FATE_EMPTY
    FATE_DUPLICATE
    FATE_BEHIND
    FATE_STRAY                  # its sequence number is far off, and none confirmed it yet
    FATES

cdef enum:
    # A set of bits; the words of the output come in this order, the strongest first.
    BASIS_PAYLOAD_STRUCTURE = 1 << 0
    BASIS_TAG_PRESENT = 1 << 1
    BASIS_DTLS = 1 << 2
    BASIS_ZRTP = 1 << 3
    BASIS_SRTCP_INDEX = 1 << 4
    BASIS_TAG_LENGTH = 1 << 5
    BASIS_NO_CODEC_FITS = 1 << 6
    BASIS_COMPOUND = 1 << 7         # RTCP whose packets tile the datagram (RFC 3550 section 6.1)
    BASIS_HANDSHAKE = 1 << 8
    BASIS_NULL_CIPHER = 1 << 9
    BASIS_START_LINE = 1 << 10
    BASIS_LOOKS_UNIFORM = 1 << 11
    BASIS_INCONCLUSIVE = 1 << 12     # structure that is too weak for either verdict
    BASIS_TOO_FEW = 1 << 13
    BASIS_CRYPTEX = 1 << 14

cdef enum:
    # What a protocol in clear shows to whoever reads it.
    SHOWN_SIP = 0
    SHOWN_KEYS                  # of SRTP
    SHOWN_CREDENTIALS
    SHOWN_TEXT
    SHOWN_LEGACY                # signalling of calls that is not SIP
    SHOWN_MEDIA                 # voice inside another protocol than RTP
    SHOWN_PROVISIONING
    SHOWN_MANAGEMENT
    SHOWN_VOICEMAIL
    SHOWN_DIRECTORY
    SHOWN_RECORDING
    SHOWN_NAME_TIME
    SHOWN_TUNNEL                # one that carries calls, and whose protection does not show
    SHOWN_KINDS

cdef enum:
    # What of it is secret, or bad to show: detail of an exposure.
    SECRET_NONE = 0
    SECRET_PASSWORD
    SECRET_BASIC                # RFC 7617
    SECRET_DIGEST
    SECRET_BEARER
    SECRET_COMMUNITY            # SNMPv1, SNMPv2c
    SECRET_BIND                 # simple bind of LDAP
    SECRET_CONFIGURATION        # of a telephone
    SECRET_MAIL
    SECRET_AUDIO
    SECRET_ENTRIES              # of a directory
    SECRETS
