"""Memory: what the user asked to remember and, as a second switch, what was said; off until the user says so."""
