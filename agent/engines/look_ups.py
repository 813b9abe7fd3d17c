"""Look-ups at a language model's server, about the server and its model: each made once, all within one limit of time.

In:  paths below the server's root.   Out: JSON objects; an empty one for everything else, and once the time is over.
"""

import asyncio
import json
import time
from typing import Any
from urllib.parse import urlsplit

import httpx

from agent.engines.llm_servers import DEFAULT_PORTS, MAX_ANSWER_BYTES

LIMIT_SECS = 2.0


def make_of(engine: str, base_url: str) -> str:
    """Of which make a server is: one of unknown make at Ollama's port is taken for Ollama.

    Args:
        engine: `ollama`, `vllm`, `llamacpp`, `lmstudio`, `embedded`, or `endpoint` for a server of unknown make.
        base_url: Where it is.
    """
    return "ollama" if engine == "endpoint" and urlsplit(base_url).port == DEFAULT_PORTS["ollama"] else engine


class LookUps:
    """Look-ups at one server.

    Args:
        base_url: Ends in /v1; empty: nothing is asked.
        api_key: Its bearer token, if it wants one.
        limit_secs: For all of them together, from the first one on.
    """

    def __init__(self, base_url: str, api_key: str | None, *, limit_secs: float = LIMIT_SECS) -> None:
        self._root = base_url.rstrip("/").removesuffix("/v1")
        self._headers = {"Accept": "application/json", "User-Agent": "sotto"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._limit_secs = limit_secs
        self._end_secs: float | None = None
        self._told: dict[str, dict[str, Any]] = {}

    async def ask(self, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        """What the server answers there, where it is a JSON object.

        Args:
            path: Below its root; with its slash.
            body: JSON that is posted; without one it is a GET. The same for each look-up at a path.
        """
        if path not in self._told and self._root:
            self._told[path] = await self._ask(path, body)
        return self._told.get(path, {})

    async def _ask(self, path: str, body: dict[str, str] | None) -> dict[str, Any]:
        if self._end_secs is None:
            self._end_secs = time.monotonic() + self._limit_secs
        try:
            async with asyncio.timeout(max(0.0, self._end_secs - time.monotonic())):
                told = json.loads(await self._fetch(path, body))
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError):
            return {}
        return told if isinstance(told, dict) else {}

    async def _fetch(self, path: str, body: dict[str, str] | None) -> bytes:
        url = f"{self._root}{path}"
        method = "GET" if body is None else "POST"
        found = bytearray()
        # The time is kept by the caller, over all steps of it.
        async with (
            httpx.AsyncClient(trust_env=False, verify=url.startswith("https:"), timeout=None) as client,  # noqa: S113
            client.stream(method, url, headers=self._headers, json=body) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                return b""
            async for piece in answer.aiter_bytes():
                found += piece
                if len(found) > MAX_ANSWER_BYTES * 4:
                    return b""
        return bytes(found)
