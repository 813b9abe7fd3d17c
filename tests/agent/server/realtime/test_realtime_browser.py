"""A browser's own WebRTC before the Realtime API: what it tells its page when the server ends the call."""

from typing import Any

import httpx
import pytest
from playwright.async_api import Page, Route

from tests.agent.server.realtime.stage import Stage, staged
from tests.support.chromium import ALLOW_MICROPHONE, launch

TIMES = 8
CALL = """
async ({ url, apiKey }) => {
  const told = [];
  const pc = new RTCPeerConnection();
  pc.addTransceiver("audio");
  const channel = pc.createDataChannel("oai-events");
  const closed = new Promise((resolve) => channel.addEventListener("close", resolve));
  channel.addEventListener("error", ({ error }) => told.push(error.message));
  const begun = new Promise((resolve) => channel.addEventListener("message", resolve, { once: true }));
  await pc.setLocalDescription(await pc.createOffer());
  const headers = { Authorization: `Bearer ${apiKey}`, "Content-Type": "application/sdp" };
  const answer = await fetch(url, { method: "POST", headers, body: pc.localDescription.sdp });
  await pc.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  await begun;
  const hangup = `${answer.headers.get("Location")}/hangup`;
  await fetch(hangup, { method: "POST", headers: { Authorization: `Bearer ${apiKey}` } });
  await closed;
  pc.close();
  return told;
}
"""


async def _call(page: Page, stage: Stage, key: str) -> Any:
    return await page.evaluate(CALL, {"url": f"{stage.url}/realtime/calls", "apiKey": key})


@pytest.mark.browser
async def test_a_call_that_the_server_ends_is_no_error_of_the_browsers_channel() -> None:
    async with staged() as stage, httpx.AsyncClient() as client, launch(ALLOW_MICROPHONE) as browser:
        page = await browser.new_page()

        async def give(route: Route) -> None:
            await route.fulfill(content_type="text/html", body="<!doctype html><title>a caller</title>")

        await page.route("**/caller.html", give)
        await page.goto(f"{stage.url.removesuffix('/v1')}/caller.html")
        for _ in range(TIMES):
            made = (await client.post(f"{stage.url}/realtime/client_secrets", json={})).json()
            assert await _call(page, stage, made["value"]) == []
