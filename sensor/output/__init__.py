"""Sinks: where results go. Each implements ``sensor.model.Sink``."""
