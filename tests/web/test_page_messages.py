"""Each message of the page: copied, said again, edited and asked again; and the conversation after a reload."""

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.support.axe import find_barriers
from tests.support.chromium import visit
from tests.support.stub_server import StubServer, call, items, say_a_turn
from tests.web.test_page_written import write

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

CLIPBOARD = ["clipboard-read", "clipboard-write"]
NOTE_WHAT_IS_TOLD = """() => {
  const region = document.querySelector("#announcer");
  window.told = [];
  new MutationObserver(() => told.push(region.textContent)).observe(region, { childList: true, characterData: true });
}"""
ANSWER = "Take **tea**:\n\n```sh\necho tea\n```"


def act(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


async def how_it_was_said(who: Locator) -> str:
    return await who.evaluate("e => getComputedStyle(e, '::after').content")


def answer_with(stub: StubServer, text: str) -> None:
    stub.chat = [("delta", {"text": text}), ("done", {"text": text})]


async def test_without_a_call_a_message_is_copied_said_again_and_asked_in_other_words(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url, permissions=CLIPBOARD) as page:
        answer_with(stub, ANSWER)
        await write(page, "how is tea made")
        await expect(page.locator(".agent pre")).to_have_text("echo tea")
        # As it was written; the block of code has a button of its own.
        await act(page.locator(".agent"), "Copy message").click()
        await expect(page.get_by_role("status")).to_contain_text("Copied.")
        assert await page.evaluate("navigator.clipboard.readText()") == ANSWER
        assert await page.locator(".agent .copy").count() == 1
        again = act(page, "Say again")
        await again.click()
        await expect(again).to_have_attribute("aria-pressed", "true")
        await expect(again).not_to_have_attribute("aria-pressed", "true")
        assert stub.speeches == [{"input": piece} for piece in ANSWER.split("\n\n")]
        assert await how_it_was_said(page.locator(".user .who")) == '", in writing"'

        answer_with(stub, "Cold.")
        await write(page, "and iced tea")
        await expect(page.locator(".agent")).to_have_count(2)
        answer_with(stub, "With milk.")
        await page.locator(".user").first.hover()
        await act(page.locator(".user").first, "Edit and ask again").click()
        box = page.get_by_role("textbox", name="Your message")
        await expect(box).to_have_value("how is tea made")
        assert await find_barriers(page) == []
        # Escape leaves it as it was; a line break is written by Shift+Enter.
        await box.press("Escape")
        await expect(box).to_have_count(0)
        await expect(act(page.locator(".user").first, "Edit and ask again")).to_be_focused()
        await page.keyboard.press("Enter")
        await box.fill("how is coffee made")
        await box.press("Enter")
        await expect(page.locator(".agent .said")).to_have_text(["With milk."])
        assert await items(page) == ["You how is coffee made", "Agent With milk."]
        question = stub.questions[-1]
        assert (question["text"], question["conversation"]) == ("how is coffee made", "conversation-1")
        assert question["back"] == {"text": "how is tea made", "later": 1}
        # An answer that is the last one again is not read out again.
        await page.evaluate(NOTE_WHAT_IS_TOLD)
        for text in ("Cold.", "Warm."):
            answer_with(stub, text)
            if text == "Cold.":
                await write(page, "and iced coffee")
            else:
                await act(page.locator(".user").last, "Edit and ask again").click()
                await box.press("Enter")
            await expect(page.locator(".agent .said").last).to_have_text(text)
            await expect(page.locator("#state")).to_have_text("Ready")
        assert await page.evaluate("told") == ["Agent: Cold.", "Agent: Warm."]


async def test_a_turn_that_the_server_does_not_have_any_more_leaves_the_page_as_it_was(
    browser: Browser, stub: StubServer
) -> None:
    answer_with(stub, "One.")
    async with visit(browser, stub.url, allowed_errors=["status of 410"]) as page:
        await write(page, "count")
        await expect(page.locator(".agent")).to_have_count(1)
        stub.refusal = (410, "that turn is gone")
        await act(page, "Edit and ask again").click()
        await page.get_by_role("textbox", name="Your message").fill("count again")
        await act(page, "Ask").click()
        await expect(page.locator("#problem")).to_contain_text("that turn is gone")
        await expect(page.locator("#message")).to_have_value("count again")
        assert await items(page) == ["You count", "Agent One."]


async def test_in_a_call_the_call_says_it_again_and_goes_back(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        for question, answer in (("what is tea", "A leaf."), ("what is it", "A plant.")):
            say_a_turn(peer, question, answer)
            peer.send("bot_stopped_speaking")
        await expect(page.locator(".agent")).to_have_count(2)
        heard = page.locator(".user").first
        assert await how_it_was_said(heard.locator(".who")) == '", spoken"'
        # By the keyboard alone.
        await act(page.locator(".agent").first, "Say again").focus()
        await page.keyboard.press("Enter")
        await act(heard, "Edit and ask again").focus()
        await page.keyboard.press("Enter")
        await page.keyboard.type(" made of")
        await page.keyboard.press("Enter")
        back = {"text": "what is tea", "later": 1}
        assert await peer.commands(2) == [
            {"type": "say_again", "text": "A leaf."},
            {"type": "ask_again", "text": "what is tea made of", "back": back, "spoken": True},
        ]
        # Nothing is gone before the server has gone back.
        assert len(await items(page)) == 4
        peer.send("went_back", **back)
        peer.send("turn_ended", text="what is tea made of", source="typed")
        peer.send("bot_started_speaking")
        peer.send("bot_word", text="Leaves.")
        await expect(page.locator(".agent .said")).to_have_text(["Leaves."])
        assert await items(page) == ["You what is tea made of", "Agent Leaves."]
        assert stub.speeches == []
        # What the server cannot go back to is given back.
        peer.send("bot_stopped_speaking")
        await act(page, "Edit and ask again").click()
        await page.keyboard.press("End")
        await page.keyboard.type("?")
        await page.keyboard.press("Enter")
        await peer.commands(3)
        peer.send("error", stage="history", message="that turn is gone")
        await expect(page.locator("#message")).to_have_value("what is tea made of?")
        await expect(page.locator(".notice")).to_have_text("Conversation: that turn is gone")


async def test_a_reload_shows_at_once_what_the_server_has(browser: Browser, stub: StubServer) -> None:
    answer_with(stub, "One and *two*.")
    async with visit(browser, stub.url) as page:
        await write(page, "count")
        await expect(page.locator(".agent em")).to_have_text("two")
        stub.histories["conversation-1"] = [
            {"role": "user", "text": "count"},
            {"role": "assistant", "text": "One and *two*."},
        ]
        await page.reload()
        await expect(page.locator(".agent em")).to_have_text("two")
        assert await items(page) == ["You count", "Agent One and two."]
        # Whether it was typed or spoken is not known.
        assert await how_it_was_said(page.locator(".user .who")) == "none"
        peer = await call(page, stub)
        peer.start(history=stub.histories["conversation-1"])
        await expect(page.locator("#state")).to_have_text("Listening")
        assert await items(page) == ["You count", "Agent One and two."]


async def test_where_nothing_hovers_what_can_be_done_is_seen(browser: Browser, stub: StubServer) -> None:
    answer_with(stub, "One.")
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    async with visit(browser, stub.url, **phone) as page:
        await write(page, "count")
        bar = page.locator(".agent .acts")
        await expect(bar).to_have_css("opacity", "1")
        size = await act(page, "Say again").bounding_box()
        assert size
        assert min(size["width"], size["height"]) >= 24
        assert await page.evaluate("document.scrollingElement.scrollWidth") == 390


async def test_what_is_asked_again_is_not_lost_with_the_call_nor_while_it_comes_back(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url, allowed_errors=["status of 503"]) as page:
        peer = await call(page, stub)
        say_a_turn(peer, "what is tea", "A leaf.")
        peer.send("bot_stopped_speaking")
        box, edited = page.locator("#message"), page.get_by_role("textbox", name="Your message")
        await act(page, "Edit and ask again").click()
        await edited.fill("what is mint")
        await page.keyboard.press("Enter")
        await peer.commands(1)
        stub.refusal = (503, "busy")
        await peer.close()
        await expect(page.locator("body")).to_have_attribute("data-state", "waiting")
        await expect(box).to_have_value("what is mint")
        # Neither goes anywhere before the call is there again.
        await act(page, "Edit and ask again").click()
        await edited.fill("what is sage")
        await page.keyboard.press("Enter")
        await expect(box).to_have_value("what is sage\nwhat is mint")
        await act(page, "Say again").click()
        await expect(page.locator("#problem")).to_have_text("It can be said again once the call is there.")
        assert stub.speeches == []
        stub.refusal = None
        again = await stub.next_peer()
        await expect(page.locator("#state")).to_have_text("Listening")
        await expect(page.locator("#problem")).to_be_hidden()
        assert await again.commands(0) == []
