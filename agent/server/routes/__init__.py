"""The page's own routes, one a file."""
