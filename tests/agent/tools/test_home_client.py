"""How Home Assistant is asked: by one client, no more than is new, and read beside the event loop."""

import json
import threading
from collections import Counter
from typing import Any

import httpx
import pytest

from agent.settings.home import HomeSettings
from agent.tools import home_client
from agent.tools.home_answers import read_list
from agent.tools.home_client import HomeClient
from tests.support.left_over import leaving_nothing
from tests.support.scripted_home import TOKEN, ScriptedHome, scripted_home
from tests.support.virtual_time import in_virtual_time


def client_of(home: ScriptedHome, **changes: Any) -> HomeClient:
    return HomeClient(HomeSettings.model_validate({"url": home.url, "token": TOKEN, "timeout_secs": 60, **changes}))


@in_virtual_time
async def test_what_seldom_changes_is_asked_once_and_the_states_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[httpx.AsyncClient] = []

    class Counted(httpx.AsyncClient):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            made.append(self)

    monkeypatch.setattr(httpx, "AsyncClient", Counted)
    async with scripted_home() as home:
        client = client_of(home)
        first = await client.entities()
        home.house["light.desk"] = ("Desk lamp", "Office", "off")
        second = await client.entities()
        assert [one.area for one in first] == [one.area for one in second]
        assert [one.id for one, other in zip(first, second, strict=True) if one != other] == ["light.desk"]
        assert Counter(home.asked) == {"/api/states": 2, "/api/template": 1, "/api/websocket": 1}
        monkeypatch.setattr(home_client, "KEPT_SECS", 0.0)
        client = client_of(home)
        await client.entities()
        await client.entities()
        assert Counter(home.asked) == {"/api/states": 4, "/api/template": 3, "/api/websocket": 3}
    # One of each.
    assert len(made) == 2


@in_virtual_time
async def test_areas_that_are_refused_are_asked_for_again() -> None:
    async with scripted_home() as home:
        home.mood = "admin_only"
        client = client_of(home, entities="light.desk")
        (desk,) = await client.entities()
        assert desk.area == ""
        home.mood = "well"
        (desk,) = await client.entities()
        assert desk.area == "Office"


@in_virtual_time
async def test_no_connection_outlives_its_answer() -> None:
    async with scripted_home() as home:
        client = client_of(home)
        # What is loaded and kept at the first time stays.
        await client.entities()
        async with leaving_nothing():
            await client.entities()
            await client.act("light", "turn_on", {"entity_id": "light.desk"})


@in_virtual_time
async def test_long_answers_are_read_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    readers: list[threading.Thread] = []

    def noted(read: Any) -> Any:
        def reading(*given: Any) -> Any:
            readers.append(threading.current_thread())
            return read(*given)

        return reading

    for name in ("read_list", "entities_of"):
        monkeypatch.setattr(home_client, name, noted(getattr(home_client, name)))
    async with scripted_home() as home:
        await client_of(home).entities()
    # The states, the areas, and what comes of both.
    assert len(readers) == 3
    assert threading.main_thread() not in readers


@pytest.mark.parametrize(
    "values", [[], [1], [[], {}], [{"entity_id": "light.a", "attributes": {"ü": [1, 2, {"x": "],"}]}}, "[", None, 1.5]]
)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_list_is_read_one_after_the_other_as_it_would_be_as_a_whole(values: list[Any], indent: int | None) -> None:
    for ascii_only in (True, False):
        assert read_list(f" {json.dumps(values, indent=indent, ensure_ascii=ascii_only)}\n".encode()) == values


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[", b"[1", b"[1, {", b"[1}", b"\xff[1]"])
def test_what_is_no_json_is_refused(answer: bytes) -> None:
    with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)):
        read_list(answer)
