"""Pictures for a message: pasted, dropped, chosen and taken; seen before they are sent; refused where no model sees."""

import asyncio
import base64

import pytest
from playwright.async_api import Browser, Page, Route, expect

from agent.tools.picture import MAX_BYTES, MAX_SIDE_PX, read_picture
from tests.agent.tools.test_camera import png
from tests.support.axe import find_barriers
from tests.support.chromium import visit, wait_until
from tests.support.stub_server import StubServer, call, items
from tests.web.test_page_camera import CAMERAS
from tests.web.test_page_written import write

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

BLIND = "The language model in use takes no pictures."
# Hands the page files as the browser does: a drop on its background, or a paste.
HAND = """async ([how, type, data, width, height]) => {
  const bytes = data ? Uint8Array.from(atob(data), (one) => one.charCodeAt(0)) : await (async () => {
    const canvas = new OffscreenCanvas(width, height);
    canvas.getContext("2d").fillRect(0, 0, width / 2, height / 2);
    return canvas.convertToBlob({ type });
  })();
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "a file", { type }));
  const event = how === "drop"
    ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true })
    : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true });
  (how === "drop" ? document.querySelector("main") : document.querySelector("#message")).dispatchEvent(event);
}"""

# What a word processor hands over of a text: the text, and a picture of it.
HAND_TEXT = """() => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([""], "image.png", { type: "image/png" }));
  for (const type of ["text/plain", "text/html"]) transfer.setData(type, "a text");
  const event = new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true });
  return document.querySelector("#message").dispatchEvent(event);
}"""
# Nothing is made small before goOn() is called.
SLOW = """() => {
  const make = createImageBitmap;
  window.createImageBitmap = async (file) => {
    await new Promise((resolve) => (window.goOn = resolve));
    window.createImageBitmap = make;
    return make(file);
  };
}"""


async def hand(page: Page, how: str, width: int = 40, height: int = 30) -> None:
    await page.evaluate(HAND, [how, "image/png", "", width, height])


async def hold_pictures(page: Page, go_on: asyncio.Event) -> None:
    """Let no picture reach the server before `go_on`."""

    async def hold(route: Route) -> None:
        await go_on.wait()
        await route.continue_()

    await page.route("**/api/pictures", hold)


def seeing(stub: StubServer) -> None:
    assert stub.options
    stub.options["sees"] = True
    stub.chat = [("delta", {"text": "A cup."}), ("done", {"text": "A cup."})]


async def test_pictures_are_pasted_dropped_and_taken_away_and_sent_with_the_question(
    browser: Browser, stub: StubServer
) -> None:
    seeing(stub)
    async with visit(browser, stub.url, script=CAMERAS) as page:
        await expect(page.get_by_role("button", name="Add a picture")).to_be_visible()
        await hand(page, "paste", 4_000, 3_000)
        previews = page.locator("#attached img")
        await expect(previews).to_have_count(1)
        await expect(page.get_by_role("textbox", name="Message to the agent")).to_be_focused()
        await hand(page, "drop")
        await expect(previews).to_have_count(2)
        file = {"name": "dot.png", "mimeType": "image/png", "buffer": png(2, 2)}
        for n in (3, 4):
            await page.locator("#attach-file").set_input_files([file])  # pyright: ignore[reportArgumentType]
            await expect(previews).to_have_count(n)
        assert await find_barriers(page) == []
        await hand(page, "paste")
        await expect(page.locator("#problem")).to_have_text("A message takes 4 pictures at most.")
        for n in (4, 3):
            await page.get_by_role("button", name=f"Remove picture {n}").click()
        await expect(previews).to_have_count(2)
        await write(page, "what is this")
        await expect(page.locator(".agent .said")).to_have_text("A cup.")
        await expect(page.locator("#attached")).to_be_hidden()
        await expect(page.locator(".user .pictures img")).to_have_count(2)
        question = stub.questions[-1]
        assert (question["text"], sorted(question["pictures"])) == ("what is this", ["mark-1", "mark-2"])
        large, small = (read_picture(stub.pictures[mark]) for mark in question["pictures"])
        assert (large.mime, large.width, large.height) == ("image/jpeg", MAX_SIDE_PX, MAX_SIDE_PX * 3 // 4)
        assert (small.width, small.height, len(large.data) <= MAX_BYTES) == (40, 30, True)

        # Without words it is asked what there is to see; asked again, it goes along.
        await page.get_by_role("button", name="Take a picture").click()
        await expect(previews).to_have_count(1)
        await wait_until(page, "() => cameras.length === 1 && cameras[0].readyState === 'ended'")
        await page.get_by_role("button", name="Send").click()
        await expect(page.locator(".user .said").last).to_have_text("What do you see in this picture?")
        await expect(page.locator(".agent")).to_have_count(2)
        await page.get_by_role("button", name="Edit and ask again").last.click()
        await page.get_by_role("textbox", name="Your message").fill("what colour is it")
        await page.keyboard.press("Enter")
        await expect(page.locator(".user .said").last).to_have_text("what colour is it")
        await expect(page.locator(".user").last.locator("img")).to_have_count(1)
        assert len(stub.questions[-1]["pictures"]) == 1


async def test_a_model_that_takes_no_pictures_is_told_of_before_anything_is_sent(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        await expect(page.locator("#engines-list .stage")).not_to_have_count(0)
        await expect(page.get_by_role("button", name="Add a picture")).to_be_hidden()
        await hand(page, "drop")
        await expect(page.locator("#problem")).to_contain_text(BLIND)
        assert await page.locator("#attached img").count() == 0
        assert (stub.pictures, stub.questions) == ({}, [])


async def test_what_is_no_picture_is_told(browser: Browser, stub: StubServer) -> None:
    seeing(stub)
    async with visit(browser, stub.url) as page:
        await expect(page.get_by_role("button", name="Add a picture")).to_be_visible()
        data = base64.b64encode(b"%PDF-1.7").decode()
        await page.evaluate(HAND, ["drop", "application/pdf", data, 0, 0])
        await expect(page.locator("#problem")).to_have_text("a file is no picture that this browser can read.")


async def test_in_a_call_they_go_with_the_typed_turn(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.start(sees=True)
        await expect(page.get_by_role("button", name="Add a picture")).to_be_visible()
        await hand(page, "paste")
        await expect(page.locator("#attached img")).to_have_count(1)
        await write(page, "what is this")
        typed = {"type": "text", "text": "what is this", "spoken": True, "pictures": ["mark-1"]}
        assert await peer.commands(1) == [typed]
        # What is not there any more is given back, words and picture.
        peer.send("error", stage="picture", message="attach it again")
        await expect(page.locator("#message")).to_have_value("what is this")
        await expect(page.locator("#attached img")).to_have_count(1)
        assert await items(page) == ["Picture: attach it again"]
        await page.locator("#message").press("Enter")
        await peer.commands(2)
        peer.send("turn_ended", text="what is this", source="typed")
        peer.send("bot_word", text="Dark.")
        await expect(page.locator(".agent .said")).to_have_text("Dark.")
        await expect(page.locator(".user img")).to_have_count(1)


async def test_a_picture_that_takes_its_time_is_waited_for_and_nothing_overtakes_it(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.start(sees=True)
        await expect(page.get_by_role("button", name="Add a picture")).to_be_visible()
        assert await page.evaluate(HAND_TEXT), "a text is pasted as a text"
        await page.evaluate(SLOW)
        await hand(page, "paste")
        await write(page, "what is this")
        go_on = asyncio.Event()
        await hold_pictures(page, go_on)
        await page.evaluate("goOn()")
        await expect(page.locator(".user")).to_have_count(1)
        await write(page, "and then")
        await expect(page.locator(".user")).to_have_count(2)
        go_on.set()
        first, second = await peer.commands(2)
        assert (first["text"], first["pictures"], second["text"]) == ("what is this", ["mark-1"], "and then")
        peer.send("turn_ended", text="what is this", source="typed")
        peer.send("turn_ended", text="and then", source="typed")
        # A model that sees nothing is not asked about it again.
        peer.send("settings_changed", changed=["llm.model"], engines={}, sees=False)
        await expect(page.get_by_role("button", name="Add a picture")).to_be_hidden()
        await page.get_by_role("button", name="Edit and ask again").first.click()
        await page.get_by_role("textbox", name="Your message").press("Enter")
        await expect(page.locator("#problem")).to_contain_text(BLIND)
        await expect(page.locator("#message")).to_have_value("what is this")
        assert len(await peer.commands(2)) == 2


async def test_what_the_call_has_not_taken_at_its_end_is_given_back_and_goes_to_no_other(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        previews, box = page.locator("#attached img"), page.locator("#message")
        peer = await call(page, stub)
        peer.start(sees=True)
        await expect(page.get_by_role("button", name="Add a picture")).to_be_visible()
        await hand(page, "paste")
        await expect(previews).to_have_count(1)
        await write(page, "what is this")
        await peer.commands(1)
        peer.send("session_ended", reason="time is over")
        await expect(box).to_have_value("what is this")
        await expect(previews).to_have_count(1)
        assert await items(page) == ["The conversation ended: time is over."]

        # Nor does an upload go on into the next call.
        peer = await call(page, stub)
        peer.start(sees=True)
        await expect(page.get_by_role("button", name="Add a picture")).to_be_visible()
        go_on = asyncio.Event()
        await hold_pictures(page, go_on)
        await box.press("Enter")
        await expect(previews).to_have_count(0)
        await page.get_by_role("button", name="Leave").click()
        await expect(previews).to_have_count(1)
        again = await call(page, stub)
        again.start(sees=True)
        async with page.expect_response("**/api/pictures"):
            go_on.set()
        await page.get_by_role("button", name="Remove picture 1").click()
        await box.press("Enter")
        assert await again.commands(1) == [{"type": "text", "text": "what is this", "spoken": True}]
        assert await peer.commands(0) == []
