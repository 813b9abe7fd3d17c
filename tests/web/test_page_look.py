"""The page in Chromium as it is handled: width, motion, keyboard, roles."""

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.chromium import visit, wait_until
from tests.support.stub_server import WEB, StubServer, call, say_a_turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


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


@pytest.mark.parametrize("width_px", [320, 390, 768, 1280, 1920])
async def test_nothing_hangs_over_the_edge_at_any_width(browser: Browser, stub: StubServer, width_px: int) -> None:
    async with visit(browser, stub.url, viewport={"width": width_px, "height": 700}) as page:
        await hold_a_conversation(page, stub)
        await page.get_by_role("button", name="Details").click()
        assert await page.evaluate("document.scrollingElement.scrollWidth") == width_px
        await expect(page.get_by_role("button", name="Leave")).to_be_in_viewport(ratio=1)
        await expect(page.locator("#state")).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("size", [(667, 320), (320, 256)])
async def test_on_a_low_screen_and_at_400_percent_everything_can_be_scrolled_to(
    browser: Browser, stub: StubServer, size: tuple[int, int]
) -> None:
    async with visit(browser, stub.url, viewport={"width": size[0], "height": size[1]}) as page:
        await hold_a_conversation(page, stub)
        assert await page.evaluate("document.scrollingElement.scrollWidth") == size[0]
        for name in ("Leave", "Mute", "Settings", "Conversation"):
            await page.get_by_role("button", name=name).scroll_into_view_if_needed()
            await expect(page.get_by_role("button", name=name)).to_be_in_viewport(ratio=1)


async def test_the_newest_words_stay_in_sight(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url, viewport={"width": 390, "height": 600}) as page:
        peer = await call(page, stub)
        for n in range(20):
            say_a_turn(peer, f"question {n}", f"Answer {n}.")
            peer.send("bot_stopped_speaking")
        await expect(page.get_by_text("Answer 19.")).to_be_in_viewport(ratio=1)
        await page.evaluate("document.querySelector('main').scrollTo(0, 0)")
        await page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
        say_a_turn(peer, "question 20", "Answer 20.")
        await expect(page.get_by_text("Answer 20.")).to_be_attached()
        assert await page.evaluate("document.querySelector('main').scrollTop") == 0


async def test_nothing_moves_for_those_who_asked_for_less_motion(browser: Browser, stub: StubServer) -> None:
    count = "document.getAnimations().filter(({ animationName }) => animationName).length"
    for motion, expected, meters in (("no-preference", 1, True), ("reduce", 0, False)):
        async with visit(browser, stub.url, reduced_motion=motion) as page:
            peer = await call(page, stub)
            peer.send("turn_ended", text="hello")
            await expect(page.locator("#state")).to_have_text("Thinking…")
            assert await page.evaluate(count) == expected
            assert await page.locator("#meters").is_visible() == meters


async def test_the_meters_follow_both_voices(browser: Browser, stub: StubServer) -> None:
    level = "(side) => Number(document.querySelector('.floor').style.getPropertyValue(`--${side}-level`)) > 0.2"
    async with visit(browser, stub.url) as page:
        await call(page, stub)
        # Chromium's fake microphone beeps; the stub's voice is a steady tone.
        for side in ("you", "agent"):
            await wait_until(page, level, arg=side)
        await page.get_by_role("button", name="Leave").click()
        await wait_until(page, "document.querySelector('.floor').style.getPropertyValue('--agent-level') === '0.000'")


async def test_the_meters_leave_the_conversation_as_it_is_drawn(browser: Browser, stub: StubServer) -> None:
    levels = "(where) => getComputedStyle(document.querySelector(where)).getPropertyValue('--you-level')"
    async with visit(browser, stub.url) as page:
        say_a_turn(await call(page, stub), "hello", "Good morning.")
        await wait_until(page, f"({levels})('.orb') > 0")
        # Inherited, it would cost the style of every word, sixteen times a second.
        assert await page.evaluate(levels, "#conversation") == ""


async def test_a_call_can_be_held_with_the_keyboard_alone(browser: Browser, stub: StubServer) -> None:
    focused = "document.activeElement.id || document.activeElement.parentElement.id"
    async with visit(browser, stub.url, viewport={"width": 390, "height": 700}) as page:
        await expect(page.locator("#engines-list .stage")).to_have_count(5)
        order = []
        for _ in range(13):
            await page.keyboard.press("Tab")
            order.append(await page.evaluate(f"document.activeElement.className === 'skip' ? 'skip' : {focused}"))
        before = "skip open-details open-settings talk-section chips chips chips check-sound"
        assert order == f"{before} talk message send aloud open-keys".split()
        await page.get_by_role("button", name="Start talking").focus()
        await page.keyboard.press("Enter")
        peer = await stub.next_peer()
        await expect(page.locator("#state")).to_have_text("Listening")
        await page.keyboard.press("Shift+Tab")
        await page.keyboard.press("Space")
        await expect(page.locator("#microphone")).to_have_text("Microphone is muted")
        assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        peer.send("session_ended", reason="idle")
        await expect(page.get_by_role("button", name="Start talking")).to_be_focused()


async def test_the_page_can_be_read_by_its_roles(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        assert await page.locator("html").get_attribute("lang") == "en"
        await expect(page.get_by_role("heading", level=1)).to_have_text("sotto")
        await page.get_by_role("button", name="Details").click()
        for role in ("banner", "main", "complementary"):
            await expect(page.get_by_role(role)).to_have_count(1)
        for region in ("Conversation", "Call"):
            await expect(page.get_by_role("region", name=region)).to_be_visible()


NAMES = "performance.getEntriesByType('resource').map(({ name }) => name)"


async def test_the_page_is_made_of_its_own_files(browser: Browser, stub: StubServer) -> None:
    files = {path.relative_to(WEB).as_posix() for path in WEB.rglob("*") if path.is_file()}
    # What is only loaded where WebRTC finds no way, where it is opened, or by the browser itself.
    parts = (
        *("/websocket_", "_worklet.js", "check/", "icons/", "manifest", "service_worker.js"),
        *("settings/", "devices.js", "models/", "memory/", "sheet.js", "timing_panel.js", "chat.js", "sse.js"),
        *(f"styles/{name}.css" for name in ("check", "settings", "models", "memory")),
    )
    at_once = (
        "settings/choices.js",
        "settings/live_changes.js",
    )
    later = {f for f in files if any(part in f for part in parts) and f not in at_once}
    wanted = sorted(f"{stub.url}/{name}" for name in files - later - {"index.html"})
    async with visit(browser, stub.url) as page:
        await wait_until(page, f"(wanted) => wanted.every((name) => {NAMES}.includes(name))", arg=wanted)
        loaded: list[str] = await page.evaluate(NAMES)
        served = {name.removeprefix(f"{stub.url}/") for name in loaded} - {"health", "api/options"}
        assert files - served - {"index.html"} == later
        assert served <= files
