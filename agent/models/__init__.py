"""Model files: the catalogue, and how a file comes to this machine."""
