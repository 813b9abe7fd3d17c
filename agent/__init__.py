"""Composition: reads settings, chooses engines, wires the pipeline and hosts it."""

from agent.early_signals import end_on_signals, is_command

# What follows takes seconds, and Ctrl-C in them is no error.
if is_command():
    end_on_signals()

import os
from importlib.metadata import version

from agent.library_switches import switch_off_reports

# Here, since nothing of ours that imports a library is imported before its package.
switch_off_reports()

# NumPy's threads for linear algebra wait for more work on a core of their own: with sixteen conversations, a quarter of
# one. What is multiplied here is too small to be shared. Read when NumPy is first imported; a user's own choice stands.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = version("sotto")
