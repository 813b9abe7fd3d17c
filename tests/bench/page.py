"""How soon the page can be used, and what a word of caption costs late in a long conversation; its CPU slowed 4 times.

    uv run python -m tests.bench.page [--base REV] [--turns 400] [--rounds 5]

With `--base`, the page of that revision is measured by turns in the same run. A word's cost: from its message to the
end of the frame that shows it (script, style, layout, paint of the main thread), the median of `--words` of them.
"""

import argparse
import asyncio
import io
import subprocess
import tarfile
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, expect

from tests.bench.table import median, show
from tests.conftest import REPOSITORY
from tests.support.chromium import ALLOW_MICROPHONE, launch, visit
from tests.support.stub_server import WEB, call, serve_stub

SLOWED = 4
USABLE_TARGET_MS = 1_000
RATIO_TARGET = 0.2
PATIENCE_SECS = 300
# When the button that begins a call can be pressed, said on the console: to ask for it again and again would cost the
# slowed page a quarter of its time. And every data channel, so that messages come without a network.
USABLE = "the page can be used"
WATCH = """
const look = () => {
  const [talk, state] = ["talk", "state"].map((id) => document.getElementById(id));
  const isKnown = document.querySelector("#engines-list > *") !== null;
  if (window.usableMs || state?.textContent !== "Ready" || talk?.disabled !== false || !isKnown) return;
  window.usableMs = performance.now();
  console.debug("the page can be used");
};
new MutationObserver(look).observe(document, { childList: true, subtree: true, characterData: true });
window.channels = [];
const create = RTCPeerConnection.prototype.createDataChannel;
RTCPeerConnection.prototype.createDataChannel = function (...named) {
  const channel = create.apply(this, named);
  window.channels.push(channel);
  return channel;
};
window.tell = (event) => window.channels.at(-1).dispatchEvent(
  new MessageEvent("message", { data: JSON.stringify({ type: "event", event }) }));
"""
TALK = """async ([from, to]) => {
  const answer = "It is sunny there, and tomorrow it rains, so take an umbrella with you.";
  const times = { voice_to_voice_ms: 742, turn_ms: 322, stt_ms: 41, llm_ttft_ms: 139, tts_ttfb_ms: 53 };
  for (let n = from; n < to; n += 1) {
    window.tell({ event: "user_started_speaking" });
    window.tell({ event: "turn_ended", text: `What is the weather in the town number ${n}, and what will it be?` });
    window.tell({ event: "bot_started_speaking" });
    window.tell({ event: "bot_planned", text: answer });
    window.tell({ event: "bot_word", text: answer });
    window.tell({ event: "latency", ...times });
    window.tell({ event: "bot_stopped_speaking" });
    if (n % 20 === 0) await new Promise((resolve) => setTimeout(resolve));
  }
}"""
# Behind the frame's own work comes the message.
WORDS = """async (nWords) => {
  const frame = (work) => new Promise((resolve) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    const began = performance.now();
    channel.port1.onmessage = () => resolve(performance.now() - began);
    work();
    channel.port2.postMessage(null);
  }));
  window.tell({ event: "user_started_speaking" });
  window.tell({ event: "turn_ended", text: "And now?" });
  window.tell({ event: "bot_started_speaking" });
  const took = [];
  for (let n = 0; n < nWords; n += 1) {
    took.push(await frame(() => window.tell({ event: "bot_word", text: `word${n}` })));
  }
  window.tell({ event: "bot_stopped_speaking" });
  return took;
}"""


def web_of(revision: str, folder: Path) -> Path:
    """The page of a revision, put into a folder."""
    packed = subprocess.run(
        ["git", "archive", revision, "web"],  # noqa: S607 - git as it is on the path
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        timeout=60,
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "web"


@asynccontextmanager
async def slowed(browser: Browser, url: str) -> AsyncIterator[tuple[Page, Any]]:
    """The page in a fresh context, and what sets its CPU's rate; slowed from its first byte on."""
    async with visit(browser, url, script=WATCH) as page:
        session = await page.context.new_cdp_session(page)
        await session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWED})
        yield page, session


async def usable_ms(browser: Browser, web: Path) -> float:
    """Until the page can be used: its second visit of a fresh browser context, with nothing cached."""
    async with serve_stub(web) as stub, slowed(browser, stub.url) as (page, session):
        await session.send("Network.enable")
        await session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        async with page.expect_console_message(lambda message: message.text == USABLE):
            await page.reload()
        return await page.evaluate("window.usableMs")


async def word_ms(browser: Browser, web: Path, n_turns: int, n_words: int) -> float:
    """A word's cost behind so many turns."""
    async with serve_stub(web) as stub, visit(browser, stub.url, script=WATCH) as page:
        await call(page, stub)
        await page.evaluate(TALK, [0, n_turns])
        await expect(page.locator("#conversation .item")).to_have_count(2 * n_turns, timeout=1000 * PATIENCE_SECS)
        session = await page.context.new_cdp_session(page)
        await session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWED})
        took: list[float] = await page.evaluate(WORDS, n_words)
        return median(took)


async def measure(base: str, n_turns: int, n_words: int, rounds: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        pages = {"now": WEB, **({base: web_of(base, Path(folder))} if base else {})}
        usable: dict[str, list[float]] = {name: [] for name in pages}
        words: dict[str, list[float]] = {name: [] for name in pages}
        async with launch(ALLOW_MICROPHONE) as browser:
            for _ in range(rounds):
                for name, web in pages.items():
                    usable[name].append(await usable_ms(browser, web))
                    words[name].append(await word_ms(browser, web, n_turns, n_words))
    rows = [(f"usable, {name}", f"{median(usable[name]):.0f} ms", f"<= {USABLE_TARGET_MS} ms") for name in pages]
    rows += [(f"a word at {n_turns} turns, {name}", f"{median(words[name]):.1f} ms", "") for name in pages]
    if base:
        rows.append(("ratio of the words", f"{median(words['now']) / median(words[base]):.2f}", f"<= {RATIO_TARGET}"))
    show(f"the page on loopback, its CPU slowed {SLOWED} times, medians of {rounds}", rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="", help="a revision to compare with")
    parser.add_argument("--turns", type=int, default=400)
    parser.add_argument("--words", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    asyncio.run(measure(options.base, options.turns, options.words, options.rounds))


if __name__ == "__main__":
    main()
