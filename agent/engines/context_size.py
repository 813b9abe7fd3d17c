"""Asks a language model's server how many tokens its model's context has, prompt and reply together.

llama.cpp's server tells it at /props (of one slot), vLLM in /v1/models (max_model_len), LM Studio at /api/v0/models (of
the loaded model), Ollama at /api/ps (of the running model) or, before it runs, in the model's own parameters. What a
model was trained with is not what a server has given it: it is a bound alone. A model that is loaded later, or anew,
may be given another size, so a conversation asks again. Nothing is sent but the model's name.
Sources: tools/server/README.md of llama.cpp; docs/api.md of Ollama; vLLM's ModelCard; LM Studio's REST API v0.
"""

import re
from typing import Any

from agent.engines.look_ups import LookUps

# What Ollama gives a model whose parameters say nothing (OLLAMA_CONTEXT_LENGTH).
OLLAMA_TOKENS = 4096
_NUM_CTX = re.compile(r"^\s*num_ctx\s+(\d{1,9})\s*$", re.MULTILINE)
_MOST = 100_000_000


async def context_tokens(server: LookUps, make: str, model: str) -> int | None:
    """How many tokens the context has now; None where the server does not tell.

    Args:
        server: Is asked.
        make: `ollama`, `vllm`, `llamacpp`, `lmstudio`, `embedded`, or `endpoint` for a server of unknown make.
        model: The model's name there.
    """
    if make == "ollama":
        return await _of_ollama(server, model)
    if make in ("llamacpp", "embedded"):
        return _of_props(await server.ask("/props"))
    if make == "lmstudio":
        entry = _entry(await server.ask("/api/v0/models"), "data", "id", model)
        return _number(entry.get("loaded_context_length"))
    entry = _entry(await server.ask("/v1/models"), "data", "id", model)
    told = _number(entry.get("max_model_len"))
    if told or make == "vllm":
        return told
    return _of_props(await server.ask("/props"))


def _of_props(props: dict[str, Any]) -> int | None:
    settings = props.get("default_generation_settings")
    told = settings.get("n_ctx") if isinstance(settings, dict) else None
    return _number(told) or _number(props.get("n_ctx"))


async def _of_ollama(server: LookUps, model: str) -> int | None:
    running = _entry(await server.ask("/api/ps"), "models", "name", model)
    if served := _number(running.get("context_length")):
        return served
    shown = await server.ask("/api/show", {"model": model})
    if not shown:
        return None
    parameters = shown.get("parameters")
    found = _NUM_CTX.search(parameters) if isinstance(parameters, str) else None
    wanted = (_number(int(found[1])) if found else None) or OLLAMA_TOKENS
    # It gives no model more than that was trained with.
    return min(wanted, _trained(shown) or wanted)


def _trained(shown: dict[str, Any]) -> int | None:
    facts = shown.get("model_info")
    found = facts.items() if isinstance(facts, dict) else ()
    return next((_number(value) for name, value in found if str(name).endswith(".context_length")), None)


def _entry(listing: dict[str, Any], key: str, name_key: str, model: str) -> dict[str, Any]:
    """The model's entry in a list."""
    entries = listing.get(key)
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get(name_key) in (model, f"{model}:latest"):
            return entry
    return {}


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _MOST else None
