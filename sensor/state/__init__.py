"""What outlives the sensor, in its state directory: the baseline, and the keys of pseudonyms."""
