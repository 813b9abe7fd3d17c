"""Guards against what Whisper writes where nobody spoke: silence becomes "Thank you.", noise a phrase without end.

In:  a decoded stretch with its probabilities, and the level of its sound.   Out: why it is dropped, if it is.
The first guard, voice activity, stands before the recognizer. Thresholds on no-speech probability, log-probability and
compression ratio: Radford et al. 2022 (arXiv 2212.04356), section 4.5; phantom phrases: Koenecke et al. 2024
(arXiv 2402.08021) and what users of Whisper report.
"""

from dataclasses import dataclass

from processors.text.bare_words import bare

# Compared without case and punctuation.
PHANTOM_PHRASES = frozenset(
    {
        "thank you",
        "thank you very much",
        "thank you so much",
        "thank you for watching",
        "thank you for watching and see you next time",
        "thanks for watching",
        "thanks for listening",
        "please subscribe",
        "please subscribe to my channel",
        "like and subscribe",
        "dont forget to like and subscribe",
        "see you next time",
        "see you in the next video",
        "bye",
        "bye bye",
        "you",
        "so",
        "okay",
        "the end",
        "subtitles by the amaraorg community",
        "subtítulos por la comunidad de amaraorg",
        "subtítulos realizados por la comunidad de amaraorg",
        "gracias",
        "gracias por ver el video",
        "gracias por ver",
        "suscríbete al canal",
        "untertitel der amaraorg community",
        "untertitel im auftrag des zdf für funk 2017",
        "vielen dank",
        "vielen dank fürs zuschauen",
        "sous titres réalisés par la communauté damaraorg",
        "merci",
        "merci davoir regardé cette vidéo",
        "grazie",
        "obrigado",
        "legendas pela comunidade amaraorg",
        "ご視聴ありがとうございました",
        "谢谢观看",
        "продолжение следует",
        "субтитры сделал dimatorzok",
    }
)
# The same words at least this often in a row, without end: a decoder that has lost the sound.
MAX_REPEATS = 4
MAX_REPEATED_WORDS = 6


@dataclass(frozen=True)
class Guards:
    """Thresholds; the defaults are those of the paper and of the settings.

    Attributes:
        no_speech: Probability above which it may not have been speech.
        log_probability: Average below which a text that may be no speech is dropped.
        compression_ratio: Above it a text repeats itself.
        phantom_level_dbfs: Below this level phantom phrases are dropped.
    """

    no_speech: float = 0.6
    log_probability: float = -1.0
    compression_ratio: float = 2.4
    phantom_level_dbfs: float = -50.0

    def objection(
        self,
        text: str,
        *,
        no_speech_probability: float,
        average_log_probability: float,
        compression_ratio: float,
        level_dbfs: float,
    ) -> str | None:
        """Why this text is not what was said; None if nothing is known against it.

        Args:
            text: What was decoded.
            no_speech_probability: The model's own doubt.
            average_log_probability: Of its tokens.
            compression_ratio: Of the text.
            level_dbfs: From `samples.speech_level_dbfs`, of the sound it was decoded from.
        """
        if no_speech_probability > self.no_speech and average_log_probability < self.log_probability:
            return "no speech"
        if compression_ratio > self.compression_ratio or repeats_itself(text):
            return "repetition"
        near_silence = level_dbfs < self.phantom_level_dbfs or no_speech_probability > self.no_speech
        if near_silence and bare(text) in PHANTOM_PHRASES:
            return "phantom phrase"
        return None


def repeats_itself(text: str) -> bool:
    """Whether the text ends in the same two to six words four times in a row, or in the same word eight times."""
    words = bare(text).split()
    for n_words in range(1, MAX_REPEATED_WORDS + 1):
        tail = words[-n_words * MAX_REPEATS :]
        repeated = len(tail) == n_words * MAX_REPEATS and tail == tail[:n_words] * MAX_REPEATS
        # "no no no no" is said by people; a phrase of several words hardly, nor one word for very long.
        if repeated and (n_words > 1 or words[-MAX_REPEATS * 2 :] == tail[:1] * MAX_REPEATS * 2):
            return True
    return False
