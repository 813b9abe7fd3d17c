"""Text for the ear: the rules behind `speakable.py`, one kind of writing a file."""
