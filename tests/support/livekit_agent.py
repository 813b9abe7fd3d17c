"""LiveKit's agent before the Realtime door; imported where it is used, since LiveKit takes a second.

What is the test's own stands at LiveKit's own edges: a microphone that says what it is told to, and a loudspeaker.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy as np
import openai
from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool, io, stt
from livekit.plugins import openai as livekit_openai

from transports.sound_file import Pcm16

RATE_HZ = 16_000
WAIT_SECS = 120.0


class Microphone(io.AudioInput):
    """Says recordings when it is told to, at the pace of real time; silence in between.

    Attributes:
        changed: Set with each frame, too: whoever waits for something looks again.
    """

    def __init__(self) -> None:
        super().__init__(label="scripted")
        self.changed = asyncio.Event()
        self._left_s16 = np.zeros(0, np.int16)

    def say(self, audio_s16: Pcm16) -> None:
        """Say it now."""
        self._left_s16 = np.concatenate([self._left_s16, audio_s16])

    async def __anext__(self) -> rtc.AudioFrame:
        n_samples = RATE_HZ // 50
        await asyncio.sleep(n_samples / RATE_HZ)
        self.changed.set()
        piece, self._left_s16 = self._left_s16[:n_samples], self._left_s16[n_samples:]
        return rtc.AudioFrame(np.pad(piece, (0, n_samples - len(piece))).tobytes(), RATE_HZ, 1, n_samples)


class Loudspeaker(io.AudioOutput):
    """Plays at the pace of real time, and tells LiveKit how far it has come.

    Attributes:
        n_samples: How many have been given to it.
        n_cut: How often it was cut.
    """

    def __init__(self) -> None:
        super().__init__(label="scripted", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=24_000)
        self.n_samples = 0
        self.n_cut = 0
        self._pushed_secs = 0.0
        self._ends_secs = 0.0
        self._playing: asyncio.Task[None] | None = None
        self.changed = asyncio.Event()

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        now_secs = asyncio.get_running_loop().time()
        if self._pushed_secs == 0.0:
            self._ends_secs = now_secs
            self.on_playback_started(created_at=0.0)
        self._pushed_secs += frame.duration
        self._ends_secs = max(self._ends_secs, now_secs) + frame.duration
        self.n_samples += frame.samples_per_channel
        self.changed.set()

    def flush(self) -> None:
        super().flush()
        if self._pushed_secs and self._playing is None:
            self._playing = asyncio.create_task(self._play_on())

    def clear_buffer(self) -> None:
        if self._pushed_secs:
            self.n_cut += 1
            self._end(interrupted=True)
        self.changed.set()

    async def _play_on(self) -> None:
        await asyncio.sleep(max(0.0, self._ends_secs - asyncio.get_running_loop().time()))
        self._playing = None
        self._end(interrupted=False)

    def _end(self, *, interrupted: bool) -> None:
        if self._playing:
            self._playing.cancel()
            self._playing = None
        left_secs = max(0.0, self._ends_secs - asyncio.get_running_loop().time())
        played_secs, self._pushed_secs = max(0.0, self._pushed_secs - left_secs), 0.0
        self.on_playback_finished(playback_position=played_secs, interrupted=interrupted)


class Talk:
    """One agent of LiveKit's in conversation.

    Attributes:
        said: What stands in its history: role and words.
        called: The arguments of its function's calls.
        errors: What it told as errors.
    """

    def __init__(self) -> None:
        self.microphone, self.loudspeaker = Microphone(), Loudspeaker()
        self.said: list[tuple[str, str]] = []
        self.partials: list[str] = []
        self.called: list[str] = []
        self.errors: list[str] = []
        self.changed = asyncio.Event()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something holds; looked at whenever anything has happened."""
        async with asyncio.timeout(WAIT_SECS):
            while not is_so():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def livekit_talk(base_url: str) -> AsyncIterator[Talk]:
    """An AgentSession on the RealtimeModel, with one function."""
    async with aiohttp.ClientSession() as http:
        model = livekit_openai.realtime.RealtimeModel(base_url=base_url, api_key="none", http_session=http)
        async with _talking(AgentSession(llm=model)) as talk:
            yield talk
        await model.aclose()


@asynccontextmanager
async def livekit_talk_in_parts(base_url: str) -> AsyncIterator[Talk]:
    """An AgentSession on streaming ears, a language model and a voice of the same server, with one function."""
    async with aiohttp.ClientSession() as http, openai.AsyncClient(base_url=base_url, api_key="none") as client:
        ears = livekit_openai.STT(base_url=base_url, api_key="none", use_realtime=True, model="whisper-1")
        ears._session = http
        mind, voice = livekit_openai.LLM(client=client, model="sotto"), livekit_openai.TTS(client=client)
        # What it asks in advance would take the answer of a script.
        turns: Any = {"turn_detection": "stt", "preemptive_generation": {"enabled": False}}
        session: AgentSession[None] = AgentSession(stt=ears, llm=mind, tts=voice, vad=None, turn_handling=turns)
        async with _talking(session) as talk:
            yield talk
        for part in (ears, mind, voice):
            await part.aclose()


@asynccontextmanager
async def _talking(session: "AgentSession[None]") -> AsyncIterator[Talk]:
    talk = Talk()
    talk.loudspeaker.changed = talk.microphone.changed = talk.changed

    @function_tool
    async def get_weather(city: str) -> str:
        """The weather of a city."""
        talk.called.append(city)
        return "snow"

    _follow(session, talk)
    session.input.audio, session.output.audio = talk.microphone, talk.loudspeaker
    await session.start(Agent(instructions="Be brief.", tools=[get_weather]))
    try:
        yield talk
    finally:
        await session.aclose()


def _follow(session: "AgentSession[None]", talk: Talk) -> None:
    @session.on("conversation_item_added")
    def on_item(event: Any) -> None:
        if event.item.type == "message":
            talk.said.append((event.item.role, event.item.text_content or ""))

    @session.on("user_input_transcribed")
    def on_words(event: Any) -> None:
        talk.partials.append(event.transcript)

    @session.on("error")
    def on_error(event: Any) -> None:
        talk.errors.append(str(event.error))


async def livekit_hears(base_url: str, recordings: Sequence[Pcm16]) -> tuple[list[str], list[str]]:
    """What LiveKit's streaming ears are told of recordings, one after another: words on the way, and whole turns."""
    partials: list[str] = []
    finals: list[str] = []
    async with aiohttp.ClientSession() as http:
        ears = livekit_openai.STT(base_url=base_url, api_key="none", use_realtime=True, model="whisper-1")
        ears._session = http
        stream, microphone = ears.stream(), Microphone()

        async def speak() -> None:
            while True:
                stream.push_frame(await anext(microphone))

        speaking = asyncio.create_task(speak())
        left = list(recordings)
        microphone.say(left.pop(0))
        try:
            async with asyncio.timeout(WAIT_SECS):
                async for event in stream:
                    if event.type is stt.SpeechEventType.INTERIM_TRANSCRIPT:
                        partials.append(event.alternatives[0].text)
                    if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
                        finals.append(event.alternatives[0].text)
                        if not left:
                            break
                        microphone.say(left.pop(0))
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)
            await stream.aclose()
            await ears.aclose()
    return partials, finals
