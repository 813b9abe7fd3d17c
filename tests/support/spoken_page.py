"""A person at the page: a microphone that says recordings on command, and the real server behind it."""

import asyncio
import base64
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Page

from tests.support.chromium import wait_until

READY_SECS = 120
# Bundled engines on a loaded machine.
ANSWER_SECS = 120
BUNDLED_ENGINES = {
    "SOTTO_STT__ENGINE": "pocketsphinx",
    "SOTTO_LLM__ENGINE": "embedded",
    "SOTTO_TTS__ENGINE": "espeak",
}
# Every microphone that the page opens carries what window.say plays; it is silent otherwise.
MICROPHONE = """
let room = null;
const ears = new Set();
navigator.mediaDevices.getUserMedia = async (wanted) => {
  room ??= new AudioContext();
  await room.resume();
  const ear = room.createMediaStreamDestination();
  // A microphone sends frames in silence, too.
  const silence = new ConstantSourceNode(room, { offset: 0 });
  silence.connect(ear);
  silence.start();
  ears.add(ear);
  const track = ear.stream.getAudioTracks()[0];
  window.microphones.push({ wanted, track });
  return ear.stream;
};
window.say = async (wav) => {
  const bytes = Uint8Array.from(atob(wav), (character) => character.charCodeAt(0));
  const source = room.createBufferSource();
  source.buffer = await room.decodeAudioData(bytes.buffer);
  for (const ear of ears) source.connect(ear);
  const ended = new Promise((resolve) => source.addEventListener("ended", resolve, { once: true }));
  source.start();
  await ended;
};
"""


async def say(page: Page, recording: Path) -> None:
    """Say a recording to the page's microphone, to its end."""
    wav = await asyncio.to_thread(recording.read_bytes)
    await page.evaluate("say", base64.b64encode(wav).decode())


async def told(page: Page, event: str) -> list[dict[str, Any]]:
    """The lines of that event that the page was sent so far, of all its calls."""
    return await page.evaluate("(name) => events.filter((line) => line?.event === name)", event)


async def wait_until_told(page: Page, event: str, n: int) -> None:
    """Wait until the page was sent `n` lines of that event."""
    script = "([name, n]) => events.filter((line) => line?.event === name).length >= n"
    await wait_until(page, script, [event, n], ANSWER_SECS)


@asynccontextmanager
async def serve(port: int, log: Path, *flags: str) -> AsyncIterator[str]:
    """`sotto serve` with the bundled engines in a process of its own, ready; its output goes to `log`."""
    command = [sys.executable, "-m", "agent.cli", "serve", "--port", str(port), *flags]
    with log.open("w") as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=log.parent, env={**os.environ, **BUNDLED_ENGINES}, stdout=output, stderr=output
        )
    url = f"http://127.0.0.1:{port}"
    try:
        await _wait_until_ready(url, process)
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 20)
        print(await asyncio.to_thread(log.read_text))  # pytest shows it beside a failure


async def _wait_until_ready(url: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(READY_SECS), httpx.AsyncClient() as client:
        while True:
            assert process.returncode is None, "sotto serve ended before it was ready"
            try:
                if (await client.get(f"{url}/health")).json()["status"] == "ready":
                    return
            except httpx.ConnectError:
                pass
            await asyncio.sleep(0.1)
