"""What the agent does, as the page shows it: each call with what it was given, what came of it, and a way back."""

import json
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.support.axe import find_barriers
from tests.support.chromium import visit
from tests.support.stub_peer import StubPeer
from tests.support.stub_server import StubServer, call, choose, items, say_a_turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NOTE = {"name": "notes.txt", "text": "buy milk"}
CREATED = {"created": "notes.txt", "bytes": 9}
SHOWN = "Create a file notes.txt, buy milk"


def create(peer: StubPeer, call_id: str = "c1", *, undo: str = "", result: Any = CREATED) -> None:
    """A call that is over after 42 ms."""
    peer.send("tool_call", id=call_id, name="create_file", arguments=NOTE, t=1.0)
    if undo:
        peer.send("tool_undo", id=call_id, name="create_file", undo=undo, state="offered")
    peer.send("tool_result", id=call_id, name="create_file", result=result, t=1.042)


async def test_a_call_is_shown_with_what_it_was_given_what_came_of_it_and_its_time(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.send("turn_ended", text="note that")
        peer.send("bot_planned", text="One moment.")
        peer.send("tool_call", id="c1", name="create_file", arguments=NOTE, t=1.0)
        await expect(page.locator(".tool summary")).to_have_text(f"{SHOWN} running…")
        peer.send("tool_result", id="c1", name="create_file", result=CREATED, t=1.042)
        await expect(page.locator(".tool summary")).to_have_text(f"{SHOWN} done in 42 ms")
        peer.send("bot_word", text="Done.")
        await expect(page.locator(".agent .said")).to_have_text("Done.")
        # Before the answer that it was done for, and closed.
        assert await items(page) == ["You note that", f"{SHOWN} done in 42 ms", "Agent Done. One moment."]
        await expect(page.locator(".tool pre").first).to_be_hidden()
        await page.locator(".tool summary").focus()
        await page.keyboard.press("Enter")
        given, came = page.locator(".tool pre").nth(0), page.locator(".tool pre").nth(1)
        assert json.loads(await given.inner_text()) == NOTE
        assert json.loads(await came.inner_text()) == CREATED
        await expect(page.get_by_role("button", name="Take back")).to_have_count(0)


async def test_its_state_is_told_in_words(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        state = page.locator(".tool .tool-state").last
        for n, (events, expected) in enumerate(
            (
                ([("tool_result", {"result": {"waiting": "for a yes"}})], "waiting for your yes"),
                (
                    [
                        ("tool_result", {"result": {"waiting": "for a yes"}}),
                        ("tool_result", {"result": {"saved": 1}, "late": True, "t": 9.0}),
                    ],
                    "done",
                ),
                ([("tool_result", {"result": {"error": "the disk is full"}, "t": 2.5})], "failed in 1.5 s"),
                ([("tool_cancelled", {})], "cancelled"),
                ([("tool_cancelled", {}), ("tool_result", {"result": "x", "late": True, "t": 3.0})], "done in 2.0 s"),
                ([("tool_result", {"id": "another", "result": 1})], "running…"),
            )
        ):
            peer.send("tool_call", id=f"c{n}", name="look_it_up", arguments={}, t=1.0)
            for event, fields in events:
                peer.send(event, **{"id": f"c{n}", "name": "look_it_up", **fields})
            await expect(state).to_have_text(expected)
        await expect(page.locator(".tool-name").last).to_have_text("Look it up")
        await page.get_by_role("button", name="Leave").click()
        await expect(state).to_have_text("not known: the call ended before")


async def test_an_act_is_taken_back_once_and_the_page_says_what_came_of_it(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        create(peer, undo="4f1c")
        create(peer, "c2", undo="77aa")
        first, second = page.locator(".tool").nth(0), page.locator(".tool").nth(1)
        button = first.get_by_role("button", name=f"Take back: {SHOWN}")
        await button.focus()
        await page.keyboard.press("Enter")
        await expect(button).to_have_text("Taking back…")
        await page.keyboard.press("Enter")
        await second.get_by_role("button").click()
        assert await peer.commands(2) == [{"type": "undo", "undo": "4f1c"}, {"type": "undo", "undo": "77aa"}]
        await button.focus()
        peer.send("tool_undo", id="c1", name="create_file", undo="4f1c", state="done")
        await expect(first.locator("summary")).to_have_text(f"{SHOWN} taken back")
        await expect(button).to_be_hidden()
        await expect(first.locator("summary")).to_be_focused()
        await expect(page.locator("#announcer")).to_have_text("Taken back.")
        why = "notes.txt was changed since; it is left as it is"
        peer.send("tool_undo", id="c2", name="create_file", undo="77aa", state="failed", error=why)
        await expect(second.locator(".note")).to_have_text(f"Not taken back: {why}.")
        assert len(await peer.commands(2)) == 2


async def test_what_a_call_offered_is_gone_with_it(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        create(peer, undo="4f1c")
        await expect(page.get_by_role("button", name="Take back")).to_be_visible()
        await page.get_by_role("button", name="Leave").click()
        await expect(page.get_by_role("button", name="Take back")).to_have_count(0)
        assert await items(page) == [f"{SHOWN} done in 42 ms"]


async def test_what_a_tool_says_is_text_and_nothing_else(browser: Browser, stub: StubServer) -> None:
    evil = '<img src=x onerror="document.title = 1"><b>bold</b>**bold** [link](javascript:alert(1))\n' * 200
    async with visit(browser, stub.url, viewport={"width": 320, "height": 700}) as page:
        peer = await call(page, stub)
        peer.send("tool_call", id="e", name="<b>evil</b>", arguments={"name": evil, "n": {"a": [evil]}}, t="soon")
        peer.send("tool_result", id="e", name="x", result=evil, t=None)
        peer.send("tool_undo", id="e", undo={"a": 1}, state="offered")
        for nonsense in ({}, {"id": 7}, {"id": "n", "name": None, "arguments": [1]}):
            peer.send("tool_call", **nonsense)
            peer.send("tool_result", **nonsense)
            peer.send("tool_undo", **nonsense)
        await expect(page.locator(".tool")).to_have_count(4)
        await page.locator(".tool summary").first.click()
        assert await page.locator(".tool pre").nth(1).inner_text() == evil
        assert await page.locator(".tool :is(img, b, a, strong)").count() == 0
        assert await page.evaluate("document.scrollingElement.scrollWidth") == 320
        await expect(page.locator(".tool .given").first).to_contain_text("…")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_tools_keep_nobody_out(browser: Browser, stub: StubServer, scheme: str) -> None:
    async with visit(browser, stub.url, color_scheme=scheme) as page:
        peer = await call(page, stub)
        say_a_turn(peer, "note that", "Done.")
        create(peer, undo="4f1c")
        create(peer, "c2", result={"error": "the disk is full"})
        peer.send("tool_call", id="c3", name="set_timer", arguments={"seconds": 5})
        await expect(page.locator(".tool")).to_have_count(3)
        await page.locator(".tool summary").first.click()
        assert await find_barriers(page) == []


async def test_the_saved_text_tells_of_what_was_done(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        create(peer)
        await expect(page.locator(".tool")).to_have_count(1)
        async with page.expect_download() as saving:
            await choose(page, "Save as text")
        saved = await (await saving.value).path()
        assert saved.read_text("utf-8") == "[Create a file: notes.txt, buy milk (done in 42 ms)]\n"
