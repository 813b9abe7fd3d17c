"""The language model service without a pipeline around it, and an answer that a test makes at HTTP's edge.

The OpenAI client between the two is the service's own.
"""

import functools
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from pipecat.frames.frames import Frame, FunctionCallFromLLM, LLMTextFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import FunctionCallParams

from processors.llm.options import LLMOptions
from processors.llm.service import LocalLLMService
from tests.support.llm_session import question

CLIENT = "processors.llm.client.DefaultAsyncHttpxClient"


class HeardLLM(LocalLLMService):
    """Keeps what it would push.

    Args:
        respond: Makes the answer to whatever is asked.
        changes: Of the options.

    Attributes:
        said: The words, in pieces.
        calls: Tool calls.
        errors: Messages, each with what was raised.
    """

    def __init__(self, respond: Callable[[httpx2.Request], httpx2.Response], **changes: Any) -> None:
        self._respond = respond
        self.said: list[str] = []
        self.calls: list[FunctionCallFromLLM] = []
        self.errors: list[tuple[str, BaseException | None]] = []
        super().__init__(LLMOptions("http://127.0.0.1:1/v1", "m", **changes))
        self.register_function("clock", _never_called)

    def create_client(self, *_: Any, **__: Any) -> AsyncOpenAI:
        """The service's client on the scripted answer."""
        transport = httpx2.MockTransport(self._respond)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CLIENT, functools.partial(DefaultAsyncHttpxClient, transport=transport))
            return super().create_client()

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        """Keep the words."""
        if isinstance(frame, LLMTextFrame):
            frame.text.encode()  # What cannot be sent on is not text.
            self.said.append(frame.text)

    async def push_error(self, error_msg: str, exception: Exception | None = None, *_: Any, **__: Any) -> None:
        """Keep the failure."""
        self.errors.append((error_msg, exception))

    async def run_function_calls(self, function_calls: Any) -> None:
        """Keep the calls."""
        self.calls += function_calls

    async def hear(self) -> None:
        """Ask once, and let go of the connections."""
        await self._process_context(question())
        await self._client.close()

    @property
    def apology(self) -> str | None:
        """What would be said aloud."""
        return self._apology_due


async def _never_called(_: FunctionCallParams) -> None:
    raise AssertionError
