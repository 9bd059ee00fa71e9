"""What must be protected, and what is said when it is not: pure functions of observations, policy and time."""
