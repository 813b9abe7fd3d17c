"""Pipecat's own client of the Realtime API, as a pipeline, before the real application on scripted engines."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import soxr
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMRunFrame,
    OutputAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies
from pipecat.workers.runner import WorkerRunner

from tests.agent.server.realtime.stage import staged
from tests.agent.server.realtime.test_realtime_conversations import LONG_REPLY, QUESTION, STOP, weather_call
from tests.support.scripted_llm import Reply
from tests.support.virtual_time import in_virtual_time
from transports.recording import Pcm16

# A foreign client.
pytestmark = pytest.mark.long
RATE_HZ = 24_000
WAIT_SECS = 120.0
# It is still being said when two seconds of it have been and the user cuts in.
COUNTED = f"{LONG_REPLY} {LONG_REPLY}"
WEATHER = FunctionSchema("get_weather", "The weather of a city.", {"city": {"type": "string"}}, ["city"])
HEARD = ("what is the capital of germany", "count please", "stop", "how is the weather in oslo", "are you there")


class Loudspeaker(FrameProcessor):
    """Where Pipecat's pipeline would end in a transport.

    Attributes:
        n_bytes: How much sound has come.
        n_cut: How often it was cut.
        errors: What was told as errors.
    """

    def __init__(self) -> None:
        super().__init__()
        self.n_bytes = 0
        self.n_cut = 0
        self.errors: list[str] = []
        self._changed = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, OutputAudioRawFrame):
            self.n_bytes += len(frame.audio)
        self.n_cut += isinstance(frame, InterruptionFrame)
        await self.push_frame(frame, direction)
        self._changed.set()

    def look(self) -> None:
        """Something has happened elsewhere."""
        self._changed.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something holds; looked at whenever a frame has come."""
        async with asyncio.timeout(WAIT_SECS):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()


class Talk:
    """One client in conversation."""

    def __init__(self, url: str) -> None:
        self.context = LLMContext([{"role": "user", "content": "Hello."}], tools=ToolsSchema([WEATHER]))
        self.called: list[Any] = []
        self.out = Loudspeaker()
        sound = events.AudioConfiguration(
            input=events.AudioInput(
                transcription=events.InputAudioTranscription(model="whisper-1"),
                turn_detection=events.SemanticTurnDetection(),
            )
        )
        wanted = events.SessionProperties(instructions="Be brief.", audio=sound)
        self.service = OpenAIRealtimeLLMService(
            api_key="none",
            base_url=f"{url.replace('http', 'ws', 1)}/realtime",
            settings=OpenAIRealtimeLLMService.Settings(model="sotto", session_properties=wanted),
        )
        self.service.register_function("get_weather", self._weather)
        params = LLMUserAggregatorParams(user_turn_strategies=ExternalUserTurnStrategies())
        pair = LLMContextAggregatorPair(self.context, user_params=params)
        self.worker = PipelineWorker(
            Pipeline([pair.user(), self.service, self.out, pair.assistant()]),
            params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ),
            enable_rtvi=False,
            enable_turn_tracking=False,
            idle_timeout_secs=None,
        )

    async def _weather(self, params: FunctionCallParams) -> None:
        self.called.append(dict(params.arguments))
        await params.result_callback({"sky": "snow"})

    def said(self) -> list[tuple[str, str]]:
        """The words of its history."""
        told = [one for one in self.context.messages if isinstance(one, dict) and not one.get("tool_calls")]
        return [(str(one["role"]), str(one.get("content"))) for one in told if one["role"] != "tool"]

    async def say(self, audio_s16: Pcm16) -> None:
        """A recording and two seconds of silence, in frames of 20 ms at the pace of real time."""
        audio = soxr.resample(audio_s16, 16_000, RATE_HZ).astype("<i2").tobytes() + bytes(4 * RATE_HZ)
        size = RATE_HZ // 50 * 2
        for at in range(0, len(audio), size):
            await self.worker.queue_frame(InputAudioRawFrame(audio[at : at + size], RATE_HZ, 1))
            await asyncio.sleep(0.02)
            self.out.look()

    async def answered(self, *words: str) -> None:
        """Wait until the assistant has said these words, and no others, last."""
        await self.out.until(lambda: self.said()[-1] == ("assistant", " ".join(words)))


@asynccontextmanager
async def talking(url: str) -> AsyncIterator[Talk]:
    """A client that runs."""
    talk = Talk(url)

    @talk.service.event_handler("on_error")
    async def fail(_: object, error: ErrorFrame) -> None:
        talk.out.errors.append(error.error)
        talk.out.look()

    runner = WorkerRunner(handle_sigint=False, check_dangling_tasks=False)
    await runner.add_workers(talk.worker)
    running = asyncio.create_task(runner.run())
    try:
        await talk.worker.queue_frame(LLMRunFrame())
        yield talk
    finally:
        await talk.worker.cancel()
        await asyncio.wait([running], timeout=WAIT_SECS)


@pytest.mark.parametrize("sound", ["paced", "ahead"])
@in_virtual_time
async def test_pipecats_client_talks_is_cut_off_calls_a_function_and_joins_again(sound: str) -> None:
    spoken = ("Hello there.", "The capital is Berlin.", COUNTED, "Fine.")
    replies: tuple[str | Reply, ...] = (*spoken, weather_call(), "It snows.", "Yes.")
    settings = {"server.realtime_sound": sound}
    async with staged(*HEARD, replies=replies, **settings) as stage, talking(stage.url) as talk:
        await talk.answered("Hello there.")
        await talk.say(QUESTION)
        await talk.answered("The capital is Berlin.")
        before = talk.out.n_bytes
        await talk.say(QUESTION)
        await talk.out.until(lambda: talk.out.n_bytes > before + 2 * RATE_HZ)
        await talk.say(STOP)
        await talk.answered("Fine.")
        await talk.say(QUESTION)
        await talk.answered("It snows.")
        assert talk.out.errors == []
        said = talk.said()
        assert talk.service._websocket
        talk.service._websocket.transport.abort()
        while stage.n_active():
            await asyncio.sleep(0.1)
        # Its own way back would truncate an answer of the session that is gone.
        async with talking(stage.url) as again:
            await again.answered("Yes.")
        asked = stage.llm.requests
    assert talk.called == [{"city": "Oslo"}]
    assert talk.out.n_cut >= 1
    assert [words for role, words in said if role == "user"] == ["Hello.", *HEARD[:4]]
    cut = next(words for role, words in said if role == "assistant" and words.startswith("One"))
    assert COUNTED.startswith(cut)
    assert 0 < len(cut.split()) < len(COUNTED.split())
    # What the model is told of the cut answer is what was heard of it.
    assert COUNTED not in str(asked[3].messages)
    assert "One two" in str(asked[3].messages)
    assert "snow" in str(asked[5].messages)
