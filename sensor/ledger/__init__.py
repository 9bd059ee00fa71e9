"""The ledger: what the sensor saw, said and could not see, as entries that cannot be changed unnoticed."""
