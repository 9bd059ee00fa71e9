"""The bundled capture of a small clinic's voice VLAN, and the generator that makes it and other small captures."""
