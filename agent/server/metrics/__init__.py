"""Counts and times of the server for Prometheus; no words, and no names of people."""
