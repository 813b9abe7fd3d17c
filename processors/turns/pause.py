"""A pause of the user's, and whether it ends the turn.

In:  silence, smart-turn's probability, the words so far, sounds that were no speech.   Out: whether the turn is over.
"""

from dataclasses import dataclass

from processors.turns.endpointing import NUMBER_SECS, OPEN_BELOW, completeness, ends_with_number, pause_to_wait_for

# A turn in which nothing was recognized is not held open for long.
NO_WORDS_SECS = 0.5
# So long a sound, too short for speech, is an "uh": whoever makes it within a sentence has not finished it. Made again
# and again, it is a noise.
HUM_SECS, MOST_HUMS = 0.1, 2
# Voice activity is sure of a voice so long after its first sign.
GOING_ON_SECS = 0.3
# Half of the pauses are over within a window or two: the closure of a consonant. Smart-turn costs a core 100 ms, and an
# answer that is prepared costs the language model's time.
PREPARED_FROM_SECS, JUDGED_FROM_SECS = 0.06, 0.1


@dataclass(frozen=True)
class Patience:
    """How long a pause may be.

    Attributes:
        min_secs: The shortest pause that ends a turn.
        max_secs: The longest pause within a turn.
        factor: Above 1 for speakers who take their time.
    """

    min_secs: float = 0.2
    max_secs: float = 1.6
    factor: float = 1.0


@dataclass
class Pause:
    """The pause that is going on.

    Attributes:
        silence_secs: How long it has lasted.
        probability: Smart-turn's, that the turn is over; None if it was not asked.
        asked: Whether smart-turn is asked, or will be as soon as it has answered an earlier pause.
        judged: Whether smart-turn has answered.
        words_known: Whether the words before the pause are here.
        key_released: Whether a key has said that the turn is over.
        n_hums: How often it has begun anew.
    """

    silence_secs: float
    probability: float | None = None
    asked: bool = False
    judged: bool = False
    words_known: bool = False
    key_released: bool = False
    n_hums: int = 0

    @property
    def is_to_be_judged(self) -> bool:
        """Whether smart-turn is to be asked now."""
        return not (self.asked or self.key_released) and self.silence_secs >= JUDGED_FROM_SECS

    @property
    def is_to_be_answered(self) -> bool:
        """Whether an answer to the words before it may be prepared."""
        return self.words_known and (self.key_released or self.silence_secs >= PREPARED_FROM_SECS)

    def hear_sound(self, sound_secs: float, silence_secs: float, text: str, language: str) -> None:
        """Take a sound that was no speech: an "uh" within a sentence begins the pause anew.

        Args:
            sound_secs: How long it lasted.
            silence_secs: How long ago it ended.
            text: The words before the pause.
            language: ISO 639-1 code.
        """
        if sound_secs < HUM_SECS or not self.words_known or self.n_hums >= MOST_HUMS:
            return
        if completeness(text, language) < OPEN_BELOW:
            self.n_hums += 1
            self.silence_secs = silence_secs

    def ends_turn(
        self, text: str, language: str, patience: Patience, *, pace: float = 1.0, voice_suspected: bool = False
    ) -> bool:
        """Whether it is long enough for what was said.

        Args:
            text: The words before the pause.
            language: ISO 639-1 code.
            patience: The bounds.
            pace: Above 1 for a speaker who has paused for long before.
            voice_suspected: Whether the user may just be going on.
        """
        if self.silence_secs >= patience.max_secs:
            # Somebody who goes on at that very moment is heard out.
            return not voice_suspected or self.silence_secs >= patience.max_secs + GOING_ON_SECS
        if self.key_released:
            return True
        if not (self.words_known and self.judged) or voice_suspected:
            # They are on their way, or the user is just going on.
            return False
        wait_secs = pause_to_wait_for(
            self.probability,
            completeness(text, language),
            min_secs=patience.min_secs,
            max_secs=patience.max_secs,
            factor=patience.factor * pace,
        )
        if not text:
            wait_secs = min(wait_secs, NO_WORDS_SECS)
        elif ends_with_number(text, language):
            wait_secs = max(wait_secs, NUMBER_SECS)
        return self.silence_secs >= wait_secs
