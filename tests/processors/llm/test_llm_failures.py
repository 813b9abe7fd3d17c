"""When the language model is silent, broken, empty or gone: one error, one apology, and the next turn works."""

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

import pytest
from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
)
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.utils.errors import ErrorCategory

from processors.llm.service import LOST_THREAD, LocalLLMService
from tests.support.llm_session import (
    APOLOGY,
    WAIT_SECS,
    apologies,
    one_reply,
    options,
    question,
    session,
    text_of,
)
from tests.support.scripted_llm import Answer, Drop, Failure, Hang, Reply, ScriptedLLM, ToolCall
from tests.support.virtual_time import in_virtual_time


@in_virtual_time
async def test_reasoning_has_an_end() -> None:
    frames, errors, requests = await one_reply(
        Reply("Yes.", thoughts=["hm"] * 200, delay_secs=0.05), reasoning_timeout_secs=0.4
    )
    await asyncio.wait_for(requests[0].closed_by_client.wait(), WAIT_SECS)
    assert apologies(frames) == [APOLOGY]
    assert "was still reasoning after 0.4 s" in errors[0].error


@pytest.mark.parametrize("silence", [Hang(), Hang(head=True), Reply("late", first_delay_secs=60)])
@in_virtual_time
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


@in_virtual_time
async def test_a_stalled_reply_ends_with_what_was_said_and_a_few_words() -> None:
    frames, errors, requests = await one_reply(Reply("One,", " two,", " three", stall_after=2))

    await asyncio.wait_for(requests[0].closed_by_client.wait(), WAIT_SECS)
    assert text_of(frames) == "One, two,"
    assert apologies(frames) == [LOST_THREAD]
    assert isinstance(frames[-1], TTSSpeakFrame)
    assert "stalled for 0.3 s in the middle of its reply" in errors[0].error


@in_virtual_time
async def test_a_dropped_connection_in_the_middle_is_told_apart_from_an_end() -> None:
    frames, errors, _ = await one_reply(Reply("One,", " two", drop_after=1))
    assert (text_of(frames), apologies(frames)) == ("One,", [LOST_THREAD])
    assert "closed the connection before the end of its reply" in errors[0].error


@in_virtual_time
async def test_an_error_in_the_middle_of_a_stream_is_told() -> None:
    frames, errors, _ = await one_reply(Reply("One,", error_after=1, error={"message": "GPU\nfell off"}))
    assert (text_of(frames), apologies(frames)) == ("One,", [LOST_THREAD])
    assert "broke off its reply (GPU fell off)" in errors[0].error


@in_virtual_time
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
@in_virtual_time
async def test_empty_replies_are_asked_for_again_only_so_often(empty: Answer) -> None:
    frames, errors, requests = await one_reply(*[empty] * 5, empty_retries=2)
    assert (text_of(frames), apologies(frames), len(requests)) == ("", [APOLOGY], 3)
    assert [error.category for error in errors] == [ErrorCategory.APPLICATION]
    assert "scripted at http://127.0.0.1:" in errors[0].error


@in_virtual_time
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
        (Drop(), ErrorCategory.CONNECTIVITY, "closed the connection before the end of its reply"),
        (Reply(error_after=0, error={"message": "no"}), ErrorCategory.SERVER, "broke off"),
    ],
)
@in_virtual_time
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


@in_virtual_time
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


@in_virtual_time
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


@in_virtual_time
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
@in_virtual_time
async def test_the_apology_is_spoken_once_after_everything_else(answer: Answer, spoken: list[str]) -> None:
    voice = ScriptedVoice()
    async with (
        ScriptedLLM(answer) as server,
        session(LocalLLMService(options(server)), voice) as running,
    ):
        await running.ask(question())
    assert voice.texts == spoken
