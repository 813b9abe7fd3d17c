"""OpenAI's own agent from npm, with nothing changed but the address: over a WebSocket in node, over WebRTC in Chromium.

Each holds two spoken turns, a function call and a barge-in, loses its line and comes back, with the real application on
scripted engines.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import soxr
from playwright.async_api import Page, Route

from tests.agent.server.realtime.stage import Stage, staged
from tests.agent.server.realtime.test_realtime_conversations import LONG_REPLY, QUESTION, STOP
from tests.support.chromium import ALLOW_MICROPHONE, launch
from tests.support.house import SPEECH
from tests.support.scripted_llm import Reply, ToolCall
from tests.support.spoken_page import MICROPHONE

HERE = Path(__file__).parent
WAIT_SECS = 300
HEARD_AS = (
    "what is the capital of germany",
    "thank you",
    "how is the weather",
    "count please",
    "stop",
    "are you there",
)
# Long enough for whoever is slow to cut in.
COUNTED = f"{LONG_REPLY} {LONG_REPLY}"
REPLIES = (
    "The capital is Berlin.",
    "You are welcome.",
    Reply(tool_calls=[ToolCall("get_weather", '{"city": "Berlin"}')]),
    "It is sunny.",
    COUNTED,
    "Fine.",
    "Yes.",
)
ASK = {"n_words_before_the_long_answer": 4 + 3 + 3}
pytestmark = [pytest.mark.long, pytest.mark.npm]


def check(told: dict[str, Any]) -> None:
    """What the agent was told is what was said and done."""
    assert told["problems"] == []
    assert told["calls"] == ["Berlin"]
    assert told["statuses"] == [*["completed"] * 4, "cancelled", *["completed"] * 2]
    said = told["said"]
    assert said[:4] == ["The capital is Berlin.", "You are welcome.", "function_call", "It is sunny."]
    words = COUNTED.split()
    assert 0 < len(said[4].split()) < len(words)
    assert said[4].split() == words[: len(said[4].split())]
    assert said[5:] == ["Fine.", "Yes."]


async def drop(stage: Stage) -> None:
    """End the line of the one session that there is."""
    [session] = stage.live._running
    await session.end("the test drops the line")


async def until_ended(stage: Stage) -> None:
    """Wait until the place is free again."""
    async with asyncio.timeout(60):
        while stage.n_active():
            await asyncio.sleep(0.1)


@pytest.mark.realtime
async def test_the_agent_from_npm_talks_over_a_websocket(npm_clients: Path, tmp_path: Path) -> None:
    for name, audio_s16 in (("question", QUESTION), ("stop", STOP)):
        (tmp_path / f"{name}.pcm").write_bytes(soxr.resample(audio_s16, 16_000, 24_000).astype("<i2").tobytes())
    async with staged(*HEARD_AS, replies=REPLIES) as stage:
        url = f"{stage.url.replace('http', 'ws', 1)}/realtime?model=gpt-realtime"
        script = HERE / "npm_over_websocket.mjs"
        node = await asyncio.create_subprocess_exec(
            npm_clients / "bin" / "node",
            *(script, npm_clients, url, tmp_path, json.dumps(ASK)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(WAIT_SECS):
                assert node.stdout
                # What the package itself writes may stand before it.
                while (line := await node.stdout.readline()) not in (b"drop\n", b""):
                    pass
                if line:
                    await drop(stage)
                output, errors = await node.communicate()
        finally:
            if node.returncode is None:
                node.kill()
                await node.wait()
        assert node.returncode == 0, errors.decode()
        await until_ended(stage)
    check(json.loads(output.decode().splitlines()[-1]))


PAGE = """<!doctype html><title>an agent</title><script src="/npm/agents.umd.js"></script>
<script type="module">import { talk } from "/npm/npm_agent.mjs"; window.talk = talk;</script>"""
IN_BROWSER = """
async ({ url, apiKey, sounds, ask }) => {
  const Agents = window.OpenAIAgentsRealtime;
  const makeTransport = () => new Agents.OpenAIRealtimeWebRTC();
  const say = async (_, name) => void window.say(sounds[name]);
  return await window.talk({ Agents, makeTransport, url, apiKey, say, drop: window.drop, ask });
}
"""


@asynccontextmanager
async def agents_page(url: str, npm_clients: Path) -> AsyncIterator[Page]:
    """A page on the server's own address that holds the package, and a microphone that says recordings."""
    bundle = npm_clients / "node_modules/@openai/agents-realtime/dist/bundle/openai-realtime-agents.umd.js"
    files = {"page.html": ("text/html", PAGE), "agents.umd.js": ("text/javascript", bundle.read_text("utf-8"))}
    files["npm_agent.mjs"] = ("text/javascript", (HERE / "npm_agent.mjs").read_text("utf-8"))

    async def give(route: Route) -> None:
        kind, content = files[route.request.url.rsplit("/", 1)[-1]]
        await route.fulfill(content_type=kind, body=content)

    async with launch(ALLOW_MICROPHONE, "--autoplay-policy=no-user-gesture-required") as browser:
        page = await browser.new_page()
        await page.add_init_script("window.microphones = [];" + MICROPHONE)
        await page.route("**/npm/*", give)
        await page.goto(f"{url}/npm/page.html")
        await page.wait_for_function("window.talk && window.OpenAIAgentsRealtime")
        yield page


@pytest.mark.browser
async def test_the_agent_from_npm_talks_over_webrtc_in_chromium(npm_clients: Path) -> None:
    sounds = {"question": "capital_of_germany.wav", "stop": "stop.wav"}
    wavs = {name: base64.b64encode((SPEECH / file).read_bytes()).decode() for name, file in sounds.items()}
    async with staged(*HEARD_AS, replies=REPLIES) as stage, httpx.AsyncClient() as client:
        # A browser's key is a short-lived one.
        made = (await client.post(f"{stage.url}/realtime/client_secrets", json={})).json()
        async with agents_page(stage.url.removesuffix("/v1"), npm_clients) as page, asyncio.timeout(WAIT_SECS):
            await page.expose_function("drop", lambda: drop(stage))
            wanted = {"url": f"{stage.url}/realtime/calls", "apiKey": made["value"], "sounds": wavs, "ask": ASK}
            told = await page.evaluate(IN_BROWSER, wanted)
            # It has closed its connection itself.
            await until_ended(stage)
    check(told)
    assert "response.output_audio.delta" not in told["types"]
    played = {f"output_audio_buffer.{what}" for what in ("started", "stopped", "cleared")}
    assert played <= set(told["types"])
