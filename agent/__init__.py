"""Composition: reads settings, chooses engines, wires the pipeline and hosts it."""

import os
from importlib.metadata import version

# NumPy's threads for linear algebra wait for more work on a core of their own: with sixteen conversations, a quarter of
# one. What is multiplied here is too small to be shared. Read when NumPy is first imported; a user's own choice stands.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = version("sotto")
