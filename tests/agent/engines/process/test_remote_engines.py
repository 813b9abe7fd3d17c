"""Engines of another process say, hear and judge what they do in this one."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest
from pipecat.audio.turn.smart_turn.base_smart_turn import SmartTurnParams

from agent.engines.host import ModelHost
from agent.engines.process.host import RemoteModelHost
from processors.ear.vad import SharedSileroVADAnalyzer
from processors.errors import EngineError, EngineUnavailableError
from processors.stt.calls import RecognizerCalls
from processors.stt.recognizer import KnowsLanguages, Transcript, TranscriptionRequest
from processors.tts.espeak import EspeakSynthesizer
from processors.tts.running import speech_chunks
from processors.turns.smart_turn import SharedSmartTurnAnalyzer
from tests.support.engines_elsewhere import engines_elsewhere
from tests.support.house import SPEECH, hold, hosting, say
from tests.support.left_over import leaving_nothing
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time
from transports.recording import load_recording

QUESTION = "what_time_is_it.wav"
FRAME_BYTES = 640


def sound(name: str = QUESTION) -> bytes:
    return load_recording(SPEECH / name).audio_s16.astype("<i2").tobytes()


async def heard(host: ModelHost, pcm16: bytes) -> tuple[list[str], Transcript, Transcript]:
    """The words shown, those of a pause, and those of the end."""
    calls = RecognizerCalls(host.stt.loaded, host.stt_threads)
    shown = [await calls.accept(pcm16[at : at + FRAME_BYTES]) for at in range(0, len(pcm16), FRAME_BYTES)]
    paused, finished = await calls.pause(), await calls.finish()
    calls.end()
    return list(dict.fromkeys(shown)), paused, finished


async def said(host: ModelHost, text: str) -> list[Any]:
    engine = host.tts.loaded
    async with aclosing(speech_chunks(engine, text, host.tts_threads, engine.sample_rate_hz)) as chunks:
        return [chunk async for chunk in chunks]


async def both(
    stt: ScriptedRecognizerEngine, tts: Any, ask: Callable[[ModelHost], Any]
) -> tuple[Any, Any]:
    """What engines answer here and elsewhere."""
    async with leaving_nothing(), ScriptedLLM() as server, hosting(stt, options(server), tts) as host:
        here = await ask(host)
        async with engines_elsewhere(host) as remote:
            return here, await ask(remote)


async def test_a_turn_is_heard_elsewhere_as_it_is_here() -> None:
    ears = ScriptedRecognizerEngine("what time is it", "what time is it", word_secs=0.3)
    here, elsewhere = await both(ears, ScriptedSynthesizer(), lambda host: heard(host, sound()))
    assert here == elsewhere
    assert here[1] == Transcript("what time is it", language="en", confidence=0.9)
    assert ears.heard_bytes == [len(sound())] * 2


async def test_a_text_is_spoken_elsewhere_as_it_is_here() -> None:
    here, elsewhere = await both(
        ScriptedRecognizerEngine(), EspeakSynthesizer(), lambda host: said(host, "The door is open. Come in!")
    )
    assert here == elsewhere
    assert [word.text for chunk in elsewhere for word in chunk.words] == ["The", "door", "is", "open.", "Come", "in!"]


async def test_other_voices_and_the_list_of_them_are_the_engines() -> None:
    async def ask(host: ModelHost) -> Any:
        voice = await asyncio.to_thread(host.tts.loaded.in_voice, "de", language="de", speed=1.5)
        with pytest.raises(EngineUnavailableError) as refused:
            await asyncio.to_thread(host.tts.loaded.in_voice, "nobody", language="en-us", speed=1.0)
        async with aclosing(speech_chunks(voice, "Guten Tag", host.tts_threads, voice.sample_rate_hz)) as chunks:
            spoken = [chunk async for chunk in chunks]
        error = refused.value
        return await asyncio.to_thread(host.tts.loaded.voices), voice.model, spoken, (error.reason, error.mend)

    here, elsewhere = await both(ScriptedRecognizerEngine(), EspeakSynthesizer(), ask)
    assert here == elsewhere


async def test_voice_activity_and_the_end_of_a_turn_are_judged_to_the_bit() -> None:
    async def ask(host: ModelHost) -> Any:
        analyzer = SharedSileroVADAnalyzer(host.silero, host.vad_threads)
        analyzer.set_sample_rate(16_000)
        smart_turn = SharedSmartTurnAnalyzer(host.turn_session, host.turn_threads, SmartTurnParams())
        smart_turn.set_sample_rate(16_000)
        course, pcm16 = [], sound()
        for at in range(0, len(pcm16), FRAME_BYTES):
            state = await analyzer.analyze_audio(pcm16[at : at + FRAME_BYTES])
            course.append((state, analyzer._confidence, np.array(analyzer._model._state).tobytes()))
            smart_turn.append_audio(pcm16[at : at + FRAME_BYTES], is_speech=True)
        probability, _ = await smart_turn.probability()
        return course, probability

    here, elsewhere = await both(ScriptedRecognizerEngine(), ScriptedSynthesizer(), ask)
    assert here == elsewhere
    assert 0 < here[1] < 1


async def test_sixteen_calls_of_two_processes_are_answered_together_and_each_its_own() -> None:
    recordings = [sound(name) for name in (QUESTION, "hello_world.wav")]

    async def course(host: ModelHost, pcm16: bytes) -> list[float]:
        analyzer, found = SharedSileroVADAnalyzer(host.silero, host.vad_threads), []
        analyzer.set_sample_rate(16_000)
        for at in range(0, min(len(pcm16), 32_000), 1024):
            await analyzer.analyze_audio(pcm16[at : at + 1024])
            found.append(analyzer._confidence)
        return found

    async with (
        ScriptedLLM() as server,
        hosting(ScriptedRecognizerEngine(), options(server), ScriptedSynthesizer()) as host,
    ):
        alone = [await course(host, pcm16) for pcm16 in recordings]
        async with engines_elsewhere(host) as one, engines_elsewhere(host) as other:
            together = await asyncio.gather(
                *(course(remote, recordings[n % 2]) for n in range(8) for remote in (one, other))
            )
    assert alone[0] != alone[1]
    for n, found in enumerate(together):
        assert np.abs(np.array(found) - alone[n // 2 % 2]).max() < 1e-6


async def test_a_recording_is_transcribed_elsewhere_as_it_is_here_and_may_be_left_early() -> None:
    here, elsewhere = await both(ScriptedRecognizerEngine(*"abcabc"), ScriptedSynthesizer(), three_segments)
    assert here == elsewhere
    assert [segment.text for segment in elsewhere] == ["a", "b", "c"]


async def three_segments(host: ModelHost) -> Any:
    """Three segments, and no more are asked for."""
    audio_s16 = np.zeros(16_000 * 90, np.int16)

    def three() -> Any:
        segments: Any = host.stt.loaded.transcribe(audio_s16, TranscriptionRequest())
        try:
            return [next(segments) for _ in range(3)]
        finally:
            segments.close()

    return await asyncio.to_thread(three)


async def test_what_an_engine_raises_is_raised_where_it_was_asked() -> None:
    async def ask(host: ModelHost) -> Any:
        told = []
        calls = RecognizerCalls(host.stt.loaded, host.stt_threads)
        await calls.accept(sound())
        for work in (calls.pause(), said(host, "a bad word")):
            with pytest.raises(EngineError) as error:
                await work
            told.append((type(error.value), str(error.value)))
        # The next turn, and the next text, may work.
        await calls.reset()
        await calls.accept(sound())
        told.append((await calls.pause()).text)
        calls.end()
        return told, await said(host, "a good one")

    ears = ScriptedRecognizerEngine(*[EngineError("the model broke"), "hello"] * 2)
    here, elsewhere = await both(ears, ScriptedSynthesizer(failing=("bad",)), ask)
    assert here == elsewhere


async def test_engines_are_told_of_as_they_are() -> None:
    class Ears(ScriptedRecognizerEngine):
        languages = ("de", "en")

    def facts(host: ModelHost) -> Any:
        stt, tts = host.stt.loaded, host.tts.loaded
        return (
            *(host.engines(), host.llm_options, tts.sample_rate_hz, tts.name, tts.model),
            *(stt.name, stt.model, stt.pauses_freely, stt.shows_partials),
            list(stt.languages) if isinstance(stt, KnowsLanguages) else None,
        )

    async def ask(host: ModelHost) -> Any:
        return facts(host)

    here, elsewhere = await both(Ears(early=True, word_secs=0.2), ScriptedSynthesizer(), ask)
    assert here == elsewhere
    plain, _ = await both(ScriptedRecognizerEngine(), ScriptedSynthesizer(), ask)
    assert plain[-1] is None


@in_virtual_time
async def test_a_whole_conversation_goes_on_with_engines_elsewhere() -> None:
    ears = ScriptedRecognizerEngine("what time is it")
    async with ScriptedLLM(Reply("It is noon.")) as server, hosting(ears, options(server), ScriptedSynthesizer()) as host:
        async with engines_elsewhere(host) as remote:
            assert isinstance(remote, RemoteModelHost)
            held = await hold(remote, [say(QUESTION)])
    assert held.texts("transcript") == ["what time is it"]
    assert held.history[-1]["content"] == "It is noon."
    assert held.named("error") == []
