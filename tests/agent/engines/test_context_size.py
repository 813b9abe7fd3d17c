"""How large a model's context is, as each server tells it."""

import asyncio
from typing import Any

import pytest

from agent.engines.chat_template import template_marks
from agent.engines.context_size import context_tokens
from agent.engines.llm import llm_candidates
from agent.engines.look_ups import LookUps
from agent.settings.load import load_settings
from processors.llm.templates import UNKNOWN_TEMPLATE
from tests.support.scripted_llm import Failure, ScriptedLLM
from tests.support.virtual_time import in_virtual_time

MODELS = {"object": "list", "data": [{"id": "other", "max_model_len": 1}, {"id": "m", "max_model_len": 32_768}]}
LM_STUDIO = {"data": [{"id": "m", "max_context_length": 131_072, "loaded_context_length": 8_192}]}
TRAINED = {"model_info": {"llama.context_length": 131_072}}


async def asked(engine: str, get: Any, show: dict[str, Any] | None = None) -> int | None:
    answer = get if isinstance(get, Failure) else Failure(200, get)
    async with ScriptedLLM(models_answer=answer) as server:
        server.answer_to_show = show
        return await context_tokens(LookUps(server.base_url, None), engine, "m")


@pytest.mark.parametrize(
    ("engine", "get", "show", "tokens"),
    [
        # What one slot has, not all of them together.
        ("llamacpp", {"n_ctx": 16_384, "default_generation_settings": {"n_ctx": 4_096}}, None, 4_096),
        ("embedded", {"default_generation_settings": {"n_ctx": 1_024}}, None, 1_024),
        ("vllm", MODELS, None, 32_768),
        ("endpoint", MODELS, None, 32_768),
        ("endpoint", {"default_generation_settings": {"n_ctx": 2_048}}, None, 2_048),
        ("lmstudio", LM_STUDIO, None, 8_192),
        ("ollama", {"models": [{"name": "m:latest", "context_length": 16_384}]}, TRAINED, 16_384),
        ("ollama", {"models": []}, {**TRAINED, "parameters": "stop  x\nnum_ctx    2048\n"}, 2_048),
        # What it was trained with is not what it is given, but it is never given more.
        ("ollama", {"models": []}, TRAINED, 4_096),
        ("ollama", {"models": []}, {"model_info": {"bert.context_length": 512}}, 512),
        ("ollama", {"models": []}, {**TRAINED, "parameters": "num_ctx 1000000"}, 131_072),
        ("ollama", {"models": []}, {"model_info": {"llama.context_length": "many"}}, 4_096),
        ("ollama", {"models": []}, None, None),
        ("vllm", {"data": [{"id": "other", "max_model_len": 7}]}, None, None),
        ("vllm", {"data": [{"id": "m", "max_model_len": True}]}, None, None),
        ("llamacpp", {"default_generation_settings": {"n_ctx": -1}}, None, None),
        ("llamacpp", {"default_generation_settings": []}, None, None),
        ("endpoint", Failure(404), None, None),
        ("lmstudio", Failure(200, "<html>", "text/html"), None, None),
        ("vllm", Failure(200, {"data": {"id": "m"}}), None, None),
    ],
)
@in_virtual_time
async def test_the_context_is_what_the_server_has_given_it(
    engine: str, get: Any, show: dict[str, Any] | None, tokens: int | None
) -> None:
    assert await asked(engine, get, show) == tokens


@in_virtual_time
async def test_a_server_that_is_away_tells_nothing() -> None:
    async with ScriptedLLM() as server:
        url = server.base_url
    assert await context_tokens(LookUps(url, None), "endpoint", "m") is None
    assert await context_tokens(LookUps("", None), "endpoint", "m") is None


@in_virtual_time
async def test_nothing_is_asked_for_twice() -> None:
    async with ScriptedLLM(models_answer=Failure(200, {"models": []})) as server:
        server.answer_to_show = {**TRAINED, "template": "{{ .Prompt }}"}
        settings = load_settings({"llm.engine": "ollama", "llm.base_url": server.base_url, "llm.model": "m"})
        (candidate, *_) = await llm_candidates(settings)
        server.all_requests.clear()
        options = (await asyncio.to_thread(candidate.load)).options
        assert [request.path for request in server.all_requests] == ["/api/ps", "/api/show"]
        assert options.context_tokens == 4_096
        # Once the model runs, the server says what it has given it.
        server.models_answer = Failure(200, {"models": [{"name": "m", "context_length": 32_768}]})
        assert options.served_tokens
        assert await options.served_tokens() == 32_768


class DrippingServer:
    """Answers a byte at a time, none of which is late by itself.

    Args:
        head: Sent at once.
    """

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._connections: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> LookUps:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return LookUps(f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1", None)

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await asyncio.gather(*self._connections)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.append(asyncio.create_task(self._drip(reader, writer)))

    async def _drip(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self._head)
        hung_up = asyncio.create_task(reader.read(1))
        while not hung_up.done():
            writer.write(b"x")
            await asyncio.wait([hung_up], timeout=0.6)
        writer.close()


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"], ids=["head", "body"]
)
@in_virtual_time
async def test_all_look_ups_together_are_given_up_after_two_seconds(head: bytes) -> None:
    async with DrippingServer(head) as look_ups:
        began_secs = asyncio.get_running_loop().time()
        assert await context_tokens(look_ups, "endpoint", "m") is None
        assert await template_marks(look_ups, "endpoint", "m", thinking=True) == UNKNOWN_TEMPLATE
        assert asyncio.get_running_loop().time() - began_secs == pytest.approx(2.0)
