"""Measures how fast a loaded engine is on this machine.

In:  an engine that has been warmed up.   Out: its Speed.

What is measured is what a turn waits for: the words once the speaker has paused, the first token, the first sound.
All of it blocks, and wants a machine that does nothing else meanwhile.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import soxr

from agent.engines.llm import LlmBackend
from agent.engines.speed import MAX_FACTOR, MAX_WORDS_SECS, TOKENS_A_SECOND, Speed
from processors.errors import EngineError, EngineUnavailableError
from processors.stt.nemotron_speed import speech_shaped_noise
from processors.stt.recognizer import SAMPLE_RATE_HZ, RecognizerEngine
from processors.tts.synthesizer import Synthesizer

# So much faster than the limit, one measurement is enough.
_SURE = 0.5
_RUNS = 2
# A synthesis of which the first piece took so long is not waited for.
_ENOUGH_SECS = 3.0
# What is read aloud and listened to: seven words, about 2 s.
SENTENCE = "The early train to Paris leaves at noon."
# The recognizer's silence behind the last word.
_PAUSE_SECS = 0.3


def measure(engine: Any) -> Speed | None:
    """The speed of a loaded engine, which has been warmed up; None where it cannot be measured (a foreign server).

    Args:
        engine: A recognizer's engine, a synthesizer, or a language model's backend.

    Raises:
        EngineUnavailableError: It fails on the simplest input.
    """
    if isinstance(engine, LlmBackend):
        return _of_language_model(engine)
    run = _synthesizer_run(engine) if hasattr(engine, "synthesize") else _recognizer_run(engine)
    try:
        best = run()
        for _ in range(_RUNS - 1):
            if best.factor > MAX_FACTOR / _SURE or best.first_secs > MAX_WORDS_SECS / _SURE:
                break
            if best.factor < _SURE * MAX_FACTOR and best.first_secs < _SURE * MAX_WORDS_SECS:
                break
            again = run()
            best = Speed(min(best.first_secs, again.first_secs), min(best.factor, again.factor))
    except EngineError as error:
        raise EngineUnavailableError(f"{engine.name} fails on a short sentence: {error}", "sotto doctor") from error
    return best


def _synthesizer_run(engine: Synthesizer) -> Callable[[], Speed]:
    def run() -> Speed:
        started_secs = time.perf_counter()
        first_secs = 0.0
        n_bytes = 0
        for chunk in engine.synthesize(SENTENCE):
            first_secs = first_secs or time.perf_counter() - started_secs
            n_bytes += len(chunk.pcm16)
            if first_secs > _ENOUGH_SECS:
                break
        took_secs = time.perf_counter() - started_secs
        if not n_bytes:
            raise EngineError("it gives no sound")
        return Speed(first_secs, took_secs * 2 * engine.sample_rate_hz / n_bytes)

    return run


def _recognizer_run(engine: RecognizerEngine) -> Callable[[], Speed]:
    sound = _speech()
    speech_secs = len(sound) / 2 / SAMPLE_RATE_HZ

    def run() -> Speed:
        recognizer = engine.recognizer()
        started_secs = time.perf_counter()
        recognizer.accept(sound)
        paused_secs = time.perf_counter()
        recognizer.pause()
        ended_secs = time.perf_counter()
        recognizer.reset()
        return Speed(ended_secs - paused_secs, (ended_secs - started_secs) / speech_secs)

    return run


def _speech() -> bytes:
    """The sentence by the bundled voice and a pause, 16 kHz mono s16; without that voice, noise shaped like speech."""
    pause = bytes(2 * int(_PAUSE_SECS * SAMPLE_RATE_HZ))
    try:
        from processors.tts.espeak import EspeakSynthesizer

        voice = EspeakSynthesizer(voice="en-us", speed=1.0)
    except (EngineUnavailableError, ImportError):
        return (speech_shaped_noise(2 * SAMPLE_RATE_HZ) * 32767).astype("<i2").tobytes() + pause
    try:
        said = b"".join(chunk.pcm16 for chunk in voice.synthesize(SENTENCE))
    finally:
        voice.close()
    audio_s16 = soxr.resample(np.frombuffer(said, "<i2"), voice.sample_rate_hz, SAMPLE_RATE_HZ)
    return audio_s16.astype("<i2").tobytes() + pause


def _of_language_model(backend: LlmBackend) -> Speed | None:
    if backend.embedded is None:
        return None
    prompt_secs, token_secs = backend.embedded.token_secs(backend.options, SENTENCE)
    return Speed(prompt_secs, token_secs * TOKENS_A_SECOND)
