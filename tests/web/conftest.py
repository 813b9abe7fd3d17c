"""What the page's tests share: a browser a worker, and a server of the page whose calls a test scripts.

Faked: the server behind the page, see `tests/support/stub_server.py`.
"""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser

from tests.support.chromium import ALLOW_MICROPHONE, launch
from tests.support.stub_server import StubServer, serve_stub


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with launch(ALLOW_MICROPHONE, is_shell=True) as launched:
        yield launched


@pytest_asyncio.fixture(loop_scope="session")
async def stub() -> AsyncIterator[StubServer]:
    async with serve_stub() as served:
        yield served
