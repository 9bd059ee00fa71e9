"""The packet core: from captured bytes to flow, stream and signalling records at C speed."""

__version__ = "0.1.0"
