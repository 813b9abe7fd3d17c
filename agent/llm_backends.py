"""The language models that settings can choose, in order of preference.

The configured endpoint, then a local server found running, then the embedded llama.cpp with a model on disk, then
with the bundled SmolLM2.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from loguru import logger

from agent.candidates import Candidate
from agent.catalogue import installed, model_dir
from agent.embedded_llm import EmbeddedLLM, bundled_gguf, smollm2_options
from agent.llm_servers import START_COMMANDS, FoundServer, check_endpoint, choose_model, find_servers
from agent.settings import Settings
from processors.errors import EngineUnavailableError
from processors.llm import LLMOptions


@dataclass
class LlmBackend:
    """A language model that conversations can ask.

    Attributes:
        options: How it is asked.
        embedded: The server in this process, if it is ours.
    """

    options: LLMOptions
    embedded: EmbeddedLLM | None = None

    @property
    def model(self) -> str:
        """The model's name."""
        return Path(self.options.model).name

    def warm_up(self) -> None:
        """Have our own server answer once; other servers are not troubled."""
        if self.embedded is not None:
            self.embedded.warm_up(self.options)

    def close(self) -> None:
        """Stop our own server."""
        if self.embedded is not None:
            self.embedded.close()


async def llm_candidates(settings: Settings) -> list[Candidate[LlmBackend]]:
    """Every way to a language model, the best first; asks the usual loopback ports which servers run."""
    candidates = [await _endpoint(settings)] if settings.llm.base_url or settings.llm.engine == "endpoint" else []
    if settings.llm.engine not in ("endpoint", "embedded"):
        candidates += [_found(settings, server) for server in await find_servers()]
    candidates.append(_embedded(settings))
    return candidates


async def _endpoint(settings: Settings) -> Candidate[LlmBackend]:
    llm = settings.llm
    api_key = llm.api_key.get_secret_value() if llm.api_key else None
    try:
        if llm.base_url is None:
            raise EngineUnavailableError("llm.base_url is not set", "--set llm.base_url=http://127.0.0.1:11434/v1")
        server = await check_endpoint(llm.base_url, api_key, llm.model)
    except EngineUnavailableError as error:
        if llm.base_url and llm.model:
            # It may come up later: the conversation starts, apologises while it is away, and recovers.
            logger.warning(f"llm: {error}")
            return Candidate("endpoint", llm.model, partial(_remote, settings, llm.base_url, llm.model))
        return Candidate("endpoint", llm.model, partial(_remote, settings, "", ""), error.reason, error.mend)
    return Candidate("endpoint", server.models[0], partial(_remote, settings, server.base_url, server.models[0]))


def _found(settings: Settings, server: FoundServer) -> Candidate[LlmBackend]:
    model = choose_model(server.models, settings.llm.model) if server.usable else None
    problem = server.problem or None
    if server.usable and model is None:
        problem = f"it lists no {settings.llm.model or 'model that can chat'}"
    load = partial(_remote, settings, server.base_url, model or "")
    return Candidate(server.name, model, load, problem, START_COMMANDS[server.name] if problem else "")


def _remote(settings: Settings, base_url: str, model: str) -> LlmBackend:
    return LlmBackend(_options(settings, base_url, model))


def _embedded(settings: Settings) -> Candidate[LlmBackend]:
    path, reason = _gguf(settings)
    if path is None:
        return Candidate("embedded", None, partial(_start, settings, Path()), reason, "sotto models pull qwen3-0.6b")
    return Candidate("embedded", path.name, partial(_start, settings, path))


def _start(settings: Settings, path: Path) -> LlmBackend:
    embedded = EmbeddedLLM.start(path, threads=settings.llm.threads or None)
    options = _options(settings, embedded.base_url, embedded.model)
    if path == bundled_gguf():
        small = smollm2_options(embedded.base_url, embedded.api_key, embedded.model)
        kept = ("first_token_timeout_secs", "token_stall_timeout_secs", "empty_retries", "apology")
        options = dataclasses.replace(small, **{name: getattr(options, name) for name in kept})
    return LlmBackend(dataclasses.replace(options, api_key=embedded.api_key), embedded)


def _gguf(settings: Settings) -> tuple[Path | None, str | None]:
    """The GGUF to embed: the one that is named, else an installed one, else the bundled one."""
    wanted = settings.llm.model if settings.llm.engine == "embedded" else None
    if wanted and Path(wanted).is_file():
        return Path(wanted), None
    for model in installed(settings.models_dir, "llm"):
        if wanted in (None, model.name):
            return model_dir(settings.models_dir, model) / model.files[0].name, None
    if wanted:
        return None, f"model {wanted} is neither installed nor a GGUF file"
    bundled = bundled_gguf()
    return (bundled, None) if bundled else (None, "neither an installed nor the bundled model is there")


def _options(settings: Settings, base_url: str, model: str) -> LLMOptions:
    llm = settings.llm
    return LLMOptions(
        base_url=base_url,
        model=model,
        api_key=llm.api_key.get_secret_value() if llm.api_key else "none",
        system_prompt=llm.system_prompt,
        temperature=llm.temperature,
        top_p=llm.top_p,
        max_tokens=llm.max_tokens,
        first_token_timeout_secs=llm.first_token_timeout_secs,
        token_stall_timeout_secs=llm.token_stall_timeout_secs,
        empty_retries=llm.empty_retries,
        apology=llm.apology,
    )
