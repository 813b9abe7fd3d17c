"""What can be chosen on the page: settings, devices, recording, and what becomes of the conversation."""

import json
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.chromium import visit, wait_until
from tests.support.stub_server import StubServer, call, choose, say_a_turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# Two microphones and two loudspeakers, of which the page may choose.
DEVICES = """
const device = (kind, deviceId, label) => ({ kind, deviceId, label, groupId: "" });
window.devices = [
  device("audioinput", "default", "Default"), device("audioinput", "mic-1", "Laptop"),
  device("audioinput", "mic-2", "Headset"), device("audiooutput", "speaker-1", "Laptop speakers"),
];
navigator.mediaDevices.enumerateDevices = async () => window.devices;
window.sinks = [];
HTMLMediaElement.prototype.setSinkId = async function (id) { window.sinks.push(id); };
"""


async def open_settings(page: Page) -> None:
    await page.get_by_role("button", name="Settings").click()
    await expect(page.get_by_role("dialog", name="Settings")).to_be_visible()


async def test_settings_come_from_the_server_and_what_cannot_be_used_says_why(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        await open_settings(page)
        groups = page.get_by_role("dialog").locator("legend")
        await expect(groups).to_have_text(
            ["Sound", "Who the agent is", "Voice", "Taking turns", "What the agent may do", "Advanced"]
        )
        # Engines and thresholds come last, and are shown when they are asked for.
        engine = page.locator("#setting-stt-engine")
        await expect(engine).to_be_hidden()
        await page.locator(".advanced > summary").click()
        assert await engine.locator("option").all_inner_texts() == [
            "The best that is usable",
            "nemotron",
            "whisper (base.en)",
            "pocketsphinx (en-us)",
        ]
        assert await engine.locator("option:disabled").all_inner_texts() == ["nemotron"]
        await expect(page.locator(".field", has=engine).locator(".unusable")).to_have_text(
            "nemotron: its model is not on disk. sotto models pull nemotron-en-560ms"
        )
        await expect(page.get_by_role("slider", name="Speed")).to_have_value("1")
        await expect(page.get_by_role("switch", name="Prepare answers early")).to_be_checked()
        # What its label says already is not said again below.
        await expect(page.get_by_text("What the agent is told about itself")).to_have_count(1)
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await expect(page.get_by_role("button", name="Settings")).to_be_focused()


async def test_a_server_without_options_leaves_the_devices_to_choose(browser: Browser, stub: StubServer) -> None:
    stub.options = None
    async with visit(browser, stub.url, allowed_errors=["status of 404"]) as page:
        await open_settings(page)
        await expect(page.get_by_text("This server offers no further settings.")).to_be_visible()
        await expect(page.get_by_role("dialog").locator("legend")).to_have_text(["Sound"])
        await page.get_by_role("button", name="Apply").click()
        await expect(page.get_by_role("switch", name="Record")).to_be_hidden()
        await call(page, stub)


async def test_devices_are_chosen_before_and_during_a_call(browser: Browser, stub: StubServer) -> None:
    wanted = "microphones.map(({ wanted }) => wanted.audio.deviceId?.ideal ?? '')"
    tracks = "microphones.map(({ track }) => track.readyState)"
    async with visit(browser, stub.url, script=DEVICES) as page:
        await open_settings(page)
        microphone, loudspeaker = page.locator("#microphone-choice"), page.locator("#loudspeaker-choice")
        assert await microphone.locator("option").all_inner_texts() == ["The browser’s choice", "Laptop", "Headset"]
        await microphone.select_option("Laptop")
        await loudspeaker.select_option("Laptop speakers")
        await page.keyboard.press("Escape")
        peer = await call(page, stub)
        assert await page.evaluate(wanted) == ["mic-1"]
        assert await page.evaluate("sinks.at(-1)") == "speaker-1"
        await page.get_by_role("button", name="Mute").click()
        await open_settings(page)
        await microphone.select_option("Headset")
        await wait_until(page, "microphones.length === 2 && microphones[0].track.readyState === 'ended'")
        assert await page.evaluate(wanted) == ["mic-1", "mic-2"]
        assert await page.evaluate(tracks) == ["ended", "live"]
        sent = "peers[0].getSenders()[0].track === microphones[1].track && !microphones[1].track.enabled"
        assert await page.evaluate(sent) is True
        await page.evaluate("devices.splice(2, 1); navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")
        await expect(microphone.locator("option")).to_have_text(["The browser’s choice", "Laptop"])
        assert stub.peers == [peer]


async def test_recording_is_off_until_it_is_chosen_and_is_shown_while_it_lasts(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        record, sign = page.get_by_role("switch", name="Record"), page.locator("#recording-sign")
        await expect(record).not_to_be_checked()
        first = await call(page, stub)
        first.start()
        assert "record" not in first.offer
        await expect(sign).to_be_hidden()
        await record.check()
        second = await stub.next_peer()
        assert second.offer["record"] is True
        second.start(recording=True)
        await expect(sign).to_be_visible()
        await expect(page.locator("#recording")).to_be_hidden()
        await page.get_by_role("button", name="Leave").click()
        await expect(sign).to_be_hidden()
        base = f"{stub.url}/api/conversations/{second.conversation}"
        for name, path in (("Sound (WAV)", "recording.wav"), ("Event log (JSON lines)", "events.jsonl")):
            async with page.expect_download() as saved:
                await page.get_by_role("link", name=name).click()
            assert (await saved.value).url == f"{base}/{path}"
        await page.locator("#delete-recording").click()
        await page.get_by_role("button", name="Keep it").click()
        assert stub.deleted == []
        await page.locator("#delete-recording").click()
        await page.get_by_role("button", name="Delete", exact=True).click()
        await expect(page.locator("#recording")).to_be_hidden()
        assert stub.deleted == [second.conversation]
        third = await call(page, stub)
        assert "conversation" not in third.offer


async def test_a_recording_goes_on_in_the_next_call_and_after_a_reload_and_says_if_it_does_not(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        await page.get_by_role("switch", name="Record").check()
        first = await call(page, stub)
        first.start(recording=True, recorded_secs=0.0)
        say_a_turn(first, "hello", "Good morning.")
        # The network changes.
        await first.close()
        second = await stub.next_peer()
        assert second.offer["record"] is True
        second.start(recording=True, recorded_secs=7.5)
        await expect(page.locator("#recording-sign")).to_be_visible()
        await expect(page.locator(".notice")).to_have_count(0)
        await page.reload()
        await expect(page.get_by_role("switch", name="Record")).to_be_checked()
        await expect(page.locator("#recording")).to_contain_text("Your latest call was recorded.")
        third = await call(page, stub)
        assert (third.offer["record"], third.offer["conversation"]) == (True, first.conversation)
        third.start(recording=True, recorded_secs=9.0)
        await third.close()
        # The server was started anew.
        fourth = await stub.next_peer()
        fourth.start(recording=True, recorded_secs=0.0)
        await expect(page.locator(".notice")).to_have_text(
            "The recording begins anew here; what was recorded before is gone."
        )


async def test_starting_over_empties_the_page_and_asks_the_agent_to_forget(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.start()
        say_a_turn(peer, "hello", "Good morning.")
        peer.send("bot_stopped_speaking")
        await choose(page, "Start over")
        peer.send("started_over")
        await expect(page.locator("#conversation .item")).to_have_count(0)
        assert await peer.commands(1) == [{"type": "start_over"}]
        say_a_turn(peer, "again", "Good night.")
        await page.get_by_role("button", name="Leave").click()
        await choose(page, "Start over")
        await expect(page.get_by_text("Say something.")).to_be_visible()
        again = await call(page, stub)
        assert "conversation" not in again.offer


@pytest.mark.parametrize(
    "kept", ['{"options": null}', "7", '{"options": [1], "hasKeys": 7, "microphoneId": null}', "{"]
)
async def test_choices_that_something_else_has_written_are_left_alone(
    browser: Browser, stub: StubServer, kept: str
) -> None:
    written = (
        f"if (!sessionStorage.seen) localStorage.setItem('sotto.choices', {json.dumps(kept)}); sessionStorage.seen = 1;"
    )
    async with visit(browser, stub.url, script=written) as page:
        await page.get_by_role("button", name="Details").click()
        await call(page, stub)
        await page.reload()
        await expect(page.locator("#details")).to_be_visible()
        now = json.loads(await page.evaluate("localStorage.getItem('sotto.choices')"))
        assert (now["options"], now["hasKeys"], now["microphoneId"], now["hasDetails"]) == ({}, True, "", True)


async def test_the_page_remembers_the_conversation_that_began_anew_and_not_the_one_before(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        peer.start()
        say_a_turn(peer, "hello", "Good morning.")
        await choose(page, "Start over")
        peer.send("started_over", conversation="the-new-one")
        await expect(page.locator("#conversation .item")).to_have_count(0)
        assert await page.evaluate('sessionStorage.getItem("sotto.conversation")') == "the-new-one"
        # A call that is lost comes back to it; a page that is loaded anew reads what is remembered.
        await peer.close()
        assert (await stub.next_peer()).offer["conversation"] == "the-new-one"


async def test_a_recorded_conversation_is_started_over_after_a_question_and_the_next_has_its_own_recording(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        await page.get_by_role("switch", name="Record").check()
        peer = await call(page, stub)
        peer.start(recording=True, recorded_secs=0.0)
        say_a_turn(peer, "hello", "Good morning.")
        asked = page.get_by_role("dialog", name="Start over?")
        await choose(page, "Start over")
        await asked.get_by_role("button", name="Go on").click()
        await expect(page.locator("#conversation .item")).not_to_have_count(0)
        await choose(page, "Start over")
        await asked.get_by_role("button", name="Start over").click()
        assert await peer.commands(1) == [{"type": "start_over"}]
        peer.send("started_over", conversation="the-new-one")
        await expect(page.locator("#conversation .item")).to_have_count(0)
        say_a_turn(peer, "again", "Good night.")
        await page.get_by_role("button", name="Leave").click()
        link = page.get_by_role("link", name="Sound (WAV)")
        await expect(link).to_have_attribute("href", "/api/conversations/the-new-one/recording.wav")


async def test_the_conversation_can_be_saved_as_text(browser: Browser, stub: StubServer, tmp_path: Path) -> None:
    async with visit(browser, stub.url) as page:
        peer = await call(page, stub)
        say_a_turn(peer, "tell me a story", "Once upon")
        peer.send("interruption", heard="Once upon", planned="Once upon a time.")
        peer.send("error", stage="llm", message="no answer")
        await expect(page.locator(".notice")).to_be_visible()
        async with page.expect_download() as saved:
            await choose(page, "Save as text")
        # What was chosen is done: nothing hangs over the page, and the keyboard is where it came from.
        await expect(page.locator("#menu")).to_be_hidden()
        await expect(page.locator("#open-menu")).to_be_focused()
        await (await saved.value).save_as(tmp_path / "saved.txt")
        assert (tmp_path / "saved.txt").read_text("utf-8").split("\n\n") == [
            "You: tell me a story",
            "Agent: Once upon [interrupted, not said: a time.]",
            "[Language model: no answer]\n",
        ]


async def test_the_page_promises_no_more_than_is_true(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        await expect(page.locator("#why")).to_contain_text("Your voice and words stay on this machine.")
        await expect(page.locator("#why")).to_contain_text("Nothing is recorded unless you switch it on.")
        stub.health["engines"]["llm"]["engine"] = "endpoint"
        await page.reload()
        await expect(page.locator("#why")).to_contain_text(
            "stay on this machine, but for the language model, which its owner has pointed at a server of their choice."
        )
