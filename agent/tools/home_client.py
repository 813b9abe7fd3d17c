"""Home Assistant's REST API, and the one question that only its WebSocket answers: what is exposed.

In:  `[home]`.   Out: entities and changes; each failure is one line.

Shapes: developers.home-assistant.io/docs/api/rest and /websocket; `homeassistant/expose_entity/list` is what Home
Assistant's own page asks.
"""

import asyncio
import fnmatch
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

import httpx
import websockets
from websockets.asyncio.client import connect

from agent.settings.home import HomeSettings
from agent.tools.home_answers import Entity, entities_of, read_list, reason
from agent.tools.tool import ToolError

MAX_ANSWER_BYTES = 16 * 1024 * 1024
# What is exposed changes seldom, and so does what stands where.
KEPT_SECS = 60.0
Value = TypeVar("Value")
_AREAS = (
    "[{% for s in states %}[{{ s.entity_id | to_json }}, {{ (area_name(s.entity_id) or '') | to_json }}]"
    "{% if not loop.last %},{% endif %}{% endfor %}]"
)


class HomeClient:
    """Asks Home Assistant, over connections of which none outlives its answer.

    Args:
        home: Where it is; it has an address.
    """

    def __init__(self, home: HomeSettings) -> None:
        self._home = home
        self._tls: ssl.SSLContext | None = None
        self._http: httpx.AsyncClient | None = None
        self._making = asyncio.Lock()
        self._exposed = _Kept[set[str]]()
        self._areas = _Kept[dict[str, str]]()

    async def entities(self) -> list[Entity]:
        """What may be used, in the order of its ids.

        Raises:
            ToolError: It cannot be asked.
        """
        states, areas, exposed = await asyncio.gather(
            self._ask("GET", "/api/states", read=read_list), self._where(), self._what_is_exposed()
        )
        return await asyncio.to_thread(entities_of, states, areas, lambda one: self._may(one, exposed))

    async def act(self, domain: str, service: str, data: Mapping[str, Any]) -> None:
        """Have something done.

        Args:
            domain: Of the service.
            service: Its name.
            data: What it is given.

        Raises:
            ToolError: It was not done.
        """
        await self._ask("POST", f"/api/services/{domain}/{service}", data)

    def _may(self, entity_id: str, exposed: set[str] | None) -> bool:
        if exposed is not None:
            return entity_id in exposed
        return any(fnmatch.fnmatchcase(entity_id, pattern) for pattern in self._home.entities)

    async def _where(self) -> dict[str, str]:
        """Areas by entity; none where the token may not ask."""
        try:
            return await self._areas.get(self._ask_areas)
        except (ToolError, ValueError, TypeError):
            return {}

    async def _ask_areas(self) -> dict[str, str]:
        found = await self._ask("POST", "/api/template", {"template": _AREAS}, read=read_list)
        return {str(entity): str(area) for entity, area in found}

    async def _what_is_exposed(self) -> set[str] | None:
        """What the user exposes to Assist; None where settings name the entities."""
        if self._home.entities:
            return None
        try:
            async with asyncio.timeout(self._home.timeout_secs):
                return await self._exposed.get(self._ask_exposed)
        except (OSError, TimeoutError, ValueError, KeyError, TypeError, websockets.WebSocketException) as error:
            raise ToolError(
                "Home Assistant does not say what is exposed to Assist (an administrator's token may ask); "
                "name the entities in home.entities, such as light.*"
            ) from error

    async def _ask_exposed(self) -> set[str]:
        assert self._home.url  # noqa: S101 - else there are no tools
        address = f"ws{self._home.url.removeprefix('http')}/api/websocket"
        async with _NoRedirects(address, ssl=await self._own_tls(), proxy=None, max_size=MAX_ANSWER_BYTES) as socket:
            await socket.recv()
            await socket.send(json.dumps({"type": "auth", "access_token": self._token()}))
            if json.loads(await socket.recv())["type"] != "auth_ok":
                raise ValueError("the token is refused")
            await socket.send(json.dumps({"id": 1, "type": "homeassistant/expose_entity/list"}))
            answer = await asyncio.to_thread(json.loads, await socket.recv())
            exposed = answer["result"]["exposed_entities"]
            return {entity for entity, assistants in exposed.items() if assistants.get("conversation")}

    async def _own_tls(self) -> ssl.SSLContext | None:
        """Made once, beside the event loop, which reading all certificates would hold up; None for plain http."""
        if self._tls is None and self._home.url and self._home.url.startswith("https:"):
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        return self._tls

    def _token(self) -> str:
        return self._home.token.get_secret_value() if self._home.token else ""

    async def _own_http(self) -> httpx.AsyncClient:
        """One for all: nobody has to close what keeps no connection."""
        verify = await self._own_tls() or False
        async with self._making:
            self._http = self._http or await asyncio.to_thread(self._made_http, verify)
        return self._http

    def _made_http(self, verify: ssl.SSLContext | bool) -> httpx.AsyncClient:
        limits = httpx.Limits(max_keepalive_connections=0)
        return httpx.AsyncClient(trust_env=False, verify=verify, timeout=self._home.timeout_secs, limits=limits)

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        read: Callable[[bytes], Any] = json.loads,
    ) -> Any:
        url = self._home.url
        http = await self._own_http()
        text = bytearray()
        try:
            async with (
                asyncio.timeout(self._home.timeout_secs),
                http.stream(
                    method, f"{url}{path}", json=body, headers={"Authorization": f"Bearer {self._token()}"}
                ) as answer,
            ):
                async for piece in answer.aiter_bytes():
                    text += piece
                    if len(text) > MAX_ANSWER_BYTES:
                        raise ToolError(f"Home Assistant's answer is longer than {MAX_ANSWER_BYTES >> 20} MB")
        except (TimeoutError, httpx.TimeoutException):
            raise ToolError(f"Home Assistant did not answer within {self._home.timeout_secs:g} seconds") from None
        except httpx.HTTPError as error:
            raise ToolError(f"Home Assistant at {url} cannot be reached") from error
        if answer.status_code in (401, 403):
            raise ToolError("Home Assistant refuses the token: make a new one in your profile there, for home.token")
        if answer.status_code >= 300:
            raise ToolError(f"Home Assistant refuses that (status {answer.status_code}{reason(bytes(text))})")
        try:
            return await asyncio.to_thread(read, bytes(text))
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            raise ToolError(f"{url} is not Home Assistant: it answers with something else than JSON") from None
        except ValueError:
            raise ToolError(f"{url} is not Home Assistant: it gave no list of states") from None


class _Kept(Generic[Value]):
    """An answer that is good for a while."""

    def __init__(self) -> None:
        self._value: Value | None = None
        self._until_secs = 0.0

    async def get(self, ask: Callable[[], Awaitable[Value]]) -> Value:
        """The answer, asked for anew once it is old; what fails is not kept."""
        now_secs = asyncio.get_running_loop().time()
        if self._value is None or now_secs >= self._until_secs:
            self._value, self._until_secs = await ask(), now_secs + KEPT_SECS
        return self._value


class _NoRedirects(connect):
    """The token is for the address of the settings: whoever answers there with another one is refused."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc
