"""Chromium with a fake microphone, and the page in it under watch: stray requests and console errors fail the test."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

# A loaded machine is slow; what never comes is a failure all the same.
PATIENCE_SECS = 30
expect.set_options(timeout=1000 * PATIENCE_SECS)
POLL_SECS = 0.05

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-loopback-in-peer-connection",
    # A page that is not on localhost, as from another machine.
    "--host-resolver-rules=MAP sotto.test 127.0.0.1",
    "--use-fake-device-for-media-stream",
)
ALLOW_MICROPHONE = "--use-fake-ui-for-media-stream"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# The same without windows and what belongs to them: a page costs half of the work.
SHELLS = ("chromium-headless-shell", "chrome-headless-shell")

# Keeps what the page asks of the browser, so that a test can look at it: window.peers, window.microphones,
# window.events: the lines of the event log that have come.
# window.soundIsHeard(): the last call's voice is played and has energy (squared amplitude times seconds).
WATCH = """
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
  console.error(`the page's policy forbids it: ${violatedDirective} ${blockedURI}`));
window.peers = [];
window.events = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...settings) { super(...settings); this.settings = settings; window.peers.push(this); }
  createDataChannel(...named) {
    const channel = super.createDataChannel(...named);
    channel.addEventListener("message", ({ data }) => {
      try { window.events.push(JSON.parse(data).event); } catch { /* a test sends nonsense */ }
    });
    return channel;
  }
};
window.soundIsHeard = async () => {
  const voice = document.querySelector("audio");
  const stats = [...(await window.peers.at(-1).getStats()).values()];
  const energy = stats.find(({ type }) => type === "inbound-rtp")?.totalAudioEnergy ?? 0;
  return energy > 0.0001 && !voice.paused && !voice.muted && voice.volume === 1 && voice.currentTime > 0;
};
window.microphones = [];
if (navigator.mediaDevices) {
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await open(wanted);
    window.microphones.push({ wanted, track: stream.getAudioTracks()[0] });
    return stream;
  };
}
"""
# A shell shows no question, so that it gives the microphone at once, and yet says that it would ask.
ASKS_NOTHING = """
if (navigator.permissions) {
  const query = navigator.permissions.query.bind(navigator.permissions);
  navigator.permissions.query = async (asked) => asked.name === "microphone" ? { state: "granted" } : query(asked);
}
"""
_shells: WeakSet[Browser] = WeakSet()


@asynccontextmanager
async def launch(*flags: str, speech: Path | None = None, is_shell: bool = False) -> AsyncIterator[Browser]:
    """A browser.

    Args:
        flags: More of Chromium's.
        speech: A WAV file that its microphone says once, from the moment it is opened; else that is a beep.
        is_shell: Chromium's shell for pages alone will do, where there is one.
    """
    program = next(filter(None, map(shutil.which, (*SHELLS, *PROGRAMS) if is_shell else PROGRAMS)))
    said = [f"--use-file-for-fake-audio-capture={speech}%noloop"] if speech else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program,
            args=[*FLAGS, *flags, *said],
            chromium_sandbox=False,
        )
        if Path(program).name in SHELLS:
            _shells.add(browser)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def visit(
    browser: Browser, url: str, *, allowed_errors: Sequence[str] = (), script: str = "", **options: Any
) -> AsyncIterator[Page]:
    """The page at `url` in a fresh context.

    Args:
        allowed_errors: parts of console errors that the test provokes (a refused request is one).
        script: JavaScript to run before the page's own.
        options: of playwright's `new_context`; service workers are blocked if these do not allow them.

    Raises:
        AssertionError: on leaving, if the page asked another origin for anything, or wrote an error to the console.
    """
    context = await browser.new_context(**{"service_workers": "block", **options})
    allowed_errors = [*allowed_errors, "Service Worker registration blocked by Playwright"]
    page = await context.new_page()
    strays: list[str] = []
    errors: list[str] = []

    def note_request(wanted: str) -> None:
        if urlsplit(wanted).scheme not in ("about", "data", "blob") and not wanted.startswith(f"{url}/"):
            strays.append(wanted)

    def note_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(part in message.text for part in allowed_errors):
            errors.append(message.text)

    page.on("request", lambda request: note_request(request.url))
    page.on("console", note_console)
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.add_init_script((ASKS_NOTHING if browser in _shells else "") + WATCH + script)
    try:
        await page.goto(f"{url}/")
        yield page
    finally:
        await context.close()
    assert strays == []
    assert errors == [], errors


async def wait_until(page: Page, expression: str, arg: Any = None, patience_secs: float = PATIENCE_SECS) -> None:
    """Wait until JavaScript is true in the page; its policy forbids what playwright's own waiting does (eval).

    Raises:
        TimeoutError: It has not become true.
    """
    async with asyncio.timeout(patience_secs):
        while not await page.evaluate(expression, arg):
            await asyncio.sleep(POLL_SECS)
