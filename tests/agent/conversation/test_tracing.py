"""Traces by OpenTelemetry: Pipecat's spans of a whole conversation at a receiver, without words unless they are wanted.

Fakes: the receiver, and the engines.
"""

import sys
from typing import Any

import pytest

from agent.commands.script import Step
from agent.conversation import tracing
from agent.conversation.tracing import MISSING, Tracing, is_tracing, traces_url
from agent.errors import InputError, SettingsError
from agent.settings.load import Settings, load_settings
from agent.settings.servers import servers_named
from tests.support.house import SPEECH, Held, hold, hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time
from transports.recording import load_recording

pytestmark = pytest.mark.needs_extra("otlp")
SECRET_QUESTION, SECRET_ANSWER, SECRET_RULE = "where is the hidden treasure", "Beneath the oak.", "You guard treasures."
SECRETS = "hidden treasure oak guard".split()


def traced(url: str, **more: Any) -> Settings:
    given = {"telemetry.otlp_endpoint": url, "llm.system_prompt": SECRET_RULE, "tools.reflexes": False, **more}
    return load_settings(given)


async def held(settings: Settings) -> Held:
    """One question and its answer."""
    ears = ScriptedRecognizerEngine(SECRET_QUESTION)
    async with (
        ScriptedLLM(Reply(SECRET_ANSWER)) as llm,
        hosting(ears, options(llm, system_prompt=SECRET_RULE), ScriptedSynthesizer()) as host,
    ):
        return await hold(host, [Step(load_recording(SPEECH / "capital_of_germany.wav"))], settings=settings)


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


@in_virtual_time
async def test_a_conversation_is_traced_without_its_words() -> None:
    from tests.support.otlp_receiver import receiving

    with receiving() as receiver:
        settings = traced(receiver.url)
        tracer = Tracing(settings)
        assert is_tracing()
        conversation = await held(settings)
        await tracer.close()
        assert not is_tracing()
    assert conversation.texts("llm_done") == [SECRET_ANSWER]
    assert set(receiver.paths) == {"/v1/traces"}
    assert receiver.resource["service.name"] == "sotto"
    assert set(receiver.resource) == {"service.name", "service.version"}
    (root,) = receiver.named("conversation")
    assert not root.parent_span_id
    assert {span.trace_id for span in receiver.spans} == {root.trace_id}
    turns = {span.span_id for span in receiver.named("turn")}
    latency = conversation.named("latency")[0]
    for name, key in (
        ("voice_to_voice", "voice_to_voice_ms"),
        ("end_of_turn", "turn_ms"),
        ("stt", "stt_ms"),
        ("tts", "tts_ttfb_ms"),
    ):
        (span,) = receiver.named(name)
        assert span.parent_span_id in turns
        assert (span.end_time_unix_nano - span.start_time_unix_nano) // 1_000_000 == latency[key]
    (asked,) = receiver.named("llm")
    assert attributes(asked).keys() >= {"gen_ai.operation.name", "stream"}
    assert attributes(asked).keys().isdisjoint({"input", "output", "gen_ai.system_instructions", "tools"})
    everything = b"".join(receiver.bodies).lower()
    assert [word for word in SECRETS if word.encode() in everything] == []


@in_virtual_time
async def test_words_go_along_where_they_are_wanted() -> None:
    from tests.support.otlp_receiver import receiving

    with receiving() as receiver:
        settings = traced(receiver.url, **{"telemetry.words": True})
        tracer = Tracing(settings)
        await held(settings)
        await tracer.close()
    (asked,) = receiver.named("llm")
    assert attributes(asked)["output"] == SECRET_ANSWER
    assert SECRET_QUESTION in attributes(asked)["input"]


@in_virtual_time
async def test_a_conversation_goes_on_without_its_receiver(witness: Any) -> None:
    from tests.support.otlp_receiver import receiving

    with receiving(status=400) as receiver:
        settings = traced(receiver.url)
        tracer = Tracing(settings)
        conversation = await held(settings)
        await tracer.close()
    assert conversation.texts("llm_done") == [SECRET_ANSWER]
    assert receiver.spans == []


async def test_without_an_address_nothing_is_traced() -> None:
    tracer = Tracing(load_settings())
    assert not is_tracing()
    await tracer.close()


def test_a_failed_span_keeps_the_text_of_its_exception() -> None:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

    from agent.conversation.spans import Wordless

    class Kept(SpanExporter):
        def __init__(self) -> None:
            self.spans: list[ReadableSpan] = []

        def export(self, spans: Any) -> SpanExportResult:
            self.spans += spans
            return SpanExportResult.SUCCESS

    kept, provider = Kept(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(Wordless(kept, words=False)))
    with pytest.raises(RuntimeError), provider.get_tracer("t").start_as_current_span("llm"):
        raise RuntimeError("she said: the treasure")
    assert "treasure" not in kept.spans[0].to_json()
    assert not kept.spans[0].status.is_ok


def test_a_missing_extra_is_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "is_tracing_available", lambda: False)
    with pytest.raises(InputError, match=r"uv sync --extra otlp$"):
        Tracing(traced("http://127.0.0.1:4318"))
    monkeypatch.setattr(tracing, "is_tracing_available", lambda: True)
    # The SDK alone, without what sends.
    monkeypatch.setitem(sys.modules, "agent.conversation.spans", None)
    with pytest.raises(InputError) as missing:
        Tracing(traced("http://127.0.0.1:4318"))
    assert str(missing.value) == MISSING


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
        ("https://box/otlp/v1/traces", "https://box/otlp/v1/traces"),
    ],
)
def test_the_path_of_otlp_is_added_where_it_is_missing(endpoint: str, url: str) -> None:
    assert traces_url(endpoint) == url


def test_an_address_is_an_address_and_the_audit_names_it() -> None:
    with pytest.raises(SettingsError, match=r"invalid setting in .*telemetry.otlp_endpoint"):
        load_settings({"telemetry.otlp_endpoint": "collector:4317"})
    assert "telemetry.otlp_endpoint" in servers_named(load_settings({"telemetry.otlp_endpoint": "http://box:4318"}))
