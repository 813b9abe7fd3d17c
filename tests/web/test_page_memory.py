"""The page's memory: what is remembered of this browser can be seen, searched, edited, forgotten and taken along."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from agent.memory.item import Item
from agent.server.wire.owner import memory_owner_of
from tests.support.axe import find_barriers
from tests.support.chromium import visit
from tests.support.llm_session import options
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.served import ServedEngine, serving_page
from tests.support.speech_callers import NotingEngine
from tests.support.stub_server import StubServer, call, items

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

BROWSER = "0123456789abcdef" * 2
MINE = f'localStorage.setItem("sotto.browser", "{BROWSER}");'
FACTS = ("The key is under the red mat.", "<b>milk</b> & bread", "Anna's birthday is on May 5.")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


@asynccontextmanager
async def serving(*texts: str, keep: bool = True, turns: bool = False) -> AsyncIterator[ServedEngine]:
    """The real server, whose memory holds these facts of this browser, and one of another."""
    settings = {"memory.keep": keep, "memory.conversations": turns}
    async with (
        ScriptedLLM(Reply("It rains.")) as llm,
        serving_page(NotingEngine(), options(llm), settings=settings) as served,
    ):
        if memory := served.state.sessions().memory:
            owner = memory_owner_of({"client": None, "state": {}}, BROWSER) or ""
            items = [Item(owner, "fact", text, 1_790_000_000.0 + 100 * number) for number, text in enumerate(texts)]
            await memory.ask(lambda store: store.add([*items, Item("another", "fact", "not yours", 0.0)]))
        yield served


async def open_memory(page: Page) -> None:
    await page.get_by_role("button", name="Memory").click()
    await expect(page.get_by_role("dialog", name="Memory")).to_be_visible()


async def test_without_the_switch_there_is_no_button(browser: Browser) -> None:
    async with serving(keep=False) as served, visit(browser, served.url) as page:
        await expect(page.locator("#engines-list .stage")).not_to_have_count(0)
        await page.get_by_role("button", name="Settings").click()
        await expect(page.locator("#settings-fields fieldset")).not_to_have_count(0)
        await expect(page.locator("#open-memory")).to_be_hidden()


async def test_what_is_remembered_is_seen_searched_edited_and_forgotten(browser: Browser) -> None:
    async with serving(*FACTS) as served, visit(browser, served.url, script=MINE) as page:
        await open_memory(page)
        texts = page.locator(".memory-text")
        # As text, never as markup; the newest first; nothing of another's.
        await expect(texts).to_have_text(list(reversed(FACTS)))
        await page.get_by_label("Search").fill("which key?")
        await expect(texts).to_have_text([FACTS[0]])
        await page.get_by_role("button", name="Edit").click()
        await page.get_by_label("What is remembered").fill("The key is in the kitchen.")
        await page.get_by_role("button", name="Save").click()
        await expect(texts).to_have_text(["The key is in the kitchen."])
        await expect(page.get_by_role("button", name="Edit")).to_be_focused()
        await page.get_by_label("Search").fill("")
        await expect(texts).to_have_count(3)
        await page.locator(".memory-item").nth(1).get_by_role("button", name="Forget").click()
        await page.get_by_role("dialog", name="Forget this for good?").get_by_role("button", name="Forget").click()
        await expect(texts).to_have_text([FACTS[2], "The key is in the kitchen."])
        memory = served.state.sessions().memory
        assert memory
        assert len(await memory.ask(lambda store: store.items(None))) == 3


async def test_everything_is_forgotten_on_a_yes_in_a_dialog_and_on_nothing_else(browser: Browser) -> None:
    async with serving(*FACTS) as served, visit(browser, served.url, script=MINE) as page:
        await open_memory(page)
        memory = served.state.sessions().memory
        assert memory
        forget = page.locator("#memory-forget")
        asked = page.get_by_role("dialog", name="Forget everything for good?")
        # Neither a press, nor two, nor the key that leaves the dialog.
        await forget.dblclick()
        await expect(asked).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(asked).to_be_hidden()
        await forget.click()
        await expect(asked.get_by_role("button", name="Keep it")).to_be_focused()
        await asked.get_by_role("button", name="Keep it").click()
        await expect(page.locator(".memory-text")).to_have_count(3)
        assert len(await memory.ask(lambda store: store.items(None))) == 4
        await forget.click()
        await asked.get_by_role("button", name="Forget everything").click()
        await expect(page.locator(".memory-text")).to_have_count(0)
        await expect(page.locator("#memory-hint")).to_contain_text("There is nothing yet.")
        assert [item.text for item in await memory.ask(lambda store: store.items(None))] == ["not yours"]


async def test_all_of_it_is_taken_along(browser: Browser) -> None:
    async with serving(*FACTS) as served, visit(browser, served.url, script=MINE) as page:
        await open_memory(page)
        async with page.expect_download() as download:
            await page.get_by_role("button", name="Export").click()
        lines = (await (await download.value).path()).read_text("utf-8").splitlines()
        assert [json.loads(line)["text"] for line in lines] == list(FACTS)


async def test_more_than_a_page_is_shown_on_demand(browser: Browser) -> None:
    facts = [f"fact {number}" for number in range(70)]
    async with serving(*facts) as served, visit(browser, served.url, script=MINE) as page:
        await open_memory(page)
        await expect(page.locator(".memory-item")).to_have_count(50)
        await page.get_by_role("button", name="Show older ones").click()
        await expect(page.locator(".memory-item")).to_have_count(70)
        await expect(page.get_by_role("button", name="Show older ones")).to_be_hidden()


async def test_a_browser_has_an_id_of_its_own_and_typed_questions_are_kept_under_it(browser: Browser) -> None:
    async with serving(turns=True) as served, visit(browser, served.url) as page:
        await page.get_by_label("Message to the agent").fill("how is the weather")
        await page.keyboard.press("Enter")
        await expect(page.locator("#conversation")).to_contain_text("It rains.")
        await open_memory(page)
        await expect(page.locator(".memory-text")).to_have_text(["It rains.", "how is the weather"])
        assert len(await page.evaluate('localStorage.getItem("sotto.browser")')) == 32


async def test_a_memory_that_cannot_be_read_says_why(browser: Browser) -> None:
    async with serving(*FACTS) as served, visit(browser, served.url, script=MINE, allowed_errors=["503"]) as page:
        memory = served.state.sessions().memory
        assert memory
        path = await memory.ask(lambda store: (store.close(), store.path)[1])
        path.write_bytes(b"broken" * 2_000)
        await open_memory(page)
        await expect(page.locator("#memory-hint")).to_contain_text("is damaged")


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
async def test_there_is_no_barrier(browser: Browser, width: int, scheme: str, tmp_path: Path) -> None:
    look = {"viewport": {"width": width, "height": 740}, "color_scheme": scheme, "reduced_motion": "reduce"}
    async with serving(*FACTS) as served, visit(browser, served.url, script=MINE, **look) as page:
        await open_memory(page)
        await expect(page.locator(".memory-item")).to_have_count(3)
        await page.get_by_role("button", name="Edit").first.click()
        await page.locator(".memory-item").nth(1).get_by_role("button", name="Forget").click()
        assert await find_barriers(page) == []
        assert await page.evaluate("document.scrollingElement.scrollWidth") == width
        await page.screenshot(path=tmp_path / f"memory-{width}-{scheme}.png")


async def test_that_older_turns_are_notes_now_is_said_in_the_call_and_to_a_page_that_comes_later(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.send("turn_ended", text="note that")
        peer.send("notes_made", text="Anna has 3 cats.")
        await expect(page.locator(".notice")).to_contain_text("The older turns are notes now")
        assert len(await items(page)) == 2
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.start(noted=True, history=[{"role": "user", "text": "and my dog?"}])
        await expect(page.locator(".user")).to_contain_text("and my dog?")
        assert await items(page) == ["What was said before this stands in the agent's notes.", "You and my dog?"]
