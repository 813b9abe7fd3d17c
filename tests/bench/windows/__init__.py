"""Word errors of Whisper by the length of the encoder's window; see `__main__.py`."""
