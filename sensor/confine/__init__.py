"""What the running sensor does to itself before it looks at a packet: it takes what was made for it, and no more."""
