"""The memory over HTTP: each caller sees, edits, deletes and takes along his own, and nobody else's."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.memory.item import Item
from agent.memory.memory import YOURS, Memory
from agent.server.wire.owner import memory_owner_of
from tests.support.llm_session import options
from tests.support.scripted_llm import Reply, ScriptedLLM, ToolCall
from tests.support.served import serving_page
from tests.support.speech_callers import NotingEngine
from tests.support.virtual_time import in_virtual_time

ANNA, BEN = "a" * 32, "b" * 32
SCOPE: dict[str, Any] = {"client": ("127.0.0.1", 1), "state": {}}


@asynccontextmanager
async def serving(
    *script: Reply, keep: bool = True, turns: bool = False, **limits: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, Memory | None]]:
    """A server with a memory, and a client of Anna's browser."""
    settings = {"memory.keep": keep, "memory.conversations": turns}
    async with (
        ScriptedLLM(*script) as llm,
        serving_page(NotingEngine(), options(llm), settings=settings, **limits) as served,
        httpx.AsyncClient(base_url=served.url, headers={"X-Sotto-Browser": ANNA}, trust_env=False) as client,
    ):
        yield client, served.state.sessions().memory


async def fill(memory: Memory | None, *texts: str, browser: str = ANNA) -> None:
    assert memory
    owner = memory_owner_of(SCOPE, browser) or ""
    await memory.ask(lambda store: store.add([Item(owner, "fact", text, 86_400.0 * 365) for text in texts]))


async def texts(client: httpx.AsyncClient, **query: Any) -> list[str]:
    return [item["text"] for item in (await client.get("/api/memory", params=query)).json()["items"]]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


@in_virtual_time
async def test_each_caller_has_his_own_alone() -> None:
    async with serving() as (client, memory):
        await fill(memory, "milk", "bread")
        await fill(memory, "Ben's secret", browser=BEN)
        assert await texts(client) == ["bread", "milk"]
        theirs = {"X-Sotto-Browser": BEN}
        assert [one["text"] for one in (await client.get("/api/memory", headers=theirs)).json()["items"]] == [
            "Ben's secret"
        ]
        answers = [
            await client.patch("/api/memory/3", json={"text": "mine now"}),
            await client.delete("/api/memory/3"),
            await client.delete("/api/memory/99"),
            await client.delete("/api/memory/" + "9" * 40),
        ]
        assert [answer.status_code for answer in answers] == [404] * 4
        assert (await client.delete("/api/memory")).status_code == 204
        assert await texts(client) == []
        assert len((await client.get("/api/memory", headers=theirs)).json()["items"]) == 1


@in_virtual_time
async def test_what_is_remembered_is_searched_edited_forgotten_and_exported() -> None:
    async with serving() as (client, memory):
        await fill(memory, "the key is red", "milk")
        assert await texts(client, about="which key?") == ["the key is red"]
        assert (await client.patch("/api/memory/1", json={"text": " the key is blue "})).status_code == 204
        lines = (await client.get("/api/memory/export")).text.splitlines()
        assert [(line["number"], line["kind"], line["text"]) for line in map(json.loads, lines)] == [
            (1, "fact", "the key is blue"),
            (2, "fact", "milk"),
        ]
        assert json.loads(lines[0])["date"].startswith("1971-01-01T")
        assert (await client.delete("/api/memory/1")).status_code == 204
        assert await texts(client) == ["milk"]


@in_virtual_time
async def test_many_come_in_pages() -> None:
    async with serving() as (client, memory):
        await fill(memory, *map(str, range(120)))
        answer = (await client.get("/api/memory")).json()
        assert (len(answer["items"]), answer["before"]) == (50, 71)
        assert (await texts(client, before=71))[:1] == ["69"]
        last = (await client.get("/api/memory", params={"before": 21})).json()
        assert (len(last["items"]), last["before"]) == (20, None)


@pytest.mark.parametrize("body", [{}, {"text": 7}, {"text": "  "}, {"text": "x" * 2_001}])
@in_virtual_time
async def test_a_bad_edit_is_refused(body: dict[str, Any]) -> None:
    async with serving() as (client, memory):
        await fill(memory, "milk")
        answer = await client.patch("/api/memory/1", json=body)
        assert (answer.status_code, "text is" in answer.json()["error"]) == (400, True)
        assert await texts(client) == ["milk"]


@in_virtual_time
async def test_a_side_of_a_turn_may_be_as_long_when_it_is_edited_as_when_it_was_kept() -> None:
    async with serving() as (client, memory):
        await fill(memory, "milk")
        assert memory
        owner = memory_owner_of(SCOPE, ANNA) or ""
        await memory.ask(lambda store: store.add([Item(owner, "user", "x" * 8_000, 1.0, "c/1", 1)]))
        for text, status in (("y" * 8_000, 204), ("z" * 8_001, 400)):
            answer = await client.patch("/api/memory/2", json={"text": text})
            assert answer.status_code == status
        assert await texts(client) == ["y" * 8_000, "milk"]


@in_virtual_time
async def test_without_the_switch_there_is_nothing_to_see() -> None:
    async with serving(keep=False) as (client, _):
        for method, path in (("GET", ""), ("GET", "/export"), ("DELETE", ""), ("DELETE", "/1"), ("PATCH", "/1")):
            answer = await client.request(method, f"/api/memory{path}")
            assert (answer.status_code, answer.json()["error"].split(":")[0]) == (404, "the memory is off")
        assert (await client.get("/api/options")).json()["memory"] is False


@in_virtual_time
async def test_who_sends_no_id_has_no_memory_and_the_token_opens_yours() -> None:
    async with serving() as (client, _):
        assert (await client.get("/api/memory", headers={"X-Sotto-Browser": "short"})).status_code == 400
    async with serving(token="correct horse") as (client, memory):
        assert memory
        await memory.ask(lambda store: store.add([Item(YOURS, "fact", "yours", 0.0)]))
        assert (await client.get("/api/memory")).status_code == 401
        shown = {"Authorization": "Bearer correct horse"}
        assert [one["text"] for one in (await client.get("/api/memory", headers=shown)).json()["items"]] == ["yours"]


@in_virtual_time
async def test_another_site_cannot_reach_it() -> None:
    async with serving() as (client, memory):
        await fill(memory, "milk")
        answer = await client.delete("/api/memory", headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403
        assert await texts(client) == ["milk"]


@in_virtual_time
async def test_a_damaged_file_is_told_in_one_line() -> None:
    async with serving() as (client, memory):
        await fill(memory, "milk")
        assert memory
        path = await memory.ask(lambda store: (store.close(), store.path)[1])
        path.write_bytes(b"broken" * 2_000)
        answer = await client.get("/api/memory")
        assert (answer.status_code, "is damaged" in answer.json()["error"]) == (503, True)
        # No call holds the conversation: that would be 409.
        answer = await client.delete("/api/conversations/abc")
        assert (answer.status_code, "is damaged" in answer.json()["error"]) == (503, True)


@in_virtual_time
async def test_typed_questions_are_kept_with_their_answers_only_if_conversations_are() -> None:
    for turns, expected in ((False, []), (True, ["It rains.", "how is the weather"])):
        async with serving(Reply("It rains."), turns=turns) as (client, _):
            answer = await client.post("/api/chat", json={"text": "how is the weather", "browser": ANNA})
            assert "It rains." in answer.text
            assert await texts(client) == expected


@in_virtual_time
async def test_typed_questions_recall_what_is_ones_own_and_it_is_not_kept_again() -> None:
    recall = ToolCall("recall", ('{"about": "cat"}',))
    script = (Reply(tool_calls=[recall]), Reply("It is Tom."), Reply("I do not know."))
    async with serving(*script, turns=True) as (client, memory):
        await fill(memory, "the cat is called Tom")
        await fill(memory, "the cat is called Max", browser=BEN)
        answer = await client.post("/api/chat", json={"text": "what is my pet called", "browser": ANNA})
        assert "It is Tom." in answer.text
        assert await texts(client) == ["what is my pet called", "the cat is called Tom"]
        # Without a memory of his own, a caller is not offered it, and whoever calls it all the same is told.
        assert "I do not know." in (await client.post("/api/chat", json={"text": "and mine"})).text


@in_virtual_time
async def test_a_program_recalls_by_the_token_alone_and_nothing_of_it_is_kept() -> None:
    recall = Reply(tool_calls=[ToolCall("recall", ('{"about": "cat"}',))])
    body = {"messages": [{"role": "user", "content": "what is my pet called"}]}
    async with serving(recall, Reply("Tom."), turns=True, token="x" * 24) as (client, memory):
        assert memory
        await memory.ask(lambda store: store.add([Item(YOURS, "fact", "the cat is called Tom", 86_400.0)]))
        shown = {"Authorization": "Bearer " + "x" * 24}
        answer = await client.post("/v1/chat/completions", json=body, headers=shown)
        assert answer.json()["choices"][0]["message"]["content"] == "Tom."
        kept = await memory.ask(lambda store: store.latest(YOURS, limit=9))
        assert [item.text for item in kept] == ["the cat is called Tom"]
    async with serving(recall, Reply("No."), api_key="key") as (client, memory):
        await fill(memory, "the cat is called Tom")
        answer = await client.post("/v1/chat/completions", json=body, headers={"Authorization": "Bearer key"})
        assert answer.json()["choices"][0]["message"]["content"] == "No."


@in_virtual_time
async def test_a_conversation_that_is_deleted_is_gone_from_the_memory_too() -> None:
    async with serving(Reply("It rains."), Reply("Yes."), turns=True) as (client, memory):
        await fill(memory, "a fact stays")
        ids = []
        for text in ("how is the weather", "another one"):
            answer = await client.post("/api/chat", json={"text": text, "browser": ANNA})
            ids.append(json.loads(answer.text.split("data: ")[1].split("\n")[0])["conversation"])
        assert (await client.delete(f"/api/conversations/{ids[0]}")).status_code == 204
        assert await texts(client) == ["Yes.", "another one", "a fact stays"]
        # Also long after the server has forgotten the history; not by a part of the id, nor by nothing.
        assert (await client.delete(f"/api/conversations/{ids[1][:-1]}")).status_code == 404
        assert (await client.delete("/api/conversations/%25")).status_code == 404
        assert len(await texts(client)) == 3
