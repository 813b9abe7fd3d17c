"""Earlier conversations on the page: listed, found, named, opened and gone on with, taken along, deleted."""

import json
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from agent.memory.item import Item
from agent.server.wire.owner import memory_owner_of
from tests.support.axe import find_barriers
from tests.support.chromium import visit
from tests.support.served import ServedEngine
from tests.support.stub_server import StubServer, items
from tests.web.test_page_memory import BROWSER, MINE, serving
from tests.web.test_page_written import write

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

DAY_SECS = 86_400.0


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


async def keep(served: ServedEngine, *conversations: tuple[str, str, str]) -> None:
    """Conversations of this browser: id, question, answer."""
    memory = served.state.sessions().memory
    assert memory
    owner = memory_owner_of({"client": None, "state": {}}, BROWSER) or ""
    said = [
        Item(owner, kind, text, DAY_SECS * at, f"{name}/1f", 1)
        for at, (name, *texts) in enumerate(conversations, 1)
        for kind, text in zip(("user", "agent"), texts, strict=True)
    ]
    await memory.ask(lambda store: store.add(said))  # pyright: ignore[reportArgumentType]


async def open_list(page: Page) -> None:
    await page.get_by_role("button", name="Conversation").click()
    await page.get_by_role("button", name="Earlier ones…").click()
    await expect(page.get_by_role("dialog", name="Conversations")).to_be_visible()


async def test_earlier_conversations_are_found_named_opened_and_gone_on_with(browser: Browser) -> None:
    async with serving(turns=True) as served, visit(browser, served.url, script=MINE) as page:
        await keep(served, ("one", "how is <b>tea</b> made", "With *water*."), ("two", "a story", "Once."))
        await open_list(page)
        titles = page.locator(".kept-title")
        await expect(titles).to_have_text(["a story", "how is <b>tea</b> made"])
        await page.get_by_label("Find").fill("water")
        await expect(titles).to_have_text(["how is <b>tea</b> made"])
        await page.get_by_role("button", name="Rename").click()
        # Escape leaves the title, and not the dialog.
        title = page.get_by_role("textbox", name="Title")
        await title.press("Escape")
        await expect(page.get_by_role("button", name="Rename")).to_be_focused()
        await page.keyboard.press("Enter")
        await title.fill("Water")
        await title.press("Enter")
        await expect(titles).to_have_text(["Water"])
        await expect(titles).to_be_focused()
        assert await find_barriers(page) == []
        for kind, of_it in (("Text", "Agent: With *water*."), ("JSON", '"text": "With *water*."')):
            async with page.expect_download() as download:
                await page.get_by_role("button", name=kind).click()
            assert of_it in (await (await download.value).path()).read_text("utf-8")
        await titles.click()
        await expect(page.get_by_role("dialog", name="Conversations")).to_be_hidden()
        assert await items(page) == ["You how is <b>tea</b> made", "Agent With water."]
        await write(page, "and in rain")
        await expect(page.locator(".agent").last).to_contain_text("It rains.")
        await page.reload()
        await expect(page.locator("#conversation .item")).to_have_count(4)
        assert (await items(page))[0] == "You how is <b>tea</b> made"
        await open_list(page)
        await expect(page.locator(".kept-title")).to_have_text(["Water", "a story"])
        await expect(page.locator(".memory-head").first).to_contain_text("2 turns")


async def test_a_reload_after_the_server_was_started_anew_shows_what_it_has_kept(browser: Browser) -> None:
    here = f"{MINE}; sessionStorage.setItem('sotto.conversation', 'one');"
    async with serving(turns=True) as served:
        await keep(served, ("one", "how is tea made", "With water."))
        async with visit(browser, served.url, script=here, allowed_errors=["status of 404"]) as page:
            await expect(page.locator(".agent")).to_contain_text(["With water."])
            await write(page, "and in rain")
            await expect(page.locator(".agent").last).to_contain_text("It rains.")
            assert await page.evaluate('sessionStorage.getItem("sotto.conversation")') == "one"


async def test_one_that_is_deleted_is_gone_here_and_there(browser: Browser) -> None:
    errors = ["ERR_FAILED"]
    async with serving(turns=True) as served, visit(browser, served.url, script=MINE, allowed_errors=errors) as page:
        await keep(served, ("one", "how is tea made", "With water."), ("two", "a story", "Once."))
        # What cannot be loaded is told.
        await page.route("**/conversations_panel.js", lambda route: route.abort())
        await page.get_by_role("button", name="Conversation").click()
        await page.get_by_role("button", name="Earlier ones…").click()
        await expect(page.locator("#problem")).to_contain_text("The conversations could not be shown")
        await page.unroute("**/conversations_panel.js")
        await open_list(page)
        await page.locator(".kept-title").last.click()
        await expect(page.locator(".agent")).to_contain_text(["With water."])
        await open_list(page)
        await page.locator(".memory-item").last.get_by_role("button", name="Delete…").click()
        asked = page.get_by_role("dialog", name="Delete this conversation for good?")
        await asked.get_by_role("button", name="Delete").click()
        await expect(page.locator(".kept-title")).to_have_text(["a story"])
        assert await items(page) == []
        assert await page.evaluate('sessionStorage.getItem("sotto.conversation")') is None
        memory = served.state.sessions().memory
        assert memory
        assert [item.text for item in await memory.ask(lambda store: store.items(None))][-2:] == ["a story", "Once."]


async def test_where_none_are_kept_there_is_no_way_to_them(browser: Browser, stub: StubServer) -> None:
    async with serving() as served, visit(browser, served.url, script=MINE) as page:
        await expect(page.get_by_role("button", name="Memory")).to_be_visible()
        await expect(page.get_by_role("button", name="Conversation")).to_be_hidden()
        await write(page, "hello")
        await page.get_by_role("button", name="Conversation").click()
        await expect(page.get_by_role("button", name="Save as text")).to_be_visible()
        await expect(page.locator("#open-conversations")).to_be_hidden()
        kept = await page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
        assert "hello" not in json.dumps(kept)
