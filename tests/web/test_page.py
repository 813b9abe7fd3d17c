"""The page in Chromium, against a stub server: what it shows, says, asks for and leaves alone."""

import pytest
from playwright.async_api import Browser, expect

from tests.support.chromium import visit
from tests.support.stub_server import StubServer, call, items, say_a_turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NONSENSE = (
    "",
    "{",
    "null",
    "[]",
    "7",
    '{"type":"rtvi-ai"}',
    '{"type":"signalling"}',
    '{"type":"signalling","message":{"type":"renegotiate"}}',
    '{"type":"event"}',
    '{"type":"event","event":null}',
    '{"type":"event","event":{}}',
    '{"type":"event","event":{"event":7}}',
    '{"type":"event","event":{"event":"toString"}}',
    '{"type":"event","event":{"event":"bot_word","text":7}}',
    '{"type":"event","event":{"event":"session_started","engines":7}}',
)


async def test_the_state_line_follows_the_call(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        state = page.locator("#state")
        await expect(state).to_have_text("Ready")
        peer = await call(page, stub)
        for event, fields, expected in (
            ("user_started_speaking", {}, "Hearing you"),
            ("partial_transcript", {"text": "hello"}, "Hearing you"),
            ("user_stopped_speaking", {}, "Thinking…"),
            ("user_started_speaking", {}, "Hearing you"),
            ("user_stopped_speaking", {}, "Thinking…"),
            ("transcript", {"text": "hello"}, "Thinking…"),
            ("turn_ended", {"text": "hello"}, "Thinking…"),
            ("llm_first_token", {}, "Thinking…"),
            ("bot_started_speaking", {}, "Speaking"),
            ("user_started_speaking", {}, "Hearing you"),
            ("user_stopped_speaking", {}, "Speaking"),
            ("playout", {"level": "ducked"}, "Lowered its voice"),
            ("playout", {"level": "paused"}, "Paused for you"),
            ("playout", {"level": "full"}, "Speaking"),
            # Speech in the agent's last moments: nothing is left to be played in full.
            ("playout", {"level": "paused"}, "Paused for you"),
            ("turn_ended", {"text": "and hello"}, "Speaking"),
            ("bot_stopped_speaking", {}, "Thinking…"),
            ("bot_started_speaking", {}, "Speaking"),
            ("bot_stopped_speaking", {}, "Listening"),
            ("user_started_speaking", {}, "Hearing you"),
            ("user_stopped_speaking", {}, "Listening"),
            ("turn_ended", {"text": ""}, "Listening"),
        ):
            peer.send(event, **fields)
            peer.send("marker")
            await expect(state, event).to_have_text(expected)
        await page.get_by_role("button", name="Leave").click()
        await expect(state).to_have_text("Ready")
        await peer.is_closed.wait()


async def test_both_sides_words_are_shown_and_a_partial_is_provisional(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.send("user_started_speaking")
        peer.send("partial_transcript", text="what is the whether")
        partial = page.locator(".user .partial")
        await expect(partial).to_have_text("what is the whether")
        await expect(partial).to_have_css("font-style", "italic")
        assert await items(page) == ["You what is the whether still listening"]
        peer.send("transcript", text="what is the weather")
        peer.send("partial_transcript", text="in paris")
        await expect(partial).to_have_text("in paris")
        assert await items(page) == ["You what is the weather in paris still listening"]
        peer.send("turn_ended", text="what is the weather in paris")
        peer.send("bot_started_speaking")
        peer.send("latency", voice_to_voice_ms=742.4, turn_ms=200)
        for word in ("It", "is", "sunny", "."):
            peer.send("bot_word", text=word)
        await expect(page.locator(".agent .said")).to_have_text("It is sunny.")
        assert await items(page) == [
            "You what is the weather in paris",
            "Agent It is sunny. answered in 742 ms",
        ]


async def test_planned_words_are_dim_until_they_are_heard_and_the_newest_is_marked(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.send("turn_ended", text="hello")
        peer.send("bot_planned", text="Good morning,")
        peer.send("bot_planned", text="it is 7 o'clock.")
        said, ahead = page.locator(".agent .said"), page.locator(".agent .ahead")
        await expect(ahead).to_have_text("Good morning, it is 7 o'clock.")
        await expect(said).to_have_text("")
        peer.send("bot_started_speaking")
        peer.send("bot_word", text="Good")
        await expect(page.locator(".agent mark")).to_have_text("Good")
        await expect(ahead).to_have_text("morning, it is 7 o'clock.")
        for word in ("morning,", "it", "is", "seven"):
            peer.send("bot_word", text=word)
        # Spoken otherwise than it is written: the words after it are found again.
        peer.send("bot_word", text="o'clock.")
        await expect(said).to_have_text("Good morning, it is seven o'clock.")
        await expect(page.locator(".agent mark")).to_have_text("o'clock.")
        await expect(ahead).to_be_hidden()
        peer.send("bot_stopped_speaking")
        await expect(page.locator(".agent mark")).to_have_count(0)


async def test_the_rest_of_an_answer_that_is_cut_off_is_struck_where_the_sound_stopped(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.send("turn_ended", text="tell me a story")
        peer.send("bot_planned", text="Once upon a time there was a fox.")
        peer.send("bot_started_speaking")
        for word in ("Once", "upon", "a"):
            peer.send("bot_word", text=word)
        peer.send("interruption", heard="Once upon a", planned="Once upon a time there was a fox.")
        await expect(page.locator("s.unsaid")).to_have_text("time there was a fox.")
        await expect(page.locator(".agent .ahead")).to_be_hidden()
        await expect(page.locator("#state")).to_have_text("Listening")
        assert await items(page) == [
            "You tell me a story",
            "Agent Once upon a interrupted, not said: time there was a fox.",
        ]


async def test_a_screen_reader_is_told_nothing_while_either_side_speaks(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        told = page.get_by_role("status")
        await expect(told).to_have_attribute("id", "announcer")
        peer = await call(page, stub)
        await expect(told).to_have_text("You are in the call.")
        peer.send("bot_started_speaking")
        await expect(page.locator("#state")).to_have_text("Speaking")
        await page.get_by_role("button", name="Mute").click()
        await expect(page.locator("#microphone")).to_have_text("Microphone is muted")
        await expect(told).to_have_text("You are in the call.")
        peer.send("bot_stopped_speaking")
        await expect(told).to_have_text("Microphone is muted.")


async def test_each_turn_shows_its_own_latency(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        say_a_turn(peer, "one", "First answer.")
        peer.send("latency", voice_to_voice_ms=1234)
        peer.send("bot_stopped_speaking")
        say_a_turn(peer, "two", "Second answer.")
        peer.send("bot_stopped_speaking")
        peer.send("latency", voice_to_voice_ms=None)
        await expect(page.locator(".agent").nth(1)).to_contain_text("Second answer.")
        assert await items(page) == [
            "You one",
            "Agent First answer. answered in 1.2 s",
            "You two",
            "Agent Second answer.",
        ]


async def test_an_interrupted_answer_shows_what_was_not_said(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        say_a_turn(peer, "tell me a story", "Once upon a time")
        peer.send("user_started_speaking")
        peer.send("partial_transcript", text="stop")
        peer.send("interruption", heard="Once upon a", planned="Once upon a time there was a fox.")
        peer.send("turn_ended", text="stop")
        await expect(page.locator("s.unsaid")).to_have_text("time there was a fox.")
        assert await items(page) == [
            "You tell me a story",
            "Agent Once upon a interrupted, not said: time there was a fox.",
            "You stop",
        ]


async def test_a_cough_over_the_agent_leaves_no_words_and_its_answer_goes_on(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        say_a_turn(peer, "hello", "Good")
        peer.send("user_started_speaking")
        peer.send("partial_transcript", text="huh")
        peer.send("user_stopped_speaking")
        peer.send("false_interruption", cause="noise")
        peer.send("bot_word", text="morning.")
        await expect(page.locator(".agent .said")).to_have_text("Good morning.")
        assert await items(page) == ["You hello", "Agent Good morning."]
        await expect(page.locator("#state")).to_have_text("Speaking")


async def test_an_agent_that_goes_on_after_a_cough_is_shown_speaking(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        say_a_turn(peer, "hello", "Good")
        for level in ("ducked", "paused"):
            peer.send("playout", level=level)
        peer.send("user_started_speaking")
        await expect(page.locator("#state")).to_have_text("Paused for you")
        peer.send("user_stopped_speaking")
        # As the server tells it: the end of the pause is not told apart from its reason.
        peer.send("false_interruption", cause="noise")
        await expect(page.locator("#state")).to_have_text("Speaking")


async def test_a_user_who_speaks_right_after_the_agent_is_heard_and_not_waited_for(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        say_a_turn(peer, "hello", "Good morning.")
        peer.send("bot_stopped_speaking")
        await expect(page.locator("#state")).to_have_text("Listening")
        # So soon that it might be the agent's echo: whatever sounds next is to wait.
        peer.send("playout", level="paused")
        peer.send("user_started_speaking")
        await expect(page.locator("#state")).to_have_text("Hearing you")


async def test_a_stage_error_is_shown_in_words_and_the_call_lives_on(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.send("turn_ended", text="hello")
        peer.send("error", stage="llm", message="no answer from http://127.0.0.1:11434/v1")
        await expect(page.locator(".notice")).to_have_text("Language model: no answer from http://127.0.0.1:11434/v1")
        await expect(page.locator("#state")).to_have_text("Listening")
        say_a_turn(peer, "again", "Here.")
        await expect(page.locator(".agent .said")).to_have_text("Here.")


async def test_words_are_text_and_never_markup(browser: Browser, stub: StubServer) -> None:
    hostile = "<img src=x onerror=alert(1)><script>alert(1)</script>"
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.send("turn_ended", text=hostile)
        peer.send("bot_word", text=hostile)
        peer.send("error", stage=hostile, message=hostile)
        peer.start(engines={"stt": hostile, hostile: {"engine": hostile}})
        await expect(page.locator(".user .said")).to_have_text(hostile)
        await expect(page.locator(".agent .said")).to_have_text(hostile)
        await expect(page.locator(".notice")).to_have_text(f"{hostile}: {hostile}")
        await expect(page.locator("#engines-short")).to_contain_text(hostile)
        assert await page.locator("body img, body script").count() == 0


async def test_messages_that_are_not_understood_change_nothing(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        for nonsense in NONSENSE:
            peer.send_text(nonsense)
        peer.send("turn_ended", text="still here")
        await expect(page.locator("#conversation .item")).to_have_text("You still here")
        assert await page.get_by_role("alert").count() == 0
