"""The page in Chromium when something is wrong: each fault is told in words, and the page is usable afterwards."""

import pytest
from playwright.async_api import Browser, expect

from tests.support.chromium import launch, visit, wait_until
from tests.support.stub_server import StubServer, call

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

FAIL_MICROPHONE = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("from the test", "NAME"); };
"""
HOLD_SOUND_ONCE = """
const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () {
  HTMLMediaElement.prototype.play = play;
  this.autoplay = false;
  return Promise.reject(new DOMException("from the test", "NotAllowedError"));
};
"""
HOLD_MICROPHONE = """
navigator.mediaDevices.getUserMedia = () => new Promise((resolve) => { window.giveMicrophone = resolve; });
"""


async def test_a_denied_microphone_is_told_and_nothing_is_sent(stub: StubServer) -> None:
    async with launch("--deny-permission-prompts") as browser, visit(browser, stub.url) as page:
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.locator("#problem")).to_have_text(
            "The microphone was denied. Allow it for this page in the browser’s address bar "
            "(the sign left of the address), then start again. You can also write instead."
        )
        await expect(page.locator("#state")).to_have_text("Ready")
        await expect(page.locator("#microphone")).to_have_text("Microphone is off")
        assert stub.peers == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NotFoundError", "No microphone was found."),
        ("NotReadableError", "The microphone is in use by another program"),
        ("SecurityError", "The browser’s settings forbid the microphone"),
        ("AbortError", "The microphone could not be started."),
        ("UnheardOfError", "The microphone could not be opened: from the test."),
    ],
)
async def test_each_fault_of_the_microphone_has_its_words(
    browser: Browser, stub: StubServer, name: str, words: str
) -> None:
    async with visit(browser, stub.url, script=FAIL_MICROPHONE.replace("NAME", name)) as page:
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.locator("#problem")).to_contain_text(words)
        await expect(page.get_by_role("button", name="Start talking")).to_be_enabled()


async def test_a_page_from_another_machine_without_https_says_where_to_open_it(
    browser: Browser, stub: StubServer
) -> None:
    port = stub.url.rsplit(":", 1)[1]
    async with visit(browser, f"http://sotto.test:{port}") as page:
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.locator("#problem")).to_have_text(
            "Browsers give the microphone only to https pages and to localhost. "
            f"Open http://localhost:{port} on the machine that runs sotto."
        )


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (503, "All four seats are taken."),
        (401, "This server wants its access token. Open the address that sotto serve printed"),
        (403, "The server refused this page’s address: all four seats are taken. Open the address that sotto serve"),
        (400, "The server refused the call: all four seats are taken."),
    ],
)
async def test_a_refused_call_is_told_with_the_servers_reason_and_can_be_tried_again(
    browser: Browser, stub: StubServer, status: int, words: str
) -> None:
    stub.refusal = (status, "all four seats are taken")
    async with visit(browser, stub.url, allowed_errors=[f"status of {status}"]) as page:
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.locator("#problem")).to_contain_text(words)
        await expect(page.locator("#state")).to_have_text("Ready")
        await expect(page.locator("#microphone")).to_have_text("Microphone is off")
        stub.refusal = None
        await call(page, stub)
        await expect(page.locator("#problem")).to_be_hidden()


async def test_a_server_that_went_away_is_told_with_the_command_that_starts_it(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url, allowed_errors=["ERR_FAILED"]) as page:
        await page.route("**/api/offer", lambda route: route.abort())
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.locator("#problem")).to_have_text("The server does not answer. Start it with sotto serve")
        await expect(page.locator("#problem code")).to_have_text("sotto serve")


async def test_a_page_opened_before_the_server_answers_finds_it_later(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url, allowed_errors=["ERR_FAILED"]) as page:
        await page.route("**/health", lambda route: route.abort())
        await page.reload()
        await expect(page.locator("#problem")).to_contain_text("The server does not answer.")
        await page.unroute("**/health")
        await expect(page.locator("#problem")).to_be_hidden()
        await expect(page.locator("#engines-short")).to_have_text("pocketsphinx → embedded → espeak")


async def test_while_the_models_load_the_page_says_so_and_waits(browser: Browser, stub: StubServer) -> None:
    stub.health["status"] = "starting"
    async with visit(browser, stub.url, allowed_errors=["status of 503"]) as page:
        await expect(page.locator("#state")).to_have_text("The models are being loaded…")
        await expect(page.get_by_role("button", name="Start talking")).to_be_disabled()
        stub.health["status"] = "ready"
        await expect(page.locator("#state")).to_have_text("Ready")
        await call(page, stub)


async def test_an_answer_that_is_no_json_is_told(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        await page.route("**/api/offer", lambda route: route.fulfill(status=200, body="<html>hello</html>"))
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.locator("#problem")).to_contain_text("The server’s answer to /api/offer is not JSON.")


async def test_an_answer_without_a_session_description_is_told(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        await page.route("**/api/offer", lambda route: route.fulfill(status=200, body="{}"))
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.locator("#problem")).to_contain_text("The connection failed:")
        await expect(page.locator("#microphone")).to_have_text("Microphone is off")


async def test_a_session_that_ends_says_why(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.send("session_ended", reason="the server is shutting down")
        await expect(page.locator(".notice")).to_have_text("The conversation ended: the server is shutting down.")
        await expect(page.locator("#state")).to_have_text("Ready")
        await expect(page.locator("#problem")).to_be_hidden()


async def test_while_the_browser_asks_the_page_says_why_and_what_to_choose(browser: Browser, stub: StubServer) -> None:
    asks = "navigator.permissions.query = async () => ({ state: 'prompt' });"
    async with visit(browser, stub.url, script=HOLD_MICROPHONE + asks) as page:
        # Before the first click, too: no prompt comes as a surprise.
        await expect(page.locator("#why")).to_contain_text("The browser will ask for your microphone")
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.locator("#state")).to_have_text("Waiting for you")
        await expect(page.locator("#microphone")).to_have_text("Your browser is asking: choose Allow")
        await expect(page.locator("#welcome-first")).to_have_text("May the agent hear you?")
        await expect(page.locator("#why")).to_be_visible()
        await page.evaluate("giveMicrophone(new AudioContext().createMediaStreamDestination().stream)")
        await stub.next_peer()
        await expect(page.locator("#state")).to_have_text("Listening")
        await expect(page.locator("#welcome-first")).to_have_text("Go ahead.")


async def test_stopping_while_the_browser_asks_takes_no_microphone(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url, script=HOLD_MICROPHONE) as page:
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.locator("#state")).to_have_text("Connecting…")
        await wait_until(page, "window.giveMicrophone !== undefined")
        await page.get_by_role("button", name="Leave").click()
        await expect(page.locator("#state")).to_have_text("Ready")
        state = await page.evaluate(
            """async () => {
              const sound = new AudioContext().createMediaStreamDestination().stream;
              giveMicrophone(sound);
              await new Promise((resolve) => setTimeout(resolve, 50));
              return sound.getAudioTracks()[0].readyState;
            }"""
        )
        assert state == "ended"
        assert stub.peers == []
        await expect(page.locator("#problem")).to_be_hidden()


async def test_sound_that_the_browser_holds_back_is_offered_by_a_button(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url, script=HOLD_SOUND_ONCE) as page:
        await call(page, stub)
        await page.get_by_role("button", name="Play sound").click()
        await expect(page.locator("#sound-hint")).to_be_hidden()
        await wait_until(page, "soundIsHeard()")
