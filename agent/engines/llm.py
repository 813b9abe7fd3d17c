"""The language models that settings can choose, in order of preference.

The configured endpoint, then a local server found running, then the embedded llama.cpp with a model on disk, then
with the bundled SmolLM2.
"""

import asyncio
import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from loguru import logger

from agent.engines.addresses import check_addresses, group_of
from agent.engines.candidates import Candidate
from agent.engines.chat_template import template_marks
from agent.engines.compute import placement
from agent.engines.context_size import context_tokens
from agent.engines.embedded_llm import EmbeddedLLM, bundled_gguf, smollm2_options
from agent.engines.images import takes_images
from agent.engines.llm_servers import START_COMMANDS, FoundServer, check_endpoint, choose_model, find_servers
from agent.engines.look_ups import LookUps, make_of
from agent.engines.remote_stt import foundry_dir
from agent.engines.tool_calls import calls_tools
from agent.models.catalogue import installed, model_dir
from agent.settings.load import Settings
from processors.address import addresses_in
from processors.addresses import AddressGroup
from processors.errors import EngineUnavailableError
from processors.foundry_runtime import INSTALL_COMMAND, PRIVACY_NOTE
from processors.llm.foundry import DEFAULT_ALIAS as FOUNDRY_ALIAS
from processors.llm.foundry import FoundryChat, download_chat_model
from processors.llm.options import LLMOptions
from processors.llm.templates import UNKNOWN_TEMPLATE, TemplateMarks

# How each server is told to answer at once; one of unknown make might refuse fields that it does not know.
_TEMPLATE_SWITCH = {"chat_template_kwargs": {"enable_thinking": False}}
NO_THINKING = {
    "ollama": {"reasoning_effort": "none"},
    "vllm": _TEMPLATE_SWITCH,
    "llamacpp": _TEMPLATE_SWITCH,
    "embedded": _TEMPLATE_SWITCH,
}
# With `llm.max_tokens = auto`; and what is given an answer otherwise.
MOST_TOKENS, USUAL_TOKENS = 2048, 512


@dataclass(frozen=True)
class LlmAddress:
    """Where a language model of our own was served, and is to be again: conversations know it by that.

    Attributes:
        port: On 127.0.0.1.
        api_key: The bearer token that it asks for.
    """

    port: int
    api_key: str


@dataclass
class LlmBackend:
    """A language model that conversations can ask.

    Attributes:
        options: How it is asked.
        embedded: The server in this process, if it is ours.
        foundry: Foundry Local's, if that serves it.
    """

    options: LLMOptions
    embedded: EmbeddedLLM | None = None
    foundry: FoundryChat | None = None

    @property
    def model(self) -> str:
        """The model's name."""
        return Path(self.options.model).name

    def warm_up(self) -> str | None:
        """Have our own server answer once; other servers are not troubled.

        Returns:
            What the user should know about it; None if there is nothing.
        """
        if self.embedded is not None:
            self.embedded.warm_up(self.options)
        return PRIVACY_NOTE if self.foundry else None

    def close(self) -> None:
        """Stop our own server."""
        if self.embedded is not None:
            self.embedded.close()
        if self.foundry is not None:
            self.foundry.close()


async def llm_candidates(
    settings: Settings, address: LlmAddress | None = None, stage: str = "llm"
) -> list[Candidate[LlmBackend]]:
    """Every way to a language model, the best first; asks the usual loopback ports which servers run.

    Args:
        settings: Which ones may be asked.
        address: Where our own is to be served; default: anywhere.
        stage: llm or large: whose address it is, where it has several.
    """
    engine = settings.llm.engine
    candidates = []
    if engine == "foundry":
        # Which tells Microsoft of itself: only where it is named.
        return [_foundry(settings)]
    if engine != "embedded" and (settings.llm.base_url or engine == "endpoint"):
        candidates.append(await _endpoint(settings, stage))
    if engine not in ("endpoint", "embedded"):
        named = {candidate.engine for candidate in candidates}
        candidates += [_found(settings, server) for server in await find_servers() if server.name not in named]
    candidates.append(_embedded(settings, address))
    return candidates


async def _endpoint(settings: Settings, stage: str) -> Candidate[LlmBackend]:
    """The configured address; a server named by `llm.engine` stands there, else one of unknown make."""
    llm = settings.llm
    engine = llm.engine if llm.engine in START_COMMANDS else "endpoint"
    api_key = llm.api_key.get_secret_value() if llm.api_key else None
    load = partial(_remote, settings, engine, api_key)
    url, group = llm.base_url, None
    try:
        if url is None:
            raise EngineUnavailableError("llm.base_url is not set", "--set llm.base_url=http://127.0.0.1:11434/v1")
        if group := group_of(stage, llm, settings):
            first = group.addresses[0]
            url, load = first.url, partial(_grouped, settings, engine, group)
            server = await check_addresses(group, llm.model)
        else:
            server = await check_endpoint(url, api_key, llm.model)
    except EngineUnavailableError as error:
        if url and llm.model and (group or len(addresses_in(url)) == 1):
            # It may come up later: the conversation starts, apologises while it is away, and recovers.
            logger.warning(f"llm: {error}")
            return Candidate(engine, llm.model, partial(load, url, llm.model), measurable=False)
        named = bool(llm.base_url)
        return Candidate(
            engine, llm.model, partial(load, "", ""), error.reason, error.mend, measurable=False, named=named
        )
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


def _grouped(settings: Settings, engine: str, group: AddressGroup, base_url: str, model: str) -> LlmBackend:
    """What is asked at several addresses; one of them tells of the model."""
    key = next((one.key for one in group.addresses if one.url == base_url.rstrip("/")), "")
    options = _options(settings, engine, key or None, base_url, model)
    return LlmBackend(dataclasses.replace(options, addresses=group))


def _embedded(settings: Settings, address: LlmAddress | None) -> Candidate[LlmBackend]:
    path, reason = _gguf(settings)
    if path is None:
        return Candidate("embedded", None, partial(_start, settings, Path()), reason, "sotto models pull qwen3-0.6b")
    return Candidate("embedded", path.name, partial(_start, settings, path, address))


def _foundry(settings: Settings) -> Candidate[LlmBackend]:
    """Foundry Local; whether its model is downloaded shows when it is loaded."""
    alias = settings.llm.model or FOUNDRY_ALIAS

    def load() -> LlmBackend:
        chat = FoundryChat(alias, app_data_dir=foundry_dir(settings))
        try:
            return LlmBackend(_options(settings, "foundry", None, chat.base_url, chat.model), foundry=chat)
        except BaseException:
            chat.close()
            raise

    missing = find_spec("foundry_local_sdk") is None
    reason = "the foundry-local-sdk package is not installed" if missing else None
    return Candidate("foundry", alias, load, reason, INSTALL_COMMAND if missing else "", measurable=False)


def pull_foundry_chat(settings: Settings, on_percent: Callable[[float], None]) -> str:
    """Download the chat model that `foundry` would use; the user has agreed.

    Args:
        settings: `llm.model` names another alias than the default.
        on_percent: Called with 0 to 100 as it comes.

    Returns:
        The alias.

    Raises:
        EngineUnavailableError: See `foundry_runtime.download`.
    """
    alias = settings.llm.model or FOUNDRY_ALIAS
    download_chat_model(alias, foundry_dir(settings), on_percent)
    return alias


def _start(settings: Settings, path: Path, address: LlmAddress | None = None) -> LlmBackend:
    gpu_layers = placement(settings.compute.device).gpu_layers
    embedded = EmbeddedLLM.start(
        path,
        threads=settings.llm.threads or None,
        gpu_layers=gpu_layers,
        port=address.port if address else 0,
        api_key=address.api_key if address else None,
    )
    options = _options(settings, "embedded", embedded.api_key, embedded.base_url, embedded.model)
    if path == bundled_gguf():
        small = smollm2_options(embedded.base_url, embedded.api_key, embedded.model)
        kept = ("by_question", "first_token_timeout_secs", "token_stall_timeout_secs", "empty_retries", "apology")
        options = dataclasses.replace(small, **{name: getattr(options, name) for name in kept})
    return LlmBackend(dataclasses.replace(options, keeper=embedded), embedded)


def is_gguf(model: str) -> bool:
    """Whether the name of a model is that of a file, which can be embedded.

    Args:
        model: As settings have it.
    """
    return model.lower().endswith(".gguf")


def _gguf(settings: Settings) -> tuple[Path | None, str | None]:
    """The GGUF to embed: the one that is named, else an installed one, else the bundled one."""
    model = settings.llm.model or ""
    # Whoever names a file wants no other one.
    wanted = model if settings.llm.engine == "embedded" or is_gguf(model) else None
    if wanted and Path(wanted).is_file():
        return Path(wanted), None
    for one in installed(settings.models_dir, "llm"):
        if wanted in (None, "", one.name):
            return model_dir(settings.models_dir, one) / one.files[0].name, None
    if wanted:
        return None, f"model {wanted} is neither installed nor a GGUF file"
    bundled = bundled_gguf()
    return (bundled, None) if bundled else (None, "neither an installed nor the bundled model is there")


def _options(settings: Settings, engine: str, api_key: str | None, base_url: str, model: str) -> LLMOptions:
    llm = settings.llm
    told = _told(engine, base_url, api_key, model, thinking=llm.thinking or engine not in NO_THINKING)

    async def served_tokens() -> int | None:
        return await context_tokens(LookUps(base_url, api_key), make_of(engine, base_url), model)

    return LLMOptions(
        base_url=base_url,
        model=model,
        api_key=api_key or "none",
        system_prompt=llm.system_prompt,
        temperature=llm.temperature,
        top_p=llm.top_p,
        max_tokens=_most_tokens(told.tokens) if llm.max_tokens == "auto" else llm.max_tokens,
        by_question=llm.max_tokens == "auto",
        first_token_timeout_secs=llm.first_token_timeout_secs,
        token_stall_timeout_secs=llm.token_stall_timeout_secs,
        empty_retries=llm.empty_retries,
        apology=llm.apology,
        extra_body={} if llm.thinking else NO_THINKING.get(engine, {}),
        context_tokens=told.tokens,
        served_tokens=None if engine == "embedded" else served_tokens,
        calls_tools=told.calls_tools,
        answers_many=engine == "vllm",
        template=told.template,
        takes_images=told.takes_images if llm.images == "auto" else llm.images == "on",
    )


def _most_tokens(context_tokens: int | None) -> int:
    """Of an answer that is as long as suits the question: what there is room for, a story's length at most."""
    return min(MOST_TOKENS, max(USUAL_TOKENS, (context_tokens or MOST_TOKENS * 4) // 4))


@dataclass(frozen=True)
class _Told:
    """What a server tells of its model.

    Attributes:
        tokens: The size of its context.
        template: How its thoughts are marked.
        calls_tools: Whether it calls tools.
        takes_images: Whether it takes pictures.
    """

    tokens: int | None = None
    template: TemplateMarks = UNKNOWN_TEMPLATE
    calls_tools: bool | None = None
    takes_images: bool = False


def _told(engine: str, base_url: str, api_key: str | None, model: str, *, thinking: bool) -> _Told:
    """What a server tells of its model. Blocks for two seconds at most."""

    async def ask() -> _Told:
        server, make = LookUps(base_url, api_key), make_of(engine, base_url)
        return _Told(
            await context_tokens(server, make, model),
            await template_marks(server, make, model, thinking=thinking),
            await calls_tools(server, make, model),
            await takes_images(server, make, model),
        )

    # With a loop of its own, for whoever calls may have one.
    with ThreadPoolExecutor(1, "look-ups") as thread:
        return thread.submit(asyncio.run, ask()).result()
