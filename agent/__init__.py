"""Composition: reads settings, chooses engines, wires the pipeline and hosts it."""

from importlib.metadata import version

__version__ = version("sotto")
