"""The check before the first call, in Chromium: microphone, loudspeaker, ears; and what it says where one fails."""

import io
import wave

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.support.axe import find_barriers
from tests.support.chromium import visit, wait_until
from tests.support.stub_server import StubServer, call, choose, say_a_turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# A microphone from which nothing comes.
SILENCE = """
navigator.mediaDevices.getUserMedia = async () =>
  new MediaStreamAudioDestinationNode(new AudioContext()).stream;
"""
REFUSING = """
window.given = navigator.mediaDevices.getUserMedia;
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("", window.refusal); };
"""


async def open_check(page: Page) -> Locator:
    await page.get_by_role("button", name="Check microphone and loudspeaker").click()
    dialog = page.get_by_role("dialog", name="Check your sound")
    await expect(dialog).to_be_visible()
    return dialog


async def test_the_check_hears_sounds_and_understands(browser: Browser, stub: StubServer) -> None:
    stub.heard = " Hello. "
    async with visit(browser, stub.url) as page:
        # A second click asks for nothing more.
        await page.evaluate("for (const _ of [1, 2]) document.querySelector('#check-sound').click()")
        dialog = page.get_by_role("dialog", name="Check your sound")
        await expect(dialog).to_be_visible()
        # Chromium's fake microphone beeps.
        await expect(dialog).to_contain_text("It hears you.")
        await wait_until(page, "document.querySelector('meter').value > 0.1")
        await dialog.get_by_role("button", name="Play a sound").click()
        assert await page.evaluate(
            "performance.getEntriesByType('resource').some(({ name }) => name.includes('check'))"
        )
        await dialog.get_by_role("button", name="No").click()
        await expect(dialog).to_contain_text("Turn the volume up")
        await dialog.get_by_role("button", name="Play a sound").click()
        await dialog.get_by_role("button", name="Yes").click()
        await expect(dialog).to_contain_text("You hear the agent.")
        await dialog.get_by_role("button", name="Say hello").click()
        await expect(dialog).to_contain_text("Heard as: “Hello.”")
        assert await find_barriers(page) == []
        with wave.open(io.BytesIO(stub.sounds[0])) as sound:
            assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (16_000, 1, 2)
            assert 0.5 <= sound.getnframes() / 16_000 <= 4
            assert any(sound.readframes(sound.getnframes()))
        await dialog.get_by_role("button", name="Close").click()
        await expect(page.locator("dialog.check")).to_have_count(0)
        assert await page.evaluate("microphones.map(({ track }) => track.readyState)") == ["ended"]


@pytest.mark.parametrize(
    ("heard", "told"),
    [("", "No words were understood."), (None, "The models are being loaded.")],
)
async def test_ears_that_understand_nothing_are_told_in_words(
    browser: Browser, stub: StubServer, heard: str | None, told: str
) -> None:
    stub.heard = heard
    async with visit(browser, stub.url, allowed_errors=["status of 503"]) as page:
        dialog = await open_check(page)
        listen = dialog.get_by_role("button", name="Say hello")
        await listen.click()
        await expect(dialog).to_contain_text(told)
        await expect(listen).to_be_enabled()


async def test_a_server_that_is_away_is_told_with_its_command(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url, allowed_errors=["ERR_FAILED"]) as page:
        await page.route("**/api/transcribe", lambda route: route.abort())
        dialog = await open_check(page)
        await dialog.get_by_role("button", name="Say hello").click()
        await expect(dialog).to_contain_text("The server does not answer. Start it with sotto serve")


async def test_a_microphone_that_gives_nothing_at_all_is_told_apart_from_a_quiet_one(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url, script=SILENCE) as page:
        dialog = await open_check(page)
        await expect(dialog).to_contain_text("Say something: the bar moves with your voice.")
        await expect(dialog).to_contain_text("Nothing comes from this microphone.")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("NotAllowedError", "The microphone was denied."),
        ("NotFoundError", "No microphone was found."),
        ("NotReadableError", "in use by another program"),
    ],
)
async def test_a_microphone_that_cannot_be_had_is_told_and_asked_for_again(
    browser: Browser, stub: StubServer, error: str, told: str
) -> None:
    mended = "void (navigator.mediaDevices.getUserMedia = given)"
    async with visit(browser, stub.url, script=f"window.refusal = '{error}';{REFUSING}") as page:
        dialog = await open_check(page)
        await expect(dialog).to_contain_text(told)
        await expect(dialog.get_by_role("button", name="Say hello")).to_be_disabled()
        await page.evaluate(mended)
        await dialog.get_by_role("button", name="Ask again").click()
        await expect(dialog).to_contain_text("It hears you.")
        await expect(dialog.get_by_role("button", name="Ask again")).to_be_hidden()


async def test_what_is_chosen_in_the_check_stays_chosen(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        dialog = await open_check(page)
        picker = dialog.get_by_label("Microphone of the check")
        await expect(dialog).to_contain_text("It hears you.")
        name = await picker.locator("option").nth(1).text_content()
        assert name
        await picker.select_option(label=name)
        await wait_until(page, "microphones.length === 2")
        wanted = await page.evaluate("microphones[1].wanted.audio.deviceId.ideal")
        assert await picker.input_value() == wanted
        await page.keyboard.press("Escape")
        await call(page, stub)
        assert await page.evaluate("microphones[2].wanted.audio.deviceId.ideal") == wanted


async def test_who_checks_in_a_call_is_not_heard_by_the_agent_meanwhile(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        say_a_turn(await call(page, stub), "hello", "Good morning.")
        await choose(page, "Check the sound…")
        await expect(page.get_by_role("dialog", name="Check your sound")).to_contain_text("It hears you.")
        await expect(page.locator("#menu")).to_be_hidden()
        await expect(page.locator("#microphone")).to_have_text("Microphone is muted")
        await page.keyboard.press("Escape")
        await expect(page.locator("#microphone")).to_have_text("Microphone is on")
