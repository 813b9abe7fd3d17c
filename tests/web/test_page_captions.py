"""The words beneath the presence, and where it goes as they come and end."""

import re

import pytest
from playwright.async_api import Browser, FloatRect, Locator, Page, ViewportSize, expect

from tests.support.chromium import visit, wait_until
from tests.support.stub_server import StubServer, call, say_a_turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# Counts the silences (3 s) after which it comes back elsewhere, and shortens them.
SILENCES = """
window.nSilences = 0;
const later = window.setTimeout;
const silence = (call) => later(() => { call(); window.nSilences += 1; }, 50);
window.setTimeout = (call, ms, ...more) => (ms === 3_000 ? silence(call) : later(call, ms, ...more));
"""
PLACE = "document.body.dataset.place === {!r}"
# Whether the presence and the newest words are both wholly within what scrolls.
BOTH_SEEN = """() => {
  const section = document.querySelector(".talk").getBoundingClientRect();
  const last = document.querySelector("#conversation .group:last-child > .item:last-child");
  const parts = [document.querySelector("#presence"), last];
  return parts.every((part) => {
    const { top, bottom } = part.getBoundingClientRect();
    const { top: above, bottom: below } = document.querySelector("main").getBoundingClientRect();
    return top >= above - 1 && bottom <= below + 1 && section.height > 0;
  });
}"""


async def box(element: Locator) -> FloatRect:
    found = await element.bounding_box()
    assert found
    return found


async def caption_is(page: Page, words: str) -> None:
    await expect(page.locator("#caption")).to_have_attribute("data-words", words)


async def test_the_words_of_whoever_speaks_stand_beneath_the_presence(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        await caption_is(page, "")
        peer.send("user_started_speaking")
        peer.send("partial_transcript", text="what is the whether")
        await caption_is(page, "what is the whether")
        caption = page.locator("#caption")
        await expect(caption).to_have_css("font-style", "italic")
        above, below = await box(page.locator("#presence")), await box(caption)
        assert above["y"] + above["height"] <= below["y"]
        peer.send("user_stopped_speaking")
        peer.send("turn_ended", text="what is the weather")
        await caption_is(page, "what is the weather")
        peer.send("bot_started_speaking")
        # Not the words of an earlier answer.
        await caption_is(page, "")
        for word in ("It", "is", "sunny."):
            peer.send("bot_word", text=word)
        await caption_is(page, "It is sunny.")
        for n in range(30):
            peer.send("bot_word", text=f"word{n}")
        await expect(caption).to_have_attribute("data-words", re_end())
        # However many they are, they take the same room.
        assert (await box(caption))["height"] == below["height"]
        peer.send("bot_stopped_speaking")
        await caption_is(page, "")


def re_end() -> re.Pattern[str]:
    """The end of a long speech, whole words of it."""
    return re.compile(r"^… word\d+( word\d+)* word29$")


@pytest.mark.parametrize("size", [{"width": 390, "height": 844}, {"width": 1280, "height": 800}])
async def test_it_leaves_for_words_that_need_the_room_and_comes_back_in_silence(
    browser: Browser, stub: StubServer, size: ViewportSize
) -> None:
    async with visit(browser, stub.url, viewport=size) as page:
        peer = await call(page, stub)
        first = page.locator("#conversation .item").first
        say_a_turn(peer, "hello", "Good morning.")
        await expect(page.locator(".agent .said")).to_have_text("Good morning.")
        # Turns begin at the top.
        assert (await box(first))["y"] - (await box(page.locator("main")))["y"] < 40
        for n in range(12):
            say_a_turn(peer, f"question {n}", f"Answer {n}.")
        await wait_until(page, PLACE.format("dock"))
        peer.send("bot_stopped_speaking")
        await wait_until(page, PLACE.format("stage"))
        await wait_until(page, BOTH_SEEN)
        peer.send("user_started_speaking")
        await wait_until(page, PLACE.format("dock"))
        peer.send("user_stopped_speaking")
        await wait_until(page, PLACE.format("stage"))
        await page.get_by_role("button", name="Leave").click()
        await wait_until(page, PLACE.format("dock"))


async def test_on_a_phone_on_its_side_the_words_keep_the_room(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url, script=SILENCES, viewport={"width": 844, "height": 390}) as page:
        peer = await call(page, stub)
        for n in range(4):
            say_a_turn(peer, f"question {n}", f"Answer {n}.")
        peer.send("bot_stopped_speaking")
        await expect(page.locator("#state")).to_have_text("Listening")
        await wait_until(page, "nSilences > 0")
        assert await page.evaluate(PLACE.format("dock"))
        await expect(page.get_by_text("Answer 3.")).to_be_in_viewport(ratio=1)
