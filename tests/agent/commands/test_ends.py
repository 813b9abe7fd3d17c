"""A conversation that fails takes along what was begun for it: servers of tools, memory, timers."""

import asyncio
import io
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from agent.commands import desktop, replay
from agent.commands.script import ConversationScript
from agent.engines.host import ModelHost
from agent.settings.load import Settings
from agent.tools.mcp_servers import McpServers
from tests.support.left_over import leaving_nothing
from tests.support.mcp_peers import peer_settings
from tests.support.scripted_engines import RATE_HZ
from transports.desktop import DesktopTransport


class NoHost:
    """Nothing of it is asked before the conversation fails."""

    async def close(self) -> None:
        pass


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    async def begins(self: McpServers, limit_secs: float) -> None:
        # Its process is there; how long it takes to answer is of no account here.
        async with asyncio.timeout(60):
            while not (tmp_path / "mark").exists():
                await asyncio.sleep(0.05)

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("the conversation cannot begin")

    monkeypatch.setattr(McpServers, "settled", begins)
    for command in (desktop, replay):
        monkeypatch.setattr(command, "Conversation", fails)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    given = {"mcp": {"servers": {"peer": peer_settings(tmp_path)}}, "memory": {"keep": True}}
    return Settings.model_validate(given)


async def test_a_replay_that_fails_leaves_no_server_and_no_thread(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def start(_: Settings) -> NoHost:
        return NoHost()

    monkeypatch.setattr(replay, "start_model_host", start)
    monkeypatch.setattr(replay, "stop_on_signals", asyncio.Event)
    async with leaving_nothing():
        with pytest.raises(RuntimeError, match="cannot begin"):
            await replay.replay(ConversationScript(()), settings, replay.ReplayFiles(), Console(file=io.StringIO()))


async def test_a_desktop_conversation_that_fails_leaves_no_server_and_no_thread(settings: Settings) -> None:
    async with leaving_nothing():
        with pytest.raises(RuntimeError, match="cannot begin"):
            await desktop.hold(
                cast("ModelHost", NoHost()),
                settings,
                DesktopTransport(RATE_HZ),
                Console(file=io.StringIO()),
                asyncio.Event(),
            )
