"""Every state of the page in Chromium, light and dark, on a phone and a desktop: no barrier, and a picture of each."""

from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from tests.support.axe import find_barriers
from tests.support.chromium import visit
from tests.support.stub_server import StubServer, call, say_a_turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SIZES: dict[str, ViewportSize] = {
    "phone": {"width": 360, "height": 740},
    "desktop": {"width": 1280, "height": 800},
}
LATENCY_MS = {"voice_to_voice_ms": 742, "turn_ms": 322, "stt_ms": 41, "llm_ttft_ms": 139, "tts_ttfb_ms": 53}
PLANNED = "Tomorrow it rains, so take an umbrella with you."
ANSWER = """## Three ways

Some **bold**, *italic*, ~~struck~~ and `code`, with a [link](https://example.com/).

1. First
2. Second
   - inside

> A quote.

```python
def hello(name: str) -> str:
    return f"hello {name}"
```
"""
# What is in a transition has other colours for a moment.
HOLD_STILL = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync("*, *::before, *::after { transition: none !important; animation: none !important; }");
  document.adoptedStyleSheets = [sheet];
}"""


class Look:
    """Looks at one state after another."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page = page
        self.folder = folder
        self.barriers: dict[str, list[str]] = {}

    async def at(self, name: str) -> None:
        """Note the barriers of what is to be seen now, and take its picture."""
        await self.page.screenshot(path=self.folder / f"{name}.png")
        if found := await find_barriers(self.page):
            self.barriers[name] = found


async def hold_a_call(look: Look, stub: StubServer) -> None:
    """Speech, an interruption, a written answer, a fault."""
    page = look.page
    peer = await call(page, stub)
    peer.start(recording=True)
    await expect(page.locator("#recording-sign")).to_be_visible()
    await look.at("listening")
    say_a_turn(peer, "what is the weather in paris", "It is sunny in Paris, and")
    peer.send("latency", **LATENCY_MS)
    peer.send("interruption", heard="It is sunny in Paris, and", planned="It is sunny in Paris, and it will stay so.")
    peer.send("user_started_speaking")
    peer.send("partial_transcript", text="and tomorow")
    await expect(page.locator(".partial").last).to_have_text("and tomorow")
    await look.at("hearing")
    peer.send("user_stopped_speaking")
    peer.send("turn_ended", text="and tomorrow")
    peer.send("bot_planned", text=PLANNED)
    peer.send("bot_started_speaking")
    peer.send("bot_word", text="Tomorrow")
    await expect(page.locator("mark")).to_have_text("Tomorrow")
    await look.at("speaking")
    peer.send("playout", level="paused")
    await expect(page.locator("#state")).to_have_text("Paused for you")
    await look.at("paused")
    peer.send("interruption", heard="Tomorrow", planned=PLANNED)
    peer.send("turn_ended", text="write it down", source="typed")
    peer.send("reply_text", text=ANSWER)
    await expect(page.locator(".agent pre")).to_be_visible()
    await look.at("writing")
    peer.send("llm_done", text=ANSWER)
    peer.send("error", stage="llm", message="no answer from http://127.0.0.1:11434/v1 for 10 s: ollama serve")
    await expect(page.locator(".notice")).to_be_visible()
    await page.get_by_role("button", name="Mute").click()
    await look.at("muted")


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_keeps_anybody_out_of_any_state(
    browser: Browser, stub: StubServer, scheme: Literal["light", "dark"], size: str, tmp_path: Path
) -> None:
    options = {"color_scheme": scheme, "viewport": SIZES[size]}
    async with visit(browser, stub.url, allowed_errors=["status of 503"], **options) as page:
        await page.evaluate(HOLD_STILL)
        look = Look(page, tmp_path)
        await expect(page.locator("#engines-list .stage")).to_have_count(5)
        await look.at("welcome")
        await page.get_by_role("button", name="Settings").click()
        await expect(page.locator("#setting-tts-speed")).to_be_attached()
        await look.at("settings")
        await page.keyboard.press("Escape")
        await hold_a_call(look, stub)
        await page.get_by_role("button", name="Leave").click()
        await page.get_by_role("button", name="Details").click()
        await look.at("left")
        await page.get_by_role("button", name="Keys").click()
        await look.at("keys")
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Conversation").click()
        await look.at("menu")
        await page.locator("#delete").click()
        await look.at("delete")
        await page.get_by_role("button", name="Keep it").click()
        stub.refusal = (503, "the agent is busy with 4 conversations; try again later")
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.locator("#problem")).to_be_visible()
        await look.at("refused")
    assert look.barriers == {}
    print(f"pictures: {tmp_path}")


@pytest.mark.parametrize("state", ["welcome", "speaking"])
async def test_the_page_is_whole_in_forced_colours(
    browser: Browser, stub: StubServer, state: str, tmp_path: Path
) -> None:
    async with visit(browser, stub.url, forced_colors="active", viewport=SIZES["phone"]) as page:
        if state == "speaking":
            peer = await call(page, stub)
            say_a_turn(peer, "hello", "Good morning.")
            peer.send("latency", **LATENCY_MS)
            await expect(page.locator(".bar .span").first).to_be_visible()
            colours = await page.locator(".bar .span").first.evaluate(
                "span => [getComputedStyle(span).backgroundColor, getComputedStyle(document.body).backgroundColor]"
            )
            assert colours[0] != colours[1]
        await page.screenshot(path=tmp_path / f"forced_colours_{state}.png")
        assert await find_barriers(page) == []
