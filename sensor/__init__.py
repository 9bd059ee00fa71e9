"""The daemon: from the core's records to legs, findings, metrics and events."""
