"""Settings on the page: voices and personas as cards, and changes that the call goes on through."""

import asyncio

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.support.chromium import visit, wait_until
from tests.support.stub_server import StubServer, call, say_a_turn
from tests.web.test_page_written import write

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def open_settings(page: Page) -> None:
    await page.get_by_role("button", name="Settings").click()
    await expect(page.get_by_role("dialog", name="Settings")).to_be_visible()


async def test_voices_and_personas_are_cards_with_plain_names_and_a_sample(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        await open_settings(page)
        voices = page.get_by_role("radiogroup", name="Voice").locator("label")
        await expect(voices).to_have_text(
            [
                "The engine’s own Whatever speaks best",
                "English (America) United States",
                "English (Great Britain) United Kingdom",
            ]
        )
        await expect(page.get_by_role("radio", name="The engine’s own")).to_be_checked()
        sizes = [await voices.nth(n).bounding_box() for n in range(3)]
        # A name has its line, beside its button.
        assert all(size and size["width"] > 100 and size["height"] < 80 for size in sizes)
        personas = page.get_by_role("radiogroup", name="Persona").locator("label")
        await expect(personas).to_have_text(
            ["Assistant The assistant that answers when nothing else was chosen.", "Pirate Speaks like a pirate."]
        )
        # A sample is heard at once, outside of a call; by keyboard as well.
        await page.get_by_role("button", name="Hear English (Great Britain)").focus()
        await page.keyboard.press("Enter")
        await wait_until(page, "performance.getEntriesByType('resource').some(({ name }) => name.includes('sample'))")
        assert stub.samples[0] == ("espeak", "en-gb")
        await page.get_by_label("Language", exact=True).select_option("German")
        await expect(voices).to_have_text(["The engine’s own Whatever speaks best", "German"])
        # An engine has voices of its own.
        await page.locator(".advanced > summary").click()
        await page.locator("#setting-tts-engine").select_option("espeak")
        await expect(voices).to_have_count(2)
        assert await page.get_by_label("You speak").locator("option:checked").inner_text() == "English"


async def test_a_sample_that_cannot_be_had_says_so(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url, allowed_errors=["status of 503"]) as page:
        await open_settings(page)
        stub.refusal = (503, "busy")
        await page.get_by_role("button", name="Hear English (America)").click()
        await expect(page.locator(".voice-field .unusable")).to_have_text(
            "English (America) cannot be heard now. Is the server there?"
        )


async def test_settings_change_while_the_call_goes_on_and_last(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.start()
        say_a_turn(peer, "hello", "Good morning.")
        peer.send("bot_stopped_speaking")
        await open_settings(page)
        await page.get_by_label("What the agent is told about itself").fill("You are Ann.")
        await page.get_by_role("radio", name="Pirate").check()
        await page.get_by_role("radio", name="English (Great Britain)").check()
        await page.get_by_role("slider", name="Speed").fill("1.2")
        await page.get_by_label("Microphone").last.select_option("push_to_talk")
        await page.get_by_role("button", name="Apply and go on").click()
        wanted = {
            "persona.name": "pirate",
            "llm.system_prompt": "You are Ann.",
            "tts.voice": "en-gb",
            "tts.language": "en-gb",
            "tts.speed": 1.2,
            "turn.mode": "push_to_talk",
        }
        assert await peer.commands(1) == [{"type": "settings", "options": wanted}]
        engines = {"tts": {"engine": "espeak", "model": "en-gb", "passed_over": []}}
        peer.send("settings_changed", changed=[*wanted], engines=engines, push_to_talk=True)
        await expect(page.get_by_role("button", name="Hold to talk")).to_be_visible()
        await expect(page.locator("#announcer")).to_have_text("The settings are changed.")
        await expect(page.locator("#n-choices")).to_have_text("6 changed")
        await expect(page.get_by_text("Good morning.")).to_be_visible()
        assert stub.peers == [peer]
        # What was chosen is chosen when the panel is opened again, and after a reload.
        await open_settings(page)
        await expect(page.get_by_role("radio", name="English (Great Britain)")).to_be_checked()
        await expect(page.get_by_role("radio", name="Pirate")).to_be_checked()
        await page.keyboard.press("Escape")
        await page.reload()
        again = await call(page, stub)
        assert again.offer["options"] == wanted


async def test_what_the_server_refuses_is_told_and_the_old_value_stays(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.start()
        await open_settings(page)
        await page.get_by_role("slider", name="Speed").fill("2")
        await page.get_by_role("button", name="Apply and go on").click()
        await peer.commands(1)
        peer.send("settings_refused", message="tts.speed = 2 is more than this voice can do", needs_call=False)
        await expect(page.locator("#problem")).to_have_text(
            "The settings stay as they were: tts.speed = 2 is more than this voice can do."
        )
        await expect(page.locator("#state")).to_have_text("Listening")
        await expect(page.locator("#n-choices")).to_be_hidden()
        await open_settings(page)
        await expect(page.get_by_role("slider", name="Speed")).to_have_value("1")
        assert stub.peers == [peer]


async def test_settings_that_were_left_before_the_server_told_of_them_do_not_open_again(
    browser: Browser, stub: StubServer
) -> None:
    is_told = asyncio.Event()

    async def hold(route: Route) -> None:
        await is_told.wait()
        await route.continue_()

    async with visit(browser, stub.url) as page:
        dialog = page.get_by_role("dialog", name="Settings")
        await page.route("**/api/options", hold)
        await page.reload()
        await open_settings(page)
        await page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()
        await page.get_by_role("button", name="Settings").click()
        await expect(dialog).to_be_visible()
        is_told.set()
        # Those who stay see them.
        await expect(page.get_by_role("slider", name="Speed")).to_be_visible()
        is_told.clear()
        await page.reload()
        await open_settings(page)
        await page.keyboard.press("Escape")
        is_told.set()
        await expect(page.locator("#engines-list .stage")).to_have_count(5)
        await wait_until(page, "() => performance.getEntriesByName(`${origin}/api/options`).length > 0")
        await page.get_by_role("button", name="Start talking").click()
        await expect(dialog).to_be_hidden()


async def test_what_needs_a_new_call_says_so_in_the_panel_and_joins_it_again(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        await open_settings(page)
        note = page.get_by_text("The call is joined again for it; the conversation goes on.")
        await expect(note).to_have_count(0)
        await page.keyboard.press("Escape")
        first = await call(page, stub)
        first.start()
        await open_settings(page)
        await expect(note.first).to_be_visible()
        await page.get_by_label("Time and date").select_option("No")
        await page.get_by_role("button", name="Apply and go on").click()
        await first.commands(1)
        first.send("settings_refused", message="tools.clock can be changed by joining again only", needs_call=True)
        second = await stub.next_peer()
        assert second.offer["options"] == {"tools.clock": "off"}
        assert second.offer["conversation"] == first.conversation
        await expect(page.locator("#problem")).to_be_hidden()
        await expect(page.locator("#n-choices")).to_have_text("1 changed")


async def test_several_changes_in_a_row_are_asked_for_one_by_one_and_a_refusal_goes_back_to_what_is_in_force(
    browser: Browser, stub: StubServer
) -> None:
    def asked(speed: float) -> dict[str, object]:
        return {"type": "settings", "options": {"tts.speed": speed}}

    async def change_speed(page: Page, speed: float) -> None:
        await open_settings(page)
        await page.get_by_role("slider", name="Speed").fill(str(speed))
        await page.get_by_role("button", name="Apply and go on").click()

    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.start()
        for speed in (1.2, 1.4, 2):
            await change_speed(page, speed)
        await write(page, "hello")
        assert await peer.commands(2) == [asked(1.2), {"type": "text", "text": "hello", "spoken": True}]
        peer.send("settings_changed", changed=["tts.speed"], engines={})
        assert (await peer.commands(3))[2:] == [asked(2)]
        peer.send("settings_refused", message="tts.speed = 2 is too fast", needs_call=False)
        problem = page.locator("#problem")
        await expect(problem).to_have_text("The settings stay as they were: tts.speed = 2 is too fast.")
        await expect(page.locator("#n-choices")).to_have_text("1 changed")
        await open_settings(page)
        await expect(page.get_by_role("slider", name="Speed")).to_have_value("1.2")
        await page.keyboard.press("Escape")
        # What went wrong before is no word about the next try.
        await change_speed(page, 1.1)
        await expect(problem).to_be_hidden()
        assert (await peer.commands(4))[3:] == [asked(1.1)]
