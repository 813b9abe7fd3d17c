"""The engines of the hour: they hear, think and say each caller's own words, and fail when it is their turn."""

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from processors.stt.recognizer import Transcript
from processors.tts.synthesizer import SpeechChunk, SpokenWord
from tests.bench.chaos.weather import ANYBODY, Weather
from tests.bench.chaos.words import WORD_SECS, caller_of, own_words, reply_word, sound_of
from tests.support.dynamics_scenario import Scenario
from tests.support.dynamics_scripts import Ears, Hearing
from tests.support.scripted_engines import ScriptedSynthesizer
from tests.support.scripted_llm import Answer, Drop, Failure, Hang, Reply, Request, ScriptedLLM

TOO_LONG = "so " * 3000
# Longer than any reply may be.
ENDLESS_WORDS = 2_000
MOST_WORDS = 12


def pace(rng: Random) -> Scenario:
    """How slow the engines are when they work, and when they may be asked."""
    return Scenario(
        acts=(),
        answers=(),
        finish_ms=tuple(rng.randrange(0, 600, 50) for _ in range(7)),
        speak_ms=tuple(rng.randrange(0, 300, 50) for _ in range(5)),
        chunk_ms=rng.choice((0, 0, 100)),
        partials=rng.random() < 0.5,
        early=rng.random() < 0.5,
        dumb_at=None,
    )


class StormyEars(Ears):
    """Hears exactly the words that callers say; every session has a recognizer of its own on it."""

    def __init__(self, pace: Scenario, weather: Weather) -> None:
        super().__init__(pace)
        self.weather = weather

    def recognizer(self) -> "StormyHearing":
        return StormyHearing(self)


class StormyHearing(Hearing):
    """One session's."""

    def __init__(self, ears: StormyEars) -> None:
        super().__init__(ears)
        self._weather = ears.weather

    def pause(self) -> Transcript:
        found = [word for _, mark in self._found for word in own_words(mark.word)]
        if self._paused is not None or not found:
            return super().pause()
        name = self._weather.strike(self._weather.take("stt", caller_of(found[-1])))
        if name == "none":
            return Transcript("")
        if name == "garbage":
            return "no transcript"  # type: ignore[return-value]
        return Transcript(TOO_LONG) if name == "endless" else super().pause()


class CalmEars(Ears):
    """Takes over where the others hang."""

    def __init__(self, ears: StormyEars, pace: Scenario) -> None:
        super().__init__(pace)
        self.marks = ears.marks


class StormyVoice(ScriptedSynthesizer):
    """Says every word as its own sound."""

    def __init__(self, pace: Scenario, weather: Weather | None) -> None:
        super().__init__()
        self._weather = weather
        self._slow_ms = itertools.cycle(pace.speak_ms)
        self._chunk_secs = pace.chunk_ms / 1000

    def in_voice(self, voice: str | None, *, language: str, speed: float) -> "StormyVoice":
        return self

    def synthesize(self, text: str) -> Iterator[SpeechChunk]:
        own = own_words(text)
        weather = self._weather
        name = weather.strike(weather.take("tts", caller_of(own[0]) if own else ANYBODY)) if weather else None
        if name == "none":
            return
        while name == "endless":
            yield SpeechChunk(sound_of(None))
        if name == "garbage":
            yield SpeechChunk(b"\x01", "no words")  # type: ignore[arg-type]
        time.sleep(next(self._slow_ms) / 1000)
        for index, word in enumerate(text.split()):
            if index:
                time.sleep(self._chunk_secs)
            times = SpokenWord(word, index * WORD_SECS, (index + 1) * WORD_SECS)
            yield SpeechChunk(sound_of(word), (times,))


class SoundsDone:
    """A turn model that takes every pause for an end; words decide."""

    def run(self, *_: Any, **__: Any) -> list[Any]:
        return [np.array([[0.9]], np.float32)]


@dataclass(frozen=True)
class Asked:
    """One request to the language model.

    Attributes:
        n_reply: Of its caller.
        question: The latest message of the user.
        words: The whole answer's.
        fault: What is wrong with it; empty where nothing is.
        strangers: Words in it that are not its caller's.
    """

    n_reply: int
    question: str
    words: tuple[str, ...]
    fault: str
    strangers: tuple[str, ...]


class StormyMind(ScriptedLLM):
    """Answers everybody in words of their own; the system prompt's own word says who asks.

    Args:
        rng: Chance.
    """

    def __init__(self, rng: Random, weather: Weather) -> None:
        super().__init__()
        self._rng = rng
        self._weather = weather
        self._n_replies: Counter[int] = Counter()
        # What fails by its content fails again when it is asked for again.
        self._again: tuple[int, str, Answer] | None = None
        self.asked_of: dict[int, list[Asked]] = {}

    def chosen(self, request: Request) -> Answer:
        """See ScriptedLLM."""
        self.all_requests.clear()
        texts = [str(message.get("content") or "") for message in request.messages]
        (identity,) = own_words(texts[0])
        caller = caller_of(identity)
        n_reply = self._n_replies[caller]
        self._n_replies[caller] += 1
        n_words = self._rng.randint(1, MOST_WORDS)
        words = tuple(reply_word(caller, n_reply, index) for index in range(n_words))
        fault, answer = self._fault(caller, texts[-1], words)
        strangers = tuple(word for text in texts for word in own_words(text) if caller_of(word) != caller)
        self.asked_of.setdefault(caller, []).append(Asked(n_reply, texts[-1], words, fault, strangers))
        return answer or self._reply(words)

    def _fault(self, caller: int, question: str, words: tuple[str, ...]) -> tuple[str, Answer | None]:
        if self._again and self._again[:2] == (caller, question):
            answer, self._again = self._again[2], None
            return "again", answer
        struck = self._weather.take("llm", caller)
        if struck is None:
            return "", None
        if struck.name in ("garbage", "none"):
            answer = Failure(200, "<html>", "text/html") if struck.name == "garbage" else Reply()
            self._again = caller, question, answer
            return struck.name, answer
        return struck.name, self._failing(struck.name, words)

    def _failing(self, name: str, words: tuple[str, ...]) -> Answer:
        half = len(words) // 2
        answers: dict[str, list[Answer]] = {
            "error": [Failure(500), self._reply(words, drop_after=half), self._reply(words, stall_after=half)],
            "hang": [Hang(), Hang(head=True)],
            "crash": [Drop()],
            "slow": [self._reply(words, first_delay_secs=1.8)],
            "endless": [Reply(*(f"{words[at % len(words)]}. " for at in range(ENDLESS_WORDS)))],
            "disk full": [Failure(500, {"error": {"message": "No space left on device"}})],
            "out of memory": [Reply(error_after=0, error={"message": "CUDA out of memory"})],
        }
        return self._rng.choice(answers[name])

    def _reply(self, words: tuple[str, ...], **more: Any) -> Reply:
        # Sentences of four words.
        texts = [f"{word}{'.' if index % 4 == 3 else ''} " for index, word in enumerate(words[:-1])]
        gap_secs = self._rng.choice((0.0, 0.05, 0.2))
        more.setdefault("first_delay_secs", self._rng.choice((0.0, 0.1, 0.6)))
        return Reply(*texts, f"{words[-1]}{self._rng.choice('..?')}", delay_secs=gap_secs, **more)
