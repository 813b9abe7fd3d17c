"""The times of a conversation, as the page in Chromium shows them."""

import pytest
from playwright.async_api import Browser, expect

from tests.support.chromium import visit
from tests.support.stub_server import StubServer, call, say_a_turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NOTE_NETWORK = """() => {
  window.networks = [];
  const network = document.getElementById("network");
  new MutationObserver(() => networks.push(network.textContent)).observe(network, { childList: true });
}"""


async def test_a_turn_shows_where_its_time_went_in_a_picture_and_in_words(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url, viewport={"width": 1280, "height": 900}) as page:
        peer = await call(page, stub)
        say_a_turn(peer, "hello", "Good morning.")
        peer.send("latency", voice_to_voice_ms=1000, turn_ms=400, stt_ms=100, llm_ttft_ms=300, tts_ttfb_ms=50)
        # 1000 - 400 - 100 - 300 - 50 = 150
        told = (
            "Answered in 1.0 s: end of turn 400 ms, transcription 100 ms, first token 300 ms, "
            "first sound 50 ms, everything else 150 ms."
        )
        await expect(page.get_by_role("img", name=told)).to_be_visible()
        await page.get_by_role("button", name="Details").click()
        rows = page.locator("#stages-body tr")
        await expect(rows).to_have_text(
            [
                "End of turn400 ms",
                "Transcription100 ms",
                "First token300 ms",
                "First sound50 ms",
                "Everything else150 ms",
            ]
        )
        places: list[list[float]] = await page.evaluate(
            """[...document.querySelectorAll("#stages-body .lane")].map((lane) => {
              const [all, span] = [lane, lane.firstChild].map((element) => element.getBoundingClientRect());
              return [(span.left - all.left) / all.width, span.width / all.width];
            })"""
        )
        for found, wanted in zip(places, [(0, 0.4), (0.4, 0.1), (0.5, 0.3), (0.8, 0.05), (0.85, 0.15)], strict=True):
            assert found == pytest.approx(wanted, abs=0.02)


async def test_median_and_95th_percentile_run_along(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        await page.get_by_role("button", name="Details").click()
        peer = await call(page, stub)
        for n, total_ms in enumerate([500, 300, 900, 400, 700]):
            say_a_turn(peer, f"question {n}", "Answer.")
            peer.send("latency", voice_to_voice_ms=total_ms)
            peer.send("bot_stopped_speaking")
        # By nearest rank of 300 400 500 700 900: the third, and the fifth (0.95 x 5 = 4.75).
        await expect(page.locator("#n-turns")).to_have_text("5")
        await expect(page.locator("#median")).to_have_text("500 ms")
        await expect(page.locator("#p95")).to_have_text("900 ms")
        peer.send("latency", turn_ms=200)
        peer.send("latency", voice_to_voice_ms="soon")
        peer.send("speculation", outcome="kept")
        peer.send("speculation", outcome="thrown_away")
        peer.send("speculation", outcome="kept")
        await expect(page.locator("#speculation")).to_have_text("2 used, 1 thrown away")
        await expect(page.locator("#n-turns")).to_have_text("5")


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 50, None), ([7], 50, 7), ([7], 95, 7), ([4, 1, 3, 2], 50, 2), (list(range(1, 101)), 95, 95)],
)
async def test_a_percentile_is_one_of_the_values(
    browser: Browser, stub: StubServer, values: list[int], percent: int, expected: int | None
) -> None:
    script = """async ([values, percent]) => {
      const found = (await import("/conversation/timings.js")).percentile(values, percent);
      return Number.isNaN(found) ? null : found;
    }"""
    async with visit(browser, stub.url) as page:
        assert await page.evaluate(script, [values, percent]) == expected


async def test_how_well_the_network_carries_the_call_is_told(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url, viewport={"width": 1280, "height": 900}) as page:
        await page.get_by_role("button", name="Details").click()
        network = page.locator("#network")
        await expect(network).to_have_text("not in a call")
        await page.evaluate(NOTE_NETWORK)
        await call(page, stub)
        await expect(network).to_contain_text("WebRTC · ", timeout=30_000)
        await expect(network).to_contain_text("ms there and back", timeout=30_000)
        await expect(network).to_contain_text("0\u00a0% of the agent’s", timeout=30_000)
        # Until it is known the page says so.
        assert (await page.evaluate("networks"))[0] == "being measured"
        await page.get_by_role("button", name="Leave").click()
        await expect(network).to_have_text("not in a call")
