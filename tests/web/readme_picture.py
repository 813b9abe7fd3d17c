"""The picture of the page in the README: a conversation while the agent speaks, by the page's own files.

    uv run python -m tests.web.readme_picture       # writes tests/web/page.png; look at it

The server is a stub, and its words are written here.
"""

import asyncio
import io
from pathlib import Path

from PIL import Image
from playwright.async_api import Page

from tests.support.chromium import ALLOW_MICROPHONE, launch, visit, wait_until
from tests.support.stub_peer import StubPeer
from tests.support.stub_server import StubServer, serve_stub

PICTURE = Path(__file__).parent / "page.png"
SIZE = {"width": 1000, "height": 672}
COLOURS = 128
HEARD = "The capital of Germany is Berlin."
PLANNED = "About 3.7 million, more than in any other city of the European Union."

SETTLED = """() => document.getAnimations().every(
  (one) => one.playState !== "running" || one.effect.getTiming().iterations === Infinity)"""


def told(peer: StubPeer) -> None:
    """One turn to its end, and the next one while it is spoken."""
    said = peer.send
    for number, (question, answer, heard) in enumerate(
        (
            ("What is the capital of Germany?", HEARD, HEARD),
            ("And how many people live there?", PLANNED, "About 3.7 million, more than"),
        ),
        1,
    ):
        said("user_started_speaking")
        said("turn_started")
        said("user_stopped_speaking")
        said("turn_ended", text=question)
        said("bot_written", text=answer, reply=number, start=0)
        said("bot_planned", text=answer)
        said("bot_started_speaking")
        said("latency", voice_to_voice_ms=640, turn_ms=220, stt_ms=60, llm_ttft_ms=180, tts_ttfb_ms=180)
        at = 0
        for word in heard.split():
            at = answer.index(word, at)
            said("bot_word", text=word, reply=number, written=[at, at + len(word)])
            at += len(word)
        if heard == answer:
            said("bot_stopped_speaking")


async def take(page: Page, stub: StubServer) -> bytes:
    """The picture, as PNG."""
    await page.set_viewport_size(SIZE)  # pyright: ignore[reportArgumentType]
    await page.get_by_role("button", name="Start talking").click()
    told(await stub.next_peer())
    await wait_until(
        page, "() => document.body.dataset.state === 'speaking' && document.body.innerText.includes('Union')"
    )
    # The shape is on its way from the middle into the dock.
    await wait_until(page, SETTLED)
    return await page.screenshot()


async def main() -> None:
    """Take it."""
    async with serve_stub() as stub, launch(ALLOW_MICROPHONE) as browser, visit(browser, stub.url) as page:
        picture = Image.open(io.BytesIO(await take(page, stub))).convert("RGB")
    picture.quantize(COLOURS).save(PICTURE, optimize=True)
    print(f"wrote {PICTURE} ({PICTURE.stat().st_size // 1024} KB)")


if __name__ == "__main__":
    asyncio.run(main())
