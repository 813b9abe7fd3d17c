"""How spans leave the process; imported only where OpenTelemetry is wanted.

In:  ended spans, of any library.   Out: the same by OTLP over HTTP, without words unless they are wanted.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import requests
from loguru import logger
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status

from agent import __version__

EXPORT_SECS = 2.0
# It would tell each batch that does not arrive, on standard error; `Wordless` tells the first.
logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
# Attributes that hold no words, no name and no path, whatever is said and set; `x.` stands for all below x.
WORDLESS = (
    *(
        "conversation.id",
        "conversation.type",
        "turn.",
        "metrics.",
        "gen_ai.usage.",
        "stt.incomplete",
        "tts.interrupted",
    ),
    *("gen_ai.operation.name", "gen_ai.output.type", "gen_ai.provider.name"),
    *("gen_ai.request.temperature", "gen_ai.request.max_tokens", "gen_ai.request.top_p"),
    *("stream", "tool_count", "vad_enabled", "is_final", "stt.incomplete", "tts.interrupted"),
)


class Switch(SpanProcessor):
    """The process's one span processor, whose inner one comes and goes.

    Attributes:
        inner: Sends spans; None: they are dropped.
    """

    def __init__(self) -> None:
        self.inner: BatchSpanProcessor | None = None

    def on_end(self, span: ReadableSpan) -> None:
        """Hand a span on."""
        if inner := self.inner:
            inner.on_end(span)


_switches: list[Switch] = []


def switched() -> Switch:
    """The switch of this process; OpenTelemetry takes a provider once and for all."""
    if not _switches:
        switch = Switch()
        # The resource is told here, and not found out: neither the machine's name nor variables get into it.
        provider = TracerProvider(
            resource=Resource({"service.name": "sotto", "service.version": __version__}), shutdown_on_exit=False
        )
        provider.add_span_processor(switch)
        trace.set_tracer_provider(provider)
        _switches.append(switch)
    return _switches[0]


def processor_for(url: str, *, words: bool) -> BatchSpanProcessor:
    """What sends spans in a thread of its own.

    Args:
        url: Where to.
        words: Whether attributes with words go along.
    """
    session = requests.Session()
    # No proxy of the environment, and no other address than the one that was named.
    session.trust_env, session.max_redirects = False, 0
    return BatchSpanProcessor(Wordless(OTLPSpanExporter(url, timeout=EXPORT_SECS, session=session), words=words))


class Wordless(SpanExporter):
    """Sends spans without words, and tells once that they do not arrive.

    Args:
        exporter: Sends them.
        words: Whether they keep their words.
    """

    def __init__(self, exporter: SpanExporter, *, words: bool) -> None:
        self._exporter, self._words = exporter, words
        self._is_failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send some."""
        try:
            result = self._exporter.export(spans if self._words else [without_words(span) for span in spans])
        except Exception as error:  # noqa: BLE001 - whatever the network's library raises costs these spans only
            logger.debug(f"spans could not be sent: {error!r}")
            result = SpanExportResult.FAILURE
        is_failing = result is not SpanExportResult.SUCCESS
        if is_failing and not self._is_failing:
            logger.warning("traces do not reach telemetry.otlp_endpoint and are dropped; is the receiver running?")
        self._is_failing = is_failing
        return result

    def shutdown(self) -> None:
        """Give up what is under way."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        return True


def without_words(span: ReadableSpan) -> ReadableSpan:
    """The same span with the attributes of the list alone, no events (an exception's text) and no description."""
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_kept(span.attributes or {}),
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
    )


def _kept(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in attributes.items() if any(_is_of(key, name) for name in WORDLESS)}


def _is_of(key: str, name: str) -> bool:
    return key.startswith(name) if name.endswith(".") else key == name
