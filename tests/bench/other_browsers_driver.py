"""Firefox and WebKit as Debian has them, driven by their own protocols: WebDriver BiDi and WebDriver; no other program.

apt-get install firefox-esr webkit2gtk-driver xvfb
"""

import asyncio
import contextlib
import itertools
import json
import os
import re
import shutil
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.support.chromium import PATIENCE_SECS, POLL_SECS

MINI_BROWSERS = "/usr/lib/*/webkit2gtk-4.1/MiniBrowser"
ENTER = "\ue007"
# No microphone but a fake one, that needs no permission; no word to anybody.
FIREFOX_SETTINGS = {
    "media.navigator.permission.disabled": True,
    "media.navigator.streams.fake": True,
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}


class OtherPage(Protocol):
    """A page in such a browser."""

    async def goto(self, url: str) -> None:
        """Load it."""
        ...

    async def evaluate(self, expression: str) -> Any:
        """What JavaScript gives."""
        ...

    async def write(self, text: str) -> None:
        """Press keys in the message box."""
        ...


async def until(page: OtherPage, expression: str) -> None:
    """Wait until JavaScript is true in the page.

    Raises:
        TimeoutError: It has not become true.
    """
    async with asyncio.timeout(PATIENCE_SECS):
        while await page.evaluate(expression) is not True:
            await asyncio.sleep(POLL_SECS)


def find_mini_browser() -> str | None:
    """WebKitGTK's own small browser, where it is installed with its driver."""
    found = next(iter(sorted(map(str, Path("/").glob(MINI_BROWSERS.removeprefix("/"))))), None)
    return found if shutil.which("WebKitWebDriver") and shutil.which("Xvfb") else None


class _Bidi:
    """Firefox's page, by WebDriver BiDi; script errors and what is written to the console as an error are kept."""

    def __init__(self, socket_: ClientConnection) -> None:
        self._socket = socket_
        self._ids = itertools.count(1)
        self._context = ""
        self.errors: list[str] = []

    async def begin(self) -> None:
        await self._ask("session.new", capabilities={})
        await self._ask("session.subscribe", events=["log.entryAdded"])
        self._context = (await self._ask("browsingContext.getTree"))["contexts"][0]["context"]

    async def goto(self, url: str) -> None:
        await self._ask("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        target = {"context": self._context}
        told = await self._ask("script.evaluate", expression=expression, target=target, awaitPromise=True)
        assert told["type"] == "success", told
        return told["result"].get("value")

    async def write(self, text: str) -> None:
        await self.evaluate("document.querySelector('#message').focus()")
        keys = [{"type": kind, "value": letter} for letter in text for kind in ("keyDown", "keyUp")]
        typed = [{"type": "key", "id": "keyboard", "actions": keys}]
        await self._ask("input.performActions", context=self._context, actions=typed)

    async def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._ids)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(PATIENCE_SECS):
            while (told := json.loads(await self._socket.recv())).get("id") != number:
                if told.get("method") == "log.entryAdded" and told["params"]["level"] == "error":
                    self.errors.append(str(told["params"]["text"]))
        assert "error" not in told, told
        return told["result"]


@asynccontextmanager
async def firefox(folder: Path) -> AsyncIterator[_Bidi]:
    """Firefox with a new profile in that folder."""
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in FIREFOX_SETTINGS.items()]
    await asyncio.to_thread((folder / "user.js").write_text, "\n".join(lines), "utf-8")
    command = ["firefox-esr", "--headless", "--no-remote", "--profile", str(folder), "--remote-debugging-port", "0"]
    async with AsyncExitStack() as stack:
        process = await stack.enter_async_context(_running(command, {"HOME": str(folder)}))
        assert process.stderr
        async with asyncio.timeout(PATIENCE_SECS):
            while not (found := re.search(rb"BiDi listening on (ws://\S+)", await process.stderr.readline())):
                assert process.returncode is None, "Firefox has ended"
        page = _Bidi(await stack.enter_async_context(connect(f"{found[1].decode()}/session", max_size=None)))
        await page.begin()
        yield page


class _WebDriver:
    """WebKit's page, by WebDriver, which tells nothing of its console."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def goto(self, url: str) -> None:
        await self._ask("url", url=url)

    async def evaluate(self, expression: str) -> Any:
        return await self._ask("execute/sync", script=f"return {expression}", args=[])

    async def write(self, text: str) -> None:
        found = await self._ask("element", using="css selector", value="#message")
        await self._ask(f"element/{next(iter(found.values()))}/value", text=text)

    async def _ask(self, command: str, **body: Any) -> Any:
        answer = await self._client.post(command, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["value"]


@asynccontextmanager
async def webkit(folder: Path, program: str) -> AsyncIterator[_WebDriver]:
    """WebKitGTK's small browser on a screen of its own."""
    read, write = os.pipe()
    screen = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x900x24", "-nolisten", "tcp"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_running(screen, {}, pass_fds=[write]))
        os.close(write)
        with os.fdopen(read) as told:
            display = f":{(await asyncio.to_thread(told.readline)).strip()}"
        about = {"DISPLAY": display, "HOME": str(folder), "LIBGL_ALWAYS_SOFTWARE": "1"}
        # Within a container it may open no sandbox of its own.
        about["WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS"] = "1"
        await stack.enter_async_context(_running(["WebKitWebDriver", f"--port={port}"], about))
        address = f"http://127.0.0.1:{port}"
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=PATIENCE_SECS, trust_env=False))
        asked = {
            "browserName": "MiniBrowser",
            "webkitgtk:browserOptions": {"binary": program, "args": ["--automation"]},
        }
        async with asyncio.timeout(PATIENCE_SECS):
            while True:
                with contextlib.suppress(httpx.ConnectError):
                    begun = await client.post(f"{address}/session", json={"capabilities": {"alwaysMatch": asked}})
                    break
                await asyncio.sleep(POLL_SECS)
        client.base_url = httpx.URL(f"{address}/session/{begun.json()['value']['sessionId']}/")
        yield _WebDriver(client)
        await client.delete("")


@asynccontextmanager
async def _running(
    command: Sequence[str], environment: dict[str, str], pass_fds: Sequence[int] = ()
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program of ours, which is ended at the end; what it says on is read, so that it never waits."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=pass_fds,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()
