"""The speech-to-text service, frame by frame and in whole conversations, on scripted engines."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    STTMetadataFrame,
    STTMuteFrame,
    TranscriptionFrame,
    TTSSpeakFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.tests.utils import SleepFrame, run_test

from agent.settings.load import Settings
from processors.engine_threads import EngineThreads
from processors.errors import EngineError
from processors.frames import NoWordsFrame, TurnDecidedFrame, VoiceEdge, VoiceEdgeFrame
from processors.stt.calls import RecognizerCalls
from processors.stt.latency import ASSUMED_SECS, TranscriptLatency
from processors.stt.recognizer import Transcript
from processors.stt.service import APOLOGY, RecognizerSTTService
from tests.support.house import hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizer, ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time

# Long enough for the service's task to work off what was sent, also on a busy machine.
SETTLE = SleepFrame(0.25)


def voice(n_frames: int = 10) -> list[Frame]:
    """Voice noticed, and some 20 ms frames of it."""
    return [VADUserStartedSpeakingFrame(), *(InputAudioRawFrame(bytes(640), 16_000, 1) for _ in range(n_frames))]


def silence() -> list[Frame]:
    """Silence noticed, and time to work out the transcript."""
    return [VADUserStoppedSpeakingFrame(stop_secs=0.2), SETTLE]


def decided() -> list[Frame]:
    return [TurnDecidedFrame(), SETTLE, UserStoppedSpeakingFrame(), SETTLE]


async def frames_after(engine: ScriptedRecognizerEngine, frames: Sequence[Frame], **changes: Any) -> list[Frame]:
    """What the service sends on, but for sound and what it was sent."""
    with ThreadPoolExecutor(1, "stt") as threads:
        service = RecognizerSTTService(engine, threads, **changes)
        down, _ = await run_test(service, frames_to_send=frames)
    kinds = (TranscriptionFrame, InterimTranscriptionFrame, NoWordsFrame, STTMetadataFrame, TTSSpeakFrame)
    return [frame for frame in down if isinstance(frame, kinds)]


def said(frames: Sequence[Frame]) -> list[tuple[str, str]]:
    names = {InterimTranscriptionFrame: "partial", NoWordsFrame: "no words", TTSSpeakFrame: "apology"}
    return [
        (names.get(type(frame), "final" if getattr(frame, "finalized", False) else "part"), getattr(frame, "text", ""))
        for frame in frames
        if not isinstance(frame, STTMetadataFrame)
    ]


async def heard_bytes(frames: Sequence[Frame]) -> int:
    """How much sound the recognizer is given of what is sent."""
    engine = ScriptedRecognizerEngine("no turn it off")
    await frames_after(engine, [*frames, *silence()])
    return engine.heard_bytes[0]


def microphone(duration_secs: float) -> list[Frame]:
    return voice(round(duration_secs / 0.02))[1:]


@in_virtual_time
async def test_a_word_too_short_for_voice_activity_belongs_to_the_speech_that_follows() -> None:
    suspected, dismissed = VoiceEdgeFrame(VoiceEdge.SUSPECTED), VoiceEdgeFrame(VoiceEdge.DISMISSED, 0.15, 0.1)
    short_word = [*microphone(2.0), suspected, *microphone(0.25), dismissed]
    # 0.6 s before voice is noticed, and 0.2 s of it; with the word, 0.3 s before its first sign.
    assert await heard_bytes([*microphone(2.0), *voice()]) == 0.8 * 32_000
    assert await heard_bytes([*short_word, *microphone(0.55), *voice()]) == (0.3 + 0.25 + 0.55 + 0.2) * 32_000
    # Said so long before, it belongs to nothing.
    assert await heard_bytes([*short_word, *microphone(1.5), *voice()]) == 0.8 * 32_000
    # What is suspected while the agent speaks may be the agent.
    over_agent = [BotStartedSpeakingFrame(), *short_word, BotStoppedSpeakingFrame()]
    assert await heard_bytes([*over_agent, *microphone(0.55), *voice()]) == 0.8 * 32_000


@in_virtual_time
async def test_a_transcript_is_worked_out_at_the_pause_and_published_at_the_decision() -> None:
    engine = ScriptedRecognizerEngine("hello there")
    assert said(await frames_after(engine, [*voice(), *silence()])) == [("partial", "hello there")]
    engine = ScriptedRecognizerEngine("hello there", "never asked for")
    frames = await frames_after(engine, [*voice(), *silence(), *decided()])
    assert said(frames) == [("partial", "hello there"), ("final", "hello there")]
    assert engine.texts == ["never asked for"]


@in_virtual_time
async def test_what_was_worked_out_is_thrown_away_when_the_user_goes_on() -> None:
    engine = ScriptedRecognizerEngine("turn on", "turn on the light")
    frames = await frames_after(engine, [*voice(10), *silence(), *voice(5), *silence(), *decided()])
    assert said(frames) == [
        ("partial", "turn on"),
        ("partial", "turn on the light"),
        ("final", "turn on the light"),
    ]
    # The second transcript covers both stretches: 15 frames of 640 bytes.
    assert engine.heard_bytes == [6_400, 9_600]


@in_virtual_time
async def test_a_decision_that_the_user_has_overtaken_publishes_nothing() -> None:
    # The first transcript takes so long that the user has gone on before it is there.
    engine = ScriptedRecognizerEngine("turn on", "turn on the light", finish_secs=0.4)
    overtaken = [VADUserStoppedSpeakingFrame(stop_secs=0.2), TurnDecidedFrame(), SleepFrame(0.1), *voice(5)]
    frames = await frames_after(engine, [*voice(10), *overtaken, *silence(), SleepFrame(1.0), *decided()])
    assert said(frames) == [("partial", "turn on the light"), ("final", "turn on the light")]


@in_virtual_time
async def test_each_turn_has_its_own_words() -> None:
    engine = ScriptedRecognizerEngine("one", "two")
    frames = await frames_after(engine, [*voice(), *silence(), *decided(), *voice(), *silence(), *decided()])
    assert [event for event in said(frames) if event[0] == "final"] == [("final", "one"), ("final", "two")]
    assert engine.heard_bytes == [6_400, 6_400]


@in_virtual_time
async def test_nothing_recognized_is_said_so() -> None:
    frames = await frames_after(ScriptedRecognizerEngine(""), [*voice(), *silence(), *decided()])
    assert said(frames) == [("no words", "")]


@in_virtual_time
async def test_a_turn_that_ended_otherwise_leaves_no_words_to_the_next() -> None:
    engine = ScriptedRecognizerEngine("stale", "fresh")
    ended = [UserStoppedSpeakingFrame(), SETTLE]
    frames = await frames_after(engine, [*voice(), *silence(), *ended, *voice(5), *silence(), *decided()])
    assert said(frames) == [("partial", "stale"), ("apology", APOLOGY), ("partial", "fresh"), ("final", "fresh")]
    assert engine.heard_bytes == [6_400, 3_200]


@in_virtual_time
async def test_a_failing_engine_answers_the_decision_and_hears_the_next_turn() -> None:
    engine = ScriptedRecognizerEngine(EngineError("no ears"), "hello")
    frames = await frames_after(engine, [*voice(), *silence(), *decided(), *voice(5), *silence(), *decided()])
    # The apology waits until the user has finished.
    assert said(frames) == [("no words", ""), ("apology", APOLOGY), ("partial", "hello"), ("final", "hello")]
    assert engine.heard_bytes == [6_400, 3_200]


@in_virtual_time
async def test_what_is_said_after_a_failed_pause_is_heard() -> None:
    engine = ScriptedRecognizerEngine(EngineError("no ears"), "the light")
    frames = await frames_after(engine, [*voice(), *silence(), *voice(5), *silence(), *decided()])
    assert said(frames) == [("partial", "the light"), ("final", "the light")]
    assert engine.heard_bytes == [6_400, 3_200]


class FailingReset(ScriptedRecognizerEngine):
    """Its reset fails, as that of an engine whose process has died."""

    def recognizer(self) -> ScriptedRecognizer:
        recognizer = super().recognizer()
        reset = recognizer.reset

        def failing() -> None:
            reset()
            raise EngineError("died")

        recognizer.reset = failing
        return recognizer


class EndedEars(ScriptedRecognizerEngine):
    """Its threads are ended while it hears, when other ears are chosen already."""

    def __init__(self, threads: EngineThreads) -> None:
        super().__init__("never asked for")
        self.own_threads = threads
        self.choose_others: Callable[[], None] = lambda: None

    def recognizer(self) -> ScriptedRecognizer:
        recognizer = super().recognizer()
        accept = recognizer.accept

        def accept_last(pcm16: bytes) -> str:
            self.choose_others()
            self.own_threads.shutdown(wait=False, cancel_futures=True)
            return accept(pcm16)

        recognizer.accept = accept_last
        return recognizer


@in_virtual_time
async def test_ears_that_are_ended_within_an_utterance_cost_it_and_the_next_ones_hear() -> None:
    ended, others = EndedEars(EngineThreads(1, "ended")), ScriptedRecognizerEngine("hello")
    with ThreadPoolExecutor(1, "stt") as threads:
        service = RecognizerSTTService(ended, ended.own_threads)
        ended.choose_others = lambda: service.recognizer.change_to(RecognizerCalls(others, threads))
        down, _ = await run_test(service, frames_to_send=[*voice(), *silence(), *decided()] * 2)
    kinds = (TranscriptionFrame, InterimTranscriptionFrame, NoWordsFrame, TTSSpeakFrame)
    heard = said([frame for frame in down if isinstance(frame, kinds)])
    assert heard == [("no words", ""), ("apology", APOLOGY), ("partial", "hello"), ("final", "hello")]


@in_virtual_time
async def test_words_that_were_published_are_not_apologised_for() -> None:
    frames = await frames_after(FailingReset("one", "two"), [*voice(), *silence(), *decided()] * 2)
    assert said(frames) == [("partial", "one"), ("final", "one"), ("partial", "two"), ("final", "two")]


@in_virtual_time
async def test_what_was_said_before_the_microphone_was_muted_is_not_heard_after_it() -> None:
    engine = ScriptedRecognizerEngine("hello")
    before = [InputAudioRawFrame(bytes(640), 16_000, 1) for _ in range(20)]
    muted = [*before, STTMuteFrame(mute=True), STTMuteFrame(mute=False)]
    await frames_after(engine, [*muted, *voice(5), *silence(), *decided()])
    assert engine.heard_bytes == [3_200]


@in_virtual_time
async def test_a_long_turn_is_not_cut_within_a_word() -> None:
    engine = ScriptedRecognizerEngine("one", "two")
    loud, quiet = np.full(320, 8_000, "<i2").tobytes(), bytes(640)
    # 0.4 s allowed, which is 20 frames, and a tenth more; the 21st is the first quiet one after that.
    sound = [loud] * 18 + [quiet] + [loud] * 2 + [quiet] + [loud] * 5
    speech = [VADUserStartedSpeakingFrame(), *(InputAudioRawFrame(pcm16, 16_000, 1) for pcm16 in sound)]
    frames = await frames_after(engine, [*speech, *silence(), *decided()], max_utterance_secs=0.4)
    assert said(frames) == [("part", "one"), ("partial", "two"), ("final", "two")]
    assert engine.heard_bytes == [22 * 640, 5 * 640]


@in_virtual_time
async def test_a_long_turn_is_published_in_parts() -> None:
    # 0.1 s allowed, which is 5 frames; 12 are said.
    engine = ScriptedRecognizerEngine("one", "two", "three")
    frames = await frames_after(engine, [*voice(12), *silence(), *decided()], max_utterance_secs=0.1)
    assert said(frames) == [("part", "one"), ("part", "two"), ("partial", "three"), ("final", "three")]
    assert engine.heard_bytes == [3_200, 3_200, 1_280]


@in_virtual_time
async def test_a_long_turn_is_rather_cut_in_a_pause() -> None:
    engine = ScriptedRecognizerEngine("one", "two")
    speech = [*voice(8), *silence(), *voice(8), *silence(), *decided()]
    # 16 frames would be cut at the 12th; 8 are more than half of that.
    frames = await frames_after(engine, speech, max_utterance_secs=0.24)
    assert [event for event in said(frames) if event[0] != "partial"] == [("part", "one"), ("final", "two")]
    assert engine.heard_bytes == [5_120, 5_120]


@in_virtual_time
async def test_the_turn_strategies_are_told_the_measured_latency() -> None:
    n_turns = 6
    engine = ScriptedRecognizerEngine(*["hello"] * n_turns, finish_secs=0.03)
    frames = await frames_after(engine, [*voice(), *silence(), *decided()] * n_turns)
    told = [frame.ttfs_p99_latency for frame in frames if isinstance(frame, STTMetadataFrame)]
    assert told[0] == ASSUMED_SECS
    # 0.2 s until silence is noticed and 0.03 s of decoding at least.
    assert 0.23 <= told[-1] < ASSUMED_SECS


def test_the_99th_percentile_is_of_what_was_measured_lately() -> None:
    latency = TranscriptLatency()
    assert [latency.add(0.3) for _ in range(4)] == [False] * 4
    assert latency.p99_secs == ASSUMED_SECS
    assert latency.add(0.3)
    assert latency.p99_secs == pytest.approx(0.3)
    for _ in range(100):
        latency.add(0.5)
    assert latency.p99_secs == pytest.approx(0.5)


@in_virtual_time
async def test_a_turn_without_words_ends_when_it_is_judged_over() -> None:
    stt, tts = ScriptedRecognizerEngine("", "hello"), ScriptedSynthesizer()
    async with ScriptedLLM(Reply("Hi.")) as server, hosting(stt, options(server), tts) as host:
        held = await hold(host, [say("days_in_a_week.wav"), say("days_in_a_week.wav", after="turn_ended")])
        n_requests = len(server.requests)
    first, second = held.named("turn_ended")
    assert (first["text"], second["text"]) == ("", "hello")
    # Smart-turn calls the sentence complete: no waiting for the longest pause (1.6 s), let alone for Pipecat's 5 s.
    assert first["t"] - held.named("user_stopped_speaking")[0]["t"] < 1.4
    assert n_requests == 1


class HangingEngine(ScriptedRecognizerEngine):
    """Hangs in its first utterance until it is let go."""

    def __init__(self, *texts: str) -> None:
        super().__init__(*texts)
        self.let_go = threading.Event()

    def recognizer(self) -> ScriptedRecognizer:
        return _HangingRecognizer(self)


class _HangingRecognizer(ScriptedRecognizer):
    def pause(self) -> Transcript:
        engine = self._engine
        assert isinstance(engine, HangingEngine)
        engine.let_go.wait(60)
        return super().pause()


async def test_a_hanging_engine_ends_neither_the_turn_nor_the_conversation() -> None:
    stt, tts = HangingEngine("too late", "hello"), ScriptedSynthesizer()
    async with ScriptedLLM(Reply("Hi.")) as server, hosting(stt, options(server), tts) as host:

        def on_event(event: dict[str, Any]) -> None:
            if event["event"] == "turn_ended":
                stt.let_go.set()

        held = await hold(
            host,
            [say("days_in_a_week.wav"), say("days_in_a_week.wav", after="turn_ended", delay_secs=0.5)],
            settings=Settings(),
            sinks=[on_event],
        )
    assert held.texts("turn_ended") == ["", "hello"]
    assert "too late" not in str(held.history)
