"""The tests under AddressSanitizer, LeakSanitizer and UBSan: ``make test-sanitized``."""
