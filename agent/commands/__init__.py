"""What `sotto` runs: one command a file."""
