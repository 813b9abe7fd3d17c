"""Conversations made by chance: what the user does and when, how slow and how faulty the engines are.

In:  a Scenario.   Out: an Outcome: what was heard sample by sample, what was asked, what is remembered.

Everything can be traced to where it came from. The user's words carry a faint noise of their own, so the scripted
recognizer hears exactly the words whose middles it was given. No two replies share a word, and each word of the agent
is a noise of one loudness whose signs no other word has: a ducked sample still tells which one it is.

The engines are fakes at the edge; what lies between them is real, in virtual time.
"""

import asyncio
import itertools
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest.mock import patch

import numpy as np
from pipecat.frames.frames import Frame, StartFrame, SystemFrame
from pipecat.processors.frame_processor import FrameDirection

from agent.conversation.activity import Activity
from agent.conversation.conversation import Conversation
from agent.conversation.event_log import Event
from agent.settings.load import Settings
from processors.errors import EngineError
from processors.stt.recognizer import SAMPLE_RATE_HZ, Pcm16, Transcript
from processors.text.bare_words import bare
from processors.text.speakable import SpeakableText
from processors.tts.synthesizer import SpeechChunk, SpokenWord
from tests.support import scripted_engines as scripted
from tests.support.dynamics_scenario import Act, After, Answering, Kind, Outcome, Scenario
from tests.support.house import hosting
from tests.support.llm_session import options
from tests.support.scripted_llm import Answer, Drop, Failure, Reply, ScriptedLLM
from tests.support.sounds import cough, recording, said_afresh, voice
from tests.support.virtual_time import run_in_virtual_time
from transports.recorded import RecordedTransport
from transports.recording import Recording

WORD_SAMPLES = round(scripted.WORD_SECS * scripted.RATE_HZ)
# No backchannel begins like a request. Each text sounds different every time.
TEXTS = {
    "words": (
        "tell me about the weather in Paris",
        "how many people live in Berlin",
        "please call my brother in Madrid",
        "set a timer for",
        "what is the tallest mountain of Norway",
        "my number is four two seven",
        "play some music by Mozart",
        "where did you learn to cook and",
    ),
    "backchannel": ("mm hmm", "yeah", "okay right", "I see"),
    "command": ("wait a moment", "stop talking please"),
}
# No word of them is ever said.
TYPED = tuple(f"{letter} note" for letter in ("alpha", "bravo", "charlie", "delta", "foxtrot", "golf"))
FINAL = "and how do I get to Amsterdam"
WORDLESS = "hah hah hah"
# A partial shows words this much after their middle.
PARTIAL_LAG_BYTES = 2 * SAMPLE_RATE_HZ * 3 // 10
MARK_SAMPLES = 320
SETTLE_SECS = 0.8
SLOWEST_WORDS_SECS = 2.5
# Longer than any engine is waited for.
DEAD_SECS = 25.0

EVENT_AFTER = {"reply": "bot_started_speaking", "thinking": "turn_ended", "token": "llm_first_token"}
SYLLABLES = [consonant + vowel for consonant in "bdgklmnprt" for vowel in "aeiou"]


def reply_word(n_request: int, index: int) -> str:
    """A word that no other place of any reply has."""
    return SYLLABLES[n_request // 50] + SYLLABLES[n_request % 50] + SYLLABLES[index]


@cache
def signs_of(word: str) -> Pcm16:
    """The sound of a word of the agent, as -1 and 1."""
    noise = np.random.default_rng(zlib.crc32(word.encode()))
    return (noise.integers(0, 2, WORD_SAMPLES) * 2 - 1).astype(np.int16)


@cache
def said(text: str) -> tuple[Recording, tuple[float, ...]]:
    """A sentence, and where the middle of each of its words is."""
    words = [word for chunk in said_afresh(text) for word in chunk.words]
    return voice(text), tuple((word.start_secs + word.end_secs) / 2 for word in words)


@dataclass(frozen=True)
class _Mark:
    """How a word of the user is recognized."""

    word: str
    pcm16: bytes
    misheard: bool


class Ears(scripted.ScriptedRecognizerEngine):
    """A recognizer that hears exactly the words whose middles it was given."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(early=scenario.early)
        self.shows_partials = scenario.partials
        self.finish_ms = itertools.cycle(scenario.finish_ms)
        self.marks: list[_Mark] = []
        self.lost: list[str] = []

    def expect(self, sound: Recording, text: str, middles_secs: tuple[float, ...], misheard: bool) -> None:
        """The user is about to say this."""
        for word, middle_secs in zip(text.split(), middles_secs, strict=True):
            start = max(0, round(middle_secs * SAMPLE_RATE_HZ) - MARK_SAMPLES // 2)
            mark = sound.audio_s16[start : start + MARK_SAMPLES].astype("<i2").tobytes()
            self.marks.append(_Mark(word, mark, misheard))

    def recognizer(self) -> "Hearing":
        return Hearing(self)


class Hearing(scripted.ScriptedRecognizer):
    def __init__(self, ears: Ears) -> None:
        super().__init__(ears)
        self._ears = ears
        self.reset()

    def reset(self) -> None:
        self._audio = bytearray()
        self._found: list[tuple[int, _Mark]] = []
        self._paused: Transcript | None = None

    def accept(self, pcm16: bytes) -> str:
        searched = max(0, len(self._audio) - 2 * MARK_SAMPLES + 2)
        self._audio += pcm16
        self._paused = None
        tail = bytes(self._audio[searched:])
        for mark in list(self._ears.marks):
            at = tail.find(mark.pcm16)
            if at >= 0:
                self._found.append((searched + at, mark))
        self._found.sort(key=lambda found: found[0])
        known = len(self._audio) - PARTIAL_LAG_BYTES
        return self._words(known) if self._ears.shows_partials else ""

    def pause(self) -> Transcript:
        if self._paused is None:
            time.sleep(next(self._ears.finish_ms) / 1000)
            if any(mark.misheard for _, mark in self._found):
                self._ears.lost += [mark.word for _, mark in self._found]
                raise EngineError("scripted failure")
            self._paused = Transcript(self._words(len(self._audio)), language="en", confidence=0.9)
        return self._paused

    def _words(self, until: int) -> str:
        return " ".join(mark.word for at, mark in self._found if at < until)


class Mouth(scripted.ScriptedSynthesizer):
    """A synthesizer that takes its time."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__()
        self._slow_ms = itertools.cycle(scenario.speak_ms)
        self._chunk_secs = scenario.chunk_ms / 1000
        self.dumb_at = scenario.dumb_at
        self.n_dumb = 0

    def synthesize(self, text: str) -> Iterator[SpeechChunk]:
        secs = scripted.WORD_SECS
        self.spoken.append(text)
        time.sleep(next(self._slow_ms) / 1000)
        if len(self.spoken) - 1 == self.dumb_at:
            self.n_dumb += 1
            raise EngineError(f"scripted failure on {text!r}")
        for index, word in enumerate(text.split()):
            if index:
                time.sleep(self._chunk_secs)
            sound = (signs_of(bare(word)) * 8_000).astype("<i2").tobytes()
            yield SpeechChunk(sound, (SpokenWord(word, index * secs, (index + 1) * secs),))


class Mind(dict[str, Answer]):
    """The answer to any request; a mapping, as the scripted server wants one."""

    def __init__(self, scenario: Scenario, outcome: Outcome) -> None:
        super().__init__()
        self._answers = itertools.cycle(scenario.answers)
        self._outcome = outcome
        self.plain = False

    def get(self, key: str, default: Any = None) -> Answer:  # type: ignore[override]
        how = Answering() if self.plain else next(self._answers)
        n_request = len(self._outcome.requests)
        words = [reply_word(n_request, index) for index in range(how.n_words)]
        self._outcome.requests.append(key)
        self._outcome.replies.append(words)
        if how.fault != "none":
            self._outcome.faulty.add(n_request)
        if how.fault == "refused":
            return Failure(500, {"error": {"message": "scripted"}})
        if how.fault == "dropped":
            return Drop()
        half, end = how.n_words // 2, "?" if how.asks else "."
        return Reply(
            # Sentences of four words.
            *(f"{word}{end if index % 4 == 3 else ''} " for index, word in enumerate(words[:-1])),
            words[-1] + end,
            first_delay_secs=how.first_ms / 1000,
            delay_secs=[gap_ms / 1000 for gap_ms in how.token_ms],
            drop_after=half if how.fault == "broken" else None,
            stall_after=half if how.fault == "stalled" else None,
        )


class _Stage:
    """Where the user acts."""

    def __init__(self, scenario: Scenario, outcome: Outcome, ears: Ears) -> None:
        self.transport = RecordedTransport()
        self.activity = Activity()
        self.conversation: Conversation | None = None
        self._outcome = outcome
        self._ears = ears
        self._texts = {kind: itertools.cycle(texts) for kind, texts in TEXTS.items()}
        self._n_said = 0
        self._latest_secs: dict[str, float] = {}
        self._began_secs = self._said_secs = 0.0

    def note(self, event: Event) -> None:
        """A sink."""
        self._outcome.events.append(event)
        self._outcome.n_asked.append(len(self._outcome.requests))
        self._latest_secs[event["event"]] = event["t"]

    async def perform(self, act: Act) -> None:
        """Wait, then act."""
        await self._wait_for(act.after)
        from_secs = self.transport.card.now_secs + act.delay_ms / 1000
        await self._until(lambda: self.transport.card.now_secs >= from_secs)
        if act.kind in ("typed", "key"):
            await self._use_hands(act.kind)
        elif act.kind == "cough":
            self._sound(cough(seed=self._n_said))
        elif act.kind == "laugh":
            self._sound(voice(WORDLESS))
        else:
            # To a silent agent a backchannel is a turn like any other.
            needed = act.kind != "backchannel" or act.after == "idle"
            self.say(next(self._texts[act.kind]), needed=needed, misheard=act.misheard)

    async def _use_hands(self, kind: Kind) -> None:
        assert self.conversation is not None
        self._began_secs = self.transport.card.now_secs
        if kind == "key":
            await self.conversation.interrupt()
        else:
            typed = TYPED[len(self._outcome.typed)]
            self._outcome.typed.append(typed)
            await self.conversation.type(typed, spoken=True)

    def say(self, text: str, *, needed: bool, misheard: bool = False) -> None:
        """Say something from the next tick on."""
        plain, middles_secs = said(text)
        noise = np.random.default_rng(self._n_said).integers(-2, 3, len(plain.audio_s16))
        sound = recording(text, np.clip(plain.audio_s16 + noise, -32768, 32767).astype(np.int16))
        self._ears.expect(sound, text, middles_secs, misheard)
        self._sound(sound)
        self._outcome.utterances.append((text, needed))

    def _sound(self, sound: Recording) -> None:
        card = self.transport.card
        self._n_said += 1
        self._began_secs = card.now_secs
        card.say(sound)
        self._said_secs = card.now_secs + sound.duration_secs

    async def _wait_for(self, after: After) -> None:
        if after == "idle":
            await self.idle()
            return
        if after == "now":
            return
        await self._until(lambda: not self.transport.card.is_saying)
        if after != "said":
            await self.idle(or_event=EVENT_AFTER[after])

    async def idle(self, *, or_event: str = "") -> None:
        """Wait until nothing more is to come, or for an event since the user last said something."""
        card, quiet_since_secs = self.transport.card, self.transport.card.now_secs
        while self._latest_secs.get(or_event, -1.0) < self._began_secs:
            if card.is_saying or not self.activity.idle:
                quiet_since_secs = card.now_secs
            silent_secs = card.now_secs - max(quiet_since_secs, self.activity.last_event_secs)
            # Of speech over the agent nothing is told before its words are known.
            if silent_secs >= SETTLE_SECS and card.now_secs - self._said_secs >= SLOWEST_WORDS_SECS:
                return
            if not card.is_saying and card.now_secs - self.activity.last_event_secs >= DEAD_SECS:
                doing = [name for name, value in vars(self.activity).items() if value is True]
                self._outcome.never_idle.append(f"{', '.join(doing)} at {card.now_secs:.2f} s")
                self.activity.give_up()
                self.activity.user_speaking = self.activity.bot_speaking = False
                return
            await card.next_tick()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self.transport.card.next_tick()


@contextmanager
def _busy(busy_ms: int) -> Iterator[None]:
    """On a busy machine frames wait in a step's queue; in virtual time, in which work takes none, they hardly would."""
    handle = SpeakableText.process_frame

    async def process_frame(step: SpeakableText, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, SystemFrame) and not isinstance(frame, StartFrame):
            await asyncio.sleep(busy_ms / 1000)
        await handle(step, frame, direction)

    with patch.object(SpeakableText, "process_frame", process_frame) if busy_ms else nullcontext():
        yield


async def _hold(scenario: Scenario) -> Outcome:
    with _busy(scenario.busy_ms):
        return await _held(scenario)


async def _held(scenario: Scenario) -> Outcome:
    outcome = Outcome(has_hands=any(act.kind in ("typed", "key") for act in scenario.acts))
    before = asyncio.all_tasks()
    ears, mouth, mind = Ears(scenario), Mouth(scenario), Mind(scenario, outcome)
    async with ScriptedLLM() as server:
        server.answers = mind
        patience = options(server, first_token_timeout_secs=8.0, token_stall_timeout_secs=3.0)
        async with hosting(ears, patience, mouth) as host:
            stage = _Stage(scenario, outcome, ears)
            card = stage.transport.card
            conversation = Conversation(
                host,
                # What is said is a command to the scripted model, and no reflex.
                Settings.model_validate({"input": {"auto_gain": False}, "tools": {"reflexes": False}}),
                stage.transport,
                [stage.activity, stage.note],
                speech_end_secs=lambda: card.speech_end_secs,
            )
            stage.conversation = conversation
            running = conversation.start()
            for act in scenario.acts:
                await stage.perform(act)
            await stage.idle()
            mind.plain, mouth.dumb_at = True, None
            stage.say(FINAL, needed=True)
            await stage.idle()
            await conversation.stop("the script ended")
            outcome.left_over += [] if running.done() else ["the conversation itself"]
            outcome.heard_s16 = card.sides()[1]
    outcome.history = [dict(message) for message in conversation.context.messages if isinstance(message, dict)]
    outcome.told = list(outcome.events)
    outcome.events.sort(key=lambda event: event["t"])
    outcome.misheard, outcome.n_dumb = ears.lost, mouth.n_dumb
    outcome.spoken = {word for text in mouth.spoken for word in bare(text).split()}
    await asyncio.sleep(1.0)
    outcome.left_over += [task.get_name() for task in asyncio.all_tasks() - before]
    return outcome


def play(scenario: Scenario) -> Outcome:
    """Hold it to its end, which is a plain question after all else has come to rest."""
    return run_in_virtual_time(lambda: _hold(scenario))
