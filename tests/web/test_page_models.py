"""The page's sheet of models: better ears and voices are fetched, used and removed, and the call goes on meanwhile.

Faked, at the edge of the house: the catalogue (small voices on a loopback server that can misbehave), the ears and the
language model.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect

from agent.models.catalogue import Model, find
from agent.models.sources.file import ModelFile
from tests.support.axe import find_barriers
from tests.support.chromium import visit, wait_until
from tests.support.file_server import Fault, FileServer, serve_files
from tests.support.house import FIXTURES
from tests.support.page_models import PATIENCE_SECS, lay_out, serving
from tests.support.small_model import sha256
from tests.support.stub_server import StubServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

VOICE = [(FIXTURES / "micro_piper" / name).read_bytes() for name in ("one.onnx", "one.onnx.json")]
CHOICES = "JSON.parse(localStorage.getItem('sotto.choices') ?? '{}').options ?? {}"

CHANGED = "window.events.some((one) => one?.event === 'settings_changed')"
STARTED = "window.events.filter((one) => one?.event === 'session_started').length"


def small_voice(name: str, url: str) -> Model:
    """The voice of that name, with small files in place of its own."""
    model = find(name)
    files = [
        ModelFile(file.name, f"{url}/{file.name}", len(content), sha256(content))
        for file, content in zip(model.files, VOICE, strict=True)
    ]
    return replace(model, files=tuple(files))


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with serve_files({}) as server:
        voices = [small_voice(name, server.url) for name in ("piper-joe", "piper-cori")]
        for voice in voices:
            server.files |= {f"/{file.name}": content for file, content in zip(voice.files, VOICE, strict=True)}
        lay_out(monkeypatch, *voices)
        yield server


@asynccontextmanager
async def page_of(browser: Browser, models_dir: Path, **look: Any) -> AsyncIterator[Page]:
    errors = ["status of 4", "status of 5"]
    async with serving(models_dir) as (_, served), visit(browser, served.url, allowed_errors=errors, **look) as page:
        yield page


def item(page: Page, name: str = "piper-joe") -> Locator:
    return page.locator(".model", has_text=name)


async def press(page: Page, name: str, model: str = "piper-joe") -> None:
    await item(page, model).get_by_role("button", name=name).click()


async def hold_loading(page: Page, go_on: asyncio.Event) -> None:
    """Have no engine loaded before `go_on`."""

    async def hold(route: Route) -> None:
        await go_on.wait()
        await route.continue_()

    await page.route("**/api/models/load", hold)


async def open_sheet(page: Page) -> None:
    await page.locator("#open-models").click()
    await expect(page.get_by_role("dialog", name="Better voice and ears")).to_be_visible()
    await expect(item(page)).to_be_visible()


async def test_a_voice_is_fetched_paused_gone_on_with_chosen_and_removed(
    browser: Browser, files: FileServer, tmp_path: Path
) -> None:
    go_on = threading.Event()
    files.faults = [Fault(hold=go_on)]
    async with page_of(browser, tmp_path) as page:
        # One line says what could be better, and what that takes.
        await expect(page.locator("#better")).to_have_text("Basic voice.")
        await expect(page.locator("#open-models")).to_have_text("Better ones, 17 kB")
        await open_sheet(page)
        await expect(item(page).locator(".model-facts")).to_have_text(
            "Voice: piper-joe · English · 17 kB · CC0-1.0 · from 127.0.0.1"
        )
        await expect(page.locator("#models-hint")).to_contain_text("are free in")
        assert files.requests == []
        await press(page, "Get, 17 kB")
        await expect(item(page).locator(".model-state")).to_contain_text("Fetching: ")
        # The state lies in the server: another page sees it, and can pause it.
        await page.reload()
        await open_sheet(page)
        await expect(item(page).locator(".model-state")).to_contain_text("Fetching: ")
        await expect(item(page).get_by_role("progressbar")).to_be_visible()
        await press(page, "Pause")
        await expect(item(page).locator(".model-state")).to_contain_text("Paused")
        await press(page, "Go on")
        await expect(item(page).locator(".model-state")).to_have_text("It is here.")
        await press(page, "Use now")
        await expect(item(page).locator(".model-state")).to_have_text("Chosen for your next call.")
        wanted = {"tts.engine": "piper", "tts.model": "piper-joe", "tts.language": "en-us"}
        assert await page.evaluate(CHOICES) == wanted
        await press(page, "Remove")
        asked = page.get_by_role("dialog", name="Remove piper-joe?")
        await asked.get_by_role("button", name="Keep it").click()
        await press(page, "Remove")
        await asked.get_by_role("button", name="Remove").click()
        await expect(item(page).get_by_role("button", name="Get, 17 kB")).to_be_visible()
        # What is gone is no longer asked for.
        await wait_until(page, f"!('tts.model' in ({CHOICES}))")
        go_on.set()


async def test_what_has_come_is_offered_beside_the_call_and_heard_in_it(
    browser: Browser, files: FileServer, tmp_path: Path
) -> None:
    go_on = threading.Event()
    files.faults = [Fault(hold=go_on)]
    async with page_of(browser, tmp_path) as page:
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.locator("#state")).to_have_text("Listening")
        await page.get_by_role("button", name="Settings").click()
        await page.get_by_role("button", name="Better voice and ears").click()
        await press(page, "Get, 17 kB")
        await expect(item(page).locator(".model-state")).to_contain_text("Fetching")
        # The settings are closed: they cannot take back what is chosen here.
        await expect(page.get_by_role("dialog")).to_have_count(1)
        await page.keyboard.press("Escape")
        go_on.set()
        here = page.locator("#models-here-text")
        await expect(here).to_contain_text("piper-joe is here", timeout=1000 * PATIENCE_SECS)
        assert await find_barriers(page) == []
        is_changed = asyncio.Event()
        await hold_loading(page, is_changed)
        await page.get_by_role("button", name="Use it now").click()
        # What is chosen while it is loaded stays chosen.
        await page.get_by_role("button", name="Settings").click()
        await page.get_by_role("slider", name="Speed").fill("1.2")
        await page.get_by_role("button", name="Apply and go on").click()
        await wait_until(page, CHANGED, patience_secs=PATIENCE_SECS)
        await page.evaluate("window.events.length = 0")
        is_changed.set()
        await wait_until(page, CHANGED, patience_secs=PATIENCE_SECS)
        wanted = {"tts.engine": "piper", "tts.model": "piper-joe", "tts.language": "en-us", "tts.speed": 1.2}
        assert wanted.items() <= (await page.evaluate(CHOICES)).items()
        await expect(page.locator("#models-here")).to_be_hidden()
        # The same call goes on: nobody joined anew.
        assert await page.evaluate(STARTED) == 0
        await page.get_by_role("button", name="Settings").click()
        await page.get_by_role("slider", name="Speed").fill("1.3")
        await page.get_by_role("button", name="Better voice and ears").click()
        asked = page.get_by_role("dialog", name="Throw your changes away?")
        await asked.get_by_role("button", name="Throw away").click()
        await expect(item(page).locator(".model-state")).to_have_text("In use.")
        await expect(item(page).get_by_role("button", name="Remove")).to_be_hidden()


async def test_what_goes_wrong_is_told_in_a_line_with_what_mends_it(
    browser: Browser, files: FileServer, tmp_path: Path
) -> None:
    files.faults = [Fault(status=404)]
    async with page_of(browser, tmp_path) as page:
        await open_sheet(page)
        await press(page, "Get, 17 kB")
        state = item(page).locator(".model-state")
        await expect(state).to_contain_text("404 Not Found at http://127.0.0.1:", timeout=1000 * PATIENCE_SECS)
        await expect(state).to_contain_text("See to that, then try again.")
        assert await find_barriers(page) == []
        await press(page, "Cancel")
        await expect(state).to_have_text("")
        # By the keyboard alone, to the end.
        await item(page).get_by_role("button", name="Get, 17 kB").focus()
        await page.keyboard.press("Enter")
        await expect(state).to_have_text("It is here.", timeout=1000 * PATIENCE_SECS)
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await expect(page.locator("#open-models")).to_be_hidden()


@pytest.mark.parametrize(("width", "height", "scheme"), [(390, 844, "dark"), (844, 390, "light"), (320, 568, "light")])
async def test_there_is_no_barrier_and_nothing_hangs_over_the_edge(
    browser: Browser, files: FileServer, tmp_path: Path, width: int, height: int, scheme: str
) -> None:
    never = threading.Event()
    files.faults = [Fault(hold=never)]
    look = {"viewport": {"width": width, "height": height}, "color_scheme": scheme, "reduced_motion": "reduce"}
    async with page_of(browser, tmp_path, **look) as page:
        await page.get_by_role("button", name="Settings").click()
        await page.get_by_role("button", name="Better voice and ears").click()
        await press(page, "Get, 17 kB")
        await page.locator(".model-group summary").first.click()
        await press(page, "Get, 17 kB", "piper-cori")
        await expect(item(page, "piper-cori").locator(".model-state")).to_have_text("Waits for the others.")
        assert await find_barriers(page) == []
        assert await page.evaluate("document.scrollingElement.scrollWidth") == width
        assert (
            await page.evaluate("(body => body.scrollWidth - body.clientWidth)(document.querySelector('#models form'))")
            == 0
        )
        await page.screenshot(path=tmp_path / f"models-{width}-{scheme}.png")
        never.set()


async def test_where_models_are_not_this_callers_nothing_of_them_is_shown_or_asked(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        await page.get_by_role("button", name="Settings").click()
        await expect(page.locator("#settings-fields fieldset")).not_to_have_count(0)
        await expect(page.locator("#models-in-settings")).to_be_hidden()
        await expect(page.locator("#open-models")).to_be_hidden()
        await expect(page.locator("#better")).to_contain_text("Basic ears and voice for now.")
