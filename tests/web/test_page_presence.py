"""The presence in the middle of the page, and what stays where it is while the floor changes."""

import json
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.support.chromium import visit, wait_until
from tests.support.stub_peer import StubPeer
from tests.support.stub_server import StubServer, call, choose, say_a_turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PICTURE = "document.querySelector('#presence canvas').toDataURL()"
PHONE = {"width": 390, "height": 844}
ON_ITS_SIDE = {"width": 844, "height": 390}


async def is_state(page: Page, state: str) -> None:
    await expect(page.locator("#state")).to_have_text(state)


async def take_through_states(page: Page, peer: StubPeer) -> dict[str, str]:
    """Its picture in each state of a call."""
    pictures = {"listening": await page.evaluate(PICTURE)}
    await page.get_by_role("button", name="Mute").click()
    await is_state(page, "Muted")
    pictures["muted"] = await page.evaluate(PICTURE)
    await page.get_by_role("button", name="Mute").click()
    for state, text, events in (
        ("hearing", "Hearing you", ["user_started_speaking"]),
        ("thinking", "Thinking…", ["user_stopped_speaking", "turn_ended"]),
        ("speaking", "Speaking", ["bot_started_speaking"]),
    ):
        for event in events:
            peer.send(event, text="hello")
        await is_state(page, text)
        pictures[state] = await page.evaluate(PICTURE)
    for level, text in (("ducked", "Lowered its voice"), ("paused", "Paused for you")):
        peer.send("playout", level=level)
        await is_state(page, text)
        pictures[level] = await page.evaluate(PICTURE)
    return pictures


async def test_each_state_has_a_shape_of_its_own_where_nothing_may_move(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url, reduced_motion="reduce") as page:
        await is_state(page, "Ready")
        pictures = {"idle": await page.evaluate(PICTURE)}
        pictures |= await take_through_states(page, await call(page, stub))
        assert len(set(pictures.values())) == len(pictures) == 8
        resting = await page.evaluate(PICTURE)
        await page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
        assert await page.evaluate(PICTURE) == resting


async def test_it_moves_with_whoever_speaks(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.send("bot_started_speaking")
        await is_state(page, "Speaking")
        before = await page.evaluate(PICTURE)
        await wait_until(page, f"(before) => {PICTURE} !== before", arg=before)


async def test_it_begins_the_call_and_interrupts_the_agent(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        await is_state(page, "Ready")
        await page.locator("#presence").click()
        peer = await stub.next_peer()
        await is_state(page, "Listening")
        # Nothing is to be stopped: it neither leaves nor interrupts, and it takes the keyboard from nobody.
        await page.get_by_role("textbox").focus()
        await page.locator("#presence").click()
        await expect(page.get_by_role("textbox")).to_be_focused()
        peer.send("bot_started_speaking")
        await is_state(page, "Speaking")
        text = {"type": "text", "text": "hello", "spoken": True}
        await page.keyboard.type("hello")
        await page.keyboard.press("Enter")
        assert await peer.commands(1) == [text]
        await page.locator("#presence").click()
        assert await peer.commands(2) == [text, {"type": "interrupt"}]
        await expect(page.get_by_role("button", name="Leave")).to_be_visible()


async def test_it_makes_room_for_the_words_and_comes_back(browser: Browser, stub: StubServer) -> None:
    place = "document.body.dataset.place === {!r}"
    async with visit(browser, stub.url, viewport=PHONE) as page:
        peer = await call(page, stub)
        say_a_turn(peer, "hello", "Good morning.")
        await expect(page.get_by_text("Good morning.")).to_be_visible()
        await wait_until(page, place.format("stage"))
        for n in range(8):
            say_a_turn(peer, f"question {n}", f"Answer {n}.")
            peer.send("bot_stopped_speaking")
        await wait_until(page, place.format("dock"))
        await expect(page.get_by_text("Answer 7.")).to_be_in_viewport(ratio=1)
        await choose(page, "Start over")
        peer.send("started_over")
        await wait_until(page, place.format("stage"))


async def boxes(*locators: Locator) -> list[Any]:
    return [await locator.bounding_box() for locator in locators]


@pytest.mark.parametrize("size", [PHONE, ON_ITS_SIDE, {"width": 1280, "height": 800}])
async def test_no_button_changes_its_place_while_the_floor_changes(
    browser: Browser, stub: StubServer, size: dict[str, int]
) -> None:
    async with visit(browser, stub.url, viewport=size) as page:
        peer = await call(page, stub)
        buttons = [page.locator(name) for name in ("#mute", "#interrupt", "#talk", "#message")]
        places = await boxes(*buttons)
        await expect(buttons[1]).to_be_disabled()
        peer.send("user_started_speaking")
        await is_state(page, "Hearing you")
        assert await boxes(*buttons) == places
        peer.send("user_stopped_speaking")
        peer.send("turn_ended", text="hello")
        peer.send("bot_started_speaking")
        await is_state(page, "Speaking")
        await expect(buttons[1]).to_be_enabled()
        assert await boxes(*buttons) == places
        await buttons[0].click()
        await is_state(page, "Speaking")
        assert await boxes(*buttons) == places


@pytest.mark.parametrize("size", [PHONE, ON_ITS_SIDE])
async def test_a_phone_has_all_that_a_call_needs_in_sight(
    browser: Browser, stub: StubServer, size: dict[str, int]
) -> None:
    async with visit(browser, stub.url, viewport=size) as page:
        for name in ("Start talking", "Settings", "Details"):
            await expect(page.get_by_role("button", name=name)).to_be_in_viewport(ratio=1)
        await expect(page.locator("#why")).to_be_in_viewport(ratio=1)
        peer = await call(page, stub)
        say_a_turn(peer, "hello", "Good morning.")
        for name in ("Mute", "Interrupt", "Leave", "Settings", "Conversation"):
            await expect(page.get_by_role("button", name=name)).to_be_in_viewport(ratio=1)
        await expect(page.get_by_role("textbox")).to_be_in_viewport(ratio=1)
        await expect(page.locator("#state")).to_be_in_viewport(ratio=1)


async def test_a_changed_setting_leaves_the_header_of_a_phone_whole(browser: Browser, stub: StubServer) -> None:
    chosen = json.dumps({"options": {"tts.speed": 1.5, "tts.voice": "af_sky"}})
    kept = f"localStorage.setItem('sotto.choices', {json.dumps(chosen)});"
    async with visit(browser, stub.url, viewport={"width": 320, "height": 640}, script=kept) as page:
        say_a_turn(await call(page, stub), "hello", "Good morning.")
        await expect(page.locator("#n-choices")).to_be_visible()
        await expect(page.get_by_role("button", name="Conversation")).to_be_visible()
        assert (await page.locator(".top").bounding_box() or {})["height"] < 70
        for name in ("Conversation", "Details", "Settings"):
            await expect(page.get_by_role("button", name=name)).to_be_in_viewport(ratio=1)
        assert await page.evaluate("document.scrollingElement.scrollWidth") == 320


async def test_what_can_be_said_first_is_said_at_a_click(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        await page.get_by_role("button", name="What time is it?").click()
        assert await peer.commands(1) == [{"type": "text", "text": "What time is it?", "spoken": True}]
        await expect(page.locator("#chips")).to_be_hidden()


async def test_details_stay_as_they_were_left(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        details = page.get_by_role("complementary")
        button = page.get_by_role("button", name="Details")
        await expect(button).to_have_attribute("aria-expanded", "false")
        await button.click()
        await expect(details).to_be_visible()
        await page.reload()
        await expect(details).to_be_visible()
        await expect(button).to_have_attribute("aria-expanded", "true")
        await button.click()
        await expect(details).to_be_hidden()


async def test_single_keys_do_what_the_sheet_says(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        await is_state(page, "Ready")
        await page.keyboard.press("Space")
        peer = await stub.next_peer()
        await is_state(page, "Listening")
        await page.keyboard.press("m")
        await is_state(page, "Muted")
        await page.keyboard.press("m")
        await is_state(page, "Listening")
        peer.send("bot_started_speaking")
        await is_state(page, "Speaking")
        await page.keyboard.press("i")
        assert await peer.commands(1) == [{"type": "interrupt"}]
        await page.keyboard.press("/")
        await expect(page.get_by_role("textbox")).to_be_focused()
        # In the message they are letters.
        await page.keyboard.type("mi?")
        await expect(page.get_by_role("textbox")).to_have_value("mi?")
        await expect(page.locator("#microphone")).to_have_text("Microphone is on")


async def test_single_keys_can_be_switched_off_and_escape_stays(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        await page.keyboard.press("?")
        sheet = page.get_by_role("dialog", name="Keys")
        await expect(sheet).to_contain_text("Mute or unmute")
        await page.get_by_role("switch", name="Single keys").uncheck()
        await page.get_by_role("button", name="Close").click()
        await expect(sheet).to_be_hidden()
        peer = await call(page, stub)
        await page.keyboard.press("m")
        peer.send("bot_started_speaking")
        await is_state(page, "Speaking")
        await page.keyboard.press("Escape")
        assert await peer.commands(1) == [{"type": "interrupt"}]
        await expect(page.locator("#microphone")).to_have_text("Microphone is on")


@pytest.mark.parametrize("way", ["Escape", "Close"])
async def test_an_edited_persona_is_not_thrown_away_without_a_question(
    browser: Browser, stub: StubServer, way: str
) -> None:
    async def leave() -> None:
        if way == "Escape":
            await page.keyboard.press("Escape")
        else:
            await page.locator("#settings-close").click()

    async with visit(browser, stub.url) as page:
        settings = page.get_by_role("dialog", name="Settings")
        question = page.get_by_role("dialog", name="Throw your changes away?")
        await page.get_by_role("button", name="Settings").click()
        persona = page.get_by_label("What the agent is told about itself")
        await persona.fill("You are a pirate.")
        await leave()
        await page.get_by_role("button", name="Keep editing").click()
        await expect(question).to_be_hidden()
        await expect(persona).to_have_value("You are a pirate.")
        await leave()
        await page.get_by_role("button", name="Throw away").click()
        await expect(settings).to_be_hidden()
        # Nothing was changed this time, so nothing is asked.
        await page.get_by_role("button", name="Settings").click()
        await expect(persona).not_to_have_value("You are a pirate.")
        await leave()
        await expect(settings).to_be_hidden()


async def test_who_writes_instead_need_not_read_on_why_there_is_no_call(browser: Browser, stub: StubServer) -> None:
    stub.chat = [("delta", {"text": "Good morning."}), ("done", {"text": "Good morning."})]
    async with visit(browser, stub.url, allowed_errors=["status of 400"]) as page:
        stub.refusal = (400, "no microphone")
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.locator("#problem")).to_be_visible()
        stub.refusal = None
        await page.get_by_role("textbox").fill("hello")
        await page.keyboard.press("Enter")
        await expect(page.locator(".agent .said")).to_have_text("Good morning.")
        await expect(page.locator("#problem")).to_be_hidden()


LIT = """
window.lit = 0;
Object.defineProperty(navigator, "wakeLock", { value: { request: async () => {
  const held = new EventTarget();
  held.release = async () => { window.lit -= 1; held.dispatchEvent(new Event("release")); };
  window.lit += 1;
  return held;
} } });
"""


async def test_the_screen_stays_lit_while_a_call_goes_on(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url, script=LIT) as page:
        assert await page.evaluate("lit") == 0
        await call(page, stub)
        await wait_until(page, "lit === 1")
        await page.get_by_role("button", name="Leave").click()
        await wait_until(page, "lit === 0")
        await call(page, stub)
        await wait_until(page, "lit === 1")


FORMS = """async () => {
  const [{ FLOOR }, { draw }] = await Promise.all([import("/floor.js"), import("/call/presence_forms.js")]);
  const colours = { accent: "green", agent: "purple", edge: "grey", live: "red", raised: "white" };
  return Object.keys(FLOOR).map((state) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 100;
    const context = canvas.getContext("2d");
    context.setTransform(50, 0, 0, 50, 50, 50);
    draw(context, state, 0, { you: 0.5, agent: 0.5 }, colours);
    return canvas.toDataURL();
  });
}"""


async def test_there_is_a_shape_for_each_state_that_the_page_knows(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        forms: list[str] = await page.evaluate(FORMS)
        assert len(set(forms)) == len(forms) > 12


async def test_the_button_that_interrupts_keeps_the_keyboard_and_a_second_press_leaves_nothing(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.send("bot_started_speaking")
        await is_state(page, "Speaking")
        interrupt = page.get_by_role("button", name="Interrupt")
        await interrupt.focus()
        await page.keyboard.press("Enter")
        peer.send("interruption", heard="", planned="")
        await expect(interrupt).to_be_disabled()
        await expect(interrupt).to_be_focused()
        await page.keyboard.press("Enter")
        await page.keyboard.press("/")
        await page.keyboard.type("still here")
        await page.keyboard.press("Enter")
        assert [command["type"] for command in await peer.commands(2)] == ["interrupt", "text"]


async def test_the_space_bar_scrolls_the_conversation_and_begins_no_call(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        await is_state(page, "Ready")
        await page.locator("#talk-section").focus()
        await page.keyboard.press("Space")
        await page.locator("#talk-section").evaluate("(section) => section.blur()")
        await is_state(page, "Ready")
        assert await page.evaluate("microphones.length") == 0
