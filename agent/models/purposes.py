"""What each model of the catalogue is for, in the words of who has never heard its name."""

from agent.models.catalogue import Model

# By the beginning of the name; the first that fits.
_PURPOSES: tuple[tuple[str, str], ...] = (
    ("nemotron-en", "Hears English best, and writes while you speak"),
    ("nemotron", "Hears 40 languages, and writes while you speak"),
    ("tiny", "Quick ears for small machines"),
    ("base", "Good ears for an ordinary laptop"),
    ("small", "Better ears, for a fast machine"),
    ("medium", "Very good ears, for a graphics card or many cores"),
    ("distil-large", "Very good English ears, for a graphics card or many cores"),
    ("large", "The best ears for many languages, for a graphics card"),
    ("moonshine", "Quick English ears for short sentences"),
    ("qwen3-0.6b", "Thinks better than the bundled model, and answers soon"),
    ("qwen3", "Thinks better still, for a machine with many cores"),
    ("kokoro", "A human-like voice, in 54 variants and nine languages"),
    ("piper", "A natural voice that keeps up on an ordinary laptop"),
    ("kitten", "Eight small, quick voices"),
)


def purpose(model: Model) -> str:
    """One line without a technical term."""
    return next((words for start, words in _PURPOSES if model.name.startswith(start)), model.description)
