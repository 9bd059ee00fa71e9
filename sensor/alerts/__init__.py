"""How what was found leaves the sensor: events, their forms, and the ways to the operator's tools."""
