"""Wake words, as the page in Chromium shows them: what wakes the agent while it sleeps, to eyes and ears."""

import pytest
from playwright.async_api import Browser, expect

from tests.support.chromium import visit
from tests.support.stub_server import StubServer, call

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_the_page_shows_what_wakes_the_agent_and_when_it_is_awake(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        state, body = page.locator("#state"), page.locator("body")
        peer.send("asleep", phrases=["Hey Jarvis"])
        await expect(state).to_have_text("Asleep: say Hey Jarvis")
        await expect(body).to_have_attribute("data-state", "asleep")
        await expect(page.locator("#announcer")).to_contain_text("Asleep: say Hey Jarvis.")
        peer.send("awake", cause="word", word="hey_jarvis", phrase="Hey Jarvis", probability=0.99)
        await expect(state).to_have_text("Listening")
        peer.send("user_started_speaking")
        await expect(state).to_have_text("Hearing you")
        peer.send("user_stopped_speaking")
        peer.send("asleep", phrases=["Hey Jarvis", "<b>Alexa</b>", 7])
        # Whatever the server sends is text.
        await expect(state).to_have_text("Asleep: say Hey Jarvis or <b>Alexa</b>")
        # An agent that speaks unasked speaks, asleep or not.
        peer.send("bot_started_speaking")
        await expect(state).to_have_text("Speaking")


@pytest.mark.parametrize("way", ["presence", "space bar"])
async def test_who_is_not_understood_wakes_the_agent_by_hand(browser: Browser, stub: StubServer, way: str) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.send("asleep", phrases=["Hey Jarvis"])
        await expect(page.locator("#state")).to_have_text("Asleep: say Hey Jarvis")
        if way == "presence":
            await page.locator("#presence").click()
        else:
            await page.evaluate("document.activeElement.blur()")
            await page.keyboard.press("Space")
        assert await peer.commands(2) == [{"type": "push_to_talk", "active": active} for active in (True, False)]
        # A muted microphone hears no word either.
        peer.send("asleep", phrases=["Hey Jarvis"])
        await page.get_by_role("button", name="Mute").click()
        await expect(page.locator("#state")).to_have_text("Muted")
