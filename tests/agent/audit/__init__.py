"""Tests of the room agent/audit."""
