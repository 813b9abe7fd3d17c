"""Calls spread over worker processes: one front owns the port and sends each caller to the worker that has the call."""
