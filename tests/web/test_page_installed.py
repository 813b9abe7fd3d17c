"""The page as an app in Chromium: kept for when the server is away, and told apart in its tab and among the media."""

import json
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat
from playwright.async_api import Browser, Page, expect

from agent.server.state import ServerState
from agent.settings.load import load_settings
from tests.support.chromium import ALLOW_MICROPHONE, launch, visit, wait_until
from tests.support.icons import ICONS, draw_all
from tests.support.served import listening
from tests.support.stub_server import WEB, StubServer, call, say_a_turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

TOKEN = "open-sesame-open"
AWAY = ["ERR_CONNECTION_REFUSED", "ERR_FAILED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET"]
KEPT = """async () => {
  const kept = {};
  for (const name of await caches.keys()) {
    const requests = await (await caches.open(name)).keys();
    kept[name] = requests.map(({ url }) => new URL(url).pathname).sort();
  }
  return kept;
}"""
IS_KEPT = f"(name) => ({KEPT})().then((kept) => Object.keys(kept).join() === name && kept[name].length > 100)"


async def kept(page: Page, version: str = "0.1.0") -> list[str]:
    """The paths of the files that the browser keeps, once they are whole and of that version alone."""
    await wait_until(page, IS_KEPT, arg=f"sotto-page {version}")
    found: dict[str, list[str]] = await page.evaluate(KEPT)
    return found[f"sotto-page {version}"]


async def test_while_the_server_is_away_the_page_opens_and_says_how_to_start_it(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url, allowed_errors=AWAY, service_workers="allow") as page:
        say_a_turn(await call(page, stub), "what is my name", "Your name is Ada.")
        await expect(page.locator(".agent .said")).to_have_text("Your name is Ada.")
        paths = await kept(page)
        # The page's own files and nothing else, whatever was said and asked meanwhile.
        assert set(paths) <= {"/", *(f"/{file.relative_to(WEB).as_posix()}" for file in WEB.rglob("*"))}
        await stub.stop(is_killed=True)
        await page.reload()
        await expect(page.locator("#state")).to_have_text("Looking for the server…")
        await expect(page.locator("#problem")).to_have_text("The server does not answer. Start it with sotto serve")
        await expect(page.get_by_role("button", name="Start talking")).to_be_disabled()
        await page.get_by_role("textbox").fill("half a thought")
        stub.health["version"] = "0.2.0"
        await stub.start()
        await expect(page.locator("#state")).to_have_text("Ready")
        await expect(page.get_by_role("textbox")).to_have_value("half a thought")
        # An older page with a newer server: it says so, and what is kept becomes the newer one.
        await page.get_by_role("button", name="Reload the page").click()
        await expect(page.locator("#state")).to_have_text("Ready")
        await kept(page, "0.2.0")
        await expect(page.get_by_role("button", name="Reload the page")).to_be_hidden()


async def test_another_program_at_the_same_address_finds_nothing_of_the_page(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url, service_workers="allow") as page:
        await kept(page)
        # Its answers do not bear the mark.
        stub.health["version"] = ""
        await page.reload()
        await wait_until(page, "caches.keys().then((names) => names.length === 0)")


async def test_the_browser_finds_the_app_behind_a_token_and_is_asked_for_it_when_it_is_gone(browser: Browser) -> None:
    state = ServerState(load_settings({"server.token": TOKEN}))
    async with listening(state) as url:
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(f"{url}/?token={TOKEN}")
        session = await context.new_cdp_session(page)
        manifest: dict[str, Any] = await session.send("Page.getAppManifest")
        assert manifest["errors"] == []
        assert json.loads(manifest["data"])["name"] == "Sotto"
        # As the page does once the models are loaded.
        await page.evaluate("import('/installed.js').then(({ keepPage }) => keepPage())")
        await wait_until(page, "caches.keys().then((names) => names.length === 1)")
        await context.clear_cookies()
        await page.reload()
        await expect(page.locator("body")).to_contain_text("this server asks for its access token")
        await context.close()


async def test_chromium_finds_nothing_that_stands_against_installing_the_page(stub: StubServer) -> None:
    # Chromium's shell installs nothing.
    async with launch(ALLOW_MICROPHONE) as browser, visit(browser, stub.url, service_workers="allow") as page:
        await kept(page)
        session = await page.context.new_cdp_session(page)
        manifest: dict[str, Any] = await session.send("Page.getAppManifest")
        assert (manifest["errors"], manifest["url"]) == ([], f"{stub.url}/manifest.webmanifest")
        found = (await session.send("Page.getInstallabilityErrors"))["installabilityErrors"]
        # A context of its own, as tests have it, is off the record; nothing else may stand against it.
        assert [one["errorId"] for one in found if one["errorId"] != "in-incognito"] == []
        assert (await session.send("Page.getAppId"))["appId"] == f"{stub.url}/"


async def test_the_icons_are_those_of_the_manifest_and_drawn_as_the_script_draws_them() -> None:
    manifest = json.loads((WEB / "manifest.webmanifest").read_text("utf-8"))
    for icon in manifest["icons"]:
        path = WEB / icon["src"].removeprefix("/")
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert image.size == tuple(map(int, icon["sizes"].split("x")))
        else:
            assert path.is_file()
    for name, drawn in draw_all().items():
        with Image.open(ICONS / name) as image:
            difference = ImageChops.difference(drawn, image.convert("RGBA"))
        assert max(ImageStat.Stat(difference).mean) < 3, name


# A lost call is not tried again soon.
NO_ATTEMPT = """
const later = window.setTimeout;
window.setTimeout = (call, ms, ...more) => later(call, ms === 400 ? 600_000 : ms, ...more);
"""


async def test_the_tab_tells_the_state_in_its_title_and_its_icon(browser: Browser, stub: StubServer) -> None:
    async def tells(title: str, icon: str) -> None:
        await expect(page).to_have_title(title)
        await expect(page.locator("link[rel='icon']")).to_have_attribute("data-kind", icon)

    async with visit(browser, stub.url, script=NO_ATTEMPT) as page:
        await tells("Sotto", "rest")
        peer = await call(page, stub)
        await tells("● Listening · Sotto", "heard")
        await page.get_by_role("button", name="Mute").click()
        await tells("Muted · Sotto", "muted")
        await page.get_by_role("button", name="Mute").click()
        peer.send("bot_started_speaking")
        await tells("● Speaking · Sotto", "speaking")
        peer.send("session_ended", code="server_stops", reason="the server stops")
        await tells("Reconnecting · Sotto", "lost")
        await page.get_by_role("button", name="Leave").click()
        await tells("Sotto", "rest")


MEDIA = """
window.keys = {};
navigator.mediaSession.setActionHandler = (key, act) => {
  if (key === "togglemicrophone") throw new TypeError("unknown");
  if (act) window.keys[key] = act; else delete window.keys[key];
};
"""
TOLD = "[navigator.mediaSession.playbackState, navigator.mediaSession.metadata?.artist ?? '']"


async def test_the_systems_media_keys_mute_and_hang_up(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url, script=MEDIA) as page:
        await expect(page.locator("#state")).to_have_text("Ready")
        assert await page.evaluate(f"[Object.keys(keys).length, ...{TOLD}]") == [0, "none", ""]
        await call(page, stub)
        assert await page.evaluate(TOLD) == ["playing", "Sotto"]
        for _ in range(2):  # Some keyboards say the same thing twice.
            await page.evaluate("keys.pause()")
            await expect(page.locator("#state")).to_have_text("Muted")
        assert await page.evaluate(TOLD) == ["paused", "Sotto"]
        await page.evaluate("keys.play()")
        await expect(page.locator("#state")).to_have_text("Listening")
        await page.evaluate("keys.stop()")
        await expect(page.locator("#state")).to_have_text("Ready")
        assert await page.evaluate(f"[Object.keys(keys).length, ...{TOLD}]") == [0, "none", ""]


async def test_where_the_browser_offers_to_install_the_page_the_menu_does(browser: Browser, stub: StubServer) -> None:
    offer = """() => {
      const event = new Event("beforeinstallprompt", { cancelable: true });
      event.prompt = async () => { window.nPrompts = (window.nPrompts ?? 0) + 1; };
      dispatchEvent(event);
      return event.defaultPrevented;
    }"""
    async with visit(browser, stub.url) as page:
        say_a_turn(await call(page, stub), "hello", "Good morning.")
        await page.get_by_role("button", name="Conversation").click()
        install = page.get_by_role("button", name="Install as an app")
        await expect(install).to_be_hidden()
        assert await page.evaluate(offer)
        await install.click()
        await expect(install).to_be_hidden()
        assert await page.evaluate("nPrompts") == 1
