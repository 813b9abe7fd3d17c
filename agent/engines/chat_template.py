"""Asks a language model's server for the chat template of its model, where it is one that tells.

llama.cpp's server tells it at /props, Ollama at /api/show. Nothing else is sent but the model's name.
Sources: tools/server/README.md of llama.cpp; docs/api.md of Ollama.
"""

import dataclasses
from typing import Any
from urllib.parse import urlsplit

import httpx

from agent.engines.llm_servers import DEFAULT_PORTS, MAX_ANSWER_BYTES
from processors.llm.templates import UNKNOWN_TEMPLATE, TemplateMarks, read_template

TIMEOUT_SECS = 1.0


def template_marks(engine: str, base_url: str, api_key: str | None, model: str, *, thinking: bool) -> TemplateMarks:
    """What the template says about thoughts; nothing where the server does not tell. Blocks for a second at most.

    Args:
        engine: `ollama`, `llamacpp`, `embedded`, or `endpoint` for a server of unknown make; others are not asked.
        base_url: Ends in /v1.
        api_key: Its bearer token, if it wants one.
        model: The model's name there.
        thinking: Whether the model is asked to think.
    """
    if urlsplit(base_url).port == DEFAULT_PORTS["ollama"] and engine == "endpoint":
        engine = "ollama"
    if engine not in ("ollama", "llamacpp", "embedded", "endpoint") or not base_url:
        return UNKNOWN_TEMPLATE
    root = base_url.rstrip("/").removesuffix("/v1")
    if engine == "ollama":
        told = _ask("POST", f"{root}/api/show", api_key, {"model": model})
        capabilities = told.get("capabilities")
        apart = isinstance(capabilities, list) and "thinking" in capabilities
        template = told.get("template")
    else:
        told = _ask("GET", f"{root}/props", api_key, None)
        template = told.get("chat_template")
        apart = _reasoning_format(told) not in (None, "none")
    marks = read_template(template, thinking=thinking) if isinstance(template, str) else UNKNOWN_TEMPLATE
    if not apart or marks is UNKNOWN_TEMPLATE:
        return marks
    # The server takes the thoughts out of the text itself.
    return dataclasses.replace(marks, starts_inside=False)


def _reasoning_format(props: dict[str, Any]) -> object:
    value: Any = props
    for key in ("default_generation_settings", "params", "reasoning_format"):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _ask(method: str, url: str, api_key: str | None, body: dict[str, str] | None) -> dict[str, Any]:
    headers = {"Accept": "application/json", "User-Agent": "sotto"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    try:
        with httpx.Client(trust_env=False, verify=url.startswith("https:"), timeout=TIMEOUT_SECS) as client:
            answer = client.request(method, url, headers=headers, json=body)
        told = answer.json() if answer.status_code == 200 and len(answer.content) <= MAX_ANSWER_BYTES * 4 else None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
