"""Pictures of the page in each state, small, beside the accepted ones: none has changed, none looks like another state.

After a wanted change `ACCEPT_PICTURES=1 uv run pytest tests/web/test_page_states.py` accepts those of now: look
at them. Other versions of Chromium, and other fonts, draw letters otherwise; at this size less than is tolerated.
"""

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image, ImageChops, ImageStat
from playwright.async_api import Browser, Page, ViewportSize, expect

from tests.support.chromium import visit, wait_until
from tests.support.stub_peer import StubPeer
from tests.support.stub_server import StubServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

ACCEPTED = Path(__file__).parent / "accepted"
WIDTH_PX = 160
COLOURS = 64
# Mean difference of a picture's pixels, of 255.
TOLERANCE = 5.0
STATES = ("ready", "listening", "hearing", "thinking", "speaking", "paused", "muted", "lost")
# Time stands still, both voices are equally loud, and a lost call is not tried again.
STILL = """
performance.now = () => 1_000;
requestAnimationFrame = () => 0;
AnalyserNode.prototype.getFloatTimeDomainData = (samples) => samples.fill(0.1);
const later = window.setTimeout;
window.setTimeout = (call, ms, ...more) => later(call, [400, 3_000].includes(ms) ? 600_000 : ms, ...more);
"""
HOLD = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync("*, *::before, *::after { transition: none !important; animation: none !important; }");
  document.adoptedStyleSheets = [sheet];
}"""


@dataclass(frozen=True)
class Variant:
    """How the page is looked at."""

    name: str
    size: ViewportSize
    scheme: Literal["light", "dark"] = "light"
    motion: Literal["no-preference", "reduce"] = "no-preference"


DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
LANDSCAPE: ViewportSize = {"width": 844, "height": 390}
VARIANTS = (
    Variant("desktop_light", DESKTOP),
    Variant("desktop_dark", DESKTOP, "dark"),
    Variant("phone_light", PHONE),
    Variant("phone_dark", PHONE, "dark"),
    Variant("landscape_light", LANDSCAPE),
    Variant("landscape_dark", LANDSCAPE, "dark"),
    Variant("still_light", DESKTOP, motion="reduce"),
)


async def look(page: Page, variant: Variant) -> Image.Image:
    """A small picture of the page as it is now."""
    await page.set_viewport_size(variant.size)
    await page.emulate_media(color_scheme=variant.scheme, reduced_motion=variant.motion)
    taken = Image.open(io.BytesIO(await page.screenshot())).convert("RGB")
    return taken.resize((WIDTH_PX, taken.height * WIDTH_PX // taken.width), Image.Resampling.BOX)


async def bring_about(page: Page, stub: StubServer, state: str, peer: StubPeer | None) -> StubPeer | None:
    """The state that comes after the one before it in STATES."""
    if state == "listening":
        await page.get_by_role("button", name="Start talking").click()
        peer = await stub.next_peer()
    if peer:
        for event, fields in {
            "hearing": [("user_started_speaking", {})],
            "thinking": [("user_stopped_speaking", {}), ("turn_ended", {"text": "hello"})],
            "speaking": [("bot_started_speaking", {})],
            "paused": [("playout", {"level": "paused"})],
            "muted": [("bot_stopped_speaking", {})],
            "lost": [("session_ended", {"code": "server_stops", "reason": "the server stops"})],
        }.get(state, []):
            peer.send(event, **fields)
    if state == "muted":
        await page.get_by_role("button", name="Mute").click()
    return peer


SHOWN = {"ready": "idle", "lost": "waiting"}


async def take_all(page: Page, stub: StubServer) -> dict[str, list[Image.Image]]:
    """The pictures of every variant, in the order of STATES."""
    pictures: dict[str, list[Image.Image]] = {variant.name: [] for variant in VARIANTS}
    peer: StubPeer | None = None
    await page.evaluate(HOLD)
    await expect(page.locator("#engines-list .stage")).to_have_count(5)
    for state in STATES:
        peer = await bring_about(page, stub, state, peer)
        await wait_until(page, "(state) => document.body.dataset.state === state", arg=SHOWN.get(state, state))
        for variant in VARIANTS:
            pictures[variant.name].append(await look(page, variant))
    return pictures


def sheet_of(pictures: list[Image.Image]) -> Image.Image:
    """All of them in a row."""
    sheet = Image.new("RGB", (WIDTH_PX * len(pictures), pictures[0].height))
    for n, picture in enumerate(pictures):
        sheet.paste(picture, (n * WIDTH_PX, 0))
    return sheet


def accepted_of(name: str) -> list[Image.Image]:
    """Those that were accepted."""
    with Image.open(ACCEPTED / f"{name}.png") as image:
        sheet = image.convert("RGB")
    return [sheet.crop((n * WIDTH_PX, 0, (n + 1) * WIDTH_PX, sheet.height)) for n in range(len(STATES))]


def distance(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of their pixels, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


def differences(name: str, pictures: list[Image.Image]) -> list[str]:
    """What is not as it was accepted, a line each."""
    accepted = accepted_of(name)
    found: list[str] = []
    for state, picture in zip(STATES, pictures, strict=True):
        away = {other: distance(picture, known) for other, known in zip(STATES, accepted, strict=True)}
        nearest = min(away, key=away.__getitem__)
        if nearest != state:
            found.append(f"{name}: {state} looks like {nearest}")
        elif away[state] > TOLERANCE:
            found.append(f"{name}: {state} is another picture ({away[state]:.1f} of at most {TOLERANCE})")
    return found


async def test_each_state_looks_as_it_was_accepted(browser: Browser, stub: StubServer, tmp_path: Path) -> None:
    async with visit(browser, stub.url, script=STILL, allowed_errors=["status of 503"]) as page:
        pictures = await take_all(page, stub)
    is_accepted = bool(os.environ.get("ACCEPT_PICTURES"))
    folder = ACCEPTED if is_accepted else tmp_path
    for name, taken in pictures.items():
        sheet_of(taken).quantize(COLOURS).save(folder / f"{name}.png", optimize=True)
    assert [line for name, taken in pictures.items() for line in differences(name, taken)] == [], folder


async def test_the_accepted_pictures_are_small() -> None:
    assert sum(path.stat().st_size for path in ACCEPTED.iterdir()) < 300 * 1024
