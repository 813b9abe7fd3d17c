"""A fake at the edge: a recognizer that hears perfectly, the agent too; nothing is worse for an open loudspeaker."""

import time

from agent.conversation.event_log import Event
from processors.stt.recognizer import SAMPLE_RATE_HZ, Transcript
from tests.support.scripted_engines import ScriptedRecognizer, ScriptedRecognizerEngine


class Eavesdropper(ScriptedRecognizerEngine):
    """Hears what is being asked until it is a turn; anything else it takes for what the agent said at that time.

    A sink of events too, by which it knows those.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: str | None = None
        self._agent_said: list[tuple[float, str]] = []

    def __call__(self, event: Event) -> None:
        if event["event"] == "bot_word":
            self._agent_said.append((time.monotonic(), event["text"]))
        elif event["event"] == "turn_ended" and event["text"] == self.asked:
            self.asked = None

    def recognizer(self) -> "_EavesdroppingRecognizer":
        return _EavesdroppingRecognizer(self)

    def words_of_the_last(self, duration_secs: float) -> str:
        """What has been heard meanwhile."""
        if self.asked is not None:
            return self.asked
        since_secs = time.monotonic() - duration_secs
        return " ".join(word for at_secs, word in list(self._agent_said) if at_secs >= since_secs)


class _EavesdroppingRecognizer(ScriptedRecognizer):
    def __init__(self, engine: Eavesdropper) -> None:
        super().__init__(engine)
        self._eavesdropper = engine

    def _next(self) -> Transcript:
        text = self._eavesdropper.words_of_the_last(self._n_bytes / 2 / SAMPLE_RATE_HZ)
        return Transcript(text, language="en", confidence=0.9)
