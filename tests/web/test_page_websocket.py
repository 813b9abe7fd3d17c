"""Spoken conversations of a browser over a WebSocket: Chromium's microphone and loudspeaker, the real server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from playwright.async_api import Page

from tests.support.chromium import ALLOW_MICROPHONE, launch, visit
from tests.support.house import SPEECH
from tests.support.served import serving

pytestmark = [pytest.mark.browser, pytest.mark.realtime, pytest.mark.long, pytest.mark.group("ears")]

WORDS = "what is the capital of germany"
# The browser's noise suppression costs a word now and then. A machine that is too slow for its microphone garbles all
# of them, so the question is asked again.
FEWEST_WORDS = 3
N_ASKED, BETWEEN_SECS = 3, 12.0
# window.answer(): what has come since a question with enough of its words.
ANSWER = f"""
window.answer = () => {{
  const isUnderstood = ({{ event, text }}) => event === "turn_ended"
    && "{WORDS}".split(" ").filter((word) => text.toLowerCase().split(/[^a-z]+/).includes(word)).length
      >= {FEWEST_WORDS};
  const at = told.events.findIndex(isUnderstood);
  return at < 0 ? [] : told.events.slice(at);
}};
"""
ANSWER_MS = 60_000
# The file plays from the moment the microphone is opened: the call has this long to be set up.
LEAD_SECS = 3.0
BUNDLED = ("--stt", "whisper", "--tts", "espeak")

# Some browsers refuse a microphone in a context of another rate than its own.
ONLY_ITS_OWN_RATE = """
const connect = AudioContext.prototype.createMediaStreamSource;
AudioContext.prototype.createMediaStreamSource = function (stream) {
  if (this.sampleRate === 16000) throw new DOMException("another rate", "NotSupportedError");
  return connect.call(this, stream);
};
"""
# Calls as the page does, and keeps what it is told; window.loudness(): the peak of the agent's voice since last asked.
CALL = """
async () => {
  const { WebSocketCall } = await import("/call/websocket_call.js");
  window.told = { events: [], microphone: [], conversation: "", isClosed: false, problem: null };
  const context = new AudioContext();
  const meter = new AnalyserNode(context, { fftSize: 8192 });
  let peak = 0;
  setInterval(() => {
    const samples = new Float32Array(meter.fftSize);
    meter.getFloatTimeDomainData(samples);
    peak = Math.max(peak, ...samples.map(Math.abs));
  }, 100);
  window.loudness = () => { const loudest = peak; peak = 0; return loudest; };
  const voice = document.createElement("audio");
  document.body.append(voice);
  window.call = new WebSocketCall({
    onMicrophone: (sign) => told.microphone.push(sign),
    onVoice: (stream) => {
      voice.srcObject = stream;
      voice.play();
      context.createMediaStreamSource(stream).connect(meter);
    },
    onJoined: (conversation) => { told.conversation = conversation; },
    onEvent: (event) => told.events.push(event),
    onClosed: (problem) => { told.isClosed = true; told.problem = problem?.message ?? null; },
  }, { conversation: "", options: {}, isRecorded: false, microphoneId: "" });
  await call.open();
}
"""


@pytest.fixture
def question(tmp_path: Path) -> Path:
    """A WAV file for the microphone: a pause and a question, again and again."""
    pcm16, rate_hz = soundfile.read(SPEECH / "capital_of_germany.wav", dtype="int16")
    lead_s16, between_s16 = (np.zeros(int(secs * rate_hz), np.int16) for secs in (LEAD_SECS, BETWEEN_SECS))
    path = tmp_path / "microphone.wav"
    soundfile.write(path, np.concatenate([lead_s16, *[pcm16, between_s16] * N_ASKED]), rate_hz)
    return path


@asynccontextmanager
async def calling(tmp_path: Path, speech: Path, script: str = "") -> AsyncIterator[Page]:
    """A page that is in a call."""
    flags = (ALLOW_MICROPHONE, "--autoplay-policy=no-user-gesture-required")
    with serving(tmp_path, *BUNDLED) as served:
        async with launch(*flags, speech=speech) as browser, visit(browser, served.url, script=script) as page:
            await page.evaluate(CALL)
            yield page


async def until(page: Page, condition: str) -> None:
    await page.wait_for_function(f"() => told.isClosed || ({condition})", timeout=ANSWER_MS)
    assert await page.evaluate("told.problem") is None


async def events(page: Page, name: str) -> list[dict[str, Any]]:
    return await page.evaluate("(name) => told.events.filter(({ event }) => event === name)", name)


@pytest.mark.parametrize("script", ["", ONLY_ITS_OWN_RATE], ids=["16_khz", "resampled"])
async def test_a_spoken_question_is_answered_over_a_websocket(question: Path, tmp_path: Path, script: str) -> None:
    async with calling(tmp_path, question, script) as page:
        await page.evaluate(ANSWER)
        await until(page, "answer().some(({ event }) => event === 'bot_stopped_speaking')")
        assert not await page.evaluate("told.isClosed")
        assert await page.evaluate("answer().some(({ event }) => event === 'bot_word')")
        await until(page, "loudness() > 0.05")
        started = (await events(page, "session_started"))[0]
        assert started["conversation"] == await page.evaluate("told.conversation")
        await page.evaluate("call.isMuted = true")
        assert await page.evaluate("call.isMuted")
        await page.evaluate("call.close()")
        told = await page.evaluate("told")
        assert (told["isClosed"], told["problem"]) == (True, None)
        assert told["microphone"] == ["on", "muted", "off"]


async def test_an_interrupted_agent_falls_silent_in_the_browser(question: Path, tmp_path: Path) -> None:
    async with calling(tmp_path, question) as page:
        # Before the microphone says anything.
        await page.evaluate("call.isMuted = true")
        await page.evaluate("call.send({ type: 'text', text: 'Tell me a story about a spider.', spoken: true })")
        await until(page, "told.events.filter(({ event }) => event === 'bot_word').length > 1 && loudness() > 0.05")
        await page.evaluate("call.send({ type: 'interrupt' })")
        await until(page, "told.events.some(({ event }) => event === 'bot_stopped_speaking')")
        # The meter looks back at a fifth of a second.
        await until(page, "loudness() < 0.001")
        assert not await page.evaluate("told.isClosed")
