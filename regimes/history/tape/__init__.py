"""The tape: everything that was seen, as it came, in files that survive whatever happens to the process."""
