"""HTTP itself: bodies, errors, uploads and event streams."""
