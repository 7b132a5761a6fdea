"""What is on paper. Pure: bytes in, values out; no I/O, no clock, no settings, no threads."""
