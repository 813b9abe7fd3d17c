"""LiveKit's agent that speaks through the speech API; imported where it is used, since LiveKit takes a second.

What is the test's own stands at LiveKit's own edge: a loudspeaker.
"""

import asyncio

import openai
from livekit.agents import Agent, AgentSession
from livekit.plugins import openai as livekit_openai

from tests.support.livekit_agent import WAIT_SECS, Loudspeaker


async def spoken_by_agent(base_url: str, model: str, voice: str, text: str) -> tuple[float, list[str], list[str]]:
    """What an agent of LiveKit's makes of a sentence.

    Args:
        base_url: Of the API.
        model: As LiveKit asks for it: tts-1 by sound, others by events.
        voice: Of ours or of OpenAI's.
        text: The sentence.

    Returns:
        Seconds of sound that were played to the end, what stands in its history, and what it told as errors.
    """
    loudspeaker, errors = Loudspeaker(), list[str]()
    async with openai.AsyncClient(base_url=base_url, api_key="none", max_retries=0) as client:
        tts = livekit_openai.TTS(client=client, model=model, voice=voice)
        session: AgentSession[None] = AgentSession(tts=tts)
        session.on("error", lambda event: errors.append(str(event.error)))
        session.output.audio = loudspeaker
        await session.start(Agent(instructions="Speak."))
        async with asyncio.timeout(WAIT_SECS):
            await session.say(text)
        said = [item.text_content or "" for item in session.history.items if item.type == "message"]
        await session.aclose()
        await tts.aclose()
    return loudspeaker.n_samples / 24_000, said, errors
