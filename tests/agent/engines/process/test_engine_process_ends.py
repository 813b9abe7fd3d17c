"""An engine process that ends costs nobody a turn: what was under way is asked again of the next one."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from agent.engines.host import ModelHost
from agent.engines.process.host import RemoteModelHost, connect_model_host
from agent.engines.process.server import EngineServer
from agent.engines.process.session import RemoteSessionEngines
from agent.engines.process.sockets import socket_folder
from agent.settings.load import Settings
from agent.settings.session import session_settings
from processors.ear.vad import SharedSileroVADAnalyzer
from processors.engine_threads import EngineThreads
from processors.errors import EngineError, EngineUnavailableError
from processors.stt.calls import RecognizerCalls
from processors.stt.recognizer import Pcm16, Segment, Transcript, TranscriptionRequest
from processors.tts.running import speech_chunks
from processors.tts.synthesizer import SpeechChunk
from tests.agent.engines.process.test_remote_engines import FRAME_BYTES, said, sound
from tests.support.engines_elsewhere import serving_engines, until
from tests.support.house import hosting
from tests.support.left_over import leaving_nothing
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizer, ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import ScriptedLLM

SETTINGS = Settings.model_validate({"tools": {"choice": "off"}})


class Restarts:
    """An engine process that can be ended, and started anew.

    Attributes:
        remote: The engines as another process has them.
        host: The engines themselves.
        server: The engine process of the moment.
    """

    def __init__(self, path: Path, host: ModelHost) -> None:
        self._path, self.host = path, host
        self._running = AsyncExitStack()
        self.remote: RemoteModelHost
        self.server: EngineServer

    async def begin(self) -> None:
        serving = serving_engines(self._path, self.host, SETTINGS)
        self.server = await self._running.enter_async_context(serving)

    async def end(self) -> None:
        await self._running.aclose()

    async def again(self) -> None:
        await self.end()
        await self.begin()


@asynccontextmanager
async def restarts(stt: ScriptedRecognizerEngine, tts: ScriptedSynthesizer) -> AsyncIterator[Restarts]:
    async with leaving_nothing(), ScriptedLLM() as llm, hosting(stt, options(llm), tts) as host:
        with socket_folder() as folder:
            engines = Restarts(folder / "engines", host)
            await engines.begin()
            engines.remote = await connect_model_host(SETTINGS, folder / "engines")
            try:
                yield engines
            finally:
                await engines.remote.close()
                await engines.end()


class GatedSynthesizer(ScriptedSynthesizer):
    """One that waits after its first word until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = threading.Event()
        self.n_begun = self.n_words = 0

    def synthesize(self, text: str) -> Iterator[SpeechChunk]:
        self.n_begun += 1
        for chunk in super().synthesize(text):
            self.n_words += 1
            yield chunk
            assert self.may_go_on.wait(60)


async def test_a_turn_in_the_middle_is_heard_to_its_end_by_the_next_one() -> None:
    ears = ScriptedRecognizerEngine("what time is it", word_secs=0.3)
    async with restarts(ears, ScriptedSynthesizer()) as engines:
        calls = RecognizerCalls(engines.remote.stt.loaded, engines.remote.stt_threads)
        pcm16 = sound()
        for at in range(0, len(pcm16), FRAME_BYTES):
            if at == len(pcm16) // 2 // FRAME_BYTES * FRAME_BYTES:
                await engines.again()
            await calls.accept(pcm16[at : at + FRAME_BYTES])
        assert (await calls.pause()).text == "what time is it"
        # All of the turn, though this engine has heard its first half from another one's line.
        assert ears.heard_bytes == [len(pcm16)]
        trouble = calls.take_trouble()
        assert str(trouble) == (
            "speech-to-text: the engine process ended, and the next one has heard the turn from its beginning"
        )
        # Between two turns it is nobody's trouble.
        await calls.reset()
        await engines.again()
        await calls.accept(pcm16)
        assert calls.take_trouble() is None
        calls.end()


async def test_a_turn_that_is_asked_for_while_there_is_no_engine_process_waits_for_the_next_one() -> None:
    async with restarts(ScriptedRecognizerEngine("hello"), ScriptedSynthesizer()) as engines:
        calls = RecognizerCalls(engines.remote.stt.loaded, engines.remote.stt_threads)
        await calls.accept(sound())
        await engines.end()
        pausing = asyncio.create_task(calls.pause())
        speaking = asyncio.create_task(said(engines.remote, "one two"))
        await asyncio.sleep(0)
        await engines.begin()
        assert (await pausing).text == "hello"
        assert [word.text for chunk in await speaking for word in chunk.words] == ["one", "two"]
        calls.end()


async def test_a_text_in_the_middle_is_spoken_on_from_the_very_sample() -> None:
    voice = GatedSynthesizer()
    async with restarts(ScriptedRecognizerEngine(), voice) as engines:
        remote = engines.remote
        chunks = speech_chunks(remote.tts.loaded, "one two three", remote.tts_threads, 24_000)
        found = [await anext(chunks)]
        ending = asyncio.create_task(engines.end())
        await asyncio.sleep(0)
        voice.may_go_on.set()
        await ending
        await engines.begin()
        found += [chunk async for chunk in chunks]
        whole = [
            chunk async for chunk in speech_chunks(ScriptedSynthesizer(), "one two three", remote.file_threads, 24_000)
        ]
    assert voice.n_begun == 2
    assert b"".join(chunk.pcm16 for chunk in found) == b"".join(chunk.pcm16 for chunk in whole)
    assert [word for chunk in found for word in chunk.words] == [word for chunk in whole for word in chunk.words]


async def test_who_cuts_a_text_off_frees_the_engine_at_once() -> None:
    voice = GatedSynthesizer()
    async with restarts(ScriptedRecognizerEngine(), voice) as engines:
        remote = engines.remote
        chunks = speech_chunks(remote.tts.loaded, "one two three", remote.tts_threads, 24_000)
        await anext(chunks)
        await chunks.aclose()
        await until(lambda: not engines.server.n_peers)
        # The engine's only thread is at the end of a word and makes one more, as it does within one process.
        voice.may_go_on.set()
        assert [word.text for chunk in await said(remote, "four") for word in chunk.words] == ["four"]
    assert voice.n_words == len(["one", "two"]) + len(["four"])


async def test_who_hangs_up_while_his_words_are_worked_out_frees_his_place_in_the_queue() -> None:
    may_go_on, begun = threading.Event(), threading.Semaphore(0)

    class Slow(ScriptedRecognizerEngine):
        max_threads = 1

        def recognizer(self) -> ScriptedRecognizer:
            return SlowRecognizer(self)

    class SlowRecognizer(ScriptedRecognizer):
        def pause(self) -> Transcript:
            begun.release()
            assert may_go_on.wait(60)
            return super().pause()

    ears = Slow("first", "second", "third")
    async with restarts(ears, ScriptedSynthesizer()) as engines:
        remote, queue = engines.remote, engines.host.stt_threads
        assert isinstance(queue, EngineThreads)
        calls = [RecognizerCalls(remote.stt.loaded, remote.stt_threads) for _ in range(3)]
        for one in calls:
            await one.accept(sound())
        pausing = [asyncio.create_task(one.pause()) for one in calls[:1]]
        assert await asyncio.to_thread(begun.acquire, timeout=20)
        pausing += [asyncio.create_task(one.pause()) for one in calls[1:]]
        await until(lambda: queue.n_waiting >= 2)
        calls[1].end()
        with pytest.raises(EngineError, match="the conversation has ended"):
            await pausing[1]
        await until(lambda: engines.server.n_peers <= 2)
        may_go_on.set()
        assert [(await pausing[n]).text for n in (0, 2)] == ["first", "second"]
        calls[0].end()
        calls[2].end()


async def test_voice_activity_goes_on_as_if_nothing_had_been() -> None:
    async def course(engines: Restarts, restart_at: int | None) -> list[float]:
        analyzer = SharedSileroVADAnalyzer(engines.remote.silero, engines.remote.vad_threads)
        analyzer.set_sample_rate(16_000)
        pcm16, found = sound(), []
        for at in range(0, 32 * 1024, 1024):
            if at == restart_at:
                await engines.again()
            await analyzer.analyze_audio(pcm16[at : at + 1024])
            found.append(analyzer._confidence)
        return found

    async with restarts(ScriptedRecognizerEngine(), ScriptedSynthesizer()) as engines:
        assert await course(engines, None) == await course(engines, 16 * 1024)


async def test_a_recording_under_way_is_told_to_its_end_and_nothing_twice() -> None:
    class Same(ScriptedRecognizerEngine):
        def transcribe(self, audio_s16: Pcm16, request: TranscriptionRequest) -> Iterator[Segment]:
            yield from (Segment(text, n, n + 1) for n, text in enumerate("abc"))

    async with restarts(Same(), ScriptedSynthesizer()) as engines:
        segments = engines.remote.stt.loaded.transcribe(np.zeros(16_000, np.int16), TranscriptionRequest())
        first = await asyncio.to_thread(next, segments)
        await engines.again()
        rest = await asyncio.to_thread(list, segments)
    assert [segment.text for segment in (first, *rest)] == ["a", "b", "c"]


async def test_a_voice_that_a_conversation_has_chosen_is_there_after_a_restart() -> None:
    voice = ScriptedSynthesizer()
    async with restarts(ScriptedRecognizerEngine(), voice) as engines:
        sessions = RemoteSessionEngines(engines.remote, SETTINGS)
        wish = session_settings(SETTINGS, {"tts.voice": "ton", "tts.language": "de"})
        host = await sessions.host_for(wish)
        assert await sessions.host_for(wish) is host
        assert host.stt is engines.remote.stt
        await said(host, "eins")
        await engines.again()
        await said(host, "zwei")
        quicker = await asyncio.to_thread(host.tts.loaded.in_voice, None, language="de", speed=1.5)
        assert quicker.name == "scripted"
        with pytest.raises(EngineUnavailableError, match="does not know the voice 'nobody'"):
            await sessions.host_for(session_settings(SETTINGS, {"tts.voice": "nobody"}))
        del host, quicker
    assert voice.said_in == [("eins", "de"), ("zwei", "de")]


async def test_where_no_engine_process_comes_the_work_fails_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("ears", "voice", "pauses"):
        name = "WITHIN_SECS" if module == "pauses" else "RESTART_SECS"
        monkeypatch.setattr(f"agent.engines.process.{module}.{name}", 0.0)
    async with restarts(ScriptedRecognizerEngine(), ScriptedSynthesizer()) as engines:
        remote = engines.remote
        await engines.end()
        calls = RecognizerCalls(remote.stt.loaded, remote.stt_threads)
        analyzer = SharedSileroVADAnalyzer(remote.silero, remote.vad_threads)
        analyzer.set_sample_rate(16_000)
        for work in (calls.accept(sound()), said(remote, "one"), analyzer.analyze_audio(sound())):
            with pytest.raises(EngineUnavailableError, match=r"^the engine process does not listen at .*sotto serve$"):
                await work
        calls.end()
