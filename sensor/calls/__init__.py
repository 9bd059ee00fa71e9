"""From agreements and media flows to legs."""
