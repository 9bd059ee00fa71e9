"""Fuzzing of what strangers may send: ``python -m tests.fuzz TARGET``. The tests replay the corpora."""
