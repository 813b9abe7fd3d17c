"""One process that holds the engines for several that hold conversations: both ends, and what passes between."""
