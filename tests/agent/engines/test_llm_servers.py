"""Which language model servers are found on this machine, beside everything else that listens on their ports."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agent.engines.llm_servers import DEFAULT_PORTS, FoundServer, check_endpoint, choose_model, find_servers
from processors.errors import EngineUnavailableError
from tests.support.ports import free_port
from tests.support.scripted_llm import Answer, Drop, Failure, Hang, Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time

NAMES = tuple(DEFAULT_PORTS)


@asynccontextmanager
async def raw_server(payload: bytes, *, endless: bool = False) -> AsyncIterator[int]:
    """A server that speaks these bytes, whatever it hears."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(payload)
            while endless:
                writer.write(b"x" * 65_536)
                await writer.drain()
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def problem_of(port: int, timeout_secs: float = 0.4) -> str:
    (found,) = await find_servers(timeout_secs, {"vllm": port})
    assert (found.usable, found.models) == (False, ())
    return found.problem


def test_the_usual_ports_are_those_of_the_four_servers() -> None:
    assert DEFAULT_PORTS == {"ollama": 11434, "vllm": 8000, "llamacpp": 8080, "lmstudio": 1234}


@in_virtual_time
async def test_servers_are_found_in_the_order_of_preference_with_their_models() -> None:
    async with ScriptedLLM(models=["a", "b"]) as first, ScriptedLLM(models=["c"]) as second:
        closed = free_port()
        ports = {"ollama": closed, "vllm": first.port, "lmstudio": second.port}
        found = await find_servers(2.0, ports)

    assert found == [
        FoundServer("ollama", f"http://127.0.0.1:{closed}/v1", (), "nothing listens there"),
        FoundServer("vllm", first.base_url, ("a", "b")),
        FoundServer("lmstudio", second.base_url, ("c",)),
    ]
    assert [server.usable for server in found] == [False, True, True]
    for server in (first, second):
        assert [(request.method, request.path) for request in server.all_requests] == [("GET", "/v1/models")]
        assert "authorization" not in server.all_requests[0].headers


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Failure(200, "<html></html>", "text/html; charset=utf-8"), "it answers text/html, no list of models"),
        (Failure(200, ""), "it answers application/json, no list of models"),
        (Failure(200, "[" * 100_000), "it answers application/json, no list of models"),
        (Failure(200, [1, 2]), "its JSON is no list of models"),  # type: ignore[arg-type]
        (Failure(200, {"data": "x"}), "its JSON is no list of models"),
        (Failure(200, {"models": ["x"]}), "its JSON is no list of models"),
        (Failure(200, {"object": "list", "data": []}), "it has no model"),
        (Failure(200, {"object": "list", "data": None}), "its JSON is no list of models"),
        (Failure(200, {"object": "list", "data": [{"id": 7}, "x", {"id": ""}]}), "it has no model"),
        (Failure(404, "no"), "HTTP 404"),
        (Failure(500, "no"), "HTTP 500"),
        (Failure(302, "", headers={"Location": "/elsewhere"}), "HTTP 302"),
        (Hang(), "no answer within 0.4 s"),
        (Hang(head=True), "no answer within 0.4 s"),
        (Drop(), "it speaks no HTTP (RemoteProtocolError)"),
    ],
)
@in_virtual_time
async def test_what_is_no_language_model_server_is_passed_over_with_the_reason(answer: Answer, problem: str) -> None:
    async with ScriptedLLM(models_answer=answer) as server:
        assert await problem_of(server.port) == problem
        assert [request.method for request in server.all_requests] == ["GET"]


@in_virtual_time
async def test_a_server_of_another_protocol_is_passed_over() -> None:
    async with raw_server(b"SSH-2.0-OpenSSH_9.6\r\n") as port:
        assert await problem_of(port) == "it speaks no HTTP (RemoteProtocolError)"


@in_virtual_time
async def test_an_endless_answer_is_cut_off() -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\n\r\n", endless=True) as port:
        assert await problem_of(port, 5.0) == "its answer is too long for a list of models"


@in_virtual_time
async def test_compressed_nonsense_is_passed_over() -> None:
    payload = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"
    async with raw_server(payload) as port:
        assert await problem_of(port) == "it speaks no HTTP (DecodingError)"


@in_virtual_time
async def test_one_that_hangs_does_not_hide_the_others() -> None:
    async with ScriptedLLM(models_answer=Hang()) as hanging, ScriptedLLM() as working:
        found = await find_servers(0.4, {"ollama": hanging.port, "vllm": working.port})
    assert [server.usable for server in found] == [False, True]


@in_virtual_time
async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with ScriptedLLM() as server:
        (found,) = await find_servers(2.0, {"ollama": server.port})
    assert found.usable


@pytest.mark.parametrize(
    ("models", "wanted", "chosen"),
    [
        (["nomic-embed-text", "bge-m3", "qwen3:0.6b"], None, "qwen3:0.6b"),
        (["whisper-1", "tts-1", "Qwen3-Reranker", "llama3.2:latest"], None, "llama3.2:latest"),
        (["a", "b"], "b", "b"),
        (["llama3.2:latest"], "llama3.2", "llama3.2:latest"),
        (["a", "b"], "c", None),
        (["text-embedding-3-small"], None, None),
        (["text-embedding-3-small"], "text-embedding-3-small", "text-embedding-3-small"),
        ([], None, None),
        (["watts-7b"], None, "watts-7b"),
    ],
)
def test_the_model_is_the_wanted_one_or_the_first_that_can_chat(
    models: list[str], wanted: str | None, chosen: str | None
) -> None:
    assert choose_model(models, wanted) == chosen


@in_virtual_time
async def test_a_configured_endpoint_is_asked_with_its_key() -> None:
    async with ScriptedLLM(models=["embed-1", "a", "b"]) as server:
        found = await check_endpoint(server.base_url + "/", "secret", "b")
        assert found == FoundServer("endpoint", server.base_url + "/", ("b", "embed-1", "a"))
        assert (await check_endpoint(server.base_url)).models == ("a", "embed-1", "b")
    request = server.all_requests[0]
    assert (request.method, request.path) == ("GET", "/v1/models")
    assert request.headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Failure(401, "no"), ["refused the API key (HTTP 401)", "set llm.api_key"]),
        (Failure(404, "no"), ["no language model at http://127.0.0.1:", "(HTTP 404)", "correct llm.base_url"]),
        (Failure(200, {"data": [{"id": "a"}]}), ["no wanted at", "which lists a", "`ollama pull wanted`"]),
        (Hang(), ["no answer within 0.3 s", "start its server"]),
        (Reply("no"), ["no list of models"]),
    ],
)
@in_virtual_time
async def test_a_configured_endpoint_that_cannot_be_used_is_one_line_that_says_why(
    answer: Answer, words: list[str]
) -> None:
    async with ScriptedLLM(models_answer=answer) as server:
        with pytest.raises(EngineUnavailableError) as raised:
            await check_endpoint(server.base_url, model="wanted", timeout_secs=0.3)
    message = str(raised.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@in_virtual_time
async def test_an_endpoint_without_a_model_that_can_chat_is_refused() -> None:
    async with ScriptedLLM(models=["nomic-embed-text"]) as server:
        with pytest.raises(EngineUnavailableError, match=r"no model that can chat at .* which lists nomic-embed-text"):
            await check_endpoint(server.base_url)


@pytest.mark.parametrize("url", ["localhost:11434", "ftp://127.0.0.1/v1", "http://", "", "http://[::1"])
@in_virtual_time
async def test_what_is_no_url_is_refused_without_a_request(url: str) -> None:
    with pytest.raises(EngineUnavailableError, match="is no URL"):
        await check_endpoint(url)


@in_virtual_time
async def test_a_login_in_the_url_is_not_shown() -> None:
    with pytest.raises(EngineUnavailableError) as raised:
        await check_endpoint(f"http://user:password@127.0.0.1:{free_port()}/v1")
    shown: Any = str(raised.value)
    assert "password" not in shown
    assert "nothing listens there" in shown
