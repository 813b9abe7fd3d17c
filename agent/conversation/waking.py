"""What a conversation needs for its wake words: a gate before everything that listens, and a step behind the ears."""

from dataclasses import dataclass
from typing import Any

from agent.engines.host import ModelHost
from agent.engines.wake import STAGE, WakeHost
from agent.settings.load import Settings
from agent.settings.wake import WakeSettings
from processors.turns.heard_speech import HeardSpeech
from processors.wake.address import WithoutAddress
from processors.wake.gate import WakeGate


@dataclass(frozen=True)
class Waking:
    """Of one conversation; `wakes` makes it."""

    host: WakeHost
    wanted: WakeSettings

    def gate(self, heard: HeardSpeech) -> WakeGate:
        """The step behind the echo canceller.

        Args:
            heard: What the agent has said.
        """
        wanted = self.wanted
        listener = self.host.listener(wanted.words, wanted.threshold)
        return WakeGate(listener, self._phrases, heard, awake_secs=wanted.awake_secs, has_sound=wanted.sound)

    def behind_the_ears(self) -> WithoutAddress:
        """The step behind speech-to-text."""
        return WithoutAddress(self._phrases)

    def as_json(self) -> dict[str, Any]:
        """The engine, as `session_started` tells it."""
        return {STAGE: self.host.as_json(self.wanted.words)}

    @property
    def _phrases(self) -> tuple[str, ...]:
        return self.host.phrases(self.wanted.words)


def wakes(host: ModelHost, settings: Settings) -> Waking | None:
    """What wakes the agent; None where it is awake all the time, or a key says when it listens."""
    if not settings.wake.words or host.wake is None or settings.turn.mode == "push_to_talk":
        return None
    return Waking(host.wake, settings.wake)
