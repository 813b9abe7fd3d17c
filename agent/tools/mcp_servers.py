"""All servers of tools that settings name, shared by all conversations of a process.

In:  `[mcp.servers.NAME]`.   Out: their tools as they come and go; `changed` is told.

Starting costs nothing: mcp's library, which takes two seconds of a processor to load, is loaded in a thread, and only
where there is a server; connections are made in the background.
"""

import asyncio
import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from agent.settings.mcp import McpServer
from agent.tools.mcp_state import McpState
from agent.tools.tool import Tool

if TYPE_CHECKING:
    from agent.tools.mcp_connection import McpConnection

CLOSED_WITHIN_SECS = 1.5


class McpServers:
    """Them.

    Args:
        servers: By name.

    Attributes:
        changed: Called when tools, or what `states` says, have become different.
    """

    def __init__(self, servers: Mapping[str, McpServer]) -> None:
        self.changed: list[Callable[[], None]] = []
        self._servers = {name: server for name, server in servers.items() if server.permission != "off"}
        self._connections: dict[str, McpConnection] = {}
        self._tools: list[Tool] = []
        self._running: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Connect in the background; needs a running event loop."""
        if self._servers and not self._running:
            self._running.append(asyncio.create_task(self._start(), name="mcp-servers"))

    def tools(self) -> list[Tool]:
        """What can be used now; names differ."""
        return self._tools

    def states(self) -> list[McpState]:
        """How things stand with each."""
        return [
            self._connections[name].state if name in self._connections else McpState(name) for name in self._servers
        ]

    def as_engine(self) -> dict[str, Any] | None:
        """All of them, told like an engine of a stage; None without any."""
        states = self.states()
        if not states:
            return None
        there = f"{sum(state.state == 'ready' for state in states)} of {len(states)} there"
        note = "; ".join(state.line() for state in states)
        return {"engine": "servers", "model": there, "note": note, "passed_over": []}

    async def settled(self, limit_secs: float) -> None:
        """Wait until each is there or is known to be down.

        Args:
            limit_secs: At most.
        """
        happened = asyncio.Event()
        self.changed.append(happened.set)
        try:
            async with asyncio.timeout(limit_secs):
                while any(state.state == "connecting" for state in self.states()):
                    happened.clear()
                    await happened.wait()
        except TimeoutError:
            return
        finally:
            self.changed.remove(happened.set)

    async def close(self) -> None:
        """End every connection, and every process that was started for one."""
        running, self._running = self._running, []
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=CLOSED_WITHIN_SECS)

    async def _start(self) -> None:
        made = await asyncio.to_thread(importlib.import_module, "agent.tools.mcp_connection")
        for name, server in self._servers.items():
            connection = self._connections[name] = made.McpConnection(name, server, self._changes)
            self._running.append(asyncio.create_task(connection.run(), name=f"mcp-{name}"))

    def _changes(self) -> None:
        from agent.tools.mcp_results import named_apart

        self._tools = named_apart([tool for one in self._connections.values() for tool in one.tools])
        for tell in list(self.changed):
            tell()
