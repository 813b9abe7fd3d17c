"""Finds language model servers on this machine, and checks one that was configured, by asking /v1/models.

Only GET requests are sent, to 127.0.0.1 or to the configured endpoint; redirects and proxies are not followed.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from processors.errors import EngineUnavailableError
from processors.llm.failure import lacks_version
from processors.shown_url import shown_url

# Where each server listens unless its user chose otherwise, in the order of preference.
DEFAULT_PORTS: Mapping[str, int] = {"ollama": 11434, "vllm": 8000, "llamacpp": 8080, "lmstudio": 1234}
START_COMMANDS: Mapping[str, str] = {
    "ollama": "ollama serve",
    "vllm": "vllm serve MODEL",
    "llamacpp": "llama-server -m MODEL.gguf",
    "lmstudio": "lms server start",
}
MAX_ANSWER_BYTES = 1 << 20

_NO_CHAT = re.compile(
    r"embed|rerank|whisper|\btts\b|kokoro|clip|bge-|e5-|gte-|minilm|stable-diffusion|moderation", re.IGNORECASE
)


@dataclass(frozen=True)
class FoundServer:
    """What was found at one address.

    Attributes:
        name: `ollama`, `vllm`, `llamacpp`, `lmstudio`, or `endpoint` for a configured one.
        base_url: Ends in /v1, or is what was configured; where that lacks its /v1, with it.
        models: The names it lists; empty when it cannot be used.
        problem: Why it cannot be used, in a few words; empty when it can.
    """

    name: str
    base_url: str
    models: tuple[str, ...] = ()
    problem: str = ""

    @property
    def usable(self) -> bool:
        """Whether at least one model can be asked here."""
        return not self.problem


@dataclass(frozen=True)
class _Answer:
    models: tuple[str, ...] = ()
    problem: str = ""
    status: int | None = None


async def find_servers(timeout_secs: float = 0.5, ports: Mapping[str, int] = DEFAULT_PORTS) -> list[FoundServer]:
    """Ask every usual address at the same time.

    Args:
        timeout_secs: The longest wait for all of them together.
        ports: Server name to port on 127.0.0.1, in the order of preference.

    Returns:
        One entry a port, in the order of `ports`, usable or with the problem.
    """
    urls = {name: f"http://127.0.0.1:{port}/v1" for name, port in ports.items()}
    answers = await asyncio.gather(*(_ask_models(url, None, timeout_secs) for url in urls.values()))
    return [
        FoundServer(name, url, answer.models, answer.problem)
        for (name, url), answer in zip(urls.items(), answers, strict=True)
    ]


def choose_model(models: Sequence[str], wanted: str | None = None) -> str | None:
    """Pick the model to talk to.

    Args:
        models: Names that a server lists.
        wanted: The user's choice; Ollama's `:latest` may be left out.

    Returns:
        The wanted one as the server spells it, or else the first that can chat; None where there is none.
    """
    if wanted is not None:
        return next((name for name in models if name in (wanted, f"{wanted}:latest")), None)
    return next((name for name in models if not _NO_CHAT.search(name)), None)


async def check_endpoint(
    base_url: str, api_key: str | None = None, model: str | None = None, timeout_secs: float = 3.0
) -> FoundServer:
    """Make sure that a configured endpoint answers and has the model; an address without /v1 is tried with it, too.

    Args:
        base_url: An OpenAI-compatible endpoint, usually ending in /v1.
        api_key: Its bearer token, if it wants one.
        model: The model that must be there; any that can chat by default.
        timeout_secs: The longest wait.

    Returns:
        The server; `models` holds the one chosen first, then the others.

    Raises:
        EngineUnavailableError: It cannot be used; one line says why and what mends it.
    """
    shown = _checked_url(base_url)
    answer = await _ask_models(base_url, api_key, timeout_secs)
    if answer.status == 404 and lacks_version(base_url):
        whole = f"{base_url.rstrip('/')}/v1"
        answer_v1 = await _ask_models(whole, api_key, timeout_secs)
        if answer_v1.problem and answer_v1.status not in (401, 403):
            raise EngineUnavailableError(
                f"no language model at {shown} (HTTP 404), nor at {shown.rstrip('/')}/v1 ({answer_v1.problem})",
                f"give the whole address, usually llm.base_url={shown.rstrip('/')}/v1",
            )
        base_url, shown, answer = whole, f"{shown.rstrip('/')}/v1", answer_v1
    if answer.status in (401, 403):
        raise EngineUnavailableError(
            f"the language model at {shown} refused the API key ({answer.problem})", "set llm.api_key"
        )
    if answer.problem:
        raise EngineUnavailableError(
            f"no language model at {shown} ({answer.problem})",
            "start its server, or correct llm.base_url",
        )
    chosen = choose_model(answer.models, model)
    if chosen is None:
        listed = ", ".join(answer.models[:5])
        raise EngineUnavailableError(
            f"no {model or 'model that can chat'} at {shown}, which lists {listed}",
            f"install it there, for example with `ollama pull {model}`" if model else "install one there",
        )
    others = tuple(name for name in answer.models if name != chosen)
    return FoundServer("endpoint", base_url, (chosen, *others))


async def _ask_models(base_url: str, api_key: str | None, timeout_secs: float) -> _Answer:
    headers = {"Accept": "application/json", "User-Agent": "sotto"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    verify = urlsplit(base_url).scheme == "https"
    try:
        async with (
            asyncio.timeout(timeout_secs),
            httpx.AsyncClient(trust_env=False, verify=verify, timeout=timeout_secs) as client,
            client.stream("GET", f"{base_url.rstrip('/')}/models", headers=headers) as response,
        ):
            body = b""
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    return _Answer(problem="its answer is too long for a list of models")
    except (TimeoutError, httpx.TimeoutException):
        return _Answer(problem=f"no answer within {timeout_secs:g} s")
    except httpx.ConnectError:
        return _Answer(problem="nothing listens there")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return _Answer(problem=f"it speaks no HTTP ({type(error).__name__})")
    return _read_answer(response, body)


def _read_answer(response: httpx.Response, body: bytes) -> _Answer:
    status = response.status_code
    if status != 200:
        return _Answer(problem=f"HTTP {status}", status=status)
    try:
        listing: Any = httpx.Response(200, content=body).json()
    except (ValueError, RecursionError):
        kind = response.headers.get("content-type", "nothing").split(";")[0]
        return _Answer(problem=f"it answers {kind}, no list of models", status=status)
    entries = listing.get("data") if isinstance(listing, dict) else None
    if not isinstance(entries, list):
        return _Answer(problem="its JSON is no list of models", status=status)
    names = (entry.get("id") for entry in entries if isinstance(entry, dict))
    models = tuple(name for name in names if isinstance(name, str) and name)
    return _Answer(models, "" if models else "it has no model", status)


def _checked_url(url: str) -> str:
    """The URL without a user name or password in it, for messages."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname:
            return shown_url(url)
    except ValueError:
        pass
    raise EngineUnavailableError(
        f"llm.base_url is no URL: {shown_url(url)}", "give one such as http://127.0.0.1:11434/v1"
    )
