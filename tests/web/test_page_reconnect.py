"""The page in Chromium when a call is lost: it comes back by itself, to the same conversation."""

import asyncio
import re

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.chromium import visit, wait_until
from tests.support.stub_peer import StubPeer
from tests.support.stub_server import StubServer, call, items, say_a_turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

WATCH_MUTING = """
window.sentOpen = [];
const add = RTCPeerConnection.prototype.addTransceiver;
RTCPeerConnection.prototype.addTransceiver = function (track, ...more) {
  window.sentOpen.push(track.enabled);
  return add.call(this, track, ...more);
};
"""
COUNT_ALERTS = """() => {
  window.nAlerts = window.nAttempts = 0;
  const all = { childList: true, characterData: true, subtree: true };
  const watch = (id, look) => new MutationObserver(look).observe(document.getElementById(id), all);
  watch("problem", () => (window.nAlerts += 1));
  watch("state", () => (window.nAttempts += document.getElementById("state").textContent === "Connecting…" ? 1 : 0));
}"""
# The patience with a network that may mend itself (5 s) has no end.
ENDLESS_GRACE = """
const later = window.setTimeout;
window.setTimeout = (call, ms, ...more) => (ms === 5_000 ? 0 : later(call, ms, ...more));
"""
FALTER = """() => {
  const peer = peers.at(-1);
  Object.defineProperty(peer, "connectionState", { value: "disconnected", configurable: true });
  peer.dispatchEvent(new Event("connectionstatechange"));
}"""
# No attempt of the page's own comes in time.
RARE_ATTEMPTS = """
const later = window.setTimeout;
window.setTimeout = (call, ms, ...more) => later(call, [400, 2_000, 4_000, 8_000].includes(ms) ? 600_000 : ms, ...more);
"""
NEXT_TRY = re.compile(r"^next try in \d+ s$")
TRACKS = "microphones.map(({ track }) => track.readyState)"
SLOW_MS = 30_000


async def talk_again(page: Page, stub: StubServer) -> StubPeer:
    """The call that the page makes by itself."""
    peer = await stub.next_peer()
    await expect(page.locator("#state")).to_have_text("Listening", timeout=SLOW_MS)
    return peer


@pytest.mark.parametrize("how", ["signalling", "hang up", "going down", "unplugged"])
async def test_a_lost_call_is_joined_again_with_a_fresh_microphone(
    browser: Browser, stub: StubServer, how: str
) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.start()
        say_a_turn(peer, "hello", "Good morning.")
        await expect(page.locator(".agent .said")).to_have_text("Good morning.")
        if how == "signalling":
            peer.send_text('{"type":"signalling","message":{"type":"peerLeft"}}')
        elif how == "going down":
            peer.send("session_ended", code="server_stops", reason="the server stops")
        elif how == "unplugged":
            await page.evaluate("microphones[0].track.dispatchEvent(new Event('ended'))")
        else:
            await peer.close()
        again = await talk_again(page, stub)
        assert again.offer["conversation"] == peer.conversation == again.conversation
        await expect(page.locator("#problem")).to_be_hidden()
        assert await page.evaluate(TRACKS) == ["ended", "live"]
        again.start(history=[{"role": "user", "text": "hello"}, {"role": "assistant", "text": "Good morning."}])
        say_a_turn(again, "and now", "Good night.")
        await expect(page.locator(".agent .said").last).to_have_text("Good night.")
        # What is on the page already is not drawn from the history a second time.
        texts = [text for text in await items(page) if not text.startswith("The conversation ended")]
        assert texts == ["You hello", "Agent Good morning.", "You and now", "Agent Good night."]


async def test_a_server_that_is_started_anew_is_found_again(browser: Browser, stub: StubServer) -> None:
    refused = ["ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET"]
    async with visit(browser, stub.url, allowed_errors=refused) as page:
        peer = await call(page, stub)
        peer.start()
        say_a_turn(peer, "hello", "Good morning.")
        await stub.stop()
        await expect(page.locator("#state")).to_have_text("Reconnecting…", timeout=SLOW_MS)
        await expect(page.locator("#problem")).to_have_text(
            "The server does not answer. Start it with sotto serve. The page comes back to the call by itself.",
            timeout=SLOW_MS,
        )
        await page.evaluate(COUNT_ALERTS)
        # One attempt more, which fails as the one before: nobody is told again.
        await wait_until(page, "nAttempts > 0", patience_secs=SLOW_MS / 1000)
        await expect(page.get_by_role("button", name="Try now")).to_be_visible(timeout=SLOW_MS)
        # Between two attempts nothing listens.
        await expect(page.locator("#microphone")).to_have_text("Microphone is off", timeout=SLOW_MS)
        assert await page.evaluate("nAlerts") == 0
        stub.known.clear()
        await stub.start()
        again = await talk_again(page, stub)
        assert again.offer["conversation"] == peer.conversation
        again.conversation = "another"
        again.start()
        await expect(page.locator(".notice")).to_have_text(
            "The agent does not remember what is above: a new conversation begins here."
        )
        await page.get_by_role("button", name="Leave").click()
        await expect(page.locator("#state")).to_have_text("Ready")


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_connection_that_falters_is_waited_for_unless_the_server_is_gone(
    browser: Browser, stub: StubServer, is_there: bool
) -> None:
    async with visit(browser, stub.url, allowed_errors=["ERR_FAILED"], script=ENDLESS_GRACE) as page:
        await call(page, stub)
        if not is_there:
            await page.route("**/health", lambda route: route.abort())
            await page.route("**/api/offer", lambda route: route.abort())
        async with page.expect_event("request", lambda request: request.url.endswith("/health")):
            await page.evaluate(FALTER)
        if is_there:
            await page.wait_for_timeout(500)
            await expect(page.locator("#state")).to_have_text("Listening")
        else:
            await expect(page.locator("#state")).to_have_text("Reconnecting…")
            await expect(page.locator("#problem")).to_contain_text("The page comes back to the call by itself.")


async def test_a_person_who_leaves_is_left_alone(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url, allowed_errors=["ERR_CONNECTION"]) as page:
        await call(page, stub)
        await stub.stop()
        await expect(page.locator("#state")).to_have_text("Reconnecting…", timeout=SLOW_MS)
        await page.get_by_role("button", name="Leave").click()
        await expect(page.locator("#state")).to_have_text("Ready")
        n_microphones = await page.evaluate("microphones.length")
        await stub.start()
        await page.wait_for_timeout(1_500)
        assert await page.evaluate("microphones.length") == n_microphones
        assert len(stub.peers) == 1


async def test_who_has_muted_the_microphone_is_not_heard_by_the_next_call_either(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url, script=WATCH_MUTING) as page:
        peer = await call(page, stub)
        await page.get_by_role("button", name="Mute").click()
        await expect(page.locator("#microphone")).to_have_text("Microphone is muted")
        await page.get_by_role("textbox").fill("not taken")
        await page.keyboard.press("Enter")
        await expect(page.locator(".user .note")).to_have_text("sending…")
        await peer.close()
        await stub.next_peer()
        await expect(page.locator("#state")).to_have_text("Muted")
        await expect(page.locator("#microphone")).to_have_text("Microphone is muted")
        # Shut before it was given to the connection.
        assert await page.evaluate("sentOpen") == [True, False]
        await expect(page.get_by_role("textbox")).to_have_value("not taken")


async def test_a_killed_server_is_missed_at_once_and_joined_when_it_is_ready_again(
    browser: Browser, stub: StubServer
) -> None:
    allowed = ["ERR_CONNECTION_REFUSED", "status of 503"]
    async with visit(browser, stub.url, allowed_errors=allowed, script=RARE_ATTEMPTS) as page:
        peer = await call(page, stub)
        peer.start()
        await page.get_by_role("textbox").fill("half a thought")
        await stub.stop(is_killed=True)
        # Its end of the WebRTC connection stands: the browser itself would wait for ever.
        await expect(page.locator("#state")).to_have_text("Reconnecting…")
        async with page.expect_event("requestfailed", lambda request: request.url.endswith("/health")):
            pass
        stub.health["status"] = "starting"
        await stub.start()
        async with page.expect_response(lambda response: response.status == 503):
            pass
        # The attempts of its own are made rare here: ten minutes are counted down, the looks go on each second.
        await expect(page.locator("#countdown")).to_have_text(NEXT_TRY)
        stub.health["status"] = "ready"
        again = await talk_again(page, stub)
        await expect(page.locator("#countdown")).to_have_text("")
        assert again.offer["conversation"] == peer.conversation
        await expect(page.get_by_role("textbox")).to_have_value("half a thought")


COUNT_DOWN = """async () => {
  const { Countdown } = await import("/call/countdown.js");
  const told = document.createElement("p");
  window.counted = [];
  new MutationObserver(() => window.counted.push(told.textContent)).observe(told, { childList: true });
  const countdown = new Countdown(told);
  countdown.follow(Date.now() + 1_500);
  await new Promise((resolve) => setInterval(() => told.textContent.endsWith(" 0 s") && resolve(), 20));
  countdown.follow(0);
  await null;
  return window.counted;
}"""


async def test_while_the_server_is_away_it_is_looked_for_every_second_and_the_next_try_is_counted_down(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url, allowed_errors=["ERR_FAILED"], script=RARE_ATTEMPTS) as page:
        await call(page, stub)
        offers: list[str] = []
        await page.route("**/health", lambda route: route.abort())
        page.on("request", lambda request: offers.append(request.url) if "offer" in request.url else None)
        stub.peers[0].send("session_ended", code="server_stops", reason="the server stops")
        await expect(page.locator("#countdown")).to_have_text(NEXT_TRY)
        for _ in range(3):
            async with page.expect_event("requestfailed", lambda request: request.url.endswith("/health")):
                pass
        assert offers == []
        counted = await page.evaluate(COUNT_DOWN)
        assert counted == ["next try in 2 s", "next try in 1 s", "next try in 0 s", ""]


async def test_a_server_that_was_away_and_refuses_is_asked_once_and_then_no_more_often_than_others(
    browser: Browser, stub: StubServer
) -> None:
    allowed = ["ERR_CONNECTION_REFUSED", "status of 503"]
    async with visit(browser, stub.url, allowed_errors=allowed, script=RARE_ATTEMPTS) as page:
        await call(page, stub)
        await stub.stop(is_killed=True)
        await expect(page.locator("#state")).to_have_text("Reconnecting…")
        async with page.expect_event("requestfailed", lambda request: request.url.endswith("/health")):
            pass
        stub.refusal = (503, "the agent is busy with 4 conversations; try again later")
        async with page.expect_event("request", lambda request: request.url.endswith("/api/offer")):
            await stub.start()
        await expect(page.locator("#problem")).to_contain_text("busy")
        offers: list[str] = []
        page.on("request", lambda request: offers.append(request.url) if "offer" in request.url else None)
        # It looks on whether the server is there, and does not knock at each look: once more after its usual second.
        for _ in range(4):
            async with page.expect_response(lambda response: response.url.endswith("/health")):
                pass
        assert len(offers) <= 1


async def test_leaving_the_page_ends_the_call(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        await page.goto("about:blank")
        async with asyncio.timeout(30):
            await peer.is_closed.wait()


async def test_a_page_from_the_back_forward_cache_is_not_in_a_call_and_can_be_again(
    browser: Browser, stub: StubServer
) -> None:
    leave = "dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))"
    enter = "dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))"
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.start()
        await page.evaluate(leave)
        async with asyncio.timeout(30):
            await peer.is_closed.wait()
        await page.evaluate(enter)
        await expect(page.locator("#problem")).to_have_text(
            "The call ended when you left the page. Start talking to go on with it."
        )
        await expect(page.locator("#microphone")).to_have_text("Microphone is off")
        assert await page.evaluate(TRACKS) == ["ended"]
        again = await call(page, stub)
        assert again.offer["conversation"] == peer.conversation


async def test_a_reloaded_page_goes_on_with_the_conversation_and_shows_what_was_said(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.start()
        await page.reload()
        await expect(page.get_by_text("Welcome back.")).to_be_visible()
        again = await call(page, stub)
        assert again.offer["conversation"] == peer.conversation
        again.start(history=[{"role": "user", "text": "hello"}, {"role": "assistant", "text": "Good **morning**."}])
        await expect(page.locator(".agent strong")).to_have_text("morning")
        assert await items(page) == ["You hello", "Agent Good morning."]


async def test_where_webrtc_finds_no_way_the_other_transport_is_tried(browser: Browser, stub: StubServer) -> None:
    transport = """export class WebSocketCall {
      isMuted = false;
      constructor(handlers, wishes) { this.handlers = handlers; globalThis.wishes = wishes; }
      async open() {
        this.handlers.onMicrophone("on", null);
        this.handlers.onJoined("by websocket");
        this.handlers.onEvent({ event: "turn_ended", text: "hello" });
      }
      send(message) { (globalThis.sent ??= []).push(message); }
      close() { this.handlers.onClosed(null); }
    }"""
    no_webrtc = "delete window.RTCPeerConnection;"
    async with visit(browser, stub.url, script=no_webrtc) as page:
        await page.route(
            "**/websocket_call.js", lambda route: route.fulfill(body=transport, content_type="text/javascript")
        )
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.locator("#state")).to_have_text("Thinking…")
        await expect(page.locator(".user .said")).to_have_text("hello")
        await page.get_by_role("button", name="Interrupt").click()
        assert await page.evaluate("sent") == [{"type": "interrupt"}]
        await page.get_by_role("button", name="Leave").click()
        await expect(page.locator("#state")).to_have_text("Ready")
