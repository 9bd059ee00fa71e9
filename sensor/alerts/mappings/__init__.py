"""What an event looks like to others: pure functions of it, one file a form."""
