"""What the language model can do with the house: see, switch, set; and, always asked first, what opens or guards it.

In:  spoken names.   Out: services of Home Assistant.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from agent.settings.home import HomeSettings
from agent.tools.home_answers import Entity
from agent.tools.home_client import HomeClient
from agent.tools.home_guards import SWITCHED, is_guarded
from agent.tools.home_names import in_area, meant, named, shown
from agent.tools.tool import Arguments, Tool, ToolError

SERVICES: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("lock", "lock"): ("lock", {}),
    ("lock", "unlock"): ("unlock", {}),
    ("cover", "open"): ("open_cover", {}),
    ("cover", "close"): ("close_cover", {}),
    ("valve", "open"): ("open_valve", {}),
    ("valve", "close"): ("close_valve", {}),
    ("alarm_control_panel", "arm"): ("alarm_arm_away", {}),
    ("alarm_control_panel", "disarm"): ("alarm_disarm", {}),
    ("script", "run"): ("turn_on", {}),
    ("scene", "run"): ("turn_on", {}),
    ("automation", "run"): ("trigger", {}),
    ("button", "run"): ("press", {}),
    ("input_button", "run"): ("press", {}),
}
_SHOWN = ("brightness", "current_temperature", "temperature", "unit_of_measurement", "current_position", "media_title")

_NAME = Field(
    max_length=80, description="what the user calls it, such as desk lamp; or a kind, such as lights, with area"
)
_AREA = Field("", max_length=80, description="the room, if the user said it")


class HomeState(Arguments):
    """What to look at."""

    name: str = Field("", max_length=80, description="what the user calls it; empty: everything there is")
    area: str = _AREA


class HomeSwitch(Arguments):
    """What to switch."""

    name: str = _NAME
    action: Literal["on", "off"]
    area: str = _AREA
    entities: tuple[str, ...] = Field((), exclude=True, json_schema_extra={"own": True})


class HomeSet(Arguments):
    """What to set."""

    name: str = _NAME
    area: str = _AREA
    brightness_percent: int | None = Field(None, ge=0, le=100)
    temperature: float | None = Field(None, ge=-30, le=110, description="in the unit of the house")
    entities: tuple[str, ...] = Field((), exclude=True, json_schema_extra={"own": True})


class HomeGuarded(Arguments):
    """What to open, lock or run."""

    name: str = _NAME
    action: Literal["lock", "unlock", "open", "close", "arm", "disarm", "run", "on", "off"]
    area: str = _AREA
    entities: tuple[str, ...] = Field((), exclude=True, json_schema_extra={"own": True})


class Home:
    """The house.

    Args:
        settings: Where it is.
    """

    def __init__(self, settings: HomeSettings) -> None:
        self._client = HomeClient(settings)
        self._max_entities = settings.max_entities
        self._limit_secs = 3 * settings.timeout_secs + 1

    def tools(self) -> list[Tool]:
        """What can be done whatever the permission says; home_guarded always asks."""
        state = Tool("home_state", "How things stand at home.", HomeState, self._state, limit_secs=self._limit_secs)
        switch = self._acting(
            "home_switch", "Switch lights and devices at home on or off.", HomeSwitch, self._switch, guarded=False
        )
        set_ = self._acting(
            "home_set", "Set a light's brightness or a thermostat's temperature.", HomeSet, self._set, guarded=False
        )
        guarded = self._acting(
            "home_guarded",
            "Lock, unlock, open or close doors, locks and covers, arm alarms, run scripts and scenes.",
            HomeGuarded,
            self._guard,
            guarded=True,
        )
        return [state, switch, set_, guarded]

    def _acting(
        self,
        name: str,
        description: str,
        takes: type[Arguments],
        run: Callable[[Any], Awaitable[object]],
        *,
        guarded: bool,
    ) -> Tool:
        return Tool(
            name,
            description,
            takes,
            run,
            acts=True,
            asks=guarded,
            limit_secs=self._limit_secs,
            prepare=lambda given: self._resolved(given, guarded=guarded),
        )

    async def _resolved(self, given: Any, *, guarded: bool) -> Any:
        """The same with the names of the house, so that the user is asked about what will be done."""
        found = await asyncio.to_thread(meant, given.name, given.area, await self._client.entities())
        for entity in found:
            if guarded and not _service(entity, given.action):
                raise ToolError(f"{shown(entity)} cannot {given.action}")
            if not guarded and is_guarded(entity):
                raise ToolError(
                    f"{shown(entity)} opens or guards the house, or runs what may: call home_guarded for it"
                )
        return given.model_copy(
            update={"name": named(found), "area": "", "entities": tuple(entity.id for entity in found)}
        )

    async def _state(self, given: HomeState) -> object:
        entities = await self._client.entities()
        if given.name:
            entities = await asyncio.to_thread(meant, given.name, given.area, entities)
        elif given.area:
            entities = in_area(given.area, entities)
        told = [_told(entity) for entity in entities[: self._max_entities]]
        more = len(entities) - len(told)
        return {"things": told, "more": f"{more} more; ask by name or area"} if more else told

    async def _switch(self, given: HomeSwitch) -> object:
        return await self._do(given.entities, lambda entity: (entity.domain, f"turn_{given.action}", {}), given.name)

    async def _set(self, given: HomeSet) -> object:
        if given.brightness_percent is None and given.temperature is None:
            raise ToolError("say how bright or how warm")

        def service(entity: Entity) -> tuple[str, str, dict[str, Any]]:
            if entity.domain == "light" and given.brightness_percent is not None:
                return "light", "turn_on", {"brightness_pct": given.brightness_percent}
            if entity.domain == "climate" and given.temperature is not None:
                return "climate", "set_temperature", {"temperature": given.temperature}
            raise ToolError(f"{shown(entity)} has no such setting")

        return await self._do(given.entities, service, given.name)

    async def _guard(self, given: HomeGuarded) -> object:
        def service(entity: Entity) -> tuple[str, str, dict[str, Any]]:
            found = _service(entity, given.action)
            if found is None:
                raise ToolError(f"{shown(entity)} cannot {given.action}")
            return entity.domain, *found

        return await self._do(given.entities, service, given.name)

    async def _do(self, ids: Sequence[str], service: Any, names: str) -> object:
        by_id = {entity.id: entity for entity in await self._client.entities()}
        if gone := [one for one in ids if one not in by_id]:
            raise ToolError(f"{', '.join(gone)} is not there any more")
        # Whatever cannot be done is told before anything is.
        calls = [(entity_id, *service(by_id[entity_id])) for entity_id in ids]
        came = await asyncio.gather(
            *(
                self._client.act(domain, name, {"entity_id": entity_id, **data})
                for entity_id, domain, name, data in calls
            ),
            return_exceptions=True,
        )
        for one in came:
            if isinstance(one, BaseException) and not isinstance(one, ToolError):
                raise one
        failed = {entity_id: str(one) for entity_id, one in zip(ids, came, strict=True) if one}
        if len(failed) == len(ids):
            raise ToolError(next(iter(failed.values())))
        if not failed:
            return {"done": names}
        return {
            "done": named([by_id[one] for one in ids if one not in failed]),
            "failed": named([by_id[one] for one in failed]),
            "why": next(iter(failed.values())),
        }


def home_tools(settings: HomeSettings, asks: bool) -> list[Tool]:
    """The tools.

    Args:
        settings: Where it is; without an address there are none.
        asks: Whether the user is asked before anything is changed; what opens or guards the house asks always.
    """
    if settings.url is None:
        return []
    return [replace(tool, asks=tool.asks or (asks and tool.acts)) for tool in Home(settings).tools()]


def _service(entity: Entity, action: str) -> tuple[str, dict[str, Any]] | None:
    if action in ("on", "off") and entity.domain in SWITCHED:
        return f"turn_{action}", {}
    if action in ("open", "close") and entity.domain in ("switch", "input_boolean"):
        return ("turn_on" if action == "open" else "turn_off"), {}
    return SERVICES.get((entity.domain, action))


def _told(entity: Entity) -> dict[str, object]:
    more = {key: entity.attributes[key] for key in _SHOWN if isinstance(entity.attributes.get(key), int | float | str)}
    told: dict[str, object] = {"name": entity.name, "state": entity.state, **more}
    return {**told, "area": entity.area} if entity.area else told
