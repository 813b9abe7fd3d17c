"""An ordinary Chromium, without a flag for WebRTC, and what the server opens for its call."""

from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.support import chromium
from tests.support.served import Served, serving

pytestmark = [pytest.mark.browser, pytest.mark.realtime, pytest.mark.asyncio(loop_scope="session")]

WAIT_MS = 60_000
ORDINARY = tuple(flag for flag in chromium.FLAGS if flag != "--allow-loopback-in-peer-connection")
PAIR = """async () => {
  const stats = [...(await window.peers.at(-1).getStats()).values()];
  const pair = stats.find(({ type, nominated }) => type === "candidate-pair" && nominated);
  return pair ? stats.find(({ id }) => id === pair.remoteCandidateId).address : "";
}"""
# As where a browser tells its addresses to nobody: names that another program cannot resolve.
HIDE_ADDRESSES = """
const send = window.fetch;
window.fetch = (path, options) => {
  if (path === "/api/offer") {
    const address = /(candidate:\\S+ \\d udp \\d+) [0-9a-f.:]+ /g;
    options.body = options.body.replaceAll(address, "$1 0b1c2d3e-aaaa-bbbb-cccc-0123456789ab.local ");
  }
  return send(path, options);
};
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    with serving(Path(tmp_path_factory.mktemp("serve"))) as running:
        yield running


def datagram_addresses(served: Served) -> set[str]:
    """Where the server listens for datagrams."""
    found = psutil.Process(served.process.pid).net_connections("udp")
    return {one.laddr.ip for one in found if one.laddr}


async def join(page: Page) -> None:
    await page.get_by_role("button", name="Start talking").click()
    await expect(page.locator("#state")).to_have_text("Listening", timeout=WAIT_MS)


@pytest.mark.parametrize("hides_addresses", [False, True])
async def test_an_ordinary_browser_on_this_machine_connects_and_nothing_but_loopback_is_opened(
    served: Served, hides_addresses: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chromium, "FLAGS", ORDINARY)
    async with (
        chromium.launch(chromium.ALLOW_MICROPHONE) as browser,
        chromium.visit(browser, served.url, script=HIDE_ADDRESSES if hides_addresses else "") as page,
    ):
        await join(page)
        assert datagram_addresses(served) == {"127.0.0.1"}
        assert await page.evaluate(PAIR) == "127.0.0.1"
        await page.get_by_role("button", name="Leave").click()
        await expect(page.locator("#state")).to_have_text("Ready")
