"""The page in Firefox and in WebKit: it opens, is written to, and says what the browser cannot do.

Not in CI, where their packages take longer than the tests; a machine that has them runs them.
"""

import shutil
from pathlib import Path

import pytest

from tests.support.other_browsers import ENTER, OtherPage, find_mini_browser, firefox, until, webkit
from tests.support.stub_server import StubServer, say_a_turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

MINI_BROWSER = find_mini_browser()
READY = "document.querySelector('#state').textContent === 'Ready' && document.querySelectorAll('.stage').length === 5"
SAYS = "document.querySelector('#problem').textContent"


async def write_and_open(page: OtherPage, stub: StubServer) -> None:
    """What every browser can: read the page, write, open the settings."""
    stub.chat = [("delta", {"text": "One and "}), ("delta", {"text": "*two*."}), ("done", {"text": "One and *two*."})]
    await page.goto(f"{stub.url}/")
    await until(page, READY)
    await page.write(f"count{ENTER}")
    await until(page, "document.querySelector('.agent em')?.textContent === 'two'")
    await until(
        page, "(document.querySelector('#open-settings').click(), document.querySelector('#settings')?.open === true)"
    )
    await until(page, "(document.querySelector('#settings-close').click(), !document.querySelector('#settings').open)")
    assert await page.evaluate(SAYS) == ""


@pytest.mark.skipif(not shutil.which("firefox-esr"), reason="Firefox is missing: apt-get install firefox-esr")
async def test_firefox_holds_a_call_and_is_written_to(stub: StubServer, tmp_path: Path) -> None:
    async with firefox(tmp_path) as page:
        await write_and_open(page, stub)
        await page.evaluate("document.querySelector('#talk').click()")
        peer = await stub.next_peer()
        await until(page, "document.body.dataset.state === 'listening'")
        say_a_turn(peer, "hello", "Good morning.")
        await until(page, "document.querySelector('#conversation').textContent.includes('Good morning.')")
        assert page.errors == []


@pytest.mark.skipif(not MINI_BROWSER, reason="WebKit is missing: apt-get install webkit2gtk-driver xvfb")
async def test_webkit_is_written_to_and_says_that_there_is_no_microphone(stub: StubServer, tmp_path: Path) -> None:
    assert MINI_BROWSER
    async with webkit(tmp_path, MINI_BROWSER) as page:
        await write_and_open(page, stub)
        # This build of it has no WebRTC; the call would go by WebSocket.
        assert await page.evaluate("typeof RTCPeerConnection") == "undefined"
        await page.evaluate("document.querySelector('#talk').click()")
        await until(page, f"{SAYS}.startsWith('No microphone was found.')")
        await until(page, "document.body.dataset.state === 'idle'")
