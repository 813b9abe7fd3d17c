"""Conversations through the page: recordings are spoken to the real server with its bundled engines."""

import re
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.conftest import REPOSITORY
from tests.support.chromium import ALLOW_MICROPHONE, launch, visit, wait_until
from tests.support.spoken_page import ANSWER_SECS, MICROPHONE, say, serve, told, wait_until_told

pytestmark = [pytest.mark.browser, pytest.mark.realtime, pytest.mark.asyncio(loop_scope="session")]

SPEECH = REPOSITORY / "tests" / "fixtures" / "speech"
ANSWER_MS = 120_000
WORDS = re.compile(r"[a-z]{2}")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One that people use."""
    async with launch(ALLOW_MICROPHONE) as launched:
        yield launched


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with serve(port, tmp_path_factory.mktemp("serve") / "server.log") as address:
        yield address


async def join(page: Page) -> None:
    n_calls = len(await told(page, "session_started"))
    await page.get_by_role("button", name="Start talking").click()
    await wait_until_told(page, "session_started", n_calls + 1)
    await expect(page.locator("#state")).to_have_text("Listening", timeout=ANSWER_MS)


async def leave(page: Page) -> None:
    await page.get_by_role("button", name="Leave").click()
    await expect(page.locator("#state")).to_have_text("Ready")


async def ask_aloud(page: Page, recording: str) -> None:
    """Say a question and wait until it is answered and the agent listens again."""
    n_answered = len(await told(page, "bot_stopped_speaking"))
    await say(page, SPEECH / recording)
    await wait_until_told(page, "bot_stopped_speaking", n_answered + 1)
    await expect(page.locator("#state")).to_have_text("Listening", timeout=ANSWER_MS)


async def shown_turns(page: Page) -> list[str]:
    return await page.locator(".user .said").all_inner_texts()


# Chromium suppresses echo and noise, and the model may tell a short story: one try may fail.
STORIES = 4


async def logged_turns(page: Page) -> list[str]:
    return [line["text"] for line in await told(page, "turn_ended") if line["text"]]


async def cut_a_story_off(page: Page) -> None:
    """Ask for a story, and ask something else over it; again, if it was told before the words were understood."""
    for _ in range(STORIES):
        n_spoken, n_words, n_turns = [
            len(await told(page, event)) for event in ("bot_started_speaking", "bot_word", "turn_ended")
        ]
        await say(page, SPEECH / "tell_me_a_story.wav")
        await wait_until_told(page, "bot_started_speaking", n_spoken + 1)
        await wait_until_told(page, "bot_word", n_words + 2)
        await say(page, SPEECH / "capital_of_germany.wav")
        await wait_until_told(page, "turn_ended", n_turns + 2)
        if await told(page, "interruption"):
            return
        await expect(page.get_by_role("status")).to_have_text("Listening", timeout=ANSWER_SECS * 1000)
    raise AssertionError(f"{STORIES} stories were not cut off")


# Up to the end of the word that was heard last, as it was written: "2025" is spoken as "twenty twenty-five".
# By letters: between two paragraphs there is no space, and a list's numbers are no text of the page.
CUT_ANSWER_ENDS_AT_WHAT_WAS_HEARD = """() => {
  const cut = events.findIndex(({ event }) => event === "interruption");
  const latest = events.slice(0, cut).findLast(({ event }) => event === "bot_word");
  const pieces = events.filter(({ event, reply }) => event === "bot_written" && reply === latest.reply);
  const heard = [...pieces.map(({ text }) => text).join("")].slice(0, latest.written[1]).join("");
  const answer = [...document.querySelectorAll(".agent")].find((one) => one.querySelector(".note")?.checkVisibility());
  const said = answer?.querySelector(".said").cloneNode(true);
  said?.querySelectorAll(".unsaid").forEach((rest) => rest.remove());
  const letters = (text) => text?.replace(/\\P{L}/gu, "");
  return letters(heard) !== "" && letters(said?.textContent) === letters(heard);
}"""


async def test_two_spoken_turns_and_an_interruption_are_shown_as_they_are_logged(browser: Browser, url: str) -> None:
    async with visit(browser, url, script=MICROPHONE, viewport={"width": 1280, "height": 800}) as page:
        await expect(page.locator("#engines-short")).to_have_text("pocketsphinx → embedded → espeak")
        await join(page)
        await ask_aloud(page, "capital_of_germany.wav")
        await ask_aloud(page, "days_in_a_week.wav")
        assert await shown_turns(page) == await logged_turns(page)
        assert len(await logged_turns(page)) == 2
        await wait_until(page, "soundIsHeard()")
        await expect(page.locator(".agent .said")).to_have_text([WORDS, WORDS])
        await expect(page.locator(".agent .latency").first).to_contain_text(re.compile(r"answered in [\d.]+ m?s"))
        await page.get_by_role("button", name="Details").click()
        await expect(page.locator("#n-turns")).to_have_text("2")
        await cut_a_story_off(page)
        # What was not heard is struck out.
        await wait_until(page, CUT_ANSWER_ENDS_AT_WHAT_WAS_HEARD)
        await leave(page)


async def test_muted_means_that_the_server_hears_nothing_and_a_conversation_goes_on_after_leaving(
    browser: Browser, url: str
) -> None:
    async with visit(browser, url, script=MICROPHONE) as page:
        await join(page)
        await ask_aloud(page, "capital_of_germany.wav")
        await leave(page)
        await join(page)
        first, second = await told(page, "session_started")
        assert second["conversation"] == first["conversation"]
        assert [turn["role"] for turn in second["history"]] == ["user", "assistant"]
        n_voices = len(await told(page, "user_started_speaking"))
        await page.get_by_role("button", name="Mute").click()
        await expect(page.locator("#microphone")).to_have_text("Microphone is muted")
        await say(page, SPEECH / "days_in_a_week.wav")
        await page.get_by_role("button", name="Mute").click()
        await ask_aloud(page, "capital_of_germany.wav")
        # One voice more: that of the recording that was said aloud.
        assert len(await told(page, "user_started_speaking")) == n_voices + 1
        assert await shown_turns(page) == await logged_turns(page)
        assert len(await logged_turns(page)) == 2
        await page.reload()
        await join(page)
        assert (await told(page, "session_started"))[0]["conversation"] == first["conversation"]
        await expect(page.locator(".user .said")).to_have_count(2)


async def test_a_typed_question_is_answered_in_writing_and_settings_make_the_space_bar_talk(
    browser: Browser, url: str
) -> None:
    async with visit(browser, url, script=MICROPHONE) as page:
        await join(page)
        await page.get_by_role("switch", name="Answer messages aloud").uncheck()
        await page.get_by_role("textbox", name="Message to the agent").fill("What is the capital of France?")
        await page.keyboard.press("Enter")
        await wait_until_told(page, "llm_done", 1)
        await expect(page.locator("#state")).to_have_text("Listening", timeout=ANSWER_MS)
        assert await shown_turns(page) == await logged_turns(page) == ["What is the capital of France?"]
        await expect(page.locator(".agent.written .said")).to_have_text(WORDS)
        assert await told(page, "bot_started_speaking") == []
        await page.get_by_role("button", name="Settings").click()
        await page.locator("#setting-turn-mode").select_option("push_to_talk")
        await page.get_by_role("button", name="Apply and go on").click()
        await wait_until_told(page, "settings_changed", 1)
        await expect(page.locator("#microphone")).to_have_text("Microphone opens while you hold", timeout=ANSWER_MS)
        n_turns = len(await told(page, "turn_ended"))
        await page.locator("main").click(position={"x": 5, "y": 5})
        await page.keyboard.down("Space")
        await expect(page.locator("#state")).to_have_text("Hearing you")
        await say(page, SPEECH / "days_in_a_week_with_pause.wav")
        # No pause ends the turn while the key is held.
        assert len(await told(page, "turn_ended")) == n_turns
        await page.keyboard.up("Space")
        await wait_until_told(page, "turn_ended", n_turns + 1)
        await wait_until_told(page, "bot_stopped_speaking", 1)
        assert await shown_turns(page) == await logged_turns(page)


async def test_a_spoken_question_is_answered_where_there_is_no_webrtc(browser: Browser, url: str) -> None:
    no_webrtc = "delete window.RTCPeerConnection;"
    async with visit(browser, url, script=MICROPHONE + no_webrtc, viewport={"width": 1280, "height": 800}) as page:
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.locator("#state")).to_have_text("Listening", timeout=ANSWER_MS)
        await page.get_by_role("button", name="Details").click()
        await expect(page.locator("#network")).to_have_text("WebSocket", timeout=ANSWER_MS)
        await say(page, SPEECH / "capital_of_germany.wav")
        await expect(page.locator(".user .said")).to_have_text(WORDS, timeout=ANSWER_MS)
        await expect(page.locator(".agent .said")).to_have_text(WORDS, timeout=ANSWER_MS)
        await expect(page.locator(".agent .latency")).to_contain_text("answered in", timeout=ANSWER_MS)
        await leave(page)
