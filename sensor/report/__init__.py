"""The report: what the entries of a period support, contradict and cannot show, for people and for programs."""
