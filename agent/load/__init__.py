"""Callers for a running server, as many as are asked for: what it holds, and what stops it."""
