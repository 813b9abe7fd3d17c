"""The page's camera: opened when the server asks for a picture, closed before it is sent, and shown beside the turn."""

import pytest
from playwright.async_api import Browser, expect

from agent.tools.picture import MAX_BYTES, MAX_SIDE_PX, read_picture
from tests.support.chromium import visit, wait_until
from tests.support.stub_server import StubServer, call, items

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# Keeps the tracks of every camera that is opened.
CAMERAS = """
window.cameras = [];
const openDevice = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
  if (wanted.video && window.denyCamera) throw new DOMException("denied", "NotAllowedError");
  const stream = await openDevice(wanted);
  window.cameras.push(...stream.getVideoTracks());
  return stream;
};
"""
ASKED = {"limit_secs": 20, "max_bytes": MAX_BYTES, "max_side_px": MAX_SIDE_PX}
SENT = "This picture was sent to the language model for this question alone. It is stored nowhere; the camera is off."


async def test_one_picture_is_taken_when_it_is_asked_for_and_shown_beside_the_turn(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url, script=CAMERAS) as page:
        peer = await call(page, stub)
        assert await page.evaluate("window.cameras.length") == 0
        peer.send("turn_ended", text="what do you see")
        peer.send("camera_asked", mark="m1", **ASKED)
        await expect(page.locator(".picture img")).to_be_visible()
        await wait_until(page, "() => window.cameras.length === 1 && window.cameras[0].readyState === 'ended'")
        peer.send("camera_taken", mark="m1", mime="image/jpeg", width=4, height=3, bytes=9)
        await expect(page.locator(".picture .note")).to_have_text(SENT)
        picture = read_picture(stub.pictures["m1"])
        assert picture.mime == "image/jpeg"
        assert await page.locator(".picture img").get_attribute("src") == picture.url
        peer.send("bot_word", text="A cup.")
        await expect(page.locator(".agent .said")).to_have_text("A cup.")
        assert await items(page) == ["You what do you see", SENT, "Agent A cup."]
        # Who does not allow it sends nothing.
        await page.evaluate("window.denyCamera = true")
        peer.send("camera_asked", mark="m2", **ASKED)
        assert await peer.commands(1) == [{"type": "camera", "mark": "m2", "problem": "denied"}]
        peer.send("camera_failed", mark="m2", reason="the user did not allow the camera")
        denied = "No picture was sent: the user did not allow the camera."
        await expect(page.locator(".picture .note").last).to_have_text(denied)
        assert list(stub.pictures) == ["m1"]


async def test_a_camera_that_shows_nothing_is_closed_when_nobody_waits_for_it_any_more(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url, script=CAMERAS) as page:
        peer = await call(page, stub)
        # As in a page that is hidden, and there for ever.
        await page.evaluate(
            """() => {
              HTMLVideoElement.prototype.requestVideoFrameCallback = () => 0;
              const later = window.setTimeout;
              window.setTimeout = (then, ms, ...more) => (ms === 1000 ? 0 : later(then, ms, ...more));
            }"""
        )
        peer.send("camera_asked", mark="m1", **ASKED)
        await wait_until(page, "() => window.cameras.length === 1")
        assert await page.evaluate("window.cameras[0].readyState") == "live"
        peer.send("camera_failed", mark="m1", reason="no picture came within 20 seconds")
        await wait_until(page, "() => window.cameras[0].readyState === 'ended'")
        assert not stub.pictures
