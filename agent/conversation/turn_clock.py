"""The times of one turn, from the user's last sound to the agent's first, and the latencies between them.

All times are seconds on the conversation's timeline.
"""

from dataclasses import dataclass


@dataclass
class TurnClock:
    """Marks that the observer sets as a turn goes through the pipeline."""

    speech_end_secs: float | None = None
    decision_secs: float | None = None
    turn_end_secs: float | None = None
    asked_secs: float | None = None
    first_token_secs: float | None = None
    tts_start_secs: float | None = None
    tts_audio_secs: float | None = None

    def latencies_ms(self, first_sound_secs: float) -> dict[str, int]:
        """The latencies that can be told.

        Args:
            first_sound_secs: The agent's first audible sample.

        Returns:
            voice_to_voice_ms, and what it is made of: turn_ms (from the end of speech to the decision that the turn
            is over), stt_ms (from there until the words are there), llm_ttft_ms (from asking the language model to
            its first token; with speculation it is asked before the decision) and tts_ttfb_ms (from the text's
            arrival at text-to-speech to its first sound).
        """
        spans = {
            "voice_to_voice_ms": (self.speech_end_secs, first_sound_secs),
            "turn_ms": (self.speech_end_secs, self.decision_secs),
            "stt_ms": (self.decision_secs, self.turn_end_secs),
            "llm_ttft_ms": (self.asked_secs, self.first_token_secs),
            "tts_ttfb_ms": (self.tts_start_secs, self.tts_audio_secs),
        }
        return {
            name: round((end - start) * 1000)
            for name, (start, end) in spans.items()
            if start is not None and end is not None
        }
