"""The two numberings of link types: LINKTYPE_ in files and everywhere here, DLT_ in libpcap's calls.

Source: tcpdump.org/linktypes.html. They differ where operating systems did; of these only raw IP carries voice.
"""

LINKTYPE_ETHERNET = 1
LINKTYPE_RAW = 101
DLT_RAW = 12


def linktype_of_dlt(dlt: int) -> int:
    """Return the LINKTYPE_ value of a DLT_ value of Linux."""
    return LINKTYPE_RAW if dlt == DLT_RAW else dlt


def dlt_of_linktype(linktype: int) -> int:
    """Return the DLT_ value on Linux of a LINKTYPE_ value."""
    return DLT_RAW if linktype == LINKTYPE_RAW else linktype
