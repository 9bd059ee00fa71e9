"""Who talks with whom, and who has been here before."""
