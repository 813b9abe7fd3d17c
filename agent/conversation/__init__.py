"""One conversation: its pipeline, what is happening in it, and what is told of it."""
