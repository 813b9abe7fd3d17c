"""Conversations that are woken by a word: the real gate, with pymicro's models or a scripted detector at its edge."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from agent.commands.replay import Replay
from agent.commands.script import Step
from agent.conversation.conversation import Conversation
from agent.engines.wake import WakeHost, load_wake
from agent.settings.load import Settings
from processors.engine_threads import EngineThreads
from processors.errors import EngineError
from processors.wake.detector import HeardWake, WakeWord
from tests.support.house import Held, hold, hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM

NABU: dict[str, Any] = {"words": ["okay_nabu"]}
WORD = WakeWord("hey_sotto", "Hey Sotto", ("en",), "nobody", 0.5)


class ScriptedWake:
    """An engine whose detectors do what a test says; stands for an installed one.

    Args:
        hear: Called with how many calls came before and the sound; gives what was heard, or raises.
    """

    name, version = "scripted", "1"

    def __init__(self, hear: Callable[[int, bytes], list[HeardWake]]) -> None:
        self.words = {WORD.name: WORD}
        self.n_loaded = self.n_calls = 0
        self._hear = hear

    def detector(self, names: Sequence[str], threshold: float | None = None) -> "ScriptedWake":
        """One for all streams."""
        self.n_loaded += 1
        return self

    def hear(self, pcm16: bytes) -> list[HeardWake]:
        """As the script says."""
        self.n_calls += 1
        return self._hear(self.n_calls - 1, pcm16)

    def reset(self) -> None:
        """Nothing is remembered."""

    def close(self) -> None:
        """Nothing is held."""


def failing(_: int, __: bytes) -> list[HeardWake]:
    """A detector that never works."""
    raise EngineError("the model is broken")


async def woken(
    heard_as: Sequence[str],
    steps: Sequence[Step],
    *,
    wake: dict[str, Any] = NABU,
    engine: ScriptedWake | None = None,
    reply: str = "Noon.",
    end_secs: float = 1.0,
    prepare: Callable[[Conversation, Replay], None] = lambda _, __: None,
    room: str | None = None,
    **sections: Any,
) -> tuple[Held, ScriptedRecognizerEngine]:
    """Hold a conversation that begins asleep.

    Args:
        heard_as: What the recognizer makes of each utterance.
        steps: What is said and when.
        wake: The section `wake`.
        engine: In place of pymicro.
        reply: Every answer.
        end_secs: Silence after the last answer.
        prepare: As `hold` takes it.
        room: As `hold` takes it.
        sections: Further settings.
    """
    settings = Settings.model_validate({"wake": wake, **sections})
    stt, tts = ScriptedRecognizerEngine(*heard_as), ScriptedSynthesizer()
    loaded = WakeHost(engine, EngineThreads(1, "wake")) if engine else await asyncio.to_thread(load_wake, settings)
    async with ScriptedLLM() as server, hosting(stt, options(server), tts) as host:
        server.otherwise = Reply(reply)
        host.wake = loaded
        held = await hold(host, steps, settings=settings, end_secs=end_secs, prepare=prepare, room=room)
    return held, stt
