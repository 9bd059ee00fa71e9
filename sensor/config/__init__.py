"""The configuration: ``schema`` says what may be set and to what it defaults, ``load`` reads it from YAML."""
