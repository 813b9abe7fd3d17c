"""A fake at the edge: a Home Assistant with a house that a test furnishes, by the shapes of its documented APIs.

Documented at developers.home-assistant.io/docs/api/rest (states, services, template) and /websocket (auth); what is
exposed is asked as its own page asks. The HTTP is real.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

TOKEN = "a-long-lived-token"
HOUSE = {
    "light.kitchen_ceiling": ("Kitchen ceiling", "Kitchen", "off"),
    "light.kitchen_counter": ("Kitchen counter", "Kitchen", "off"),
    "light.desk": ("Desk lamp", "Office", "on"),
    "light.floor": ("Floor lamp", "Office", "off"),
    "switch.coffee": ("Coffee machine", "Kitchen", "off"),
    "switch.garage_opener": ("Garage", "", "off"),
    "climate.office": ("Office heater", "Office", "heat"),
    "lock.front": ("Front door", "Hall", "locked"),
    "cover.garage": ("Garage door", "", "closed"),
    "alarm_control_panel.home": ("Alarm", "", "disarmed"),
    "script.everything": ("Good night", "", "off"),
    "light.secret": ("Secret lamp", "Attic", "on"),
}
EXPOSED = tuple(entity for entity in HOUSE if entity != "light.secret")


@dataclass
class ScriptedHome:
    """It.

    Attributes:
        url: Where it is.
        house: Name, area and state by entity.
        exposed: To Assist.
        called: Services, with what they were given.
        broken: What cannot be changed.
        asked: The paths of all requests.
        mood: html: another server answers; slow: nothing comes; admin_only: areas and what is exposed are refused;
            object: states are no list.
    """

    url: str = ""
    house: dict[str, tuple[str, str, str]] = field(default_factory=lambda: dict(HOUSE))
    exposed: tuple[str, ...] = EXPOSED
    called: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    mood: Literal["well", "html", "slow", "admin_only", "object"] = "well"

    async def _answer(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        if self.mood == "slow":
            await asyncio.sleep(3600)
        if self.mood == "html":
            return HTMLResponse("<html>Welcome</html>")
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return PlainTextResponse("401: Unauthorized", 401)
        match request.method, request.url.path.split("/")[2:]:
            case "GET", ["states"] if self.mood == "object":
                return JSONResponse({"states": []})
            case "GET", ["states"]:
                return JSONResponse([self._state(entity) for entity in self.house])
            case "POST", ["template"] if self.mood == "well":
                return JSONResponse([[entity, area] for entity, (_, area, _) in self.house.items()])
            case "POST", ["template"]:
                return JSONResponse({"message": "Unauthorized"}, 401)
            case "POST", ["services", domain, service]:
                return self._serve(f"{domain}.{service}", await request.json())
        return JSONResponse({"message": "Not found"}, 404)

    def _serve(self, service: str, data: dict[str, Any]) -> Response:
        if service == "alarm_control_panel.alarm_disarm" and "code" not in data:
            return JSONResponse({"message": "Code required"}, 400)
        if data["entity_id"] in self.broken:
            return JSONResponse({"message": "unavailable"}, 500)
        self.called.append((service, data))
        name, area, _ = self.house[data["entity_id"]]
        self.house[data["entity_id"]] = (name, area, service.partition("_")[2])
        return JSONResponse([self._state(data["entity_id"])])

    def _state(self, entity: str) -> dict[str, Any]:
        name, _, state = self.house[entity]
        stamp = "2026-11-28T17:00:00+00:00"
        return {
            "entity_id": entity,
            "state": state,
            "attributes": {"friendly_name": name, "supported_features": 1},
            "last_changed": stamp,
            "last_updated": stamp,
            "context": {"id": "x", "parent_id": None, "user_id": None},
        }

    async def _talk(self, line: WebSocket) -> None:
        self.asked.append(line.url.path)
        await line.accept()
        await line.send_json({"type": "auth_required", "ha_version": "2026.11.1"})
        if (await line.receive_json()).get("access_token") != TOKEN:
            await line.send_json({"type": "auth_invalid", "message": "Invalid access token or password"})
            await line.close()
            return
        await line.send_json({"type": "auth_ok", "ha_version": "2026.11.1"})
        asked = await line.receive_json()
        error = {"code": "unauthorized", "message": "Unauthorized"}
        answer: dict[str, Any] = {"success": False, "error": error}
        if self.mood == "well" and asked["type"] == "homeassistant/expose_entity/list":
            exposed = {entity: {"conversation": True, "cloud.alexa": False} for entity in self.exposed}
            exposed["light.secret"] = {"cloud.alexa": True}
            answer = {"success": True, "result": {"exposed_entities": exposed}}
        await line.send_json({"id": asked["id"], "type": "result", **answer})
        await line.close()


@asynccontextmanager
async def scripted_home() -> AsyncIterator[ScriptedHome]:
    """A house that is there while this lasts."""
    home = ScriptedHome()
    app = Starlette(
        routes=[
            WebSocketRoute("/api/websocket", home._talk),
            Route("/{path:path}", home._answer, methods=["GET", "POST"]),
        ]
    )
    listener = socket.create_server(("127.0.0.1", 0))
    home.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(app, log_level="error", ws="websockets-sansio", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield home
    finally:
        server.should_exit = True
        await serving
        listener.close()
