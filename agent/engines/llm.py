"""The language models that settings can choose, in order of preference.

The configured endpoint, then a local server found running, then the embedded llama.cpp with a model on disk, then
with the bundled SmolLM2.
"""

import asyncio
import dataclasses
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from loguru import logger

from agent.engines.candidates import Candidate
from agent.engines.chat_template import template_marks
from agent.engines.compute import placement
from agent.engines.context_size import context_tokens
from agent.engines.embedded_llm import EmbeddedLLM, bundled_gguf, smollm2_options
from agent.engines.images import takes_images
from agent.engines.llm_servers import START_COMMANDS, FoundServer, check_endpoint, choose_model, find_servers
from agent.engines.look_ups import LookUps, make_of
from agent.models.catalogue import installed, model_dir
from agent.settings.load import Settings
from processors.errors import EngineUnavailableError
from processors.llm.options import LLMOptions
from processors.llm.templates import TemplateMarks

# How each server is told to answer at once; one of unknown make might refuse fields that it does not know.
_TEMPLATE_SWITCH = {"chat_template_kwargs": {"enable_thinking": False}}
NO_THINKING = {
    "ollama": {"reasoning_effort": "none"},
    "vllm": _TEMPLATE_SWITCH,
    "llamacpp": _TEMPLATE_SWITCH,
    "embedded": _TEMPLATE_SWITCH,
}


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
    engine = settings.llm.engine
    candidates = []
    if engine != "embedded" and (settings.llm.base_url or engine == "endpoint"):
        candidates.append(await _endpoint(settings))
    if engine not in ("endpoint", "embedded"):
        named = {candidate.engine for candidate in candidates}
        candidates += [_found(settings, server) for server in await find_servers() if server.name not in named]
    candidates.append(_embedded(settings))
    return candidates


async def _endpoint(settings: Settings) -> Candidate[LlmBackend]:
    """The configured address; a server named by `llm.engine` stands there, else one of unknown make."""
    llm = settings.llm
    engine = llm.engine if llm.engine in START_COMMANDS else "endpoint"
    api_key = llm.api_key.get_secret_value() if llm.api_key else None
    load = partial(_remote, settings, engine, api_key)
    try:
        if llm.base_url is None:
            raise EngineUnavailableError("llm.base_url is not set", "--set llm.base_url=http://127.0.0.1:11434/v1")
        server = await check_endpoint(llm.base_url, api_key, llm.model)
    except EngineUnavailableError as error:
        if llm.base_url and llm.model:
            # It may come up later: the conversation starts, apologises while it is away, and recovers.
            logger.warning(f"llm: {error}")
            return Candidate(engine, llm.model, partial(load, llm.base_url, llm.model), measurable=False)
        return Candidate(engine, llm.model, partial(load, "", ""), error.reason, error.mend, measurable=False)
    return Candidate(engine, server.models[0], partial(load, server.base_url, server.models[0]), measurable=False)


def _found(settings: Settings, server: FoundServer) -> Candidate[LlmBackend]:
    model = choose_model(server.models, settings.llm.model) if server.usable else None
    problem = server.problem or None
    if server.usable and model is None:
        problem = f"it lists no {settings.llm.model or 'model that can chat'}"
    # The key belongs to the configured endpoint, not to whatever listens here.
    load = partial(_remote, settings, server.name, None, server.base_url, model or "")
    mend = START_COMMANDS[server.name] if problem else ""
    return Candidate(server.name, model, load, problem, mend, measurable=False)


def _remote(settings: Settings, engine: str, api_key: str | None, base_url: str, model: str) -> LlmBackend:
    return LlmBackend(_options(settings, engine, api_key, base_url, model))


def _embedded(settings: Settings) -> Candidate[LlmBackend]:
    path, reason = _gguf(settings)
    if path is None:
        return Candidate("embedded", None, partial(_start, settings, Path()), reason, "sotto models pull qwen3-0.6b")
    return Candidate("embedded", path.name, partial(_start, settings, path))


def _start(settings: Settings, path: Path) -> LlmBackend:
    gpu_layers = placement(settings.compute.device).gpu_layers
    embedded = EmbeddedLLM.start(path, threads=settings.llm.threads or None, gpu_layers=gpu_layers)
    options = _options(settings, "embedded", embedded.api_key, embedded.base_url, embedded.model)
    if path == bundled_gguf():
        small = smollm2_options(embedded.base_url, embedded.api_key, embedded.model)
        kept = ("first_token_timeout_secs", "token_stall_timeout_secs", "empty_retries", "apology")
        options = dataclasses.replace(small, **{name: getattr(options, name) for name in kept})
    return LlmBackend(dataclasses.replace(options, keeper=embedded), embedded)


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


def _options(settings: Settings, engine: str, api_key: str | None, base_url: str, model: str) -> LLMOptions:
    llm = settings.llm
    tokens, template, sees = _told(engine, base_url, api_key, model, thinking=llm.thinking or engine not in NO_THINKING)

    async def served_tokens() -> int | None:
        return await context_tokens(LookUps(base_url, api_key), make_of(engine, base_url), model)

    return LLMOptions(
        base_url=base_url,
        model=model,
        api_key=api_key or "none",
        system_prompt=llm.system_prompt,
        temperature=llm.temperature,
        top_p=llm.top_p,
        max_tokens=llm.max_tokens,
        first_token_timeout_secs=llm.first_token_timeout_secs,
        token_stall_timeout_secs=llm.token_stall_timeout_secs,
        empty_retries=llm.empty_retries,
        apology=llm.apology,
        extra_body={} if llm.thinking else NO_THINKING.get(engine, {}),
        context_tokens=tokens,
        served_tokens=None if engine == "embedded" else served_tokens,
        answers_many=engine == "vllm",
        template=template,
        takes_images=sees if llm.images == "auto" else llm.images == "on",
    )


def _told(
    engine: str, base_url: str, api_key: str | None, model: str, *, thinking: bool
) -> tuple[int | None, TemplateMarks, bool]:
    """What a server tells of its model: the size of its context, its template, whether it takes pictures.

    Blocks for two seconds at most.
    """

    async def ask() -> tuple[int | None, TemplateMarks, bool]:
        server, make = LookUps(base_url, api_key), make_of(engine, base_url)
        tokens = await context_tokens(server, make, model)
        template = await template_marks(server, make, model, thinking=thinking)
        return tokens, template, await takes_images(server, make, model)

    # With a loop of its own, for whoever calls may have one.
    with ThreadPoolExecutor(1, "look-ups") as thread:
        return thread.submit(asyncio.run, ask()).result()
