"""The language model service in a real pipeline, against a scripted server: what is said, kept, sent and repaired."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import openai
import pytest
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.frames.frames import (
    DataFrame,
    ErrorFrame,
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.tests.utils import QueuedFrameProcessor
from pipecat.utils.errors import ErrorCategory
from pipecat.workers.runner import WorkerRunner

from processors.llm import LOST_THREAD, LLMOptions, LocalLLMService
from processors.llm_failure import is_context_overflow
from processors.llm_turns import drop_oldest_turns, join_user_runs, last_user_words
from tests.scripted_llm import Answer, Drop, Failure, Hang, Reply, Request, ScriptedLLM, ToolCall

WAIT_SECS = 10
SYSTEM = "You are terse."
APOLOGY = "Sorry, I can't think right now."


@dataclass
class Marker(DataFrame):
    """Reaches the end of the pipeline when everything before it has."""


class Session:
    """A running pipeline around a service, and what came out of both its ends."""

    def __init__(self, worker: PipelineWorker, up: asyncio.Queue[Frame], down: asyncio.Queue[Frame]) -> None:
        self._worker = worker
        self._up = up
        self._down = down

    async def send(self, *frames: Frame) -> None:
        for frame in frames:
            await self._worker.queue_frame(frame)

    async def settle(self) -> tuple[list[Frame], list[ErrorFrame]]:
        """Wait for what was sent; returns the frames that left downstream, and the errors that left upstream."""
        await self.send(Marker())
        frames: list[Frame] = []
        while not isinstance(frame := await asyncio.wait_for(self._down.get(), WAIT_SECS), Marker):
            frames.append(frame)
        up = [self._up.get_nowait() for _ in range(self._up.qsize())]
        return frames, [frame for frame in up if isinstance(frame, ErrorFrame)]

    async def ask(self, context: LLMContext) -> tuple[list[Frame], list[ErrorFrame]]:
        await self.send(LLMContextFrame(context))
        return await self.settle()


@asynccontextmanager
async def session(*processors: FrameProcessor) -> AsyncIterator[Session]:
    up: asyncio.Queue[Frame] = asyncio.Queue()
    down: asyncio.Queue[Frame] = asyncio.Queue()
    source = QueuedFrameProcessor(queue=up, queue_direction=FrameDirection.UPSTREAM)
    sink = QueuedFrameProcessor(queue=down, queue_direction=FrameDirection.DOWNSTREAM)
    worker = PipelineWorker(Pipeline([source, *processors, sink]), cancel_on_idle_timeout=False, enable_rtvi=False)
    started = asyncio.Event()

    @worker.event_handler("on_pipeline_started")
    async def _started(*_: object) -> None:
        started.set()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    try:
        await asyncio.wait_for(started.wait(), WAIT_SECS)
        running_session = Session(worker, up, down)
        await running_session.settle()  # What services say about themselves at the start.
        yield running_session
    finally:
        await worker.cancel()
        await running


def options(server: ScriptedLLM, **changes: Any) -> LLMOptions:
    plain = LLMOptions(
        server.base_url,
        "scripted",
        system_prompt=SYSTEM,
        first_token_timeout_secs=2.0,
        token_stall_timeout_secs=0.3,
        apology=APOLOGY,
    )
    return replace(plain, **changes)


def question(text: str = "hi") -> LLMContext:
    return LLMContext([{"role": "user", "content": text}])


def turns(n_turns: int) -> LLMContext:
    """n_turns - 1 answered questions and one that waits: q1 a1 q2 a2 ... qn."""
    messages: list[Any] = []
    for turn in range(1, n_turns):
        messages += [{"role": "user", "content": f"q{turn}"}, {"role": "assistant", "content": f"a{turn}"}]
    return LLMContext([*messages, {"role": "user", "content": f"q{n_turns}"}])


def contents(messages: Any) -> list[str]:
    return [message["content"] for message in messages]


def text_of(frames: list[Frame]) -> str:
    return "".join(frame.text for frame in frames if isinstance(frame, LLMTextFrame))


def apologies(frames: list[Frame]) -> list[str]:
    return [frame.text for frame in frames if isinstance(frame, TTSSpeakFrame)]


async def one_reply(
    *script: Answer, context: LLMContext | None = None, **changes: Any
) -> tuple[list[Frame], list[ErrorFrame], list[Request]]:
    async with (
        ScriptedLLM(*script) as server,
        session(LocalLLMService(options(server, **changes))) as running,
    ):
        frames, errors = await running.ask(context or question())
        return frames, errors, server.requests


async def test_a_reply_comes_out_token_by_token_between_its_start_and_its_end() -> None:
    frames, errors, requests = await one_reply(Reply("Hello", " there."))

    assert [(type(frame), getattr(frame, "text", None)) for frame in frames] == [
        (LLMFullResponseStartFrame, None),
        (LLMTextFrame, "Hello"),
        (LLMTextFrame, " there."),
        (LLMFullResponseEndFrame, None),
    ]
    assert errors == []
    body = requests[0].body
    assert body.pop("messages") == [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "hi"}]
    assert body == {
        "model": "scripted",
        "temperature": 0.7,
        "top_p": 0.95,
        "max_tokens": 512,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_nothing_of_the_environment_reaches_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "OPENAI_API_KEY": "leak-key",
        "OPENAI_ADMIN_KEY": "leak-admin",
        "OPENAI_ORG_ID": "leak-org",
        "OPENAI_PROJECT_ID": "leak-project",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/leak",
        "OPENAI_CUSTOM_HEADERS": "X-Leak: leak-header\nAuthorization: Bearer leak-custom",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)

    frames, errors, requests = await one_reply(Reply("Fine."), api_key="mine", extra_body={"think": False})

    assert (text_of(frames), errors) == ("Fine.", [])
    assert requests[0].headers["authorization"] == "Bearer mine"
    assert set(requests[0].headers) == {
        "host",
        "accept",
        "accept-encoding",
        "connection",
        "content-type",
        "content-length",
        "authorization",
    }
    assert "leak" not in str(requests[0].headers)
    assert requests[0].body["think"] is False


@pytest.mark.parametrize(
    "reply",
    [
        Reply("<th", "ink>hm", "</thi", "nk>\n\n", "Paris."),
        Reply("Paris.", thoughts=["The user", " wants a city."]),
        Reply("Paris.", thoughts=["The user"], thought_field="reasoning"),
        Reply("\n\n", "Paris."),
        Reply("Paris.", "<think>was that right?"),
    ],
)
async def test_thoughts_are_never_spoken(reply: Reply) -> None:
    frames, errors, _ = await one_reply(reply)
    assert (text_of(frames), errors) == ("Paris.", [])


async def test_a_model_that_starts_inside_a_thought_is_known_from_its_second_reply_on() -> None:
    unopened = ["The user wants", " Paris.</think>", "Paris."]
    async with (
        ScriptedLLM(Reply(*unopened), Reply(*unopened)) as server,
        session(LocalLLMService(options(server))) as running,
    ):
        await running.ask(question())
        frames, _ = await running.ask(question())
    assert text_of(frames) == "Paris."


async def test_a_model_named_for_its_thinking_is_silent_until_its_thought_is_closed() -> None:
    frames, _, _ = await one_reply(Reply("The user wants Paris.</think>", "Paris."), model="QwQ-32B")
    assert text_of(frames) == "Paris."


async def test_a_reasoning_model_may_take_longer_than_a_stall_as_long_as_it_reasons() -> None:
    # Eight thoughts 0.1 s apart: 0.8 s without a word, but never 0.3 s without a sign of life.
    frames, errors, _ = await one_reply(Reply("Yes.", thoughts=["hm"] * 8, delay_secs=0.1))
    assert (text_of(frames), errors) == ("Yes.", [])


async def test_reasoning_has_an_end() -> None:
    frames, errors, requests = await one_reply(
        Reply("Yes.", thoughts=["hm"] * 200, delay_secs=0.05), reasoning_timeout_secs=0.4
    )
    await asyncio.wait_for(requests[0].closed_by_client.wait(), WAIT_SECS)
    assert apologies(frames) == [APOLOGY]
    assert "was still reasoning after 0.4 s" in errors[0].error


@pytest.mark.parametrize("silence", [Hang(), Hang(head=True), Reply("late", first_delay_secs=60)])
async def test_a_model_without_a_first_token_is_given_up_and_its_request_closed(silence: Answer) -> None:
    frames, errors, requests = await one_reply(silence, first_token_timeout_secs=0.3)

    await asyncio.wait_for(requests[0].closed_by_client.wait(), WAIT_SECS)
    assert [type(frame) for frame in frames] == [
        LLMFullResponseStartFrame,
        LLMFullResponseEndFrame,
        TTSSpeakFrame,
    ]
    apology = cast(TTSSpeakFrame, frames[-1])
    assert (apology.text, apology.append_to_context) == (APOLOGY, False)
    assert [error.category for error in errors] == [ErrorCategory.CONNECTIVITY]
    assert "sent no first token within 0.3 s" in errors[0].error


async def test_a_stalled_reply_ends_with_what_was_said_and_a_few_words() -> None:
    frames, errors, requests = await one_reply(Reply("One,", " two,", " three", stall_after=2))

    await asyncio.wait_for(requests[0].closed_by_client.wait(), WAIT_SECS)
    assert text_of(frames) == "One, two,"
    assert apologies(frames) == [LOST_THREAD]
    assert isinstance(frames[-1], TTSSpeakFrame)
    assert "stalled for 0.3 s in the middle of its reply" in errors[0].error


async def test_a_dropped_connection_in_the_middle_is_told_apart_from_an_end() -> None:
    frames, errors, _ = await one_reply(Reply("One,", " two", drop_after=1))
    assert (text_of(frames), apologies(frames)) == ("One,", [LOST_THREAD])
    assert "no language model answers at" in errors[0].error


async def test_an_error_in_the_middle_of_a_stream_is_told() -> None:
    frames, errors, _ = await one_reply(Reply("One,", error_after=1, error={"message": "GPU\nfell off"}))
    assert (text_of(frames), apologies(frames)) == ("One,", [LOST_THREAD])
    assert "broke off its reply (GPU fell off)" in errors[0].error


async def test_an_empty_reply_is_asked_for_again() -> None:
    frames, errors, requests = await one_reply(Reply(), Reply("Now."))
    assert (text_of(frames), apologies(frames), errors, len(requests)) == ("Now.", [], [], 2)


@pytest.mark.parametrize(
    "empty",
    [
        Reply(),
        Reply("", "  \n"),
        Reply("<think>hm</think>"),
        Failure(200, "<html>hello</html>", "text/html"),
        Failure(200, ""),
    ],
)
async def test_empty_replies_are_asked_for_again_only_so_often(empty: Answer) -> None:
    frames, errors, requests = await one_reply(*[empty] * 5, empty_retries=2)
    assert (text_of(frames), apologies(frames), len(requests)) == ("", [APOLOGY], 3)
    assert [error.category for error in errors] == [ErrorCategory.APPLICATION]
    assert "scripted at http://127.0.0.1:" in errors[0].error


async def test_a_thought_that_used_up_all_tokens_is_not_asked_for_again() -> None:
    frames, errors, requests = await one_reply(Reply("<think>hm", finish_reason="length"))
    assert (text_of(frames), apologies(frames), len(requests)) == ("", [APOLOGY], 1)
    assert "replied with only thoughts: raise the limit of tokens" in errors[0].error


@pytest.mark.parametrize(
    ("answer", "category", "words"),
    [
        (Failure(401, {"error": {"message": "Invalid API Key"}}), ErrorCategory.APPLICATION, "refused the API key"),
        (
            Failure(404, {"error": {"message": "model 'scripted' not found"}}),
            ErrorCategory.APPLICATION,
            "`ollama pull scripted`",
        ),
        (Failure(400, {"error": {"message": "bad\nrequest"}}), ErrorCategory.APPLICATION, "HTTP 400, bad request"),
        (Failure(422, {"detail": "no such field"}), ErrorCategory.APPLICATION, "HTTP 422, no such field"),
        (Failure(429, ""), ErrorCategory.APPLICATION, "HTTP 429"),
        (Failure(500, "<h1>Oops</h1>", "text/html"), ErrorCategory.SERVER, "HTTP 500"),
        (Failure(503, {"error": {"message": "Loading model"}}), ErrorCategory.SERVER, "Loading model"),
        (Failure(307, "", headers={"Location": "http://127.0.0.1:9/"}), ErrorCategory.APPLICATION, "HTTP 307"),
        (Drop(), ErrorCategory.CONNECTIVITY, "no language model answers at http://127.0.0.1:"),
        (Reply(error_after=0, error={"message": "no"}), ErrorCategory.SERVER, "broke off"),
    ],
)
async def test_a_failed_request_is_one_line_one_apology_and_never_the_end_of_the_service(
    answer: Answer, category: ErrorCategory, words: str
) -> None:
    async with ScriptedLLM(answer, Reply("Back.")) as server:
        service = LocalLLMService(options(server))
        async with session(service) as running:
            context = question()
            frames, errors = await running.ask(context)
            assert (text_of(frames), apologies(frames)) == ("", [APOLOGY])
            assert [error.category for error in errors] == [category]
            assert words in errors[0].error
            assert "\n" not in errors[0].error
            assert service.is_usable
            assert context.messages == [{"role": "user", "content": "hi"}]

            frames, errors = await running.ask(context)
            assert (text_of(frames), apologies(frames), errors) == ("Back.", [], [])


async def test_an_endpoint_that_went_away_is_used_again_when_it_is_back() -> None:
    async with ScriptedLLM(Reply("One."), Reply("Three.")) as server:
        service = LocalLLMService(options(server))
        async with session(service) as running:
            context = question("one")
            assert text_of((await running.ask(context))[0]) == "One."

            await server.stop()
            context.add_message({"role": "user", "content": "two"})
            frames, errors = await running.ask(context)
            assert apologies(frames) == [APOLOGY]
            assert errors[0].error == (
                f"no language model answers at {server.base_url} (ConnectError): "
                "start its server, for example with `ollama serve`, or run `sotto doctor`"
            )

            await server.start()
            context.add_message({"role": "user", "content": "three"})
            frames, errors = await running.ask(context)
            assert (text_of(frames), errors) == ("Three.", [])
            assert server.requests[-1].messages[1:] == [{"role": "user", "content": "one two three"}]


async def test_an_interruption_closes_the_stream_and_says_nothing() -> None:
    async with (
        ScriptedLLM(Reply("One,", " two", stall_after=1), Reply("Next.")) as server,
        session(LocalLLMService(options(server, token_stall_timeout_secs=30.0))) as running,
    ):
        await running.send(LLMContextFrame(question()))
        request = await asyncio.wait_for(server.asked(), WAIT_SECS)
        await running.send(InterruptionFrame())
        await asyncio.wait_for(request.closed_by_client.wait(), WAIT_SECS)
        frames, errors = await running.settle()
        assert (apologies(frames), errors) == ([], [])
        frames, errors = await running.ask(question())
        assert (text_of(frames), apologies(frames), errors) == ("Next.", [], [])


OVERFLOWS = [
    {"code": 400, "message": "the request exceeds the available context size, try increasing it"},
    {
        "code": 400,
        "message": "request (4390 tokens) exceeds the available context size (4096 tokens)",
        "type": "exceed_context_size_error",
    },
    {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"},
    {"message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."},
    {"message": "The decoder prompt (length 5000) is longer than the maximum model length of 4096."},
    {"message": "The prompt (total length 5000) is too long to fit into the model (context length 4096)."},
    {"message": "max_tokens must be at least 1, got -186."},
    {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"},
    {
        "message": "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded "
        "with context length of only 4096 tokens, which is not enough."
    },
    {"message": "The number of tokens to keep from the initial prompt is greater than the context length."},
    {"message": "prompt too long; exceeded max context length by 12 tokens"},
    {"message": "Prompt tokens (5000) exceeds context size (4096)", "type": "context_exceeded"},
    {"message": "Requested tokens (5000) exceed context window of 4096"},
    {"message": "Too many tokens in the prompt"},
]
NO_OVERFLOWS = [
    {"message": "Conversation roles must alternate user/assistant"},
    {"message": "unknown field 'context'"},
    {"message": "rate limit exceeded"},
    {"message": "model is loading"},
]


@pytest.mark.parametrize("error", OVERFLOWS)
async def test_every_servers_words_for_a_full_context_shorten_the_conversation(error: dict[str, Any]) -> None:
    status = error.get("code") if isinstance(error.get("code"), int) else 400
    full = Failure(cast(int, status), {"error": error})
    frames, errors, requests = await one_reply(full, Reply("Fine."), context=turns(3))
    assert (text_of(frames), apologies(frames), errors) == ("Fine.", [], [])
    assert [contents(request.messages) for request in requests] == [
        [SYSTEM, "q1", "a1", "q2", "a2", "q3"],
        [SYSTEM, "q2", "a2", "q3"],
    ]


@pytest.mark.parametrize("error", NO_OVERFLOWS)
async def test_other_refusals_are_not_asked_again(error: dict[str, Any]) -> None:
    _, errors, requests = await one_reply(Failure(400, {"error": error}), context=turns(3))
    assert (len(errors), len(requests)) == (1, 1)


async def test_an_overflow_told_inside_the_stream_shortens_the_conversation_too() -> None:
    full = Reply(error_after=0, error={"message": "Context size has been exceeded."})
    frames, _, requests = await one_reply(full, Reply("Fine."), context=turns(3))
    assert (text_of(frames), len(requests)) == ("Fine.", 2)


async def test_turns_left_out_are_forgotten_once_the_shorter_conversation_was_answered() -> None:
    full = Failure(400, {"error": OVERFLOWS[0]})
    context = turns(9)
    frames, errors, requests = await one_reply(full, full, Reply("Fine."), context=context)
    assert (text_of(frames), errors) == ("Fine.", [])
    # Eight older turns, then four, then two.
    assert [len(request.messages) - 1 for request in requests] == [17, 9, 5]
    assert contents(context.messages) == ["q7", "a7", "q8", "a8", "q9"]


async def test_a_conversation_that_never_fits_is_kept_whole_and_given_up_after_five_requests() -> None:
    full = Failure(400, {"error": OVERFLOWS[0]})
    context = turns(40)
    frames, errors, requests = await one_reply(*[full] * 9, context=context)
    assert apologies(frames) == [APOLOGY]
    assert "does not fit into the context of scripted" in errors[0].error
    # 39 older turns, 19, 9, 4, and at last the question alone.
    assert [len(request.messages) - 1 for request in requests] == [79, 39, 19, 9, 1]
    assert context.messages == turns(40).messages


async def test_a_turn_is_left_out_with_its_tool_calls_and_the_system_message_stays() -> None:
    messages: list[Any] = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "q1"},
        {"role": "assistant", "tool_calls": [{"id": "1"}]},
        {"role": "tool", "tool_call_id": "1", "content": "r"},
        {"role": "assistant", "content": "a1"},
        {"role": "user", "content": "q2"},
        {"role": "user", "content": "q2 more"},
        {"role": "assistant", "tool_calls": [{"id": "2"}]},
        {"role": "tool", "tool_call_id": "2", "content": "r"},
    ]
    assert drop_oldest_turns(messages) == [messages[0], *messages[5:]]
    assert drop_oldest_turns(messages[5:]) == messages[5:]
    assert drop_oldest_turns([]) == []


def test_user_messages_without_an_answer_between_them_are_joined_without_touching_the_originals() -> None:
    image: Any = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}
    messages: list[Any] = [
        {"role": "user", "content": "what is the weather"},
        {"role": "user", "content": "in paris"},
        image,
        {"role": "assistant", "content": "Mild."},
        {"role": "user", "content": "thanks"},
    ]
    before = [dict(message) for message in messages]
    assert join_user_runs(messages) == [
        {"role": "user", "content": "what is the weather in paris"},
        image,
        *messages[3:],
    ]
    assert messages == before
    assert [last_user_words(messages[:2]), last_user_words(messages), last_user_words([])] == [
        "what is the weather in paris",
        "thanks",
        "",
    ]


async def test_with_last_turn_only_a_small_model_sees_the_examples_and_the_last_words() -> None:
    context = turns(3)
    context.add_message({"role": "user", "content": "and more"})
    _, _, requests = await one_reply(
        Reply("Fine."), context=context, last_turn_only=True, examples=(("hello", "Hello!"),)
    )
    assert requests[0].messages == [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "q3 and more"},
    ]


async def test_with_last_turn_only_an_overflow_leaves_the_conversation_alone() -> None:
    context = turns(3)
    _, errors, requests = await one_reply(Failure(400, {"error": OVERFLOWS[0]}), context=context, last_turn_only=True)
    assert (len(errors), len(requests), len(context.messages)) == (1, 1, 5)


@pytest.mark.parametrize("same_index", [False, True])
async def test_tool_calls_reach_their_functions_one_by_one(same_index: bool) -> None:
    called: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    async def record(params: FunctionCallParams) -> None:
        called.put_nowait((params.function_name, params.arguments))
        await params.result_callback("done")

    calls = Reply(
        "Let me see.",
        tool_calls=[ToolCall("weather", ['{"city":', ' "Paris"}'], "a"), ToolCall("clock", call_id="b")],
    )
    if same_index:  # One chunk with both calls, numbered 0, as some servers send them.
        whole = [
            {"index": 0, "id": "a", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}},
            {"index": 0, "id": "b", "function": {"name": "clock", "arguments": "{}"}},
        ]
        calls.deltas = ((0.0, {"content": "Let me see.", "tool_calls": whole}),)
    schema: list[Any] = [FunctionSchema(name, "", {}, []) for name in ("weather", "clock")]
    context = LLMContext([{"role": "user", "content": "hi"}], tools=schema)
    async with ScriptedLLM(calls) as server:
        service = LocalLLMService(options(server), run_in_parallel=False)
        for name in ("weather", "clock"):
            service.register_function(name, record)
        async with session(service) as running:
            frames, errors = await running.ask(context)
            calls_made = [await asyncio.wait_for(called.get(), WAIT_SECS) for _ in range(2)]
        assert [tool["function"]["name"] for tool in server.requests[0].body["tools"]] == ["weather", "clock"]
    assert (text_of(frames), errors) == ("Let me see.", [])
    assert calls_made == [("weather", {"city": "Paris"}), ("clock", {})]


async def test_a_tool_call_that_breaks_off_is_not_made() -> None:
    called: list[str] = []

    async def record(params: FunctionCallParams) -> None:
        called.append(params.function_name)

    broken = Reply(tool_calls=[ToolCall("weather", ["{", "}"])], stall_after=2)
    async with ScriptedLLM(broken) as server:
        service = LocalLLMService(options(server))
        service.register_function("weather", record)
        async with session(service) as running:
            frames, _ = await running.ask(question())
    assert (apologies(frames), called) == ([APOLOGY], [])


class ScriptedVoice(TTSService):
    """A fake engine at the edge: keeps the texts that it is asked to speak and returns one sample of silence."""

    def __init__(self) -> None:
        super().__init__(
            sample_rate=24_000,
            push_start_frame=True,
            push_stop_frames=True,
            settings=TTSSettings(model=None, voice=None, language=None),
        )
        self.texts: list[str] = []

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        self.texts.append(text)
        yield TTSAudioRawFrame(b"\0\0", 24_000, 1, context_id=context_id)


@pytest.mark.parametrize(
    ("answer", "spoken"),
    [
        (Failure(500), [APOLOGY]),
        (Reply("First sentence. ", "Then half of", stall_after=2), ["First sentence.", "Then half of", LOST_THREAD]),
    ],
)
async def test_the_apology_is_spoken_once_after_everything_else(answer: Answer, spoken: list[str]) -> None:
    voice = ScriptedVoice()
    async with (
        ScriptedLLM(answer) as server,
        session(LocalLLMService(options(server)), voice) as running,
    ):
        await running.ask(question())
    assert voice.texts == spoken


async def test_a_thought_is_no_part_of_a_single_inference() -> None:
    body = {"choices": [{"message": {"role": "assistant", "content": "<think>hm</think>\nA summary."}}]}
    async with ScriptedLLM(Failure(200, body)) as server:
        service = LocalLLMService(options(server))
        assert await service.run_inference(question()) == "A summary."
        await service.cleanup()


def test_a_connection_error_is_no_full_context() -> None:
    assert not is_context_overflow(ValueError("maximum context length"))
    assert not is_context_overflow(openai.APIConnectionError(request=cast(Any, None)))
