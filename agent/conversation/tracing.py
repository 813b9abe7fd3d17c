"""Traces of conversations, by Pipecat's own tracing, to the OTLP receiver that `telemetry.otlp_endpoint` names.

In:  spans of Pipecat (conversation, turn, llm) and of the event log's latencies (end_of_turn, stt, tts).
Out: OTLP over HTTP, from a thread of its own; without `telemetry.words`, nothing that was said, written or configured.

Pipecat puts the whole history, the instructions and the answer into a span. What leaves is therefore known by name:
an attribute that is not in the list here stays.
"""

import asyncio
import time
from typing import Any
from urllib.parse import urlsplit

from loguru import logger
from pipecat.utils.tracing.setup import is_tracing_available
from pipecat.utils.tracing.tracing_context import TracingContext

from agent.conversation.event_log import Event
from agent.errors import InputError
from agent.settings.load import Settings

TRACES_PATH = "/v1/traces"
MISSING = "telemetry.otlp_endpoint needs OpenTelemetry, which is not installed: uv sync --extra otlp"
# A signal ends everything within three seconds.
CLOSE_SECS = 1.0
_switch: Any = None


class Tracing:
    """Spans go out while this is open; a process has one at a time, as OpenTelemetry has one provider.

    Args:
        settings: Say where to.

    Raises:
        InputError: An address is named, and OpenTelemetry is missing.
    """

    def __init__(self, settings: Settings) -> None:
        self._processor: Any = None
        endpoint = settings.telemetry.otlp_endpoint
        if endpoint is None:
            return
        if not is_tracing_available():
            raise InputError(MISSING)
        try:
            from agent.conversation.spans import processor_for, switched
        except ImportError as error:
            raise InputError(MISSING) from error
        global _switch
        _switch = switched()
        self._processor = _switch.inner = processor_for(traces_url(endpoint), words=settings.telemetry.words)
        host = urlsplit(endpoint).hostname
        logger.info(f"traces go to {host}, {'with' if settings.telemetry.words else 'without'} words")

    async def close(self) -> None:
        """Send what waits, within a second, and nothing more."""
        if self._processor is None:
            return
        processor, self._processor = self._processor, None
        if _switch.inner is processor:
            _switch.inner = None
        sending = asyncio.create_task(asyncio.to_thread(processor.shutdown))
        await asyncio.wait([sending], timeout=CLOSE_SECS)


def is_tracing() -> bool:
    """Whether spans go anywhere."""
    return _switch is not None and _switch.inner is not None


def traces_url(endpoint: str) -> str:
    """Where spans are sent: the receiver's address, with OTLP's path behind it unless it is there already."""
    address = endpoint.rstrip("/")
    return address if address.endswith(TRACES_PATH) else address + TRACES_PATH


class LatencySpans:
    """Adds spans of the steps that Pipecat does not know; a sink of a conversation's events.

    Attributes:
        context: Pipecat's, of the conversation; None until it is wired.
    """

    def __init__(self) -> None:
        from opentelemetry import trace

        self.context: TracingContext | None = None
        self._tracer = trace.get_tracer("sotto")

    def __call__(self, event: Event) -> None:
        """Tell the steps of an answer, once it is heard."""
        if event["event"] != "latency" or self.context is None:
            return
        now_ns = time.time_ns()
        if (voice_ms := event.get("voice_to_voice_ms")) is not None:
            spoken_ns = now_ns - voice_ms * 1_000_000
            decided_ns = spoken_ns + event.get("turn_ms", 0) * 1_000_000
            self._tell("voice_to_voice", spoken_ns, now_ns)
            self._tell("end_of_turn", spoken_ns, decided_ns)
            self._tell("stt", decided_ns, decided_ns + event.get("stt_ms", 0) * 1_000_000)
        if (first_ms := event.get("tts_ttfb_ms")) is not None:
            self._tell("tts", now_ns - first_ms * 1_000_000, now_ns)

    def _tell(self, name: str, start_ns: int, end_ns: int) -> None:
        assert self.context is not None  # noqa: S101 - asked before
        parent = self.context.get_turn_context() or self.context.get_conversation_context()
        self._tracer.start_span(name, context=parent, start_time=start_ns).end(end_ns)
