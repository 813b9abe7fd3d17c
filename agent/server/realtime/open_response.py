"""A response that is under way: what it was asked to be, what it holds so far, and how its client is told of it."""

from dataclasses import dataclass, field
from typing import Any, Literal

from pipecat.metrics.metrics import LLMTokenUsage

from agent.server.realtime.items import Item
from agent.server.realtime.outlet import Encoder
from agent.server.realtime.session_config import SessionConfig

Modality = Literal["audio", "text"]


@dataclass(frozen=True)
class Call:
    """A call of one of the client's functions, with its arguments as JSON."""

    call_id: str
    name: str
    arguments: str


@dataclass
class OpenMessage:
    """A message of it that is heard or read, never both.

    Attributes:
        index: Among the response's items.
        is_apart: Whether what is written next is no part of the same word.
    """

    item: Item
    modality: Modality
    encoder: Encoder
    index: int
    text: str = ""
    is_apart: bool = False

    @property
    def part(self) -> dict[str, Any]:
        """As a part of the content."""
        if self.modality == "audio":
            return {"type": "audio", "transcript": self.text}
        return {"type": "text", "text": self.text}

    @property
    def content(self) -> dict[str, Any]:
        """As it stands in the item."""
        if self.modality == "audio":
            return {"type": "output_audio", "transcript": self.text}
        return {"type": "output_text", "text": self.text}


@dataclass
class OpenResponse:
    """A response.

    Attributes:
        in_reply: Whether the model's reply has not ended; it may not have begun.
        speaking: Whether its speech has not ended.
        has_begun: Whether anything of it has come.
        n_to_follow: How many of the model's replies that have not ended are followed by another one, as they call
            tools of the agent's own.
    """

    id: str
    config: SessionConfig
    metadata: dict[str, str] | None
    message: OpenMessage | None = None
    output: list[dict[str, Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    in_reply: bool = False
    speaking: bool = False
    has_begun: bool = False
    n_to_follow: int = 0
    usage: dict[str, Any] | None = None

    def add_usage(self, tokens: LLMTokenUsage | None) -> None:
        """The tokens of one of the model's replies, where the model says them."""
        if tokens is None:
            return
        before = self.usage or {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
        counts = {
            "input_tokens": before["input_tokens"] + tokens.prompt_tokens,
            "output_tokens": before["output_tokens"] + tokens.completion_tokens,
            "total_tokens": before["total_tokens"] + tokens.total_tokens,
        }
        # The language model reads and writes text alone.
        cached = before.get("input_token_details", {}).get("cached_tokens", 0) + (tokens.cache_read_input_tokens or 0)
        details = {"text_tokens": counts["input_tokens"], "audio_tokens": 0, "cached_tokens": cached}
        written = {"text_tokens": counts["output_tokens"], "audio_tokens": 0}
        self.usage = {**counts, "input_token_details": details, "output_token_details": written}

    def told(self, conversation_id: str | None, status: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
        """As its client is told of it.

        Args:
            conversation_id: None: it is of no conversation.
            status: `in_progress`, or how it ended.
            details: Of how it ended.
        """
        output = self.config.told()["audio"]["output"]
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": self.output,
            "conversation_id": conversation_id,
            "output_modalities": self.config.output_modalities,
            "max_output_tokens": self.config.max_output_tokens,
            "audio": {"output": {"format": output["format"], "voice": self.config.voice}},
            "usage": self.usage,
            "metadata": self.metadata,
        }
