"""What the page may cost in Chromium: bytes of its first load, movement as the floor changes, memory of a long talk."""

from typing import Any

import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from agent.server.state import ServerState
from agent.settings.load import load_settings
from tests.support.axe import find_barriers
from tests.support.chromium import visit, wait_until
from tests.support.served import listening
from tests.support.stub_server import WEB, StubServer, call, say_a_turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

MOST_BYTES = 160 * 1024
# As they are read, not as they are packed on the way.
LOADED = """() => [performance.getEntriesByType("navigation"), performance.getEntriesByType("resource")].flat()
  .filter(({ name }) => !name.endsWith("/health"))
  .map(({ name, decodedBodySize }) => [new URL(name).pathname, decodedBodySize])"""
# What stands around the page that can be used already: its first words to the server have been answered.
AROUND = ("/around.js", "/call/countdown.js", "/call/media_keys.js", "/call/wake_lock.js", "/installed.js", "/tab.js")
PRELOADED = "[...document.querySelectorAll(\"link[rel='modulepreload']\")].map(({ href }) => new URL(href).pathname)"


async def test_the_first_load_is_small_and_no_file_of_it_waits_for_another(browser: Browser) -> None:
    # The real server, before its models are loaded: what is needed later is not loaded yet.
    async with (
        listening(ServerState(load_settings({}))) as url,
        visit(browser, url, allowed_errors=["status of 503"]) as page,
    ):
        await wait_until(page, "document.title.startsWith('The models')")
        # One that is looked at once more, for its version, is the same file.
        loaded = dict(await page.evaluate(LOADED))
        preloaded: list[str] = await page.evaluate(PRELOADED)
    assert sorted(path for path in loaded if path.endswith(".js")) == sorted(["/app.js", *AROUND, *preloaded])
    # The browser fetches these by itself.
    others = sum((WEB / name).stat().st_size for name in ("manifest.webmanifest", "icons/icon-192.png"))
    assert sum(loaded.values()) + others <= MOST_BYTES, sorted(loaded, key=loaded.__getitem__)[-10:]


async def test_what_is_opened_later_is_loaded_then_and_says_where_it_cannot_be(
    browser: Browser, stub: StubServer
) -> None:
    names = "performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname)"
    async with visit(browser, stub.url, allowed_errors=["ERR_FAILED"]) as page:
        # What a call and its words need is there before anybody asks for it.
        await wait_until(
            page, f"['/call/connection.js', '/conversation/transcript.js'].every((one) => {names}.includes(one))"
        )
        assert not [name for name in await page.evaluate(names) if "settings_panel" in name or "settings.css" in name]
        await page.route("**/settings_panel.js", lambda route: route.abort())
        await page.get_by_role("button", name="Settings").click()
        await expect(page.locator("#problem")).to_contain_text("The settings could not be shown")
        await page.unroute("**/settings_panel.js")
        await page.get_by_role("button", name="Settings").click()
        await expect(page.get_by_role("dialog", name="Settings")).to_be_visible()


WATCH_SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  const nameOf = ({ node }) => node?.id || node?.className || node?.textContent;
  for (const { value, sources } of list.getEntries()) window.shifts.push([value, sources.map(nameOf)]);
}).observe({ type: "layout-shift", buffered: true });
"""
SETTLE = "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve))))"
SIZES: list[ViewportSize] = [
    {"width": 1280, "height": 800},
    {"width": 390, "height": 844},
    {"width": 844, "height": 390},
]


@pytest.mark.parametrize("size", SIZES)
async def test_nothing_moves_while_the_floor_changes(browser: Browser, stub: StubServer, size: ViewportSize) -> None:
    async with visit(browser, stub.url, script=WATCH_SHIFTS, viewport=size) as page:
        peer = await call(page, stub)
        state = "(state) => document.body.dataset.state === state"
        await page.evaluate(f"{SETTLE}.then(() => (window.shifts.length = 0))")
        for event, fields, expected in (
            ("user_started_speaking", {}, "hearing"),
            ("user_stopped_speaking", {}, "listening"),
            ("bot_started_speaking", {}, "speaking"),
            ("playout", {"level": "ducked"}, "ducked"),
            ("playout", {"level": "paused"}, "paused"),
            ("playout", {"level": "full"}, "speaking"),
            ("bot_stopped_speaking", {}, "listening"),
        ):
            peer.send(event, **fields)
            await wait_until(page, state, arg=expected)
            await page.evaluate(SETTLE)
        assert await page.evaluate("shifts") == []


# A long conversation through the page's own modules, drawn as the page draws it.
TALK = """async ([from, to]) => {
  const { Conversation } = await import("/conversation/conversation.js");
  const { View } = await import("/conversation/view.js");
  window.longTalk ??= { conversation: new Conversation("c"), view: new View() };
  const { conversation, view } = window.longTalk;
  await view.prepare();
  const draw = window.longTalk.draw = () => view.draw({
    state: conversation.activity, isWanted: true, conversation, microphone: "on", problem: null, isComingBack: false,
    isSoundHeld: false, engines: {}, answerSecs: null, link: {}, canRecord: false, recorded: "", nChoices: 0,
    isRestored: false,
  });
  for (let n = from; n < to; n += 1) {
    for (const event of [
      { event: "user_started_speaking" }, { event: "partial_transcript", text: `question ${n}` },
      { event: "turn_ended", text: `question ${n}` }, { event: "bot_started_speaking" },
      { event: "bot_planned", text: "Good morning." },
      { event: "bot_word", text: "Good" }, { event: "bot_word", text: "morning." },
      { event: "latency", voice_to_voice_ms: 742, stt_ms: 40, llm_ttft_ms: 90 }, { event: "bot_stopped_speaking" },
    ]) conversation.apply(event);
    draw();
  }
  if (to === from) {
    conversation.apply({ event: "started_over" });
    draw();
  }
}"""


class Counts:
    """Objects of the page as Chromium counts them, its garbage taken away first."""

    def __init__(self, page: Page, session: Any) -> None:
        self._page = page
        self._session = session

    async def after(self, first: int, last: int) -> dict[str, float]:
        """Nodes, listeners and megabytes once turns `first` to `last` are there; those of no turns start over."""
        await self._page.evaluate(TALK, [first, last])
        await self._page.evaluate(SETTLE)
        await self._session.send("HeapProfiler.collectGarbage")
        metrics = (await self._session.send("Performance.getMetrics"))["metrics"]
        found = {metric["name"]: metric["value"] for metric in metrics}
        return {name: found[name] for name in ("Nodes", "JSEventListeners", "JSHeapUsedSize")}


async def test_five_hundred_turns_leave_nothing_but_their_words_and_starting_over_leaves_nothing(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        session = await page.context.new_cdp_session(page)
        await session.send("Performance.enable")
        counts = Counts(page, session)
        await counts.after(0, 20)
        empty = await counts.after(0, 0)
        hundred = await counts.after(0, 100)
        five_hundred = await counts.after(100, 500)
        over = await counts.after(0, 0)
    per_turn = (hundred["Nodes"] - empty["Nodes"]) / 100
    # The same for a late turn as for an early one, and few.
    assert per_turn < 60
    assert (five_hundred["Nodes"] - hundred["Nodes"]) / 400 == pytest.approx(per_turn, rel=0.1)
    assert five_hundred["JSEventListeners"] - empty["JSEventListeners"] <= 500 * 3
    assert over["Nodes"] - empty["Nodes"] < 200
    assert over["JSEventListeners"] == empty["JSEventListeners"]
    assert over["JSHeapUsedSize"] - empty["JSHeapUsedSize"] < 2 * 2**20


# Something that a tool did long ago is taken back, while each word that is heard looks at new items alone.
LATE = """() => {
  const { conversation, draw } = window.longTalk;
  let nReads = 0;
  const old = conversation.items.find(({ role }) => role === "user");
  const { text } = old;
  Object.defineProperty(old, "text", { enumerable: true, get: () => ((nReads += 1), text) });
  conversation.apply({ event: "bot_word", text: "Again." });
  draw();
  conversation.apply({ event: "tool_undo", id: "c", undo: "4f1c", state: "done" });
  draw();
  return nReads;
}"""


async def test_in_a_long_conversation_a_word_looks_at_what_is_new_and_what_changes_late_is_drawn(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        await page.evaluate(TALK, [0, 0])
        await page.evaluate(
            """() => [{ event: "tool_call", id: "c", name: "create_file", arguments: {}, t: 0 },
              { event: "tool_result", id: "c", result: {}, t: 1 },
              { event: "tool_undo", id: "c", undo: "4f1c", state: "offered" },
            ].forEach((event) => window.longTalk.conversation.apply(event))"""
        )
        await page.evaluate(TALK, [0, 30])
        undo = page.locator("#conversation .tool")
        await expect(undo.get_by_role("button", name="Take back")).to_have_count(1)
        assert await page.evaluate(LATE) == 0
        await expect(undo.get_by_role("button", name="Take back")).to_have_count(0)
        await expect(page.locator(".agent .said").last).to_contain_text("Again.")
        assert await page.locator("#conversation .item").count() == 61


async def test_in_a_long_conversation_what_is_out_of_sight_is_passed_over_until_it_is_scrolled_to(
    browser: Browser, stub: StubServer
) -> None:
    item = "[...document.querySelectorAll('#conversation .item')].at(at)"
    seen = f"(at) => {item}.checkVisibility({{ contentVisibilityAuto: true }})"
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        for n in range(60):
            say_a_turn(peer, f"question {n}", f"Answer {n}.")
            peer.send("bot_stopped_speaking")
        await expect(page.get_by_text("Answer 59.")).to_be_in_viewport(ratio=1)
        await wait_until(page, f"!({seen})(0)")
        assert await page.evaluate(seen, -1)
        # It stands there all the same: it is found, read and scrolled to.
        first = page.locator("#conversation .item").first
        assert "question 0" in (await first.text_content() or "")
        await page.get_by_text("question 0", exact=True).scroll_into_view_if_needed()
        await wait_until(page, seen, arg=0)
        await expect(page.get_by_text("question 0", exact=True)).to_be_in_viewport(ratio=1)
        assert await find_barriers(page) == []
