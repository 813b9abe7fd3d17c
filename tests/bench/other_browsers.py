"""The page in Firefox and in WebKit: it opens, is written to, holds a call where it can, and says what it cannot do.

    apt-get install firefox-esr webkit2gtk-driver xvfb
    uv run python -m tests.bench.other_browsers

Not among the tests: the packages are larger than all that those need. A browser that is missing is named.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.bench.other_browsers_driver import ENTER, OtherPage, find_mini_browser, firefox, until, webkit
from tests.support.stub_server import StubServer, say_a_turn, serve_stub

READY = "document.querySelector('#state').textContent === 'Ready' && document.querySelectorAll('.stage').length === 5"
SAYS = "document.querySelector('#problem').textContent"
OPEN = "(document.querySelector('#open-settings').click(), document.querySelector('#settings')?.open === true)"
CLOSE = "(document.querySelector('#settings-close').click(), !document.querySelector('#settings').open)"


async def write_and_open(page: OtherPage, stub: StubServer) -> None:
    """What every browser can: read the page, write, open the settings."""
    stub.chat = [("delta", {"text": "One and "}), ("delta", {"text": "*two*."}), ("done", {"text": "One and *two*."})]
    await page.goto(f"{stub.url}/")
    await until(page, READY)
    await page.write(f"count{ENTER}")
    await until(page, "document.querySelector('.agent em')?.textContent === 'two'")
    await until(page, OPEN)
    await until(page, CLOSE)
    assert await page.evaluate(SAYS) == ""


async def in_firefox(stub: StubServer, folder: Path) -> None:
    """A call by WebRTC as well."""
    async with firefox(folder) as page:
        await write_and_open(page, stub)
        await page.evaluate("document.querySelector('#talk').click()")
        peer = await stub.next_peer()
        await until(page, "document.body.dataset.state === 'listening'")
        say_a_turn(peer, "hello", "Good morning.")
        await until(page, "document.querySelector('#conversation').textContent.includes('Good morning.')")
        assert page.errors == []


async def in_webkit(stub: StubServer, folder: Path) -> None:
    """Debian's build has no WebRTC; the call would go by WebSocket, and there is no microphone."""
    program = find_mini_browser()
    assert program
    async with webkit(folder, program) as page:
        await write_and_open(page, stub)
        assert await page.evaluate("typeof RTCPeerConnection") == "undefined"
        await page.evaluate("document.querySelector('#talk').click()")
        await until(page, f"{SAYS}.startsWith('No microphone was found.')")
        await until(page, "document.body.dataset.state === 'idle'")


async def run() -> None:
    """Print what each browser did."""
    browsers: list[tuple[str, bool, Callable[[StubServer, Path], Awaitable[None]]]] = [
        ("Firefox", shutil.which("firefox-esr") is not None, in_firefox),
        ("WebKit", find_mini_browser() is not None, in_webkit),
    ]
    for name, is_here, check in browsers:
        if not is_here:
            print(f"{name} is missing: apt-get install firefox-esr webkit2gtk-driver xvfb")
            continue
        with tempfile.TemporaryDirectory() as folder:
            async with serve_stub() as stub:
                await check(stub, Path(folder))
        print(f"{name}: all of it holds")


if __name__ == "__main__":
    asyncio.run(run())
