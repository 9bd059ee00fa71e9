"""From SIP messages to what the two ends agreed on."""
