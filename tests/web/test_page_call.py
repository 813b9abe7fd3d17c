"""A call through the page in Chromium: how it is set up, what serves it, its microphone and its sound."""

import asyncio

import pytest
from playwright.async_api import Browser, expect

from tests.support.chromium import visit, wait_until
from tests.support.stub_catalogue import NOTE
from tests.support.stub_server import StubServer, call

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_the_engines_are_shown_with_the_reason_and_the_command_that_brings_better_ones(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url, viewport={"width": 1280, "height": 800}) as page:
        rows = page.locator("#engines-list .stage")
        await expect(rows).to_have_count(5)
        await page.get_by_role("button", name="Details").click()
        texts = [" ".join(text.split()) for text in await rows.all_inner_texts()]
        assert texts == [
            "Speech to text pocketsphinx en-us"
            " nemotron was passed over: its model is not on disk. To use it: sotto models pull nemotron"
            " whisper was passed over: its model is not on disk. To use it: sotto models pull whisper-base.en",
            f"Language model embedded SmolLM2-135M-Instruct {NOTE}",
            "Text to speech espeak en-us"
            " kokoro was passed over: its model is not on disk. To use it: sotto models pull kokoro",
            "Voice activity silero v6",
            "End of turn smart-turn v3.2",
        ]
        await expect(page.locator("#engines-short")).to_have_text("pocketsphinx → embedded → espeak")
        peer = await call(page, stub)
        peer.start(engines={"stt": "whisper", "llm": {"engine": "ollama", "model": "qwen3"}})
        await expect(page.locator("#engines-short")).to_have_text("whisper → ollama → espeak")


async def test_the_call_is_set_up_as_the_server_expects(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        sections = [line for line in peer.offer_sdp.splitlines() if line.startswith("m=")]
        assert [line.split()[0] for line in sections] == ["m=audio", "m=application"]
        assert "a=sendrecv" in peer.offer_sdp
        assert peer.channel_label == "events"
        assert await page.evaluate("peers.map((peer) => peer.settings)") == [[{"iceServers": []}]]
        assert await page.evaluate("microphones.map(({ wanted }) => wanted)") == [
            {"audio": {"echoCancellation": True, "noiseSuppression": True, "autoGainControl": True}}
        ]
        # One at once, then one every second.
        async with asyncio.timeout(30):
            while len(peer.messages) < 3:
                await asyncio.sleep(0.05)
        assert all(message.startswith("ping") for message in peer.messages)
        assert all({"candidate", "sdp_mid", "sdp_mline_index"} == set(found) for found in peer.candidates)


async def test_the_agents_voice_sounds(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        await call(page, stub)
        await wait_until(page, "soundIsHeard()")


async def test_each_call_takes_a_fresh_microphone_and_lets_it_go(browser: Browser, stub: StubServer) -> None:
    tracks = "microphones.map(({ track }) => track.readyState)"
    async with visit(browser, stub.url) as page:
        sign = page.locator("#microphone")
        await expect(sign).to_have_text("Microphone is off")
        await call(page, stub)
        await expect(sign).to_have_text("Microphone is on")
        assert await page.title() == "● Listening · Sotto"
        await page.get_by_role("button", name="Leave").click()
        await expect(sign).to_have_text("Microphone is off")
        await call(page, stub)
        assert await page.evaluate(tracks) == ["ended", "live"]


async def test_mute_silences_the_microphone_and_says_so(browser: Browser, stub: StubServer) -> None:
    enabled = "microphones[0].track.enabled"
    async with visit(browser, stub.url) as page:
        mute = page.get_by_role("button", name="Mute")
        await expect(mute).to_be_hidden()
        await call(page, stub)
        await mute.click()
        await expect(mute).to_have_attribute("aria-pressed", "true")
        await expect(page.locator("#microphone")).to_have_text("Microphone is muted")
        assert await page.evaluate(enabled) is False
        await mute.click()
        await expect(page.locator("#microphone")).to_have_text("Microphone is on")
        assert await page.evaluate(enabled) is True
