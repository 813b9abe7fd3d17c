"""The page in Chromium as it is seen and handled: contrast, width, motion, keyboard."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.chromium import ALLOW_MICROPHONE, launch, visit
from tests.stub_server import StubServer, call, say_a_turn, serve_stub

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

# WCAG 2.2, success criterion 1.4.3: 4.5:1 for text of any size (3:1 would do for large text).
LEAST_CONTRAST = 4.5
FIND_CONTRASTS = """() => {
  const parse = (css) => css.match(/[\\d.]+/g).map(Number);
  const linear = (part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const groundOf = (element) => {
    for (; element; element = element.parentElement) {
      const colour = parse(getComputedStyle(element).backgroundColor);
      if (colour[3] !== 0) return colour;
    }
    throw new Error("no ground");
  };
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.data.trim();
    if (!text || !element.checkVisibility() || element.tagName === "SCRIPT") continue;
    const pair = [luminance(parse(getComputedStyle(element).color)), luminance(groundOf(element))];
    texts.push([text, (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05)]);
  }
  return texts;
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launch(ALLOW_MICROPHONE) as launched:
        yield launched


@pytest_asyncio.fixture(loop_scope="module")
async def stub() -> AsyncIterator[StubServer]:
    async with serve_stub() as served:
        yield served


async def hold_a_conversation(page: Page, stub: StubServer) -> None:
    """A call that shows one of everything, and still goes on."""
    peer = await call(page, stub)
    say_a_turn(peer, "what is the weather in paris", "It is sunny in Paris, and")
    peer.send("latency", voice_to_voice_ms=742)
    peer.send(
        "interruption",
        heard="It is sunny in Paris, and",
        planned="It is sunny in Paris, and it will stay so until tomorrow evening.",
    )
    say_a_turn(peer, "and tomorrow", "Tomorrow it rains, so take an umbrella with you.")
    peer.send("latency", voice_to_voice_ms=1180)
    peer.send("bot_stopped_speaking")
    peer.send("error", stage="llm", message="no answer from http://127.0.0.1:11434/v1 for 10 s: ollama serve")
    peer.send("user_started_speaking")
    peer.send("transcript", text="thank you")
    peer.send("partial_transcript", text="very munch")
    await expect(page.locator(".partial").last).to_have_text("very munch")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_stands_out_from_its_ground(
    browser: Browser, stub: StubServer, scheme: Literal["light", "dark"]
) -> None:
    weak: set[str] = set()

    async def measure(page: Page) -> None:
        found = await page.evaluate(FIND_CONTRASTS)
        assert len(found) > 10
        weak.update(f"{text}: {ratio:.2f}" for text, ratio in found if ratio < LEAST_CONTRAST)

    stub.refusal = (503, "full")
    size = {"width": 1280, "height": 800}
    async with visit(browser, stub.url, allowed_errors=["503"], color_scheme=scheme, viewport=size) as page:
        await expect(page.locator("#engines-list .stage")).to_have_count(5)
        await measure(page)
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.locator("#problem")).to_be_visible()
        await measure(page)
        stub.refusal = None
        await hold_a_conversation(page, stub)
        await measure(page)
        await page.get_by_role("button", name="Mute").click()
        await page.get_by_role("button", name="Mute").focus()
        await measure(page)
    assert weak == set()


@pytest.mark.parametrize("width_px", [320, 390, 768, 1280, 1920])
async def test_nothing_hangs_over_the_edge_at_any_width(browser: Browser, stub: StubServer, width_px: int) -> None:
    async with visit(browser, stub.url, viewport={"width": width_px, "height": 700}) as page:
        await hold_a_conversation(page, stub)
        await page.evaluate("document.querySelector('#engines').open = true")
        assert await page.evaluate("document.scrollingElement.scrollWidth") == width_px
        await expect(page.get_by_role("button", name="Stop")).to_be_in_viewport(ratio=1)
        await expect(page.get_by_role("status")).to_be_in_viewport(ratio=1)


async def test_the_newest_words_stay_in_sight(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url, viewport={"width": 390, "height": 600}) as page:
        peer = await call(page, stub)
        for n in range(20):
            say_a_turn(peer, f"question {n}", f"Answer {n}.")
            peer.send("bot_stopped_speaking")
        await expect(page.get_by_text("Answer 19.")).to_be_in_viewport(ratio=1)
        await page.evaluate("scrollTo(0, 0)")
        say_a_turn(peer, "question 20", "Answer 20.")
        await expect(page.get_by_text("Answer 20.")).to_be_attached()
        assert await page.evaluate("scrollY") == 0


async def test_nothing_moves_for_those_who_asked_for_less_motion(browser: Browser, stub: StubServer) -> None:
    count = "document.getAnimations().length"
    for motion, expected in (("no-preference", 1), ("reduce", 0)):
        async with visit(browser, stub.url, reduced_motion=motion) as page:
            peer = await call(page, stub)
            peer.send("bot_started_speaking")
            await expect(page.get_by_role("status")).to_have_text("Speaking")
            assert await page.evaluate(count) == expected


async def test_a_call_can_be_held_with_the_keyboard_alone(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url, viewport={"width": 390, "height": 700}) as page:
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.tagName") == "SUMMARY"
        await page.keyboard.press("Enter")
        await expect(page.locator("#engines-list")).to_be_visible()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await stub.next_peer()
        await expect(page.get_by_role("status")).to_have_text("Listening")
        await page.keyboard.press("Shift+Tab")
        await page.keyboard.press("Space")
        await expect(page.locator("#microphone")).to_have_text("Microphone is muted")
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        stub.peers[0].send("session_ended", reason="idle")
        await expect(page.get_by_role("button", name="Start talking")).to_be_focused()


async def test_the_page_can_be_read_by_its_roles(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        assert await page.locator("html").get_attribute("lang") == "en"
        await expect(page.get_by_role("heading", level=1)).to_have_text("sotto")
        for role in ("banner", "main", "contentinfo"):
            await expect(page.get_by_role(role)).to_have_count(1)
        await expect(page.get_by_role("region", name="Conversation")).to_be_visible()


async def test_the_page_is_made_of_its_own_files(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        await expect(page.locator("#engines-list .stage")).to_have_count(5)
        loaded: list[str] = await page.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)")
        files = {path.name for path in (Path(__file__).parent.parent / "web").iterdir()}
        assert {name.removeprefix(f"{stub.url}/") for name in loaded} == files - {"index.html"} | {"health"}
