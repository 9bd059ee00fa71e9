"""A sensor under mixed traffic for a long time, and what of it has to stay flat: ``python -m benchmarks.soak``."""
