"""What the engine process answers on each kind of line, once the engines are there.

In:  a peer and its first message.   Out: answers, until the peer is gone or has what it asked for.

Everything that is worked on for a peer belongs to the task that answers it: it is given up with that task.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import aclosing
from typing import Any, TypeVar

import numpy as np

from agent.engines.addresses import as_json, groups_in
from agent.engines.host import ModelHost
from agent.engines.llm import LlmBackend
from agent.engines.process.held import Leases, ears_json, voice_json
from agent.engines.process.minds import keep
from agent.engines.process.peer import ALIVE, ALIVE_SECS, Peer
from agent.engines.process.wire import MAX_BODY_BYTES, Head, WireError
from agent.engines.process.words import choice_json, error_head, request_of, segment_json, transcript_json
from processors.engine_threads import EngineThreads
from processors.stt.calls import RecognizerCalls
from processors.stt.recognizer import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ
from processors.tts.running import speech_chunks

# Of one utterance, more than the longest turn that settings allow; and of one text.
MAX_UTTERANCE_BYTES = 700 * SAMPLE_RATE_HZ * BYTES_PER_SAMPLE
MAX_TEXT_CHARS = 100_000
# Of one recording: a day.
MAX_RECORDING_BYTES = 86_400 * SAMPLE_RATE_HZ * BYTES_PER_SAMPLE

T = TypeVar("T")


async def while_told(peer: Peer, work: Coroutine[Any, Any, T]) -> T:
    """Do some work, and tell the peer from time to time that it goes on."""
    loop = asyncio.get_running_loop()

    def tell() -> None:
        nonlocal timer
        peer.send(ALIVE)
        timer = loop.call_later(ALIVE_SECS, tell)

    timer = loop.call_later(ALIVE_SECS, tell)
    try:
        return await work
    finally:
        timer.cancel()


class Answers:
    """For all peers.

    Args:
        host: The server's own engines.
        leases: Those, and others.
        file_threads: For whole recordings.
    """

    def __init__(self, host: ModelHost, leases: Leases, file_threads: EngineThreads) -> None:
        self._host = host
        self._leases = leases
        self._file_threads = file_threads
        self.kinds: dict[str, Callable[[Peer, Head], Coroutine[Any, Any, None]]] = {
            "describe": self._describe,
            "lease": self._lease,
            "recognizer": self._recognizer,
            "transcription": self._transcription,
            "synthesis": self._synthesis,
            "voices": self._voices,
            "in_voice": self._in_voice,
            "standby": self._standby,
            "offers": self._offers,
            "unused": self._unused,
            "let_go": self._let_go,
            "llm_hung": self._llm,
            "llm_back": self._llm,
            "addresses": self._addresses,
        }

    async def _describe(self, peer: Peer, head: Head) -> None:
        peer.send(self._leases.find({}).as_json("", self._host))

    async def _lease(self, peer: Peer, head: Head) -> None:
        key, held = await while_told(peer, self._leases.take(head.get("changes")))
        try:
            peer.send(held.as_json(key, self._host))
            await peer.gone.wait()
        finally:
            self._leases.give_back(key)

    async def _recognizer(self, peer: Peer, head: Head) -> None:
        host = self._leases.find(head).host
        ears, threads = await self._leases.find(head).ears(standby=head.get("standby") is True)
        speed = host.stt.speed
        is_own = ears is host.stt.loaded
        calls = RecognizerCalls(
            ears,
            threads,
            host.stt_standby if is_own else None,
            speed.expected_secs if speed and is_own else None,
        )
        try:
            n_bytes = 0
            while True:
                asked, pcm16 = await peer.receive()
                op = asked.get("op")
                n_bytes = len(pcm16) + (n_bytes if op in ("accept", "pause") else 0)
                if len(pcm16) % BYTES_PER_SAMPLE or n_bytes > MAX_UTTERANCE_BYTES:
                    raise WireError("this is no sound of one turn")
                try:
                    answer = await while_told(peer, _heard(calls, op, pcm16))
                except WireError:
                    raise
                # Whatever the engine raises is told, and the next turn may be heard.
                except Exception as error:  # noqa: BLE001
                    answer = error_head(error)
                if trouble := calls.take_trouble():
                    answer |= {"trouble": str(trouble).removeprefix("speech-to-text: ")}
                peer.send(answer | {"pauses_freely": calls.pauses_freely})
        finally:
            calls.end()

    async def _transcription(self, peer: Peer, head: Head) -> None:
        held = self._leases.find(head)
        engine, _ = await held.ears(standby=head.get("standby") is True)
        request, n_bytes = request_of(head.get("request")), head.get("n_bytes")
        if not isinstance(n_bytes, int) or not 0 <= n_bytes <= MAX_RECORDING_BYTES or n_bytes % BYTES_PER_SAMPLE:
            raise WireError("this is no recording")
        sound = bytearray()
        while len(sound) < n_bytes:
            _, piece = await peer.receive()
            sound += piece
        if len(sound) != n_bytes:
            raise WireError("this is no recording")
        loop, stopping = asyncio.get_running_loop(), threading.Event()
        found: asyncio.Queue[Head | None] = asyncio.Queue()
        audio_s16 = np.frombuffer(bytes(sound), "<i2")
        del sound

        def transcribe() -> None:
            if stopping.is_set():
                return
            segments = engine.transcribe(audio_s16, request)
            try:
                for segment in segments:
                    loop.call_soon_threadsafe(found.put_nowait, {"segment": segment_json(segment)})
                    if stopping.is_set():
                        return
            finally:
                if isinstance(segments, Generator):
                    segments.close()

        async def work() -> None:
            try:
                await asyncio.wrap_future(self._file_threads.submit(transcribe))
            finally:
                found.put_nowait(None)

        working = asyncio.create_task(work(), name="recording")
        try:
            while (told := await while_told(peer, found.get())) is not None:
                await peer.send_and_wait(told)
            await working
            peer.send({})
        finally:
            stopping.set()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _synthesis(self, peer: Peer, head: Head) -> None:
        text = head.get("text")
        if not isinstance(text, str) or len(text) > MAX_TEXT_CHARS:
            raise WireError("this is no text")
        engine, threads = await self._leases.find(head).voice(head)
        async with aclosing(speech_chunks(engine, text, threads, engine.sample_rate_hz)) as chunks:
            while (chunk := await while_told(peer, _next(chunks))) is not None:
                words = [(word.text, word.start_secs, word.end_secs) for word in chunk.words]
                pcm16 = chunk.pcm16
                while len(pcm16) > MAX_BODY_BYTES:
                    await peer.send_and_wait({"words": words}, pcm16[:MAX_BODY_BYTES])
                    words, pcm16 = [], pcm16[MAX_BODY_BYTES:]
                await peer.send_and_wait({"words": words}, pcm16)
        peer.send({})

    async def _voices(self, peer: Peer, head: Head) -> None:
        engine, _ = await self._leases.find(head).voice(head)
        voices = await while_told(peer, asyncio.to_thread(engine.voices))
        peer.send({"voices": [vars(voice) for voice in voices]})

    async def _in_voice(self, peer: Peer, head: Head) -> None:
        engine, _ = await while_told(peer, self._leases.find(head).voice(head))
        peer.send(voice_json(engine))

    async def _standby(self, peer: Peer, head: Head) -> None:
        held = self._leases.find(head)
        if head.get("stage") == "stt":
            engine, _ = await while_told(peer, held.ears(standby=True))
            peer.send(ears_json(engine))
            return
        voice, _ = await while_told(peer, held.voice({"standby": True}))
        peer.send(voice_json(voice))

    async def _offers(self, peer: Peer, head: Head) -> None:
        peer.send({"offers": await while_told(peer, self._leases.engines.offers())})

    async def _unused(self, peer: Peer, head: Head) -> None:
        peer.send({"unused": {name: choice_json(choice) for name, choice in self._leases.unused().items()}})

    async def _let_go(self, peer: Peer, head: Head) -> None:
        await while_told(peer, self._leases.let_go(head.get("names") or ()))
        peer.send({})

    async def _addresses(self, peer: Peer, head: Head) -> None:
        peer.send({"addresses": as_json(groups_in((self._host.stt.loaded, self._host.tts.loaded)))})

    async def _llm(self, peer: Peer, head: Head) -> None:
        choices = [choice for choice in (self._host.llm, self._host.large) if choice]
        more = [one.choice for one in self._leases.engines._loaded_more("llm")]
        models: list[LlmBackend] = [choice.loaded for choice in (*choices, *more)]
        peer.send({"yes": await while_told(peer, keep(models, str(head.get("kind")), head.get("base_url")))})


async def _next(chunks: Any) -> Any:
    return await anext(chunks, None)


async def _heard(calls: RecognizerCalls, op: Any, pcm16: bytes) -> Head:
    if op == "accept":
        return {"text": await calls.accept(pcm16)}
    if op in ("pause", "finish"):
        if pcm16:
            await calls.accept(pcm16)
        return {"transcript": transcript_json(await (calls.pause() if op == "pause" else calls.finish()))}
    if op == "reset":
        await calls.reset()
        return {}
    raise WireError("a recognizer is asked for nothing that it does")
