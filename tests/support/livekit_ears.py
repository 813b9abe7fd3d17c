"""LiveKit's client and agent as users of the speech API; imported where they are used, since LiveKit takes a second."""

import asyncio

import numpy as np
import openai
from livekit import rtc
from livekit.agents import Agent, AgentSession, UserInputTranscribedEvent, inference, io
from livekit.plugins import openai as livekit_openai

from transports.sound_file import Pcm16

RATE_HZ = 16_000


class ScriptedMicrophone(io.AudioInput):
    """Says a recording at the pace of real time, then silence; LiveKit's own interface."""

    def __init__(self, audio_s16: Pcm16) -> None:
        super().__init__(label="scripted")
        self._audio_s16 = audio_s16
        self._n_said = 0

    async def __anext__(self) -> rtc.AudioFrame:
        n_samples = RATE_HZ // 50
        await asyncio.sleep(n_samples / RATE_HZ)
        piece_s16 = self._audio_s16[self._n_said : self._n_said + n_samples]
        self._n_said += n_samples
        return rtc.AudioFrame(np.resize(np.pad(piece_s16, (0, n_samples)), n_samples).tobytes(), RATE_HZ, 1, n_samples)


async def recognized(base_url: str, model: str, audio_s16: Pcm16) -> list[tuple[str, str]]:
    """What LiveKit's client is given for a recording of 16 kHz: text and language of each alternative."""
    async with openai.AsyncClient(base_url=base_url, api_key="none", max_retries=0) as client:
        recognizer = livekit_openai.STT(client=client, model=model, use_realtime=False)
        event = await recognizer.recognize(rtc.AudioFrame(audio_s16.tobytes(), RATE_HZ, 1, len(audio_s16)))
        await recognizer.aclose()
    return [(one.text, one.language) for one in event.alternatives]


async def heard_by_agent(base_url: str, audio_s16: Pcm16) -> str:
    """What an agent of LiveKit's hears through the API while a recording of 16 kHz is said to it."""
    async with openai.AsyncClient(base_url=base_url, api_key="none", max_retries=0) as client:
        recognizer = livekit_openai.STT(client=client, use_realtime=False)
        session: AgentSession[None] = AgentSession(stt=recognizer, vad=inference.VAD())
        heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        @session.on("user_input_transcribed")
        def on_words(event: UserInputTranscribedEvent) -> None:
            if event.is_final and not heard.done():
                heard.set_result(event.transcript)

        session.input.audio = ScriptedMicrophone(audio_s16)
        await session.start(Agent(instructions="Listen."))
        words = await asyncio.wait_for(heard, 30)
        await session.aclose()
        await recognizer.aclose()
    return words
