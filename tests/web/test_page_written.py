"""Typed questions in Chromium: in a call and without one, answered in writing or aloud."""

import asyncio
import re

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.chromium import visit
from tests.support.stub_server import StubServer, call, items

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def write(page: Page, text: str) -> None:
    box = page.get_by_role("textbox", name="Message to the agent")
    await box.fill(text)
    await box.press("Enter")
    await expect(box).to_have_value("")


async def test_a_message_in_a_call_is_a_turn_of_it_and_its_written_answer_is_markdown(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        aloud = page.get_by_role("switch", name="Answer messages aloud")
        await expect(aloud).to_be_checked()
        await aloud.uncheck()
        await write(page, "two  lines,\nplease")
        assert await items(page) == ["You two lines, please sending…"]
        peer.send("turn_ended", text="two  lines,\nplease", source="typed")
        await expect(page.locator("#state")).to_have_text("Thinking…")
        for piece in ("# One", "\n\nand ", "**two", "**."):
            peer.send("reply_text", text=piece)
        await expect(page.locator("#state")).to_have_text("Writing…")
        await expect(page.locator(".agent strong")).to_have_text("two")
        await expect(page.locator(".agent")).to_have_attribute("aria-busy", "true")
        peer.send("llm_done", text="# One\n\nand **two**.")
        await expect(page.locator("#state")).to_have_text("Listening")
        await expect(page.locator(".agent")).to_have_attribute("aria-busy", "false")
        await expect(page.locator(".agent h3")).to_have_text("One")
        assert await items(page) == ["You two lines, please", "Agent One and two."]
        # It makes no sound: a screen reader is told.
        await expect(page.get_by_role("status")).to_have_text("Agent: # One\n\nand **two**.")
        assert await peer.commands(1) == [{"type": "text", "text": "two  lines,\nplease", "spoken": False}]


async def test_a_message_answered_aloud_is_shown_as_it_is_heard(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        await write(page, "hello")
        peer.send("turn_ended", text="hello", source="typed")
        peer.send("bot_planned", text="Good morning.")
        peer.send("bot_started_speaking")
        peer.send("bot_word", text="Good")
        await expect(page.locator(".agent .ahead")).to_have_text("morning.")
        assert await peer.commands(1) == [{"type": "text", "text": "hello", "spoken": True}]


async def test_without_a_call_a_message_is_answered_in_pieces_and_the_conversation_goes_on(
    browser: Browser, stub: StubServer
) -> None:
    stub.chat = [("delta", {"text": "One and "}), ("delta", {"text": "*two*."}), ("done", {"text": "One and *two*."})]
    stub.chat_pause = asyncio.Event()
    async with visit(browser, stub.url) as page:
        await write(page, "count")
        await expect(page.locator(".agent .said")).to_have_text("One and")
        await expect(page.locator("#state")).to_have_text("Writing…")
        await expect(page.get_by_role("button", name="Send")).to_be_disabled()
        stub.chat_pause.set()
        await expect(page.locator(".agent em")).to_have_text("two")
        await expect(page.locator("#state")).to_have_text("Ready")
        await write(page, "again")
        await expect(page.locator(".agent em")).to_have_count(2)
        for name, what in (("page", "what the tab calls itself"), ("browser", "what opens its browser's memory")):
            (own_id,) = {question.pop(name) for question in stub.questions}
            assert re.fullmatch("[0-9a-f]{32}", own_id), what
        assert stub.questions == [{"text": "count"}, {"text": "again", "conversation": "conversation-1"}]
        peer = await call(page, stub)
        assert peer.offer["conversation"] == "conversation-1"
        assert await page.evaluate("microphones.length") == 1


async def test_outside_of_a_call_answers_are_read_aloud_where_that_is_wanted_and_fall_silent_with_a_key(
    browser: Browser, stub: StubServer
) -> None:
    text = "One *and*\n\n```\ncode\n\nmore\n```\n\ntwo."
    stub.chat = [("delta", {"text": text}), ("done", {"text": text})]
    async with visit(browser, stub.url) as page:
        aloud = page.get_by_role("switch", name="Answer messages aloud")
        # Nothing speaks up that was not asked to.
        await expect(aloud).not_to_be_checked()
        await write(page, "count")
        await expect(page.get_by_role("status").first).to_have_text(f"Agent: {text}")
        assert stub.speeches == []
        await aloud.check()
        await write(page, "again")
        say = page.get_by_role("button", name="Say again")
        await expect(say.last).to_have_attribute("aria-pressed", "true")
        await expect(say.last).not_to_have_attribute("aria-pressed", "true")
        # Paragraph by paragraph, so that a long one is not waited for; code is not cut.
        said = [speech["input"] for speech in stub.speeches]
        assert said == ["One *and*", "```\ncode\n\nmore\n```", "two."]
        stub.speech_secs = 60
        await write(page, "once more")
        await expect(say.last).to_have_attribute("aria-pressed", "true")
        await page.keyboard.press("Escape")
        await page.locator("#talk-section").press("Escape")
        await expect(say.last).not_to_have_attribute("aria-pressed", "true")
        # What is chosen for calls is another choice.
        await call(page, stub)
        await expect(aloud).to_be_checked()
        await page.get_by_role("button", name="Leave").click()
        await expect(aloud).to_be_checked()
        await page.reload()
        await expect(aloud).to_be_checked()


async def test_an_answer_in_writing_can_be_interrupted_with_a_key(browser: Browser, stub: StubServer) -> None:
    stub.chat = [("delta", {"text": "One and "}), ("delta", {"text": "two."}), ("done", {"text": "One and two."})]
    stub.chat_pause = asyncio.Event()
    async with visit(browser, stub.url) as page:
        await write(page, "count")
        await expect(page.locator(".agent .said")).to_have_text("One and")
        await page.keyboard.press("Escape")
        await expect(page.locator("#state")).to_have_text("Ready")
        stub.chat_pause.set()
        await expect(page.locator("#problem")).to_be_hidden()
        assert await items(page) == ["You count", "Agent One and"]


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ((409, "this conversation is in a call"), "This conversation is in a call."),
        ((401, "no token"), "This server wants its access token."),
        ((503, "the agent is busy"), "The agent is busy."),
        (None, "This server can only be written to in a call: press Start talking first."),
    ],
)
async def test_a_message_that_is_refused_is_given_back_with_the_reason(
    browser: Browser, stub: StubServer, refusal: tuple[int, str] | None, words: str
) -> None:
    stub.refusal = refusal
    async with visit(browser, stub.url, allowed_errors=["status of"]) as page:
        box = page.get_by_role("textbox", name="Message to the agent")
        await box.fill("hello")
        await box.press("Enter")
        await expect(page.locator("#problem")).to_contain_text(words)
        await expect(box).to_have_value("hello")
        assert await items(page) == []


async def test_an_answer_that_fails_or_breaks_off_says_so(browser: Browser, stub: StubServer) -> None:
    stub.chat = [("delta", {"text": "One"}), ("error", {"stage": "llm", "message": "no answer for 10 s"})]
    async with visit(browser, stub.url) as page:
        await write(page, "count")
        await expect(page.locator(".notice")).to_have_text("Language model: no answer for 10 s")
        stub.chat = [("delta", {"text": "Two"})]
        await write(page, "again")
        await expect(page.locator("#problem")).to_have_text("The server broke off in the middle of the answer.")
        assert await items(page) == [
            "You count",
            "Agent One",
            "Language model: no answer for 10 s",
            "You again",
            "Agent Two",
        ]


async def test_the_agent_is_interrupted_by_a_button_or_a_key_and_the_space_bar_writes_spaces(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.start(push_to_talk=True)
        interrupt = page.get_by_role("button", name="Interrupt")
        await expect(interrupt).to_be_disabled()
        peer.send("bot_started_speaking")
        await interrupt.click()
        await page.keyboard.press("Escape")
        await page.get_by_role("textbox").press_sequentially("a b")
        await expect(page.get_by_role("textbox")).to_have_value("a b")
        peer.send("bot_stopped_speaking")
        await expect(interrupt).to_be_disabled()
        await page.get_by_role("textbox").press("Shift+Enter")
        await write(page, "a\nb")
        assert await peer.commands(3) == [
            {"type": "interrupt"},
            {"type": "interrupt"},
            {"type": "text", "text": "a\nb", "spoken": True},
        ]


async def test_with_push_to_talk_the_microphone_is_shut_until_the_button_is_held(
    browser: Browser, stub: StubServer
) -> None:
    is_open = "microphones[0].track.enabled"
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.start(push_to_talk=True)
        sign = page.locator("#microphone")
        await expect(sign).to_have_text("Microphone opens while you hold")
        assert await page.evaluate(is_open) is False
        await page.get_by_role("button", name="Hold to talk").hover()
        await page.mouse.down()
        await expect(sign).to_have_text("Microphone is on")
        assert await page.evaluate(is_open) is True
        await page.mouse.up()
        await expect(sign).to_have_text("Microphone opens while you hold")
        await page.locator("body").evaluate("body => document.activeElement.blur()")
        await page.keyboard.down("Space")
        await expect(sign).to_have_text("Microphone is on")
        await page.keyboard.up("Space")
        await expect(sign).to_have_text("Microphone opens while you hold")
        await page.get_by_role("button", name="Mute").click()
        await expect(sign).to_have_text("Microphone is muted")
        assert [command["active"] for command in await peer.commands(4)] == [True, False, True, False]


@pytest.mark.parametrize("began_at", ["#talk", "#open-settings", "#message"])
async def test_right_after_joining_the_space_bar_talks_and_does_not_hang_up(
    browser: Browser, stub: StubServer, began_at: str
) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        # As after a click on it, or on Apply in the settings.
        await page.locator(began_at).focus()
        peer.start(push_to_talk=True)
        await expect(page.locator("#microphone")).to_have_text("Microphone opens while you hold")
        await page.keyboard.down("Space")
        if began_at == "#message":
            await page.keyboard.up("Space")
            await expect(page.locator("#message")).to_have_value(" ")
            await expect(page.locator("#microphone")).to_have_text("Microphone opens while you hold")
        else:
            await expect(page.locator("#microphone")).to_have_text("Microphone is on")
            await page.keyboard.up("Space")
            await expect(page.locator("#microphone")).to_have_text("Microphone opens while you hold")
            assert [command["active"] for command in await peer.commands(2)] == [True, False]
        await expect(page.locator("#state")).to_have_text("Listening")
        await expect(page.get_by_role("dialog")).to_be_hidden()


async def test_where_there_are_two_language_models_the_page_says_which_one_answered_and_why(
    browser: Browser, stub: StubServer
) -> None:
    stub.chat = [
        ("delta", {"text": "`f`"}),
        ("done", {"text": "`f`", "model": "big", "size": "large", "why": "failover"}),
    ]
    async with visit(browser, stub.url) as page:
        await write(page, "hello")
        told = page.locator(".agent .answering")
        await expect(told).to_have_text("big, in place of the other one, which failed")
        peer = await call(page, stub)
        peer.send("turn_ended", text="some code", source="typed")
        peer.send("llm_first_token", model="big", size="large", why="code")
        peer.send("bot_planned", text="Here.")
        peer.send("bot_started_speaking")
        peer.send("bot_word", text="Here.")
        await expect(told.last).to_have_text("big, for code")
        peer.send("bot_stopped_speaking")
        # A reflex is no model's.
        peer.send("turn_ended", text="what time is it", source="typed")
        peer.send("reflex", name="time")
        peer.send("bot_word", text="Noon.")
        await expect(page.locator(".agent").last).to_contain_text("Noon.")
        await expect(told).to_have_count(3)
        await expect(told.last).to_be_hidden()
