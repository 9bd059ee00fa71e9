"""What the verdict is worth, measured on media that its tables never saw: ``python -m benchmarks.verdict``."""
