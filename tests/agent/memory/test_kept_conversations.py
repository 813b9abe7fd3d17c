"""Conversations that are kept: their owner lists, searches, names, opens, takes along and deletes them; nobody else."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from agent.memory.conversations import MAX_TITLE_CHARS, SHOWN_TITLE_CHARS
from agent.memory.item import Item
from agent.memory.memory import Memory
from agent.memory.store import MemoryStore
from agent.server.wire.owner import memory_owner_of
from tests.agent.memory.test_memory_routes import ANNA, BEN, SCOPE, fill, serving
from tests.support.scripted_llm import Reply
from tests.support.virtual_time import in_virtual_time
from tests.support.websocket_caller import calling

BASE = "/api/memory/conversations"
THEIRS = {"X-Sotto-Browser": BEN}
DAY_SECS = 86_400.0


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


def said(conversation: str, *texts: str, at_secs: float = DAY_SECS, browser: str = ANNA) -> list[Item]:
    """Turns of one conversation: the user's words and the agent's, in turn."""
    owner = memory_owner_of(SCOPE, browser) or ""
    return [
        Item(owner, "agent" if at % 2 else "user", text, at_secs + at, f"{conversation}/1f", at // 2 + 1)
        for at, text in enumerate(texts)
    ]


async def keep(memory: Memory | None, *items: Item) -> None:
    assert memory
    await memory.ask(lambda store: store.add(items))


async def titles(client: httpx.AsyncClient, **query: Any) -> list[str]:
    return [one["title"] for one in (await client.get(BASE, params=query)).json()["conversations"]]


async def ask(client: httpx.AsyncClient, text: str, conversation: str | None = None) -> str:
    """The conversation's id."""
    body = {"text": text, "browser": ANNA, "conversation": conversation}
    answer = await client.post("/api/chat", json=body)
    return json.loads(answer.text.split("data: ")[1].split("\n")[0])["conversation"]


@in_virtual_time
async def test_they_are_listed_by_their_first_question_the_latest_first() -> None:
    async with serving(turns=True) as (client, memory):
        await keep(memory, *said("one", "how  is\nthe weather", "It rains.", "and now", "It rains."))
        await keep(memory, *said("two", "x" * 200, "Yes.", at_secs=2 * DAY_SECS))
        await keep(memory, *said("theirs", "Ben's secret", "Sh.", browser=BEN))
        await fill(memory, "a fact is none")
        answer = (await client.get(BASE)).json()
        assert (answer["kept"], answer["before"]) == (True, None)
        two, one = answer["conversations"]
        assert two["title"] == "x" * (SHOWN_TITLE_CHARS - 1) + "…"
        assert (one["id"], one["title"], one["turns"]) == ("one", "how is the weather", 2)
        assert (one["begun"][:10], two["date"][:10]) == ("1970-01-02", "1970-01-03")


@in_virtual_time
async def test_they_are_found_by_words_of_their_turns_and_titles() -> None:
    async with serving(turns=True) as (client, memory):
        await keep(memory, *said("one", "how is the weather", "It rains cats."))
        await keep(memory, *said("two", "a recipe", "Take three eggs."))
        assert await titles(client, about="rain") == ["how is the weather"]
        assert await titles(client, about="eggs three") == ["a recipe"]
        assert await titles(client, about="eggs cats") == []
        assert await titles(client, about="%'\"*") == []
        assert (await client.patch(f"{BASE}/two", json={"title": " Holiday\nplans "})).status_code == 204
        assert await titles(client, about="holiday") == ["Holiday plans"]
        assert await titles(client) == ["Holiday plans", "how is the weather"]
        # Without a name of its own it is called as before.
        assert (await client.patch(f"{BASE}/two", json={"title": ""})).status_code == 204
        assert await titles(client, about="recipe") == ["a recipe"]


@in_virtual_time
async def test_many_come_in_pages() -> None:
    async with serving(turns=True) as (client, memory):
        await keep(memory, *(item for at in range(60) for item in said(f"c{at}", f"question {at}", "Yes.")))
        first = (await client.get(BASE)).json()
        assert [one["id"] for one in first["conversations"]] == [f"c{at}" for at in range(59, 9, -1)]
        rest = (await client.get(BASE, params={"before": first["before"]})).json()
        assert [one["id"] for one in rest["conversations"]] == [f"c{at}" for at in range(9, -1, -1)]
        assert rest["before"] is None


@in_virtual_time
async def test_one_that_the_server_let_go_of_is_opened_and_goes_on() -> None:
    async with serving(Reply("Still rain."), turns=True) as (client, memory):
        await keep(memory, *said("one", "how is the weather", "It rains."))
        assert (await client.get("/api/conversations/one")).status_code == 404
        answer = (await client.post(f"{BASE}/one", json={"page": "tab"})).json()
        assert answer == {
            "conversation": "one",
            "history": [
                {"role": "user", "text": "how is the weather"},
                {"role": "assistant", "text": "It rains."},
            ],
            "noted": False,
        }
        assert await ask(client, "and now", "one") == "one"
        # What the server has of it by now, as for a page that is loaded anew.
        there = (await client.get("/api/conversations/one")).json()
        assert [turn["text"] for turn in there["history"]] == [
            "how is the weather",
            "It rains.",
            "and now",
            "Still rain.",
        ]
        (one,) = (await client.get(BASE)).json()["conversations"]
        assert (one["id"], one["turns"]) == ("one", 2)


@in_virtual_time
async def test_a_call_goes_on_in_one_that_a_server_which_was_started_anew_has_kept_and_in_nobody_elses() -> None:
    async with serving(turns=True) as (client, memory):
        await keep(memory, *said("one", "I am Ann", "Hello Ann."))
        url = f"{str(client.base_url).replace('http', 'ws').rstrip('/')}/api/ws"
        async with calling(url) as theirs:
            assert (await theirs.join(browser=BEN, conversation="one"))["conversation"] != "one"
            assert (await theirs.until_event("session_started"))["history"] == []
        async with calling(url) as mine:
            assert (await mine.join(browser=ANNA, conversation="one"))["conversation"] == "one"
            started = await mine.until_event("session_started")
            assert [turn["text"] for turn in started["history"]] == ["I am Ann", "Hello Ann."]


@in_virtual_time
async def test_one_is_taken_along_as_text_and_as_json() -> None:
    async with serving(turns=True) as (client, memory):
        await keep(memory, *said("one", "grüß dich", "Hallo."))
        text = (await client.get(f"{BASE}/one/export")).text
        assert text.splitlines()[0] == "grüß dich"
        assert text.endswith("\n\nYou: grüß dich\n\nAgent: Hallo.\n")
        told = (await client.get(f"{BASE}/one/export", params={"kind": "json"})).json()
        assert [(turn["role"], turn["text"]) for turn in told["turns"]] == [
            ("user", "grüß dich"),
            ("assistant", "Hallo."),
        ]
        assert (await client.get(f"{BASE}/one/export", params={"kind": "pdf"})).status_code == 400


@in_virtual_time
async def test_one_that_is_deleted_is_gone_from_the_server_and_its_file() -> None:
    async with serving(Reply("It rains."), Reply("Yes."), turns=True) as (client, memory):
        await fill(memory, "a fact stays")
        gone, kept = await ask(client, "the xylophone"), await ask(client, "another one")
        await client.patch(f"{BASE}/{gone}", json={"title": "Zanzibar"})
        assert memory
        path = await memory.ask(lambda store: store.path)
        assert b"xylophone" in path.read_bytes()
        assert b"Zanzibar" in path.read_bytes()
        assert (await client.delete(f"{BASE}/{gone}")).status_code == 204
        assert (await client.get(f"/api/conversations/{gone}")).status_code == 404
        assert (await client.get(f"/api/conversations/{kept}")).status_code == 200
        assert b"xylophone" not in path.read_bytes()
        assert b"Zanzibar" not in path.read_bytes()
        assert await titles(client) == ["another one"]
        assert "a fact stays" in (await client.get("/api/memory")).text


@pytest.mark.parametrize("everything", [True, False])
@in_virtual_time
async def test_a_title_goes_with_the_last_of_its_turns(everything: bool) -> None:
    async with serving(turns=True) as (client, memory):
        await keep(memory, *said("one", "how is the weather", "It rains."))
        await client.patch(f"{BASE}/one", json={"title": "Zanzibar"})
        for path in ("/api/memory",) if everything else ("/api/memory/1", "/api/memory/2"):
            assert (await client.delete(path)).status_code == 204
        assert memory
        assert b"Zanzibar" not in (await memory.ask(lambda store: store.path)).read_bytes()
        assert await titles(client) == []


@in_virtual_time
async def test_nobody_reaches_those_of_another() -> None:
    async with serving(turns=True) as (client, memory):
        await keep(memory, *said("one", "Anna's secret", "Sh."))
        for name in ("one", "one/1f", "o", "", "%", "one%00", "'; drop table items; --", "x" * 5_000):
            path = f"{BASE}/{quote(name or ' ', safe='')}"
            headers = THEIRS if name == "one" else {}
            answers = [
                await client.post(path, json={}, headers=headers),
                await client.get(f"{path}/export", headers=headers),
                await client.patch(path, json={"title": "mine"}, headers=headers),
                await client.delete(path, headers=headers),
            ]
            assert {answer.status_code for answer in answers} <= {404, 405}, name
        assert (await client.get(BASE, headers=THEIRS)).json()["conversations"] == []
        assert await titles(client) == ["Anna's secret"]


@pytest.mark.parametrize("title", [None, 7, ["x"], "x" * (MAX_TITLE_CHARS + 1)])
@in_virtual_time
async def test_a_bad_title_is_refused(title: object) -> None:
    async with serving(turns=True) as (client, memory):
        await keep(memory, *said("one", "how is the weather", "It rains."))
        answer = await client.patch(f"{BASE}/one", json={"title": title})
        assert (answer.status_code, "title is" in answer.json()["error"]) == (400, True)
        assert await titles(client) == ["how is the weather"]


@in_virtual_time
async def test_a_title_is_text_and_nothing_else() -> None:
    async with serving(turns=True) as (client, memory):
        await keep(memory, *said("one", "how is the weather", "It rains."))
        content = json.dumps({"title": "<b>\ud800\u0000 'x' --"})
        assert (await client.patch(f"{BASE}/one", content=content)).status_code == 204
        assert await titles(client) == ["<b>? 'x' --"]


@in_virtual_time
async def test_another_site_and_who_sends_no_id_reach_nothing() -> None:
    away = {"Origin": "https://evil.example"}
    async with serving(turns=True) as (client, memory):
        await keep(memory, *said("one", "how is the weather", "It rains."))
        for method, path in (("GET", BASE), ("POST", f"{BASE}/one"), ("DELETE", f"{BASE}/one")):
            assert (await client.request(method, path, headers=away)).status_code == 403
            assert (await client.request(method, path, headers={"X-Sotto-Browser": "short"})).status_code == 400
        assert (await client.get("/api/conversations/one", headers=away)).status_code == 403
        assert await titles(client) == ["how is the weather"]


@in_virtual_time
async def test_without_the_switch_there_are_none() -> None:
    async with serving(keep=False) as (client, _):
        assert (await client.get(BASE)).json()["error"].startswith("the memory is off")
        assert (await client.get("/api/options")).json()["conversations"] is False
    async with serving(Reply("It rains.")) as (client, _):
        await ask(client, "how is the weather")
        assert (await client.get(BASE)).json() == {"kept": False, "conversations": [], "before": None}
        assert (await client.get("/api/options")).json()["conversations"] is False


@in_virtual_time
async def test_a_question_that_is_asked_again_leaves_nothing_of_what_came_after_it() -> None:
    async with serving(Reply("It rains."), Reply("Yes."), Reply("Snow."), turns=True) as (client, memory):
        await keep(memory, *said("other", "how is the weather", "Fine."))
        conversation = await ask(client, "how is the weather")
        await ask(client, "xylophone", conversation)
        back = {"text": "how is the weather", "later": 1}
        body = {"text": "and in Rome", "conversation": conversation, "browser": ANNA, "back": back}
        assert "Snow." in (await client.post("/api/chat", json=body)).text
        there = (await client.get(f"/api/conversations/{conversation}")).json()["history"]
        assert [turn["text"] for turn in there] == ["and in Rome", "Snow."]
        assert memory
        path = await memory.ask(lambda store: store.path)
        assert b"xylophone" not in path.read_bytes()
        assert await titles(client) == ["and in Rome", "how is the weather"]


def test_a_memory_of_an_older_version_is_taken_on(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path / "memory.sqlite3")
    store.add(said("one", "how is the weather", "It rains."))
    store._file.change(lambda db: (db.execute("drop table titles"), db.execute("pragma user_version = 1")))
    store.close()
    owner = memory_owner_of(SCOPE, ANNA) or ""
    assert [one.title for one in store.conversations.newest(owner, before=2**53, limit=9)] == ["how is the weather"]
    assert store.conversations.rename(owner, "one", "Weather")
    store.close()
