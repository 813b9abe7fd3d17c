"""Home Assistant: what is meant is found, only what is exposed is touched, what guards the house is asked about."""

import asyncio
import json
import sys
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from agent.settings.home import HomeSettings
from agent.settings.load import Settings
from agent.tools.home import home_tools
from agent.tools.home_client import HomeClient
from agent.tools.reflex_words import TABLES, words_of
from agent.tools.tool import ToolError
from agent.tools.toolbox import Toolbox
from tests.agent.tools.test_tools_in_conversation import results
from tests.support.house import Held, hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_home import TOKEN, ScriptedHome, scripted_home
from tests.support.scripted_llm import Reply, ScriptedLLM, ToolCall
from tests.support.virtual_time import in_virtual_time

LANGUAGES = sorted(path.stem for path in TABLES.glob("*.toml"))
GUARDED = ("lock.front", "cover.garage", "alarm_control_panel.home", "switch.garage_opener", "script.everything")


def box_of(home: ScriptedHome, **changes: Any) -> Toolbox:
    settings = HomeSettings.model_validate({"url": home.url, "token": TOKEN, "timeout_secs": 60, **changes})
    return Toolbox(home_tools(settings, asks=False))


async def error_of(box: Toolbox, name: str, arguments: dict[str, Any]) -> str:
    result = await box.call(name, arguments)
    assert isinstance(result, dict)
    return result["error"]


@in_virtual_time
async def test_a_thing_is_switched_by_its_spoken_name_and_all_of_a_kind_by_its_room() -> None:
    async with scripted_home() as home:
        box = box_of(home)
        assert await box.call("home_switch", {"name": "the desk lamb", "action": "off"}) == {
            "done": "Desk lamp (Office)"
        }
        done = await box.call("home_switch", {"name": "the lights", "area": "kitchen", "action": "on"})
        assert done == {"done": "Kitchen ceiling, Kitchen counter"}
        heat = {"name": "office heating", "temperature": 21.5}
        assert await box.call("home_set", heat) == {"done": "Office heater"}
        assert await box.call("home_set", {"name": "floor lamp", "brightness_percent": 40}) == {
            "done": "Floor lamp (Office)"
        }
    assert home.called == [
        ("light.turn_off", {"entity_id": "light.desk"}),
        ("light.turn_on", {"entity_id": "light.kitchen_ceiling"}),
        ("light.turn_on", {"entity_id": "light.kitchen_counter"}),
        ("climate.set_temperature", {"entity_id": "climate.office", "temperature": 21.5}),
        ("light.turn_on", {"entity_id": "light.floor", "brightness_pct": 40}),
    ]


@in_virtual_time
async def test_several_or_none_that_may_be_meant_are_named_and_nothing_is_done() -> None:
    async with scripted_home() as home:
        box = box_of(home)
        several = await error_of(box, "home_switch", {"name": "lamp", "action": "on"})
        assert several == (
            "several things may be meant by 'lamp': Desk lamp (Office), Floor lamp (Office); ask the user which one"
        )
        none = await error_of(box, "home_switch", {"name": "swimming pool", "action": "on"})
        assert none.startswith("nothing is called 'swimming pool'; the nearest are: ")
        area = await error_of(box, "home_switch", {"name": "lights", "area": "cellar", "action": "on"})
        assert area == "there is no area 'cellar'; there are: Hall, Kitchen, Office"
        assert await error_of(box, "home_set", {"name": "floor lamp", "temperature": 20}) == (
            "Floor lamp (Office) has no such setting"
        )
    assert home.called == []


@in_virtual_time
async def test_only_what_is_exposed_or_named_is_seen_and_touched() -> None:
    async with scripted_home() as home:
        everything = await box_of(home).call("home_state", {})
        assert isinstance(everything, list)
        assert len(everything) == len(home.exposed)
        assert "Secret lamp" not in str(everything)
        error = await error_of(box_of(home), "home_switch", {"name": "secret lamp", "action": "off"})
        assert "Secret" not in error.replace("'secret lamp'", "")
        few = box_of(home, entities="light.k*,lock.front", max_entities=2)
        assert await few.call("home_state", {}) == {
            "things": [
                {"name": "Kitchen ceiling", "state": "off", "area": "Kitchen"},
                {"name": "Kitchen counter", "state": "off", "area": "Kitchen"},
            ],
            "more": "1 more; ask by name or area",
        }
        # What the model claims to know of ids is not heeded.
        bold = {"name": "kitchen counter", "action": "off", "entities": ["light.secret"]}
        assert await few.call("home_switch", bold) == {"done": "Kitchen counter"}
    assert home.called == [("light.turn_off", {"entity_id": "light.kitchen_counter"})]


@in_virtual_time
async def test_what_guards_the_house_always_waits_for_a_yes() -> None:
    async with scripted_home() as home:
        box = box_of(home)
        for name in ("front door", "garage door", "alarm", "garage", "good night"):
            assert "call home_guarded for it" in await error_of(box, "home_switch", {"name": name, "action": "on"})
        waiting = await box.call("home_guarded", {"name": "front dor", "action": "unlock"})
        assert isinstance(waiting, dict)
        assert "waiting" in waiting
        assert home.called == []
        # The user is asked about what will be done, not about what was heard.
        assert box.consent.open
        assert box.consent.open.values == {"name": "Front door (Hall)", "action": "unlock", "area": ""}
        assert await box.confirm() == {"done": "Front door (Hall)"}
    assert home.called == [("lock.unlock", {"entity_id": "lock.front"})]


@pytest.mark.parametrize(
    ("mood", "token", "within_secs", "error"),
    [
        ("html", TOKEN, 60, "{url} is not Home Assistant: it answers with something else than JSON"),
        ("object", TOKEN, 60, "{url} is not Home Assistant: it gave no list of states"),
        ("slow", TOKEN, 0.5, "Home Assistant did not answer within 0.5 seconds"),
        ("well", "wrong", 60, "Home Assistant refuses the token: make a new one in your profile there, for home.token"),
    ],
)
@in_virtual_time
async def test_what_goes_wrong_is_one_line(mood: Any, token: str, within_secs: float, error: str) -> None:
    async with scripted_home() as home:
        home.mood = mood
        box = box_of(home, token=token, timeout_secs=within_secs, entities="light.*")
        assert await error_of(box, "home_state", {}) == error.format(url=home.url)
        url = home.url
    gone = await error_of(box, "home_state", {})
    assert gone == f"Home Assistant at {url} cannot be reached"


@in_virtual_time
async def test_a_refusal_is_told_with_its_reason_and_an_ordinary_token_needs_names() -> None:
    async with scripted_home() as home:
        box = box_of(home)
        await box.call("home_guarded", {"name": "alarm", "action": "disarm"})
        assert await box.confirm() == {"error": "Home Assistant refuses that (status 400: Code required)"}
        home.mood = "admin_only"
        error = await error_of(box_of(home), "home_state", {})
        assert error.endswith("name the entities in home.entities, such as light.*")
        named = box_of(home, entities="light.*")
        done = await named.call("home_switch", {"name": "lights", "area": "kitchen", "action": "on"})
        assert done == {"done": "Kitchen ceiling, Kitchen counter"}


@in_virtual_time
async def test_the_token_goes_to_no_other_address_that_the_home_names() -> None:
    heard: list[object] = []

    async def other(line: ServerConnection) -> None:
        await line.send(json.dumps({"type": "auth_required"}))
        heard.append(await line.recv())

    # Every address of 127.0.0.0/8 is this machine, on Linux alone; elsewhere another port stands for another host.
    host = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
    async with serve(other, host, 0) as elsewhere:
        place = f"{host}:{elsewhere.sockets[0].getsockname()[1]}"

        def redirect(line: ServerConnection, request: Request) -> Response:
            heard.append(request.headers.get("Authorization"))
            return Response(302, "Found", Headers({"Location": f"ws://{place}/api/websocket"}), b"")

        async with serve(other, "127.0.0.1", 0, process_request=redirect) as here:
            url = f"http://127.0.0.1:{here.sockets[0].getsockname()[1]}"
            home = HomeSettings.model_validate({"url": url, "token": TOKEN, "timeout_secs": 60})
            with pytest.raises(ToolError, match="does not say what is exposed"):
                await HomeClient(home)._what_is_exposed()
    assert heard == [None]


@in_virtual_time
async def test_what_is_done_in_part_is_told_with_what_failed_and_why() -> None:
    async with scripted_home() as home:
        box = box_of(home)
        home.broken = {"light.kitchen_ceiling"}
        assert await box.call("home_switch", {"name": "lights", "area": "the kitchen", "action": "on"}) == {
            "done": "Kitchen counter",
            "failed": "Kitchen ceiling",
            "why": "Home Assistant refuses that (status 500: unavailable)",
        }
        home.broken = {"light.kitchen_ceiling", "light.kitchen_counter"}
        assert await error_of(box, "home_switch", {"name": "lights", "area": "kitchen", "action": "off"}) == (
            "Home Assistant refuses that (status 500: unavailable)"
        )
    assert home.called == [("light.turn_on", {"entity_id": "light.kitchen_counter"})]


@in_virtual_time
async def test_the_user_is_asked_about_all_that_will_be_done() -> None:
    async with scripted_home() as home:
        home.house |= {f"cover.hall_{n:02}": (f"Blind number {n:02}", "Hall", "open") for n in range(40)}
        home.exposed = tuple(home.house)
        box = box_of(home)
        await box.call("home_guarded", {"name": "blinds", "area": "hall", "action": "close"})
        assert box.consent.open
        first = ", ".join(f"Blind number {n:02} (Hall)" for n in range(8))
        assert box.consent.open.values["name"] == f"{first} and 32 more"
        done = await box.confirm()
    assert done == {"done": f"{first} and 32 more"}
    assert len(home.called) == 40


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_words_for_what_is_asked(language: str) -> None:
    words = words_of(language)
    assert words
    for tool, action in [
        *(("home_switch", one) for one in ("on", "off")),
        *(("home_guarded", one) for one in ("lock", "unlock", "open", "close", "arm", "disarm", "run", "on", "off")),
        ("home_set", ""),
    ]:
        question = words.question(tool, {"name": "X7", "action": action}, "")
        assert "X7" in question
        assert "home" not in question


async def _talk(home: ScriptedHome, script: list[Reply], *heard: str, permission: str = "on") -> tuple[Held, list[Any]]:
    settings = Settings.model_validate(
        {
            "turn": {"speculate": False},
            "tools": {"home": permission},
            "home": {"url": home.url, "token": TOKEN},
        }
    )
    stt = ScriptedRecognizerEngine(*heard)
    async with ScriptedLLM(*script) as llm, hosting(stt, options(llm), ScriptedSynthesizer()) as host:
        held = await hold(host, [say("days_in_a_week.wav")] * len(heard), settings=settings)
        return held, [request.body for request in llm.requests]


@pytest.mark.realtime
@in_virtual_time
async def test_a_door_is_unlocked_on_a_yes_and_a_lamp_at_once() -> None:
    unlock = ToolCall("home_guarded", (json.dumps({"name": "front door", "action": "unlock"}),), "one")
    lamp = ToolCall("home_switch", (json.dumps({"name": "desk lamp", "action": "off"}),), "two")
    script = [Reply(tool_calls=[unlock]), Reply(tool_calls=[lamp]), Reply("It is off.")]
    async with scripted_home() as home:
        held, sent = await _talk(home, script, "unlock the front door", "yes", "desk lamp off")
    assert home.called == [
        ("lock.unlock", {"entity_id": "lock.front"}),
        ("light.turn_off", {"entity_id": "light.desk"}),
    ]
    assert " ".join(held.texts("bot_word")) == "Shall I unlock Front door (Hall)? Done. It is off."
    switch = next(one["function"] for one in sent[0]["tools"] if one["function"]["name"] == "home_switch")
    assert set(switch["parameters"]["properties"]) == {"name", "action", "area"}
    assert json.loads(results(sent[-1])[0])["done"] == {"done": "Front door (Hall)"}


@in_virtual_time
async def test_a_barge_in_while_a_name_is_looked_up_does_nothing() -> None:
    async with scripted_home() as home:
        home.mood = "slow"
        box = box_of(home, entities="light.*")
        asked = asyncio.create_task(box.call("home_switch", {"name": "desk lamp", "action": "off"}))
        while not home.asked:
            await asyncio.sleep(0.01)
        asked.cancel()
        await asyncio.wait([asked])
        home.mood = "well"
        await box.call("home_switch", {"name": "floor lamp", "action": "on"})
    # What came later alone.
    assert home.called == [("light.turn_on", {"entity_id": "light.floor"})]
