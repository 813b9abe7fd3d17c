"""Wake words: what hears them, and the gate that lets sound in when one was said."""
