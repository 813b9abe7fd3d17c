"""Text for the ear: the rules behind `processors/speakable.py`, one kind of writing a file."""
